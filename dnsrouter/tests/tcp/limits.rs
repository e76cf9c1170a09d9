//! Who may be connected, for how long, and who has to leave.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dnsrouter::answer::Transport;
use dnsrouter::io::tcp::Connections;
use dnsrouter::io::tcp::Limits;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::server::{
    DEADLINE, PATIENT, Server, ask, framed, from_us, hung_up, query, read_answer, read_message,
    signed, soon, stands_for,
};

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
async fn limits_are_for_all_listeners_together() {
    let connections = Connections::new(Limits { connections: 3, per_client: 2, ..PATIENT });
    let here = Server::beside(&connections, &[]).await;
    let there = Server::beside(&connections, &["127.0.0.0/8"]).await;
    let mut first = here.guest().await;
    let _second = here.guest().await;
    let from = |client| {
        let there = &there;
        async move {
            let mut stream = there.connect().await;
            stream.write_all(&stands_for([192, 0, 2, client])).await.unwrap();
            ask(&mut stream).await.map(|()| stream)
        }
    };
    assert!(from_us(&there).await.is_err(), "a client's share is one, wherever it asks");
    let _third = from(1).await.unwrap();
    let _fourth = from(2).await.unwrap();
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
    soon(server.running).await.unwrap();
    hung_up(&mut guest).await;
}

/// What a client is told of its idle time: a job carries what an answer does.
async fn told(server: &mut Server, stream: &mut TcpStream) -> Duration {
    stream.write_all(&signed(1)).await.unwrap();
    let job = server.job().await;
    let Transport::Tcp { idle } = job.transport else { panic!("{:?}", job.transport) };
    (job.done)(b"reply".to_vec());
    read_message(stream).await.unwrap();
    idle
}

#[tokio::test]
async fn a_client_is_told_how_long_it_may_be_silent_now() {
    let (idle, least_idle) = (Duration::from_secs(10), Duration::from_secs(1));
    let limits = Limits { connections: 10, per_client: 10, idle, least_idle, ..PATIENT };
    let mut server = Server::start(limits).await;
    let mut stream = server.connect().await;
    let alone = told(&mut server, &mut stream).await;
    assert!(alone < idle && alone > least_idle * 5, "{alone:?}");
    let mut others = Vec::new();
    for _ in 1..10 {
        others.push(server.guest().await);
    }
    assert_eq!(told(&mut server, &mut stream).await, least_idle, "the table is full");
    let lifetime = Duration::from_secs(2);
    let mut server = Server::start(Limits { lifetime, ..limits }).await;
    let mut stream = server.connect().await;
    assert!(told(&mut server, &mut stream).await <= lifetime, "it ends before it is idle");
}

#[tokio::test]
async fn long_messages_that_do_not_end_have_so_much_room_together() {
    let connections = Connections::new(Limits { unfinished: 200_000, ..PATIENT });
    let servers =
        [Server::beside(&connections, &[]).await, Server::beside(&connections, &[]).await];
    let mut guest = servers[0].guest().await;
    let longest = framed(&[0; 65_535]);
    let mut begun = Vec::new();
    for server in servers.iter().cycle().take(6) {
        let mut stream = server.connect().await;
        stream.write_all(&longest[..60_000]).await.unwrap();
        begun.push(stream);
    }
    // There is room for three; which of them came first, the server knows.
    soon(async {
        while begun.len() > 3 {
            begun.retain(|stream| {
                let read = stream.try_read(&mut [0; 1]).map_err(|error| error.kind());
                read == Err(io::ErrorKind::WouldBlock)
            });
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut left = begun;
    assert_eq!(left.len(), 3);
    ask(&mut guest).await.unwrap();
    // A whole one is answered, and gives its room back.
    left[0].write_all(&longest[60_000..]).await.unwrap();
    assert_eq!(read_message(&mut left[0]).await.unwrap()[3] & 15, 1, "FORMERR");
    let mut another = servers[1].connect().await;
    another.write_all(&longest).await.unwrap();
    assert!(!read_message(&mut another).await.unwrap().is_empty());
    for stream in &mut left[1..] {
        let unread = stream.try_read(&mut [0; 1]).map_err(|error| error.kind());
        assert_eq!(unread, Err(io::ErrorKind::WouldBlock), "nobody left for it");
    }
}
