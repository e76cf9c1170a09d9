//! Server cookies (RFC 7873, 9018).

use dnsrouter::answer::Transport;

use crate::world::{
    Ask, BADCOOKIE, COOKIE, FORMERR, NOERROR, NOTHING, OTHER, PEER, SECRET, SHARED, Server, TCP,
    ask, made,
};

#[test]
fn a_client_learns_a_cookie_and_proves_itself_with_it() {
    for more in ["", SHARED] {
        for transport in [Transport::Udp, TCP] {
            for name in ["ns1.open.test", "nope.open.test", "child.open.test", "elsewhere.test"] {
                let mut server = Server::new(more);
                let ask = Ask { transport, ..ask(name) };
                let plain = server.expect(&ask);
                assert_eq!(plain.cookie(), None, "never unasked");
                let first = server.expect(&ask.clone().cookie(&[]));
                assert_eq!(first.rcode(), plain.rcode(), "{name}");
                assert_eq!(first.answers(), plain.answers());
                assert_eq!(server.cookies(), [0, 0]);
                let cookie = first.cookie().expect("a cookie for who asks");
                assert_eq!(cookie.len(), 16);
                let second = server.expect(&ask.clone().cookie(&cookie));
                assert_eq!(second.cookie(), Some(cookie), "{name}: it is fresh");
                assert_eq!(second.rcode(), plain.rcode());
                assert_eq!(server.cookies(), [1, 0], "{name}");
            }
        }
    }
}

#[test]
fn a_cookie_proves_as_much_as_its_age_address_and_secret() {
    let mut server = Server::new(SHARED);
    let fresh = made(SECRET, PEER, 0);
    let mut forged = fresh;
    forged[15] ^= 1;
    for (what, cookie, valid, kept) in [
        ("fresh", made(SECRET, PEER, 1800).to_vec(), true, true),
        ("old", made(SECRET, PEER, 1801).to_vec(), true, false),
        ("out of date", made(SECRET, PEER, 3601).to_vec(), false, false),
        ("from the future", made(SECRET, PEER, 301_u32.wrapping_neg()).to_vec(), false, false),
        ("another's", made(SECRET, "198.51.100.2", 0).to_vec(), false, false),
        ("of another secret", made(OTHER, PEER, 0).to_vec(), false, false),
        ("forged", forged.to_vec(), false, false),
        ("of another kind", b"8 octets".to_vec(), false, false),
    ] {
        let before = server.cookies();
        let reply = server.expect(&ask("ns1.open.test").cookie(&cookie));
        let [are_valid, are_invalid] = server.cookies();
        let counted = [are_valid - before[0], are_invalid - before[1]];
        assert_eq!(counted, if valid { [1, 0] } else { [0, 1] }, "{what}");
        // Who proves nothing is answered as who has no cookie yet (RFC 7873 §5.2.4).
        assert_eq!((reply.rcode(), reply.answers()), (NOERROR, 1), "{what}");
        let given = reply.cookie().unwrap();
        assert_eq!(given, if kept { cookie } else { fresh.to_vec() }, "{what}");
    }
}

#[test]
fn rfc7873_5_2_2_a_malformed_cookie_is_a_format_error() {
    let mut server = Server::new(SHARED);
    for length in [0, 7, 9, 15, 41] {
        let reply = server.expect(&ask("ns1.open.test").option(COOKIE, &vec![7; length]));
        assert_eq!((reply.rcode(), reply.option(COOKIE)), (FORMERR, None), "{length}");
    }
    assert_eq!(server.cookies(), [0, 0]);
}

#[test]
fn rfc7873_5_4_a_cookie_alone_may_be_asked_for() {
    for transport in [Transport::Udp, TCP] {
        let mut server = Server::new(SHARED);
        let ask = Ask { transport, ..ask(NOTHING) };
        let fresh = made(SECRET, PEER, 0).to_vec();
        for (what, cookie, rcode) in [
            ("none yet", vec![], NOERROR),
            ("valid", fresh.clone(), NOERROR),
            ("old", made(SECRET, PEER, 2000).to_vec(), NOERROR),
            ("wrong", made(OTHER, PEER, 0).to_vec(), BADCOOKIE),
            ("stale", made(SECRET, PEER, 4000).to_vec(), BADCOOKIE),
        ] {
            let reply = server.expect(&ask.clone().cookie(&cookie));
            assert_eq!(reply.rcode(), rcode, "{what}");
            assert_eq!(reply.cookie().as_ref(), Some(&fresh), "{what}");
            assert_eq!(reply.bytes[4..10], [0; 6], "{what}: no question, no answer, no authority");
        }
        // Nothing to ask, and no cookie either.
        assert_eq!(server.expect(&ask).rcode(), FORMERR);
    }
}

#[test]
fn cookies_can_be_off() {
    let mut server = Server::new("[cookie]\nenabled = false\n");
    let asked = ask("ns1.open.test").cookie(&made(SECRET, PEER, 0));
    let reply = server.expect(&asked);
    assert_eq!((reply.rcode(), reply.answers(), reply.option(COOKIE)), (NOERROR, 1, None));
    assert_eq!(server.expect(&ask(NOTHING).cookie(&[])).rcode(), FORMERR);
    assert_eq!(server.cookies(), [0, 0]);
}
