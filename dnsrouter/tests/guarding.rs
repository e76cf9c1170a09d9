//! What stands between strangers and the answers, through the seam that every transport calls.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use dns::edns::cookie::{Secret, Secrets};
use dnsrouter::answer::{Query, Reply, Transport, Worker, answer};
use dnsrouter::counters::Registry;
use dnsrouter::io::load::Loader;
use dnsrouter::plan::{Generation, Published};
use dnsrouter::policy::Health;
use dnsrouter::random::Random;
use hickory_proto::op::Message;
use hickory_proto::rr::rdata::opt::EdnsCode;
use hickory_proto::rr::{RData, RecordType};

const CONFIG: &str = "\
[node]
name = 'ns1'
region = 'us-central1'
[listen]
dns = ['127.0.0.1:0']
[[zone]]
name = 'open.test'
file = 'zone'
[[zone]]
name = 'closed.test'
file = 'zone'
allow = ['192.0.2.0/24']
";
const ZONE: &str = "\
$TTL 300
@        SOA   ns1 h 1 2 3 4 60
@        NS    ns1
@        MX    10 ns1.closed.test.
ns1      A     192.0.2.53
into     CNAME ns1.closed.test.
out      CNAME ns1.open.test.
child    NS    ns.child
ns.child A     192.0.2.54
";
const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
const OTHER: &str = "445536bcd2513298075a5d379663c962";
const CLIENT: [u8; 8] = *b"clientck";
const NOW: u32 = 1_800_000_000;
/// Who asks unless a test says otherwise.
const PEER: &str = "198.51.100.1";

const NSID: u16 = 3;
const COOKIE: u16 = 10;
const EXTENDED_ERROR: u16 = 15;

const A: u16 = 1;
const MX: u16 = 15;
const TXT: u16 = 16;
const ANY: u16 = 255;
const IN: u16 = 1;
const CHAOS: u16 = 3;

const NOERROR: u16 = 0;
const FORMERR: u16 = 1;
const NOTIMP: u16 = 4;
const REFUSED: u16 = 5;
const BADVERS: u16 = 16;
const BADCOOKIE: u16 = 23;

const TCP: Transport = Transport::Tcp { idle: Duration::from_secs(10) };

/// One for all tests: it keeps the built-in country database, which takes a while to load.
static LOADER: LazyLock<Mutex<Loader>> = LazyLock::new(Mutex::default);
static TABLES: AtomicUsize = AtomicUsize::new(1024);

/// One query.
#[derive(Clone)]
struct Ask {
    name: &'static str,
    qtype: u16,
    class: u16,
    opcode: u8,
    version: u8,
    /// None: without EDNS.
    options: Option<Vec<(u16, Vec<u8>)>>,
    peer: &'static str,
    transport: Transport,
    millis: u64,
}

fn ask(name: &'static str) -> Ask {
    Ask {
        name,
        qtype: A,
        class: IN,
        opcode: 0,
        version: 0,
        options: Some(vec![]),
        peer: PEER,
        transport: Transport::Udp,
        millis: 0,
    }
}

/// A query that asks for nothing but a cookie (RFC 7873 §5.4) has no name.
const NOTHING: &str = "";

impl Ask {
    fn option(mut self, code: u16, data: &[u8]) -> Ask {
        self.options.get_or_insert_default().push((code, data.to_vec()));
        self
    }

    fn cookie(self, server: &[u8]) -> Ask {
        self.option(COOKIE, &[&CLIENT, server].concat())
    }

    fn bytes(&self) -> Vec<u8> {
        let questions = u8::from(self.name != NOTHING);
        let additionals = u8::from(self.options.is_some());
        let mut bytes =
            vec![0, 7, self.opcode << 3 | 1, 0, 0, questions, 0, 0, 0, 0, 0, additionals];
        if self.name != NOTHING {
            for label in self.name.split('.').filter(|label| !label.is_empty()) {
                bytes.push(label.len() as u8);
                bytes.extend(label.as_bytes());
            }
            bytes.push(0);
            bytes.extend(self.qtype.to_be_bytes());
            bytes.extend(self.class.to_be_bytes());
        }
        if let Some(options) = &self.options {
            let data: Vec<u8> = options
                .iter()
                .flat_map(|(code, data)| {
                    [&code.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat()
                })
                .collect();
            bytes.extend([0, 0, 41, 4, 208, 0, self.version, 0, 0]);
            bytes.extend((data.len() as u16).to_be_bytes());
            bytes.extend(data);
        }
        bytes
    }
}

struct Answer {
    bytes: Vec<u8>,
    message: Message,
}

impl Answer {
    fn rcode(&self) -> u16 {
        let high = self.message.edns.as_ref().map_or(0, |edns| u16::from(edns.rcode_high()));
        high << 4 | u16::from(self.bytes[3] & 15)
    }

    fn option(&self, code: u16) -> Option<Vec<u8>> {
        let option = self.message.edns.as_ref()?.option(EdnsCode::from(code))?;
        Some(option.try_into().unwrap())
    }

    /// The server part of the cookie, whose client part is the client's.
    fn cookie(&self) -> Option<Vec<u8>> {
        let option = self.option(COOKIE)?;
        let server = option.strip_prefix(&CLIENT).expect("the client's own part comes back");
        Some(server.to_vec())
    }

    fn extended_error(&self) -> Option<u16> {
        let option = self.option(EXTENDED_ERROR)?;
        Some(u16::from_be_bytes([option[0], option[1]]))
    }

    fn truncated(&self) -> bool {
        self.bytes[2] & 2 != 0
    }

    fn answers(&self) -> usize {
        self.message.answers.len()
    }
}

struct Server {
    plan: Published,
    registry: Registry,
    worker: Worker,
}

impl Server {
    /// With `more` in its configuration, and the secret in the file `key`.
    fn new(more: &str) -> Server {
        // Servers with equal settings have one limiter as long as any of them lives: here each shall
        // have its own.
        let table = TABLES.fetch_add(1, Ordering::Relaxed);
        let more = more.replace("[rate_limit]", &format!("[rate_limit]\ntable = {table}"));
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("zone", ZONE);
        write("key", SECRET);
        write("dnsrouter.toml", &format!("{CONFIG}{more}"));
        let mut loader = LOADER.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = loader.load(&folder.path().join("dnsrouter.toml"), &[]);
        let loaded = loaded.unwrap_or_else(|error| panic!("{}", error.report()));
        let registry = Registry::default();
        let worker = Worker::with_random(registry.worker(), Random::from_seed(1));
        let plan = Published::new(loaded.inputs(Generation(1)), Health::new([]));
        Server { plan, registry, worker }
    }

    /// The reply, or none.
    fn send(&mut self, ask: &Ask) -> Option<Answer> {
        let query = Query {
            bytes: &ask.bytes(),
            peer: SocketAddr::new(ask.peer.parse().unwrap(), 4242),
            local: SocketAddr::from(([127, 0, 0, 1], 53)),
            transport: ask.transport,
            now: SystemTime::UNIX_EPOCH
                + Duration::from_secs(NOW.into())
                + Duration::from_millis(ask.millis),
        };
        let mut out = vec![0; 65_535];
        match answer(&self.plan.load(), &mut self.worker, query, &mut out) {
            Reply::Bytes(length) => {
                let bytes = out[..length].to_vec();
                let message = Message::from_vec(&bytes).unwrap();
                Some(Answer { bytes, message })
            }
            Reply::Drop => None,
            Reply::Deferred => panic!("there is nothing to wait for"),
        }
    }

    fn expect(&mut self, ask: &Ask) -> Answer {
        self.send(ask).unwrap_or_else(|| panic!("no reply to {} TYPE{}", ask.name, ask.qtype))
    }

    /// A metric's value now.
    fn counted(&self, row: &str) -> u64 {
        let text = self.registry.render();
        let value = text.lines().find_map(|line| line.strip_prefix(row)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no row {row} in\n{text}")).parse().unwrap()
    }

    fn cookies(&self) -> [u64; 2] {
        ["valid", "invalid"].map(|verdict| {
            self.counted(&format!("dnsrouter_server_cookies_total{{verdict=\"{verdict}\"}}"))
        })
    }

    fn limited(&self) -> [u64; 2] {
        ["slip", "drop"].map(|action| {
            self.counted(&format!("dnsrouter_rate_limited_total{{action=\"{action}\"}}"))
        })
    }

    fn denied(&self) -> [u64; 2] {
        ["refuse", "drop"].map(|action| {
            self.counted(&format!("dnsrouter_access_denied_total{{action=\"{action}\"}}"))
        })
    }
}

/// A server cookie made elsewhere, so many seconds ago.
fn made(secret: &str, peer: &str, age: u32) -> [u8; 16] {
    let secrets = Secrets::configured(secret.parse::<Secret>().unwrap(), []);
    secrets.server_cookie(CLIENT, peer.parse::<IpAddr>().unwrap(), NOW.wrapping_sub(age))
}

const SHARED: &str = "[cookie]\nsecret = ['key']\n";

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

fn chaos(name: &'static str) -> Ask {
    Ask { qtype: TXT, class: CHAOS, ..ask(name) }
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

/// Every kind of well-formed message that has a reply.
fn anything() -> Vec<(&'static str, Ask)> {
    vec![
        ("an answer", ask("ns1.open.test")),
        ("without EDNS", Ask { options: None, ..ask("ns1.open.test") }),
        ("an absent name", ask("nope.open.test")),
        ("a foreign name", ask("elsewhere.test")),
        ("a cookie alone", ask(NOTHING).cookie(&[])),
        ("class CHAOS", chaos("version.bind")),
        ("another opcode", Ask { opcode: 4, ..ask("open.test") }),
        ("an update", Ask { opcode: 5, qtype: 6, ..ask("open.test") }),
        ("an unknown option", ask("ns1.open.test").option(65_001, &[1])),
        ("our name", ask("ns1.open.test").option(NSID, &[])),
    ]
}

/// And some that is not well formed.
fn malformed() -> Vec<(&'static str, Ask, u16)> {
    vec![
        ("an unknown opcode", Ask { opcode: 9, ..ask("open.test") }, NOTIMP),
        ("a malformed cookie", ask("ns1.open.test").option(COOKIE, &[1]), FORMERR),
        ("another version of EDNS", Ask { version: 1, ..ask("ns1.open.test") }, BADVERS),
    ]
}

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
    for (what, ask, rcode) in malformed() {
        assert_eq!(server.expect(&ask).rcode(), rcode, "{what}: that is wrong from anybody");
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
    let mut server = Server::new(&format!("{LIMIT}slip = 1\n"));
    for (what, ask) in anything() {
        for reply in flood(&mut server, &ask, 20).iter().flatten().filter(|reply| reply.truncated())
        {
            let asked = ask.bytes().len();
            // A cookie, when one was asked for, is all that is added.
            assert!(reply.bytes.len() <= asked + 16, "{what}: {} for {asked}", reply.bytes.len());
        }
    }
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
