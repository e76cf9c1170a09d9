//! Access lists, of the server and of a zone.

use std::net::IpAddr;

use dnsrouter::answer::Transport;
use hickory_proto::rr::RData;

use crate::world::{A, Ask, MX, NOERROR, PEER, REFUSED, Server, TCP, anything, ask, malformed};

#[test]
fn who_may_not_ask_is_refused_and_told_so() {
    let mut server = Server::new("[access]\ndeny = ['198.51.100.0/24']\n");
    for (what, ask) in anything() {
        for transport in [Transport::Udp, TCP] {
            let before = server.denied();
            let reply = server.expect(&Ask { transport, ..ask.clone() });
            assert_eq!((reply.rcode(), reply.answers()), (REFUSED, 0), "{what}");
            assert_eq!(reply.extended_error(), ask.options.is_some().then_some(18), "{what}");
            assert_eq!(server.denied(), [before[0] + 1, before[1]], "{what}");
            let other = Ask { transport, peer: "198.51.101.1", ..ask.clone() };
            server.expect(&other);
            assert_eq!(server.denied(), [before[0] + 1, before[1]], "{what}: for others");
        }
    }
}

#[test]
fn the_list_speaks_before_anything_that_is_wrong_with_a_message() {
    let mut server = Server::new("[access]\ndeny = ['198.51.100.0/24']\n");
    for (what, ask, rcode) in malformed() {
        for transport in [Transport::Udp, TCP] {
            let before = server.denied();
            let reply = server.expect(&Ask { transport, ..ask.clone() });
            assert_eq!(reply.rcode(), REFUSED, "{what}");
            assert_eq!(
                reply.extended_error(),
                reply.message.edns.is_some().then_some(18),
                "{what}"
            );
            assert_eq!(server.denied(), [before[0] + 1, before[1]], "{what}");
            let other = Ask { transport, peer: "198.51.101.1", ..ask.clone() };
            assert_eq!(server.expect(&other).rcode(), rcode, "{what}: others hear what it is");
        }
    }
}

#[test]
fn who_may_not_ask_can_be_met_with_silence() {
    let deny = "[access]\nallow = ['2001:db8::/32']\ndeny_action = 'drop'\n";
    let mut server = Server::new(deny);
    let malformed = malformed().into_iter().map(|(what, ask, _)| (what, ask));
    for (what, ask) in anything().into_iter().chain(malformed) {
        for transport in [Transport::Udp, TCP] {
            let before = server.denied();
            assert!(server.send(&Ask { transport, ..ask.clone() }).is_none(), "{what}");
            assert_eq!(server.denied(), [before[0], before[1] + 1], "{what}");
            let peer = "2001:db8::1";
            assert!(server.send(&Ask { transport, peer, ..ask.clone() }).is_some(), "{what}");
        }
    }
}

#[test]
fn a_zone_may_be_for_some_only() {
    let mut server = Server::new("");
    for (name, qtype) in [
        ("ns1.closed.test", A),
        ("nope.closed.test", A),
        ("child.closed.test", A),
        ("closed.test", MX),
    ] {
        let ask = Ask { qtype, ..ask(name) };
        let before = server.denied();
        let reply = server.expect(&ask);
        assert_eq!((reply.rcode(), reply.extended_error()), (REFUSED, Some(18)), "{name}");
        assert_eq!(reply.bytes[6..10], [0; 4], "{name}: nothing of it leaks");
        assert_eq!(server.denied(), [before[0] + 1, before[1]]);
        let inside = server.expect(&Ask { peer: "192.0.2.200", ..ask });
        assert_ne!(inside.rcode(), REFUSED, "{name}");
        assert_eq!(inside.extended_error(), None, "{name}");
    }
    assert_eq!(server.expect(&ask("ns1.open.test")).rcode(), NOERROR, "the other zone is open");
}

#[test]
fn a_closed_zone_is_not_seen_through_an_open_one() {
    let mut server = Server::new("");
    let address: IpAddr = "192.0.2.53".parse().unwrap();
    let mut told = |name, qtype, peer| {
        let reply = server.expect(&Ask { qtype, peer, ..ask(name) });
        let sections = [&reply.message.answers, &reply.message.additionals];
        let records = sections.into_iter().flatten();
        let told = records.filter(|record| record.name.to_string() == "ns1.closed.test.");
        let is = |data: &RData| matches!(data, RData::A(a) if IpAddr::V4(a.0) == address);
        (reply.rcode(), told.filter(|record| is(&record.data)).count())
    };
    for (name, qtype) in [("into.open.test", A), ("open.test", MX)] {
        assert_eq!(told(name, qtype, "192.0.2.200"), (NOERROR, 1), "{name}: it is there");
        assert_eq!(told(name, qtype, PEER), (NOERROR, 0), "{name}: and not for everybody");
    }
}
