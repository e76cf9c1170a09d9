//! The DNS path allocates nothing: from a query's octets to its reply's, through the seam and the
//! published snapshot, for static names and for services; and from a socket to the same socket.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test is a shell")]

#[path = "../../dns/tests/counting/allocator.rs"]
mod allocator;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use allocator::allocations;
use dnsrouter::answer::{Query, Reply, Transport, Worker, answer_or_servfail};
use dnsrouter::counters::Counters;
use dnsrouter::health::State;
use dnsrouter::io::deferred::Deferred;
use dnsrouter::io::load::Loader;
use dnsrouter::io::udp::{self, Own, Server};
use dnsrouter::plan::{Generation, Published};
use dnsrouter::policy::Health;
use dnsrouter::random::Random;
use tokio_util::sync::CancellationToken;

const CONFIG: &str = r#"
[node]
name = "ns1"
region = "us-central1"
[listen]
dns = ["127.0.0.1:0"]
[[zone]]
name = "test-net.io"
file = "zone"
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

const ZONE: &str = "$TTL 300\n@ SOA ns1 h 1 2 3 4 60\n@ NS ns1\nns1 A 192.0.2.53\n\
                    www CNAME geo\n*.wild TXT text\n";

fn query(name: &str, rtype: u8, subnet: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, 0, rtype, 0, 1]);
    let length = u8::try_from(subnet.len()).unwrap();
    bytes.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, length]);
    bytes.extend(subnet);
    bytes
}

/// The client subnet 141.2.0.0/24, and the same with a /23 that it does not fit.
const NEAR: [u8; 11] = [0, 8, 0, 7, 0, 1, 24, 0, 141, 2, 0];
const MALFORMED: [u8; 11] = [0, 8, 0, 7, 0, 1, 23, 0, 141, 2, 1];

/// Name, type, EDNS options, and the response code that shows that the case is the one meant.
const CASES: [(&str, u8, &[u8], u8); 10] = [
    ("geo.test-net.io", 1, &NEAR, 0),
    ("geo.test-net.io", 28, &NEAR, 0),
    ("geo.test-net.io", 1, &[], 0),
    ("geo.test-net.io", 16, &NEAR, 0),
    ("www.test-net.io", 1, &NEAR, 0),
    ("a.wild.test-net.io", 16, &[], 0),
    ("test-net.io", 255, &[], 0),
    ("nope.test-net.io", 1, &[], 3),
    ("example.org", 1, &[], 5),
    ("geo.test-net.io", 1, &MALFORMED, 1),
];

fn published() -> Published {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dnsrouter.toml");
    std::fs::write(&file, CONFIG).unwrap();
    std::fs::write(folder.path().join("zone"), ZONE).unwrap();
    let loaded = Loader::default().load(&file, &[]).unwrap_or_else(|e| panic!("{}", e.report()));
    Published::new(loaded.inputs(Generation(1)), Health::new([State::Up]))
}

#[test]
fn no_answer_allocates() {
    let published = published();
    let mut worker = Worker::with_random(Arc::new(Counters::default()), Random::from_seed(1));
    let mut out = [0; 1232];
    // A thread's first look at the plan enters it into a list of readers, once.
    drop(published.load());

    for (name, rtype, subnet, rcode) in CASES {
        let bytes = query(name, rtype, subnet);
        let before = allocations();
        let query = Query {
            bytes: &bytes,
            peer: SocketAddr::from(([198, 51, 100, 1], 4242)),
            local: SocketAddr::from(([127, 0, 0, 1], 53)),
            transport: Transport::Udp,
            now: SystemTime::UNIX_EPOCH,
        };
        let reply = answer_or_servfail(&published.load(), &mut worker, query, &mut out);
        let counted = allocations() - before;
        assert!(matches!(reply, Reply::Bytes(_)), "{name}");
        assert_eq!(out[3] & 15, rcode, "{name}: the case is the one that was meant");
        assert_eq!(counted, 0, "{name} TYPE{rtype}");
    }
}

#[test]
fn the_loop_over_a_socket_does_not_allocate() {
    /// Rounds through the cases, each sent at once so that batches of all sizes arise.
    const ROUNDS: usize = 500;

    let socket = Arc::new(udp::bind(SocketAddr::from(([0, 0, 0, 0], 0))).unwrap());
    let bound = socket.local_addr().unwrap();
    let (stop, plan) = (CancellationToken::new(), Arc::new(published()));
    let running = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let own = Own::new([bound]);
            let mut server =
                Server::new(socket, Arc::clone(&plan), Deferred::new().0, own).unwrap();
            let mut worker = Worker::new(Arc::new(Counters::default()));
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
        for (name, rtype, subnet, _) in CASES {
            let mut asked = query(name, rtype, subnet);
            client.send(&asked).unwrap();
            // And one to be dropped in silence.
            asked[2] |= 0x80;
            client.send(&asked).unwrap();
        }
        for (name, _, _, rcode) in CASES {
            let length = client.recv(&mut answer).unwrap();
            assert!(length > 12, "{name}");
            assert_eq!(answer[3] & 15, rcode, "{name}: answers come in their order");
        }
    }
    stop.cancel();
    assert_eq!(running.join().unwrap(), 0);
}
