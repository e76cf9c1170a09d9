//! Places, scopes, draws and fences: what a service answers to whom.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use dns::zone::ServiceId;
use dnsrouter::answer::{Query, Reply, Transport, Worker, answer};
use dnsrouter::plan::{Generation, Geo, Inputs, Published, Refused, Snapshot};
use dnsrouter::policy::{Policy, Views};
use dnsrouter::random::Random;
use dnsrouter::verdicts::Health;
use geo::{Distances, Layer, Place, ScopeCap, Source, TableBuilder};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use proptest::prelude::*;

use crate::site;
use crate::world::{CONFIG, ZONE, addresses, ask, down, published, query, scope};

fn nearest(snapshot: &Snapshot, name: &str, client: &str) -> (Vec<IpAddr>, u8) {
    let net: ipnet::IpNet = client.parse().unwrap();
    let subnet = Some((net.addr(), net.prefix_len()));
    let reply = ask(snapshot, &query(name, RecordType::A, subnet), Transport::Udp, 1);
    assert_eq!(reply.response_code, ResponseCode::NoError);
    (addresses(&reply), scope(&reply))
}

#[test]
fn clients_get_their_nearest_region() {
    let published = published(CONFIG);
    let snapshot = published.load();
    let get = |client| nearest(&snapshot, "geo.test-net.io.", client).0[0].to_string();
    assert_eq!(get("4.0.0.0/24"), "203.0.113.10", "a US network, by country");
    assert_eq!(get("141.2.0.0/16"), "203.0.113.20", "Frankfurt's university, by country");
    assert_eq!(get("137.132.0.0/16"), "203.0.113.30", "Singapore's university, by country");
    assert_eq!(get("8.8.4.0/24"), "203.0.113.20", "an explicit network");
    assert_eq!(get("10.1.2.0/24"), "203.0.113.30", "explicit, though private");
}

#[test]
fn a_cname_into_a_service_is_followed_with_its_scope() {
    let published = published(CONFIG);
    let (addresses, scope) = nearest(&published.load(), "www.test-net.io.", "141.2.0.0/16");
    assert_eq!(addresses, ["203.0.113.20".parse::<IpAddr>().unwrap()]);
    assert!(scope > 0);
}

#[test]
fn a_dead_region_is_left_out_and_all_dead_is_all_alive() {
    let published = published(CONFIG);
    let bytes = query("geo.test-net.io.", RecordType::A, Some(([141, 2, 0, 0].into(), 24)));
    let all_up = ask(&published.load(), &bytes, Transport::Udp, 1);
    down(&published, &["203.0.113.20"]);
    let one_down = ask(&published.load(), &bytes, Transport::Udp, 1);
    assert_eq!(addresses(&one_down), ["203.0.113.10".parse::<IpAddr>().unwrap()]);
    assert_eq!(scope(&one_down), scope(&all_up), "the scope is the service's, not the moment's");
    let v6 = query("geo.test-net.io.", RecordType::AAAA, Some(([141, 2, 0, 0].into(), 24)));
    let other_family = ask(&published.load(), &v6, Transport::Udp, 1);
    let near = "2001:db8:ffff::20".parse::<IpAddr>().unwrap();
    assert_eq!(addresses(&other_family), [near], "its IPv6 address is still up");
    down(&published, &["203.0.113.10", "203.0.113.20", "203.0.113.30"]);
    let none_up = ask(&published.load(), &bytes, Transport::Udp, 1);
    assert_eq!(none_up.to_vec().unwrap(), all_up.to_vec().unwrap(), "byte-equal");
}

#[test]
fn static_answers_referrals_of_nothing_and_refusals() {
    let published = published(CONFIG);
    let snapshot = published.load();
    let rcode = |name, rtype| {
        let reply = ask(&snapshot, &query(name, rtype, None), Transport::Udp, 1);
        (reply.response_code, reply.answers.len(), reply.authorities.len())
    };
    assert_eq!(rcode("test-net.io.", RecordType::MX), (ResponseCode::NoError, 1, 0));
    assert_eq!(rcode("geo.test-net.io.", RecordType::TXT), (ResponseCode::NoError, 0, 1));
    assert_eq!(rcode("nope.test-net.io.", RecordType::A), (ResponseCode::NXDomain, 0, 1));
    assert_eq!(rcode("a.wild.test-net.io.", RecordType::TXT), (ResponseCode::NoError, 1, 0));
    assert_eq!(rcode("example.org.", RecordType::A), (ResponseCode::Refused, 0, 0));
    let subnet = Some(([141, 2, 0, 0].into(), 24));
    let negative =
        ask(&snapshot, &query("nope.test-net.io.", RecordType::A, subnet), Transport::Udp, 1);
    assert_eq!(scope(&negative), 0, "RFC 7871 §7.4");
}

#[test]
fn source_0_is_answered_for_the_resolver_with_scope_0() {
    let published = published(CONFIG);
    let (_, scope) = nearest(&published.load(), "geo.test-net.io.", "0.0.0.0/0");
    assert_eq!(scope, 0);
}

#[test]
fn a_private_subnet_is_answered_for_the_resolver_within_its_block() {
    let published = published(CONFIG);
    let snapshot = published.load();
    let near = |client| nearest(&snapshot, "geo.test-net.io.", client);
    let resolvers_own = ["203.0.113.20".parse::<IpAddr>().unwrap()];
    for (client, scope) in [
        ("127.0.0.0/24", 8),
        ("172.20.0.0/24", 12),
        ("192.168.7.0/24", 16),
        ("10.200.0.0/24", 9),
        ("10.0.0.0/24", 16),
        ("fd00::/48", 7),
        ("fe80::/64", 10),
        ("::/56", 48),
    ] {
        let (addresses, seen) = near(client);
        assert_eq!(addresses, resolvers_own, "{client}");
        assert_eq!(seen, scope, "{client}: its block, less the network in it");
    }
    // What nobody knows is no private block, and its scope holds none.
    for (client, scope) in [("8000::/16", 2), ("1::/16", 16)] {
        let (addresses, seen) = near(client);
        assert_ne!(addresses, resolvers_own, "{client}");
        assert_eq!(seen, scope, "{client}");
    }
}

#[test]
fn a_private_subnets_draw_holds_within_its_scope() {
    let published = published(CONFIG);
    let snapshot = published.load();
    let draw = |client: [u8; 4], seed| {
        let bytes = query("drawn.test-net.io.", RecordType::A, Some((client.into(), 24)));
        let reply = ask(&snapshot, &bytes, Transport::Udp, seed);
        (addresses(&reply), scope(&reply))
    };
    let first = draw([127, 0, 0, 0], 0);
    for seed in 1..100 {
        assert_eq!(draw([127, seed, 0, 0], seed.into()), first);
    }
}

#[test]
fn udp_and_tcp_say_the_same() {
    let published = published(CONFIG);
    let snapshot = published.load();
    for (name, rtype) in [("geo.test-net.io.", RecordType::A), ("test-net.io.", RecordType::SOA)] {
        let bytes = query(name, rtype, Some(([141, 2, 0, 0].into(), 24)));
        let udp = ask(&snapshot, &bytes, Transport::Udp, 1).to_vec().unwrap();
        assert_eq!(
            udp,
            ask(&snapshot, &bytes, Transport::Tcp { idle: Duration::from_secs(10) }, 1)
                .to_vec()
                .unwrap()
        );
    }
}

#[test]
fn a_resolver_without_subnet_gets_fresh_draws_that_meet_the_weights() {
    let published = published(CONFIG);
    let snapshot = published.load();
    let bytes = query("drawn.test-net.io.", RecordType::A, None);
    let heavy: IpAddr = "203.0.113.22".parse().unwrap();
    let hits = (0..4000_u64)
        .filter(|seed| addresses(&ask(&snapshot, &bytes, Transport::Udp, seed * 7919)) == [heavy])
        .count();
    // Three quarters of 4,000; a standard deviation is 27.
    assert!((2850..=3150).contains(&hits), "{hits}");
}

#[test]
fn an_unsettled_service_has_the_lower_ttl_and_nothing_else_changes() {
    let published = published(CONFIG);
    let subnet = Some(("8.8.8.0".parse().unwrap(), 24));
    let seen = |name: &str| {
        let snapshot = published.load();
        let reply = ask(&snapshot, &query(name, RecordType::A, subnet), Transport::Udp, 1);
        (reply.answers[0].ttl, scope(&reply), addresses(&reply))
    };
    let (ttl, scope, addresses) = seen("geo.test-net.io.");
    assert_eq!(ttl, 60);
    let mut health = Health::clone(&published.load().health);
    assert!(health.set_unsettled(ServiceId(0), true));
    published.apply_health(Generation(1), health.clone()).unwrap();
    assert_eq!(seen("geo.test-net.io."), (10, scope, addresses.clone()), "a sixth");
    assert_eq!(seen("drawn.test-net.io.").0, 60, "another service");
    health.set_unsettled(ServiceId(0), false);
    published.apply_health(Generation(1), health).unwrap();
    assert_eq!(seen("geo.test-net.io."), (60, scope, addresses));
}

#[test]
fn an_older_plan_and_verdicts_for_another_are_refused() {
    let published = published(CONFIG);
    let old = published.load().inputs.clone();
    let refused = published.apply(old, Health::default());
    assert!(matches!(refused, Err(Refused::Dominated { .. })), "{refused:?}");
    let refused = published.apply_health(Generation(9), Health::default());
    assert!(matches!(refused, Err(Refused::OtherTargets { .. })), "{refused:?}");
    assert_eq!(published.load().inputs.generation, Generation(1));
}

#[test]
fn a_replaced_snapshot_lives_until_its_last_reader_and_is_freed_elsewhere() {
    let published = published(CONFIG);
    let reader = published.load();
    let held = Arc::clone(&reader);
    drop(reader);
    down(&published, &[]);
    assert_eq!(published.collect(drop), 1, "a reader still holds it");
    drop(held);
    assert_eq!(published.collect(drop), 0);
}

#[test]
fn replaced_inputs_are_handed_out_to_be_freed_and_verdicts_are_not() {
    let published = published(CONFIG);
    let next = Inputs { generation: Generation(2), ..published.load().inputs.clone() };
    published.apply(next, Health::default()).unwrap();
    published.apply_health(Generation(2), Health::default()).unwrap();
    let mut freed = Vec::new();
    assert_eq!(published.collect(|old| freed = old), 0);
    let generations: Vec<_> = freed.iter().map(|old| old.inputs.generation).collect();
    assert_eq!(generations, [Generation(1)]);
}

#[test]
fn equal_inputs_give_equal_plans() {
    let (a, b) = (published(CONFIG), published(CONFIG));
    assert_eq!(a.load().inputs.fingerprint, b.load().inputs.fingerprint);
    let other = published(&CONFIG.replace("weight = 3", "weight = 4"));
    assert_ne!(a.load().inputs.fingerprint, other.load().inputs.fingerprint);
}

/// Where answers change: the edges of explicit networks and of blocks that are located by the
/// resolver, each with its prefix length.
const EDGES: [(&str, u8); 17] = [
    ("8.8.0.0", 16),
    ("8.8.8.0", 25),
    ("10.1.0.0", 16),
    ("0.0.0.0", 8),
    ("10.0.0.0", 8),
    ("100.64.0.0", 10),
    ("127.0.0.0", 8),
    ("169.254.0.0", 16),
    ("172.16.0.0", 12),
    ("192.168.0.0", 16),
    ("2001:db8::", 32),
    ("2001:db8:1::", 48),
    ("::", 48),
    ("::ffff:0:0", 96),
    ("fc00::", 7),
    ("fe80::", 10),
    ("2a00::", 11),
];

/// Anybody, somebody in a block of the edges, or its first or last address and the ones beside
/// these; with any source length.
pub(crate) fn any_client() -> impl Strategy<Value = (IpAddr, u8)> {
    let anywhere = prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
        any::<u128>().prop_map(|bits| IpAddr::V6(bits.into())),
    ];
    let block = || proptest::sample::select(&EDGES[..]);
    let within = (block(), any::<u128>())
        .prop_map(|((start, length), noise)| inside(start.parse().unwrap(), length, noise));
    let beside =
        (block(), any::<bool>(), -1_i8..=1).prop_map(
            |((start, length), last, offset)| match inside(
                start.parse().unwrap(),
                length,
                if last { u128::MAX } else { 0 },
            ) {
                IpAddr::V4(v4) => {
                    IpAddr::V4(v4.to_bits().wrapping_add_signed(offset.into()).into())
                }
                IpAddr::V6(v6) => {
                    IpAddr::V6(v6.to_bits().wrapping_add_signed(offset.into()).into())
                }
            },
        );
    (prop_oneof![anywhere, within, beside], 0_u8..=128)
        .prop_map(|(address, source)| (address, source % (bits(address) + 1)))
}

pub(crate) fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

pub(crate) fn masked(address: IpAddr, length: u8) -> IpAddr {
    ipnet::IpNet::new(address, length).unwrap().network()
}

/// An address inside `prefix/length` whose other bits are those of `noise`.
pub(crate) fn inside(prefix: IpAddr, length: u8, noise: u128) -> IpAddr {
    match prefix {
        IpAddr::V4(v4) => {
            let host = u32::MAX.checked_shr(length.into()).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & !host | noise as u32 & host).into()
        }
        IpAddr::V6(v6) => {
            let host = u128::MAX.checked_shr(length.into()).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & !host | noise & host).into()
        }
    }
}

/// The scope caps of IPv4 and IPv6, and whether the table is [`sparse`].
const TABLES: [(u8, u8, bool); 7] = [
    (24, 48, false),
    (24, 48, true),
    (8, 16, false),
    (8, 16, true),
    (12, 32, true),
    (17, 40, false),
    (28, 64, false),
];

fn published_with((v4, v6, is_sparse): (u8, u8, bool)) -> Published {
    let geo = format!("[geo]\nscope_v4 = {v4}\nscope_v6 = {v6}\n[geo.networks]");
    let published = published(&CONFIG.replace("[geo.networks]", &geo));
    if is_sparse { sparse(&published, ScopeCap::new(v4, v6).unwrap()) } else { published }
}

/// The same services over a table that knows the resolver, one network in a private block, and
/// two small networks of a database: all else is unknown, in leaves as wide as they get.
fn sparse(published: &Published, cap: ScopeCap) -> Published {
    let place = |region| Place::from(geo::regions::find(region).unwrap().point);
    let mut database = Layer::new(Source::Database);
    for network in ["1.0.0.0/24", "2a00::/32"] {
        database.insert(network.parse().unwrap(), place("asia-southeast1"));
    }
    let mut builder = TableBuilder::new(cap);
    builder.database(database);
    builder.network("198.51.100.0/24".parse().unwrap(), place("europe-west3")).unwrap();
    builder.network("10.1.0.0/16".parse().unwrap(), place("asia-southeast1")).unwrap();
    let table = Arc::new(builder.freeze());
    let mut inputs = published.load().inputs.clone();
    let points: Vec<_> = inputs.services.locations.iter().map(|place| place.point).collect();
    let services = Arc::make_mut(&mut inputs.services);
    let classes = services.services.iter();
    let classes =
        classes.flat_map(|(name, policy)| policy.classes().map(move |class| (name, class)));
    let views = Views::new(table.lists()).build(&table, &points, classes);
    let distances = Distances::new(&points);
    let geo = Geo { table, views, distances, cap, description: String::new() };
    let settled = services.services.iter().map(|(name, policy)| {
        let mut policy = Policy::clone(policy);
        policy.settle(&geo);
        (name.clone(), Arc::new(policy))
    });
    services.services = settled.collect();
    inputs.geo = Arc::new(geo);
    Published::new(inputs, Health::default())
}

static PUBLISHED: LazyLock<[Published; TABLES.len()]> =
    LazyLock::new(|| TABLES.map(published_with));

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// RFC 7871: whoever is inside the returned scope may be handed this answer from a cache, so
    /// it must be the answer they would get themselves, whatever source length they are asked
    /// with.
    #[test]
    fn everyone_inside_a_scope_gets_the_same_answer(
        (client, source) in any_client(),
        table in 0..TABLES.len(),
        (other, other_source) in any_client(),
        noise: u128,
        seeds: [u64; 2],
        drawn: bool,
        some_dead: bool,
    ) {
        let published = &PUBLISHED[table];
        down(published, if some_dead { &["203.0.113.10"] } else { &[] });
        let snapshot = published.load();
        let name = if drawn { "drawn.test-net.io." } else { "geo.test-net.io." };
        let client = masked(client, source);
        let bytes = query(name, RecordType::A, Some((client, source)));
        let first = ask(&snapshot, &bytes, Transport::Udp, seeds[0]);
        prop_assert!(!addresses(&first).is_empty());
        let scope = scope(&first);
        if source == 0 {
            prop_assert_eq!(scope, 0);
            return Ok(());
        }
        // Somebody inside: anybody, or one at an edge if that is inside.
        let shares = |other: &IpAddr| {
            other.is_ipv4() == client.is_ipv4() && masked(*other, scope) == masked(client, scope)
        };
        let other = Some(other).filter(shares).unwrap_or_else(|| inside(client, scope, noise));
        // A shorter source would ask for another client: the one at the prefix's start.
        let length = scope.max(other_source % (bits(other) + 1)).max(1);
        let other = masked(other, length);
        let bytes = query(name, RecordType::A, Some((other, length)));
        let second = ask(&snapshot, &bytes, Transport::Udp, seeds[1]);
        prop_assert_eq!(
            addresses(&first), addresses(&second),
            "{}/{} gave scope {}; {}/{} got another answer with {:?}",
            client, source, scope, other, length, TABLES[table]
        );
    }

    /// Arbitrary bytes get an answer that parses, or silence; never a panic.
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        let mut worker = Worker::with_random(Arc::default(), Random::from_seed(1));
        let query = Query {
            bytes: &bytes,
            peer: SocketAddr::from(([198, 51, 100, 1], 4242)),
            local: SocketAddr::from(([127, 0, 0, 1], 53)),
            transport: Transport::Udp,
            now: SystemTime::UNIX_EPOCH,
        };
        let mut out = [0; 1232];
        if let Reply::Bytes(length) = answer(&PUBLISHED[0].load(), &mut worker, query, &mut out) {
            prop_assert!(length >= 12 && out[2] & 0x80 != 0);
        }
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    let config = [site::NODE, CONFIG].concat();
    let report = |config: &str| match site::load(config, ZONE) {
        Ok(_) => panic!("accepted"),
        Err(report) => report,
    };
    for (good, bad, mark, says) in [
        (
            "region = \"europe-west3\"\naddresses",
            "region = \"europe-west33\"\naddresses",
            "europe-west33",
            "did you mean 'europe-west3'",
        ),
        ("\"203.0.113.20\", ", "\"203.0.113.2000\", ", "203.0.113.2000", "neither IPv4 nor IPv6"),
        (
            "[\"healthy\", \"nearest\"",
            "[\"healthy\", \"closest\"",
            "closest",
            "\"closest\" is no step",
        ),
        ("\"8.8.0.0/16\"", "\"8.8.8.0/16\"", "8.8.8.0/16", "is not a network"),
        ("\"geo.test-net.io\"", "\"geo.example.org\"", "geo.example.org", "geo.example.org"),
        ("\"geo.test-net.io\"", "\"www.test-net.io\"", "www.test-net.io", "www.test-net.io"),
        ("ttl = 60", "tll = 60", "tll", "tll"),
        ("[listen]", "[log]\nlevel = \"inof\"\n[listen]", "[log]", "inof"),
    ] {
        let wrong = config.replacen(good, bad, 1);
        let line = wrong[..wrong.find(mark).unwrap()].matches('\n').count() + 1;
        let text = report(&wrong);
        assert!(text.contains(says), "{bad}: {text}");
        assert!(text.contains(&format!("dnsrouter.toml:{line}:")), "line {line} in {text}");
    }
}
