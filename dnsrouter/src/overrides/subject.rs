//! What an override is about, and how people name it.

use std::fmt;
use std::net::IpAddr;

use dns::name::Name;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::plan::Services;
use crate::service::Form;

/// Regions, services and addresses that an error names as what there is.
const MAX_NAMED: usize = 8;

/// What an override is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Subject {
    /// Every endpoint of every service in a region.
    Region(String),
    /// Every endpoint of a service.
    Service(Owner),
    /// The endpoints of a service in a region.
    Endpoint {
        /// The service.
        service: Owner,
        /// The region.
        region: String,
        /// Only the endpoint that has it; none: all in the region.
        address: Option<IpAddr>,
    },
}

/// The owner name of a service, as text on disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner(pub Name);

impl Serialize for Owner {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Owner {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// As it is written on the command line.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(region) => f.write_str(region),
            Self::Service(Owner(name)) => name.fmt(f),
            Self::Endpoint { service: Owner(name), region, address } => {
                write!(f, "{name}/{region}")?;
                address.map_or(Ok(()), |address| write!(f, "/{address}"))
            }
        }
    }
}

/// Nothing is called so. Whoever wrote it can mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no region, service, SERVICE/REGION or SERVICE/REGION/ADDRESS here; there are: {there}"
)]
pub struct Unknown {
    text: String,
    there: String,
}

impl Subject {
    /// What `text` names in a plan: a region, a service or its alias, or endpoints of one.
    ///
    /// Regions may have any name, so what there is decides, not the form.
    ///
    /// # Errors
    ///
    /// [`Unknown`], with what there is.
    pub fn find(text: &str, services: &Services) -> Result<Self, Unknown> {
        if is_region(services, text) {
            return Ok(Self::Region(text.to_owned()));
        }
        if let Some((name, _)) = service(services, text) {
            return Ok(Self::Service(Owner(name)));
        }
        let slashes = text.match_indices('/').map(|(at, _)| at);
        let found = slashes.into_iter().find_map(|at| {
            let (name, id) = service(services, &text[..at])?;
            endpoint(services, id, &text[at + 1..]).map(|(region, address)| Self::Endpoint {
                service: Owner(name),
                region,
                address,
            })
        });
        found.ok_or_else(|| Unknown { text: text.to_owned(), there: there(services, text) })
    }

    /// Whether a plan has anything that is called so.
    pub fn is_in(&self, services: &Services) -> bool {
        match self {
            Self::Region(region) => is_region(services, region),
            Self::Service(Owner(name)) => id_of(services, name).is_some(),
            Self::Endpoint { service: Owner(name), region, address } => id_of(services, name)
                .is_some_and(|id| {
                    (0..services.services[id].1.endpoints())
                        .any(|endpoint| is_at(services, id, endpoint, region, *address))
                }),
        }
    }
}

fn is_region(services: &Services, text: &str) -> bool {
    services.locations.iter().any(|location| location.region == text)
}

/// A service by its own name or an alias'.
fn service(services: &Services, text: &str) -> Option<(Name, usize)> {
    let name: Name = text.parse().ok()?;
    let alias = services.aliases.iter().find(|(alias, _)| *alias == name);
    let id = alias.map(|(_, id)| id.0 as usize).or_else(|| id_of(services, &name))?;
    Some((services.services.get(id)?.0.clone(), id))
}

/// A service's position, by its own name.
pub(super) fn id_of(services: &Services, name: &Name) -> Option<usize> {
    services.services.iter().position(|(owner, _)| owner == name)
}

/// Whether an endpoint is in the region, and has the address if one is given.
pub(super) fn is_at(
    services: &Services,
    service: usize,
    endpoint: u8,
    region: &str,
    address: Option<IpAddr>,
) -> bool {
    let policy = &services.services[service].1;
    let location = &services.locations[policy.location(endpoint) as usize];
    let has = |address: IpAddr| {
        let form = if address.is_ipv4() { Form::A } else { Form::Aaaa };
        let octets = match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        policy.endpoint_records(form, endpoint).iter().any(|record| record.rdata() == octets)
    };
    location.region == region && address.is_none_or(has)
}

/// `REGION` or `REGION/ADDRESS` of a service that has such endpoints.
fn endpoint(services: &Services, service: usize, text: &str) -> Option<(String, Option<IpAddr>)> {
    let policy = &services.services[service].1;
    let whole = (text, None);
    let with_address = text
        .rsplit_once('/')
        .and_then(|(region, address)| Some((region, Some(address.parse::<IpAddr>().ok()?))));
    std::iter::once(whole).chain(with_address).find_map(|(region, address)| {
        let mut endpoints = 0..policy.endpoints();
        let is = endpoints.any(|endpoint| is_at(services, service, endpoint, region, address));
        is.then(|| (region.to_owned(), address))
    })
}

/// What there is that may have been meant: the regions, and services that begin alike.
fn there(services: &Services, text: &str) -> String {
    let regions = services.locations.iter().map(|location| location.region.clone());
    let begun = text.split(['/', '.']).next().unwrap_or(text);
    let names = services.services.iter().map(|(name, _)| name.to_string());
    let names = names.filter(|name| !begun.is_empty() && name.starts_with(begun));
    let mut all = regions.chain(names);
    let mut told: Vec<String> = all.by_ref().take(MAX_NAMED).collect();
    if all.next().is_some() {
        told.push("…".into());
    }
    told.join(", ")
}
