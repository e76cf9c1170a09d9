//! Draws in the place of a closed form, made once for all clients to whom a route leaves the same to
//! chance.
//!
//! What a client is decides what the first pick that draws is given; from there on only weights and
//! verdicts count, which are everybody's. So draws are known by what that pick is given, and a million
//! places between the same two regions cost one set of draws:
//!
//! ```text
//!   place 1  ─▶ nearest ─▶ [ a b ] [ c ] [ d ] ─┐
//!   place 2  ─▶ nearest ─▶ [ a b ] [ d ] [ c ] ─┴▶ weighted, round-robin, take 2: of a and b alone
//! ```
//!
//! Groups behind those that fill the answer never come into it, so they are no part of the key. Where
//! `healthy` stands behind the pick, a draw may begin the route again with more
//! ([`choose`](super::Policy::choose)): then all that it could begin with is.

use std::collections::HashMap;

use super::super::Client;
use super::super::choose::Walk;
use super::super::hash::mix;
use super::super::leaving::Regard;
use super::super::order::{Candidate, Candidates};
use super::super::stage::{Act, Stage};
use super::Watch;
use crate::service::MAX_ENDPOINTS;

/// Of one kind: a share is known to about ±0.02 for one place, and over all places far better.
const DRAWS: u64 = 1024;
/// So many kinds are kept, of 100 bytes to 2 KiB each; others are drawn again. A dozen regions make
/// some hundred bands of all places.
const MAX_KNOWN: usize = 1 << 14;

/// The draws of one policy; whatever is known of health meanwhile.
#[derive(Debug, Default)]
pub struct Draws {
    known: HashMap<Box<[Way]>, Counts>,
    made: u64,
}

/// By endpoint, how many draws had it.
type Counts = Box<[(u8, u32)]>;

/// What one way through a route leaves to chance.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Way {
    /// The stage that draws first; or the one where the way ends.
    stage: usize,
    given: Box<[Chance]>,
}

/// All that a draw knows of a candidate.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Chance {
    endpoint: u8,
    group: u8,
    /// By weight and as `fair` has it, and its share of its turns.
    weights: [u32; 2],
    share: u16,
    /// Whether `healthy` behind the pick keeps it.
    kept: bool,
}

impl Draws {
    /// How many were made: what all these odds cost, in answers.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// By endpoint, how many draws have it when the pick at a stage is the first that draws.
    pub(super) fn counted(
        &mut self,
        at: usize,
        given: &Candidates,
        walk: &Walk<'_>,
    ) -> impl Iterator<Item = (u8, f64)> + use<> {
        let key = key(at, given, walk);
        let counts = match self.known.get(&key) {
            Some(known) => known.clone(),
            None => {
                self.made += DRAWS;
                let counts = drawn(walk);
                if self.known.len() < MAX_KNOWN {
                    self.known.insert(key, counts.clone());
                }
                counts
            }
        };
        counts.into_iter().map(|(endpoint, count)| (endpoint, f64::from(count)))
    }
}

fn drawn(walk: &Walk<'_>) -> Counts {
    let Walk { policy, form, client, health, .. } = *walk;
    let mut counts = [0_u32; MAX_ENDPOINTS];
    for turn in 0..DRAWS {
        let client = Client { draw: mix(turn), turn, ..*client };
        for candidate in policy.choose(form, &client, health, &mut ()).candidates {
            counts[usize::from(candidate.endpoint)] += 1;
        }
    }
    let all = (0..policy.endpoints()).map(|e| (e, counts[usize::from(e)]));
    all.filter(|(_, count)| *count > 0).collect()
}

/// Clients with equal keys have equal draws.
fn key(at: usize, given: &Candidates, walk: &Walk<'_>) -> Box<[Way]> {
    let rest = walk.policy.stages.get(at..).unwrap_or_default();
    if !rest.iter().any(is_healthy) {
        let reached = reached(rest, given, walk);
        return [Way::new(at, reached, walk, |_| true)].into();
    }
    let Walk { policy, form, client, health, .. } = *walk;
    let first = match health.stances().is_empty() {
        true => Regard::Measured,
        false => Regard::All { hash: policy.hash(form, client) },
    };
    let ways = [Some(first), Some(Regard::NoDrains), None].map(|regard| {
        let walk = Walk { policy, form, client, health, regard };
        let mut watch = Watch::new(policy);
        walk.run(&mut watch);
        let (stage, given) = watch.first.unwrap_or((watch.next, watch.left));
        let usable = |regard, e| policy.has_usable(e, form, health, regard);
        Way::new(stage, &given, &walk, |e| regard.is_none_or(|regard| usable(regard, e)))
    });
    ways.into()
}

fn is_healthy(stage: &Stage) -> bool {
    matches!(stage.act, Act::Healthy { .. })
}

/// The groups that fill what the least cut leaves. Nobody behind them is ever answered with: whoever is
/// the last resort of no pick goes before all others of later groups.
fn reached<'g>(rest: &[Stage], given: &'g [Candidate], walk: &Walk<'_>) -> &'g [Candidate] {
    let cuts = rest.iter().filter_map(|stage| match stage.act {
        Act::Take(n) => Some(n),
        _ => None,
    });
    let wanted = cuts.min().unwrap_or(usize::MAX);
    let is_resort = |c: &Candidate| walk.weigh(c).weight == 0 || walk.weigh_fairly(c).weight == 0;
    let (mut end, mut sure) = (0, 0);
    for group in given.chunk_by(|a, b| a.group == b.group) {
        if sure >= wanted {
            break;
        }
        end += group.len();
        sure += group.iter().filter(|candidate| !is_resort(candidate)).count();
    }
    given.get(..end).unwrap_or(given)
}

impl Way {
    fn new(stage: usize, given: &[Candidate], walk: &Walk<'_>, kept: impl Fn(u8) -> bool) -> Self {
        let chance = |candidate: &Candidate| {
            let (weighed, fairly) = (walk.weigh(candidate), walk.weigh_fairly(candidate));
            Chance {
                endpoint: candidate.endpoint,
                group: candidate.group,
                weights: [weighed.weight, fairly.weight],
                share: weighed.share,
                kept: kept(candidate.endpoint),
            }
        };
        Self { stage, given: given.iter().map(chance).collect() }
    }
}
