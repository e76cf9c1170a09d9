//! Faults of the client subnet option.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use tests::name_server::{Endpoint, NameServerPlan, Service};
use tests::query::Ask;

use crate::octets::{A, opt, option, query, with};
use crate::stand::{FORMERR, Stand, TRANSPORTS};

const SUBNET: u16 = 8;

/// A name whose answer depends on the client, in regions far from each other.
fn plan() -> NameServerPlan {
    let endpoint = |region: &str, last: u8| Endpoint {
        region: region.to_owned(),
        addresses: vec![
            Ipv4Addr::new(203, 0, 113, last).into(),
            Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, last.into()).into(),
        ],
        ping: None,
    };
    let service = Service {
        name: "geo.test-net.io".to_owned(),
        ttl: 60,
        route: "[\"nearest\"]".to_owned(),
        endpoints: vec![
            endpoint("us-central1", 10),
            endpoint("europe-west3", 20),
            endpoint("asia-southeast1", 30),
        ],
    };
    let plan = NameServerPlan::new("ns1").service(service);
    NETWORKS.iter().fold(plan, |plan, (network, region)| plan.network(network, region))
}

/// Nested in each other and in what the database says, down to the cap of scopes.
const NETWORKS: [(&str, &str); 9] = [
    ("8.0.0.0/8", "us-central1"),
    ("8.8.0.0/16", "europe-west3"),
    ("8.8.8.0/24", "asia-southeast1"),
    ("8.8.9.0/24", "us-central1"),
    ("141.2.128.0/17", "asia-southeast1"),
    ("10.1.0.0/16", "asia-southeast1"),
    ("2001:db8::/32", "europe-west3"),
    ("2001:db8:1::/48", "asia-southeast1"),
    ("2001:db8:8000::/33", "us-central1"),
];

#[test]
fn fault_16_malformed_client_subnets_are_formerr() {
    let kinds: [(&str, &[u8]); 20] = [
        ("nothing", b""),
        ("half a family", b"\x00"),
        ("no source", b"\x00\x01"),
        ("no scope", b"\x00\x01\x18"),
        ("family 3", b"\x00\x03\x18\x00\xc0\x00\x02"),
        ("family 3, empty", b"\x00\x03\x00\x00"),
        ("family 65535", b"\xff\xff\x00\x00"),
        ("family 0 with a prefix", b"\x00\x00\x08\x00\x0a"),
        ("family 0 with an address", b"\x00\x00\x00\x00\x0a"),
        ("IPv4, a prefix of 33", b"\x00\x01\x21\x00\xc0\x00\x02\x01\x80"),
        ("IPv4, a prefix of 255", b"\x00\x01\xff\x00\xc0\x00\x02\x01"),
        (
            "IPv6, a prefix of 129",
            b"\x00\x02\x81\x00\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x80",
        ),
        ("a scope", b"\x00\x01\x18\x18\xc0\x00\x02"),
        ("too short an address", b"\x00\x01\x18\x00\xc0\x00"),
        ("no address", b"\x00\x01\x18\x00"),
        ("too long an address", b"\x00\x01\x18\x00\xc0\x00\x02\x00"),
        ("an address for /0", b"\x00\x01\x00\x00\x00"),
        ("a bit past the prefix", b"\x00\x01\x17\x00\xc0\x00\x03"),
        ("the last bit of it", b"\x00\x01\x19\x00\xc0\x00\x02\x01"),
        ("IPv6, a bit past the prefix", b"\x00\x02\x31\x00\x20\x01\x0d\xb8\x00\x00\x40"),
    ];
    let stand = Stand::of("malformed", plan());
    for of in ["geo.test-net.io", "www.test-net.io", "nothing.test-net.io", "example.org"] {
        for (what, data) in kinds {
            let asked = with(query(of, A), &opt(0, &option(SUBNET, data)));
            for transport in TRANSPORTS {
                let reply = stand.ask(transport, &asked);
                assert_eq!(reply.rcode(), FORMERR, "{what}, {of}, {transport:?}");
                assert!(reply.sections.iter().all(Vec::is_empty), "{what}: {reply:?}");
            }
        }
    }
    // And the well-formed neighbours of these are not.
    for data in [
        &b"\x00\x01\x18\x00\xc0\x00\x02"[..],
        b"\x00\x01\x17\x00\xc0\x00\x02",
        b"\x00\x01\x20\x00\xc0\x00\x02\x01",
        b"\x00\x02\x31\x00\x20\x01\x0d\xb8\x00\x00\x80",
        b"\x00\x01\x00\x00",
        b"\x00\x02\x00\x00",
        b"\x00\x00\x00\x00",
    ] {
        let asked = with(query("geo.test-net.io", A), &opt(0, &option(SUBNET, data)));
        for transport in TRANSPORTS {
            let reply = stand.ask(transport, &asked);
            assert_eq!(reply.rcode(), 0, "{data:02x?}");
            let echo = reply.opt.expect("EDNS is answered with EDNS").options.remove(0).1;
            // All but the scope (RFC 7871 §7.2.1).
            assert_eq!((&echo[..3], &echo[4..]), (&data[..3], &data[4..]), "{data:02x?}");
        }
    }
    stand.stop();
}

/// The scope says whom an answer is right for. So of any two clients in one scope, each must get
/// what the other got: wherever networks end inside the prefix that a resolver sends.
#[test]
fn fault_17_no_scope_spans_clients_with_other_answers() {
    const ROUNDS: u64 = 400;

    let stand = Stand::of("scopes", plan());
    let mut draw = Draw(1);
    let mut narrowed = 0;
    for round in 0..ROUNDS {
        let (network, _) = NETWORKS[draw.below(NETWORKS.len() as u64) as usize];
        let network: IpNet = network.parse().expect("a network");
        // Somewhere in or around a network, given as finely or as coarsely as resolvers do.
        let somebody = near(&network, &mut draw);
        let finest = if somebody.is_ipv4() { 32 } else { 128 };
        let source = 1 + draw.below(finest) as u8;
        let asked = IpNet::new(somebody, source).expect("a prefix").trunc();
        let (answer, scope) = ask(&stand, asked);
        let covered = IpNet::new(asked.addr(), scope).expect("a prefix").trunc();
        narrowed += u32::from(scope > source);
        for _ in 0..4 {
            let other = inside(&covered, &mut draw);
            let other = IpNet::new(other, other_source(&other)).expect("a prefix").trunc();
            let (again, _) = ask(&stand, other);
            assert_eq!(
                answer, again,
                "round {round}: {asked} got an answer for {covered}, and {other} gets another"
            );
        }
    }
    // The boundaries were met: else the test would show nothing.
    assert!(narrowed > 20, "{narrowed}");
    stand.stop();
}

fn ask(stand: &Stand, subnet: IpNet) -> (Vec<IpAddr>, u8) {
    let reply = Ask::a(stand.dns(), "geo.test-net.io").subnet(subnet).expect();
    let (echoed, scope) = reply.subnet().expect("the subnet is echoed");
    assert_eq!(echoed, subnet);
    assert_eq!(reply.addresses().len(), 1, "{subnet}");
    (reply.addresses(), scope)
}

/// As finely as a resolver may ask.
fn other_source(address: &IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// An address in the network, or just before or behind it, or in its neighbourhood.
fn near(network: &IpNet, draw: &mut Draw) -> IpAddr {
    match draw.below(4) {
        0 => shifted(network.network(), draw.below(2)),
        1 => shifted(network.broadcast(), 1 - draw.below(2)),
        2 => {
            let wider = network.prefix_len().saturating_sub(1 + draw.below(7) as u8);
            inside(&IpNet::new(network.addr(), wider).expect("a prefix").trunc(), draw)
        }
        _ => inside(network, draw),
    }
}

/// The address itself, or the one after it (`last` ones lead into the next network).
fn shifted(address: IpAddr, by: u64) -> IpAddr {
    match address {
        IpAddr::V4(v4) => Ipv4Addr::from(v4.to_bits().wrapping_add(by as u32)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from(v6.to_bits().wrapping_add(by.into())).into(),
    }
}

fn inside(network: &IpNet, draw: &mut Draw) -> IpAddr {
    let noise = u128::from(draw.next()) << 64 | u128::from(draw.next());
    let length = u32::from(network.prefix_len());
    match network.network() {
        IpAddr::V4(v4) => {
            let host = (noise as u32).checked_shr(length).unwrap_or(0);
            Ipv4Addr::from(v4.to_bits() | host).into()
        }
        IpAddr::V6(v6) => {
            let host = noise.checked_shr(length).unwrap_or(0);
            Ipv6Addr::from(v6.to_bits() | host).into()
        }
    }
}

/// Numbers that are the same in every run (splitmix64), so that a failure can be seen again.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
