//! Connections that a proxy makes for somebody.

use std::time::Duration;

use dnsrouter::io::tcp::Connections;
use dnsrouter::io::tcp::Limits;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

use crate::server::{
    LOCAL, PATIENT, Server, ask, from_us, hung_up, query, read_answer, read_message, signed, soon,
    stands_for,
};

#[tokio::test]
async fn a_proxy_says_whom_it_stands_for() {
    let mut server = Server::behind(&["127.0.0.0/8"], PATIENT).await;
    let mut stream = server.connect().await;
    // The header and what follows it, octet by octet.
    for octet in [stands_for([192, 0, 2, 1]), signed(1), query("ns1", 1)].concat() {
        stream.write_all(&[octet]).await.unwrap();
        tokio::task::yield_now().await;
    }
    read_answer(&mut stream).await.unwrap();
    let job = server.job().await;
    assert_eq!(job.peer, "192.0.2.1:4242".parse().unwrap());
    assert_eq!(job.local, "203.0.113.53:53".parse().unwrap());
}

#[tokio::test]
async fn a_proxy_may_speak_for_itself_and_leave_without_a_word() {
    let mut server = Server::behind(&["10.0.0.0/8", "127.0.0.1/32"], PATIENT).await;
    drop(server.connect().await);
    let mut stream = server.connect().await;
    stream.write_all(&[&LOCAL[..], &signed(1), &query("ns1", 1)].concat()).await.unwrap();
    read_answer(&mut stream).await.unwrap();
    assert_eq!(server.job().await.peer, stream.local_addr().unwrap());
}

#[tokio::test]
async fn a_proxy_must_send_a_header_and_nobody_else_is_believed() {
    let server = Server::behind(&["127.0.0.2/32"], PATIENT).await;
    let proxy = || async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        soon(socket.connect(server.address)).await.unwrap()
    };
    let mut stream = proxy().await;
    stream.write_all(&query("ns1", 1)).await.unwrap();
    hung_up(&mut stream).await;
    let mut stream = proxy().await;
    stream.write_all(&stands_for([192, 0, 2, 1])).await.unwrap();
    ask(&mut stream).await.unwrap();
    let mut stream = server.guest().await;
    // To anybody else these are the first octets of a message of 3,338, as they say.
    stream.write_all(&stands_for([192, 0, 2, 1])).await.unwrap();
    stream.write_all(&[0; 3338 - 26]).await.unwrap();
    assert_eq!(read_message(&mut stream).await.unwrap()[3] & 15, 1, "FORMERR");
    ask(&mut stream).await.unwrap();
}

#[tokio::test]
async fn a_header_must_be_whole_in_time() {
    let slow = Duration::from_millis(50);
    let server = Server::behind(&["127.0.0.0/8"], Limits { slow, ..PATIENT }).await;
    let header = stands_for([192, 0, 2, 1]);
    for cut in [0, 1, 12, 15, header.len() - 1] {
        let mut stream = server.connect().await;
        stream.write_all(&header[..cut]).await.unwrap();
        hung_up(&mut stream).await;
    }
}

#[tokio::test]
async fn silent_proxies_send_nobody_away() {
    let limits = Limits { connections: 2, pending: 2, per_client: 1, ..PATIENT };
    let connections = Connections::new(limits);
    let (direct, proxied) = (
        Server::beside(&connections, &[]).await,
        Server::beside(&connections, &["127.0.0.0/8"]).await,
    );
    let mut guest = direct.guest().await;
    let mut silent = Vec::new();
    for _ in 0..6 {
        silent.push(proxied.connect().await);
    }
    hung_up(&mut silent[3]).await;
    // Its client has its share already: nobody leaves for it.
    assert!(from_us(&proxied).await.is_err());
    ask(&mut guest).await.unwrap();
}

#[tokio::test]
async fn shares_are_the_clients_and_not_the_proxy_s() {
    let server = Server::behind(&["127.0.0.0/8"], Limits { per_client: 2, ..PATIENT }).await;
    let mut streams = Vec::new();
    for client in [1, 1, 2, 2] {
        let mut stream = server.connect().await;
        stream.write_all(&stands_for([192, 0, 2, client])).await.unwrap();
        ask(&mut stream).await.unwrap();
        streams.push(stream);
    }
    let mut third = server.connect().await;
    third.write_all(&stands_for([192, 0, 2, 1])).await.unwrap();
    hung_up(&mut third).await;
    for stream in &mut streams {
        ask(stream).await.unwrap();
    }
}
