//! What choices are made with beside the plan: what was measured of every target, what people
//! decided about regions and endpoints, and what was reckoned for load-aware steps.
//!
//! Frozen, and replaced whole by the keeper, which also brings it up to date at its tick: a query
//! knows no time. "Whole" copies little: verdicts are kept in pages that successive generations
//! share, so one target's flip among 120,000 copies one page and a row of pointers.
//!
//! ```text
//!   Health ─┬─ pages ──▶ [ Verdict × 256 ] [ Verdict × 256 ] …    by TargetId
//!           ├─ unsettled ──▶ one bit per service                   lowers its TTL
//!           ├─ stances ──▶ per location; per (service, endpoint)   drains and forces
//!           └─ shares ──▶ per service with load-aware steps
//! ```

use std::sync::Arc;
use std::time::Duration;

use dns::zone::ServiceId;

use crate::health::State;
use crate::pages::Pages;

/// Index into the verdicts that [`Health`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub u32);

/// What is believed of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it should be answered with.
    pub state: State,
    /// It is not down yet, but its last checks failed.
    pub suspected: bool,
    /// It flapped, and so stays as bad as it was.
    pub damped: bool,
    /// Slow start: the share of its weight that it gets so far; [`WHOLE`] is all of it.
    pub warm: u16,
    /// Whether its pings say how busy it is; else `in_flight`, `load`, `rate` mean nothing.
    pub told: bool,
    /// Requests that it is handling.
    pub in_flight: u32,
    /// Share of its processors in use; [`WHOLE`] is all of them.
    pub load: u16,
    /// Smoothed round trip from this node, in microseconds; 0: not known.
    pub rtt: u32,
    /// Requests per second that it handles; 0: not stated.
    pub rate: u32,
    /// Requests per second that it says it can handle; 0: not stated.
    pub capacity: u32,
}

/// All of what is counted in shares.
pub const WHOLE: u16 = u16::MAX;

/// A degraded target gets this share of its weight in picks: enough to go on serving its own, and
/// enough for the others to relieve it.
const DEGRADED: u16 = WHOLE / 2;

impl Verdict {
    /// Of a target that nobody has seen.
    pub const UNKNOWN: Self = Self {
        state: State::Unknown,
        suspected: false,
        damped: false,
        warm: WHOLE,
        told: false,
        in_flight: 0,
        load: 0,
        rtt: 0,
        rate: 0,
        capacity: 0,
    };

    /// `weight` as it counts in picks: less while the target is degraded and, for a service that
    /// starts slowly, while it warms up. Never 0, which would mean "last resort", for a weight
    /// that is not.
    pub fn weigh(&self, weight: u32, starts_slowly: bool) -> u32 {
        let mut weighed = u64::from(weight);
        if self.state == State::Degraded {
            weighed = weighed * u64::from(DEGRADED) / u64::from(WHOLE);
        }
        if starts_slowly {
            weighed = weighed * u64::from(self.warm) / u64::from(WHOLE);
        }
        u32::try_from(weighed).unwrap_or(weight).max(weight.min(1))
    }

    /// Of an address for which both must be well: the worse of each, and the figures of `self`.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self {
            state: self.state.worse(other.state),
            suspected: self.suspected || other.suspected,
            damped: self.damped || other.damped,
            warm: self.warm.min(other.warm),
            ..*self
        }
    }

    /// The smoothed round trip, when one is known.
    pub fn round_trip(&self) -> Option<Duration> {
        (self.rtt > 0).then(|| Duration::from_micros(self.rtt.into()))
    }
}

/// Nothing known but the state.
impl From<State> for Verdict {
    fn from(state: State) -> Self {
        Self { state, ..Self::UNKNOWN }
    }
}

/// What people decided about a region or an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stance {
    /// Nothing: what is measured counts.
    #[default]
    Measured,
    /// It counts as up, whatever is measured.
    ForcedUp,
    /// It counts as down.
    ForcedDown,
    /// It is being left.
    Draining {
        /// The share of clients that go elsewhere already; [`WHOLE`]: all.
        gone: u16,
    },
}

impl Stance {
    /// Whether it holds for some clients and not for others.
    pub fn divides_clients(self) -> bool {
        matches!(self, Self::Draining { gone } if gone > 0 && gone < WHOLE)
    }
}

/// Every stance that is not [`Stance::Measured`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stances {
    /// By location; missing ones are measured.
    pub locations: Box<[Stance]>,
    /// In the order of their keys. An endpoint's own stance counts before its location's.
    pub endpoints: Box<[((ServiceId, u8), Stance)]>,
    /// Services of which something will be drained soon, in order: their TTL falls before that.
    pub announced: Box<[ServiceId]>,
}

impl Stances {
    /// Whether everything is measured.
    pub fn is_empty(&self) -> bool {
        self.locations.is_empty() && self.endpoints.is_empty()
    }

    /// Of one endpoint, which is at `location`.
    pub fn of(&self, service: ServiceId, endpoint: u8, location: u8) -> Stance {
        let own = self.endpoints.binary_search_by_key(&(service, endpoint), |(key, _)| *key);
        let own = own.map_or(Stance::Measured, |at| self.endpoints[at].1);
        match own {
            Stance::Measured => {
                self.locations.get(usize::from(location)).copied().unwrap_or_default()
            }
            own => own,
        }
    }
}

/// What the step `healthy` looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// As measured, or as somebody decided.
    pub state: State,
    /// The share of clients that should go elsewhere although the state is usable.
    pub gone: u16,
}

impl Standing {
    /// Whether a client is answered with it. `hash` is the client's, uniform, the same for every
    /// address of a scope: a drain's share of clients is a range of hashes that grows, so that
    /// nobody goes away and comes back.
    pub fn is_usable_for(self, hash: u16) -> bool {
        self.state.is_usable() && (self.gone == 0 || (hash >= self.gone && self.gone < WHOLE))
    }
}

/// What was reckoned for one service with load-aware steps, per endpoint; frozen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shares {
    /// `fair`: relative weights.
    pub weights: Box<[u32]>,
    /// `load`: what an endpoint's distance is raised by, in kilometres.
    pub prices: Box<[f32]>,
}

/// What a choice is made with beside the plan; see the module docs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    verdicts: Pages<Verdict>,
    unsettled: Arc<Vec<u64>>,
    stances: Arc<Stances>,
    shares: Arc<[Shares]>,
}

impl Health {
    /// In the order of target ids; stances and shares are none.
    pub fn new(verdicts: impl IntoIterator<Item = impl Into<Verdict>>) -> Self {
        let verdicts = verdicts.into_iter().map(Into::into).collect();
        Self { verdicts, ..Self::default() }
    }

    /// Of one target; what was never listed is unknown.
    pub fn verdict(&self, target: TargetId) -> &Verdict {
        self.verdicts.get(target.0 as usize).unwrap_or(&Verdict::UNKNOWN)
    }

    /// The state of one target.
    pub fn state(&self, target: TargetId) -> State {
        self.verdict(target).state
    }

    /// What the step `healthy` looks at: one record of an endpoint, of which `target` is checked;
    /// none: it is never checked, and counts as up.
    pub fn endpoint_state(
        &self,
        service: ServiceId,
        endpoint: u8,
        location: u8,
        target: Option<TargetId>,
    ) -> Standing {
        let measured = || target.map_or(State::Up, |target| self.state(target));
        let settled = |state| Standing { state, gone: 0 };
        match self.stances.of(service, endpoint, location) {
            Stance::Measured => settled(measured()),
            Stance::ForcedUp => settled(State::Up),
            Stance::ForcedDown => settled(State::Down),
            Stance::Draining { gone: WHOLE } => settled(State::Draining),
            Stance::Draining { gone } => Standing { state: measured(), gone },
        }
    }

    /// Whether a service's answer may have to change soon: one of its targets is suspected, or a
    /// drain of it was announced. Its TTL is the lower one then.
    pub fn is_unsettled(&self, service: ServiceId) -> bool {
        let word = self.unsettled.get(service.0 as usize / 64).copied().unwrap_or(0);
        word >> (service.0 % 64) & 1 == 1
    }

    /// What was reckoned for the service whose `Policy::dynamic` this is.
    pub fn shares(&self, dynamic: usize) -> Option<&Shares> {
        self.shares.get(dynamic)
    }

    /// What people decided.
    pub fn stances(&self) -> &Arc<Stances> {
        &self.stances
    }

    /// Replaces one verdict, and returns whether it is another; the page is copied when others
    /// share it. What is not listed is not added.
    pub fn set(&mut self, target: TargetId, verdict: Verdict) -> bool {
        let at = target.0 as usize;
        if self.verdicts.get(at).is_none_or(|known| *known == verdict) {
            return false;
        }
        self.verdicts.set(at, verdict);
        true
    }

    /// Lists so many targets; of those that were not listed nothing is known.
    pub fn resize(&mut self, targets: usize) {
        self.verdicts.resize(targets, &Verdict::UNKNOWN);
    }

    /// Sets whether a service's TTL is the lower one; returns whether that is news.
    pub fn set_unsettled(&mut self, service: ServiceId, unsettled: bool) -> bool {
        if self.is_unsettled(service) == unsettled {
            return false;
        }
        let word = service.0 as usize / 64;
        let bits = Arc::make_mut(&mut self.unsettled);
        if bits.len() <= word {
            bits.resize(word + 1, 0);
        }
        bits[word] ^= 1 << (service.0 % 64);
        true
    }

    /// Sets what people decided.
    pub fn set_stances(&mut self, stances: Arc<Stances>) {
        self.stances = stances;
    }

    /// Sets what was reckoned, by `Policy::dynamic`.
    pub fn set_shares(&mut self, shares: Arc<[Shares]>) {
        self.shares = shares;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successive_generations_share_the_pages_that_stay() {
        let first = Health::new((0..1000).map(|_| State::Up));
        let mut second = first.clone();
        second.set(TargetId(300), State::Down.into());
        second.set(TargetId(1000), State::Down.into());
        assert_eq!(first.state(TargetId(300)), State::Up);
        assert_eq!(second.state(TargetId(300)), State::Down);
        assert_eq!(second.state(TargetId(1000)), State::Unknown, "it was never listed");
        assert!(second.verdicts.apart(&first.verdicts).eq(256..512));
    }

    #[test]
    fn an_endpoint_s_own_stance_counts_before_its_location_s() {
        let mut health = Health::new([State::Down]);
        let (service, target) = (ServiceId(7), Some(TargetId(0)));
        let at = |health: &Health, endpoint| health.endpoint_state(service, endpoint, 1, target);
        assert_eq!(at(&health, 0).state, State::Down);
        health.set_stances(Arc::new(Stances {
            locations: [Stance::Measured, Stance::Draining { gone: WHOLE }].into(),
            endpoints: [((service, 2), Stance::ForcedUp), ((service, 5), Stance::ForcedDown)]
                .into(),
            announced: [].into(),
        }));
        assert_eq!(
            [0, 2, 5].map(|e| at(&health, e).state),
            [State::Draining, State::Up, State::Down]
        );
    }

    #[test]
    fn a_drain_takes_a_growing_range_of_clients() {
        let hashes = [0, 1, 1000, WHOLE - 1, WHOLE];
        let stay = |state, gone| hashes.map(|hash| Standing { state, gone }.is_usable_for(hash));
        assert_eq!(stay(State::Up, 0), [true; 5]);
        assert_eq!(stay(State::Up, 1), [false, true, true, true, true]);
        assert_eq!(stay(State::Up, 1001), [false, false, false, true, true]);
        assert_eq!(stay(State::Up, WHOLE), [false; 5]);
        assert_eq!(stay(State::Down, 0), [false; 5]);
    }

    #[test]
    fn weights_are_scaled_and_never_become_a_last_resort() {
        let half = Verdict { warm: WHOLE / 2, ..State::Up.into() };
        assert_eq!((half.weigh(100, true), half.weigh(100, false)), (49, 100));
        let cold = Verdict { warm: 0, ..State::Degraded.into() };
        assert_eq!((cold.weigh(100, true), cold.weigh(0, true)), (1, 0));
        assert_eq!(Verdict::from(State::Degraded).weigh(100, true), 49);
    }

    #[test]
    fn of_two_verdicts_the_worse_counts() {
        let ping = Verdict { warm: 7, told: true, in_flight: 9, rtt: 5, ..State::Up.into() };
        let check = Verdict { suspected: true, rtt: 100, ..State::Down.into() };
        let both = ping.with(&check);
        assert_eq!(both, Verdict { state: State::Down, suspected: true, ..ping });
        assert_eq!(check.with(&ping).warm, 7);
    }

    #[test]
    fn unsettled_services_are_bits() {
        let mut health = Health::default();
        assert!(!health.is_unsettled(ServiceId(65)));
        assert!(health.set_unsettled(ServiceId(65), true));
        assert!(!health.set_unsettled(ServiceId(65), true), "it was already");
        assert_eq!(
            [1, 64, 65, 129].map(|s| health.is_unsettled(ServiceId(s))),
            [false, false, true, false]
        );
    }
}
