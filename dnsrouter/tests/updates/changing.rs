//! What updates change, and what is refused.

use std::sync::Arc;

use dns::rr::Class;
use dns::rr::Rcode;
use dns::rr::Rtype;
use dnsrouter::answer::Transport;

use crate::node::{Node, message, rcode, record, signed};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_served_and_on_disk() {
    let mut node = Node::new();
    assert!(node.kept("example").is_none());
    let zones = |node: &Node| Arc::clone(&node.shared.plan.load().inputs.zones);
    let before = zones(&node);
    assert_eq!(node.update(&["add a.example one", "add a.example two"]).await, Rcode::NOERROR);
    // Whatever other zones hold, nobody looked at it.
    assert!(zones(&node).shares_main(&before));
    // At this very moment.
    assert_eq!(node.txt("a.example"), ["one", "two"]);
    assert_eq!(node.kept("example").unwrap().serial(), 2);
    assert_eq!(
        node.update(&["no b.example", "del a.example", "add b.example three"]).await,
        Rcode::NOERROR
    );
    assert_eq!((node.txt("a.example"), node.txt("b.example")), (vec![], vec!["three".to_owned()]));
    assert_eq!(node.update(&["no b.example", "add c.example four"]).await, Rcode::YXDOMAIN);
    assert_eq!(node.serial("example"), 3);
    // Nothing new is no new serial.
    assert_eq!(node.update(&["add b.example three"]).await, Rcode::NOERROR);
    assert_eq!((node.serial("example"), node.serial("narrow")), (3, 1));
    let fingerprint = |node: &Node| node.shared.plan.load().inputs.fingerprint;
    let before = fingerprint(&node);
    assert_eq!(node.update(&["add b.example four"]).await, Rcode::NOERROR);
    assert_ne!(fingerprint(&node), before);
    let before = fingerprint(&node);
    let node = node.restart().await;
    assert_eq!(fingerprint(&node), before);
    assert_eq!(node.txt("b.example"), ["three", "four"]);
    assert_eq!(node.serial("example"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_neither_served_nor_kept() {
    let mut node = Node::new();
    assert_eq!(node.update(&["add a.example one"]).await, Rcode::NOERROR);
    let before = node.kept("example").unwrap();
    for (key, zone, lines, expected) in [
        // Who.
        ("useless", "example", &["add x.example a"][..], Rcode::REFUSED),
        ("acme", "example", &["add x.example a"], Rcode::REFUSED),
        ("all", "sub.example", &["add x.sub.example a"], Rcode::REFUSED),
        ("all", "other", &["add x.other a"], Rcode::NOTAUTH),
        ("all", "www.example", &["add www.example a"], Rcode::NOTAUTH),
        // What.
        ("acme", "narrow", &["add x.narrow a"], Rcode::REFUSED),
        ("acme", "narrow", &["a _acme-challenge.narrow"], Rcode::REFUSED),
        ("acme", "narrow", &["add _acme-challenge.narrow a", "del www.narrow"], Rcode::REFUSED),
        ("all", "example", &["add x.net a"], Rcode::NOTZONE),
        // Somebody else's names.
        ("all", "example", &["add x.sub.example a"], Rcode::NOTZONE),
        ("all", "example", &["add sub.example a"], Rcode::NOTZONE),
        ("all", "example", &["del sub.example"], Rcode::NOTZONE),
        // No zone any more.
        ("all", "example", &["add x.child.example a"], Rcode::REFUSED),
        ("all", "example", &["ns a.example"], Rcode::REFUSED),
        // A service stands there, or would be hidden.
        ("all", "example", &["add y.example a", "a geo.example"], Rcode::REFUSED),
        ("all", "example", &["ns geo.example"], Rcode::REFUSED),
        ("all", "example", &["no geo.example", "add geo.example a"], Rcode::YXDOMAIN),
    ] {
        assert_eq!(node.update_as(key, zone, lines).await, expected, "{key} {zone} {lines:?}");
    }
    assert_eq!(node.kept("example").unwrap().records(), before.records());
    assert!(node.kept("narrow").is_none());
    assert_eq!((node.serial("example"), node.serial("narrow")), (2, 1));
    // Beside a service, with a type that is not its own; a delegation to a zone of ours.
    assert_eq!(node.update(&["add geo.example a", "ns sub.example"]).await, Rcode::NOERROR);
    assert_eq!(
        node.update_as("acme", "narrow", &["add _acme-challenge.narrow a"]).await,
        Rcode::NOERROR
    );
    assert_eq!(node.txt("_acme-challenge.narrow"), ["a"]);
    let bytes = node.message("acme", "narrow", &["add _acme-challenge.narrow b"]);
    let elsewhere = node.send(bytes, "192.0.2.1", Transport::Udp).await.unwrap();
    assert_eq!(rcode(&elsewhere), Rcode::REFUSED);
}

/// Whoever sends several without waiting means them in this order (RFC 2136 §3.7).
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn updates_are_carried_out_in_the_order_in_which_they_come() {
    let mut node = Node::new();
    for round in 0..20 {
        let numbered = |n: usize| format!("add seq.example {round}-{n}");
        let sent: Vec<_> = (0..12)
            .map(|n| {
                let bytes = node.message("all", "example", &["del seq.example", &numbered(n)]);
                node.send(bytes, "127.0.0.1", Transport::Udp)
            })
            .collect();
        for reply in sent {
            assert_eq!(rcode(&reply.await.unwrap()), Rcode::NOERROR);
        }
        assert_eq!(node.txt("seq.example"), [format!("{round}-11")]);
    }
}

/// RFC 2136 §3.4.2: acknowledged, less what is skipped; who may not is refused all the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_rfc_skips_does_not_refuse_the_rest() {
    let node = Node::new();
    let cname = |owner: &str| record(owner, Rtype::CNAME, Class::IN, 60, b"\x01a\0");
    let text = record("a.example", Rtype::TXT, Class::IN, 60, b"\x03one");
    let no_ns = record("example", Rtype::NS, Class::ANY, 0, &[]);
    let bytes = message(1, "example", &[], &[cname("www.example"), text, no_ns]);
    let reply = node.send(signed("all", bytes), "127.0.0.1", Transport::Udp).await.unwrap();
    assert_eq!(rcode(&reply), Rcode::NOERROR);
    assert_eq!((node.txt("a.example"), node.serial("example")), (vec!["one".to_owned()], 2));
    let kept = node.kept("example").unwrap();
    let types = |name: &str| -> Vec<Rtype> {
        kept.at(&name.parse().unwrap()).iter().map(|record| record.rtype).collect()
    };
    assert_eq!(
        (types("www.example"), types("example")),
        (vec![Rtype::A], vec![Rtype::NS, Rtype::SOA])
    );
    // Nothing but what is skipped changes nothing.
    let serial = node.serial("example");
    let bytes = message(2, "example", &[], &[cname("www.example")]);
    let reply = node.send(signed("all", bytes), "127.0.0.1", Transport::Udp).await.unwrap();
    assert_eq!((rcode(&reply), node.serial("example")), (Rcode::NOERROR, serial));
    // A name that the key may not touch, though the change would be skipped.
    let bytes = message(3, "narrow", &[], &[cname("www.narrow")]);
    let reply = node.send(signed("acme", bytes), "127.0.0.1", Transport::Udp).await.unwrap();
    assert_eq!(rcode(&reply), Rcode::REFUSED);
    assert!(node.kept("narrow").is_none());
}

/// Senders of before RFC 3597 compress names that others do not.
#[tokio::test(flavor = "multi_thread")]
async fn compressed_names_in_data_are_stored_whole() {
    let mut node = Node::new();
    // The zone's name stands behind the header.
    for (rtype, sent, stored) in [
        (
            Rtype::NAPTR,
            &b"\0\x01\0\x02\x01s\x07SIP+D2U\0\x01m\xc0\x0c"[..],
            &b"\0\x01\0\x02\x01s\x07SIP+D2U\0\x01m\x07example\0"[..],
        ),
        (Rtype::PX, b"\0\x0a\x01m\xc0\x0c\xc0\x0c", b"\0\x0a\x01m\x07example\0\x07example\0"),
        (Rtype::NXT, b"\x01m\xc0\x0c\x62\x01", b"\x01m\x07example\0\x62\x01"),
    ] {
        node.id += 1;
        let bytes =
            message(node.id, "example", &[], &[record("c.example", rtype, Class::IN, 60, sent)]);
        let reply = node.send(signed("all", bytes), "127.0.0.1", Transport::Udp).await.unwrap();
        assert_eq!(rcode(&reply), Rcode::NOERROR, "{rtype}");
        let kept = node.kept("example").unwrap();
        let set: Vec<_> = kept.rrset(&"c.example".parse().unwrap(), rtype).collect();
        assert_eq!(set.len(), 1, "{rtype}");
        assert_eq!(*set[0].rdata, *stored, "{rtype}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_update_spoils_no_other() {
    let mut node = Node::new();
    // While the store is held they gather, and are then taken together.
    let held = Arc::clone(&node.store).lock_owned().await;
    let mut replies = Vec::new();
    for i in 0..20 {
        let lines = match i {
            7 => vec!["add good7.example x".to_owned(), "a geo.example".to_owned()],
            13 => vec!["add x.child.example a".to_owned()],
            _ => vec![format!("add good{i}.example x")],
        };
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let bytes = node.message("all", "example", &lines);
        replies.push(node.send(bytes, "127.0.0.1", Transport::Udp));
    }
    drop(held);
    for (i, reply) in replies.into_iter().enumerate() {
        let expected = if matches!(i, 7 | 13) { Rcode::REFUSED } else { Rcode::NOERROR };
        assert_eq!(rcode(&reply.await.unwrap()), expected, "{i}");
    }
    for i in 0..20 {
        let expected: &[&str] = if matches!(i, 7 | 13) { &[] } else { &["x"] };
        assert_eq!(node.txt(&format!("good{i}.example")), expected, "{i}");
    }
    let kept = node.kept("example").unwrap();
    assert_eq!((kept.serial(), node.serial("example")), (19, 19));
}

/// Whatever hickory reads of an update: what is stored is what was sent.
#[tokio::test(flavor = "multi_thread")]
async fn data_of_every_type_goes_through_octet_by_octet() {
    let mut node = Node::new();
    let mut count = 0;
    for block in include_str!("../../../dns/tests/records.txt").split("\n\n") {
        let field = |name: &str| block.lines().find_map(|line| line.trim().strip_prefix(name));
        let Some(hex) = field("hex ") else { continue };
        let hex = hex.trim();
        let rdata: Vec<u8> = (0..hex.len() / 2)
            .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
            .collect();
        let rtype: Rtype = block.split_whitespace().next().unwrap().parse().unwrap();
        count += 1;
        let owner = format!("r{count}.example");
        // A DS record stands at a delegation, a SOA record at the apex.
        let delegation =
            (rtype == Rtype::DS).then(|| record(&owner, Rtype::NS, Class::IN, 60, b"\0"));
        let delegation = delegation.into_iter();
        let own = record(&owner, rtype, Class::IN, 60, &rdata);
        let changes: Vec<Vec<u8>> = delegation.chain([own]).collect();
        node.id += 1;
        let bytes = signed("all", message(node.id, "example", &[], &changes));
        let code = rcode(&node.send(bytes, "127.0.0.1", Transport::Udp).await.unwrap());
        if rtype == Rtype::SOA {
            assert_eq!(code, Rcode::NOERROR);
            assert!(node.kept("example").unwrap().at(&owner.parse().unwrap()).is_empty());
            continue;
        }
        // Octets without a text are no data of their type; and hickory takes no SIG records.
        if field("text ").is_none() || rtype == Rtype::SIG {
            assert_eq!(code, Rcode::FORMERR, "{block}");
            continue;
        }
        // Of a signed zone; DNSSEC is not served.
        if matches!(rtype, Rtype::RRSIG | Rtype::NSEC | Rtype::NSEC3 | Rtype::NSEC3PARAM) {
            assert_eq!(code, Rcode::REFUSED, "{block}");
            continue;
        }
        assert_eq!(code, Rcode::NOERROR, "{block}");
        let kept = node.kept("example").unwrap();
        let stored: Vec<_> = kept.rrset(&owner.parse().unwrap(), rtype).collect();
        assert_eq!(stored.len(), 1, "{block}");
        assert_eq!(*stored[0].rdata, *rdata, "{block}");
    }
    assert!(count > 100, "{count}");
}
