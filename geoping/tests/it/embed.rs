//! The library in somebody else's server, which has neither our acceptor nor certificates.

use geoping::Service;
use geoping::backend::Condition;
use proto::geoping::v1::geo_ping_client::GeoPingClient;
use proto::geoping::v1::{RegionRequest, State};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};

use crate::harness::within;

#[tokio::test]
async fn any_tonic_server_can_answer_status() {
    let (health, condition) = watch::channel(Condition::ok());
    let service =
        Service::builder("europe-west3", "7.8.9").node("a").backend(condition).build().unwrap();
    let mut client = served(&service).await;

    let reply = status(&mut client).await;
    assert_eq!((&*reply.region, &*reply.version, &*reply.status), ("europe-west3", "7.8.9", "OK"));
    assert_eq!(reply.state(), State::Ok);
    let location = reply.location.unwrap();
    assert!((location.latitude - 50.1).abs() < 0.5, "Frankfurt: {location:?}");
    let caller = reply.caller.unwrap();
    assert_eq!((&*caller.address, &*caller.identity), ("127.0.0.1", ""));
    assert_eq!(reply.load.unwrap().in_flight, 1, "this very call");
    assert!(reply.uptime.ends_with('s') && reply.uptime.contains('.'), "{}", reply.uptime);

    health.send_replace(Condition::degraded("the cache is cold"));
    let reply = status(&mut client).await;
    assert_eq!((&*reply.status, &*reply.detail), ("DEGRADED", "the cache is cold"));
    service.drain();
    assert_eq!(status(&mut client).await.status, "DRAINING");
}

#[tokio::test]
async fn a_request_larger_than_any_region_is_refused() {
    let service = Service::builder("europe-west3", "1").build().unwrap();
    let mut client = served(&service).await;
    let region = "x".repeat(geoping::service::MAX_REQUEST);
    let refused = within(client.status(RegionRequest { region })).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::OutOfRange, "{refused}");
    assert_eq!(status(&mut client).await.status, "OK", "the connection goes on");
}

async fn status(client: &mut GeoPingClient<Channel>) -> proto::geoping::v1::ServerStatusReply {
    let request = RegionRequest { region: "us-central1".into() };
    within(client.status(request)).await.unwrap().into_inner()
}

async fn served(service: &Service) -> GeoPingClient<Channel> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::builder()
        .layer(service.load().layer())
        .add_service(service.clone().into_server())
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    let endpoint = Endpoint::from_shared(url).unwrap();
    GeoPingClient::new(within(endpoint.connect()).await.unwrap())
}
