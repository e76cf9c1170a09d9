//! The server under test: the real loader, the real tables, no sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use dnsrouter::answer::{Query, Reply, Transport, Worker, answer};
use dnsrouter::counters::Counters;
use dnsrouter::health::State;
use dnsrouter::io::load::Loader;
use dnsrouter::plan::{Generation, Snapshot};
use dnsrouter::random::Random;
use dnsrouter::verdicts::Health;

/// The zones that are served; nothing else is ours.
pub const ZONES: [&str; 3] = ["test-net.io.", "inner.test-net.io.", "2.0.192.in-addr.arpa."];

/// The largest answer over UDP.
pub const PAYLOAD: usize = 1232;

static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("world/dnsrouter.toml");
    let loaded = Loader::default().load(&config, &[]).unwrap_or_else(|e| panic!("{}", e.report()));
    let inputs = loaded.inputs(Generation(1));
    let up = inputs.services.targets.iter().map(|_| State::Up);
    Snapshot { health: Arc::new(Health::new(up)), inputs }
});

/// Loads everything, so that the first input is as fast as the next.
pub fn load() {
    LazyLock::force(&SNAPSHOT);
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A reply.
    Said(Vec<u8>),
    /// Nothing.
    Silent,
    /// Handed to those who may wait.
    Deferred,
}

/// How a query is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// A datagram.
    Udp,
    /// A connection.
    Tcp,
}

/// Asks; the same question gets the same answer, whatever was asked before.
pub fn ask(bytes: &[u8], peer: IpAddr, via: Via) -> Outcome {
    let mut worker = Worker::with_random(Arc::new(Counters::default()), Random::from_seed(1));
    let transport = match via {
        Via::Udp => Transport::Udp,
        Via::Tcp => Transport::Tcp { idle: Duration::from_secs(10) },
    };
    let query = Query {
        bytes,
        peer: SocketAddr::new(peer, 4242),
        local: SocketAddr::from((Ipv4Addr::LOCALHOST, 53)),
        transport,
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    };
    // As much as the transport has room for: over UDP no more than the transport can send.
    let room = match via {
        Via::Udp => PAYLOAD,
        Via::Tcp => usize::from(u16::MAX),
    };
    let mut out = vec![0; room];
    match answer(&SNAPSHOT, &mut worker, query, &mut out) {
        Reply::Bytes(length) => {
            out.truncate(length);
            Outcome::Said(out)
        }
        Reply::Drop => Outcome::Silent,
        Reply::Deferred(_) => Outcome::Deferred,
    }
}

/// A peer from five octets: the family, and as much of an address as makes a difference.
pub fn peer([family, a, b, c, d]: [u8; 5]) -> IpAddr {
    match family % 4 {
        0 => Ipv4Addr::LOCALHOST.into(),
        1 => Ipv4Addr::new(a, b, c, d).into(),
        2 => Ipv6Addr::from([0x20, 1, 0xd, 0xb8, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 1]).into(),
        _ => Ipv6Addr::from([a, b, c, d, 0, 0, 0, 0, 0, 0, 0xff, 0xff, d, c, b, a]).into(),
    }
}
