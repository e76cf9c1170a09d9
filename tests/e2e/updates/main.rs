//! Updates as clients of this world send them: nsupdate and knsupdate, signed well, badly and not at
//! all, over UDP and TCP; then what the name server says, also after it was killed or reloaded.
#![expect(clippy::disallowed_methods, reason = "a test of real processes on loopback")]

mod hickory;
mod nsupdate;

use std::fmt::Write;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{RData, RecordType};
use rustix::process::Signal;
use tests::authority::Authority;
use tests::figures;
use tests::name_server::{NameServer, NameServerPlan};
use tests::query::Ask;
use tests::scratch::Scratch;
use tests::wait;

use hickory::Hickory;
use nsupdate::{Nsupdate, Tool};

const ZONE: &str = "\
$TTL 300
@      SOA ns hostmaster 1 7200 900 1209600 60
@      NS  ns
ns     A   192.0.2.53
www    A   192.0.2.80
*.wild TXT any
";
/// Of every key; base64.
const SECRET: &str = "cGxlbnR5IG9mIG9jdGV0cyB0aGF0IG5vYm9keSBrbm93cw==";
const SECRET_OCTETS: &[u8] = b"plenty of octets that nobody knows";
const KEY: &str = "hmac-sha256:acme-key:cGxlbnR5IG9mIG9jdGV0cyB0aGF0IG5vYm9keSBrbm93cw==";
const ALGORITHMS: [&str; 5] =
    ["hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"];
/// From a reload's trigger to its plan, on a busy machine.
const RELOAD: Duration = Duration::from_secs(20);

fn start(scratch: &Scratch, names: usize) -> NameServer {
    let mut zone = ZONE.to_owned();
    for i in 0..names {
        let _ = writeln!(zone, "host{i} A 192.0.2.1");
    }
    let zone = scratch.write("dyn.zone", zone);
    let keys: String = ALGORITHMS
        .iter()
        .map(|algorithm| {
            format!("[[key]]\nname = {algorithm:?}\nalgorithm = {algorithm:?}\nsecret_base64 = {SECRET:?}\n")
        })
        .collect();
    let key =
        format!("key \"acme-key\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{SECRET}\";\n}};\n");
    let key = scratch.write("acme.key", key);
    let allowed = ALGORITHMS.map(|algorithm| format!("{algorithm:?}")).join(", ");
    let more = format!(
        "\n{keys}\n[[key]]\nname = \"acme-key\"\nsecret = {key:?}\n\
         [[key]]\nname = \"other-key\"\nsecret_base64 = {SECRET:?}\n\
         [[zone]]\nname = \"dyn.example\"\nfile = {zone:?}\n\
         update = {{ keys = [\"acme-key\", {allowed}] }}\n"
    );
    let authority = Authority::create(scratch, "pki");
    let plan = NameServerPlan::new("ns1").state(scratch.join("state")).more(&more);
    plan.start(scratch, &authority)
}

fn by(server: SocketAddr, key: Option<&str>) -> Nsupdate<'_> {
    Nsupdate { tool: Tool::Bind, key, tcp: false, server }
}

/// The TXT records of a name, in order; an error for anything but NOERROR.
fn txt(server: SocketAddr, name: &str) -> Result<Vec<String>, ResponseCode> {
    let reply = Ask::new(server, name, RecordType::TXT).expect();
    if reply.rcode() != ResponseCode::NoError {
        return Err(reply.rcode());
    }
    let text = |data: &RData| match data {
        RData::TXT(txt) => Some(txt.to_string()),
        _ => None,
    };
    let mut texts: Vec<String> =
        reply.message.answers.iter().filter_map(|record| text(&record.data)).collect();
    texts.sort();
    Ok(texts)
}

#[test]
fn every_client_and_algorithm_adds_and_deletes() {
    let scratch = Scratch::new("updates");
    let server = start(&scratch, 0);
    let dns = server.dns();
    let name = "_acme-challenge.dyn.example";
    let add = format!("update add {name} 60 TXT token");
    let delete = format!("update delete {name} TXT");
    for algorithm in ALGORITHMS {
        let key = format!("{algorithm}:{algorithm}:{SECRET}");
        for tool in Tool::ALL {
            for tcp in [false, true] {
                let by = Nsupdate { tool, key: Some(&key), tcp, server: dns };
                by.send("dyn.example", &[&add]).unwrap_or_else(|why| panic!("{by:?}: {why}"));
                // Told is served: nothing is waited for.
                assert_eq!(txt(dns, name), Ok(vec!["token".to_owned()]), "{by:?}");
                by.send("dyn.example", &[&delete]).unwrap_or_else(|why| panic!("{by:?}: {why}"));
                assert_eq!(txt(dns, name), Err(ResponseCode::NXDomain), "{by:?}");
            }
        }
    }
    let soa = Ask::new(dns, "dyn.example", RecordType::SOA).expect();
    let RData::SOA(soa) = &soa.message.answers[0].data else { panic!("{soa}") };
    assert_eq!(soa.serial as usize, 1 + ALGORITHMS.len() * 2 * 2 * 2);
}

#[test]
fn hickorys_client_signs_and_verifies() {
    let scratch = Scratch::new("updates-hickory");
    let server = start(&scratch, 0);
    let dns = server.dns();
    let name = "h.dyn.example.";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        for tcp in [false, true] {
            let mut client = Hickory::connect(dns, tcp, "acme-key.", SECRET_OCTETS).await;
            assert_eq!(client.create(name, "one").await, Ok(ResponseCode::NoError));
            assert_eq!(txt(dns, name), Ok(vec!["one".to_owned()]));
            assert_eq!(client.create(name, "one").await, Ok(ResponseCode::YXRRSet));
            assert_eq!(client.delete(name).await, Ok(ResponseCode::NoError));
            assert_eq!(txt(dns, name), Err(ResponseCode::NXDomain));
            let mut stranger = Hickory::connect(dns, tcp, "acme-key.", b"another secret").await;
            // Its client takes no reply that is not signed.
            assert!(stranger.create(name, "one").await.is_err());
        }
    });
    assert_eq!(txt(dns, name), Err(ResponseCode::NXDomain));
}

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
    let server = start(&scratch, 0);
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
        (&[add, "update add www.dyn.example 60 CNAME a.example"], Err("REFUSED")),
        (&[add, "update delete dyn.example NS"], Err("REFUSED")),
        (&[add, "update add www.dyn.example 60 SOA a. b. 1 2 3 4 5"], Err("REFUSED")),
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

/// What a writer was told, while it could write.
#[derive(Default)]
struct Told {
    /// Pairs of records that an update added.
    acknowledged: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl Told {
    /// Adds two records at a time until told to stop, whatever happens.
    fn write(&self, server: SocketAddr, writer: usize) {
        // Over TCP a killed server is noticed at once.
        let by = Nsupdate { tcp: true, ..by(server, Some(KEY)) };
        for i in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let name = format!("w{writer}-{i}");
            let [a, b] = ["a", "b"]
                .map(|half| format!("update add {name}-{half}.dyn.example 60 TXT {name}"));
            if by.send("dyn.example", &[&a, &b]).is_ok() {
                self.acknowledged.lock().expect("nobody panics").push(name);
            }
        }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().expect("nobody panics").len()
    }

    /// Everything that was acknowledged is served.
    fn judge(&self, server: SocketAddr) {
        for name in self.acknowledged.lock().expect("nobody panics").iter() {
            for half in ["a", "b"] {
                let texts = txt(server, &format!("{name}-{half}.dyn.example"));
                assert_eq!(texts.as_deref(), Ok(&[name.clone()][..]), "acknowledged and lost");
            }
        }
    }
}

/// Fault 38: what was acknowledged before kill -9 is there, and nothing is half there.
#[test]
fn an_acknowledged_update_outlives_kill_9() {
    const ROUNDS: usize = 12;
    let scratch = Scratch::new("updates-killed");
    let mut server = start(&scratch, 0);
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        let told = Told::default();
        let dns = server.dns();
        thread::scope(|scope| {
            for writer in [2 * round, 2 * round + 1] {
                let told = &told;
                scope.spawn(move || told.write(dns, writer));
            }
            // Killed in the middle of one, a different one each time.
            wait::until("acknowledged updates", RELOAD, || told.count() >= 2 + round % 5);
            server.kill();
            told.stop.store(true, Ordering::Relaxed);
        });
        server.revive();
        all.push(told);
        all.iter().for_each(|told| told.judge(server.dns()));
    }
    let acknowledged: usize = all.iter().map(Told::count).sum();
    figures::show(&format!(
        "updates: {ROUNDS} times kill -9, {acknowledged} acknowledged, none lost"
    ));
    // Both halves of each, or neither: also of those that nobody was told of.
    for (round, told) in all.iter().enumerate() {
        for writer in [2 * round, 2 * round + 1] {
            for i in 0..told.count() + 2 {
                let half =
                    |half| txt(server.dns(), &format!("w{writer}-{i}-{half}.dyn.example")).is_ok();
                assert_eq!(half("a"), half("b"), "half of an update");
            }
        }
    }
}

#[test]
fn reloads_and_updates_do_not_pass_each_other() {
    let scratch = Scratch::new("updates-reloaded");
    let mut server = start(&scratch, 0);
    let dns = server.dns();
    let told = Told::default();
    let reloads = |server: &NameServer| {
        server.metrics().labelled("dnsrouter_config_reloads_total", &["applied"])
    };
    thread::scope(|scope| {
        for writer in 0..2 {
            let told = &told;
            scope.spawn(move || told.write(dns, writer));
        }
        for round in 0..8 {
            let before = reloads(&server);
            // The file changes too, which no reload may take for the zone.
            scratch.write("dyn.zone", format!("{ZONE}round{round} TXT x\n"));
            server.process().signal(Signal::HUP);
            wait::until("the reload", RELOAD, || reloads(&server) > before);
            wait::until("updates", RELOAD, || told.count() > 2 * round);
            told.judge(dns);
        }
        told.stop.store(true, Ordering::Relaxed);
    });
    told.judge(dns);
    server.kill();
    server.revive();
    told.judge(server.dns());
    assert_eq!(txt(server.dns(), "round7.dyn.example"), Err(ResponseCode::NXDomain));
    assert_eq!(server.metrics().sum("dnsrouter_alarms"), 1.0, "the file is another");
}

/// From the client's first octet to the last: signed, verified, on disk, frozen, served, signed.
#[test]
fn how_long_an_update_takes() {
    const UPDATES: usize = 20;
    for names in [10, 10_000] {
        let scratch = Scratch::new("updates-timed");
        let server = start(&scratch, names);
        let by = by(server.dns(), Some(KEY));
        let began = Instant::now();
        for i in 0..UPDATES {
            let line = format!("update add new{i}.dyn.example 60 TXT x");
            by.send("dyn.example", &[&line]).expect("a good update");
        }
        let took = began.elapsed() / UPDATES as u32;
        let sum = server.metrics().sum("dnsrouter_update_seconds_sum");
        let mean = Duration::from_secs_f64(sum / UPDATES as f64);
        figures::show(&format!(
            "updates of a zone with {names} names: {mean:?} from the message to the plan, {took:?} \
             with nsupdate's own start (unoptimised, with the disk's sync)"
        ));
    }
}
