//! Who is let in, who may ask what, and what everybody is told about themselves.

use std::sync::Arc;

use daemon::tls::Caller;
use proto::geoping::v1::RegionRequest;
use proto::geoping::v1::geo_ping_client::GeoPingClient;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::harness::{ADA, Node, Site, connect, status, within};

const DNSROUTER: &str = "spiffe://test-net.io/region/europe-west3/dnsrouter/ns2";
const MEMBER: &str = "spiffe://test-net.io/member/7f3a9c";

#[tokio::test]
async fn everybody_of_the_trust_domain_is_told_who_they_are() {
    let site = Site::new();
    let networks = "[geo.networks]\n'127.0.0.0/8' = { country = 'IS' }";
    site.configure("capacity = 5000\nversion = '2.4.1'", "", networks);
    let node = site.start().await;
    for (identity, role) in [(ADA, "user"), (DNSROUTER, "dnsrouter"), (MEMBER, "member")] {
        let mut client = GeoPingClient::new(site.connect(&node, identity).await);
        let reply = status(&mut client).await;
        assert_eq!((&*reply.region, &*reply.version), ("us-central1", "2.4.1"));
        assert_eq!((&*reply.node, &*reply.status, reply.capacity), ("a", "OK", 5000));
        let caller = reply.caller.unwrap();
        assert_eq!(caller.identity, identity);
        assert_eq!((&*caller.address, &*caller.country), ("127.0.0.1", "IS"));
        assert!(caller.location.unwrap().latitude > 63.0, "in the middle of Iceland");
        assert_eq!(reply.load.unwrap().in_flight, 1, "this very call");
        let role = format!("caller_role=\"{role}\"");
        let labels = [&*role, "client_region=\"europe-west3\""];
        assert!((node.metric("geoping_requests_total", &labels).await - 1.0).abs() < 0.1, "{role}");
    }
    assert!(node.metric("geoping_uptime_seconds", &[]).await > 0.0);
    assert!((node.metric("geoping_capacity", &[]).await - 5000.0).abs() < 0.1);
}

#[tokio::test]
async fn a_node_that_states_no_region_is_counted_by_that_of_its_certificate() {
    let site = Site::new();
    site.configure("", "", "");
    let node = site.start().await;
    let mut client = GeoPingClient::new(site.connect(&node, DNSROUTER).await);
    within(client.status(RegionRequest::default())).await.unwrap();
    let labels = ["client_region=\"europe-west3\""];
    assert!((node.metric("geoping_requests_total", &labels).await - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn a_request_larger_than_any_region_is_refused() {
    let site = Site::new();
    site.configure("", "", "");
    let node = site.start().await;
    let mut client = GeoPingClient::new(site.connect(&node, ADA).await);
    let region = "x".repeat(geoping::service::MAX_REQUEST);
    let refused = within(client.status(RegionRequest { region })).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert_eq!(status(&mut client).await.status, "OK", "the connection goes on");
}

#[tokio::test]
async fn strangers_are_refused_before_they_are_answered() {
    let (site, other) = (Site::new(), Site::new());
    site.configure("", "", "");
    let node = site.start().await;
    // Another authority signed the right name, or nobody any.
    other.write("ca.crt", std::fs::read(site.path("ca.crt")).unwrap());
    for stranger in [other.caller(Some(ADA)), site.caller(None)] {
        refused(&node, &stranger).await;
    }
    assert!(node.metric("geoping_requests_total", &[]).await < 0.1, "nobody was answered");
    assert_eq!(site.status(&node).await.status, "OK", "and who may ask still can");
}

/// Refused while connecting, or at the first call: with TLS 1.3 a client learns of it late.
async fn refused(node: &Node, caller: &Arc<Caller>) {
    let Ok(channel) = connect(node.grpc, caller).await else { return };
    let answer = within(GeoPingClient::new(channel).status(RegionRequest::default())).await;
    answer.expect_err("a stranger was answered");
}

#[tokio::test]
async fn people_may_look_around_and_programs_may_not() {
    let site = Site::new();
    site.configure("", "", "");
    let node = site.start().await;
    let services = services(site.connect(&node, ADA).await).await.unwrap();
    for service in ["geoping.v1.GeoPing", "grpc.health.v1.Health"] {
        assert!(services.iter().any(|one| one == service), "{services:?}");
    }
    for identity in [DNSROUTER, MEMBER] {
        let denied = self::services(site.connect(&node, identity).await).await.unwrap_err();
        assert_eq!(denied.code(), Code::PermissionDenied, "{identity}: {denied}");
    }
}

#[tokio::test]
async fn health_is_told_by_name() {
    let site = Site::new();
    site.configure("", "", "");
    let node = site.start().await;
    for identity in [ADA, DNSROUTER, MEMBER] {
        let mut client = HealthClient::new(site.connect(&node, identity).await);
        for service in ["", "geoping.v1.GeoPing", "backend"] {
            let request = HealthCheckRequest { service: service.into() };
            let reply = within(client.check(request)).await.unwrap().into_inner();
            assert_eq!(reply.status(), ServingStatus::Serving, "{service:?}");
        }
        let attic = HealthCheckRequest { service: "attic".into() };
        let unknown = within(client.check(attic)).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound);
    }
}

async fn services(channel: Channel) -> Result<Vec<String>, tonic::Status> {
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel);
    let replies = within(client.server_reflection_info(tokio_stream::once(list))).await?;
    let reply = within(replies.into_inner().message()).await?.expect("a reply per request");
    match reply.message_response {
        Some(MessageResponse::ListServicesResponse(list)) => {
            Ok(list.service.into_iter().map(|service| service.name).collect())
        }
        other => panic!("another answer than asked for: {other:?}"),
    }
}
