//! The controller of `load`: from what was measured to the next prices, once per interval.
//!
//! ```text
//!   measured rates ─▶ 1 learn: how many clients are where        (against what was answered
//!                        │                                         over the last TTL)
//!                        ▼
//!   capacities, ──▶   2 limits: the most each endpoint should get
//!   states               │
//!                        ▼
//!                     3 is anything outside its water marks? ──no──▶ prices stay
//!                        │ yes
//!                        ▼
//!                     4 solve for the right prices (super::prices)
//!                        │
//!                        ▼
//!                     5 go towards them, as far as few enough clients move
//! ```
//!
//! 1. See [`super::clients`].
//! 2. **Limits.** An endpoint should get [`TARGET`] of its capacity. Where all together cannot, all get
//!    too much in the same proportion. One that is dying (suspected, degraded, its round trip rising)
//!    gets no more than it serves already: those whom it loses, and its neighbours' spill, go elsewhere.
//! 3. **Water marks.** Prices change when an endpoint gets more than [`HIGH`] of its limit, or a priced
//!    one less than [`LOW`], and then until they are right. When all together have too little, what one
//!    has left is what another lacks: then less than [`LOW_OF_TOO_LITTLE`] is too low.
//! 4. See [`super::prices`].
//! 5. **Bounded steps.** Prices go the straight way towards the right ones, per interval at most
//!    [`MOST_KM`] and as far as [`AWAY`] of all clients are answered otherwise than before when
//!    somebody gets too much, [`HOME`] when it is only about shorter ways. Clients of an endpoint that is
//!    gone do not count: they have to move.
//!
//! Capacity counts per endpoint of a service. Services that share a region share none of it here: give
//! each its part. What is measured is the target's, whoever its requests are for.

use std::time::Duration;

use super::clients::{Clients, part};
use super::demand::Field;
use super::prices::{Problem, Room, solve};

/// What an endpoint should get of its capacity when prices are set; the rest is for what nobody foresees.
pub const TARGET: f64 = 0.92;
/// Above this part of its limit an endpoint gets too much: 0.97 of its capacity.
pub const HIGH: f64 = 1.05;
/// Below this part of its limit a price is too high: 0.85 of its capacity.
pub const LOW: f64 = 0.92;
/// The same when limits are above capacities.
pub const LOW_OF_TOO_LITTLE: f64 = 0.98;

/// The share of all clients that one interval may send away from endpoints that get too much. They ask
/// again within a TTL, so a region's death must be dealt with in a small part of one.
pub const AWAY: f64 = 0.25;
/// The share of all clients that one interval may send back. Nobody suffers from waiting.
pub const HOME: f64 = 0.02;
/// By how many kilometres a price may change in one interval.
pub const MOST_KM: f64 = 10_000.0;

/// The price of an endpoint that takes nobody: farther than the antipodes.
pub const FAR: f64 = 25_000.0;

/// A step that moves too many clients is made shorter by this factor, and so often at most: a step
/// through the border of a whole country at one point of the map is a few kilometres long,
const SHORTER: f64 = 4.0;
/// of 20,000.
const SHORTENINGS: usize = 10;
/// Then it is lengthened again, by so many bisections.
const BISECTIONS: usize = 4;

/// Round trips: of late, and usually.
const LATE: Duration = Duration::from_secs(5);
const USUAL: Duration = Duration::from_secs(300);
/// A round trip rises when it is, of late, longer than usual by half and by 20 ms: a busy service's
/// queue, not a network's mood.
const RISING: (f64, f64) = (1.5, 0.020);

/// What is known of one endpoint at an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// Requests per second that it is good for, slow start counted in; `None`: it is never full.
    pub capacity: Option<f64>,
    /// Requests per second that it serves; `None`: nobody says.
    pub rate: Option<f64>,
    /// Whether it may be answered with.
    pub condition: Condition,
    /// Of pings.
    pub round_trip: Option<Duration>,
}

/// Whether an endpoint may be answered with; the best is least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Yes.
    Well,
    /// Yes, but it is not well: no more than it has.
    Dying,
    /// No.
    Gone,
}

/// The controller of one service.
#[derive(Debug)]
pub struct Spill {
    endpoints: Vec<Endpoint>,
    clients: Clients,
    /// By endpoint, in kilometres.
    prices: Vec<f64>,
    /// By point: the endpoint that it was sent to in the last interval.
    sent: Vec<u8>,
    /// On the way to the right prices.
    moving: bool,
}

#[derive(Debug, Clone, Default)]
struct Endpoint {
    /// It took clients in the last interval.
    open: bool,
    /// Requests per second that it served when it began to die.
    held: Option<f64>,
    late: Option<f64>,
    usual: Option<f64>,
}

/// What is the same for all services of one interval.
#[derive(Debug)]
pub struct Interval<'a> {
    /// Where clients are.
    pub field: &'a Field,
    /// Since the last one.
    pub span: Duration,
}

impl Spill {
    /// For a service of so many endpoints.
    pub fn new(endpoints: usize) -> Self {
        Self {
            endpoints: vec![Endpoint { open: true, ..Endpoint::default() }; endpoints],
            clients: Clients::default(),
            prices: vec![0.0; endpoints],
            sent: Vec::new(),
            moving: false,
        }
    }

    /// The same controller for other endpoints: by endpoint, which of the present ones it is. New ones get
    /// their clients little by little, like those that come back.
    #[must_use]
    pub fn rearranged(self, from: &[Option<usize>]) -> Self {
        let known = |at: &Option<usize>| at.and_then(|at| self.endpoints.get(at));
        let price = |at: &Option<usize>| at.and_then(|at| self.prices.get(at)).copied();
        Self {
            endpoints: from.iter().map(|at| known(at).cloned().unwrap_or_default()).collect(),
            prices: from.iter().map(|at| price(at).unwrap_or(0.0)).collect(),
            clients: self.clients.rearranged(from),
            sent: Vec::new(),
            moving: true,
        }
    }

    /// The demand is by other places from now on.
    pub fn forget_places(&mut self) {
        self.clients.forget_places();
        self.sent.clear();
    }

    /// What to raise each endpoint's distance by, in kilometres.
    #[expect(clippy::cast_possible_truncation, reason = "metres do not matter")]
    pub fn prices(&self) -> Box<[f32]> {
        let none = self.endpoints.iter().all(|endpoint| !endpoint.open);
        let price = |(price, endpoint): (&f64, &Endpoint)| match endpoint.open {
            true => *price as f32,
            // When all are gone, what is answered must be what would be if all were there.
            false if none => 0.0,
            false => FAR as f32,
        };
        self.prices.iter().zip(&self.endpoints).map(price).collect()
    }

    /// Requests per second of all clients, as far as it is known.
    pub fn total(&self) -> Option<f64> {
        self.clients.total()
    }

    /// One interval; returns the passes over the points that it took. `locations` and `seen` are by
    /// endpoint; the service's answers are kept for `ttl`.
    pub fn step(
        &mut self,
        interval: &Interval<'_>,
        locations: &[u8],
        seen: &[Seen],
        ttl: Duration,
        room: &mut Room,
    ) -> usize {
        let mut clients = std::mem::take(&mut self.clients);
        clients.settle(interval.field);
        let passes = self.run(&mut clients, interval, (locations, seen), ttl, room);
        self.clients = clients;
        passes
    }

    fn run(
        &mut self,
        clients: &mut Clients,
        interval: &Interval<'_>,
        (locations, seen): (&[u8], &[Seen]),
        ttl: Duration,
        room: &mut Room,
    ) -> usize {
        let Interval { field, span } = *interval;
        if field.mass().is_empty() || seen.len() != self.endpoints.len() {
            return 0;
        }
        let open: Vec<bool> = seen.iter().map(Seen::is_open).collect();
        let unlimited = vec![f64::INFINITY; seen.len()];
        let base = Problem { field, locations, open: &open, limits: &unlimited, mass: &[] };
        let mut passes = self.let_in(&base.of(clients.mass()), room);
        if self.sent.len() != room.division.endpoint.len() {
            self.sent.clone_from(&room.division.endpoint);
        }
        let served = clients.served().unwrap_or_else(|| room.division.load.clone());
        if clients.learn(interval, seen, &served, &room.division) {
            room.division.assign(&base.of(clients.mass()), &self.prices);
            passes += 1;
        }
        let Some(total) = clients.total() else { return passes };
        let (limits, low) = limits(&mut self.endpoints, seen, total, &served, span);
        let problem = Problem { limits: &limits, ..base.of(clients.mass()) };
        let marks = Marks::of(&room.division.load, &limits, low, &self.prices, &open);
        self.moving |= marks != Marks::Between;
        if self.moving {
            let most = if marks == Marks::Above { AWAY } else { HOME };
            let mut right = self.prices.clone();
            passes += solve(&problem, &mut right, room);
            let (there, tried) =
                advance(&problem, &mut self.prices, &right, most, &self.sent, room);
            passes += tried;
            self.moving = !there;
        }
        self.sent.clone_from(&room.division.endpoint);
        clients.answered(&room.division.load, span, ttl);
        passes
    }

    /// Follows endpoints that come and go: who comes gets its first client with the first step.
    /// `room.division` is the present division then; returns the passes taken.
    fn let_in(&mut self, problem: &Problem<'_>, room: &mut Room) -> usize {
        let mut passes = 1;
        for (e, endpoint) in self.endpoints.iter_mut().enumerate() {
            let open = problem.open[e];
            if open && !endpoint.open {
                let mut others = problem.open.to_vec();
                others[e] = false;
                room.tried.assign(&Problem { open: &others, ..*problem }, &self.prices);
                self.prices[e] = room.tried.entry(problem, e);
                passes += 1;
            }
            self.moving |= open != endpoint.open;
            endpoint.open = open;
        }
        room.division.assign(problem, &self.prices);
        passes
    }
}

impl Seen {
    /// Whether it takes anybody.
    pub fn is_open(&self) -> bool {
        self.condition != Condition::Gone && self.capacity.is_none_or(|capacity| capacity > 0.0)
    }
}

impl Endpoint {
    /// Takes in a round trip; returns whether they are rising.
    fn is_rising(&mut self, round_trip: Option<Duration>, span: Duration) -> bool {
        let Some(now) = round_trip.map(|rtt| rtt.as_secs_f64()) else { return false };
        let follow = |mean: &mut Option<f64>, over| {
            let before = mean.unwrap_or(now);
            *mean.insert(before + (now - before) * part(span, over))
        };
        let (late, usual) = (follow(&mut self.late, LATE), follow(&mut self.usual, USUAL));
        let (times, more) = RISING;
        late > usual * times && late > usual + more
    }
}

/// The most each endpoint should get, as a share of all; and the part of it that is too low.
fn limits(
    endpoints: &mut [Endpoint],
    seen: &[Seen],
    total: f64,
    served: &[f64],
    span: Duration,
) -> (Vec<f64>, f64) {
    for ((endpoint, seen), served) in endpoints.iter_mut().zip(seen).zip(served) {
        let rising = endpoint.is_rising(seen.round_trip, span);
        endpoint.held = match rising || seen.condition == Condition::Dying {
            true => Some(endpoint.held.unwrap_or(served * total)),
            false => None,
        };
    }
    let most =
        |seen: &Seen| if seen.is_open() { seen.capacity.unwrap_or(f64::INFINITY) } else { 0.0 };
    let well = endpoints.iter().zip(seen).any(|(e, seen)| e.held.is_none() && most(seen) > 0.0);
    // When all are dying, nobody is spared.
    let held = |endpoint: &Endpoint| endpoint.held.filter(|_| well);
    let limit_of_held = |held: f64, seen: &Seen| held.min(most(seen) * TARGET);
    let (mut fixed, mut free) = (0.0, 0.0);
    for (endpoint, seen) in endpoints.iter().zip(seen) {
        match held(endpoint) {
            Some(held) => fixed += limit_of_held(held, seen),
            None => free += most(seen),
        }
    }
    // A hair more than is needed, so that there is a way.
    let needed = (total - fixed).max(0.0) * 1.001;
    let filled = if free > 0.0 { (needed / free).max(TARGET) } else { TARGET };
    let limit = |(endpoint, seen): (&Endpoint, &Seen)| match held(endpoint) {
        Some(held) => limit_of_held(held, seen),
        None => most(seen) * filled,
    };
    let total = total.max(f64::MIN_POSITIVE);
    let limits = endpoints.iter().zip(seen).map(limit).map(|limit| limit / total).collect();
    (limits, if filled > 1.0 { LOW_OF_TOO_LITTLE } else { LOW })
}

/// Where loads are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marks {
    Above,
    Between,
    Below,
}

impl Marks {
    fn of(load: &[f64], limits: &[f64], low: f64, prices: &[f64], open: &[bool]) -> Self {
        let all = || (0..load.len()).filter(|e| open[*e] && limits[*e].is_finite());
        if all().any(|e| load[e] > limits[e] * HIGH) {
            Self::Above
        } else if all().any(|e| prices[e] > 0.0 && load[e] < limits[e] * low) {
            Self::Below
        } else {
            Self::Between
        }
    }
}

/// Goes from `prices` towards the right ones, as far as at most `most` of the clients move from where
/// they were `sent` before, and no price more than [`MOST_KM`]; returns whether it is there, and the
/// passes taken. `room.division`
/// is the division at the right prices before, and at the new ones after.
fn advance(
    problem: &Problem<'_>,
    prices: &mut Vec<f64>,
    right: &[f64],
    most: f64,
    sent: &[u8],
    room: &mut Room,
) -> (bool, usize) {
    let far = prices.iter().zip(right).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    if far <= MOST_KM && room.division.moved(sent, problem) <= most {
        prices.copy_from_slice(right);
        return (true, 0);
    }
    let towards = |part: f64| -> Vec<f64> {
        prices.iter().zip(right).map(|(from, to)| from + (to - from) * part).collect()
    };
    let mut tried = 0;
    let mut is_too_far = |part: f64| {
        tried += 1;
        room.tried.assign(problem, &towards(part));
        room.tried.moved(sent, problem) > most
    };
    let mut bad = (MOST_KM / far).min(1.0);
    let mut good = bad;
    for _ in 0..SHORTENINGS {
        if !is_too_far(good) {
            break;
        }
        (good, bad) = (good / SHORTER, good);
    }
    for _ in 0..BISECTIONS {
        let middle = (good + bad) / 2.0;
        if is_too_far(middle) {
            bad = middle;
        } else {
            good = middle;
        }
    }
    *prices = towards(good);
    room.division.assign(problem, prices);
    (false, tried + 1)
}
