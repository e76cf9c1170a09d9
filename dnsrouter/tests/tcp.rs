//! DNS over TCP as strangers use it: endless, silent, slow, and too many of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test is a shell")]

#[path = "small/site.rs"]
mod site;
#[path = "small/zone.rs"]
mod zone;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dnsrouter::answer::{Lane, Transport, Worker};
use dnsrouter::counters::Registry;
use dnsrouter::io::deferred::{Deferred, Job, Jobs, Limit};
use dnsrouter::io::tcp::{self, Connections, Limits};
use ipnet::IpNet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zone::PLAN;

/// Longer than any of these takes, shorter than anybody waits.
const DEADLINE: Duration = Duration::from_secs(30);
/// A time-out that must not be the reason for anything.
const NEVER: Duration = Duration::from_secs(3600);

/// Nothing ends a connection, unless a test says what.
const PATIENT: Limits = Limits {
    connections: 64,
    pending: 64,
    unfinished: 64 << 20,
    per_client: 64,
    idle: NEVER,
    least_idle: NEVER,
    slow: NEVER,
    in_flight: 4,
    lifetime: NEVER,
};

struct Server {
    address: SocketAddr,
    workers: Arc<AtomicUsize>,
    registry: Arc<Registry>,
    jobs: Jobs,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        Self::behind(&[], limits).await
    }

    /// One whose peers inside these networks are proxies.
    async fn behind(proxies: &[&str], limits: Limits) -> Self {
        Self::beside(&Connections::new(limits), proxies).await
    }

    /// One of several that share their limits.
    async fn beside(connections: &Connections, proxies: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, workers) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let registry = Arc::new(Registry::default());
        let new_worker = {
            let (made, registry) = (Arc::clone(&workers), Arc::clone(&registry));
            move || {
                made.fetch_add(1, Ordering::SeqCst);
                Worker::new(registry.worker())
            }
        };
        let (deferred, jobs) = Deferred::new();
        let proxies = proxies.iter().map(|text| text.parse::<IpNet>().unwrap()).collect();
        let (connections, plan) = (connections.clone(), Arc::clone(&PLAN));
        let server = tcp::Server::new(connections, plan, deferred, proxies, new_worker);
        let running = tokio::spawn(server.run(listener, stop.clone()));
        Self { address, workers, registry, jobs, stop, running }
    }

    async fn job(&mut self) -> Job {
        soon(self.jobs.recv()).await.unwrap()
    }

    async fn connect(&self) -> TcpStream {
        soon(TcpStream::connect(self.address)).await.unwrap()
    }

    /// A connection that was accepted and answered.
    async fn guest(&self) -> TcpStream {
        let mut stream = self.connect().await;
        ask(&mut stream).await.unwrap();
        stream
    }
}

/// A framed query with id 7 for `label`.test-net.io.
fn query(label: &str, rtype: u8) -> Vec<u8> {
    framed(&zone::query(7, label, rtype))
}

/// A framed query that somebody else has to answer.
fn signed(id: u16) -> Vec<u8> {
    framed(&zone::signed(id, "ns1", 1))
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes()[..], bytes].concat()
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("the deadline has passed")
}

/// Asks for an address and reads the answer; an error when the connection is gone.
async fn ask(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(&query("ns1", 1)).await?;
    let answer = read_answer(stream).await?;
    assert!(answer.ends_with(&[192, 0, 2, 53]), "{answer:?}");
    Ok(())
}

/// Reads an answer to query 7.
async fn read_answer(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let answer = read_message(stream).await?;
    assert_eq!((&answer[..2], answer[3] & 15), (&[0, 7][..], 0), "our id, NOERROR");
    Ok(answer)
}

async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    soon(async {
        let length = stream.read_u16().await?;
        let mut message = vec![0; usize::from(length)];
        stream.read_exact(&mut message).await?;
        Ok(message)
    })
    .await
}

/// Waits until the server hangs up.
async fn hung_up(stream: &mut TcpStream) {
    let ended = soon(stream.read(&mut [0; 1])).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "it sent something");
}

/// What nobody reads any more must not reset the connection: answers would be lost with it.
#[tokio::test]
async fn what_is_answered_arrives_before_the_end() {
    let server = Server::start(PATIENT).await;
    let mut stream = server.connect().await;
    let queries = query("ns1", 1).repeat(40);
    let (nonsense, rest) = (framed(&[1, 2, 3]), query("ns1", 1).repeat(1000));
    stream.write_all(&[queries, nonsense, rest].concat()).await.unwrap();
    for _ in 0..40 {
        read_answer(&mut stream).await.unwrap();
    }
    assert_eq!(soon(stream.read(&mut [0; 1])).await.unwrap(), 0, "an end, and no reset");
}

#[tokio::test]
async fn a_reply_that_is_on_its_way_is_not_lost_with_what_comes_after_its_query() {
    for after in [framed(&[1, 2, 3]), vec![0, 40, 1]] {
        let mut server = Server::start(PATIENT).await;
        let mut stream = server.connect().await;
        stream.write_all(&[signed(1), after].concat()).await.unwrap();
        stream.shutdown().await.unwrap();
        let job = server.job().await;
        (job.done)(b"reply".to_vec());
        assert_eq!(read_message(&mut stream).await.unwrap(), b"reply");
        assert_eq!(soon(stream.read(&mut [0; 1])).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn whoever_asks_no_more_gets_all_its_answers() {
    let mut server = Server::start(PATIENT).await;
    let mut stream = server.connect().await;
    // One more than may be in flight, and one behind it.
    let waiting = 1..=u16::try_from(PATIENT.in_flight + 1).unwrap();
    let signed: Vec<_> = waiting.clone().flat_map(signed).collect();
    stream.write_all(&[signed, query("ns1", 1)].concat()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut replies = 0;
    for _ in waiting.clone() {
        let job = server.job().await;
        (job.done)(b"reply".to_vec());
        let next = read_message(&mut stream).await.unwrap();
        replies += usize::from(next == b"reply");
    }
    let last = read_message(&mut stream).await.unwrap();
    replies += usize::from(last == b"reply");
    assert_eq!(replies, waiting.count(), "and one that had not to wait");
    hung_up(&mut stream).await;
}

#[tokio::test]
async fn nobody_waits_for_one_who_asks_without_end() {
    let server = Server::start(PATIENT).await;
    let (mut from, mut to) = server.guest().await.into_split();
    let asking = tokio::spawn(async move {
        let many = query("ns1", 1).repeat(1000);
        while to.write_all(&many).await.is_ok() {}
    });
    let reading = tokio::spawn(async move {
        let mut sink = vec![0; 1 << 16];
        while from.read(&mut sink).await.is_ok_and(|n| n > 0) {}
    });
    for _ in 0..20 {
        server.guest().await;
    }
    assert!(!asking.is_finished() && !reading.is_finished(), "it asks all the while");
    asking.abort();
    reading.abort();
}

#[tokio::test]
async fn a_connection_lasts_so_long_and_no_longer() {
    let lifetime = Duration::from_millis(100);
    let server = Server::start(Limits { lifetime, ..PATIENT }).await;
    let started = std::time::Instant::now();
    let mut stream = server.guest().await;
    while ask(&mut stream).await.is_ok() {
        assert!(started.elapsed() < DEADLINE, "it owns its place");
    }
    assert!(started.elapsed() >= lifetime);
}

#[tokio::test]
async fn a_newcomer_at_a_full_table_gets_the_place_of_the_idlest() {
    let server = Server::start(Limits { connections: 2, ..PATIENT }).await;
    let mut first = server.guest().await;
    let mut second = server.guest().await;
    ask(&mut first).await.unwrap();
    let mut third = server.guest().await;
    hung_up(&mut second).await;
    ask(&mut first).await.unwrap();
    ask(&mut third).await.unwrap();
    let _fourth = server.guest().await;
    hung_up(&mut first).await;
}

#[tokio::test]
async fn limits_are_for_all_listeners_together() {
    let connections = Connections::new(Limits { connections: 3, per_client: 2, ..PATIENT });
    let here = Server::beside(&connections, &[]).await;
    let there = Server::beside(&connections, &["127.0.0.0/8"]).await;
    let mut first = here.guest().await;
    let _second = here.guest().await;
    let from = |client| {
        let there = &there;
        async move {
            let mut stream = there.connect().await;
            stream.write_all(&stands_for([192, 0, 2, client])).await.unwrap();
            ask(&mut stream).await.map(|()| stream)
        }
    };
    assert!(from_us(&there).await.is_err(), "a client's share is one, wherever it asks");
    let _third = from(1).await.unwrap();
    let _fourth = from(2).await.unwrap();
    hung_up(&mut first).await;
}

/// A proxy that speaks for itself.
async fn from_us(server: &Server) -> io::Result<()> {
    let mut stream = server.connect().await;
    stream.write_all(LOCAL).await?;
    ask(&mut stream).await
}

#[tokio::test]
async fn silent_connections_do_not_keep_others_out() {
    let server = Server::start(Limits { connections: 8, ..PATIENT }).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(server.connect().await);
    }
    server.guest().await;
    for stream in &mut silent[..30] {
        hung_up(stream).await;
    }
}

#[tokio::test]
async fn a_client_has_its_share_and_no_more() {
    let server = Server::start(Limits { per_client: 2, ..PATIENT }).await;
    let mut guests = [server.guest().await, server.guest().await];
    hung_up(&mut server.connect().await).await;
    for guest in &mut guests {
        ask(guest).await.unwrap();
    }
}

#[tokio::test]
async fn silence_is_borne_for_less_when_places_are_scarce() {
    let least_idle = Duration::from_millis(20);
    let server = Server::start(Limits { connections: 2, least_idle, ..PATIENT }).await;
    let mut first = server.guest().await;
    let mut second = server.guest().await;
    // Alone, a connection may be silent for half an hour; at a full table, for a moment.
    soon(async {
        tokio::select! {
            () = hung_up(&mut first) => {}
            () = hung_up(&mut second) => {}
        }
    })
    .await;
}

#[tokio::test]
async fn silence_ends_a_connection() {
    let idle = Duration::from_millis(20);
    let server = Server::start(Limits { idle, least_idle: idle, ..PATIENT }).await;
    hung_up(&mut server.guest().await).await;
    hung_up(&mut server.connect().await).await;
}

#[tokio::test]
async fn half_a_query_ends_a_connection() {
    let slow = Duration::from_millis(20);
    let server = Server::start(Limits { slow, ..PATIENT }).await;
    let whole = query("ns1", 1);
    for cut in [1, 2, 3, whole.len() - 1] {
        let mut stream = server.connect().await;
        stream.write_all(&whole[..cut]).await.unwrap();
        hung_up(&mut stream).await;
    }
}

#[tokio::test]
async fn answers_that_nobody_takes_end_a_connection() {
    let slow = Duration::from_millis(50);
    let server = Server::start(Limits { slow, ..PATIENT }).await;
    let mut stream = server.connect().await;
    let large = query("large", 16);
    let refused = soon(async {
        loop {
            if let Err(error) = stream.write_all(&large).await {
                return error;
            }
        }
    });
    let kind = refused.await.kind();
    assert!(matches!(kind, io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe), "{kind}");
}

#[tokio::test]
async fn an_answer_taken_in_pieces_is_whole() {
    let server = Server::start(PATIENT).await;
    let mut stream = server.connect().await;
    // More than the sockets' buffers hold, so that some of them are sent in parts.
    let queries = 200;
    stream.write_all(&query("large", 16).repeat(queries)).await.unwrap();
    let first = read_answer(&mut stream).await.unwrap();
    assert!(first.len() > 50_000, "{}", first.len());
    for _ in 1..queries {
        assert!(read_answer(&mut stream).await.unwrap() == first);
    }
}

#[tokio::test]
async fn connections_share_what_answers_are_made_with() {
    let server = Server::start(PATIENT).await;
    let mut guests = Vec::new();
    for _ in 0..50 {
        guests.push(server.guest().await);
    }
    for guest in &mut guests {
        ask(guest).await.unwrap();
    }
    assert_eq!(server.workers.load(Ordering::SeqCst), 1, "one thread, one buffer");
}

#[tokio::test]
async fn told_to_stop_it_ends_though_connections_are_open() {
    let server = Server::start(PATIENT).await;
    let _silent = server.connect().await;
    let mut guest = server.guest().await;
    server.stop.cancel();
    soon(server.running).await.unwrap();
    hung_up(&mut guest).await;
}

#[tokio::test]
async fn what_has_to_be_waited_for_holds_up_nobody_behind_it() {
    let mut server = Server::start(PATIENT).await;
    let mut stream = server.connect().await;
    let queries = [signed(1), query("ns1", 1), signed(2), query("large", 16), query("ns1", 1)];
    stream.write_all(&queries.concat()).await.unwrap();
    for length in [47, 50_000, 47] {
        assert!(read_answer(&mut stream).await.unwrap().len() >= length, "in their order");
    }
    let (first, second) = (server.job().await, server.job().await);
    assert_eq!((first.bytes[1], second.bytes[1]), (1, 2));
    assert_eq!((first.peer, first.local), (stream.local_addr().unwrap(), server.address));
    (second.done)(b"the second".to_vec());
    assert_eq!(read_message(&mut stream).await.unwrap(), b"the second");
    ask(&mut stream).await.unwrap();
    (first.done)(b"the first".to_vec());
    assert_eq!(read_message(&mut stream).await.unwrap(), b"the first");
}

#[tokio::test]
async fn with_so_many_waiting_no_more_are_read_until_one_is_done() {
    let mut server = Server::start(PATIENT).await;
    let mut stream = server.connect().await;
    for id in 1..=4 {
        stream.write_all(&signed(id)).await.unwrap();
    }
    stream.write_all(&[query("ns1", 1), signed(5), query("ns1", 1)].concat()).await.unwrap();
    let mut jobs = Vec::new();
    for _ in 0..4 {
        jobs.push(server.job().await);
    }
    // A canary has come and gone, and still nobody has looked at the rest.
    server.guest().await;
    assert!(tokio::time::timeout(Duration::ZERO, server.jobs.recv()).await.is_err());
    let unread = stream.try_read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(unread, Err(io::ErrorKind::WouldBlock));
    (jobs.remove(0).done)(b"reply".to_vec());
    assert_eq!(read_message(&mut stream).await.unwrap(), b"reply");
    read_answer(&mut stream).await.unwrap();
    assert_eq!(server.job().await.bytes[1], 5);
    // A job that nobody does makes room as well.
    drop(jobs);
    read_answer(&mut stream).await.unwrap();
}

#[tokio::test]
async fn replies_and_answers_are_whole_though_they_come_all_at_once() {
    let mut server = Server::start(Limits { in_flight: 64, ..PATIENT }).await;
    let mut stream = server.connect().await;
    let mut queries = Vec::new();
    for id in 1..=64 {
        queries.extend([signed(id), query("large", 16)].concat());
    }
    let (mut from, mut to) = stream.split();
    let doing = async {
        for _ in 0..64 {
            let job = server.job().await;
            tokio::task::spawn_blocking(move || {
                let reply = job.bytes[..2].repeat(10_000);
                (job.done)(reply);
            });
        }
    };
    let reading = async {
        let (mut replies, mut answers) = (0, 0);
        while replies + answers < 128 {
            let length = usize::from(from.read_u16().await.unwrap());
            let mut message = vec![0; length];
            from.read_exact(&mut message).await.unwrap();
            if length == 20_000 {
                assert!(message.chunks(2).all(|id| id == &message[..2]), "one reply, whole");
                replies += 1;
            } else {
                assert!(length > 50_000 && message[..2] == [0, 7]);
                answers += 1;
            }
        }
        assert_eq!((replies, answers), (64, 64));
    };
    let writing = async { to.write_all(&queries).await.unwrap() };
    soon(async { tokio::join!(doing, reading, writing) }).await;
}

#[tokio::test]
async fn who_waits_for_a_reply_is_not_idle() {
    let idle = Duration::from_millis(20);
    let mut server = Server::start(Limits { idle, least_idle: idle, ..PATIENT }).await;
    let mut stream = server.connect().await;
    stream.write_all(&signed(1)).await.unwrap();
    let job = server.job().await;
    tokio::time::sleep(idle * 10).await;
    (job.done)(b"reply".to_vec());
    assert_eq!(read_message(&mut stream).await.unwrap(), b"reply");
    hung_up(&mut stream).await;
}

#[tokio::test]
async fn half_a_query_ends_a_connection_that_waits_for_a_reply_too() {
    let slow = Duration::from_millis(50);
    let mut server = Server::start(Limits { slow, ..PATIENT }).await;
    let mut stream = server.connect().await;
    stream.write_all(&[signed(1), query("ns1", 1)[..9].to_vec()].concat()).await.unwrap();
    let _job = server.job().await;
    hung_up(&mut stream).await;
}

#[tokio::test]
async fn who_asks_no_more_still_gets_the_reply() {
    let mut server = Server::start(PATIENT).await;
    let mut stream = server.connect().await;
    stream.write_all(&[signed(1), query("ns1", 1)].concat()).await.unwrap();
    stream.shutdown().await.unwrap();
    read_answer(&mut stream).await.unwrap();
    (server.job().await.done)(b"reply".to_vec());
    assert_eq!(read_message(&mut stream).await.unwrap(), b"reply");
    hung_up(&mut stream).await;
}

#[tokio::test]
async fn a_reply_that_does_not_come_is_not_waited_for_without_end() {
    let slow = Duration::from_millis(50);
    let mut server = Server::start(Limits { slow, lifetime: slow, ..PATIENT }).await;
    let mut stream = server.connect().await;
    stream.write_all(&signed(1)).await.unwrap();
    let _job = server.job().await;
    hung_up(&mut stream).await;
}

#[tokio::test]
async fn a_connection_that_finds_the_queue_full_is_closed() {
    let most = Limit::of(Lane::Tcp).share;
    let mut server = Server::start(Limits { in_flight: most + 1, ..PATIENT }).await;
    let mut stream = server.connect().await;
    stream.write_all(&signed(1).repeat(most + 1)).await.unwrap();
    let full = "\ndnsrouter_queue_full_total{lane=\"tcp\"} 1\n";
    soon(async {
        while !server.registry.render().contains(full) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Those before it are answered first.
    for i in 0..most {
        (server.job().await.done)(b"reply".to_vec());
        let message = read_message(&mut stream).await;
        assert_eq!(message.ok().as_deref(), Some(&b"reply"[..]), "{i} of {most}");
    }
    hung_up(&mut stream).await;
    server.guest().await;
}

#[tokio::test]
async fn told_to_stop_it_lets_a_job_finish() {
    let mut server = Server::start(PATIENT).await;
    let mut stream = server.connect().await;
    stream.write_all(&signed(1)).await.unwrap();
    let job = server.job().await;
    server.stop.cancel();
    (job.done)(b"reply".to_vec());
    assert_eq!(read_message(&mut stream).await.unwrap(), b"reply");
    soon(server.running).await.unwrap();
}

/// What a client is told of its idle time: a job carries what an answer does.
async fn told(server: &mut Server, stream: &mut TcpStream) -> Duration {
    stream.write_all(&signed(1)).await.unwrap();
    let job = server.job().await;
    let Transport::Tcp { idle } = job.transport else { panic!("{:?}", job.transport) };
    (job.done)(b"reply".to_vec());
    read_message(stream).await.unwrap();
    idle
}

#[tokio::test]
async fn a_client_is_told_how_long_it_may_be_silent_now() {
    let (idle, least_idle) = (Duration::from_secs(10), Duration::from_secs(1));
    let limits = Limits { connections: 10, per_client: 10, idle, least_idle, ..PATIENT };
    let mut server = Server::start(limits).await;
    let mut stream = server.connect().await;
    let alone = told(&mut server, &mut stream).await;
    assert!(alone < idle && alone > least_idle * 5, "{alone:?}");
    let mut others = Vec::new();
    for _ in 1..10 {
        others.push(server.guest().await);
    }
    assert_eq!(told(&mut server, &mut stream).await, least_idle, "the table is full");
    let lifetime = Duration::from_secs(2);
    let mut server = Server::start(Limits { lifetime, ..limits }).await;
    let mut stream = server.connect().await;
    assert!(told(&mut server, &mut stream).await <= lifetime, "it ends before it is idle");
}

/// A PROXY header, version 2, of a client at this IPv4 address.
fn stands_for(client: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(client);
    header.extend([203, 0, 113, 53, 0x10, 0x92, 0, 53]);
    header
}

const LOCAL: &[u8; 16] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

#[tokio::test]
async fn a_proxy_says_whom_it_stands_for() {
    let mut server = Server::behind(&["127.0.0.0/8"], PATIENT).await;
    let mut stream = server.connect().await;
    // The header and what follows it, octet by octet.
    for octet in [stands_for([192, 0, 2, 1]), signed(1), query("ns1", 1)].concat() {
        stream.write_all(&[octet]).await.unwrap();
        tokio::task::yield_now().await;
    }
    read_answer(&mut stream).await.unwrap();
    let job = server.job().await;
    assert_eq!(job.peer, "192.0.2.1:4242".parse().unwrap());
    assert_eq!(job.local, "203.0.113.53:53".parse().unwrap());
}

#[tokio::test]
async fn a_proxy_may_speak_for_itself_and_leave_without_a_word() {
    let mut server = Server::behind(&["10.0.0.0/8", "127.0.0.1/32"], PATIENT).await;
    drop(server.connect().await);
    let mut stream = server.connect().await;
    stream.write_all(&[&LOCAL[..], &signed(1), &query("ns1", 1)].concat()).await.unwrap();
    read_answer(&mut stream).await.unwrap();
    assert_eq!(server.job().await.peer, stream.local_addr().unwrap());
}

#[tokio::test]
async fn a_proxy_must_send_a_header_and_nobody_else_is_believed() {
    let server = Server::behind(&["127.0.0.2/32"], PATIENT).await;
    let proxy = || async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        soon(socket.connect(server.address)).await.unwrap()
    };
    let mut stream = proxy().await;
    stream.write_all(&query("ns1", 1)).await.unwrap();
    hung_up(&mut stream).await;
    let mut stream = proxy().await;
    stream.write_all(&stands_for([192, 0, 2, 1])).await.unwrap();
    ask(&mut stream).await.unwrap();
    let mut stream = server.guest().await;
    // To anybody else these are the first octets of a message of 3,338, as they say.
    stream.write_all(&stands_for([192, 0, 2, 1])).await.unwrap();
    stream.write_all(&[0; 3338 - 26]).await.unwrap();
    assert_eq!(read_message(&mut stream).await.unwrap()[3] & 15, 1, "FORMERR");
    ask(&mut stream).await.unwrap();
}

#[tokio::test]
async fn a_header_must_be_whole_in_time() {
    let slow = Duration::from_millis(50);
    let server = Server::behind(&["127.0.0.0/8"], Limits { slow, ..PATIENT }).await;
    let header = stands_for([192, 0, 2, 1]);
    for cut in [0, 1, 12, 15, header.len() - 1] {
        let mut stream = server.connect().await;
        stream.write_all(&header[..cut]).await.unwrap();
        hung_up(&mut stream).await;
    }
}

#[tokio::test]
async fn long_messages_that_do_not_end_have_so_much_room_together() {
    let connections = Connections::new(Limits { unfinished: 200_000, ..PATIENT });
    let servers =
        [Server::beside(&connections, &[]).await, Server::beside(&connections, &[]).await];
    let mut guest = servers[0].guest().await;
    let longest = framed(&[0; 65_535]);
    let mut begun = Vec::new();
    for server in servers.iter().cycle().take(6) {
        let mut stream = server.connect().await;
        stream.write_all(&longest[..60_000]).await.unwrap();
        begun.push(stream);
    }
    // There is room for three; which of them came first, the server knows.
    soon(async {
        while begun.len() > 3 {
            begun.retain(|stream| {
                let read = stream.try_read(&mut [0; 1]).map_err(|error| error.kind());
                read == Err(io::ErrorKind::WouldBlock)
            });
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut left = begun;
    assert_eq!(left.len(), 3);
    ask(&mut guest).await.unwrap();
    // A whole one is answered, and gives its room back.
    left[0].write_all(&longest[60_000..]).await.unwrap();
    assert_eq!(read_message(&mut left[0]).await.unwrap()[3] & 15, 1, "FORMERR");
    let mut another = servers[1].connect().await;
    another.write_all(&longest).await.unwrap();
    assert!(!read_message(&mut another).await.unwrap().is_empty());
    for stream in &mut left[1..] {
        let unread = stream.try_read(&mut [0; 1]).map_err(|error| error.kind());
        assert_eq!(unread, Err(io::ErrorKind::WouldBlock), "nobody left for it");
    }
}

#[tokio::test]
async fn silent_proxies_send_nobody_away() {
    let limits = Limits { connections: 2, pending: 2, per_client: 1, ..PATIENT };
    let connections = Connections::new(limits);
    let (direct, proxied) = (
        Server::beside(&connections, &[]).await,
        Server::beside(&connections, &["127.0.0.0/8"]).await,
    );
    let mut guest = direct.guest().await;
    let mut silent = Vec::new();
    for _ in 0..6 {
        silent.push(proxied.connect().await);
    }
    hung_up(&mut silent[3]).await;
    // Its client has its share already: nobody leaves for it.
    assert!(from_us(&proxied).await.is_err());
    ask(&mut guest).await.unwrap();
}

#[tokio::test]
async fn shares_are_the_clients_and_not_the_proxy_s() {
    let server = Server::behind(&["127.0.0.0/8"], Limits { per_client: 2, ..PATIENT }).await;
    let mut streams = Vec::new();
    for client in [1, 1, 2, 2] {
        let mut stream = server.connect().await;
        stream.write_all(&stands_for([192, 0, 2, client])).await.unwrap();
        ask(&mut stream).await.unwrap();
        streams.push(stream);
    }
    let mut third = server.connect().await;
    third.write_all(&stands_for([192, 0, 2, 1])).await.unwrap();
    hung_up(&mut third).await;
    for stream in &mut streams {
        ask(stream).await.unwrap();
    }
}
