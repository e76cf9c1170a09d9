//! Replies that have to be waited for, and answers at the end of a connection.

use std::io;
use std::time::Duration;

use dnsrouter::answer::Lane;
use dnsrouter::io::deferred::Limit;
use dnsrouter::io::tcp::Limits;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::server::{
    PATIENT, Server, ask, framed, hung_up, query, read_answer, read_message, signed, soon,
};

/// What nobody reads any more must not reset the connection: answers would be lost with it.
#[tokio::test]
async fn what_is_answered_arrives_before_the_end() {
    let server = Server::start(PATIENT).await;
    let mut stream = server.connect().await;
    let queries = query("ns1", 1).repeat(40);
    let (nonsense, rest) = (framed(&[1, 2, 3]), query("ns1", 1).repeat(1000));
    stream.write_all(&[queries, nonsense, rest].concat()).await.unwrap();
    for _ in 0..40 {
        read_answer(&mut stream).await.unwrap();
    }
    assert_eq!(soon(stream.read(&mut [0; 1])).await.unwrap(), 0, "an end, and no reset");
}

#[tokio::test]
async fn a_reply_that_is_on_its_way_is_not_lost_with_what_comes_after_its_query() {
    for after in [framed(&[1, 2, 3]), vec![0, 40, 1]] {
        let mut server = Server::start(PATIENT).await;
        let mut stream = server.connect().await;
        stream.write_all(&[signed(1), after].concat()).await.unwrap();
        stream.shutdown().await.unwrap();
        let job = server.job().await;
        (job.done)(b"reply".to_vec());
        assert_eq!(read_message(&mut stream).await.unwrap(), b"reply");
        assert_eq!(soon(stream.read(&mut [0; 1])).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn whoever_asks_no_more_gets_all_its_answers() {
    let mut server = Server::start(PATIENT).await;
    let mut stream = server.connect().await;
    // One more than may be in flight, and one behind it.
    let waiting = 1..=u16::try_from(PATIENT.in_flight + 1).unwrap();
    let signed: Vec<_> = waiting.clone().flat_map(signed).collect();
    stream.write_all(&[signed, query("ns1", 1)].concat()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut replies = 0;
    for _ in waiting.clone() {
        let job = server.job().await;
        (job.done)(b"reply".to_vec());
        let next = read_message(&mut stream).await.unwrap();
        replies += usize::from(next == b"reply");
    }
    let last = read_message(&mut stream).await.unwrap();
    replies += usize::from(last == b"reply");
    assert_eq!(replies, waiting.count(), "and one that had not to wait");
    hung_up(&mut stream).await;
}

#[tokio::test]
async fn what_has_to_be_waited_for_holds_up_nobody_behind_it() {
    let mut server = Server::start(PATIENT).await;
    let mut stream = server.connect().await;
    let queries = [signed(1), query("ns1", 1), signed(2), query("large", 16), query("ns1", 1)];
    stream.write_all(&queries.concat()).await.unwrap();
    for length in [47, 50_000, 47] {
        assert!(read_answer(&mut stream).await.unwrap().len() >= length, "in their order");
    }
    let (first, second) = (server.job().await, server.job().await);
    assert_eq!((first.bytes[1], second.bytes[1]), (1, 2));
    assert_eq!((first.peer, first.local), (stream.local_addr().unwrap(), server.address));
    (second.done)(b"the second".to_vec());
    assert_eq!(read_message(&mut stream).await.unwrap(), b"the second");
    ask(&mut stream).await.unwrap();
    (first.done)(b"the first".to_vec());
    assert_eq!(read_message(&mut stream).await.unwrap(), b"the first");
}

#[tokio::test]
async fn with_so_many_waiting_no_more_are_read_until_one_is_done() {
    let mut server = Server::start(PATIENT).await;
    let mut stream = server.connect().await;
    for id in 1..=4 {
        stream.write_all(&signed(id)).await.unwrap();
    }
    stream.write_all(&[query("ns1", 1), signed(5), query("ns1", 1)].concat()).await.unwrap();
    let mut jobs = Vec::new();
    for _ in 0..4 {
        jobs.push(server.job().await);
    }
    // A canary has come and gone, and still nobody has looked at the rest.
    server.guest().await;
    assert!(tokio::time::timeout(Duration::ZERO, server.jobs.recv()).await.is_err());
    let unread = stream.try_read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(unread, Err(io::ErrorKind::WouldBlock));
    (jobs.remove(0).done)(b"reply".to_vec());
    assert_eq!(read_message(&mut stream).await.unwrap(), b"reply");
    read_answer(&mut stream).await.unwrap();
    assert_eq!(server.job().await.bytes[1], 5);
    // A job that nobody does makes room as well.
    drop(jobs);
    read_answer(&mut stream).await.unwrap();
}

#[tokio::test]
async fn replies_and_answers_are_whole_though_they_come_all_at_once() {
    let mut server = Server::start(Limits { in_flight: 64, ..PATIENT }).await;
    let mut stream = server.connect().await;
    let mut queries = Vec::new();
    for id in 1..=64 {
        queries.extend([signed(id), query("large", 16)].concat());
    }
    let (mut from, mut to) = stream.split();
    let doing = async {
        for _ in 0..64 {
            let job = server.job().await;
            tokio::task::spawn_blocking(move || {
                let reply = job.bytes[..2].repeat(10_000);
                (job.done)(reply);
            });
        }
    };
    let reading = async {
        let (mut replies, mut answers) = (0, 0);
        while replies + answers < 128 {
            let length = usize::from(from.read_u16().await.unwrap());
            let mut message = vec![0; length];
            from.read_exact(&mut message).await.unwrap();
            if length == 20_000 {
                assert!(message.chunks(2).all(|id| id == &message[..2]), "one reply, whole");
                replies += 1;
            } else {
                assert!(length > 50_000 && message[..2] == [0, 7]);
                answers += 1;
            }
        }
        assert_eq!((replies, answers), (64, 64));
    };
    let writing = async { to.write_all(&queries).await.unwrap() };
    soon(async { tokio::join!(doing, reading, writing) }).await;
}

#[tokio::test]
async fn who_waits_for_a_reply_is_not_idle() {
    let idle = Duration::from_millis(20);
    let mut server = Server::start(Limits { idle, least_idle: idle, ..PATIENT }).await;
    let mut stream = server.connect().await;
    stream.write_all(&signed(1)).await.unwrap();
    let job = server.job().await;
    tokio::time::sleep(idle * 10).await;
    (job.done)(b"reply".to_vec());
    assert_eq!(read_message(&mut stream).await.unwrap(), b"reply");
    hung_up(&mut stream).await;
}

#[tokio::test]
async fn half_a_query_ends_a_connection_that_waits_for_a_reply_too() {
    let slow = Duration::from_millis(50);
    let mut server = Server::start(Limits { slow, ..PATIENT }).await;
    let mut stream = server.connect().await;
    stream.write_all(&[signed(1), query("ns1", 1)[..9].to_vec()].concat()).await.unwrap();
    let _job = server.job().await;
    hung_up(&mut stream).await;
}

#[tokio::test]
async fn who_asks_no_more_still_gets_the_reply() {
    let mut server = Server::start(PATIENT).await;
    let mut stream = server.connect().await;
    stream.write_all(&[signed(1), query("ns1", 1)].concat()).await.unwrap();
    stream.shutdown().await.unwrap();
    read_answer(&mut stream).await.unwrap();
    (server.job().await.done)(b"reply".to_vec());
    assert_eq!(read_message(&mut stream).await.unwrap(), b"reply");
    hung_up(&mut stream).await;
}

#[tokio::test]
async fn a_reply_that_does_not_come_is_not_waited_for_without_end() {
    let slow = Duration::from_millis(50);
    let mut server = Server::start(Limits { slow, lifetime: slow, ..PATIENT }).await;
    let mut stream = server.connect().await;
    stream.write_all(&signed(1)).await.unwrap();
    let _job = server.job().await;
    hung_up(&mut stream).await;
}

#[tokio::test]
async fn a_connection_that_finds_the_queue_full_is_closed() {
    let most = Limit::of(Lane::Tcp).share;
    let mut server = Server::start(Limits { in_flight: most + 1, ..PATIENT }).await;
    let mut stream = server.connect().await;
    stream.write_all(&signed(1).repeat(most + 1)).await.unwrap();
    let full = "\ndnsrouter_queue_full_total{lane=\"tcp\"} 1\n";
    soon(async {
        while !server.registry.render().contains(full) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Those before it are answered first.
    for i in 0..most {
        (server.job().await.done)(b"reply".to_vec());
        let message = read_message(&mut stream).await;
        assert_eq!(message.ok().as_deref(), Some(&b"reply"[..]), "{i} of {most}");
    }
    hung_up(&mut stream).await;
    server.guest().await;
}

#[tokio::test]
async fn told_to_stop_it_lets_a_job_finish() {
    let mut server = Server::start(PATIENT).await;
    let mut stream = server.connect().await;
    stream.write_all(&signed(1)).await.unwrap();
    let job = server.job().await;
    server.stop.cancel();
    (job.done)(b"reply".to_vec());
    assert_eq!(read_message(&mut stream).await.unwrap(), b"reply");
    soon(server.running).await.unwrap();
}
