//! What a fault costs: the server's processor time, compared with what ordinary queries cost on
//! the same machine at the same time; and octets sent for octets received.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use tests::conformance::expect::Transport;
use tests::{figures, wait};

use crate::octets::{A, AAAA, ANY, MX, QUERY, TXT, header, opt, option, query, question, with};
use crate::stand::{NXDOMAIN, Stand, read};

/// Processor time is counted in hundredths of seconds: with so many of them a figure is good
/// enough for bounds that leave room for a factor of two.
const ENOUGH: Duration = Duration::from_millis(200);

/// And with so many queries, however quick.
const MOST: u32 = 20_000;

/// Queries between two looks at the clock.
const BATCH: u32 = 100;

/// No bound is kept better than this: caches are cold or warm, and a busy machine is no quiet one.
const SLACK: f64 = 3.0;

/// Processor time of one answer.
fn cost(stand: &mut Stand, transport: Transport, message: &[u8]) -> f64 {
    let mut exchange = exchange(stand, transport, message);
    exchange();
    let before = stand.server.process().cpu();
    let mut asked = 0;
    loop {
        (0..BATCH).for_each(|_| exchange());
        asked += BATCH;
        let used = stand.server.process().cpu() - before;
        if used >= ENOUGH || asked >= MOST {
            return used.as_secs_f64() / f64::from(asked);
        }
    }
}

/// Asks once and waits for the answer, again and again on one socket.
fn exchange(stand: &Stand, transport: Transport, message: &[u8]) -> Box<dyn FnMut()> {
    let message = message.to_vec();
    match transport {
        Transport::Udp => {
            let socket = stand.socket(Ipv4Addr::LOCALHOST);
            let mut buffer = vec![0; usize::from(u16::MAX)];
            Box::new(move || {
                socket.send(&message).expect("loopback");
                socket.recv(&mut buffer).expect("an answer");
            })
        }
        Transport::Tcp => {
            let mut stream = TcpStream::connect(stand.dns()).expect("it listens");
            stream.set_nodelay(true).expect("a socket");
            let length = u16::try_from(message.len()).expect("it fits");
            let frame = [&length.to_be_bytes(), &message[..]].concat();
            Box::new(move || {
                stream.write_all(&frame).expect("a connection");
                let mut length = [0; 2];
                stream.read_exact(&mut length).expect("an answer");
                let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut answer).expect("an answer");
            })
        }
    }
}

/// Asserts that `what` costs at most `times` what `beside` does.
fn at_most(what: &str, cost: f64, times: f64, beside: f64) {
    let ratio = cost / beside.max(f64::MIN_POSITIVE);
    figures::show(&format!("{what}: {:.1} µs, {ratio:.1} × the ordinary", cost * 1e6));
    assert!(ratio <= times * SLACK, "{what}: {ratio:.1} × the ordinary, {times} would be fair");
}

/// A message as long as it goes over UDP, whose every record leads through the longest name there
/// can be, against the same with nothing to follow.
pub(crate) fn of_compression(stand: &mut Stand) {
    const RECORDS: u16 = 300;
    const FIXED: [u8; 10] = [0, 1, 0, 1, 0, 0, 0, 0, 0, 0];

    let longest = [&b"\x01a".repeat(127)[..], b"\0"].concat();
    let message = |owner: &[u8]| {
        let mut message = [header(QUERY, [1, 0, 0, RECORDS]), question(".", A)].concat();
        message.extend([&longest[..], &FIXED].concat());
        for _ in 1..RECORDS {
            message.extend([owner, &FIXED].concat());
        }
        message
    };
    // Back to the first record's owner, which stands behind header and question.
    let followed = cost(stand, Transport::Udp, &message(&[0xc0, 17]));
    let plain = cost(stand, Transport::Udp, &message(&[0]));
    at_most("300 compressed owners", followed, 10.0, plain);
}

/// Loops and chains against a name that stands there.
pub(crate) fn of_loops(stand: &mut Stand) {
    let plain = cost(stand, Transport::Udp, &query("www.test-net.io", A));
    for of in ["self", "round1", "a.tree", "a.ping", "y.wild", "chain1"] {
        let cost = cost(stand, Transport::Udp, &query(&format!("{of}.test-net.io"), A));
        // Each of at most eleven names is looked up once.
        at_most(of, cost, 11.0, plain);
    }
}

/// Sets that fill a message over TCP, or none over UDP.
pub(crate) fn of_huge_sets(stand: &mut Stand) {
    let mut cost = |transport, of: &str, rtype| {
        cost(stand, transport, &query(&format!("{of}.test-net.io"), rtype))
    };
    // Over UDP nobody pays for what is not sent.
    let small = cost(Transport::Udp, "small", A);
    at_most("3,840 addresses over UDP", cost(Transport::Udp, "huge", A), 2.0, small);
    at_most("1,000 relays over UDP", cost(Transport::Udp, "relays", MX), 2.0, small);
    // Over TCP ten times the records cost ten times as much, not a hundred.
    let large = cost(Transport::Tcp, "large", A);
    at_most("3,840 addresses over TCP", cost(Transport::Tcp, "huge", A), 24.0, large);
    let fewer = cost(Transport::Tcp, "fewer", MX);
    at_most("1,000 relays over TCP", cost(Transport::Tcp, "relays", MX), 10.0, fewer);
}

/// Every type of names with much and little to say.
pub(crate) fn amplification(stand: &Stand) {
    /// What ANY and errors may make of a query.
    const SMALL: f64 = 4.0;

    let mut worst = (0.0, String::new());
    for of in ["test-net.io", "www.test-net.io", "rich.test-net.io", "relays.test-net.io"] {
        for rtype in (1..=300).chain([32_768, 65_280, 65_535]).filter(|rtype| *rtype != 41) {
            let plain = query(of, rtype);
            let edns = with(plain.clone(), &opt(0, &[]));
            for (asked, limit) in [(&plain, 512), (&edns, 1232)] {
                let answer = stand.octets(Transport::Udp, asked);
                let reply = read(&answer);
                let ratio = answer.len() as f64 / asked.len() as f64;
                let what =
                    format!("{of} type {rtype}: {} octets for {}", answer.len(), asked.len());
                assert!(answer.len() <= limit, "{what}");
                // Much is sent only where it was asked for, and nothing goes with it.
                let data = reply.sections[0].iter().map(|record| record.rdata.len() + 12);
                let beside = answer.len().saturating_sub(asked.len() + data.sum::<usize>());
                assert!(beside <= 150, "{what}, {beside} of them unasked");
                if reply.sections[0].is_empty() || rtype == ANY {
                    assert!(ratio <= SMALL, "{what}");
                }
                if ratio > worst.0 {
                    worst = (ratio, what);
                }
            }
        }
    }
    figures::show(&format!("the most for the least: {}", worst.1));
    // Nor do refusals and lies about names.
    for (of, code) in
        [("nothing.test-net.io", NXDOMAIN), ("www.example.org", crate::stand::REFUSED)]
    {
        for rtype in [A, AAAA, TXT, ANY] {
            let asked = query(of, rtype);
            let answer = stand.octets(Transport::Udp, &asked);
            assert_eq!(read(&answer).rcode(), code);
            assert!(answer.len() as f64 <= SMALL * asked.len() as f64, "{of} {rtype}");
        }
    }
}

/// Four hundred queries from one network in no time, of which few may be answered.
pub(crate) fn flood(stand: &Stand) {
    const FLOOD: u32 = 400;
    const BATCH: u32 = 20;
    const PER_SECOND: f64 = 5.0;
    /// Two seconds' worth.
    const BURST: f64 = 10.0;

    let asked = query("www.test-net.io", A);
    let socket = stand.socket(Ipv4Addr::LOCALHOST);
    socket.set_nonblocking(true).expect("a socket");
    let dropped = || {
        let label = ["action=\"drop\""];
        stand.server.metrics().labelled("dnsrouter_rate_limited_total", &label) as u32
    };
    let (mut full, mut slipped, mut octets) = (0, 0, 0);
    let began = Instant::now();
    for sent in (BATCH..=FLOOD).step_by(BATCH as usize) {
        (0..BATCH).for_each(|_| {
            socket.send(&asked).expect("loopback");
        });
        wait::until("all of them to be judged", Duration::from_secs(20), || {
            let mut answer = [0; 1232];
            loop {
                match socket.recv(&mut answer) {
                    Ok(length) if read(&answer[..length]).is_truncated() => {
                        assert_eq!(length, asked.len(), "as long as the query, not longer");
                        slipped += 1;
                        octets += length;
                    }
                    Ok(length) => {
                        full += 1;
                        octets += length;
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
            full + slipped + dropped() == sent
        });
    }
    let most = BURST + PER_SECOND * began.elapsed().as_secs_f64() + 1.0;
    figures::show(&format!(
        "of {FLOOD} queries {full} answered, {slipped} slipped: {octets} octets for {}",
        asked.len() * FLOOD as usize
    ));
    assert!(full >= BURST as u32 && f64::from(full) <= most, "{full} of at most {most}");
    assert!((FLOOD - full).abs_diff(2 * slipped) <= 2, "every second: {slipped}");
    assert!(octets < asked.len() * FLOOD as usize, "whoever is forged gets less than was sent");

    // Who slipped asks again over TCP, which cannot be forged; nor can a cookie.
    let cookie = with(asked.clone(), &opt(0, &option(10, b"clientck")));
    let reply = stand.ask(Transport::Tcp, &cookie);
    assert_eq!(reply.sections[0].len(), 1);
    let opt_of_reply = reply.opt.expect("EDNS is answered with EDNS");
    let given = opt_of_reply.options.iter().find(|(code, _)| *code == 10).expect("a cookie");
    let proven = with(asked, &opt(0, &option(10, &given.1)));
    for _ in 0..2 * BURST as u32 {
        let reply = stand.ask(Transport::Udp, &proven);
        assert_eq!((reply.is_truncated(), reply.sections[0].len()), (false, 1));
    }
}
