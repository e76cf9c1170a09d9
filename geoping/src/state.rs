//! The one word a caller reads: how the region that answered is.
//!
//! Two facts make it, and they are kept apart everywhere else: how the *backend* is (found out by
//! checks, [`crate::backend`]), and whether this node asks to be left (*draining*, decided by its
//! operator). A dead backend is worse news than a drain, so it is what callers are told:
//!
//! | backend | not draining | draining |
//! |---|---|---|
//! | [`Health::Ok`] | `OK` | `DRAINING` |
//! | [`Health::Degraded`] | `DEGRADED` | `DRAINING` |
//! | [`Health::Unavailable`] | `UNAVAILABLE` | `UNAVAILABLE` |
//!
//! The flag `draining` of the reply tells a drain in both columns.

use crate::backend::Health;

/// The state of a region, as `ServerStatusReply.status` spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The backend answers, or none is configured.
    Ok,
    /// It answers, but says it is not fully well.
    Degraded,
    /// It does not answer, or says that it does not serve.
    Unavailable,
    /// It works, and asks to be left.
    Draining,
}

impl State {
    /// What is told of a backend in this health on a node that drains or does not.
    pub fn of(health: Health, draining: bool) -> State {
        match (health, draining) {
            (Health::Unavailable, _) => State::Unavailable,
            (_, true) => State::Draining,
            (Health::Ok, false) => State::Ok,
            (Health::Degraded, false) => State::Degraded,
        }
    }

    /// The word on the wire; it never changes for a given state.
    pub fn word(self) -> &'static str {
        match self {
            State::Ok => "OK",
            State::Degraded => "DEGRADED",
            State::Unavailable => "UNAVAILABLE",
            State::Draining => "DRAINING",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_health_and_drain_has_the_documented_word() {
        let table = [
            (Health::Ok, "OK", "DRAINING"),
            (Health::Degraded, "DEGRADED", "DRAINING"),
            (Health::Unavailable, "UNAVAILABLE", "UNAVAILABLE"),
        ];
        for (health, plain, draining) in table {
            assert_eq!(State::of(health, false).word(), plain);
            assert_eq!(State::of(health, true).word(), draining);
        }
    }
}
