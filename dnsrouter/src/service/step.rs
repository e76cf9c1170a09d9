//! The steps of a route, as their owner wrote them.
//!
//! | kind | steps | does |
//! |---|---|---|
//! | filter | `fence`, `healthy` | drops candidates |
//! | rank | `failover`, `nearest`, `least-connections`, `least-response-time`, `resource`, `load` | splits groups, better ones first |
//! | pick | `weighted`, `round-robin`, `sticky`, `fair` | orders each group by a draw |
//! | cut | `take` | keeps the first so many |

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;

use geo::{Bias, Selector, Within};

/// One step of a route; `design: steps of a route` says what each does to the candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Filters, before all others and also when `healthy` fails open: clients of a rule get
    /// endpoints in its regions only. The first rule that a client matches counts; who matches none
    /// is not fenced.
    Fence(Box<[FenceRule]>),
    /// Filters: keeps endpoints with a usable address, unless fewer than `min_healthy` would be
    /// left; then it keeps all (fail open).
    Healthy {
        /// Endpoints that must be left for the filter to apply.
        min_healthy: NonZeroU32,
    },
    /// Ranks: by tier, the first best.
    Failover(Tiers),
    /// Ranks: by great-circle distance from the client's place, nearest first.
    Nearest(Box<Nearest>),
    /// Picks: `take` of them are chosen so that each is included in proportion to its weight.
    Weighted,
    /// Picks: one after the other.
    RoundRobin,
    /// Picks: by a hash of the client's prefix, in proportion to weights; a change of one endpoint
    /// moves only its own clients.
    Sticky,
    /// Ranks: by a figure that pings bring, the least first.
    Least {
        /// Which one.
        figure: Figure,
        /// So much above the least of a group is as good as it; none: nothing is.
        within: Option<Percent>,
    },
    /// Picks: in proportion to the Nash bargaining solution over the endpoints' capacities.
    Fair {
        /// Requests per second to be shared out; none: as measured.
        demand: Option<NonZeroU32>,
    },
    /// Ranks: by distance and what the region's load adds to it.
    Load,
    /// Cuts: keeps the first so many endpoints.
    Take(NonZeroU32),
}

/// Clients, and the regions they may be answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FenceRule {
    /// Matching one is enough.
    pub clients: Vec<Selector>,
    /// In no order; may be none.
    pub regions: Vec<String>,
    /// What is answered if no endpoint is in these regions; none: REFUSED.
    pub refuse: Vec<IpAddr>,
}

/// What `failover` goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tiers {
    /// The endpoints' own `tier`.
    OfEndpoints,
    /// Regions, the first tier best; those that are not listed come last.
    OfRegions(Vec<Vec<String>>),
}

/// How `nearest` measures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nearest {
    /// What is as good as the nearest; none: nothing else is.
    pub within: Option<Within>,
    /// Per region.
    pub bias: Vec<(String, Bias)>,
    /// The first that a client matches goes before distance.
    pub prefer: Vec<Prefer>,
}

/// Clients whose regions come in a given order, and the others by distance after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefer {
    /// Matching one is enough.
    pub clients: Vec<Selector>,
    /// The first best.
    pub regions: Vec<String>,
}

/// So many of a hundred; may be more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(pub u16);

/// A figure that pings bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Requests in flight.
    Connections,
    /// The smoothed round trip from this node.
    ResponseTime,
    /// The share of the processors in use.
    Resource,
}

impl Figure {
    /// The step's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "least-connections",
            Self::ResponseTime => "least-response-time",
            Self::Resource => "resource",
        }
    }
}

impl Percent {
    /// So much more than `least`.
    pub fn above(self, least: f64) -> f64 {
        least * (1.0 + f64::from(self.0) / 100.0)
    }
}

impl Step {
    /// Whether it makes an order: the last that does has a cut to one endpoint implied after it
    /// when the route has no `take`.
    pub fn orders(&self) -> bool {
        !matches!(self, Self::Fence(_) | Self::Healthy { .. } | Self::Take(_))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fence(rules) if rules.len() == 1 => f.write_str("fence"),
            Self::Fence(rules) => write!(f, "fence ({} rules)", rules.len()),
            Self::Healthy { min_healthy: NonZeroU32::MIN } => f.write_str("healthy"),
            Self::Healthy { min_healthy } => write!(f, "healthy (min_healthy {min_healthy})"),
            Self::Failover(_) => f.write_str("failover"),
            Self::Nearest(nearest) => nearest.fmt(f),
            Self::Weighted => f.write_str("weighted"),
            Self::RoundRobin => f.write_str("round-robin"),
            Self::Sticky => f.write_str("sticky"),
            Self::Least { figure, within: None } => f.write_str(figure.name()),
            Self::Least { figure, within: Some(within) } => {
                write!(f, "{} (within {within})", figure.name())
            }
            Self::Fair { demand: None } => f.write_str("fair"),
            Self::Fair { demand: Some(demand) } => write!(f, "fair (demand {demand})"),
            Self::Load => f.write_str("load"),
            Self::Take(n) => write!(f, "take {n}"),
        }
    }
}

/// `nearest (within 15 %, bias, prefer)`: lists by their name alone.
impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nearest")?;
        let mut before = " (";
        let mut part = |f: &mut fmt::Formatter<'_>| {
            f.write_str(before)?;
            before = ", ";
            Ok(())
        };
        if let Some(within) = self.within {
            part(f)?;
            write!(f, "within {within}")?;
        }
        if !self.bias.is_empty() {
            part(f)?;
            f.write_str("bias")?;
        }
        if !self.prefer.is_empty() {
            part(f)?;
            f.write_str("prefer")?;
        }
        f.write_str(if *self == Self::default() { "" } else { ")" })
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_with_what_matters() {
        let nearest = |nearest| Step::Nearest(Box::new(nearest)).to_string();
        let prefer = vec![Prefer { clients: vec![Selector::All], regions: vec!["r".into()] }];
        let within = Some(Within::Percent(15));
        assert_eq!(nearest(Nearest::default()), "nearest");
        assert_eq!(nearest(Nearest { within, ..Nearest::default() }), "nearest (within 15 %)");
        assert_eq!(
            nearest(Nearest {
                bias: vec![("r".into(), Bias::try_from(20).unwrap())],
                prefer,
                ..Nearest::default()
            }),
            "nearest (bias, prefer)"
        );
        let least = |within| Step::Least { figure: Figure::Resource, within }.to_string();
        assert_eq!(least(None), "resource");
        assert_eq!(least(Some(Percent(20))), "resource (within 20 %)");
        assert_eq!(Step::Fair { demand: NonZeroU32::new(8000) }.to_string(), "fair (demand 8000)");
    }
}
