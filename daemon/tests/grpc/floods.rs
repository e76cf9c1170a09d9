//! Faults 24, 26, 27, 28: what cannot hurt, with a canary beside it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use daemon::grpc::Limits;
use daemon::tls::{Credentials as _, Expect};
use proto::geoping::v1::RegionRequest;
use proto::geoping::v1::geo_ping_client::GeoPingClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http2::{
    self, CONTINUATION, DATA, END_HEADERS, End, HEADERS, RST_STREAM, WINDOW_UPDATE, frame,
};
use crate::world::{Logs, NEVER, Server, World, soon};

const STATUS: &str = "/geoping.v1.GeoPing/Status";
const ENHANCE_YOUR_CALM: u32 = 0xb;

/// The first bytes of a ClientHello, and no more.
const HALF_A_HELLO: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01];

#[tokio::test]
async fn stalled_handshakes_keep_nobody_out() {
    let world = World::new();
    let limits = Limits { handshakes: 50, handshake_timeout: NEVER, ..Limits::default() };
    let server = world.serve(limits).await;
    let ada = world.client("ada");
    let mut stalled = Vec::new();
    for i in 0..300 {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        if i % 2 == 0 {
            socket.write_all(HALF_A_HELLO).await.unwrap();
        }
        stalled.push(socket);
        if i % 30 == 0 {
            server.canary(&ada).await; // far sooner than any of them times out
        }
    }
    server.canary(&ada).await;
    // The oldest gave way.
    let ended = stalled[0].read_u8();
    assert!(soon("the end of the oldest", ended).await.is_err());
}

#[tokio::test]
async fn a_handshake_has_its_time() {
    let world = World::new();
    let handshake_timeout = Duration::from_millis(200);
    let server = world.serve(Limits { handshake_timeout, ..Limits::default() }).await;
    let logs = Logs::capture();
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let own = socket.local_addr().unwrap();
    socket.write_all(HALF_A_HELLO).await.unwrap();
    soon("the end", socket.read_u8()).await.unwrap_err();
    let lines = logs.lines("the time-out").await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains(&format!("peer={own}")), "{}", lines[0]);
    assert!(lines[0].contains("the handshake took longer than 200ms"), "{}", lines[0]);
}

#[tokio::test]
async fn what_is_no_tls_is_refused_at_once() {
    let world = World::new();
    let server = world.serve(Limits { handshake_timeout: NEVER, ..Limits::default() }).await;
    let logs = Logs::capture();
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = soon("the end", socket.read_to_end(&mut answer)).await;
    let lines = logs.lines("the refusal").await;
    assert!(lines[0].contains("it does not speak TLS"), "{lines:#?}");
}

#[tokio::test]
async fn connections_are_counted() {
    let world = World::new();
    let server = world.serve(Limits { connections: 2, ..Limits::default() }).await;
    let ada = world.client("ada");
    let one = server.connect(&ada).await.unwrap();
    let _two = server.connect(&ada).await.unwrap();
    assert!(server.connect(&ada).await.is_err(), "the third of two");
    drop(one);
    let again = async {
        while server.connect(&ada).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon("a free place", again).await;
}

/// Provokes the server over one connection while a canary is answered on others.
async fn provoke(server: &Server, world: &World, bytes: Vec<u8>) -> End {
    let ada = world.client("provoker");
    let (stream, _) = server.raw(ada.client_config(&Expect::default())).await;
    let provoking = http2::provoke(stream, [http2::opening(), bytes].concat());
    let (end, ()) = tokio::join!(soon("the end of the provocation", provoking), async {
        for _ in 0..5 {
            server.canary(&ada).await;
        }
    });
    server.canary(&ada).await;
    end
}

fn open(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &http2::call_headers(STATUS))
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    let mut bytes = Vec::new();
    for stream in (1..20_001).step_by(2) {
        bytes.extend(open(stream));
        bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())); // CANCEL
    }
    assert_eq!(provoke(&server, &world, bytes).await, End::GoAway(ENHANCE_YOUR_CALM));
    let calls = server.calls.load(Ordering::SeqCst);
    assert!(calls < 1000, "{calls} of 10000 reset calls reached the handler");
}

#[tokio::test]
async fn streams_that_we_are_made_to_reset_end_the_connection() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    let mut bytes = Vec::new();
    for stream in (1..2001).step_by(2) {
        bytes.extend(open(stream));
        bytes.extend(frame(WINDOW_UPDATE, 0, stream, &0_u32.to_be_bytes())); // §6.9: an error
    }
    let end = provoke(&server, &world, bytes).await;
    assert!(matches!(end, End::GoAway(_)), "{end:?}");
}

#[tokio::test]
async fn endless_headers_end_the_connection() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    let mut bytes = frame(HEADERS, 0, 1, &http2::call_headers(STATUS)); // to be continued
    let more: Vec<u8> = (0..50).flat_map(|_| http2::literal("x-more", &"x".repeat(100))).collect();
    for _ in 0..5000 {
        bytes.extend(frame(CONTINUATION, 0, 1, &more)); // 28 MB in all
    }
    let end = provoke(&server, &world, bytes).await;
    assert!(matches!(end, End::GoAway(_)), "{end:?}");
    assert!(server.calls.load(Ordering::SeqCst) <= 6, "only the canaries");
}

#[tokio::test]
async fn a_large_header_list_is_refused() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    let ada = world.client("ada");
    let channel = server.channel(ada.client_config(&Expect::default())).await;
    let mut request = tonic::Request::new(RegionRequest::default());
    request.metadata_mut().insert("x-large", "x".repeat(20_000).parse().unwrap());
    let refused = soon("an answer", GeoPingClient::new(channel).status(request)).await;
    refused.expect_err("20 kB of headers");
    assert_eq!(server.calls.load(Ordering::SeqCst), 0);
    server.canary(&ada).await;
}

#[tokio::test]
async fn empty_data_frames_hurt_nobody() {
    let world = World::new();
    let server =
        world.serve(Limits { connection_age: Duration::from_secs(2), ..Limits::default() });
    let server = server.await;
    let mut bytes = open(1);
    for _ in 0..100_000 {
        bytes.extend(frame(DATA, 0, 1, &[]));
    }
    bytes.extend(frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes()));
    let end = provoke(&server, &world, bytes).await;
    assert!(matches!(end, End::GoAway(_)), "{end:?}");
}

#[tokio::test]
async fn oversized_messages_are_refused_before_they_arrive() {
    let world = World::new();
    let server = world.serve(Limits { message: 1000, ..Limits::default() }).await;
    let ada = world.client("ada");
    let call = async |length: usize| {
        let mut client = server.connect(&ada).await.unwrap();
        soon("an answer", client.status(RegionRequest { region: "x".repeat(length) })).await
    };
    assert!(call(900).await.is_ok());
    let refused = call(1000).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "{refused:?}");
    let words = "a message of 1003 bytes is too long, the limit is 1000";
    assert!(refused.message().contains(words), "{refused:?}");
    assert_eq!(server.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn compressed_and_nested_messages_are_refused() {
    const INTERNAL: &str = "13";
    const UNIMPLEMENTED: &str = "12";
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    let ada = world.client("ada");
    // Groups within groups, 100,000 deep: each byte opens an unknown field 2.
    let nested = vec![0x13; 100_000];
    let bomb = b"\x1f\x8b would become gigabytes".to_vec();
    for (flag, message, status) in [(0, nested, INTERNAL), (1, bomb, UNIMPLEMENTED)] {
        let channel = server.channel(ada.client_config(&Expect::default())).await;
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let body = [&[flag], &length[..], &message].concat();
        let request = http::Request::post(format!("https://server{STATUS}"))
            .header("content-type", "application/grpc")
            .header("grpc-encoding", if flag == 1 { "gzip" } else { "identity" })
            .body(tonic::body::Body::new(http_body_util::Full::from(body)))
            .unwrap();
        let answer = soon("an answer", tower::ServiceExt::oneshot(channel, request)).await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], status, "{answer:?}");
    }
    assert_eq!(server.calls.load(Ordering::SeqCst), 0);
    server.canary(&ada).await;
}

#[tokio::test]
async fn a_peer_that_never_reads_is_left() {
    let world = World::new();
    let limits = Limits {
        keepalive_interval: Duration::from_millis(100),
        keepalive_timeout: Duration::from_millis(200),
        connections: 1,
        ..Limits::default()
    };
    let server = world.serve(limits).await;
    let ada = world.client("ada");
    let (mut stream, _) = server.raw(ada.client_config(&Expect::default())).await;
    stream.write_all(&http2::opening()).await.unwrap();
    stream.flush().await.unwrap();
    // It reads no ping and answers none; its place is free again soon.
    let again = async {
        while server.connect(&ada).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon("its place", again).await;
}
