//! How a server leaves: first it says so, then it asks, then it insists.

use std::sync::atomic::Ordering;
use std::time::Duration;

use daemon::grpc::Limits;
use daemon::tls::{Credentials as _, Expect};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::world::{NEVER, SERVICE, World, ping, soon, until};

fn asking(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn health_says_not_serving_before_connections_are_asked_to_go() {
    let world = World::new();
    let wait = Duration::from_secs(1);
    let server = world.serve(Limits { drain_wait: wait, ..Limits::default() }).await;
    let ada = world.client("ada");
    let mut client = server.connect(&ada).await.unwrap();
    let mut slow = client.clone();
    let under_way = tokio::spawn(async move { ping(&mut slow, "slow").await });
    until("the slow call", || server.calls.load(Ordering::SeqCst) == 1).await;

    let channel = server.channel(ada.client_config(&Expect::default())).await;
    let mut health = HealthClient::new(channel);
    let mut watch = health.watch(asking(SERVICE)).await.unwrap().into_inner();
    let first = soon("serving", watch.message()).await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);

    server.stop.cancel();
    let second = soon("not serving", watch.message()).await.unwrap().unwrap();
    assert_eq!(second.status(), ServingStatus::NotServing);
    // Those who have not noticed yet are served as ever, on old connections and new ones.
    for service in ["", SERVICE] {
        let answer = health.check(asking(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::NotServing, "{service:?}");
    }
    ping(&mut client, "").await.unwrap();
    server.canary(&ada).await;
    server.health.set_serving(SERVICE).await;
    let answer = health.check(asking(SERVICE)).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::NotServing, "leaving is for good");

    // Then the GOAWAY: nobody new gets in, and what is under way ends well.
    let gone = async {
        while server.connect(&ada).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon("the listener's end", gone).await;
    assert!(!server.task.is_finished(), "a call is still under way");
    server.release.notify_one();
    soon("the slow call's answer", under_way).await.unwrap().unwrap();
    drop((health, watch, client));
    soon("the server's end", server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_does_not_end_is_cut_at_the_deadline() {
    let world = World::new();
    let (drain_wait, drain_deadline) = (Duration::ZERO, Duration::from_millis(200));
    let request_timeout = NEVER;
    let limits = Limits { drain_wait, drain_deadline, request_timeout, ..Limits::default() };
    let server = world.serve(limits).await;
    let ada = world.client("ada");
    let mut client = server.connect(&ada).await.unwrap();
    let stuck = tokio::spawn(async move { ping(&mut client, "slow").await });
    until("the slow call", || server.calls.load(Ordering::SeqCst) == 1).await;
    server.stop.cancel();
    soon("the server's end", server.task).await.unwrap().unwrap();
    soon("the caller's end", stuck).await.unwrap().expect_err("it was cut");
}

#[tokio::test]
async fn a_dropped_server_leaves_no_connection_behind() {
    let world = World::new();
    let server = world.serve(Limits { request_timeout: NEVER, ..Limits::default() }).await;
    let ada = world.client("ada");
    let mut client = server.connect(&ada).await.unwrap();
    let stuck = tokio::spawn(async move { ping(&mut client, "slow").await });
    until("the slow call", || server.calls.load(Ordering::SeqCst) == 1).await;
    server.task.abort();
    assert!(server.task.await.unwrap_err().is_cancelled());
    soon("the caller's end", stuck).await.unwrap().expect_err("nobody is there");
}
