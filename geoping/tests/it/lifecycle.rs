//! From ready to gone: what callers see while a node drains, and in which order it leaves.

use std::time::{Duration, Instant};

use proto::geoping::v1::State;
use proto::geoping::v1::geo_ping_client::GeoPingClient;
use rustix::process::Signal;
use tokio::net::TcpListener;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::{ADA, Node, Site, eventually, status, within};

#[tokio::test]
async fn a_node_leaves_in_order() {
    const WAIT: Duration = Duration::from_secs(2);
    const END: Duration = Duration::from_secs(1);
    let site = Site::new();
    site.configure("", "drain_wait = '2s'\ndrain_deadline = '1s'", "");
    let mut node = site.start().await;
    let mut client = GeoPingClient::new(site.connect(&node, ADA).await);
    assert_eq!(status(&mut client).await.status, "OK");
    assert_eq!(node.get("/readyz").await.0, 200);
    // A call that never ends by itself.
    let request = HealthCheckRequest { service: String::new() };
    let mut watcher = HealthClient::new(site.connect(&node, ADA).await);
    let mut changes = within(watcher.watch(request)).await.unwrap().into_inner();
    let first = within(changes.message()).await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);

    let asked = Instant::now();
    node.signal(Signal::TERM);
    let next = within(changes.message()).await.unwrap().unwrap();
    assert_eq!(next.status(), ServingStatus::NotServing, "who watches is told first");
    // Old and new connections are still served, and told to go.
    let reply = status(&mut client).await;
    assert_eq!(
        (&*reply.status, reply.state(), reply.draining),
        ("DRAINING", State::Draining, true)
    );
    assert_eq!(site.status(&node).await.status, "DRAINING");
    assert_eq!(node.get("/readyz").await.0, 503);
    assert_eq!(
        health(site.connect(&node, ADA).await, "geoping.v1.GeoPing").await,
        ServingStatus::NotServing
    );
    assert!(asked.elapsed() < WAIT, "this machine is too slow for the order to be seen");

    let ended = node.ended().await;
    assert_eq!(ended.code(), Some(0), "{}", node.log());
    let took = asked.elapsed();
    assert!(took >= WAIT + END, "gone after {took:?}: callers could not notice, or not finish");
    assert!(took < 2 * (WAIT + END), "the way out took {took:?}");
    let last = within(changes.message()).await;
    assert!(!matches!(last, Ok(Some(_))), "the endless call was ended: {last:?}");
}

#[tokio::test]
async fn without_calls_nobody_waits_for_the_deadline() {
    let site = Site::new();
    site.configure("", "drain_wait = '0s'\ndrain_deadline = '1h'", "");
    let mut node = site.start().await;
    assert_eq!(site.status(&node).await.status, "OK");
    node.signal(Signal::TERM);
    assert_eq!(node.ended().await.code(), Some(0), "{}", node.log());
}

#[tokio::test]
async fn a_node_can_be_drained_and_taken_back() {
    let site = Site::new();
    site.configure("", "", "");
    let node = site.start().await;
    for _ in 0..2 {
        // Sent twice, a signal still means what it says.
        node.signal(Signal::USR1);
        node.signal(Signal::USR1);
        turns(&site, &node, "DRAINING").await;
        serves(&site, &node, "", ServingStatus::NotServing).await;
        serves(&site, &node, "backend", ServingStatus::Serving).await;
        assert_eq!(node.get("/readyz").await.0, 503);
        assert!((node.metric("geoping_draining", &[]).await - 1.0).abs() < 0.1);
        node.signal(Signal::USR2);
        turns(&site, &node, "OK").await;
        serves(&site, &node, "", ServingStatus::Serving).await;
        assert_eq!(node.get("/readyz").await.0, 200);
    }
}

#[tokio::test]
async fn the_status_is_that_of_the_backend() {
    let site = Site::new();
    let backend = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = backend.local_addr().unwrap();
    let section = format!("[backend]\ntcp = '{address}'\ninterval = '50ms'\ntimeout = '50ms'");
    site.configure("", "", &section);
    let node = site.start().await;
    turns(&site, &node, "OK").await;
    drop(backend);
    turns(&site, &node, "UNAVAILABLE").await;
    let reply = site.status(&node).await;
    assert!(reply.detail.contains("refused"), "{}", reply.detail);
    serves(&site, &node, "backend", ServingStatus::NotServing).await;
    serves(&site, &node, "", ServingStatus::Serving).await;
    assert_eq!(node.get("/readyz").await.0, 200, "telling of a dead backend is its job");
    let unavailable = ["state=\"unavailable\""];
    assert!((node.metric("geoping_backend_state", &unavailable).await - 1.0).abs() < 0.1);
    assert!(node.metric("geoping_backend_checks_total", &["result=\"ok\""]).await > 0.0);
    let _again = TcpListener::bind(address).await.unwrap();
    turns(&site, &node, "OK").await;
    serves(&site, &node, "backend", ServingStatus::Serving).await;
}

#[tokio::test]
async fn a_backend_may_be_watched_over_mutual_tls() {
    // Another node serves as the backend: it offers grpc.health.v1 to its trust domain.
    let site = Site::new();
    site.configure("", "", "");
    let backend = site.start().await;
    let url = format!("https://{}", backend.grpc);
    let check = format!("grpc = '{url}'\nservice = 'geoping.v1.GeoPing'");
    let pace = "interval = '500ms'\nrise = 1\nfall = 1";
    site.configure_as("watcher", "", "", &format!("[backend]\n{check}\n{pace}"));
    let node = site.start_as("watcher").await;
    turns(&site, &node, "OK").await;
    backend.signal(Signal::USR1);
    turns(&site, &node, "UNAVAILABLE").await;
    assert!(site.status(&node).await.detail.contains("NOT_SERVING"));
    backend.signal(Signal::USR2);
    turns(&site, &node, "OK").await;
}

async fn turns(site: &Site, node: &Node, word: &str) {
    let mut client = GeoPingClient::new(site.connect(node, ADA).await);
    eventually(word, async || (status(&mut client).await.status == word).then_some(())).await;
}

async fn serves(site: &Site, node: &Node, service: &str, expected: ServingStatus) {
    let channel = site.connect(node, ADA).await;
    let what = format!("{service:?} {expected:?}");
    eventually(&what, async || (health(channel.clone(), service).await == expected).then_some(()))
        .await;
}

async fn health(channel: Channel, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.into() };
    within(HealthClient::new(channel).check(request)).await.unwrap().into_inner().status()
}
