//! The route that most services have, walked from its end.
//!
//! `healthy`, `nearest` without a band, at most one pick and `take n`, behind at most one fence: of
//! all the candidates that the steps would put in order, those at the nearest locations are taken.
//! So nothing is put in order: the client's row of locations is followed until enough are found,
//! which most often is its first entry.
//!
//! ```text
//!   row          3  0  5  1 …      locations, nearest first
//!   present      -  x  x  x        has endpoints of the form, inside the fence
//!   usable          -  x           0 is down
//!   taken              ^
//! ```
//!
//! Where that is not the whole truth (too little is usable; people drain something; a draw among
//! several for several places), it says so, and the steps are walked one by one.

use geo::Mask;

use super::choose::{Choice, Walk};
use super::order::{Candidate, Candidates};
use super::pick;
use super::stage::{Act, Stage};
use super::{Client, Compiled};
use crate::service::Form;

/// One form's endpoints of such a route.
#[derive(Debug, Clone)]
pub(super) struct Direct {
    fence: Option<u8>,
    lens: u8,
    healthy: bool,
    pick: Option<Pick>,
    take: usize,
    /// Locations that have any.
    present: Mask,
    /// Where each location's begin, in the order of their numbers; then the end.
    starts: Box<[u8]>,
    endpoints: Box<[u8]>,
}

/// Who comes first of those at one location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pick {
    Weighted,
    Sticky,
    RoundRobin,
}

impl Pick {
    fn of(act: &Act) -> Option<Self> {
        match act {
            Act::Weighted { .. } => Some(Self::Weighted),
            Act::Sticky => Some(Self::Sticky),
            Act::RoundRobin => Some(Self::RoundRobin),
            _ => None,
        }
    }
}

impl Direct {
    /// None: the steps are not of that form, or a weight of 0 makes endpoints of near locations
    /// come behind those of far ones.
    pub(super) fn of(stages: &[Stage], endpoints: &[Compiled], form: Form) -> Option<Box<Self>> {
        let mut acts = stages.iter().map(|stage| &stage.act).peekable();
        let fence = acts.next_if(|act| matches!(act, Act::Fence { .. }));
        let healthy = acts.next_if(|act| matches!(act, Act::Healthy { min_healthy: 1 }));
        let Some(Act::Nearest { lens, band: None }) = acts.next() else { return None };
        let pick = acts.next_if(|act| Pick::of(act).is_some()).and_then(Pick::of);
        let Some(Act::Take(take)) = acts.next() else { return None };
        if acts.next().is_some() {
            return None;
        }
        let mut having: Vec<(u8, u8)> = (0_u8..)
            .zip(endpoints)
            .filter(|(_, endpoint)| !endpoint.of(form).is_empty())
            .map(|(at, endpoint)| (endpoint.location, at))
            .collect();
        let last_resorts = having.iter().any(|(_, at)| endpoints[usize::from(*at)].weight == 0);
        if having.is_empty() || pick.is_some() && last_resorts {
            return None;
        }
        having.sort_unstable();
        let mut starts: Vec<u8> = (0_u8..)
            .zip(having.chunk_by(|a, b| a.0 == b.0))
            .scan(0_u8, |next, (_, here)| {
                let start = *next;
                *next += u8::try_from(here.len()).unwrap_or(u8::MAX);
                Some(start)
            })
            .collect();
        starts.push(u8::try_from(having.len()).ok()?);
        Some(Box::new(Self {
            fence: fence.and_then(|act| match act {
                Act::Fence { fence, .. } => Some(*fence),
                _ => None,
            }),
            lens: *lens,
            healthy: healthy.is_some(),
            pick,
            take: *take,
            present: having.iter().fold(0, |mask, (location, _)| mask | 1 << location),
            starts: starts.into(),
            endpoints: having.iter().map(|(_, endpoint)| *endpoint).collect(),
        }))
    }

    /// Those at a location, in the order written.
    #[inline]
    fn at(&self, location: u8) -> &[u8] {
        let before = (self.present & ((1 << location) - 1)).count_ones() as usize;
        &self.endpoints[usize::from(self.starts[before])..usize::from(self.starts[before + 1])]
    }
}

impl Walk<'_> {
    /// Whether the choice is now what the steps would make of it; if not, they have to be walked.
    #[inline]
    pub(super) fn directly(&self, direct: &Direct, choice: &mut Choice) -> bool {
        let (policy, client) = (self.policy, self.client);
        let allowed = direct.fence.map_or(Mask::MAX, |fence| {
            client.geo.views.fences[usize::from(fence)].allowed(client.place).0
        });
        let present = direct.present & allowed;
        choice.regard = self.regard.filter(|_| direct.healthy);
        let row = client.geo.views.lenses[usize::from(direct.lens)].row(client.place);
        for location in row.order {
            if present >> location & 1 == 0 {
                continue;
            }
            let found = choice.candidates.len();
            for endpoint in direct.at(*location) {
                let usable = |regard| policy.has_usable(*endpoint, self.form, self.health, regard);
                if choice.regard.is_none_or(usable) {
                    choice.candidates.push(Candidate { endpoint: *endpoint, group: 0 });
                }
            }
            if choice.candidates.len() > found + 1
                && let Some(pick) = direct.pick
            {
                if direct.take > 1 {
                    return false;
                }
                self.pick(pick, &mut choice.candidates);
            }
            if choice.candidates.len() >= direct.take {
                choice.candidates.truncate(direct.take);
                return true;
            }
        }
        !choice.candidates.is_empty()
    }

    fn pick(&self, pick: Pick, candidates: &mut Candidates) {
        let Client { draw, stick, turn, .. } = *self.client;
        let weigh = |candidate: &Candidate| self.weigh(candidate);
        match pick {
            Pick::Weighted => pick::weighted(candidates, draw, 1, weigh),
            Pick::Sticky => pick::weighted(candidates, stick, 0, weigh),
            Pick::RoundRobin => pick::round_robin(candidates, turn, weigh),
        }
    }
}
