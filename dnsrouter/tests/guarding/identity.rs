//! NSID (RFC 5001) and names of class CHAOS (RFC 4892).

use dnsrouter::answer::Transport;
use hickory_proto::rr::{RData, RecordType};

use crate::world::{A, ANY, Ask, CHAOS, IN, NOERROR, NSID, REFUSED, Server, TCP, TXT, ask, chaos};

#[test]
fn rfc5001_the_name_is_told_to_who_asks() {
    for (more, nsid) in [
        ("", Some(&b"ns1"[..])),
        ("[identity]\nnsid = 'fra-2'\n", Some(b"fra-2")),
        ("[identity]\nnsid = false\n", None),
    ] {
        let mut server = Server::new(more);
        for name in ["ns1.open.test", "nope.open.test", "elsewhere.test"] {
            for transport in [Transport::Udp, TCP] {
                let ask = Ask { transport, ..ask(name) };
                assert_eq!(server.expect(&ask).option(NSID), None, "never unasked");
                let told = server.expect(&ask.clone().option(NSID, &[])).option(NSID);
                assert_eq!(told.as_deref(), nsid, "{name}");
            }
        }
    }
}

#[test]
fn names_of_class_chaos_are_refused_unless_told_otherwise() {
    let mut server = Server::new("");
    for name in ["version.bind", "version.server", "hostname.bind", "id.server", "ns1.open.test"] {
        let reply = server.expect(&chaos(name));
        assert_eq!((reply.rcode(), reply.answers()), (REFUSED, 0), "{name}");
    }
}

#[test]
fn names_of_class_chaos_can_be_told() {
    let mut server = Server::new("[identity]\nchaos = true\nversion = 'guess'\n");
    for (name, told) in [
        ("version.bind", "guess"),
        ("VERSION.Server", "guess"),
        ("hostname.bind", "ns1"),
        ("id.server", "ns1"),
    ] {
        for qtype in [TXT, ANY] {
            let reply = server.expect(&Ask { qtype, ..chaos(name) });
            assert_eq!(reply.rcode(), NOERROR, "{name}");
            let [record] = &reply.message.answers[..] else { panic!("{name}: not one record") };
            assert_eq!(u16::from(record.dns_class), CHAOS);
            assert_eq!((record.record_type(), record.ttl), (RecordType::TXT, 0));
            assert_eq!(record.name.to_string(), format!("{name}."), "with the case that was asked");
            let RData::TXT(text) = &record.data else { panic!("{name}: no text") };
            assert_eq!(text.txt_data.concat(), told.as_bytes(), "{name}");
        }
        let other = server.expect(&Ask { qtype: A, ..chaos(name) });
        assert_eq!(other.answers(), 0, "{name}");
    }
    for name in ["authors.bind", "bind", "ns1.open.test"] {
        let reply = server.expect(&chaos(name));
        assert_eq!((reply.rcode(), reply.answers()), (REFUSED, 0), "{name}");
    }
    // The same names in the Internet are nobody's here.
    assert_eq!(server.expect(&Ask { class: IN, ..chaos("version.bind") }).rcode(), REFUSED);
    let mut silent = Server::new("[identity]\nchaos = true\nversion = false\n");
    assert_eq!(silent.expect(&chaos("version.bind")).rcode(), REFUSED);
    assert_eq!(silent.expect(&chaos("id.server")).rcode(), NOERROR);
}
