//! One anycast set of several products (RFC 9018): what one server gives, the others accept.

#![expect(clippy::disallowed_methods, reason = "looks at the clock")]

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, SystemTime};

use dns::edns::cookie::{Secret, Secrets};
use tests::artifact;
use tests::authority::Authority;
use tests::conformance::exchange::Peer;
use tests::conformance::expect::Transport;
use tests::conformance::message::Message;
use tests::conformance::query::Query;
use tests::name_server::{NameServer, NameServerPlan, ZONE};
use tests::port;
use tests::process::Process;
use tests::scratch::Scratch;
use tests::wait;

const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
const OTHER: &str = "445536bcd2513298075a5d379663c962";
const CLIENT: [u8; 8] = *b"clientck";
const NOERROR: u16 = 0;
const BADCOOKIE: u16 = 23;

/// How long a server may take until it answers.
const READY: Duration = Duration::from_secs(120);
/// Somebody else may take a free port before a peer does.
const ATTEMPTS: usize = 5;

#[test]
fn an_anycast_set_of_several_products_accepts_each_others_cookies() {
    let scratch = Scratch::new("cookies");
    let ours = ours(&scratch);
    let knot = Foreign::knot(&scratch);
    let (ours, knot) = (peer(ours.dns()), &knot.peer);
    let given = |by: &Peer| {
        let (_, cookie) = ask(by, "test-net.io SOA", &[]);
        assert_eq!(cookie.len(), 16, "a server cookie of version 1");
        cookie
    };
    for (maker, cookie) in [
        ("ours", given(&ours)),
        ("Knot", given(knot)),
        ("a minute old", made(SECRET, 60)),
        ("40 minutes old", made(SECRET, 2400)),
    ] {
        assert_eq!(judged_by_us(&ours, &cookie), NOERROR, "{maker}: by us");
        assert_eq!(judged_by_knot(knot, &cookie), NOERROR, "{maker}: by Knot");
    }
    for (what, cookie) in [
        ("of another secret", made(OTHER, 60)),
        ("out of date", made(SECRET, 3600 + 60)),
        ("from the future", made(SECRET, 600_u32.wrapping_neg())),
    ] {
        assert_eq!(judged_by_us(&ours, &cookie), BADCOOKIE, "{what}: by us");
        assert_eq!(judged_by_knot(knot, &cookie), BADCOOKIE, "{what}: by Knot");
    }
}

#[test]
fn nsd_accepts_our_cookies_and_we_its() {
    let scratch = Scratch::new("cookies-nsd");
    let ours = ours(&scratch);
    let nsd = Foreign::nsd(&scratch);
    let (rcode, given) = ask(&nsd.peer, "test-net.io SOA", &[]);
    assert_eq!((rcode, given.len()), (NOERROR, 16));
    assert_eq!(judged_by_us(&peer(ours.dns()), &given), NOERROR);
    // It answers whatever the cookie; one that it accepts comes back as it is until it is old.
    for (secret, accepted) in [(SECRET, true), (OTHER, false)] {
        let cookie = made(secret, 600);
        let (rcode, returned) = ask(&nsd.peer, "test-net.io SOA", &cookie);
        assert_eq!((rcode, returned == cookie), (NOERROR, accepted), "{secret}");
    }
}

#[test]
fn dig_calls_our_cookies_good() {
    let scratch = Scratch::new("cookies-dig");
    let server = ours(&scratch);
    let dig = |cookie: &str| {
        let mut dig = artifact::peer("usr/bin/dig");
        dig.arg("@127.0.0.1").arg("-p").arg(server.dns().port().to_string());
        dig.args(["+norecurse", "+tries=1", &format!("+cookie={cookie}"), "test-net.io", "SOA"]);
        let output = dig.output().expect("dig runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix("; COOKIE: "));
        let line = line.unwrap_or_else(|| panic!("no cookie in\n{text}"));
        line.strip_suffix(" (good)").unwrap_or_else(|| panic!("{line}")).to_owned()
    };
    let client: String = CLIENT.iter().map(|octet| format!("{octet:02x}")).collect();
    let first = dig(&client);
    assert_eq!(first.len(), 48);
    assert!(first.starts_with(&client));
    assert_eq!(dig(&first), first, "it is fresh, and stays");
}

/// RFC 9018 §5, on a server that answers all the while.
#[test]
fn secrets_roll_without_a_restart_and_a_bad_one_changes_nothing() {
    let scratch = Scratch::new("cookies-roll");
    let server = ours(&scratch);
    let ours = peer(server.dns());
    let accepts = |secret| judged_by_us(&ours, &made(secret, 60)) == NOERROR;
    assert_eq!([accepts(SECRET), accepts(OTHER)], [true, false]);

    scratch.write("cookie.key", "no secret");
    let rejected = || {
        server.metrics().labelled("dnsrouter_config_reloads_total", &["result=\"rejected\""]) > 0.0
    };
    wait::until("the file to be rejected", READY, rejected);
    assert_eq!([accepts(SECRET), accepts(OTHER)], [true, false], "the old one serves on");

    scratch.write("cookie.key", OTHER);
    wait::until("the new secret to make cookies", READY, || accepts(OTHER));
    assert!(!accepts(SECRET), "the old one is not in any file");

    let [old, new] = [SECRET, OTHER].map(|secret| scratch.write(&secret[..4], secret));
    let config = std::fs::read_to_string(server.config()).expect("it was written");
    let (before, _) = config.split_once("[cookie]").expect("it has cookies");
    let rolled = format!("{before}[cookie]\nsecret = [{new:?}, {old:?}]\n");
    std::fs::write(server.config(), rolled).expect("it can be written");
    wait::until("both secrets to be accepted", READY, || accepts(SECRET) && accepts(OTHER));
}

/// A name server of ours with the secret that all have.
fn ours(scratch: &Scratch) -> NameServer {
    let authority = Authority::create(scratch, "pki");
    let secret = scratch.write("cookie.key", SECRET);
    let more = format!("\n[cookie]\nsecret = [{secret:?}]\n");
    NameServerPlan::new("ns1").more(&more).start(scratch, &authority)
}

/// Another product's server of the same zone.
struct Foreign {
    peer: Peer,
    /// Ended when this is dropped.
    _process: Process,
}

impl Foreign {
    fn knot(scratch: &Scratch) -> Foreign {
        let command = |port: u16, folder: &str, zone: &str| {
            let config = format!(
                "server:\n  rundir: {folder:?}\n  listen: 127.0.0.1@{port}\n\
                 \x20 udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
                 control:\n  listen: \"knot.sock\"\n\
                 database:\n  storage: {folder:?}\n\
                 log:\n  - target: stderr\n    any: notice\n\
                 mod-cookies:\n  - id: shared\n    secret: 0x{SECRET}\n    badcookie-slip: 1\n\
                 template:\n  - id: default\n    storage: {folder:?}\n\
                 \x20   global-module: mod-cookies/shared\n    zonefile-sync: -1\n\
                 \x20   zonefile-load: whole\n    journal-content: none\n\
                 zone:\n  - domain: test-net.io\n    file: {zone:?}\n"
            );
            let mut command = artifact::peer("usr/sbin/knotd");
            command.arg("-c").arg(scratch.write("knot/knot.conf", config));
            command
        };
        Foreign::start(scratch, "knot", command)
    }

    fn nsd(scratch: &Scratch) -> Foreign {
        let command = |port: u16, folder: &str, zone: &str| {
            let config = format!(
                "server:\n  ip-address: 127.0.0.1\n  port: {port}\n  do-ip6: no\n\
                 \x20 username: \"\"\n  chroot: \"\"\n  zonesdir: {folder:?}\n  database: \"\"\n\
                 \x20 zonelistfile: \"{folder}/zone.list\"\n  xfrdfile: \"{folder}/xfrd.state\"\n\
                 \x20 xfrdir: {folder:?}\n  pidfile: \"\"\n  server-count: 1\n\
                 \x20 answer-cookie: yes\n  cookie-secret: \"{SECRET}\"\n\
                 remote-control:\n  control-enable: no\n\
                 zone:\n  name: \"test-net.io\"\n  zonefile: {zone:?}\n"
            );
            let mut command = artifact::peer("usr/sbin/nsd");
            command.arg("-d").arg("-c").arg(scratch.write("nsd/nsd.conf", config));
            command
        };
        Foreign::start(scratch, "nsd", command)
    }

    /// `command` makes one from a port, a folder and a zone's file.
    fn start(
        scratch: &Scratch,
        name: &str,
        command: impl Fn(u16, &str, &str) -> Command,
    ) -> Foreign {
        let zone = scratch.write(&format!("{name}/zone"), format!("$ORIGIN test-net.io.\n{ZONE}"));
        let folder = scratch.join(name);
        for _ in 0..ATTEMPTS {
            let port = port::free();
            let mut command =
                command(port, &folder.display().to_string(), &zone.display().to_string());
            command.current_dir(&folder);
            let mut process = Process::spawn(name, command, &folder.join("log"));
            let peer = peer(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
            let serves = wait::some(&format!("{name} to answer"), READY, || {
                let answered = try_ask(&peer, "test-net.io SOA", &[]).is_some();
                (answered || process.exited().is_some()).then_some(answered)
            });
            if serves {
                return Foreign { peer, _process: process };
            }
        }
        panic!("{name} does not start; see {}", folder.join("log").display());
    }
}

fn peer(address: SocketAddr) -> Peer {
    let canary = Query::ask("test-net.io SOA", &[0]).expect("a name").bytes;
    Peer::new(address, canary)
}

/// A server cookie so many seconds old.
fn made(secret: &str, age: u32) -> Vec<u8> {
    let secret: Secret = secret.parse().expect("32 hexadecimal digits");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let made = u32::try_from(now.as_secs()).expect("before 2106").wrapping_sub(age);
    let secrets = Secrets::configured(secret, []);
    secrets.server_cookie(CLIENT, Ipv4Addr::LOCALHOST.into(), made).to_vec()
}

/// The response code and the server cookie of the reply to a question with a cookie; none if there
/// is no reply.
fn try_ask(server: &Peer, question: &str, cookie: &[u8]) -> Option<(u16, Vec<u8>)> {
    let cookie: String = CLIENT.iter().chain(cookie).map(|octet| format!("{octet:02x}")).collect();
    let query = Query::ask(&format!("{question} +cookie={cookie}"), &[0]).expect("a question");
    judged(server, &query.bytes)
}

fn ask(server: &Peer, question: &str, cookie: &[u8]) -> (u16, Vec<u8>) {
    try_ask(server, question, cookie).expect("a reply")
}

fn judged(server: &Peer, query: &[u8]) -> Option<(u16, Vec<u8>)> {
    let reply = server.ask(Transport::Udp, Ipv4Addr::LOCALHOST, query, false).ok().flatten()?;
    let message = Message::parse(&reply).expect("a well-formed reply");
    let options = message.opt.as_ref().map(|opt| &opt.options[..]).unwrap_or_default();
    let cookie = options.iter().find(|(code, _)| *code == 10).map(|(_, data)| &data[..]);
    let server = cookie.and_then(|data| data.strip_prefix(&CLIENT)).unwrap_or_default();
    Some((message.rcode(), server.to_vec()))
}

/// Who asks us for nothing but a cookie learns what its own is worth (RFC 7873 §5.4).
fn judged_by_us(ours: &Peer, cookie: &[u8]) -> u16 {
    let mut query = Query::ask("test-net.io SOA", &[0]).expect("a name");
    let option = [&10_u16.to_be_bytes()[..], &24_u16.to_be_bytes(), &CLIENT, cookie].concat();
    let opt = [&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 28][..], &option].concat();
    query.bytes.truncate(12);
    query.bytes.extend(opt);
    query.counts("0 0 0 1").expect("four counts");
    judged(ours, &query.bytes).expect("a reply").0
}

/// It answers nothing but BADCOOKIE to who proves nothing: so it is configured.
fn judged_by_knot(knot: &Peer, cookie: &[u8]) -> u16 {
    ask(knot, "test-net.io SOA", cookie).0
}
