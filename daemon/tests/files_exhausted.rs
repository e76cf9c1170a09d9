//! Fault 25: no file descriptor is left, and the accept loop survives. Limits are the whole
//! process's, so this test has one of its own.

#![expect(clippy::disallowed_methods, reason = "binds and connects to the loopback")]

use std::fs::File;
use std::time::Duration;

use daemon::config;
use daemon::grpc::{self, Authorise, Health, Limits, Timeouts};
use daemon::shutdown::CancellationToken;
use daemon::tls::{Expect, Tls, system_clock};
use pki::folder::Target;
use pki::{Extra, Folder, Identity, Program};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::time_provider::TimeProvider;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

#[tokio::test]
async fn the_accept_loop_survives_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let clock = rustls::time_provider::DefaultTimeProvider.current_time().unwrap();
    let now = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(clock.as_secs());
    let folder = Folder::create(&dir.path().join("pki"), &"test-net.io".parse().unwrap(), now);
    let folder = folder.unwrap();
    let target = Target::named(dir.path(), "node");
    let node = Identity::node(folder.trust_domain(), "r", Program::Geoping, "n").unwrap();
    folder.issue(&node, &Extra::default(), None, &target, now).unwrap();
    let config = config::Tls {
        cert: target.cert,
        key: target.key,
        ca: folder.ca_cert(),
        crl: Some(folder.ca_crl()),
        renew: None,
    };
    let tls = Tls::load(&config, None, system_clock()).unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (health, service) = Health::new();
    health.set_serving("geoping.v1.GeoPing").await;
    let routes = tonic::service::Routes::new(service);
    let authorise = Authorise::new(tls.trust_domain().clone()).allow_health();
    let stop = CancellationToken::new();
    let (limits, shutdown) = (Limits::default(), stop.clone().cancelled_owned());
    let server_tls = tls.clone();
    let server = tokio::spawn(async move {
        grpc::serve(listener, server_tls, routes, &limits, authorise, None, shutdown).await
    });
    let canary = async || {
        let endpoint = format!("https://{address}").parse().unwrap();
        let expect = Expect::default();
        let (channel, _) =
            grpc::connect(&endpoint, &tls, &expect, &Timeouts::default()).await.unwrap();
        HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap();
    };
    canary().await;

    // Every descriptor is taken but one, for the client's end of a connection.
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(200), ..before }).unwrap();
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    taken.pop();
    let mut waiting = TcpStream::connect(address).await.unwrap();
    let unanswered = tokio::time::timeout(Duration::from_millis(500), waiting.read_u8()).await;
    assert!(unanswered.is_err(), "it waits in the backlog, the server cannot accept it");
    assert!(!server.is_finished(), "the server goes on");

    taken.clear();
    canary().await;
    setrlimit(Resource::Nofile, before).unwrap();
    stop.cancel();
    server.abort();
}
