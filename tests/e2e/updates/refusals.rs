//! Who may not, what may not be, and what strangers learn.

use std::net::UdpSocket;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use tests::query::Ask;
use tests::scratch::Scratch;

use crate::nsupdate::{Nsupdate, Tool};
use crate::server::{KEY, SECRET, by, start, txt};

#[test]
fn whoever_may_not_is_told_why_and_changes_nothing() {
    let scratch = Scratch::new("updates-refused");
    let server = start(&scratch, 0);
    let dns = server.dns();
    let wrong_secret = "hmac-sha256:acme-key:YW5vdGhlciBzZWNyZXQgYWx0b2dldGhlciwgYXMgbG9uZw==";
    let stranger = format!("hmac-sha256:stranger:{SECRET}");
    let other = format!("hmac-sha256:other-key:{SECRET}");
    let algorithm = format!("hmac-sha512:acme-key:{SECRET}");
    for (key, zone, bind, knot) in [
        (None, "dyn.example", "REFUSED", "REFUSED"),
        (None, "test-net.io", "REFUSED", "REFUSED"),
        (None, "nowhere.example", "NOTAUTH", "NOTAUTH"),
        (Some(wrong_secret), "dyn.example", "NOTAUTH(BADSIG)", "BADSIG"),
        (Some(&*stranger), "dyn.example", "NOTAUTH(BADKEY)", "BADKEY"),
        (Some(&*algorithm), "dyn.example", "NOTAUTH(BADKEY)", "BADKEY"),
        (Some(&*other), "dyn.example", "REFUSED", "REFUSED"),
        (Some(KEY), "test-net.io", "REFUSED", "REFUSED"),
        (Some(KEY), "nowhere.example", "NOTAUTH", "NOTAUTH"),
        (Some(KEY), "www.dyn.example", "NOTAUTH", "NOTAUTH"),
    ] {
        let line = format!("update add x.{zone} 60 TXT x");
        for (tool, expected) in [(Tool::Bind, bind), (Tool::Knot, knot)] {
            for tcp in [false, true] {
                let by = Nsupdate { tool, key, tcp, server: dns };
                let refused = by.send(zone, &[&line]);
                assert_eq!(refused, Err(expected.to_owned()), "{by:?} {zone}");
            }
        }
    }
    assert_eq!(txt(dns, "x.dyn.example"), Err(ResponseCode::NXDomain));
    assert_eq!(txt(dns, "x.test-net.io"), Err(ResponseCode::NXDomain));
    assert!(!scratch.join("state/zones/dyn.example.journal").exists());
    let rows = server.metrics();
    let errors = |error| rows.labelled("dnsrouter_tsig_errors_total", &[error]);
    assert_eq!((errors("BADSIG"), errors("BADKEY")), (4.0, 8.0));
}

#[test]
fn prerequisites_and_what_would_break_the_zone() {
    let scratch = Scratch::new("updates-rules");
    let mut server = start(&scratch, 0);
    let dns = server.dns();
    let by = by(dns, Some(KEY));
    let add = "update add new.dyn.example 60 A 192.0.2.9";
    for (lines, expected) in [
        (&["prereq nxdomain www.dyn.example", add][..], Err("YXDOMAIN")),
        (&["prereq yxdomain none.dyn.example", add], Err("NXDOMAIN")),
        (&["prereq yxdomain x.wild.dyn.example", add], Err("NXDOMAIN")),
        (&["prereq nxrrset www.dyn.example A", add], Err("YXRRSET")),
        (&["prereq yxrrset www.dyn.example TXT", add], Err("NXRRSET")),
        (&["prereq yxrrset www.dyn.example A 192.0.2.81", add], Err("NXRRSET")),
        (&["prereq yxdomain www.example", add], Err("NOTZONE")),
        (&["update add www.example 60 A 192.0.2.9"], Err("NOTZONE")),
        // RFC 2136 §3.4.2 skips these.
        (&["update add www.dyn.example 60 CNAME a.example"], Ok(())),
        (&["update delete dyn.example NS"], Ok(())),
        (&["update add www.dyn.example 60 SOA a. b. 1 2 3 4 5"], Ok(())),
        (
            &["update add d.dyn.example 60 DNAME x.", "update add y.d.dyn.example 60 TXT x"],
            Err("REFUSED"),
        ),
        (
            &["update add d.dyn.example 60 NS x.", "update add y.d.dyn.example 60 TXT x"],
            Err("REFUSED"),
        ),
        (
            &[
                "prereq nxdomain new.dyn.example",
                "prereq yxrrset www.dyn.example A 192.0.2.80",
                add,
            ],
            Ok(()),
        ),
        (
            &[
                "prereq yxrrset new.dyn.example A 192.0.2.9",
                "update delete dyn.example",
                "update delete new.dyn.example",
            ],
            Ok(()),
        ),
    ] {
        assert_eq!(by.send("dyn.example", lines), expected.map_err(str::to_owned), "{lines:?}");
    }
    let rcode = |name| Ask::a(dns, name).expect().rcode();
    assert_eq!(rcode("new.dyn.example"), ResponseCode::NXDomain);
    let log = server.process().log();
    let said = "changes were skipped (RFC 2136 3.4.2)";
    assert_eq!(log.matches(said).count(), 3, "{log}");
    assert!(log.contains("www.dyn.example.: a CNAME record beside other data"), "{log}");
    for (name, rtype) in [("dyn.example", RecordType::NS), ("dyn.example", RecordType::SOA)] {
        assert_eq!(Ask::new(dns, name, rtype).expect().message.answers.len(), 1, "{rtype}");
    }
}

/// Faults 23: strangers learn nothing by asking for changes.
#[test]
fn strangers_learn_nothing() {
    let scratch = Scratch::new("updates-strangers");
    let server = start(&scratch, 0);
    let ask = |message: &[u8]| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
        socket.send_to(message, server.dns()).expect("loopback");
        let mut reply = [0; 4096];
        let length = socket.recv(&mut reply).expect("a reply");
        reply[..length].to_vec()
    };
    let zone = b"\x03dyn\x07example\0\0\x06\0\x01";
    let head = |opcode: u8, counts: [u8; 4]| {
        let [questions, answers, authorities, additionals] = counts;
        let counts = [0, questions, 0, answers, 0, authorities, 0, additionals];
        [&[0x47, 0x11, opcode << 3, 0][..], &counts].concat()
    };
    // UPDATE with a demand on a name that exists, and on one that does not: the same words.
    let demand =
        |label: &[u8; 3]| [b"\x03", &label[..], b"\xc0\x0c\0\xff\0\xff\0\0\0\0\0\0"].concat();
    let update = |label| [head(5, [1, 1, 0, 0]), zone.to_vec(), demand(label)].concat();
    let (exists, not) = (ask(&update(b"www")), ask(&update(b"xyz")));
    assert_eq!(exists, not);
    assert_eq!((exists[3] & 0x0f, &exists[6..12]), (5, &[0; 6][..]));
    // NOTIFY, IQUERY, STATUS: not implemented, and not a record.
    for (opcode, counts) in [(4, [1, 0, 0, 0]), (1, [1, 0, 0, 0]), (2, [1, 0, 0, 0])] {
        let reply = ask(&[head(opcode, counts), zone.to_vec()].concat());
        assert_eq!((reply[3] & 0x0f, &reply[6..12]), (4, &[0; 6][..]), "opcode {opcode}");
    }
    // A signature of nobody's: an update and a query get the same.
    let signature = b"\x01k\0\0\xfa\0\xff\0\0\0\0\0\x27\x0bhmac-sha256\0\0\0\0\0\0\0\x01\x2c\0\x0aaaaaaaaaaa\0\0\0\0\0\0";
    for opcode in [0, 5] {
        let reply = ask(&[head(opcode, [1, 0, 0, 1]), zone.to_vec(), signature.to_vec()].concat());
        assert_eq!(
            (reply[3] & 0x0f, &reply[6..12]),
            (9, &[0, 0, 0, 0, 0, 1][..]),
            "opcode {opcode}"
        );
    }
    assert_eq!(Ask::a(server.dns(), "www.dyn.example").expect().addresses().len(), 1);
}
