//! A server over TCP, and clients of it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dnsrouter::answer::Worker;
use dnsrouter::counters::Registry;
use dnsrouter::io::deferred::Deferred;
use dnsrouter::io::deferred::Job;
use dnsrouter::io::deferred::Jobs;
use dnsrouter::io::tcp;
use dnsrouter::io::tcp::Connections;
use dnsrouter::io::tcp::Limits;
use ipnet::IpNet;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::zone;
use crate::zone::PLAN;

/// Longer than any of these takes, shorter than anybody waits.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// A time-out that must not be the reason for anything.
pub(crate) const NEVER: Duration = Duration::from_secs(3600);

/// Nothing ends a connection, unless a test says what.
pub(crate) const PATIENT: Limits = Limits {
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

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) workers: Arc<AtomicUsize>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) jobs: Jobs,
    pub(crate) stop: CancellationToken,
    pub(crate) running: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(limits: Limits) -> Self {
        Self::behind(&[], limits).await
    }

    /// One whose peers inside these networks are proxies.
    pub(crate) async fn behind(proxies: &[&str], limits: Limits) -> Self {
        Self::beside(&Connections::new(limits), proxies).await
    }

    /// One of several that share their limits.
    pub(crate) async fn beside(connections: &Connections, proxies: &[&str]) -> Self {
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

    pub(crate) async fn job(&mut self) -> Job {
        soon(self.jobs.recv()).await.unwrap()
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        soon(TcpStream::connect(self.address)).await.unwrap()
    }

    /// A connection that was accepted and answered.
    pub(crate) async fn guest(&self) -> TcpStream {
        let mut stream = self.connect().await;
        ask(&mut stream).await.unwrap();
        stream
    }
}

/// A framed query with id 7 for `label`.test-net.io.
pub(crate) fn query(label: &str, rtype: u8) -> Vec<u8> {
    framed(&zone::query(7, label, rtype))
}

/// A framed query that somebody else has to answer.
pub(crate) fn signed(id: u16) -> Vec<u8> {
    framed(&zone::signed(id, "ns1", 1))
}

pub(crate) fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes()[..], bytes].concat()
}

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("the deadline has passed")
}

/// Asks for an address and reads the answer; an error when the connection is gone.
pub(crate) async fn ask(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(&query("ns1", 1)).await?;
    let answer = read_answer(stream).await?;
    assert!(answer.ends_with(&[192, 0, 2, 53]), "{answer:?}");
    Ok(())
}

/// Reads an answer to query 7.
pub(crate) async fn read_answer(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let answer = read_message(stream).await?;
    assert_eq!((&answer[..2], answer[3] & 15), (&[0, 7][..], 0), "our id, NOERROR");
    Ok(answer)
}

pub(crate) async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    soon(async {
        let length = stream.read_u16().await?;
        let mut message = vec![0; usize::from(length)];
        stream.read_exact(&mut message).await?;
        Ok(message)
    })
    .await
}

/// Waits until the server hangs up.
pub(crate) async fn hung_up(stream: &mut TcpStream) {
    let ended = soon(stream.read(&mut [0; 1])).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "it sent something");
}

/// A PROXY header, version 2, of a client at this IPv4 address.
pub(crate) fn stands_for(client: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(client);
    header.extend([203, 0, 113, 53, 0x10, 0x92, 0, 53]);
    header
}

/// What a proxy sends that speaks for itself.
pub(crate) const LOCAL: &[u8; 16] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// A proxy that speaks for itself.
pub(crate) async fn from_us(server: &Server) -> io::Result<()> {
    let mut stream = server.connect().await;
    stream.write_all(LOCAL).await?;
    ask(&mut stream).await
}
