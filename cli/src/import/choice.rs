//! A way to choose that is nobody's in particular, and how it becomes a route.
//!
//! Products nest their policies freely; a route is one chain. What fits is
//!
//! ```text
//!   Place ─▶ Weighted | Failover of two | All | One      fence, healthy, nearest { prefer }, weighted
//!   Failover ─▶ Place | Weighted | All | One             healthy, failover, nearest, weighted
//!   Weighted ─▶ Weighted | All | One                     healthy, weighted, take N
//!   All                                                  healthy { min_healthy }, take N
//! ```
//!
//! A failover of two inside of something else is a weight of 100 beside a weight of 0, which is the
//! last resort. What does not fit is told, never dropped in silence.

mod compose;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::service::{Check, Data, Own};

/// References that are followed for one name: each may lead to several, which doubles at every level,
/// and a service has 128 endpoints at most.
pub(crate) const MAX_FOLLOWED: usize = 1_000;

/// What is chosen from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Choice {
    /// Always this.
    One(Answer),
    /// Everything that is up, at most `most`; everything at all when fewer than `least_up` are up.
    All { of: Vec<Answer>, least_up: u32, most: u32 },
    /// So many, by weight.
    Weighted { of: Vec<(u32, Choice)>, take: u32 },
    /// The first that is up, each with what its region is to be called.
    Failover(Vec<(String, Choice)>),
    /// By where the client is.
    Place(Place),
}

/// What one endpoint is given out as.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Answer {
    pub(crate) data: Data,
    pub(crate) check: Option<Check>,
}

impl Answer {
    /// Whether it is checked as `check` would check it.
    pub(crate) fn is_checked_like(&self, check: Option<&Check>) -> bool {
        match (&self.check, check) {
            (Some(own), Some(check)) => own.asks_like(check),
            (own, check) => own.is_some() == check.is_some(),
        }
    }
}

/// By where the client is.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Place {
    /// Each in its region; names are those of `Regions`.
    pub(crate) of: Vec<(String, Choice)>,
    /// The first that a client matches counts; clients that match none go by distance.
    pub(crate) rules: Vec<PlaceRule>,
    pub(crate) bias: BTreeMap<String, i8>,
    pub(crate) within: Option<&'static str>,
    /// How many are answered, of the nearest.
    pub(crate) take: u32,
}

/// Which regions for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlaceRule {
    pub(crate) clients: Vec<String>,
    pub(crate) order: Order,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// All, the nearest first.
    Distance,
    /// The nearest of these, and no other.
    Near(Vec<String>),
    /// These, the first that is up, and no other.
    Only(Vec<String>),
    /// These together, and no other.
    Any(Vec<String>),
}

/// Something that a route cannot say, for whoever knows where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Whether something is missing now, or only different.
    pub(crate) left_out: bool,
    pub(crate) what: String,
    pub(crate) why: &'static str,
    pub(crate) instead: &'static str,
}

/// A service's body, and what did not fit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Composed {
    /// None: nothing is left to answer with.
    pub(crate) own: Option<Own>,
    pub(crate) misfits: Vec<Misfit>,
}

impl Choice {
    /// Records for a zone file, when nothing is chosen at all.
    pub(crate) fn fixed(&self) -> Option<&Data> {
        match self {
            Self::One(answer) => Some(&answer.data),
            _ => None,
        }
    }

    /// Whether some answer is checked.
    pub(crate) fn is_checked(&self) -> bool {
        match self {
            Self::One(answer) => answer.check.is_some(),
            Self::All { of, .. } => of.iter().any(|answer| answer.check.is_some()),
            Self::Weighted { of, .. } => of.iter().any(|(_, choice)| choice.is_checked()),
            Self::Failover(of) | Self::Place(Place { of, .. }) => {
                of.iter().any(|(_, choice)| choice.is_checked())
            }
        }
    }

    /// As a route with endpoints.
    pub(crate) fn compose(self, ttl: u32, ttl_min: Option<u32>) -> Composed {
        compose::compose(self, ttl, ttl_min)
    }
}
