//! What is counted, and under which names.
//!
//! | metric | kind | labels | what |
//! |---|---|---|---|
//! | [`REQUESTS`] `geoping_requests_total` | counter | `caller_role`, `client_region` | answered `Status` calls |
//! | [`SECONDS`] `geoping_request_seconds` | histogram | – | time to answer one |
//! | [`IN_FLIGHT`] `geoping_in_flight` | gauge | – | requests being handled by the whole server |
//! | [`CPU_SHARE`] `geoping_cpu_share` | gauge | – | share of the machine's processors in use, 0 to 1 |
//! | [`UPTIME`] `geoping_uptime_seconds` | gauge | – | since the service was built |
//! | [`CAPACITY`] `geoping_capacity` | gauge | – | configured requests per second; 0: not stated |
//! | [`DRAINING`] `geoping_draining` | gauge | – | 1 while this node asks to be left |
//! | [`BACKEND_STATE`] `geoping_backend_state` | gauge | `state` | 1 for the backend's present state, 0 for the others |
//! | [`BACKEND_CHECKS`] `geoping_backend_checks_total` | counter | `result` | finished checks: `ok`, `degraded`, `unavailable` |
//! | [`BACKEND_CHECK_SECONDS`] `geoping_backend_check_seconds` | histogram | – | time one check took |
//! | [`CONFIG_RELOADS`] `config_reloads_total` | counter | `result` | `applied` or `refused` |
//!
//! Pings by region over time are `REQUESTS` by `client_region`. That label is written by callers,
//! so it is bounded: [`ClientRegions`] turns a name into one of at most
//! [`MAX_CLIENT_REGIONS`] + 2 labels.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::{Arc, PoisonError, RwLock};

use pki::{Identity, Program, Role};

use crate::service::Service;

/// Answered `Status` calls, by `caller_role` and `client_region`.
pub const REQUESTS: &str = "geoping_requests_total";
/// Seconds to answer a `Status` call.
pub const SECONDS: &str = "geoping_request_seconds";
/// Requests the whole server is handling.
pub const IN_FLIGHT: &str = "geoping_in_flight";
/// Share of the machine's processors in use.
pub const CPU_SHARE: &str = "geoping_cpu_share";
/// Seconds since the service was built.
pub const UPTIME: &str = "geoping_uptime_seconds";
/// Configured requests per second.
pub const CAPACITY: &str = "geoping_capacity";
/// 1 while this node asks to be left.
pub const DRAINING: &str = "geoping_draining";
/// 1 for the present `state` of the backend.
pub const BACKEND_STATE: &str = "geoping_backend_state";
/// Finished checks of the backend, by `result`.
pub const BACKEND_CHECKS: &str = "geoping_backend_checks_total";
/// Seconds a check of the backend took.
pub const BACKEND_CHECK_SECONDS: &str = "geoping_backend_check_seconds";
/// Reloads of the configuration, by `result`.
pub const CONFIG_RELOADS: &str = "config_reloads_total";

/// Distinct region names that get a label of their own; later ones are [`OTHER`]. The three large
/// clouds together have some 140 regions, one team's clients sit in far fewer.
pub const MAX_CLIENT_REGIONS: usize = 64;

/// How many of these may be names that no cloud provider uses: a caller that makes names up
/// cannot use up the labels of the real ones.
pub const MAX_UNKNOWN_REGIONS: usize = 16;

/// The label of names past the limits, and of what cannot be a region's name.
pub const OTHER: &str = "other";

/// The label of callers that state no region.
pub const UNSTATED: &str = "unstated";

/// The longest name that can be a region's, in bytes: that of a DNS label.
const MAX_NAME: usize = 63;

/// The region names seen so far, at most [`MAX_CLIENT_REGIONS`], first come first served.
#[derive(Debug, Default)]
pub struct ClientRegions {
    admitted: RwLock<Admitted>,
}

#[derive(Debug, Default)]
struct Admitted {
    names: BTreeSet<Arc<str>>,
    unknown: usize,
}

impl ClientRegions {
    /// The label for a call that states `name`; `known` says whether a name is that of a real
    /// region.
    pub fn label(&self, name: &str, known: impl Fn(&str) -> bool) -> Arc<str> {
        if name.is_empty() {
            return UNSTATED.into();
        }
        if !plausible(name) {
            return OTHER.into();
        }
        // A panic while the lock is held leaves a set that is whole: it is used on.
        let seen = self.admitted.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(label) = seen.names.get(name) {
            return Arc::clone(label);
        }
        if seen.names.len() >= MAX_CLIENT_REGIONS {
            return OTHER.into();
        }
        drop(seen);
        let real = known(name);
        self.admitted.write().unwrap_or_else(PoisonError::into_inner).admit(name, real)
    }
}

impl Admitted {
    fn admit(&mut self, name: &str, real: bool) -> Arc<str> {
        if let Some(label) = self.names.get(name) {
            return Arc::clone(label);
        }
        let full = self.names.len() >= MAX_CLIENT_REGIONS;
        if full || (!real && self.unknown >= MAX_UNKNOWN_REGIONS) {
            return OTHER.into();
        }
        self.unknown += usize::from(!real);
        let label: Arc<str> = name.into();
        self.names.insert(Arc::clone(&label));
        label
    }
}

fn plausible(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    name.len() <= MAX_NAME && name.bytes().all(allowed)
}

/// The value of `caller_role` for a caller; `none` when the server asks for no certificates.
pub fn role_label(caller: Option<&Identity>) -> &'static str {
    match caller.map(|identity| &identity.role) {
        None => "none",
        Some(Role::User(_)) => "user",
        Some(Role::Member(_)) => "member",
        Some(Role::Node { program, .. }) => match program {
            Program::Geoping => "geoping",
            Program::Dnsrouter => "dnsrouter",
            Program::Directory => "directory",
        },
    }
}

/// Tells the exporter what each metric means and counts in, and begins the counters whose labels
/// are known at 0: a rate needs a first value.
pub fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!(REQUESTS, "Answered Status calls");
    describe_histogram!(SECONDS, Unit::Seconds, "Time to answer a Status call");
    describe_gauge!(BACKEND_STATE, "1 for the present state of the backend");
    describe_counter!(BACKEND_CHECKS, "Finished checks of the backend");
    describe_histogram!(BACKEND_CHECK_SECONDS, Unit::Seconds, "Time a check of the backend took");
    describe_counter!(CONFIG_RELOADS, "Reloads of the configuration");
    for result in ["applied", "refused"] {
        metrics::counter!(CONFIG_RELOADS, "result" => result).absolute(0);
    }
}

/// The figures a service holds itself, read at the time of the call, in Prometheus' text form
/// (exposition format 0.0.4).
pub fn exposition(service: &Service) -> String {
    let facts = service.facts();
    let capacity = facts.capacity.map_or(0, NonZeroU64::get);
    let draining = u8::from(*service.draining().borrow());
    let (load, uptime) = (service.load(), service.uptime().as_secs_f64());
    [
        (IN_FLIGHT, "Requests being handled by the server", load.in_flight().to_string()),
        (CPU_SHARE, "Share of the machine's processors in use, 0 to 1", load.cpu().to_string()),
        (UPTIME, "Seconds since the service was built", uptime.to_string()),
        (CAPACITY, "Configured requests per second; 0: not stated", capacity.to_string()),
        (DRAINING, "1 while this node asks to be left", draining.to_string()),
    ]
    .into_iter()
    .map(|(name, help, value)| {
        format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n")
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_keeps_its_label_and_silence_has_one_too() {
        let regions = ClientRegions::default();
        for _ in 0..2 {
            assert_eq!(&*regions.label("us-central1", |_| true), "us-central1");
            assert_eq!(&*regions.label("", |_| true), UNSTATED);
        }
    }

    #[test]
    fn labels_are_bounded_whoever_writes_them() {
        let regions = ClientRegions::default();
        let mut labels = BTreeSet::new();
        for n in 0..1000 {
            labels.insert(regions.label(&format!("made-up-{n}"), |_| false));
        }
        assert_eq!(labels.len(), MAX_UNKNOWN_REGIONS + 1, "and one for the others");
        for n in 0..1000 {
            labels.insert(regions.label(&format!("real-{n}"), |_| true));
        }
        assert_eq!(labels.len(), MAX_CLIENT_REGIONS + 1);
        assert_eq!(&*regions.label("real-3", |_| true), "real-3", "the first ones keep theirs");
    }

    #[test]
    fn what_cannot_be_a_region_gets_no_label() {
        let regions = ClientRegions::default();
        let long = "a".repeat(MAX_NAME + 1);
        for name in ["US", "a b", "eu\n", "\"}", "übersee", &long] {
            assert_eq!(&*regions.label(name, |_| true), OTHER, "{name:?}");
        }
    }

    #[test]
    fn every_role_has_a_label() {
        let cases = [
            ("spiffe://t.io/user/ada", "user"),
            ("spiffe://t.io/member/7", "member"),
            ("spiffe://t.io/region/r/geoping/n", "geoping"),
            ("spiffe://t.io/region/r/dnsrouter/n", "dnsrouter"),
            ("spiffe://t.io/region/r/directory/n", "directory"),
        ];
        for (identity, label) in cases {
            assert_eq!(role_label(Some(&identity.parse().unwrap())), label);
        }
        assert_eq!(role_label(None), "none");
    }
}
