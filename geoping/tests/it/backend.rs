//! Checks against real backends that come, go, stall and misbehave.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use daemon::tls::Tls;
use geoping::backend::{Condition, Health, Policy};
use geoping::check::{Check, Checks};
use geoping::io::backend::{ask, follow};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;

use crate::harness::{DEADLINE, NODE, Site, within};

const MEMBER: &str = "spiffe://test-net.io/member/shop";

#[tokio::test]
async fn a_grpc_backend_is_what_it_says_of_itself() {
    let (reporter, health) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(
        Server::builder().add_service(health).serve_with_incoming(TcpIncoming::from(listener)),
    );
    reporter.set_service_status("shop", ServingStatus::Serving).await;
    let mut shop = watching(Check::grpc(&url, "shop").unwrap());
    let mut whole = watching(Check::grpc(&url, "").unwrap());
    turns(&mut shop, Health::Ok, "").await;
    turns(&mut whole, Health::Ok, "").await;

    reporter.set_service_status("shop", ServingStatus::NotServing).await;
    turns(&mut shop, Health::Unavailable, "NOT_SERVING").await;
    reporter.set_service_status("shop", ServingStatus::Unknown).await;
    turns(&mut shop, Health::Degraded, "UNKNOWN").await;
    reporter.set_service_status("shop", ServingStatus::Serving).await;
    turns(&mut shop, Health::Ok, "").await;
    assert_eq!(*whole.borrow(), Condition::ok(), "the whole server was well all the time");

    let stranger = Check::grpc(&url, "attic").unwrap();
    let found = ask(&stranger, DEADLINE, None).await;
    assert_eq!(found, Condition::unavailable("the backend knows no health of service 'attic'"));
}

#[tokio::test]
async fn a_server_without_health_is_said_to_have_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = tonic::service::Routes::default();
    tokio::spawn(
        Server::builder().add_routes(routes).serve_with_incoming(TcpIncoming::from(listener)),
    );
    let found = ask(&Check::grpc(&url, "").unwrap(), DEADLINE, None).await;
    assert_eq!(found.health, Health::Unavailable);
    assert!(found.detail.contains("does not offer grpc.health.v1"), "{}", found.detail);
}

#[tokio::test]
async fn a_tcp_backend_is_up_while_it_accepts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut told = watching(Check::tcp(&address.to_string()).unwrap());
    turns(&mut told, Health::Ok, "").await;
    drop(listener);
    turns(&mut told, Health::Unavailable, "refused").await;
    let _again = TcpListener::bind(address).await.unwrap();
    turns(&mut told, Health::Ok, "").await;
}

#[tokio::test]
async fn an_http_backend_is_what_its_status_says() {
    let status = Arc::new(AtomicU16::new(204));
    let (requests, mut seen) = mpsc::channel(64);
    let address = http(Arc::clone(&status), requests).await;
    let mut told = watching(Check::http(&format!("http://{address}/healthz?deep")).unwrap());
    turns(&mut told, Health::Ok, "").await;
    let head = within(seen.recv()).await.unwrap().to_ascii_lowercase();
    assert!(head.starts_with("get /healthz?deep http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {address}\r\n")), "{head}");
    for (code, health, detail) in [
        (503, Health::Unavailable, "503"),
        (429, Health::Degraded, "429"),
        (302, Health::Unavailable, "redirect"),
        (200, Health::Ok, ""),
    ] {
        status.store(code, Ordering::Relaxed);
        turns(&mut told, health, detail).await;
    }
}

#[tokio::test]
async fn a_backend_that_stalls_has_failed_when_the_time_is_over() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Accepted by the system, never by anybody else.
    let checks =
        [Check::grpc(&format!("http://{address}"), ""), Check::http(&format!("http://{address}"))];
    for check in checks {
        let found = within(ask(&check.unwrap(), Duration::from_millis(50), None)).await;
        assert_eq!(found.health, Health::Unavailable);
        assert!(found.detail.ends_with("no answer within 50ms"), "{}", found.detail);
    }
    assert_eq!(
        ask(&Check::tcp(&address.to_string()).unwrap(), DEADLINE, None).await,
        Condition::ok()
    );
}

#[tokio::test]
async fn an_endless_head_ends_the_check_not_the_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let flood = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nX: ").await.unwrap();
        let mut sent = 0_usize;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {
            sent += 4096;
        }
        sent
    });
    let check = Check::http(&format!("http://{address}")).unwrap();
    let found = within(ask(&check, DEADLINE, None)).await;
    assert_eq!(found.health, Health::Unavailable, "{}", found.detail);
    // The connection was ended; what the system buffers of the flood is not ours.
    let sent = within(flood).await.unwrap();
    assert!(sent < 64 * 1024 * 1024, "{sent} bytes");
}

#[tokio::test]
async fn new_checks_take_over_and_no_check_means_well() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = Check::tcp(&listener.local_addr().unwrap().to_string()).unwrap();
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Check::tcp(&listener.local_addr().unwrap().to_string()).unwrap()
    };
    let (checks, mut told) = checking(Some(open));
    turns(&mut told, Health::Ok, "").await;
    checks.send_replace(Checks { check: Some(closed), policy: policy(), counter: None });
    turns(&mut told, Health::Unavailable, "refused").await;
    checks.send_replace(Checks { check: None, policy: policy(), counter: None });
    turns(&mut told, Health::Ok, "").await;
}

#[tokio::test]
async fn https_without_a_certificate_of_our_own_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    for check in [Check::grpc(&url, ""), Check::http(&url)] {
        let found = ask(&check.unwrap(), DEADLINE, None).await;
        assert!(found.detail.contains("this node's certificate"), "{}", found.detail);
    }
}

#[tokio::test]
async fn https_is_mutual_tls_within_the_trust_domain() {
    let (site, other) = (Site::new(), Site::new());
    let ours = site.tls(NODE);
    for (server, well) in [(site.tls(MEMBER), true), (other.tls(MEMBER), false)] {
        let address = https(&server).await;
        let check = Check::http(&format!("https://{address}/healthz")).unwrap();
        let found = within(ask(&check, DEADLINE, Some(&ours))).await;
        assert_eq!(found.health == Health::Ok, well, "{}", found.detail);
        // The same without TLS reaches a server that does not speak plain HTTP.
        let plain = Check::http(&format!("http://{address}/healthz")).unwrap();
        assert_eq!(ask(&plain, DEADLINE, None).await.health, Health::Unavailable);
    }
}

async fn turns(told: &mut watch::Receiver<Condition>, health: Health, detail: &str) {
    let fits = |now: &Condition| now.health == health && now.detail.contains(detail);
    let waited = tokio::time::timeout(DEADLINE, told.wait_for(fits)).await;
    let found = waited.is_ok();
    drop(waited);
    assert!(found, "never {health:?} with {detail:?}; it is {:?}", *told.borrow());
}

fn watching(check: Check) -> watch::Receiver<Condition> {
    let (checks, told) = checking(Some(check));
    // Checked for the rest of the test.
    std::mem::forget(checks);
    told
}

fn checking(check: Option<Check>) -> (watch::Sender<Checks>, watch::Receiver<Condition>) {
    let (told, condition) = watch::channel(Condition::unchecked());
    let (checks, asked) = watch::channel(Checks { check, policy: policy(), counter: None });
    tokio::spawn(follow(asked, None, told));
    (checks, condition)
}

/// Fast, and with time enough on a busy machine.
fn policy() -> Policy {
    let two = NonZeroU32::new(2).unwrap();
    let interval = Duration::from_millis(20);
    Policy { interval, timeout: Duration::from_secs(5), rise: two, fall: two }
}

/// A server that answers every request with 200 over mutual TLS.
async fn https(tls: &Arc<Tls>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = (*tls.server_config()).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n")
                && stream.read_buf(&mut head).await.is_ok_and(|n| n > 0)
            {}
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await);
        }
    });
    address
}

/// A server that answers every request with `status` and hands on the head of each.
async fn http(status: Arc<AtomicU16>, requests: mpsc::Sender<String>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n")
                && stream.read_buf(&mut head).await.is_ok_and(|n| n > 0)
            {}
            // Nobody may be listening any more.
            drop(requests.try_send(String::from_utf8(head).unwrap()));
            let status = status.load(Ordering::Relaxed);
            let reply = format!("HTTP/1.1 {status} Word\r\nContent-Length: 2\r\n\r\nok");
            drop(stream.write_all(reply.as_bytes()).await);
        }
    });
    address
}
