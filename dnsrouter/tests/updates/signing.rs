//! Signatures: which count, how often, and what is signed in return.

use std::fs;
use std::time::Duration;
use std::time::SystemTime;

use dns::name::Name;
use dns::rr::Rcode;
use dnsrouter::answer::Transport;
use hickory_proto::op::Message;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RData;

use crate::node::{CONFIG, Node, SECRET, ZONE, rcode, signed, signed_at, update};

#[tokio::test(flavor = "multi_thread")]
async fn the_same_message_counts_once() {
    let mut node = Node::new();
    let add = node.message("all", "example", &["add a.example one"]);
    let first = node.send(add.clone(), "127.0.0.1", Transport::Udp);
    let second = node.send(add.clone(), "127.0.0.1", Transport::Udp);
    assert_eq!(rcode(&first.await.unwrap()), Rcode::NOERROR);
    assert_eq!(rcode(&second.await.unwrap()), Rcode::NOERROR, "its sender heard nothing");
    assert_eq!(node.serial("example"), 2);
    assert_eq!(node.update(&["del a.example"]).await, Rcode::NOERROR);
    // Somebody who saw it pass plays it back.
    let again = node.send(add, "192.0.2.66", Transport::Udp).await.unwrap();
    assert_eq!(rcode(&again), Rcode::NOERROR);
    assert_eq!((node.txt("a.example").len(), node.serial("example")), (0, 3));
}

/// What was carried out before a restart is forgotten; so its signature counts no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_does_not_make_an_old_message_new() {
    let mut node = Node::new();
    let add = node.message("all", "example", &["add a.example one"]);
    let first = node.send(add.clone(), "127.0.0.1", Transport::Udp);
    assert_eq!(rcode(&first.await.unwrap()), Rcode::NOERROR);
    assert_eq!(node.update(&["del a.example"]).await, Rcode::NOERROR);
    // Signatures have whole seconds: the next process begins in a later one.
    let second = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let signed = second(SystemTime::now());
    while second(SystemTime::now()) == signed {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut node = node.restart().await;
    let again = node.send(add, "192.0.2.66", Transport::Udp).await.unwrap();
    assert_eq!(rcode(&again), Rcode::NOTAUTH, "BADTIME");
    assert!(node.txt("a.example").is_empty());
    assert_eq!(node.update(&["add b.example two"]).await, Rcode::NOERROR, "new ones count");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_without_room_beside_its_signature_is_truncated() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("zone"), ZONE).unwrap();
    let identity = format!("[identity]\nnsid = '{}'\n", "i".repeat(128));
    fs::write(folder.path().join("dnsrouter.toml"), format!("{CONFIG}\n{identity}")).unwrap();
    let node = Node::start(folder);
    let label = "n".repeat(63);
    let name: Name = format!("{label}.{label}.{label}.{}.", "n".repeat(61)).parse().unwrap();
    let mut query = [b"\x47\x11\x01\0\0\x01\0\0\0\0\0\x01", name.wire(), &[0, 1, 0, 1]].concat();
    // EDNS with 512 octets: NSID, a cookie, and a client subnet of a whole IPv6 address.
    let mut options =
        vec![0, 3, 0, 0, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 8, 0, 20, 0, 2, 128, 0];
    options.extend([0x20; 16]);
    query.extend([0, 0, 41, 2, 0, 0, 0, 0, 0, 0, options.len() as u8]);
    query.extend(options);
    let reply = node.send(signed("useless", query), "192.0.2.9", Transport::Udp).await;
    let reply = reply.expect("a reply, not silence");
    assert!(reply.len() <= 512, "{}", reply.len());
    let (plain, mac) = split(&reply);
    let message = Message::from_vec(&plain).unwrap();
    assert!(message.truncation && message.response_code == ResponseCode::NoError, "{message:?}");
    assert_eq!((message.queries.len(), mac.len()), (1, 32));
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_are_signed_are_answered_and_signed() {
    let mut node = Node::new();
    let texts: Vec<String> = (0..30).map(|i| format!("add big.example {i:0>40}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(node.update(&texts).await, Rcode::NOERROR);
    let query = |name: &str, rtype: u8| {
        let name: Name = name.parse().unwrap();
        let head = b"\x47\x11\x01\0\0\x01\0\0\0\0\0\0";
        [&head[..], name.wire(), &[0, rtype, 0, 1]].concat()
    };
    let idle = Duration::from_secs(5);
    for (name, rtype, transport, expected) in [
        ("www.example", 1, Transport::Udp, (ResponseCode::NoError, false, 1)),
        ("none.example", 1, Transport::Udp, (ResponseCode::NXDomain, false, 0)),
        ("www.net", 1, Transport::Udp, (ResponseCode::Refused, false, 0)),
        ("example", 252, Transport::Tcp { idle }, (ResponseCode::Refused, false, 0)),
        ("big.example", 16, Transport::Udp, (ResponseCode::NoError, true, 0)),
        ("big.example", 16, Transport::Tcp { idle }, (ResponseCode::NoError, false, 30)),
    ] {
        let reply =
            node.send(signed("useless", query(name, rtype)), "192.0.2.9", transport).await.unwrap();
        assert!(transport != Transport::Udp || reply.len() <= 512, "{}", reply.len());
        let (plain, mac) = split(&reply);
        let message = Message::from_vec(&plain).unwrap();
        let seen = (message.response_code, message.truncation, message.answers.len());
        assert_eq!(seen, expected, "{name}");
        assert_eq!(mac.len(), 32);
    }
    // Signed NOTIFY, and nonsense, leak nothing.
    let mut notify = query("example", 6);
    notify[2] = 0x20;
    let reply = node.send(signed("useless", notify), "192.0.2.9", Transport::Udp).await.unwrap();
    let message = Message::from_vec(&split(&reply).0).unwrap();
    assert_eq!(message.response_code, ResponseCode::NotImp);
    assert!(message.answers.iter().all(|record| !matches!(record.data, RData::SOA(_))));
}

/// A reply without its TSIG record, and the code of that.
fn split(reply: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let at = reply.windows(2).rposition(|two| two == [0, 250]).unwrap();
    let owner = reply[..at].windows(9).rposition(|name| name == b"\x07useless\0").unwrap();
    let mut plain = reply[..owner].to_vec();
    plain[11] -= 1;
    // Type, class, TTL and length; the algorithm; time, fudge and length.
    let mac = at + 10 + 13 + 10;
    (plain, reply[mac..mac + 32].to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_that_do_not_count() {
    let mut node = Node::new();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let update = update(9, "example", &["add a.example one"]);
    // The TSIG error stands before the other data, which is empty but for BADTIME.
    for (key, time, secret, error, other) in [
        ("nobody", now, SECRET, 17, 0),
        ("all", now, &b"another secret"[..], 16, 0),
        ("all", now - 400, SECRET, 18, 6),
        ("all", 100, SECRET, 18, 6),
    ] {
        let bytes = signed_at(key, update.clone(), time, secret);
        let reply = node.send(bytes, "192.0.2.9", Transport::Udp).await.unwrap();
        assert_eq!(rcode(&reply), Rcode::NOTAUTH);
        let tail = &reply[reply.len() - other - 4..];
        assert_eq!(tail[..4], [0, error, 0, other as u8], "{key} {error}");
    }
    assert!(node.kept("example").is_none());
    assert_eq!(node.update(&["add a.example one"]).await, Rcode::NOERROR);
}
