//! Input that is wrong: pointed at before a port is bound, never served, and never the end of what
//! was served before.
#![expect(clippy::disallowed_methods, reason = "waits, binds and writes files")]

use std::fs::Permissions;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::artifact;
use tests::authority::Authority;
use tests::canary::Canary;
use tests::figures;
use tests::mmdb::{Place, city};
use tests::name_server::{NameServer, NameServerPlan, Probe, ZONE};
use tests::query::Ask;
use tests::region::RegionPlan;
use tests::scrape::get;
use tests::scratch::Scratch;
use tests::wait;
use tests::world::{NAME, REGIONS, Shape, World, client};

const SOON: Duration = Duration::from_secs(20);

const EUROPE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 31));
const ASIA: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 32));

/// What sysexits.h calls a usage error, and our programs a wrong configuration.
const EXIT_CONFIG: i32 = 64;

/// A mistake, where it is, and what must be said of it.
struct Mistake {
    name: &'static str,
    /// In which file of the node.
    file: &'static str,
    /// What is there, and what is put in its place.
    replace: (&'static str, &'static str),
    /// What of the new text the caret is under.
    at: &'static str,
    says: &'static str,
}

const MISTAKES: [Mistake; 10] = [
    Mistake {
        name: "not TOML",
        file: "dnsrouter.toml",
        replace: ("[listen]", "[listen"),
        at: "\ndns",
        says: "",
    },
    Mistake {
        name: "an unknown key",
        file: "dnsrouter.toml",
        replace: ("[listen]", "[listen]\nudp = true"),
        at: "udp",
        says: "udp",
    },
    Mistake {
        name: "a region that nobody knows",
        file: "dnsrouter.toml",
        replace: ("region = \"europe-west3\"", "region = \"europe-west33\""),
        at: "\"europe-west33\"",
        says: "europe-west3",
    },
    Mistake {
        name: "an address that is none",
        file: "dnsrouter.toml",
        replace: ("\"203.0.113.2\"", "\"203.0.113.256\""),
        at: "\"203.0.113.256\"",
        says: "203.0.113.256",
    },
    Mistake {
        name: "a network with bits past its length",
        file: "dnsrouter.toml",
        replace: ("\"192.0.2.0/24\"", "\"192.0.2.1/24\""),
        at: "\"192.0.2.1/24\"",
        says: "192.0.2.1/24",
    },
    Mistake {
        name: "a network of proxies with bits past its length",
        file: "dnsrouter.toml",
        replace: ("[listen]", "[listen]\nproxy = [\"10.0.0.1/8\"]"),
        at: "\"10.0.0.1/8\"",
        says: "10.0.0.1/8",
    },
    Mistake {
        name: "a step that is none",
        file: "dnsrouter.toml",
        replace: ("\"nearest\"", "\"nearst\""),
        at: "\"nearst\"",
        says: "nearst",
    },
    Mistake {
        name: "a service outside every zone",
        file: "dnsrouter.toml",
        replace: ("name = \"geo.test-net.io\"", "name = \"geo.example.com\""),
        at: "\"geo.example.com\"",
        says: "zone",
    },
    Mistake {
        name: "a zone with a broken record",
        file: "test-net.io.zone",
        replace: ("203.0.113.80", "203.0.113.800"),
        at: "203.0.113.800",
        says: "",
    },
    Mistake {
        name: "a zone with a CNAME beside other data",
        file: "test-net.io.zone",
        replace: ("alias IN CNAME www", "www   IN CNAME alias"),
        at: "www   IN A ",
        says: "CNAME",
    },
];

#[test]
fn mistakes_are_pointed_at_before_a_port_is_bound() {
    let scratch = Scratch::new("mistakes");
    let authority = Authority::create(&scratch, "pki");
    let config = plan().write(&scratch, &authority);
    let good = run(NameServer::command(&config).arg("--check"));
    assert_eq!(good.status.code(), Some(0), "the starting point is good: {good:?}");
    for mistake in &MISTAKES {
        let file = config.with_file_name(mistake.file);
        let (from, to) = mistake.replace;
        let text = read(&file);
        let broken = text.replacen(from, to, 1);
        assert_ne!(text, broken, "{}: nothing to replace", mistake.name);
        write(&file, &broken);

        let place = position(&broken, broken.find(mistake.at).expect("it was put there"));
        points(mistake.name, &config, &format!("{}:{place}", file.display()), mistake.says);

        write(&file, &text);
    }
}

#[test]
fn a_database_that_cannot_be_read_is_pointed_at_before_a_port_is_bound() {
    let scratch = Scratch::new("databases");
    let authority = Authority::create(&scratch, "pki");
    let country = artifact::database("geo-whois-asn-country-ipv4.mmdb");
    let whole = std::fs::read(&country).expect("it is there");
    let contents: [(&str, &[u8]); 4] = [
        ("empty", b""),
        ("no-database", b"this is text"),
        ("half", &whole[..whole.len() / 2]),
        ("cut-at-its-end", &whole[..whole.len() - 100]),
    ];
    for (name, content) in contents {
        let file = scratch.write(&format!("{name}.mmdb"), content);
        let config = plan().database(file.clone()).write(&scratch, &authority);
        let text = read(&config);
        let place = position(&text, text.find(&format!("{file:?}")).expect("it is named there"));

        points(name, &config, &format!("{}:{place}", config.display()), "mmdb");
    }
    let config = plan().database(scratch.join("missing.mmdb")).write(&scratch, &authority);
    points("missing", &config, &config.display().to_string(), "missing.mmdb");
}

#[test]
fn geoping_points_at_mistakes_too() {
    let scratch = Scratch::new("geoping-mistakes");
    let authority = Authority::create(&scratch, "pki");
    drop(RegionPlan::new("us-central1").start(&scratch, &authority));
    let config = scratch.join("us-central1/geoping.toml");
    let text = read(&config);
    for (from, to, at) in [
        ("[listen]", "[listen]\nhttp = 80", "http"),
        ("region = \"us-central1\"", "region = \"us-centrall\"", "\"us-centrall\""),
    ] {
        let broken = text.replacen(from, to, 1);
        write(&config, &broken);
        let place = position(&broken, broken.find(at).expect("it was put there"));
        let mut command = artifact::ending_with_us(&artifact::program("geoping"));
        command.arg("--config").arg(&config);
        said(at, &run(&mut command), &format!("{}:{place}", config.display()), "");
    }
}

#[test]
fn on_reload_mistakes_are_refused_whole_and_the_old_serves_on() {
    let scratch = Scratch::new("reload");
    let authority = Authority::create(&scratch, "pki");
    let city = artifact::database("geo-whois-asn-country-ipv4.mmdb");
    let database = scratch.join("places.mmdb");
    std::fs::copy(city, &database).expect("the scratch folder can be written");
    let mut server = plan().database(database.clone()).start(&scratch, &authority);
    let folder = server.config().parent().expect("a file in a folder").to_path_buf();
    let ask = Ask::a(server.dns(), NAME).subnet("192.0.2.0/24".parse().expect("a network"));
    let before = ask.expect();
    let canary = Canary::start("dnsrouter", ask.clone());

    let mistakes = MISTAKES.iter().map(|mistake| {
        let file = folder.join(mistake.file);
        let (from, to) = mistake.replace;
        let broken = read(&file).replacen(from, to, 1).into_bytes();
        (mistake.name, file, broken)
    });
    let corrupt = std::fs::read(&database).expect("it is there")[..4096].to_vec();
    let databases = [
        ("a database cut short", database.clone(), corrupt),
        ("a database emptied", database.clone(), Vec::new()),
    ];
    for (name, file, broken) in mistakes.chain(databases) {
        let good = std::fs::read(&file).expect("it is there");
        let failures = failures(&server);

        std::fs::write(&file, &broken).expect("the scratch folder can be written");
        server.process().signal(Signal::HUP);

        wait::until(&format!("{name} to be counted"), SOON, || self::failures(&server) > failures);
        assert_eq!(ask.expect().bytes_but_id(), before.bytes_but_id(), "{name}: the old serves on");
        assert_eq!(get(server.admin(), "/readyz").0, 200, "{name}: and is ready");
        let file_name = file.file_name().expect("a file").to_string_lossy().into_owned();
        assert!(server.process().log().contains(&file_name), "{name}: the log names the file");
        write_bytes(&file, &good);
    }
    // A mistake is no dead end: what is right again is taken, and can be seen.
    let zone = folder.join("test-net.io.zone");
    write(&zone, &format!("{}new IN A 203.0.113.99\n", read(&zone)));
    server.process().signal(Signal::HUP);
    wait::until("the new record to be served", SOON, || {
        Ask::a(server.dns(), "new.test-net.io").expect().is_useful()
    });
    assert!(canary.stop() > 0, "not a query was lost");
}

#[test]
fn a_database_that_is_deleted_or_replaced_while_open_is_no_harm() {
    let scratch = Scratch::new("replaced");
    let authority = Authority::create(&scratch, "pki");
    let database = scratch.join("places.mmdb");
    let country = artifact::database("geo-whois-asn-country-ipv4.mmdb");
    std::fs::copy(&country, &database).expect("the scratch folder can be written");
    let mut server = plan().database(database.clone()).start(&scratch, &authority);
    let ask = Ask::a(server.dns(), NAME).subnet("194.25.0.0/24".parse().expect("a network"));
    let before = ask.expect();
    let canary = Canary::start("dnsrouter", ask.clone());
    // In place, as careless tools do: whoever had mapped the file would die of SIGBUS here.
    std::fs::File::create(&database).expect("the scratch folder can be written");
    assert_eq!(ask.expect().bytes_but_id(), before.bytes_but_id());
    std::fs::remove_file(&database).expect("the scratch folder can be written");
    let failures = failures(&server);
    server.process().signal(Signal::HUP);
    wait::until("the loss to be counted", SOON, || self::failures(&server) > failures);
    assert_eq!(ask.expect().bytes_but_id(), before.bytes_but_id());
    assert!(canary.stop() > 0, "not a query was lost");
}

#[test]
fn a_database_that_is_replaced_is_taken_by_a_reload() {
    let scratch = Scratch::new("another-database");
    let authority = Authority::create(&scratch, "pki");
    let place = |country: &str, continent: &str| {
        city(&[Place {
            network: "198.51.100.0/24".parse().expect("a network"),
            continent: continent.to_owned(),
            country: country.to_owned(),
            location: None,
        }])
    };
    let database = scratch.write("places.mmdb", place("DE", "EU"));
    let mut service = String::from(
        "\n[[service]]\nname = \"near.test-net.io\"\nttl = 1\nroute = [\"nearest\"]\n",
    );
    for (region, address) in [("europe-west3", EUROPE), ("asia-southeast1", ASIA)] {
        service +=
            &format!("[[service.endpoint]]\nregion = \"{region}\"\naddresses = [\"{address}\"]\n");
    }
    let mut server = plan().database(database.clone()).more(&service).start(&scratch, &authority);
    let subnet = "198.51.100.0/24".parse().expect("a network");
    let ask = Ask::a(server.dns(), "near.test-net.io").subnet(subnet);
    let addresses = |ask: &Ask| ask.expect().addresses();
    assert_eq!(addresses(&ask), [EUROPE]);
    let canary = Canary::start("dnsrouter", ask.clone());

    // As those who publish databases do it: another file takes the name.
    let next = scratch.write("next.mmdb", place("SG", "AS"));
    std::fs::rename(next, &database).expect("the scratch folder can be written");
    server.process().signal(Signal::HUP);

    wait::until("clients to be where the new file has them", SOON, || addresses(&ask) == [ASIA]);
    assert_eq!(failures(&server), 0.0);
    assert!(canary.stop() > 0, "not a query was lost");
}

#[test]
fn a_restart_without_any_peer_gives_the_last_good_answers_at_once() {
    let mut world = World::start("restart", Shape { name_servers: 1, ..Shape::default() });
    let state = world.scratch.join("state");
    // The same node, with a memory.
    let dns = world.dns()[0];
    let mut server = world.name_servers.remove(0);
    let toml = read(server.config());
    server.kill();
    write(server.config(), &format!("{toml}\n[state]\ndir = {state:?}\n"));
    server.revive();
    world.name_servers.push(server);
    world.settle();
    let ask = Ask::a(dns, NAME).from(client(0));
    assert_eq!(ask.expect().addresses(), [world.regions[0].address()]);

    // The nearest dies, and the node learns it; then everything else dies, and so does the node,
    // before it can learn that.
    world.regions[0].kill();
    let second = [world.regions[1].address()];
    wait::until("the nearest to leave", SOON, || ask.expect().addresses() == second);
    let good = ask.expect();
    wait::until("that to be on disk", SOON, || on_disk(&state).contains("\"down\""));
    world.name_servers[0].kill();
    world.regions.clear();

    let started = Instant::now();
    let server = &mut world.name_servers[0];
    server.revive();
    let first = ask.expect();

    figures::show(&format!("restarted and answered after {:.2?}", started.elapsed()));
    assert_eq!(first.bytes_but_id(), good.bytes_but_id(), "the first answer is the last good one");
    // What comes later is the fail-open answer, and never an empty one.
    let canary = Canary::start("dnsrouter", ask);
    wait::until("all to be found dead", Probe::QUICK.until_gone() + SOON, || {
        server.metrics().sum("dnsrouter_services_fail_open") > 0.0
    });
    assert!(canary.stop() > 0);
}

#[test]
fn the_mend_of_a_rejected_reload_is_seen_wherever_it_is() {
    let scratch = Scratch::new("mend");
    let authority = Authority::create(&scratch, "pki");
    let server = plan().start(&scratch, &authority);
    let toml = read(server.config());
    let zone = server.config().with_file_name("later.zone");
    write(&zone, "not a zone");
    let rejected = failures(&server);
    write(server.config(), &format!("{toml}\n[[zone]]\nname = \"later.test\"\nfile = {zone:?}\n"));
    wait::until("the broken zone to be counted", SOON, || failures(&server) > rejected);

    // Only the file that was never read well before changes now.
    write(&zone, "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.53\n");

    let ask = Ask::a(server.dns(), "ns.later.test");
    wait::until("the mended zone to be served", SOON, || !ask.expect().addresses().is_empty());
    wait::until("the alarm to end", SOON, || server.metrics().sum("dnsrouter_alarms") == 0.0);
}

#[test]
fn a_change_that_needs_a_restart_is_refused_by_name() {
    let scratch = Scratch::new("fixed");
    let authority = Authority::create(&scratch, "pki");
    let mut server = plan().start(&scratch, &authority);
    let toml = read(server.config());
    for (section, from, to) in [
        ("[node]", "name = \"ns1\"", "name = \"ns2\""),
        ("[listen]", "[listen]", "[listen]\nproxy = [\"10.0.0.0/8\"]"),
        ("[clients]", "[listen]", "[clients]\nrecord = true\n[listen]"),
    ] {
        let rejected = failures(&server);
        write(server.config(), &toml.replace(from, to));
        wait::until("the change to be counted", SOON, || failures(&server) > rejected);
        let log = server.process().log();
        let says = format!("{section} changed; it is set up at start");
        assert!(log.contains(&says), "{log}");
    }
    assert!(server.metrics().sum("dnsrouter_alarms") > 0.0);
    write(server.config(), &toml);
    wait::until("the alarm to end", SOON, || server.metrics().sum("dnsrouter_alarms") == 0.0);
}

/// A name server with one service, whose regions need no GeoPing, and one explicit network.
fn plan() -> NameServerPlan {
    let endpoints = REGIONS.iter().enumerate().map(|(i, region)| tests::name_server::Endpoint {
        region: (*region).to_owned(),
        addresses: vec![Ipv4Addr::new(203, 0, 113, i as u8 + 1).into()],
        ping: None,
    });
    NameServerPlan::new("ns1").zone(ZONE).network("192.0.2.0/24", REGIONS[2]).service(
        tests::name_server::Service {
            name: NAME.to_owned(),
            ttl: 60,
            route: "[\"healthy\", \"nearest\"]".to_owned(),
            endpoints: endpoints.collect(),
        },
    )
}

#[test]
fn a_key_that_everybody_may_read_is_told_of_by_check_and_by_the_log() {
    let (scratch, plan) = (Scratch::new("config-open-key"), NameServerPlan::new("ns1"));
    let authority = Authority::create(&scratch, "pki");
    let key = authority.name_server("us-central1", "ns1").key;
    std::fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("it is ours");
    let config = plan.write(&scratch, &authority);
    let told =
        format!("{}: everybody on this machine can read or write the private key", key.display());
    let checked = run(NameServer::command(&config).arg("--check"));
    let out = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success() && out.contains(&told), "{checked:?}");
    let mut server = plan.start(&scratch, &authority);
    assert_eq!(server.process().log().matches(&told).count(), 1, "{}", server.process().log());
}

/// The program ends with 64 and points at `place`, with and without `--check`, although somebody
/// else holds its ports: it had not tried to bind them.
fn points(name: &str, config: &Path, place: &str, says: &str) {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let address = tcp.local_addr().expect("it is bound");
    let _udp = UdpSocket::bind(address);
    let listen = format!("listen.dns=[\"{address}\"]");
    for check in [&["--check"][..], &[]] {
        let output = run(NameServer::command(config).args(["--set", &listen]).args(check));
        said(name, &output, place, says);
    }
}

fn said(name: &str, output: &Output, place: &str, says: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(EXIT_CONFIG), "{name}: {stderr}");
    assert!(stderr.contains(place), "{name}: it is at {place}: {stderr}");
    assert!(stderr.lines().any(|line| line.contains(['^', '┬', '▲'])), "{name}: a caret: {stderr}");
    assert!(stderr.contains(says), "{name}: it says {says:?}: {stderr}");
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// `line:column` of a place in a text, both from 1.
fn position(text: &str, offset: usize) -> String {
    let before = &text[..offset];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("{line}:{column}")
}

fn failures(server: &NameServer) -> f64 {
    server.metrics().labelled("dnsrouter_config_reloads_total", &["result=\"rejected\""])
}

/// The kept state; what is still being written beside it is not kept yet.
fn on_disk(state: &Path) -> String {
    std::fs::read_to_string(state.join("state.json")).unwrap_or_default()
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn write(file: &Path, text: &str) {
    write_bytes(file, text.as_bytes());
}

fn write_bytes(file: &Path, bytes: &[u8]) {
    std::fs::write(file, bytes).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
