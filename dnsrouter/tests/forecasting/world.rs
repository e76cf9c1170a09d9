//! A configuration with services of every kind, clients of several countries, and what each of them
//! is answered, one by one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use dnsrouter::explain::{self, explain};
use dnsrouter::forecast::{Crowd, Forecaster, Outcome, Whither, pairs};
use dnsrouter::health::State;
use dnsrouter::plan::{Generation, Snapshot};
use dnsrouter::service::Form;
use dnsrouter::verdicts::Health;
use geo::Population;

use crate::site;

/// One service per route, each in the same five places.
const ROUTES: [(&str, &str); 7] = [
    ("nearest", r#""healthy", "nearest""#),
    ("band", r#""healthy", { nearest = { within = "40 %" } }, "weighted""#),
    (
        "prefer",
        r#""healthy", { nearest = { prefer = [{ clients = ["FR", "198.51.100.0/24"], regions = ["asia-southeast1"] }] } }"#,
    ),
    (
        "fenced",
        r#"{ fence = [{ clients = ["continent:EU"], regions = ["europe-west3"] }, { clients = ["CN"], regions = [] }] }, "healthy", "nearest""#,
    ),
    ("sticky", r#""healthy", "sticky""#),
    ("load", r#""healthy", "load""#),
    ("weighted", r#""healthy", "weighted", { take = 2 }"#),
];

const REGIONS: [(&str, u32); 5] = [
    ("us-central1", 100),
    ("europe-west3", 200),
    ("asia-southeast1", 50),
    ("europe-west3", 100),
    ("southamerica-east1", 100),
];

pub(crate) const NOW: u64 = 1_800_000_000;

/// A configuration with all of them: `edit` changes the text of each service.
pub(crate) fn config(edit: impl Fn(&str, String) -> String) -> String {
    let mut text = String::from(
        "[node]\nname = \"ns1\"\nregion = \"us-central1\"\ntrust_domain = \"test-net.io\"\n\
         [listen]\ndns = [\"127.0.0.1:0\"]\n[tls]\ncert = \"unused\"\nkey = \"unused\"\nca = \"unused\"\n\
         [geo.networks]\n\"198.51.100.0/24\" = { country = \"BR\" }\n\
         [[zone]]\nname = \"test-net.io\"\nfile = \"zone\"\n",
    );
    for (at, (name, route)) in ROUTES.iter().enumerate() {
        let mut service =
            format!("[[service]]\nname = \"{name}.test-net.io\"\nttl = 60\nroute = [{route}]\n");
        for (endpoint, (region, weight)) in REGIONS.iter().enumerate() {
            service += &format!(
                "[[service.endpoint]]\nregion = \"{region}\"\naddresses = [\"203.0.{at}.{endpoint}\"]\n\
                 weight = {weight}\nping = \"https://203.0.{at}.{endpoint}:443\"\n"
            );
        }
        text += &edit(name, service);
    }
    text
}

/// What the configuration is with everything up.
pub(crate) fn snapshot(config: &str) -> Snapshot {
    let inputs = site::loaded(config, site::ZONE).inputs(Generation(1));
    let up = inputs.services.targets.iter().map(|_| State::Up);
    let health = Arc::new(Health::new(up));
    Snapshot { inputs, health }
}

/// The same with every target of these regions down, as pings would find it.
pub(crate) fn down(snapshot: &Snapshot, regions: &[&str]) -> Snapshot {
    let states = snapshot.inputs.services.targets.iter().map(|target| {
        if regions.contains(&target.region.as_str()) { State::Down } else { State::Up }
    });
    let mut health = Health::new(states);
    health.set_stances(Arc::clone(snapshot.health.stances()));
    Snapshot { inputs: snapshot.inputs.clone(), health: Arc::new(health) }
}

pub(crate) fn with(snapshot: &Snapshot, health: Health) -> Snapshot {
    Snapshot { inputs: snapshot.inputs.clone(), health: Arc::new(health) }
}

/// Of many countries, and some that are nowhere.
pub(crate) fn population() -> Population {
    let v4 = (1_u64..=223).flat_map(|first| {
        [10, 97, 200].map(|second| (format!("{first}.{second}.7.0/24"), 1 + first * second % 90))
    });
    let v6 = (0_u64..60).map(|at| (format!("2a{:02x}:{at:x}00:1::/48", at % 16), 1 + at));
    let named = ["198.51.100.0/24", "198.51.100.128/25", "10.1.2.0/24", "203.0.113.9/32"];
    let named = named.map(|prefix| (prefix.to_owned(), 50));
    let all = v4.chain(v6).chain(named);
    Population::new(all.map(|(prefix, count)| (prefix.parse().unwrap(), count))).unwrap()
}

/// What a forecast says of every service, for recorded clients; the first types of each.
pub(crate) fn forecast(before: &Snapshot, after: &Snapshot) -> BTreeMap<String, Outcome> {
    let crowd = Crowd::recorded(&population(), &before.inputs.geo, &after.inputs.geo);
    all(before, after, &crowd)
}

pub(crate) fn all(before: &Snapshot, after: &Snapshot, crowd: &Crowd) -> BTreeMap<String, Outcome> {
    let mut forecaster = Forecaster::new(before, after, crowd, NOW);
    let pairs = pairs(before, after);
    let outcomes = pairs.into_iter().map(|pair| {
        let outcomes = forecaster.service(pair, &|| true).unwrap();
        (pair.name.to_string(), outcomes.into_iter().next().unwrap())
    });
    outcomes.collect()
}

pub(crate) fn name(service: &str) -> String {
    format!("{service}.test-net.io.")
}

/// The share of clients answered with each region, asking `explain` for one after the other, in each
/// of these time slots; nowhere: "".
pub(crate) fn one_by_one(snapshot: &Snapshot, service: &str, slots: u64) -> BTreeMap<String, f64> {
    let policy = explain::find(snapshot, &name(service).parse().unwrap()).unwrap();
    let population = population();
    let mut shares: BTreeMap<String, f64> = BTreeMap::new();
    for (prefix, count) in population.iter() {
        let weight = count as f64 / population.total() as f64 / slots as f64;
        for slot in 0..slots {
            let explained = explain(snapshot, policy, prefix.addr(), &[Form::A], NOW + slot * 60);
            let records = &explained.decisions[0].records;
            for record in records {
                let region = region_of(record.parse().unwrap());
                *shares.entry(region.to_owned()).or_default() += weight / records.len() as f64;
            }
            if records.is_empty() {
                *shares.entry(String::new()).or_default() += weight;
            }
        }
    }
    shares
}

fn region_of(address: IpAddr) -> &'static str {
    let IpAddr::V4(v4) = address else { panic!("services have IPv4 only") };
    REGIONS[usize::from(v4.octets()[3])].0
}

/// By region, on one side; nowhere: "".
pub(crate) fn shares(outcome: &Outcome, side: usize) -> BTreeMap<String, f64> {
    let mut shares: BTreeMap<String, f64> = BTreeMap::new();
    for (whither, share) in &outcome.shares {
        let region = match whither {
            Whither::Region(region) => region.clone(),
            Whither::Outside(_) | Whither::Absent | Whither::Empty => String::new(),
        };
        *shares.entry(region).or_default() += share[side];
    }
    shares.retain(|_, share| *share > 0.0);
    shares
}

pub(crate) fn assert_near(one: &BTreeMap<String, f64>, other: &BTreeMap<String, f64>, error: f64) {
    for region in one.keys().chain(other.keys()) {
        let [a, b] = [one, other].map(|shares| shares.get(region).copied().unwrap_or(0.0));
        assert!((a - b).abs() <= error, "{region}: {a} and {b} of {one:?} {other:?}");
    }
}
