//! The DNS path allocates nothing: from a query's octets to its reply's, through the seam and the
//! published snapshot, for static names and for services.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../dns/tests/counting/allocator.rs"]
mod allocator;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use allocator::allocations;
use dnsrouter::answer::{Query, Reply, Transport, Worker, answer_or_servfail};
use dnsrouter::counters::Counters;
use dnsrouter::health::State;
use dnsrouter::io::load::Loader;
use dnsrouter::plan::{Generation, Published};
use dnsrouter::policy::Health;
use dnsrouter::random::Random;

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

#[test]
fn no_answer_allocates() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dnsrouter.toml");
    std::fs::write(&file, CONFIG).unwrap();
    std::fs::write(folder.path().join("zone"), ZONE).unwrap();
    let loaded = Loader::default().load(&file, &[]).unwrap_or_else(|e| panic!("{}", e.report()));
    let published = Published::new(loaded.inputs(Generation(1)), Health::new([State::Up]));
    let mut worker = Worker::with_random(Arc::new(Counters::default()), Random::from_seed(1));
    let mut out = [0; 1232];
    // A thread's first look at the plan enters it into a list of readers, once.
    drop(published.load());

    let near = [0, 8, 0, 7, 0, 1, 24, 0, 141, 2, 0];
    let malformed = [0, 8, 0, 7, 0, 1, 23, 0, 141, 2, 1];
    for (name, rtype, subnet, rcode) in [
        ("geo.test-net.io", 1, &near[..], 0),
        ("geo.test-net.io", 28, &near, 0),
        ("geo.test-net.io", 1, &[], 0),
        ("geo.test-net.io", 16, &near, 0),
        ("www.test-net.io", 1, &near, 0),
        ("a.wild.test-net.io", 16, &[], 0),
        ("test-net.io", 255, &[], 0),
        ("nope.test-net.io", 1, &[], 3),
        ("example.org", 1, &[], 5),
        ("geo.test-net.io", 1, &malformed, 1),
    ] {
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
