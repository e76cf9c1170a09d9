//! DNS over TCP as strangers use it: endless, silent, slow, and too many of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test is a shell")]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use dnsrouter::answer::Worker;
use dnsrouter::counters::Registry;
use dnsrouter::io::load::Loader;
use dnsrouter::io::tcp::{self, Limits};
use dnsrouter::plan::{Generation, Published};
use dnsrouter::policy::Health;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than any of these takes, shorter than anybody waits.
const DEADLINE: Duration = Duration::from_secs(30);
/// A time-out that must not be the reason for anything.
const NEVER: Duration = Duration::from_secs(3600);

const CONFIG: &str = r#"
[node]
name = "ns1"
region = "us-central1"
[listen]
dns = ["127.0.0.1:0"]
[[zone]]
name = "test-net.io"
file = "zone"
"#;

/// Nothing ends a connection, unless a test says what.
const PATIENT: Limits = Limits {
    connections: 64,
    per_client: 64,
    idle: NEVER,
    least_idle: NEVER,
    slow: NEVER,
    queries: u32::MAX,
    lifetime: NEVER,
};

struct Server {
    address: SocketAddr,
    workers: Arc<AtomicUsize>,
    stop: CancellationToken,
    running: JoinHandle<io::Result<()>>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, workers) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let (registry, made) = (Registry::default(), Arc::clone(&workers));
        let new_worker = move || {
            made.fetch_add(1, Ordering::SeqCst);
            Worker::new(registry.worker())
        };
        let serving =
            tcp::run_within(limits, listener, Arc::clone(&PLAN), new_worker, stop.clone());
        Self { address, workers, stop, running: tokio::spawn(serving) }
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

/// One for all tests: the built-in country database takes a while to load.
static PLAN: LazyLock<Arc<Published>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dnsrouter.toml");
    std::fs::write(&file, CONFIG).unwrap();
    let text = format!("\"{}\" ", "x".repeat(250)).repeat(200);
    let zone =
        format!("$TTL 300\n@ SOA ns1 h 1 2 3 4 60\n@ NS ns1\nns1 A 192.0.2.53\nlarge TXT {text}\n");
    std::fs::write(folder.path().join("zone"), zone).unwrap();
    let loaded = Loader::default().load(&file, &[]).unwrap_or_else(|e| panic!("{}", e.report()));
    Arc::new(Published::new(loaded.inputs(Generation(1)), Health::new([])))
});

/// A framed query with id 7 for `label`.test-net.io.
fn query(label: &str, rtype: u8) -> Vec<u8> {
    let mut bytes = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in [label, "test-net", "io"] {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, 0, rtype, 0, 1]);
    let length = u16::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes()[..], &bytes].concat()
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

async fn read_answer(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    soon(async {
        let length = stream.read_u16().await?;
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await?;
        assert_eq!((&answer[..2], answer[3] & 15), (&[0, 7][..], 0), "our id, NOERROR");
        Ok(answer)
    })
    .await
}

/// Waits until the server hangs up.
async fn hung_up(stream: &mut TcpStream) {
    let ended = soon(stream.read(&mut [0; 1])).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "it sent something");
}

#[tokio::test]
async fn a_connection_answers_so_many_queries_and_no_more() {
    let server = Server::start(Limits { queries: 40, ..PATIENT }).await;
    let mut stream = server.connect().await;
    stream.write_all(&query("ns1", 1).repeat(41)).await.unwrap();
    for _ in 0..40 {
        read_answer(&mut stream).await.unwrap();
    }
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
    soon(server.running).await.unwrap().unwrap();
    hung_up(&mut guest).await;
}
