//! The health of one target: when a row of pings becomes a change of state.
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
//! * `Draining` is not an inference. The target says it over an authenticated connection, so it
//!   counts at once, and coming back takes `rise` successes like any recovery.
//!
//! With a probe every `interval + jitter` and `time_out ≤ interval`, a silent death is noticed
//! within `fall × (interval + jitter) + time_out`.

use std::num::NonZeroU32;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// How many pings in a row make a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Successes in a row that bring a target up. 1 trusts the first; 2 is a good start.
    pub rise: NonZeroU32,
    /// Failures in a row that take a target down. Small is fast, large forgives a lossy path.
    pub fall: NonZeroU32,
}

/// What this node believes of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// What one ping said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The right region answered in time and is well.
    Success,
    /// Nothing, the wrong one, or one that is not well.
    Failure,
    /// The right region answered and asks to be left.
    Draining,
}

/// The up-and-down machine of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    state: State,
    since: SystemTime,
    successes: u32,
    failures: u32,
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

    /// A target as the last run of this node left it.
    pub fn restored(state: State, since: SystemTime) -> Self {
        Self { state, since, successes: 0, failures: 0 }
    }

    /// The present verdict.
    pub fn state(&self) -> State {
        self.state
    }

    /// When the present state began.
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// Successes in a row.
    pub fn successes(&self) -> u32 {
        self.successes
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Takes in one ping; returns the change of state it made, if any.
    pub fn observe(
        &mut self,
        outcome: Outcome,
        thresholds: Thresholds,
        now: SystemTime,
    ) -> Option<Transition> {
        match outcome {
            Outcome::Success => {
                self.successes = self.successes.saturating_add(1);
                self.failures = 0;
            }
            Outcome::Failure => {
                self.failures = self.failures.saturating_add(1);
                self.successes = 0;
            }
            Outcome::Draining => {
                self.successes = 0;
                self.failures = 0;
            }
        }
        let risen = self.successes >= thresholds.rise.get();
        let fallen = self.failures >= thresholds.fall.get();
        let to = match (self.state, outcome) {
            (_, Outcome::Draining) => State::Draining,
            (State::Unknown, Outcome::Success) => State::Up,
            (State::Down | State::Draining, Outcome::Success) if risen => State::Up,
            (_, Outcome::Failure) if fallen => State::Down,
            (unchanged, _) => unchanged,
        };
        if to == self.state {
            return None;
        }
        let from = std::mem::replace(&mut self.state, to);
        self.since = now;
        Some(Transition { from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const T: Thresholds =
        Thresholds { rise: NonZeroU32::new(2).unwrap(), fall: NonZeroU32::new(3).unwrap() };

    fn run(start: State, outcomes: &[Outcome]) -> State {
        let mut machine = Machine::restored(start, SystemTime::UNIX_EPOCH);
        for (second, outcome) in outcomes.iter().enumerate() {
            machine.observe(
                *outcome,
                T,
                SystemTime::UNIX_EPOCH + Duration::from_secs(second as u64),
            );
        }
        machine.state()
    }

    use Outcome::{Draining as D, Failure as F, Success as S};

    #[test]
    fn falls_only_after_fall_failures_in_a_row() {
        assert_eq!(run(State::Up, &[F, F]), State::Up);
        assert_eq!(run(State::Up, &[F, F, S, F, F]), State::Up);
        assert_eq!(run(State::Up, &[F, F, F]), State::Down);
    }

    #[test]
    fn rises_only_after_rise_successes_in_a_row() {
        assert_eq!(run(State::Down, &[S, F, S]), State::Down);
        assert_eq!(run(State::Down, &[S, S]), State::Up);
    }

    #[test]
    fn an_unknown_target_believes_its_first_success_but_not_its_first_failure() {
        assert_eq!(run(State::Unknown, &[S]), State::Up);
        assert_eq!(run(State::Unknown, &[F, F]), State::Unknown);
        assert_eq!(run(State::Unknown, &[F, F, F]), State::Down);
    }

    #[test]
    fn draining_counts_at_once_and_ends_by_rising() {
        assert_eq!(run(State::Up, &[D]), State::Draining);
        assert_eq!(run(State::Up, &[D, S]), State::Draining);
        assert_eq!(run(State::Up, &[D, S, S]), State::Up);
        assert_eq!(run(State::Up, &[D, F, F, F]), State::Down);
        assert_eq!(run(State::Down, &[S, D, S]), State::Draining);
    }

    #[test]
    fn a_transition_is_told_once_and_dated() {
        let mut machine = Machine::new(SystemTime::UNIX_EPOCH);
        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
        assert_eq!(
            machine.observe(S, T, later),
            Some(Transition { from: State::Unknown, to: State::Up })
        );
        assert_eq!(machine.since(), later);
        assert_eq!(machine.observe(S, T, later + Duration::from_secs(1)), None);
        assert_eq!(machine.since(), later);
    }

    proptest! {
        /// Whatever came before: `rise` successes end up, `fall` failures end down.
        #[test]
        fn a_long_enough_row_decides(before in proptest::collection::vec(0..3_u8, 0..50)) {
            let before: Vec<_> = before.iter().map(|b| [S, F, D][*b as usize]).collect();
            prop_assert_eq!(run(State::Unknown, &[&before[..], &[S, S]].concat()), State::Up);
            prop_assert_eq!(run(State::Unknown, &[&before[..], &[F, F, F]].concat()), State::Down);
        }
    }
}
