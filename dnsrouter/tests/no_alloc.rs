//! The DNS path allocates nothing: from a query's octets to its reply's, through the seam and the
//! published snapshot, for static names and for services; and from a socket to the same socket.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test is a shell")]

#[path = "../../dns/tests/counting/allocator.rs"]
mod allocator;

use std::cell::RefCell;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use allocator::allocations;
use dnsrouter::answer::{Lane, Query, Reply, Transport, Worker, answer_or_servfail};
use dnsrouter::census::ring::CAPACITY;
use dnsrouter::census::{Prefix, ring};
use dnsrouter::counters::Counters;
use dnsrouter::health::State;
use dnsrouter::io::deferred::Deferred;
use dnsrouter::io::load::Loader;
use dnsrouter::io::udp::{self, Own, Server};
use dnsrouter::plan::{Generation, Published};
use dnsrouter::random::Random;
use dnsrouter::verdicts::Health;
use tokio_util::sync::CancellationToken;

const CONFIG: &str = r#"
[node]
name = "ns1"
region = "us-central1"
[listen]
dns = ["127.0.0.1:0"]
[identity]
chaos = true
[access]
deny = ["192.0.2.0/24"]
[rate_limit]
RATE
[[key]]
name = "key.test-net.io"
secret_base64 = "YSBzZWNyZXQgdGhhdCBub2JvZHkga25vd3M="
[[zone]]
name = "test-net.io"
file = "zone"
[[service]]
name = "flat.test-net.io"
alias = "geo.test-net.io"
[[service]]
name = "names.test-net.io"
ttl = 60
route = ["nearest"]
[[service.endpoint]]
region = "us-central1"
cname = "ns1.test-net.io."
[[service]]
name = "fenced.test-net.io"
ttl = 60
route = [
  { fence = [
      { clients = ["141.3.0.0/16"], regions = [] },
      { clients = ["141.4.0.0/16"], regions = [], refuse = ["192.0.2.200"] },
      { clients = ["continent:EU", "141.5.0.0/16"], regions = ["europe-west3"] },
  ] },
  { healthy = { min_healthy = 2 } },
  { nearest = { within = "15 %", bias = { "us-central1" = 20 }, prefer = [
      { clients = ["DE", "198.51.100.0/24"], regions = ["europe-west3"] },
  ] } },
  "weighted",
  { take = 2 },
]
ENDPOINTS
[[service]]
name = "tiers.test-net.io"
ttl = 60
route = ["healthy", { failover = [["us-central1"], "europe-west3"] }, "sticky"]
ENDPOINTS
[[service]]
name = "turns.test-net.io"
ttl = 60
route = ["healthy", "failover", "round-robin", { take = 2 }]
ENDPOINTS
[[service]]
name = "least.test-net.io"
ttl = 60
slow_start = "30s"
route = [
  "healthy",
  { "least-connections" = { within = "20 %" } },
  "latency",
  { resource = { within = "5 %" } },
  "weighted",
]
ENDPOINTS
[[service]]
name = "fair.test-net.io"
ttl = 60
route = ["healthy", { fair = { demand = 10 } }, { take = 2 }]
ENDPOINTS
[[service]]
name = "geo.test-net.io"
ttl = 60
route = ["healthy", "nearest", "weighted", { take = 2 }]
[[service.endpoint]]
region = "us-central1"
addresses = ["203.0.113.10", "2001:db8::10"]
[[service.endpoint]]
region = "us-central1"
addresses = ["203.0.113.11"]
[[service.endpoint]]
region = "europe-west3"
addresses = ["203.0.113.20", "2001:db8::20"]
"#;

/// Of services whose routes are looked at.
const ENDPOINTS: &str = r#"
https = "1 . alpn=h2"
[[service.endpoint]]
region = "us-central1"
addresses = ["203.0.113.10", "2001:db8::10"]
tier = 2
weight = 3
capacity = 7
[[service.endpoint]]
region = "us-central1"
addresses = ["203.0.113.11"]
[[service.endpoint]]
region = "us-central1"
addresses = ["203.0.113.12"]
[[service.endpoint]]
region = "europe-west3"
addresses = ["203.0.113.20", "2001:db8::20"]
capacity = 9
"#;

const ZONE: &str = "$TTL 300\n@ SOA ns1 h 1 2 3 4 60\n@ NS ns1\nns1 A 192.0.2.53\n\
                    www CNAME geo\n*.wild TXT text\nsub NS ns.sub\nns.sub A 192.0.2.54\n\
                    old DNAME new\n";

/// A rate that nobody reaches, so that all answers are counted and none is held back.
const PLENTY: &str = "responses_per_second = 100000\nburst = 100000";

fn query(name: &str, rtype: u8, options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, 0, rtype, 0, 1]);
    let length = u8::try_from(options.len()).unwrap();
    bytes.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, length]);
    bytes.extend(options);
    bytes
}

/// What a case changes in its query.
type Change = fn(&mut Vec<u8>);
const AS_IT_IS: Change = |_| {};

/// The client subnet 141.2.0.0/24, and the same with a /23 that it does not fit.
const NEAR: [u8; 11] = [0, 8, 0, 7, 0, 1, 24, 0, 141, 2, 0];
const MALFORMED: [u8; 11] = [0, 8, 0, 7, 0, 1, 23, 0, 141, 2, 1];
/// Somewhere else; in a network that a fence shuts out; and in one for which it has an answer.
const ELSEWHERE: [u8; 11] = [0, 8, 0, 7, 0, 1, 24, 0, 4, 0, 0];
const REFUSED: [u8; 11] = [0, 8, 0, 7, 0, 1, 24, 0, 141, 3, 0];
const STATED: [u8; 11] = [0, 8, 0, 7, 0, 1, 24, 0, 141, 4, 0];
/// NSID, a client's cookie, and the wish to know why, each alone.
const NSID: [u8; 4] = [0, 3, 0, 0];
const COOKIE: [u8; 12] = [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
const WHY: [u8; 4] = [0xff, 0x14, 0, 0];
/// A cookie that no server of ours has made.
const INVALID: [u8; 28] =
    [0, 10, 0, 24, 1, 2, 3, 4, 5, 6, 7, 8, 1, 0, 0, 0, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8];

/// Name, type, EDNS options, a change of the query, and the response code that shows that the case
/// is the one meant.
const CASES: [(&str, u8, &[u8], Change, u8); 43] = [
    ("geo.test-net.io", 1, &NEAR, AS_IT_IS, 0),
    ("geo.test-net.io", 28, &NEAR, AS_IT_IS, 0),
    ("geo.test-net.io", 1, &[], AS_IT_IS, 0),
    ("geo.test-net.io", 1, &WHY, AS_IT_IS, 0),
    ("geo.test-net.io", 16, &NEAR, AS_IT_IS, 0),
    ("flat.test-net.io", 1, &NEAR, AS_IT_IS, 0),
    ("names.test-net.io", 1, &[], AS_IT_IS, 0),
    ("fenced.test-net.io", 1, &NEAR, AS_IT_IS, 0),
    ("fenced.test-net.io", 1, &ELSEWHERE, AS_IT_IS, 0),
    ("fenced.test-net.io", 1, &REFUSED, AS_IT_IS, 5),
    ("fenced.test-net.io", 65, &REFUSED, AS_IT_IS, 5),
    ("fenced.test-net.io", 1, &STATED, AS_IT_IS, 0),
    ("fenced.test-net.io", 28, &STATED, AS_IT_IS, 0),
    ("fenced.test-net.io", 65, &NEAR, AS_IT_IS, 0),
    ("fenced.test-net.io", 1, &WHY, AS_IT_IS, 0),
    ("tiers.test-net.io", 1, &NEAR, AS_IT_IS, 0),
    ("tiers.test-net.io", 28, &[], AS_IT_IS, 0),
    ("turns.test-net.io", 1, &NEAR, AS_IT_IS, 0),
    ("turns.test-net.io", 1, &[], AS_IT_IS, 0),
    ("least.test-net.io", 1, &NEAR, AS_IT_IS, 0),
    ("least.test-net.io", 28, &[], AS_IT_IS, 0),
    ("fair.test-net.io", 1, &NEAR, AS_IT_IS, 0),
    ("fair.test-net.io", 1, &[], AS_IT_IS, 0),
    ("www.test-net.io", 1, &NEAR, AS_IT_IS, 0),
    ("a.old.test-net.io", 1, &[], AS_IT_IS, 3),
    ("a.sub.test-net.io", 1, &[], AS_IT_IS, 0),
    ("a.wild.test-net.io", 16, &[], AS_IT_IS, 0),
    ("test-net.io", 255, &[], AS_IT_IS, 0),
    ("nope.test-net.io", 1, &[], AS_IT_IS, 3),
    ("example.org", 1, &[], AS_IT_IS, 5),
    ("ns1.test-net.io", 1, &NSID, AS_IT_IS, 0),
    ("ns1.test-net.io", 1, &COOKIE, AS_IT_IS, 0),
    ("ns1.test-net.io", 1, &INVALID, AS_IT_IS, 0),
    ("version.bind", 16, &[], |query| query[29] = 3, 0),
    ("geo.test-net.io", 1, &MALFORMED, AS_IT_IS, 1),
    // Without its OPT; then over its end, twice, version 1.
    ("geo.test-net.io", 1, &[], |query| (query.truncate(33), query[11] = 0).1, 0),
    ("geo.test-net.io", 1, &[], |query| query.truncate(40), 1),
    ("geo.test-net.io", 1, &[], |query| (query.extend_from_within(33..), query[11] = 2).1, 1),
    ("geo.test-net.io", 1, &[], |query| query[39] = 1, 0),
    // A name that points to itself; two questions; NOTIFY; an update without a key.
    ("geo.test-net.io", 1, &[], |query| query[12..14].copy_from_slice(&[0xc0, 12]), 1),
    ("geo.test-net.io", 1, &[], |query| query[5] = 2, 1),
    ("test-net.io", 6, &[], |query| query[2] = 0x20, 4),
    ("test-net.io", 6, &[], |query| query[2] = 0x28, 5),
];

fn asked((name, rtype, options, change, _): (&str, u8, &[u8], Change, u8)) -> Vec<u8> {
    let mut bytes = query(name, rtype, options);
    change(&mut bytes);
    bytes
}

fn published(rate: &str) -> Published {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dnsrouter.toml");
    std::fs::write(&file, CONFIG.replace("RATE", rate).replace("ENDPOINTS", ENDPOINTS)).unwrap();
    std::fs::write(folder.path().join("zone"), ZONE).unwrap();
    let loaded = Loader::default().load(&file, &[]).unwrap_or_else(|e| panic!("{}", e.report()));
    Published::new(loaded.inputs(Generation(1)), Health::new([State::Up]))
}

thread_local! {
    /// Clients that were counted.
    static RECORDED: RefCell<Vec<Prefix>> = const { RefCell::new(Vec::new()) };
}

/// Answers `bytes` from an address, and fails when that allocates.
fn answered(published: &Published, bytes: &[u8], peer: [u8; 4], out: &mut [u8]) -> Reply {
    answered_over(Transport::Udp, published, bytes, peer, out)
}

fn answered_over(
    transport: Transport,
    published: &Published,
    bytes: &[u8],
    peer: [u8; 4],
    out: &mut [u8],
) -> Reply {
    let worker = Worker::with_random(Arc::new(Counters::default()), Random::from_seed(1));
    let (recorder, mut reader) = ring();
    let mut worker = worker.recording(Some(recorder));
    // A thread's first look at the plan enters it into a list of readers, once.
    drop(published.load());
    let before = allocations();
    let query = Query {
        bytes,
        peer: SocketAddr::from((peer, 4242)),
        local: SocketAddr::from(([127, 0, 0, 1], 53)),
        transport,
        now: SystemTime::UNIX_EPOCH,
    };
    let reply = answer_or_servfail(&published.load(), &mut worker, query, out);
    assert_eq!(allocations() - before, 0, "{bytes:02x?}");
    RECORDED.with_borrow_mut(|recorded| reader.take(recorded, usize::MAX));
    reply
}

#[test]
fn no_answer_allocates() {
    let (published, mut out) = (published(PLENTY), [0; 1232]);
    for case in CASES {
        let (name, rtype, _, _, rcode) = case;
        let reply = answered(&published, &asked(case), [198, 51, 100, 1], &mut out);
        assert!(matches!(reply, Reply::Bytes(_)), "{name} TYPE{rtype}");
        assert_eq!(out[3] & 15, rcode, "{name} TYPE{rtype}: the case is the one that was meant");
    }
    assert!(RECORDED.with_borrow(Vec::len) > 20, "clients were counted");
    let denied = answered(&published, &asked(CASES[0]), [192, 0, 2, 1], &mut out);
    assert!(matches!(denied, Reply::Bytes(_)));
    assert_eq!(out[3] & 15, 5, "REFUSED");
}

#[test]
fn what_is_held_back_does_not_allocate_either() {
    let published = published("responses_per_second = 1\nburst = 1\nslip = 2");
    let (mut answers, mut slips, mut drops, mut out) = (0, 0, 0, [0; 1232]);
    for _ in 0..21 {
        match answered(&published, &asked(CASES[0]), [198, 51, 100, 1], &mut out) {
            Reply::Bytes(_) if out[2] & 2 == 0 => answers += 1,
            Reply::Bytes(_) => slips += 1,
            Reply::Drop => drops += 1,
            Reply::Deferred(_) => panic!("it can be answered"),
        }
    }
    assert_eq!((answers, slips, drops), (1, 10, 10));
}

/// A query for key.test-net.io with the TSIG record of a key, as its owner name stands on the wire.
fn signed(key: &[u8], algorithm: &[u8]) -> Vec<u8> {
    let mut bytes = query("key.test-net.io", 1, &[]);
    bytes[11] = 2;
    bytes.extend(key);
    // TSIG, ANY, TTL 0; after the algorithm time, fudge, no code, the id, no error, no more.
    bytes.extend([0, 250, 0, 255, 0, 0, 0, 0, 0, u8::try_from(algorithm.len()).unwrap() + 16]);
    bytes.extend(algorithm);
    bytes.extend([0, 0, 0, 0, 0, 1, 1, 44, 0, 0, 0, 7, 0, 0, 0, 0]);
    bytes
}

#[test]
fn whom_a_signed_message_waits_with_is_told_without_allocating() {
    const KEY: &[u8] = b"\x03KEY\x08test-net\x02io\0";
    const SHA256: &[u8] = b"\x0bhmac-SHA256\0";
    /// Behind the header and key.test-net.io.
    const QTYPE: usize = 12 + 17 + 1;
    let tcp = Transport::Tcp { idle: Duration::from_secs(10) };
    let published = published("responses_per_second = 1\nburst = 1");
    let mut out = [0; 1232];
    // STATUS, and a type that is none: what is refused waits as well, to be refused with a signature.
    for (at, octet) in [(2, 0x10), (QTYPE, 41)] {
        let mut refused = signed(KEY, SHA256);
        refused[at] = octet;
        let reply = answered_over(Transport::Udp, &published, &refused, [198, 51, 9, 1], &mut out);
        assert_eq!(reply, Reply::Deferred(Lane::Udp));
        // Two signatures, or more behind one, are none (RFC 8945 §5.1).
        refused.push(0);
        let reply =
            answered_over(Transport::Udp, &published, &refused, [198, 51, at as u8, 2], &mut out);
        assert!(matches!(reply, Reply::Bytes(_)), "{reply:?}");
    }
    let mut lane = |key, algorithm, transport, network| {
        let peer = [198, 51, network, 1];
        answered_over(transport, &published, &signed(key, algorithm), peer, &mut out)
    };
    for network in 0..3 {
        // Compressed, as no client writes it: to the question's name.
        for known in [KEY, &[0xc0, 12]] {
            assert_eq!(lane(known, SHA256, Transport::Udp, 0), Reply::Deferred(Lane::Udp));
        }
        let strangers = [
            (&b"\x05other\0"[..], SHA256),
            (&[0xc0, 16], SHA256),
            (b"\0", SHA256),
            (KEY, b"\x0bhmac-sha512\0"),
            (KEY, b"\0"),
            (KEY, b"\xff"),
        ];
        for (peer, (key, algorithm)) in (10 * network + 100..).zip(strangers) {
            assert_eq!(lane(key, algorithm, tcp, network), Reply::Deferred(Lane::Tcp));
            let mut stranger = || lane(key, algorithm, Transport::Udp, peer);
            // What is said to strangers counts as an error, and they have one each.
            assert_eq!(stranger(), Reply::Deferred(Lane::Stranger), "{key:?} {algorithm:?}");
            assert_eq!(stranger(), Reply::Drop);
        }
    }
}

#[test]
fn the_loop_over_a_socket_does_not_allocate() {
    /// Rounds through the cases, each sent at once so that batches of all sizes arise.
    const ROUNDS: usize = 500;

    let socket = Arc::new(udp::bind(SocketAddr::from(([0, 0, 0, 0], 0))).unwrap());
    let bound = socket.local_addr().unwrap();
    let (stop, plan) = (CancellationToken::new(), Arc::new(published(PLENTY)));
    let running = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let own = Own::new([bound]);
            let mut server =
                Server::new(socket, Arc::clone(&plan), Deferred::new().0, own).unwrap();
            // Nobody reads this ring: it is full in the midst of it.
            let (mut recorder, _reader) = ring();
            (0..CAPACITY - 1000).for_each(|_| recorder.record(bound.ip()));
            let counters = Arc::new(Counters::default());
            let mut worker = Worker::new(counters).recording(Some(recorder));
            drop(plan.load());
            let before = allocations();
            server.run(&mut worker, &stop);
            allocations() - before
        }
    });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(("127.0.0.2", bound.port())).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut answer = [0; 1232];
    for _ in 0..ROUNDS {
        for case in CASES {
            let mut asked = asked(case);
            client.send(&asked).unwrap();
            // And one to be dropped in silence.
            asked[2] |= 0x80;
            client.send(&asked).unwrap();
        }
        for (name, _, _, _, rcode) in CASES {
            let length = client.recv(&mut answer).unwrap();
            assert!(length >= 12, "{name}");
            assert_eq!(answer[3] & 15, rcode, "{name}: answers come in their order");
        }
    }
    stop.cancel();
    assert_eq!(running.join().unwrap(), 0);
}
