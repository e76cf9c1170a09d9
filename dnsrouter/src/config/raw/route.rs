//! A route as it is written: each step a word, or a table with one key.

use std::collections::BTreeMap;
use std::fmt;

use daemon::config::Spanned;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// One step.
#[derive(Debug)]
pub(in crate::config) enum Step {
    /// `"nearest"`
    Word(String),
    /// `{ take = 2 }`
    Take(Spanned<i64>),
    /// `{ healthy = { min_healthy = 2 } }`
    Healthy(Healthy),
    /// `{ fence = [ … ] }`
    Fence(Spanned<Vec<Spanned<FenceRule>>>),
    /// `{ failover = [ … ] }`
    Failover(Spanned<Vec<Spanned<Tier>>>),
    /// `{ nearest = { … } }`
    Nearest(Nearest),
    /// `{ "least-connections" = { within = "20 %" } }` and its kin, by name.
    Least(String, Least),
    /// `{ fair = { demand = 8000 } }`
    Fair(Fair),
    /// No step has this name and parameters.
    Unknown(String),
}

/// Parameters of `healthy`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Healthy {
    /// Default 1.
    pub(in crate::config) min_healthy: Option<Spanned<i64>>,
}

/// A rule of `fence`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct FenceRule {
    /// Whom it is for.
    pub(in crate::config) clients: Clients,
    /// Where they may be sent.
    pub(in crate::config) regions: Vec<Spanned<String>>,
    /// Addresses that are answered if there is no endpoint.
    #[serde(default)]
    pub(in crate::config) refuse: Vec<Spanned<String>>,
}

/// Countries, continents, autonomous systems, networks.
pub(in crate::config) type Clients = Spanned<Vec<Spanned<String>>>;

/// A tier of `failover`: a region, or several.
#[derive(Debug)]
pub(in crate::config) enum Tier {
    /// Where the tier is.
    One(String),
    /// Each for itself.
    Several(Vec<Spanned<String>>),
}

/// Parameters of `nearest`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Nearest {
    /// "15 %" or "300 km".
    pub(in crate::config) within: Option<Spanned<String>>,
    /// Percent per region.
    #[serde(default)]
    pub(in crate::config) bias: BTreeMap<Spanned<String>, Spanned<i64>>,
    /// Whose regions are given.
    #[serde(default)]
    pub(in crate::config) prefer: Vec<Spanned<Prefer>>,
}

/// A rule of `prefer`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Prefer {
    /// Whom it is for.
    pub(in crate::config) clients: Clients,
    /// The first best.
    pub(in crate::config) regions: Vec<Spanned<String>>,
}

/// Parameters of ranks by what pings carry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Least {
    /// "20 %".
    pub(in crate::config) within: Option<Spanned<String>>,
}

/// Parameters of `fair`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Fair {
    /// Requests per second.
    pub(in crate::config) demand: Option<Spanned<i64>>,
}

// Written out, since an untagged enum loses the places of what is in it.
impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StepVisitor;

        impl<'de> Visitor<'de> for StepVisitor {
            type Value = Step;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a step: a word, or a table with one key")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Step, E> {
                Ok(Step::Word(word.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Step, A::Error> {
                let Some(name) = map.next_key::<String>()? else {
                    return Err(A::Error::custom("a step is a word, or a table with one key"));
                };
                let step = match name.as_str() {
                    "take" => Step::Take(map.next_value()?),
                    "healthy" => Step::Healthy(map.next_value()?),
                    "fence" => Step::Fence(map.next_value()?),
                    "failover" => Step::Failover(map.next_value()?),
                    "nearest" => Step::Nearest(map.next_value()?),
                    "least-connections" | "least-response-time" | "latency" | "resource" => {
                        Step::Least(name, map.next_value()?)
                    }
                    "fair" => Step::Fair(map.next_value()?),
                    _ => {
                        map.next_value::<IgnoredAny>()?;
                        Step::Unknown(name)
                    }
                };
                match map.next_key::<String>()? {
                    None => Ok(step),
                    Some(second) => Err(A::Error::custom(format!(
                        "{second:?} is a second step in one table: each has a table of its own"
                    ))),
                }
            }
        }

        deserializer.deserialize_any(StepVisitor)
    }
}

impl<'de> Deserialize<'de> for Tier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TierVisitor;

        impl<'de> Visitor<'de> for TierVisitor {
            type Value = Tier;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a region, or a list of regions")
            }

            fn visit_str<E: Error>(self, region: &str) -> Result<Tier, E> {
                Ok(Tier::One(region.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tier, A::Error> {
                let mut regions = Vec::new();
                while let Some(region) = seq.next_element()? {
                    regions.push(region);
                }
                Ok(Tier::Several(regions))
            }
        }

        deserializer.deserialize_any(TierVisitor)
    }
}
