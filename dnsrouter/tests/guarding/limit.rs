//! Response rate limiting.

use crate::world::{
    Answer, Ask, COOKIE, NOERROR, OTHER, PEER, SECRET, SHARED, Server, TCP, TXT, anything, ask,
    chaos, made,
};

const LIMIT: &str = "[rate_limit]\nresponses_per_second = 5\nburst = 5\n";

/// What becomes of so many equal queries at once.
fn flood(server: &mut Server, ask: &Ask, times: usize) -> Vec<Option<Answer>> {
    (0..times).map(|_| server.send(ask)).collect()
}

fn whole(replies: &[Option<Answer>]) -> usize {
    replies.iter().flatten().filter(|reply| !reply.truncated()).count()
}

#[test]
fn a_flood_is_held_back_and_time_heals() {
    let mut server = Server::new(&format!("{LIMIT}slip = 0\n"));
    let ask = ask("ns1.open.test");
    let replies = flood(&mut server, &ask, 20);
    assert!(replies[..5].iter().all(Option::is_some), "the burst");
    assert!(replies[5..].iter().all(Option::is_none), "then silence");
    assert_eq!(server.limited(), [0, 15]);
    let neighbour = Ask { peer: "198.51.100.254", ..ask.clone() };
    assert!(server.send(&neighbour).is_none(), "the prefix is limited, not the address");
    let other = Ask { peer: "198.51.101.1", ..ask.clone() };
    assert_eq!(whole(&flood(&mut server, &other, 5)), 5, "and no other");
    let later = Ask { millis: 400, ..ask.clone() };
    assert_eq!(whole(&flood(&mut server, &later, 5)), 2, "five a second");
    let v6 = Ask { peer: "2001:db8::1", ..ask.clone() };
    let same_56 = Ask { peer: "2001:db8:0:ff::1", ..ask };
    assert_eq!(whole(&flood(&mut server, &v6, 5)), 5);
    assert!(server.send(&same_56).is_none());
}

#[test]
fn what_slips_is_empty_short_and_truncated() {
    for (slip, expected) in [(1, [10, 0]), (2, [5, 5]), (5, [2, 8])] {
        let mut server = Server::new(&format!("{LIMIT}slip = {slip}\n"));
        let ask = ask("ns1.open.test").cookie(&[]);
        let replies = flood(&mut server, &ask, 15);
        assert_eq!(whole(&replies[..5]), 5);
        assert_eq!(whole(&replies[5..]), 0);
        assert_eq!(server.limited(), expected, "slip = {slip}");
        let slipped: Vec<_> = replies[5..].iter().flatten().collect();
        assert_eq!(slipped.len() as u64, expected[0]);
        for reply in slipped {
            assert!(reply.truncated());
            assert_eq!(reply.rcode(), NOERROR);
            assert_eq!(reply.bytes[4..10], [0, 1, 0, 0, 0, 0], "the question and no records");
            assert!(reply.cookie().is_some(), "with this the client passes next time");
        }
    }
}

#[test]
fn a_slipped_reply_never_amplifies() {
    let name = "n".repeat(128);
    let mut server =
        Server::new(&format!("{LIMIT}slip = 1\n[identity]\nnsid = '{name}'\nchaos = true\n"));
    for (what, ask) in anything() {
        for reply in flood(&mut server, &ask, 20).iter().flatten().filter(|reply| reply.truncated())
        {
            let asked = ask.bytes().len();
            // A cookie, when one was asked for, is all that is added.
            assert!(reply.bytes.len() <= asked + 16, "{what}: {} for {asked}", reply.bytes.len());
        }
    }
    assert!(server.limited()[0] > 20, "many have slipped");
}

#[test]
fn who_proves_its_address_passes() {
    let mut server =
        Server::new(&format!("{LIMIT}slip = 0\nexempt = ['203.0.113.0/24']\n{SHARED}"));
    let ask = ask("ns1.open.test");
    assert_eq!(whole(&flood(&mut server, &ask, 50)), 5);
    let valid = ask.clone().cookie(&made(SECRET, PEER, 100));
    let old = ask.clone().cookie(&made(SECRET, PEER, 3000));
    let over_tcp = Ask { transport: TCP, ..ask.clone() };
    let exempt = Ask { peer: "203.0.113.77", ..ask.clone() };
    for (what, ask) in
        [("a valid cookie", valid), ("an old one", old), ("TCP", over_tcp), ("exempt", exempt)]
    {
        assert_eq!(whole(&flood(&mut server, &ask, 50)), 50, "{what}");
    }
    let stale = ask.clone().cookie(&made(SECRET, PEER, 4000));
    let forged = ask.clone().cookie(&made(OTHER, PEER, 0));
    let another = ask.clone().cookie(&made(SECRET, "198.51.100.2", 0));
    let learning = ask.cookie(&[]);
    for (what, ask) in
        [("stale", stale), ("forged", forged), ("another's", another), ("learning", learning)]
    {
        assert_eq!(whole(&flood(&mut server, &ask, 50)), 0, "{what}");
    }
}

#[test]
fn each_kind_has_its_own_limit() {
    let more = "[rate_limit]\nresponses_per_second = 10\nburst = 10\nslip = 0\n\
                nodata_per_second = 20\nnxdomain_per_second = 30\nreferral_per_second = 40\n\
                error_per_second = 50\n";
    let kinds: &[(usize, &[(&str, Ask)])] = &[
        (10, &[("an answer", ask("ns1.open.test")), ("a chain", ask("out.closed.test"))]),
        (20, &[("no such type", Ask { qtype: TXT, ..ask("ns1.open.test") })]),
        (30, &[("no such name", ask("nope.open.test"))]),
        (40, &[("a referral", ask("a.child.open.test"))]),
        (
            50,
            &[
                ("a foreign name", ask("elsewhere.test")),
                ("class CHAOS", chaos("version.bind")),
                ("a transfer", Ask { qtype: 252, ..ask("open.test") }),
                ("a closed zone", ask("ns1.closed.test")),
                ("another opcode", Ask { opcode: 4, ..ask("open.test") }),
                ("an unknown opcode", Ask { opcode: 9, ..ask("open.test") }),
                ("an update", Ask { opcode: 5, qtype: 6, ..ask("open.test") }),
                ("a malformed cookie", ask("ns1.open.test").option(COOKIE, &[1])),
                ("another version of EDNS", Ask { version: 1, ..ask("ns1.open.test") }),
            ],
        ),
    ];
    for (most, asks) in kinds {
        for (what, ask) in *asks {
            let mut server = Server::new(more);
            // "a chain" lies in the zone that is closed to others.
            let peer = if *what == "a chain" { "192.0.2.1" } else { PEER };
            let ask = Ask { peer, ..ask.clone() };
            assert_eq!(whole(&flood(&mut server, &ask, 60)), *most, "{what}");
        }
    }
    // One server, one client: what one kind costs no other pays for.
    let mut server = Server::new(more);
    for (most, asks) in kinds {
        let (what, ask) = &asks[0];
        assert_eq!(whole(&flood(&mut server, ask, 60)), *most, "{what}");
    }
}

#[test]
fn refusing_is_limited_too() {
    let mut server = Server::new(&format!("{LIMIT}slip = 0\n[access]\ndeny = ['0.0.0.0/0']\n"));
    assert_eq!(whole(&flood(&mut server, &ask("ns1.open.test"), 20)), 5);
    assert_eq!(server.limited(), [0, 15]);
}

#[test]
fn without_limits_nobody_is_limited() {
    let mut server = Server::new("");
    assert_eq!(whole(&flood(&mut server, &ask("ns1.open.test"), 500)), 500);
    assert_eq!(server.limited(), [0, 0]);
}

#[test]
fn a_cookie_passes_also_where_the_query_is_refused() {
    let mut server = Server::new(&format!("{LIMIT}slip = 0\n{SHARED}"));
    const SUBNET: u16 = 8;
    let proven = ask("ns1.open.test").cookie(&made(SECRET, PEER, 100));
    for ask in [
        Ask { qtype: 254, ..proven.clone() },
        Ask { opcode: 9, ..proven.clone() },
        // Options are read in their order, up to the malformed one.
        proven.option(SUBNET, &[0, 1, 24, 24, 192, 0, 2]),
    ] {
        let replies = flood(&mut server, &ask, 50);
        assert_eq!(whole(&replies), 50, "TYPE{} opcode {}", ask.qtype, ask.opcode);
        let well_formed = ask.options.as_ref().is_some_and(|options| options.len() == 1);
        let reply = replies[0].as_ref().unwrap();
        assert_eq!(reply.cookie().is_some(), well_formed, "TYPE{}", ask.qtype);
        let other = Ask { peer: "203.0.113.9", ..ask };
        assert_eq!(whole(&flood(&mut server, &other, 50)), 5, "another's cookie proves nothing");
        server = Server::new(&format!("{LIMIT}slip = 0\n{SHARED}"));
    }
}
