//! DNS over UDP as it goes over the wire: who gets an answer, and from which address.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test is a shell")]

#[path = "small/site.rs"]
mod site;
#[path = "small/zone.rs"]
mod zone;

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use dnsrouter::answer::{Lane, Transport, Worker};
use dnsrouter::counters::Registry;
use dnsrouter::io::deferred::{Deferred, Job, Jobs, Limit};
use dnsrouter::io::udp::{self, Own, Server};
use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
use tokio_util::sync::CancellationToken;
use zone::{PLAN, query, signed};

/// Longer than any of these takes, shorter than anybody waits.
const DEADLINE: Duration = Duration::from_secs(30);
const A: u8 = 1;

/// One thread that answers at one address.
struct Running {
    bound: SocketAddr,
    registry: Arc<Registry>,
    jobs: Jobs,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn at(address: &str) -> Self {
        Self::napping(address, Duration::ZERO)
    }

    fn napping(address: &str, nap: Duration) -> Self {
        let socket = Arc::new(udp::bind((address.parse::<IpAddr>().unwrap(), 0).into()).unwrap());
        let bound = socket.local_addr().unwrap();
        let (deferred, jobs) = Deferred::new();
        let server = Server::new(socket, Arc::clone(&PLAN), deferred, Own::new([bound])).unwrap();
        let mut server = server.napping(nap);
        let (registry, stop) = (Arc::new(Registry::default()), CancellationToken::new());
        let mut worker = Worker::new(registry.worker());
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || server.run(&mut worker, &stop)
        });
        Self { bound, registry, jobs, stop, thread: Some(thread) }
    }

    /// A client that asks at `address` and takes answers from nowhere else.
    fn client_of(&self, address: &str) -> UdpSocket {
        let asked = SocketAddr::new(address.parse().unwrap(), self.bound.port());
        let any: SocketAddr =
            if asked.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
        let client = UdpSocket::bind(any).unwrap();
        client.connect(asked).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        client
    }

    fn job(&mut self) -> Job {
        let waiting = async { tokio::time::timeout(DEADLINE, self.jobs.recv()).await };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(waiting).expect("in time").expect("a job")
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.registry.render();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// The canary: a query that is answered well. What was sent before it by anybody has been dealt
/// with when this returns, for one thread deals with it all in turn.
fn ask(client: &UdpSocket, id: u16) {
    client.send(&query(id, "ns1", A)).unwrap();
    let answer = receive(client);
    assert_eq!(answer[..2], id.to_be_bytes());
    assert!(answer.ends_with(&[192, 0, 2, 53]), "{answer:?}");
}

fn receive(client: &UdpSocket) -> Vec<u8> {
    let mut answer = [0; 4096];
    let length = client.recv(&mut answer).unwrap();
    answer[..length].to_vec()
}

fn heard_nothing(client: &UdpSocket) {
    client.set_nonblocking(true).unwrap();
    let heard = client.recv(&mut [0; 4096]).map_err(|error| error.kind());
    assert_eq!(heard, Err(ErrorKind::WouldBlock));
}

#[test]
fn on_all_addresses_an_answer_leaves_from_the_one_that_was_asked() {
    for (wildcard, addresses) in
        [("0.0.0.0", &["127.0.0.1", "127.0.0.2", "127.0.0.3"][..]), ("::", &["::1"])]
    {
        let running = Running::at(wildcard);
        let clients: Vec<_> = addresses.iter().map(|address| running.client_of(address)).collect();
        for id in 0..100 {
            clients.iter().for_each(|client| ask(client, id));
        }
        // Answers of one batch, each from another address.
        for client in &clients {
            client.send(&query(7, "ns1", A)).unwrap();
        }
        for client in &clients {
            assert!(receive(client).ends_with(&[192, 0, 2, 53]));
        }
    }
}

#[test]
fn more_queries_than_a_batch_holds_are_all_answered() {
    let running = Running::at("127.0.0.1");
    let client = running.client_of("127.0.0.1");
    for id in 0..100_u16 {
        client.send(&query(id, "ns1", A)).unwrap();
    }
    for id in 0..100_u16 {
        assert_eq!(receive(&client)[..2], id.to_be_bytes(), "in their order");
    }
}

#[test]
fn who_naps_answers_all_the_same() {
    let running = Running::napping("127.0.0.1", Duration::from_millis(1));
    let clients: Vec<_> = (0..4).map(|_| running.client_of("127.0.0.1")).collect();
    for id in 0..500 {
        for client in &clients {
            client.send(&query(id, "ns1", A)).unwrap();
        }
        for client in &clients {
            assert!(receive(client).ends_with(&[192, 0, 2, 53]));
        }
    }
}

/// RFC 9715 §3.1: neither the kernel's idea of a path nor a router cuts an answer.
#[test]
fn answers_go_whole_or_not_at_all() {
    let prepared = |address: &str| {
        let address: SocketAddr = (address.parse::<IpAddr>().unwrap(), 0).into();
        let socket = Arc::new(udp::bind(address).unwrap());
        let (deferred, _jobs) = Deferred::new();
        Server::new(Arc::clone(&socket), Arc::clone(&PLAN), deferred, Own::new([])).unwrap();
        socket
    };
    let v4 = sockopt::ip_mtu_discover(prepared("127.0.0.1")).unwrap();
    assert_eq!(v4, Ipv4PathMtuDiscovery::PROBE);
    let v6 = sockopt::ipv6_mtu_discover(prepared("::1")).unwrap();
    assert_eq!(v6, Ipv6PathMtuDiscovery::OMIT);
}

#[test]
fn what_comes_from_ourselves_is_dropped_in_silence() {
    let running = Running::at("0.0.0.0");
    let canary = running.client_of("127.0.0.1");
    // The same port of another address of the machine, which is ours as well.
    let ourselves = udp::bind(SocketAddr::new([127, 0, 0, 5].into(), running.bound.port()));
    let ourselves = ourselves.unwrap();
    ourselves.connect(("127.0.0.1", running.bound.port())).unwrap();
    ask(&canary, 1);
    ourselves.send(&query(2, "ns1", A)).unwrap();
    ask(&canary, 3);
    heard_nothing(&ourselves);
    assert_eq!(running.metric("dnsrouter_dropped_total"), 1);
}

#[test]
fn a_response_is_dropped_in_silence_whoever_sends_it() {
    let running = Running::at("127.0.0.1");
    let (canary, client) = (running.client_of("127.0.0.1"), running.client_of("127.0.0.1"));
    let mut response = query(2, "ns1", A);
    response[2] |= 0x80;
    client.send(&response).unwrap();
    client.send(&response[..11]).unwrap();
    client.send(&[]).unwrap();
    ask(&canary, 3);
    heard_nothing(&client);
}

#[test]
fn a_deferred_answer_leaves_from_the_address_that_was_asked() {
    let mut running = Running::at("0.0.0.0");
    let client = running.client_of("127.0.0.3");
    client.send(&signed(9, "ns1", A)).unwrap();
    let job = running.job();
    assert_eq!(job.bytes[..], signed(9, "ns1", A));
    assert_eq!(job.local, client.peer_addr().unwrap());
    assert_eq!(job.peer.port(), client.local_addr().unwrap().port());
    assert_eq!(job.transport, Transport::Udp);
    ask(&client, 10);
    (job.done)(b"some reply".to_vec());
    assert_eq!(receive(&client), b"some reply");
}

#[test]
fn who_finds_the_queue_full_hears_nothing_and_others_are_answered() {
    let running = Running::at("127.0.0.1");
    let (canary, client) = (running.client_of("127.0.0.1"), running.client_of("127.0.0.1"));
    // All are of one network, and name a key that nobody has.
    let share = u16::try_from(Limit::of(Lane::Stranger).share).unwrap();
    for id in 0..share + 20 {
        client.send(&signed(id, "ns1", A)).unwrap();
    }
    ask(&canary, 1);
    heard_nothing(&client);
    assert_eq!(running.metric("dnsrouter_queue_full_total{lane=\"stranger\"}"), 20);
}
