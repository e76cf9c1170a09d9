//! How probably a client is answered with each endpoint: what a plan for many clients counts with,
//! in the place of one draw.
//!
//! Nothing is decided here. The route is walked by the code that answers, and what is looked at is
//! what the first pick that draws was given: whatever follows it finds an order and no groups, so
//! only a cut still matters. What such a pick makes of its candidates is known in closed form
//! ([`pick::inclusion`]); where it is not (a pass in `round-robin`, a cut that comes too late for
//! `weighted`, `healthy` behind a pick), the answer is drawn, once for all to whom the route leaves
//! the same to chance ([`Draws`]).

use arrayvec::ArrayVec;

use super::choose::{Observer, Open, Outside, Walk};
use super::leaving::Regard;
use super::order::{Candidate, Candidates};
use super::pick;
use super::stage::Act;
use super::{Choice, Client, LAST, Policy};
use crate::service::{Form, MAX_ENDPOINTS, Step};
use crate::verdicts::{Health, Stance};

pub use draws::Draws;

mod draws;

/// What one client is answered with.
#[derive(Debug, Clone, PartialEq)]
pub struct Odds {
    /// Endpoints with their shares of what the client sends, which sum up to 1; several that are
    /// answered together share alike. None: see `outside`.
    pub shares: ArrayVec<(u8, f64), MAX_ENDPOINTS>,
    /// Decided as if more were up than are.
    pub fail_open: bool,
    /// The client's fence holds nothing of the form.
    pub outside: Option<Outside>,
    /// Not by probabilities but by 1024 draws, always the same.
    pub drawn: bool,
}

/// What of a client a route looks at, beside draws; who is alike in all of it has the same odds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Looks {
    /// Of the plan's lenses, in ascending order, each once.
    pub lenses: Vec<u8>,
    /// Of the plan's fences.
    pub fence: Option<u8>,
    /// How far it is from each location.
    pub kilometres: bool,
    /// Its prefix.
    pub prefix: bool,
}

impl Policy {
    /// What of a client its answers can depend on, with drains as they are in `health`.
    pub fn looks(&self, health: &Health) -> Looks {
        let mut looks = Looks::default();
        for stage in &self.stages {
            match &stage.act {
                Act::Fence { fence, .. } => looks.fence = Some(*fence),
                Act::Nearest { lens, band } => {
                    looks.lenses.push(*lens);
                    looks.kilometres |= band.is_some();
                }
                Act::Load => (looks.kilometres, looks.prefix) = (true, true),
                Act::Sticky => looks.prefix = true,
                Act::Healthy { .. } => {
                    let stances = (0..self.endpoints()).map(|e| self.stance(e, health));
                    looks.prefix |= stances.into_iter().any(Stance::divides_clients);
                }
                _ => {}
            }
        }
        looks.lenses.sort_unstable();
        looks.lenses.dedup();
        looks
    }

    /// What `client` is answered with, its own draw left aside. `draws` are this policy's.
    pub fn odds(
        &self,
        form: Form,
        client: &Client<'_>,
        health: &Health,
        draws: &mut Draws,
    ) -> Odds {
        let mut watch = Watch::new(self);
        let choice = self.choose(form, client, health, &mut watch);
        let Some((at, given)) = watch.first else { return surely(&choice) };
        let regard = match watch.open {
            Some(Open::All) => None,
            Some(Open::Drained) => Some(Regard::NoDrains),
            None => Some(LAST),
        };
        let walk = Walk { policy: self, form, client, health, regard };
        match self.inclusion(at, &given, &walk) {
            Some(included) => {
                let all = given.iter().map(|candidate| candidate.endpoint).zip(included);
                shared(all, &choice, false)
            }
            None => shared(draws.counted(at, &given, &walk), &choice, true),
        }
    }

    /// Of what the pick at a stage was given, what the route leaves, as probabilities; none: there
    /// is no closed form.
    fn inclusion(
        &self,
        at: usize,
        given: &Candidates,
        walk: &Walk<'_>,
    ) -> Option<ArrayVec<f64, MAX_ENDPOINTS>> {
        let (pick, rest) = self.stages.get(at..)?.split_first()?;
        let last_resorts = |act: &Act| -> Option<Vec<bool>> {
            let weights = given.iter().map(|candidate| weight(act, candidate, walk));
            weights.map(|weight| weight.map(|weight| weight == 0)).collect()
        };
        let among = last_resorts(&pick.act);
        let matters = |act: &Act| match act {
            Act::Healthy { .. } => true,
            // A later pick leaves the order, but has last resorts of its own.
            act => last_resorts(act).is_some_and(|others| Some(others) != among),
        };
        if rest.iter().any(|stage| matters(&stage.act)) {
            return None;
        }
        let cuts = rest.iter().filter_map(|stage| match stage.act {
            Act::Take(n) => Some(n),
            _ => None,
        });
        let first = cuts.min().unwrap_or(usize::MAX).min(given.len());
        let everything = first == given.len();
        match &pick.act {
            Act::Weighted { cut } if first == 1 || first == *cut || everything => {
                Some(pick::inclusion(given, first, |candidate| walk.weigh(candidate)))
            }
            Act::Fair { cut, .. } if first == 1 || first == *cut || everything => {
                Some(pick::inclusion(given, first, |candidate| walk.weigh_fairly(candidate)))
            }
            Act::RoundRobin => pick::turns(given, first, |candidate| walk.weigh(candidate)),
            _ => None,
        }
    }
}

/// What a pick goes by; none: it is no pick.
fn weight(act: &Act, candidate: &Candidate, walk: &Walk<'_>) -> Option<u32> {
    match act {
        Act::Weighted { .. } | Act::Sticky | Act::RoundRobin => Some(walk.weigh(candidate).weight),
        Act::Fair { .. } => Some(walk.weigh_fairly(candidate).weight),
        _ => None,
    }
}

/// No draw decides.
fn surely(choice: &Choice) -> Odds {
    shared(choice.candidates.iter().map(|candidate| (candidate.endpoint, 1.0)), choice, false)
}

fn shared(all: impl Iterator<Item = (u8, f64)>, choice: &Choice, drawn: bool) -> Odds {
    let mut shares: ArrayVec<(u8, f64), MAX_ENDPOINTS> =
        all.filter(|(_, included)| *included > 0.0).collect();
    let sum: f64 = shares.iter().map(|(_, included)| included).sum();
    shares.iter_mut().for_each(|(_, share)| *share /= sum);
    let Choice { fail_open, outside, .. } = *choice;
    Odds { shares, fail_open, outside, drawn }
}

/// Sees what the first pick that draws was given.
struct Watch<'p> {
    policy: &'p Policy,
    /// The stage that comes next.
    next: usize,
    /// The stage, and its candidates; none: nothing was drawn, or it did not matter.
    first: Option<(usize, Candidates)>,
    /// What the last step left.
    left: Candidates,
    open: Option<Open>,
}

impl<'p> Watch<'p> {
    fn new(policy: &'p Policy) -> Self {
        Self { policy, next: 0, first: None, left: Candidates::new(), open: None }
    }
}

impl Observer for Watch<'_> {
    fn step(&mut self, _: &Step, before: &[Candidate], after: &[Candidate]) {
        let act = self.policy.stages.get(self.next).map(|stage| &stage.act);
        let draws = matches!(act, Some(Act::Weighted { .. } | Act::Fair { .. } | Act::RoundRobin));
        // A pick leaves an order without ties, also one that looks at the prefix alone.
        let open = before.windows(2).any(|pair| pair[0].group == pair[1].group);
        if draws && open && self.first.is_none() {
            self.first = Some((self.next, before.iter().copied().collect()));
        }
        self.left = after.iter().copied().collect();
        self.next += 1;
    }

    fn restart(&mut self, open: Open) {
        *self = Self { open: Some(open), ..Self::new(self.policy) };
    }
}
