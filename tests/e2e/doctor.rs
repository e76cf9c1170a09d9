//! `geoip doctor` before real name servers: a right delegation is all well, and each thing that
//! can be wrong with one is found, named, and told with what to do.
#![expect(clippy::disallowed_methods, reason = "binds and serves")]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tests::authority::Authority;
use tests::geoip::{Geoip, Printed};
use tests::name_server::NameServer;
use tests::process::Process;
use tests::scratch::Scratch;
use tests::unbound::{Tells, Unbound};

const ZONE: &str = "geo.test-net.io.";

/// Where nothing listens: the port of discard, which nobody serves.
const NOBODY: &str = "127.0.0.1:9";

const ROOT: &str = "\
$TTL 300
@            SOA   a.root-servers.net. hostmaster.root-servers.net. 1 7200 900 1209600 60
             NS    a.root-servers.net.
a.root-servers.net. A 192.0.2.4
test-net.io. NS    ns.test-net.io.
ns.test-net.io. A  192.0.2.1
other.example. NS  ns.other.example.
ns.other.example. A 198.51.100.53
";

const PARENT: &str = "\
$TTL 300
@       SOA   ns hostmaster 1 7200 900 1209600 60
        NS    ns
ns      A     192.0.2.1
geo     NS    ns1.geo
geo     NS    ns2.geo
ns1.geo A     192.0.2.53
ns1.geo AAAA  2001:db8::53
ns2.geo A     198.51.100.53
";

const CHILD: &str = "\
$TTL 300
@    SOA   ns1 hostmaster 2026010107 7200 900 1209600 60
     NS    ns1
     NS    ns2
ns1  A     192.0.2.53
ns1  AAAA  2001:db8::53
ns2  A     198.51.100.53
";

/// A dnsrouter with nothing but zones.
struct Serving {
    dns: SocketAddr,
    _process: Process,
}

/// Starts one that serves these zones, each as name and master file.
fn serve(scratch: &Scratch, name: &str, zones: &[(&str, &str)]) -> Serving {
    let mut toml = format!(
        "[node]\nname = \"{name}\"\nregion = \"us-central1\"\ntrust_domain = \"test-net.io\"\n\
         [listen]\ndns = [\"127.0.0.1:0\"]\n"
    );
    for (i, (zone, text)) in zones.iter().enumerate() {
        let file = scratch.write(&format!("{name}/{i}.zone"), text);
        toml.push_str(&format!("[[zone]]\nname = \"{zone}\"\nfile = {file:?}\n"));
    }
    let config = scratch.write(&format!("{name}/dnsrouter.toml"), toml);
    let ready = config.with_file_name("ready.json");
    let mut command = NameServer::command(&config);
    command.arg("--ready-file").arg(&ready);
    let mut process = Process::spawn(name, command, &config.with_file_name("dnsrouter.log"));
    let dns = process.ready(&ready)["dns"][0].as_str().and_then(|dns| dns.parse().ok());
    Serving { dns: dns.expect("it tells where it answers"), _process: process }
}

/// A parent and two servers of the zone it delegates.
struct Rehearsal {
    scratch: Scratch,
    geoip: Geoip,
    parent: Serving,
    first: Serving,
    second: Serving,
}

impl Rehearsal {
    fn of(name: &str, parent: &str, first: &str, second: &str) -> Rehearsal {
        let scratch = Scratch::new(&format!("doctor-{name}"));
        let geoip = Geoip::new(&scratch, "nobody", &Authority::create(&scratch, "unused"), None);
        Rehearsal {
            parent: serve(&scratch, "parent", &[("test-net.io", parent)]),
            first: serve(&scratch, "first", &[("geo.test-net.io", first)]),
            second: serve(&scratch, "second", &[("geo.test-net.io", second)]),
            scratch,
            geoip,
        }
    }

    /// `geoip doctor` with the addresses of the zones led to where the servers are.
    fn run(&self, more: &[&str]) -> Printed {
        let (first, second) = (self.first.dns, self.second.dns);
        self.led(&[("192.0.2.53", first), ("2001:db8::53", first), ("198.51.100.53", second)], more)
    }

    fn led(&self, detours: &[(&str, SocketAddr)], more: &[&str]) -> Printed {
        let mut args: Vec<String> = vec!["doctor".into(), "geo.test-net.io".into()];
        for (from, to) in detours {
            args.extend(["--connect-to".into(), format!("{from}={to}")]);
        }
        // Long: only what is meant to be silent is.
        args.extend(["--timeout".into(), "10s".into()]);
        // Nobody outside of this machine is asked.
        if !more.contains(&"--resolver") {
            args.extend(["--resolver".into(), NOBODY.into()]);
        }
        args.extend(more.iter().map(|&word| word.to_owned()));
        self.geoip.run(args.iter().map(String::as_str))
    }

    fn by_parent(&self) -> Vec<String> {
        vec!["--parent".into(), self.parent.dns.to_string()]
    }
}

/// The findings of a level in the one section, as `check: says`.
fn told(printed: &Printed, level: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(&printed.stdout)
        .unwrap_or_else(|error| panic!("{error}: {printed:?}"));
    assert_eq!(report["ok"], printed.code == Some(0), "{printed:?}");
    let sections = report["sections"].as_array().expect("a list");
    assert_eq!(sections.len(), 1, "{printed:?}");
    assert_eq!(sections[0]["about"], ZONE);
    let findings = sections[0]["findings"].as_array().expect("a list");
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    findings
        .iter()
        .filter(|finding| finding["level"] == level)
        .inspect(|finding| {
            let todo = !text(finding, "do").is_empty();
            assert_eq!(todo, level != "ok", "what to do, if anything is: {finding}");
        })
        .map(|finding| format!("{}: {}", text(finding, "check"), text(finding, "says")))
        .collect()
}

/// The one thing that is wrong.
fn only_failure(rehearsal: &Rehearsal, printed: &Printed) -> String {
    assert_eq!(printed.code, Some(1), "{printed:?}");
    let failures = told(printed, "fail");
    assert_eq!(failures.len(), 1, "{failures:#?} {}", rehearsal.scratch.path().display());
    failures.into_iter().next().expect("one")
}

fn with_json(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).chain(["--json"]).collect()
}

#[test]
fn a_right_delegation_is_all_well_however_it_is_found() {
    let rehearsal = Rehearsal::of("right", PARENT, CHILD, CHILD);
    let parent = rehearsal.by_parent();
    let printed = rehearsal.run(&with_json(&parent));
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert_eq!(told(&printed, "warn"), [""; 0]);
    let checks: Vec<String> = told(&printed, "ok")
        .iter()
        .map(|line| line.split(':').next().unwrap_or_default().to_owned())
        .collect();
    let expected = [
        "delegation",
        "ns",
        "names",
        "glue",
        "answers",
        "authority",
        "tcp",
        "edns",
        "recursion",
        "serial",
        "dnssec",
        "spread",
    ];
    assert_eq!(checks, expected);
    let parent: Vec<&str> = parent.iter().map(String::as_str).collect();
    let text = rehearsal.run(&parent);
    assert!(text.stdout.ends_with("geo.test-net.io.: all is well\n"), "{}", text.stdout);

    // The same from the root down, and by a resolver that knows the parent.
    let root = serve(&rehearsal.scratch, "root", &[(".", ROOT)]);
    let detours = [
        ("192.0.2.1", rehearsal.parent.dns),
        ("192.0.2.53", rehearsal.first.dns),
        ("2001:db8::53", rehearsal.first.dns),
        ("198.51.100.53", rehearsal.second.dns),
    ];
    let printed = rehearsal.led(&detours, &["--json", "--root", &root.dns.to_string()]);
    assert_eq!(
        (printed.code, told(&printed, "ok").len()),
        (Some(0), expected.len()),
        "{printed:?}"
    );
    assert!(printed.stdout.contains("ns.test-net.io. (192.0.2.1)"), "{}", printed.stdout);

    let loopback = Ipv4Addr::LOCALHOST.into();
    let servers = [rehearsal.parent.dns];
    let unbound = Unbound::start(&rehearsal.scratch, "unbound", &servers, loopback, Tells::Nothing);
    let resolver = unbound.address().to_string();
    let printed = rehearsal.led(&detours, &["--json", "--resolver", &resolver]);
    assert_eq!(
        (printed.code, told(&printed, "ok").len()),
        (Some(0), expected.len()),
        "{printed:?}"
    );
}

#[test]
fn names_in_other_zones_are_found_from_the_root_down() {
    let elsewhere =
        |zone: &str, name: &str| zone.replace(&format!("NS    {name}"), "NS    ns.other.example.");
    let (parent, child) = (elsewhere(PARENT, "ns2.geo"), elsewhere(CHILD, "ns2"));
    let rehearsal = Rehearsal::of("elsewhere", &parent, &child, &child);
    let other =
        "$TTL 300\n@ SOA ns hostmaster 1 7200 900 1209600 60\n@ NS ns\nns A 198.51.100.53\n";
    let zones = [("geo.test-net.io", child.as_str()), ("other.example", other)];
    let second = serve(&rehearsal.scratch, "both", &zones);
    let root = serve(&rehearsal.scratch, "root", &[(".", ROOT)]);
    let detours = [
        ("192.0.2.1", rehearsal.parent.dns),
        ("192.0.2.53", rehearsal.first.dns),
        ("2001:db8::53", rehearsal.first.dns),
        ("198.51.100.53", second.dns),
    ];
    let printed = rehearsal.led(&detours, &["--json", "--root", &root.dns.to_string()]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let glue = "glue: right for ns1.geo.test-net.io.";
    assert!(told(&printed, "ok").iter().any(|line| line == glue), "{printed:?}");
    assert!(printed.stdout.contains("ns.other.example. at 198.51.100.53"), "{}", printed.stdout);

    // The parent alone does not know, and no resolver is there to ask.
    let parent = rehearsal.by_parent();
    let printed = rehearsal.led(&detours, &with_json(&parent));
    let failure = only_failure(&rehearsal, &printed);
    let expected = "names: the addresses of ns.other.example. cannot be found: ";
    assert!(failure.starts_with(expected), "{failure}");
}

#[test]
fn servers_that_only_refer_to_themselves_are_lame_and_asked_no_longer() {
    let rehearsal = Rehearsal::of("loop", PARENT, CHILD, CHILD);
    let dns = rehearsal.parent.dns;
    let detours = [("192.0.2.53", dns), ("2001:db8::53", dns), ("198.51.100.53", dns)];
    let parent = rehearsal.by_parent();
    let failures = told(&rehearsal.led(&detours, &with_json(&parent)), "fail");
    let lame = |failure: &&String| failure.ends_with("is lame: it answers without authority");
    assert_eq!(failures.iter().filter(lame).count(), 3, "{failures:#?}");
    let back = format!("referred to {ZONE} and back; the resolver {NOBODY}: ");
    assert_eq!(
        failures.iter().filter(|failure| failure.contains(&back)).count(),
        2,
        "{failures:#?}"
    );
}

#[test]
fn the_zones_and_addresses_of_a_configuration_are_checked() {
    let rehearsal = Rehearsal::of("config", PARENT, CHILD, CHILD);
    let own = rehearsal.first.dns.to_string();
    let config = rehearsal.scratch.join("first/dnsrouter.toml");
    let text = std::fs::read_to_string(&config).expect("it was written");
    let ours = rehearsal.scratch.write("ours.toml", text.replace("127.0.0.1:0", &own));
    let second = rehearsal.second.dns.to_string();
    let led = |from: &str, to: &str| format!("--connect-to={from}={to}");
    let printed = rehearsal.geoip.run([
        "doctor",
        "--json",
        "--config",
        &ours.to_string_lossy(),
        "--parent",
        &rehearsal.parent.dns.to_string(),
        &led("192.0.2.53", &own),
        &led("2001:db8::53", &own),
        &led("198.51.100.53", &second),
        "--timeout=10s",
        "--resolver",
        NOBODY,
    ]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let all = "answers: all 4 addresses answer over UDP".to_owned();
    assert!(told(&printed, "ok").contains(&all), "its own address too: {printed:?}");
}

#[test]
fn glue_that_is_missing_or_wrong_is_found() {
    let missing = PARENT.replace("ns2.geo A     198.51.100.53\n", "");
    let rehearsal = Rehearsal::of("glue", &missing, CHILD, CHILD);
    let parent = rehearsal.by_parent();
    let printed = rehearsal.run(&with_json(&parent));
    let told = only_failure(&rehearsal, &printed);
    let expected =
        "glue: the parent has no address of ns2.geo.test-net.io., which is inside the zone";
    assert_eq!(told, expected);

    // Wrong, and led to a server that is right: nothing but the glue is to blame.
    let wrong = PARENT.replace("198.51.100.53", "198.51.100.99");
    let parent = serve(&rehearsal.scratch, "wrong", &[("test-net.io", &wrong)]);
    let (first, second) = (rehearsal.first.dns, rehearsal.second.dns);
    let detours = [
        ("192.0.2.53", first),
        ("2001:db8::53", first),
        ("198.51.100.53", second),
        ("198.51.100.99", second),
    ];
    let printed = rehearsal.led(&detours, &["--json", "--parent", &parent.dns.to_string()]);
    assert_eq!(
        only_failure(&rehearsal, &printed),
        "glue: the parent says ns2.geo.test-net.io. is at 198.51.100.99, and its zone says \
         198.51.100.53"
    );
}

#[test]
fn a_lame_server_is_named() {
    let rehearsal = Rehearsal::of("lame", PARENT, CHILD, CHILD);
    let lame = serve(&rehearsal.scratch, "lame", &[("other.example", CHILD)]);
    let first = rehearsal.first.dns;
    let detours = [("192.0.2.53", first), ("2001:db8::53", first), ("198.51.100.53", lame.dns)];
    let parent = rehearsal.by_parent();
    let printed = rehearsal.led(&detours, &with_json(&parent));
    assert_eq!(
        only_failure(&rehearsal, &printed),
        "authority: ns2.geo.test-net.io. (198.51.100.53) is lame: it answers REFUSED"
    );
}

#[test]
fn servers_with_different_versions_are_told_apart() {
    let older = CHILD.replace("2026010107", "2026010106");
    let rehearsal = Rehearsal::of("serial", PARENT, CHILD, &older);
    let parent = rehearsal.by_parent();
    let printed = rehearsal.run(&with_json(&parent));
    assert_eq!(
        only_failure(&rehearsal, &printed),
        "serial: versions differ: 2026010106 at ns2.geo.test-net.io. (198.51.100.53); 2026010107 \
         at ns1.geo.test-net.io. (192.0.2.53), ns1.geo.test-net.io. (2001:db8::53)"
    );
}

#[test]
fn parent_and_zone_that_list_different_servers_are_told() {
    let more = CHILD.replace("     NS    ns2\n", "     NS    ns2\n     NS    ns3\n")
        + "ns3 A 203.0.113.53\n";
    let fewer = PARENT
        .replace("geo     NS    ns2.geo\n", "geo     NS    ns4.geo\n")
        .replace("ns2.geo A     198.51.100.53", "ns4.geo A     198.51.100.53");
    let rehearsal = Rehearsal::of("ns", &fewer, &more, &more);
    let (first, second) = (rehearsal.first.dns, rehearsal.second.dns);
    let detours = [
        ("192.0.2.53", first),
        ("2001:db8::53", first),
        ("198.51.100.53", second),
        ("203.0.113.53", second),
    ];
    let parent = rehearsal.by_parent();
    let printed = rehearsal.led(&detours, &with_json(&parent));
    assert_eq!(
        told(&printed, "fail"),
        [
            "ns: the parent delegates to ns4.geo.test-net.io., which the zone does not list",
            "ns: the zone lists ns2.geo.test-net.io., to which the parent does not delegate",
            "ns: the zone lists ns3.geo.test-net.io., to which the parent does not delegate",
            "names: ns4.geo.test-net.io. has no address",
        ]
    );
}

#[test]
fn a_ds_for_an_unsigned_zone_is_an_error() {
    let ds = format!("{PARENT}geo DS 12345 13 2 {}\n", "00".repeat(32));
    let rehearsal = Rehearsal::of("ds", &ds, CHILD, CHILD);
    let parent = rehearsal.by_parent();
    let printed = rehearsal.run(&with_json(&parent));
    assert_eq!(
        only_failure(&rehearsal, &printed),
        "dnssec: the parent has a DS (key 12345), and unsigned is ns1.geo.test-net.io. \
         (192.0.2.53), ns2.geo.test-net.io. (198.51.100.53), ns1.geo.test-net.io. (2001:db8::53)"
    );
}

#[test]
fn a_zone_that_nobody_delegates_is_told() {
    let (mine, _) = PARENT.split_once("geo     NS").expect("the delegation");
    let rehearsal = Rehearsal::of("undelegated", mine, CHILD, CHILD);
    let parent = rehearsal.by_parent();
    // The server that will serve it is right already.
    let own = rehearsal.first.dns.to_string();
    let more = [with_json(&parent).as_slice(), &["--server", &own]].concat();
    let failures = told(&rehearsal.run(&more), "fail");
    let parent = rehearsal.parent.dns;
    let expected = format!("delegation: {parent} knows no delegation of {ZONE}: NXDOMAIN");
    assert_eq!(failures, [expected]);
}

/// Passes queries over UDP to a server, and answers as `meddle` makes of the query and the reply;
/// over TCP nothing listens.
fn meddling(upstream: SocketAddr, meddle: fn(&[u8], Vec<u8>) -> Option<Vec<u8>>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("a bound socket has one");
    let beyond = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    beyond.connect(upstream).expect("a loopback address");
    beyond.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    // Ends with the process: it waits for a query that never comes.
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((size, from)) = socket.recv_from(&mut buffer) {
            let query = buffer[..size].to_vec();
            if beyond.send(&query).is_err() {
                continue;
            }
            let Ok(size) = beyond.recv(&mut buffer) else { continue };
            if let Some(reply) = meddle(&query, buffer[..size].to_vec()) {
                let _ = socket.send_to(&reply, from);
            }
        }
    });
    address
}

#[test]
fn a_server_without_tcp_is_named() {
    let rehearsal = Rehearsal::of("tcp", PARENT, CHILD, CHILD);
    let deaf = meddling(rehearsal.second.dns, |_, reply| Some(reply));
    let first = rehearsal.first.dns;
    let detours = [("192.0.2.53", first), ("2001:db8::53", first), ("198.51.100.53", deaf)];
    let parent = rehearsal.by_parent();
    let printed = rehearsal.led(&detours, &with_json(&parent));
    assert_eq!(
        only_failure(&rehearsal, &printed),
        "tcp: ns2.geo.test-net.io. (198.51.100.53) does not answer over TCP: connection refused: \
         nothing listens there"
    );
}

#[test]
fn servers_that_refuse_edns_or_offer_recursion_are_named() {
    let rehearsal = Rehearsal::of("edns", PARENT, CHILD, CHILD);
    let first = rehearsal.first.dns;
    // FORMERR for whatever has an additional record, as servers of the last century say it.
    let old = meddling(rehearsal.second.dns, |query, reply| {
        let formerr = || [&query[..2], &[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
        Some(if query[11] == 0 { reply } else { formerr() })
    });
    let parent = rehearsal.by_parent();
    let detours = [("192.0.2.53", first), ("2001:db8::53", first), ("198.51.100.53", old)];
    let failures = told(&rehearsal.led(&detours, &with_json(&parent)), "fail");
    let edns = "edns: ns2.geo.test-net.io. (198.51.100.53) answers queries without EDNS only; \
                with it: answers FORMERR";
    assert!(failures.iter().any(|failure| failure == edns), "{failures:#?}");

    // RA.
    let open = meddling(rehearsal.second.dns, |_, mut reply| {
        reply[3] |= 0x80;
        Some(reply)
    });
    let detours = [("192.0.2.53", first), ("2001:db8::53", first), ("198.51.100.53", open)];
    let warnings = told(&rehearsal.led(&detours, &with_json(&parent)), "warn");
    assert_eq!(warnings, ["recursion: ns2.geo.test-net.io. (198.51.100.53) offers recursion"]);
}

#[test]
fn a_dead_server_and_one_network_are_told() {
    let near = |zone: &str| {
        zone.replace("198.51.100.53", "192.0.2.54").replace("2001:db8::53", "2001:db8::1")
    };
    let without_v6 = |zone: String| {
        zone.lines()
            .filter(|line| !line.contains("AAAA"))
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    let (parent, child) = (without_v6(near(PARENT)), without_v6(near(CHILD)));
    let rehearsal = Rehearsal::of("dead", &parent, &child, &child);
    let closed = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let nobody = closed.local_addr().expect("a bound socket has one");
    drop(closed);
    let detours = [("192.0.2.53", rehearsal.first.dns), ("192.0.2.54", nobody)];
    let parent = rehearsal.by_parent();
    let printed = rehearsal.led(&detours, &with_json(&parent));
    assert_eq!(
        only_failure(&rehearsal, &printed),
        "answers: ns2.geo.test-net.io. (192.0.2.54): connection refused: nothing listens there"
    );
    assert_eq!(told(&printed, "warn"), ["spread: all servers are in one network: 192.0.2.0/24"]);
}
