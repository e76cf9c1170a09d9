//! The health of one target: when a row of checks becomes a change of state.
//!
//! A single lost ping says little, and an answer that changes with every one of them would chase
//! noise. So a state changes only after `fall` failures in a row, or `rise` successes:
//!
//! ```text
//!              first success                    fall failures in a row
//!   Unknown ──────────────────▶ Up ◀──────────────────────────────────┐
//!      │                        │ ▲   rise successes in a row         ▼
//!      │                        │ └────────────────────────────────  Down
//!      │   fall failures        ▼                                     ▲
//!      └────────────────▶    Draining (the target itself says so)     │
//!                               └───── fall failures in a row ────────┘
//! ```
//!
//! * `Unknown` is no verdict: nobody has seen the target yet. It keeps being answered, because
//!   nothing speaks against it, but it is never reported as up.
//! * The first success is believed at once: a node that has just started should not wait
//!   `rise × interval` to agree with the world.
//! * `Degraded` is a kind of up: it answers, and says `fall` times in a row that it is not fully
//!   well. It stays usable and keeps its rank, since a whole region of clients sent away for a
//!   slow database would take the next region along; in picks it gets half its weight.
//! * `Draining` is not an inference. The target says it over an authenticated connection, so it
//!   counts at once, and coming back takes `rise` successes like any recovery.
//! * A target that falls again and again is damped ([`damping`]): it keeps the worse state it has
//!   shown until it was quiet for long enough.
//! * A target that is usable although its last checks failed is *suspected*: nothing is taken
//!   away yet, but answers with it should be short-lived.
//! * A target that recovers starts slowly where its service says so ([`Machine::warm`]).
//!
//! With a probe every `interval + jitter` and `time_out ≤ interval`, a silent death is noticed
//! within `fall × (interval + jitter) + time_out`.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

pub mod damping;
mod fault;

use crate::verdicts::WHOLE;
use damping::{Damping, Penalty};

pub use fault::Fault;

/// What a target that starts slowly begins with, so that there is something to see it by: a tenth.
const COLD: u16 = WHOLE / 10;

/// How many checks in a row make a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Successes in a row that bring a target up. 1 trusts the first; 2 is a good start.
    pub rise: NonZeroU32,
    /// Failures in a row that take a target down. Small is fast, large forgives a lossy path.
    pub fall: NonZeroU32,
}

/// How checks become states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// What a row is.
    pub thresholds: Thresholds,
    /// How flapping is damped; none: it is not.
    pub damping: Option<Damping>,
}

/// Now, by two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For people: it may leap, so nothing is reckoned with it.
    pub wall: SystemTime,
    /// Since the process began; it only grows.
    pub uptime: Duration,
}

/// What this node believes of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// No verdict yet.
    Unknown,
    /// It answers, from the right region, and says it is well.
    Up,
    /// It answers, and says it is not fully well: usable, with less weight in picks.
    Degraded,
    /// It does not answer as it should, `fall` times in a row.
    Down,
    /// It asks to be left.
    Draining,
}

impl State {
    /// Whether the step `healthy` keeps an address in this state.
    pub fn is_usable(self) -> bool {
        matches!(self, Self::Unknown | Self::Up | Self::Degraded)
    }

    /// The word used in `geoip status`, in metrics and on disk.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Draining => "draining",
        }
    }

    /// The one that speaks more against the target.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let badness = |state| match state {
            Self::Up => 0,
            Self::Unknown => 1,
            Self::Degraded => 2,
            Self::Draining => 3,
            Self::Down => 4,
        };
        if badness(other) > badness(self) { other } else { self }
    }
}

/// What one check said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The right one answered in time and is well.
    Success,
    /// The right one answered, and says it is not fully well.
    Degraded,
    /// Nothing, the wrong one, or one that is not well.
    Failure(Fault),
    /// The right one answered and asks to be left.
    Draining,
}

/// The up-and-down machine of one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// What rise and fall make of the checks.
    measured: State,
    /// What is believed: `measured`, or something worse while damped.
    state: State,
    since: SystemTime,
    /// Answers in a row, degraded ones among them.
    successes: u32,
    failures: u32,
    /// Full successes in a row.
    well: u32,
    /// Degraded answers in a row.
    unwell: u32,
    penalty: Penalty,
    is_damped: bool,
    /// When that ends, if it does not fall before.
    damped_until: SystemTime,
    /// When it became usable again.
    recovered: Option<Duration>,
}

/// A change of state, to be logged, published and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The state that ended.
    pub from: State,
    /// The state that began.
    pub to: State,
}

impl Machine {
    /// A target that nobody has seen.
    pub fn new(now: SystemTime) -> Self {
        Self::restored(State::Unknown, now)
    }

    /// A target as the last run of this node left it. Points are not kept: a node that restarts
    /// while a target flaps counts anew.
    pub fn restored(state: State, since: SystemTime) -> Self {
        Self {
            measured: state,
            state,
            since,
            successes: 0,
            failures: 0,
            well: 0,
            unwell: 0,
            penalty: Penalty::default(),
            is_damped: false,
            damped_until: since,
            recovered: None,
        }
    }

    /// The present verdict.
    pub fn state(&self) -> State {
        self.state
    }

    /// When the present state began.
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// Answers in a row.
    pub fn successes(&self) -> u32 {
        self.successes
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether it may not get better yet, because it flapped.
    pub fn is_damped(&self) -> bool {
        self.is_damped
    }

    /// Until when, if it does not fall before; none: it is not damped.
    pub fn damped_until(&self) -> Option<SystemTime> {
        self.is_damped.then_some(self.damped_until)
    }

    /// Whether its last checks failed although it still counts as usable.
    pub fn is_suspected(&self) -> bool {
        self.failures > 0 && self.state.is_usable()
    }

    /// The share of its weight that a target gets which became usable again: a tenth at once, and
    /// the whole after `slow_start`.
    pub fn warm(&self, slow_start: Duration, uptime: Duration) -> u16 {
        let Some(recovered) = self.recovered else { return WHOLE };
        let passed = uptime.saturating_sub(recovered);
        if passed >= slow_start {
            return WHOLE;
        }
        #[expect(clippy::cast_possible_truncation, reason = "passed / slow_start is below 1")]
        let risen = (passed.as_nanos() * u128::from(WHOLE) / slow_start.as_nanos()) as u16;
        risen.max(COLD)
    }

    /// Takes in one check; returns the change of state it made, if any.
    pub fn observe(&mut self, outcome: Outcome, rules: &Rules, now: Now) -> Option<Transition> {
        self.count(outcome);
        let to = self.next(outcome, rules.thresholds);
        let from = std::mem::replace(&mut self.measured, to);
        if let Some(damping) = &rules.damping {
            let points = match (from, to) {
                (State::Up | State::Degraded, State::Down) => damping::FELL,
                (State::Up, State::Degraded) => damping::DEGRADED,
                _ => 0.0,
            };
            if points > 0.0 {
                self.penalty.add(points, damping, now.uptime);
                let left = self.penalty.until(damping).saturating_sub(now.uptime);
                self.damped_until = now.wall.checked_add(left).unwrap_or(now.wall);
            }
            let points = self.penalty.points(damping, now.uptime);
            self.is_damped |= points >= f64::from(damping.suppress);
        }
        self.settle(rules, now)
    }

    /// Lets time pass: a target that was quiet for long enough is damped no more.
    pub fn settle(&mut self, rules: &Rules, now: Now) -> Option<Transition> {
        self.is_damped &= rules.damping.is_some_and(|damping| {
            self.penalty.points(&damping, now.uptime) >= f64::from(damping.reuse)
        });
        let to = if self.is_damped { self.state.worse(self.measured) } else { self.measured };
        if to == self.state {
            return None;
        }
        let from = std::mem::replace(&mut self.state, to);
        self.since = now.wall;
        if to.is_usable() && !from.is_usable() {
            self.recovered = Some(now.uptime);
        }
        Some(Transition { from, to })
    }

    fn count(&mut self, outcome: Outcome) {
        let next = |row: u32, goes_on| if goes_on { row.saturating_add(1) } else { 0 };
        let (success, degraded) = (outcome == Outcome::Success, outcome == Outcome::Degraded);
        self.successes = next(self.successes, success || degraded);
        self.failures = next(self.failures, matches!(outcome, Outcome::Failure(_)));
        self.well = next(self.well, success);
        self.unwell = next(self.unwell, degraded);
    }

    fn next(&self, outcome: Outcome, thresholds: Thresholds) -> State {
        let (rise, fall) = (thresholds.rise.get(), thresholds.fall.get());
        let answers = |state| match self.measured {
            State::Unknown => state,
            State::Down | State::Draining if self.successes >= rise => state,
            State::Degraded if self.well >= rise => State::Up,
            State::Up if self.unwell >= fall => State::Degraded,
            unchanged => unchanged,
        };
        match outcome {
            Outcome::Draining => State::Draining,
            Outcome::Success => answers(State::Up),
            Outcome::Degraded => answers(State::Degraded),
            Outcome::Failure(_) if self.failures >= fall => State::Down,
            Outcome::Failure(_) => self.measured,
        }
    }
}

#[cfg(test)]
mod tests;
