//! Signatures: which count, how often, and what is signed in return.

use std::fs;
use std::time::Duration;
use std::time::SystemTime;

use aws_lc_rs::hmac;
use dns::name::Name;
use dns::rr::Rcode;
use dns::tsig::TsigError;
use dns::tsig::Variables;
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

/// RFC 8945 §5.3: who signed well hears why a message is refused from us and nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_of_signed_messages_is_signed() {
    const QUESTION: &[u8] = b"\x03www\x07example\0\0\x01\0\x01";
    const ZONE: &[u8] = b"\x07example\0\0\x06\0\x01";
    const OPT: &[u8] = &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    const OPT_1: &[u8] = &[0, 0, 41, 4, 208, 0, 1, 0, 0, 0, 0];
    const RECORD: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\xc0\0\x02\x01";
    let node = Node::new();
    let message = |flags: u8, counts: [u8; 4], body: &[&[u8]]| {
        let [a, b, c, d] = counts;
        [&[0x47, 0x11, flags, 0, 0, a, 0, b, 0, c, 0, d], &*body.concat()].concat()
    };
    for (what, bytes, expected) in [
        ("EDNS version 1", message(0, [1, 0, 0, 1], &[QUESTION, OPT_1]), Rcode::BADVERS),
        ("an update with it", message(0x28, [1, 0, 0, 1], &[ZONE, OPT_1]), Rcode::BADVERS),
        ("STATUS", message(0x10, [1, 0, 0, 0], &[QUESTION]), Rcode::NOTIMP),
        ("STATUS and version 1", message(0x10, [1, 0, 0, 1], &[QUESTION, OPT_1]), Rcode::NOTIMP),
        (
            "type OPT",
            message(0, [1, 0, 0, 0], &[b"\x03www\x07example\0\0\x29\0\x01"]),
            Rcode::FORMERR,
        ),
        ("OPT to be added", message(0x28, [1, 0, 1, 0], &[ZONE, OPT]), Rcode::FORMERR),
        ("two OPT records", message(0, [1, 0, 0, 2], &[QUESTION, OPT, OPT]), Rcode::FORMERR),
        ("two questions", message(0, [2, 0, 0, 0], &[QUESTION, QUESTION]), Rcode::FORMERR),
        ("an answer", message(0, [1, 1, 0, 0], &[QUESTION, RECORD]), Rcode::FORMERR),
    ] {
        for transport in [Transport::Udp, Transport::Tcp { idle: Duration::from_secs(5) }] {
            let stranger = signed("nobody", bytes.clone());
            let reply = node.send(stranger, "192.0.2.9", transport).await.expect(what);
            assert_eq!(rcode(&reply), Rcode::NOTAUTH, "{what}: BADKEY comes first");
            let request = signed("useless", bytes.clone());
            let reply = node.send(request.clone(), "192.0.2.9", transport).await.expect(what);
            let (plain, mac) = split(&reply);
            let extended = if expected == Rcode::BADVERS { plain[plain.len() - 6] } else { 0 };
            let code = Rcode(u16::from(extended) << 4 | rcode(&plain).0);
            assert_eq!((code, mac.len()), (expected, 32), "{what}");
            assert_eq!((&plain[..2], plain[2] & 0x78), (&bytes[..2], bytes[2] & 0x78), "{what}");
            assert_eq!(mac, code_of(&request, &reply), "{what}");
        }
    }
}

/// Octets of the TSIG record of the key "useless" before its time: the owner; type, class, TTL and
/// length; the algorithm.
const BEFORE_TIME: usize = 9 + 10 + 13;
/// Time, fudge and length; the code; id, error and length.
const FROM_TIME: usize = 10 + 32 + 6;

/// A message without its TSIG record, and the code of that.
fn split(message: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (plain, record) = message.split_at(message.len() - BEFORE_TIME - FROM_TIME);
    assert_eq!(&record[..9], b"\x07useless\0");
    let mut plain = plain.to_vec();
    plain[11] -= 1;
    let mac = BEFORE_TIME + 10;
    (plain, record[mac..mac + 32].to_vec())
}

/// The code that the reply to a request should have (RFC 8945 §5.3).
fn code_of(request: &[u8], reply: &[u8]) -> Vec<u8> {
    let number = |octets: &[u8]| octets.iter().fold(0, |sum, &octet| sum << 8 | u64::from(octet));
    let said = &reply[reply.len() - FROM_TIME..];
    let variables = Variables {
        key: "useless".parse().unwrap(),
        algorithm: "hmac-sha256".parse().unwrap(),
        time: number(&said[..6]),
        fudge: number(&said[6..8]) as u16,
        error: TsigError::NONE,
        other: Vec::new(),
    };
    let octets = variables.signed(&split(request).1, &split(reply).0);
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    hmac::sign(&key, &octets).as_ref().to_vec()
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
