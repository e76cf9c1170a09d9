//! Packets that are no queries, or hostile ones; and chains that lead nowhere.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rustix::net::sockopt::set_socket_reuseport;
use rustix::net::{AddressFamily, SocketType};
use tests::conformance::expect::Transport;
use tests::name_server::NameServerPlan;
use tests::wait;

use crate::octets::{
    A, ANY, AXFR, IXFR, MX, QR, QUERY, SOA, TXT, header, message, name, opcode, opt, option, query,
    question, with,
};
use crate::stand::{BADVERS, FORMERR, NOTAUTH, NOTIMP, REFUSED, Stand, TRANSPORTS};
use crate::{cost, stand};

const SOON: Duration = Duration::from_secs(10);

const WWW: &str = "www.test-net.io";

#[test]
fn fault_13_responses_are_dropped_in_silence() {
    let stand = Stand::start("responses");
    let flags = [QR, QR | 0x0400, QR | 0x0003, QR | opcode(4), QR | opcode(5), QR | opcode(15)];
    for flags in flags {
        for of in [WWW, "www.example.org", "."] {
            for transport in TRANSPORTS {
                let response = message(flags, of, A);
                assert!(stand.is_silent(transport, &response), "{transport:?} {flags:04x} {of}");
            }
        }
    }
    stand.stop();
}

#[test]
fn fault_13_queries_from_ourselves_are_dropped_in_silence() {
    const FORGED: usize = 50;

    let plan = NameServerPlan::new("ns1").listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    let stand = Stand::of("ourselves", plan);
    // Its own port on another of the machine's addresses, which all are its own.
    let ours = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 9), stand.dns().port()));
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None);
    let socket = socket.expect("a socket");
    set_socket_reuseport(&socket, true).expect("as the server does");
    rustix::net::bind(&socket, &ours).expect("the port is shared");
    let socket = std::net::UdpSocket::from(socket);
    socket.connect(stand.dns()).expect("loopback");
    let dropped = || stand.server.metrics().sum("dnsrouter_dropped_total");
    let before = dropped();
    for _ in 0..FORGED {
        socket.send(&query(WWW, A)).expect("loopback");
    }
    wait::until("all to be dropped", SOON, || dropped() - before >= FORGED as f64);
    // What was decided is decided: a reply would be here by now.
    socket.set_nonblocking(true).expect("a socket");
    let reply = socket.recv(&mut [0; 512]);
    assert!(reply.is_err(), "{reply:?}");
    // A client of the same machine is none of ours.
    stand.ask(Transport::Udp, &query(WWW, A));
    stand.stop();
}

#[test]
fn fault_14_compression_that_loops_or_goes_forward_is_formerr() {
    // Where the question's name begins, and where the first record does after the root's question.
    const START: u8 = 12;
    const RECORD: u8 = 17;
    let pointer = |to: u8| vec![0xc0, to];
    let fixed = [0, 1, 0, 1];
    let names = [
        ("to itself", pointer(START)),
        ("to the next", [pointer(START + 2), pointer(START)].concat()),
        ("a label, then back to it", [&b"\x01a"[..], &pointer(START)].concat()),
        ("forward", pointer(START + 6)),
        ("past the end", vec![0xff, 0xff]),
        ("into the header", pointer(0)),
        ("half", vec![0xc0]),
    ];
    let mut stand = Stand::start("compression");
    for (what, of) in names {
        // In the question, where even a pointer that goes back has nothing to go back to.
        let asked = [header(QUERY, [1, 0, 0, 0]), of, fixed.to_vec(), vec![0]].concat();
        for transport in TRANSPORTS {
            assert_eq!(stand.ask(transport, &asked).rcode(), FORMERR, "{what} {transport:?}");
        }
    }
    let owners = [
        ("to itself", pointer(RECORD)),
        ("forward", pointer(RECORD + 12)),
        ("past the end", vec![0xff, 0xff]),
        ("a label, then back to it", [&b"\x01a"[..], &pointer(RECORD)].concat()),
        ("through another", [pointer(RECORD + 2), pointer(RECORD)].concat()),
    ];
    for (what, owner) in owners {
        let record = [owner, vec![0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 1]].concat();
        let asked = with(query(".", A), &record);
        for transport in TRANSPORTS {
            assert_eq!(stand.ask(transport, &asked).rcode(), FORMERR, "{what} {transport:?}");
        }
    }
    cost::of_compression(&mut stand);
    stand.stop();
}

#[test]
fn fault_15_short_messages_are_dropped_and_others_are_formerr() {
    let stand = Stand::start("lengths");
    let whole = query(WWW, A);
    for length in 0..whole.len() {
        for transport in TRANSPORTS {
            let cut = &whole[..length];
            if length < 12 {
                assert!(stand.is_silent(transport, cut), "{length} octets over {transport:?}");
            } else {
                let rcode = stand.ask(transport, cut).rcode();
                assert_eq!(rcode, FORMERR, "{length} octets over {transport:?}");
            }
        }
    }
    let counts = |counts| [header(QUERY, counts), question(WWW, A)].concat();
    let wrong = [
        ("no question", counts([0, 0, 0, 0])),
        ("two questions, one there", counts([2, 0, 0, 0])),
        ("two questions", [counts([2, 0, 0, 0]), question(WWW, MX)].concat()),
        ("65,535 questions", counts([0xffff, 0, 0, 0])),
        ("an answer that is not there", counts([1, 1, 0, 0])),
        ("an authority that is not there", counts([1, 0, 1, 0])),
        ("an additional that is not there", counts([1, 0, 0, 1])),
        ("65,535 of all", counts([1, 0xffff, 0xffff, 0xffff])),
        ("one octet too many", [whole.clone(), vec![0]].concat()),
        ("twice", [whole.clone(), whole.clone()].concat()),
        ("a record cut off", with(whole.clone(), &opt(0, &[])[..10])),
        ("data cut off", with(whole.clone(), &opt(0, &option(3, b"abc"))[..14])),
        ("a label of 64", [header(QUERY, [1, 0, 0, 0]), vec![64; 70]].concat()),
        ("a name of 256", {
            let name = format!("{}www.test-net.io", "abcdefghijklmno.".repeat(15));
            query(&name, A)
        }),
    ];
    for (what, message) in &wrong {
        for transport in TRANSPORTS {
            assert_eq!(stand.ask(transport, message).rcode(), FORMERR, "{what} {transport:?}");
        }
    }
    // As long as it goes.
    let longest = [whole.clone(), vec![0; usize::from(u16::MAX) - whole.len()]].concat();
    assert_eq!(stand.ask(Transport::Tcp, &longest).rcode(), FORMERR);
    let datagram = &longest[..60_000];
    assert_eq!(stand.ask(Transport::Udp, datagram).rcode(), FORMERR);
    stand.stop();
}

#[test]
fn fault_18_two_opts_other_versions_and_unknown_options() {
    let stand = Stand::start("edns");
    let plain = query(WWW, A);
    let fine = with(plain.clone(), &opt(0, &[]));
    let expected = stand.ask(Transport::Udp, &fine);
    let unknown = [option(0xfde9, b""), option(0xfffe, &[7; 200]), option(26, b"x")].concat();
    let owned = [&name("x")[..], &opt(0, &[])[1..]].concat();
    for transport in TRANSPORTS {
        let rcode = |message: &[u8]| stand.ask(transport, message).rcode();
        assert_eq!(rcode(&with(fine.clone(), &opt(0, &[]))), FORMERR, "two");
        assert_eq!(rcode(&with(plain.clone(), &owned)), FORMERR, "not the root's");
        assert_eq!(rcode(&with(plain.clone(), &opt(0, &[0, 3, 0]))), FORMERR, "half an option");
        for version in [1, 2, 255] {
            let reply = stand.ask(transport, &with(plain.clone(), &opt(version, &unknown)));
            assert_eq!(reply.rcode(), BADVERS, "version {version}");
            assert_eq!(reply.opt.map(|opt| opt.version), Some(0), "ours");
            assert!(reply.sections.iter().all(Vec::is_empty), "and nothing else");
        }
        let reply = stand.ask(transport, &with(plain.clone(), &opt(0, &unknown)));
        assert_eq!(reply.sections, expected.sections, "unknown options change nothing");
        assert_eq!(reply.opt.map(|opt| opt.options), Some(Vec::new()), "nor are they echoed");
    }
    stand.stop();
}

#[test]
fn fault_19_loops_and_long_chains_end() {
    /// A resolver gives up about there, so no answer is longer (`dns::resolve::MAX_CHAIN`); a
    /// DNAME adds the CNAME it makes.
    const MOST: usize = 2 * 11;

    let mut stand = Stand::start("loops");
    let loops = [
        ("self", 1..=1),
        ("round1", 3..=3),
        ("round2", 3..=3),
        ("a.tree", 2..=MOST),
        ("a.b.c.tree.tree", 2..=MOST),
        ("a.ping", 2..=MOST),
        ("y.wild", 1..=MOST),
        ("chain1", 2..=MOST),
        ("chain60", 2..=MOST),
    ];
    for (of, records) in loops {
        let of = format!("{of}.test-net.io");
        for transport in TRANSPORTS {
            let reply = stand.ask(transport, &query(&of, A));
            let length = reply.sections[0].len();
            // What was gathered, and the resolver goes on by itself or gives up.
            assert_eq!(reply.rcode(), 0, "{of} {transport:?}");
            if !reply.is_truncated() {
                assert!(records.contains(&length), "{of} {transport:?}: {length} records");
            }
        }
    }
    // Near enough to its end, a chain is answered whole.
    let reply = stand.ask(Transport::Tcp, &query("chain90.test-net.io", A));
    assert_eq!(reply.sections[0].len(), 11);
    cost::of_loops(&mut stand);
    stand.stop();
}

#[test]
fn fault_20_what_does_not_fit_is_truncated_and_comes_whole_over_tcp() {
    let stand = Stand::start("truncation");
    for (of, rtype, records) in [("large", A, 160), ("huge", A, 3840), ("relays", MX, 1000)] {
        let plain = query(&format!("{of}.test-net.io"), rtype);
        let edns = with(plain.clone(), &opt(0, &[]));
        let mut greedy = edns.clone();
        // The class of the OPT record is what the client takes.
        greedy[plain.len() + 3..][..2].copy_from_slice(&[0xff, 0xff]);
        for (asked, limit) in [(&plain, 512), (&edns, 1232), (&greedy, 1232)] {
            let octets = stand.octets(Transport::Udp, asked);
            let reply = stand::read(&octets);
            assert!(octets.len() <= limit, "{of}: {} octets", octets.len());
            assert!(reply.is_truncated(), "{of}");
            assert_eq!(reply.sections[0].len(), 0, "{of}: a set is whole or absent");
            let reply = stand.ask(Transport::Tcp, asked);
            assert!(!reply.is_truncated(), "{of}");
            assert_eq!(reply.sections[0].len(), records, "{of}");
        }
    }
    // What just fits is not truncated.
    let small = stand.ask(Transport::Udp, &query("small.test-net.io", A));
    assert_eq!((small.is_truncated(), small.sections[0].len()), (false, 16));
    stand.stop();
}

#[test]
fn fault_21_huge_rrsets_cost_little() {
    let mut stand = Stand::start("huge");
    cost::of_huge_sets(&mut stand);
    stand.stop();
}

#[test]
fn fault_22_answers_are_hardly_longer_than_what_any_asked() {
    let stand = Stand::start("amplification");
    cost::amplification(&stand);
    stand.stop();
}

#[test]
fn fault_22_a_flood_is_limited_and_slips_through_to_tcp() {
    let limit = "\n[rate_limit]\nresponses_per_second = 5\nslip = 2\n";
    let plan = NameServerPlan::new("ns1").more(limit);
    // Twenty questions a second are the canaries', so theirs is the network that is exempt.
    let plan = plan.more("exempt = [\"127.9.9.0/24\"]\n");
    let stand = Stand::of("flood", plan);
    cost::flood(&stand);
    stand.stop();
}

#[test]
fn fault_23_transfers_updates_and_unknown_opcodes_give_nothing_away() {
    let stand = Stand::start("opcodes");
    let apex = "test-net.io";
    // With IXFR comes the SOA that the asker has.
    let soa = [name(apex), vec![0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0], vec![0; 20]].concat();
    let mut ixfr = query(apex, IXFR);
    ixfr[9] = 1;
    ixfr.extend(&soa);
    // Deletes everything at a name (RFC 2136 §2.5.3).
    let mut update = message(opcode(5), apex, SOA);
    update[9] = 1;
    update.extend([name(WWW), vec![0, 255, 0, 255, 0, 0, 0, 0, 0, 0]].concat());
    let mut cases = vec![
        ("AXFR".to_owned(), query(apex, AXFR), vec![REFUSED]),
        ("AXFR of another".to_owned(), query("example.org", AXFR), vec![REFUSED, NOTAUTH]),
        ("IXFR".to_owned(), ixfr, vec![REFUSED]),
        ("NOTIFY".to_owned(), message(opcode(4) | 0x0400, apex, SOA), vec![REFUSED, NOTIMP]),
        ("UPDATE".to_owned(), update, vec![REFUSED]),
        ("UPDATE of another".to_owned(), message(opcode(5), "example.org", SOA), {
            vec![REFUSED, NOTAUTH]
        }),
    ];
    // IQUERY, STATUS, DSO (RFC 8490) and those that nobody has given a meaning.
    for number in [1, 2, 3].into_iter().chain(6..=15) {
        cases.push((format!("opcode {number}"), message(opcode(number), apex, SOA), vec![NOTIMP]));
    }
    for (what, message, expected) in &cases {
        for edns in [false, true] {
            let asked = if edns { with(message.clone(), &opt(0, &[])) } else { message.clone() };
            for transport in TRANSPORTS {
                let reply = stand.ask(transport, &asked);
                assert!(expected.contains(&reply.rcode()), "{what}: {}", reply.rcode());
                assert_eq!(reply.flags & 0x7800, u16::from(asked[2] & 0x78) << 8, "{what}");
                assert!(reply.sections.iter().all(Vec::is_empty), "{what}: {reply:?}");
            }
        }
    }
    // And nothing was changed.
    let reply = stand.ask(Transport::Udp, &query(apex, TXT));
    assert_eq!(reply.sections[0].len(), 1);
    let reply = stand.ask(Transport::Udp, &query(WWW, ANY));
    assert_eq!(reply.sections[0].len(), 1);
    stand.stop();
}
