//! The steps of a route, as their owner wrote them.
//!
//! | kind | steps | does |
//! |---|---|---|
//! | filter | `healthy` | drops candidates |
//! | rank | `failover`, `nearest` | splits groups, better ones first |
//! | pick | `weighted`, `round-robin`, `sticky` | orders each group by a draw |
//! | cut | `take` | keeps the first so many |

use std::fmt;
use std::num::NonZeroU32;

/// One step of a route; `design: steps of a route` says what each does to the candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Filters: keeps endpoints with a usable address, unless fewer than `min_healthy` would be
    /// left; then it keeps all (fail open).
    Healthy {
        /// Endpoints that must be left for the filter to apply.
        min_healthy: NonZeroU32,
    },
    /// Ranks: by tier, the first best.
    Failover(Tiers),
    /// Ranks: by great-circle distance from the client's place, nearest first.
    Nearest,
    /// Picks: `take` of them are chosen so that each is included in proportion to its weight.
    Weighted,
    /// Picks: one after the other.
    RoundRobin,
    /// Picks: by a hash of the client's prefix, in proportion to weights; a change of one endpoint
    /// moves only its own clients.
    Sticky,
    /// Cuts: keeps the first so many endpoints.
    Take(NonZeroU32),
}

/// What `failover` goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tiers {
    /// The endpoints' own `tier`.
    OfEndpoints,
    /// Regions, the first tier best; those that are not listed come last.
    OfRegions(Vec<Vec<String>>),
}

impl Step {
    /// Whether it makes an order: the last that does has a cut to one endpoint implied after it
    /// when the route has no `take`.
    pub fn orders(&self) -> bool {
        !matches!(self, Self::Healthy { .. } | Self::Take(_))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy { min_healthy: NonZeroU32::MIN } => f.write_str("healthy"),
            Self::Healthy { min_healthy } => write!(f, "healthy (min_healthy {min_healthy})"),
            Self::Failover(_) => f.write_str("failover"),
            Self::Nearest => f.write_str("nearest"),
            Self::Weighted => f.write_str("weighted"),
            Self::RoundRobin => f.write_str("round-robin"),
            Self::Sticky => f.write_str("sticky"),
            Self::Take(n) => write!(f, "take {n}"),
        }
    }
}
