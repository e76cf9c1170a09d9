//! Faults 29, 30, 33: who is refused at the handshake, who at each call, and in which words.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use daemon::grpc::{self, Limits, Timeouts};
use daemon::tls::{Caller, Credentials as _, Expect, Tls};
use pki::{Identity, Program};
use proto::geoping::v1::geo_ping_client::GeoPingClient;
use rcgen::{ExtendedKeyUsagePurpose, SanType};
use rustls::{AlertDescription, ClientConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::http2;
use crate::world::{DAY, Logs, START, Server, World, at, ping, soon, uri};

/// The handshake is refused: the client hears `alert`, the server logs `cause` once, the handler
/// never runs.
#[track_caller]
fn assert_said(lines: &[String], peer: &str, what: &str, cause: &str) {
    assert_eq!(lines.len(), 1, "one line: {lines:#?}");
    for part in [" WARN ", what, peer, cause] {
        assert!(lines[0].contains(part), "no {part:?} in {}", lines[0]);
    }
}

async fn refused(
    server: &Server,
    logs: &Logs,
    config: Arc<ClientConfig>,
    alert: AlertDescription,
    cause: &str,
) {
    let (mut stream, own) = server.raw(config).await;
    // As a gRPC client does, without waiting: in TLS 1.3 it believes to be in already.
    stream.write_all(&http2::opening()).await.unwrap();
    let _ = stream.flush().await;
    let error = soon("the alert", stream.read_u8()).await.expect_err("the server talks");
    let heard = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    assert_eq!(heard, Some(&rustls::Error::AlertReceived(alert)), "for {cause}");
    let lines = logs.lines(cause).await;
    assert_said(&lines, &format!("peer={own}"), "handshake refused", &format!("cause=\"{cause}\""));
    assert_eq!(server.calls.load(Ordering::SeqCst), 0, "for {cause}");
}

#[tokio::test]
async fn the_handshake_refuses_in_plain_words() {
    let (world, other) = (World::new(), World::new());
    let server = world.serve(Limits::default()).await;
    let ada = world.client("ada");
    let logs = Logs::capture();
    let anybody = Expect::default();

    let mut without = ClientConfig::clone(&ada.client_config(&anybody));
    without.client_auth_cert_resolver = Arc::new(NoCertificate);
    refused(
        &server,
        &logs,
        Arc::new(without),
        AlertDescription::CertificateRequired,
        "no client certificate",
    )
    .await;

    // Another authority, although of the same trust domain.
    let stranger = other.odd_client(&ada, |_| {});
    let cause = "certificate is issued by another authority";
    refused(&server, &logs, stranger, AlertDescription::UnknownCA, cause).await;

    let wrong_purpose = world.odd_client(&ada, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let cause = "certificate is not meant for this purpose (extended key usage)";
    let unsupported = AlertDescription::UnsupportedCertificate;
    refused(&server, &logs, wrong_purpose, unsupported, cause).await;

    let common_name_only = world.odd_client(&ada, |params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, "spiffe://test-net.io/user/ada");
        params.subject_alt_names = vec![SanType::DnsName("ns1.test-net.io".try_into().unwrap())];
    });
    let cause = "certificate carries no URI SAN, so it names nobody";
    refused(&server, &logs, common_name_only, AlertDescription::AccessDenied, cause).await;

    let expired = AlertDescription::CertificateExpired;
    world.clock.set(START + DAY + 3);
    let config = ada.client_config(&anybody);
    refused(&server, &logs, config.clone(), expired, "certificate expired 3s ago").await;
    world.clock.set(START - 61);
    let cause = "certificate is not valid before 2027-01-15T07:59:00Z, in 1s";
    refused(&server, &logs, config.clone(), expired, cause).await;
    world.clock.set(START);

    let serial = world.folder.list().unwrap().last().unwrap().serial;
    world.folder.revoke(&serial, None, at(START)).unwrap();
    server.tls.reload().unwrap();
    let revoked = AlertDescription::CertificateRevoked;
    refused(&server, &logs, config, revoked, "certificate is revoked").await;
}

#[derive(Debug)]
struct NoCertificate;

impl rustls::client::ResolvesClientCert for NoCertificate {
    fn resolve(
        &self,
        _: &[&[u8]],
        _: &[rustls::SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn each_call_is_denied_in_plain_words() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    let ada = world.client("ada");
    let logs = Logs::capture();

    let names = |uris: &[&str]| {
        world.odd_client(&ada, |params| {
            params.subject_alt_names = uris.iter().copied().map(uri).collect();
        })
    };
    let cases = [
        (
            names(&["spiffe://test-net.io/user/ada", "spiffe://test-net.io/user/bob"]),
            "certificate carries two URI SANs, exactly one is allowed",
        ),
        (
            names(&["spiffe://a.test-net.io/user/ada"]),
            "spiffe://a.test-net.io/user/ada is of another trust domain than test-net.io",
        ),
        (
            names(&["spiffe://test-net.io.evil.example/user/ada"]),
            "spiffe://test-net.io.evil.example/user/ada is of another trust domain than \
             test-net.io",
        ),
        (
            names(&["spiffe://test-net.io/user/a%64a"]),
            "'a%64a' is not a name within an identity: only a-z, A-Z, 0-9, '.', '_' and '-' are \
             allowed",
        ),
        (
            names(&["https://test-net.io/user/ada"]),
            "'https://test-net.io/user/ada' is not a spiffe:// identity",
        ),
        (
            names(&["spiffe://test-net.io/member/ada"]),
            "spiffe://test-net.io/member/ada may not call /geoping.v1.GeoPing/Status",
        ),
    ];
    for (config, cause) in cases {
        let channel = server.channel(config).await;
        let denied = soon(cause, ping(&mut GeoPingClient::new(channel), "")).await.unwrap_err();
        assert_eq!(denied.code(), tonic::Code::PermissionDenied, "{denied:?}");
        assert_eq!(denied.message(), cause);
        assert_eq!(grpc::explain(&denied), format!("PermissionDenied: {cause}"));
        let lines = logs.lines(cause).await;
        assert_said(&lines, "peer=Some(127.0.0.1:", "call denied", cause);
        assert_eq!(server.calls.load(Ordering::SeqCst), 0, "{cause}");
    }
    server.canary(&ada).await;
    assert_eq!(server.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_method_that_nobody_was_allowed_is_denied() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    let ada = world.client("ada");
    let channel = server.channel(ada.client_config(&Expect::default())).await;
    let mut reflection = tonic::client::Grpc::new(channel);
    soon("ready", reflection.ready()).await.unwrap();
    let codec = tonic_prost_codec();
    let path = http::uri::PathAndQuery::from_static("/grpc.reflection.v1.ServerReflection/Info");
    let request = tonic::Request::new(proto::geoping::v1::RegionRequest::default());
    let denied = soon("an answer", reflection.unary(request, path, codec)).await.unwrap_err();
    assert_eq!(denied.code(), tonic::Code::PermissionDenied);
}

fn tonic_prost_codec()
-> tonic_prost::ProstCodec<proto::geoping::v1::RegionRequest, proto::geoping::v1::ServerStatusReply>
{
    tonic_prost::ProstCodec::default()
}

#[tokio::test]
async fn the_client_hears_why_when_it_connects() {
    let (world, other) = (World::new(), World::new());
    let server = world.serve(Limits::default()).await;
    let ada = world.client("ada");
    let says = |words: &str| format!("no trust between us and https://{}: {words}", server.address);
    let error = async || server.connect(&ada).await.map(|_| ()).unwrap_err().to_string();

    world.clock.set(START + DAY + 1);
    let words =
        "the server says: our certificate is expired or not yet valid (certificate_expired)";
    assert_eq!(error().await, says(words));
    world.clock.set(START);
    world.client_clock.set(START + DAY + 7);
    assert_eq!(error().await, says("the server's certificate expired 7s ago"));
    world.client_clock.set(START);

    let serial = world.folder.list().unwrap().last().unwrap().serial;
    world.folder.revoke(&serial, None, at(START)).unwrap();
    server.tls.reload().unwrap();
    let words = "the server says: our certificate is revoked (certificate_revoked)";
    assert_eq!(error().await, says(words));

    let stranger = other.client("ada");
    let error = server.connect(&stranger).await.map(|_| ()).unwrap_err().to_string();
    assert_eq!(error, says("the server's certificate is issued by another authority"));

    let bob = world.client("bob");
    let connect = async |expect: Expect| {
        let timeouts = Timeouts::default();
        grpc::connect(&server.endpoint(), &bob, &expect, &timeouts).await
    };
    let error = connect(Expect::program(Program::Dnsrouter)).await.map(|_| ()).unwrap_err();
    let who = "spiffe://test-net.io/region/us-central1/geoping/server";
    let words = format!(
        "the server's certificate is not acceptable: it is {who}, but dnsrouter in any region was \
         expected"
    );
    assert_eq!(error.to_string(), says(&words));
    assert!(matches!(error, grpc::ConnectError::Tls { is_identity: true, .. }));
    let (_, peer) = connect(Expect::default().in_region("us-central1")).await.unwrap();
    assert_eq!(peer.identity().to_string(), who);
    assert_eq!(peer.address(), server.address);
    assert_eq!(server.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_person_presents_what_they_have_and_hears_what_it_is_worth() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    let files = world.issue("ada", &world.user("ada"));
    let connect = async |pair: Option<(&Path, &Path)>| {
        let caller = Caller::load(&files.ca, pair, world.client_clock.clone()).unwrap();
        let (endpoint, timeouts) = (server.endpoint(), Timeouts::default());
        let connected = grpc::connect(&endpoint, &caller, &Expect::default(), &timeouts).await;
        connected.map(|(channel, _)| GeoPingClient::new(channel)).map_err(|e| e.to_string())
    };
    let pair = Some((files.cert.as_path(), files.key.as_path()));
    let mut ada = connect(pair).await.unwrap();
    assert_eq!(ping(&mut ada, "").await.unwrap(), "spiffe://test-net.io/user/ada");

    let says = "the server says: a client certificate is required (certificate_required)";
    let error = connect(None).await.map(|_| ()).unwrap_err();
    assert!(error.ends_with(says), "{error}");
    // Out of date by the server's clock and by our own: it is the server that says so.
    world.folder.renew(&world.target("server"), None, at(START + DAY)).unwrap();
    world.set_clocks(START + DAY + 1);
    server.tls.reload().unwrap();
    let error = connect(pair).await.map(|_| ()).unwrap_err();
    assert!(error.ends_with("(certificate_expired)"), "{error}");
}

#[tokio::test]
async fn the_client_tells_network_failures_apart() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    let ada = world.client("ada");
    let connect = async |endpoint: &str| {
        let timeouts =
            Timeouts { connect: std::time::Duration::from_secs(2), ..Timeouts::default() };
        let endpoint = endpoint.parse().unwrap();
        let error = grpc::connect(&endpoint, &ada, &Expect::default(), &timeouts).await;
        error.map(|_| ()).unwrap_err()
    };
    let gone = server.address;
    server.task.abort();
    let _ = server.task.await;
    let error = connect(&format!("https://{gone}")).await;
    assert!(matches!(error, grpc::ConnectError::Refused { .. }), "{error}");
    let error = connect("https://no-such-host.invalid:443").await;
    assert!(matches!(error, grpc::ConnectError::Resolve { .. }), "{error}");

    // Something that is no TLS server, and something that says nothing.
    let (talker, silent) = (http2::talker("220 mail\r\n").await, http2::talker("").await);
    let error = connect(&format!("https://{}", talker.address)).await;
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
    let error = connect(&format!("https://{}", silent.address)).await;
    assert!(matches!(error, grpc::ConnectError::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn a_flood_of_refusals_is_counted_not_written() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    let ada = world.client("ada");
    let logs = Logs::capture();
    for _ in 0..60 {
        let nameless = world.odd_client(&ada, |params| params.subject_alt_names.clear());
        let (mut stream, _) = server.raw(nameless).await;
        soon("the alert", stream.read_u8()).await.unwrap_err();
    }
    let lines = logs.take().len();
    assert!((1..=20).contains(&lines), "{lines} lines for 60 refusals");
}

#[tokio::test]
async fn the_handler_knows_who_calls() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    let node = Identity::node(world.ours(), "europe-west3", Program::Dnsrouter, "ns2").unwrap();
    let config = world.issue("ns2", &node);
    let ns2 = Tls::load(&config, Some(world.ours()), world.client_clock.clone()).unwrap();
    let mut client = server.connect(&ns2).await.unwrap();
    assert_eq!(ping(&mut client, "").await.unwrap(), node.to_string());
}
