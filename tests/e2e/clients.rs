//! Whose clients were answered how often: counted, shown, exported, kept over a restart, and not at the
//! cost of anything when the disk refuses.
#![expect(clippy::disallowed_methods, reason = "reads files")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tests::geoip::Printed;
use tests::query::Ask;
use tests::wait;
use tests::world::{NAME, Shape, World};

/// Counts show after five seconds; this is for a busy machine.
const SOON: Duration = Duration::from_secs(30);

fn world(name: &str, name_servers: usize, more: &'static str) -> World {
    World::start(name, Shape { name_servers, kept: true, more, ..Shape::default() })
}

const RECORD: &str = "\n[clients]\nrecord = true\nhalf_life = \"30d\"\n";

fn ok(printed: Printed) -> Printed {
    assert_eq!(printed.code, Some(0), "{printed:?}");
    printed
}

/// A /24 in Germany by the built-in database.
fn german(third: u8) -> IpNet {
    Ipv4Net::new_assert(Ipv4Addr::new(141, 2, third, 0), 24).into()
}

/// As many queries of each client as its number says, over UDP and TCP in turn.
fn ask(server: SocketAddr, clients: &[(IpNet, usize)]) {
    for (subnet, times) in clients {
        for turn in 0..*times {
            let ask = Ask::a(server, NAME).subnet(*subnet);
            let ask = if turn % 2 == 0 { ask } else { ask.tcp() };
            assert!(ask.expect().is_useful());
        }
    }
}

/// The counts of a prefix on all name servers together, as `geoip clients` shows them.
fn counted(world: &World, prefix: IpNet) -> u64 {
    let json = ok(world.geoip().run(["clients", "--json"])).json();
    let nodes = json.as_array().expect("a list").iter();
    let largest = nodes.flat_map(|node| node["largest"].as_array().expect("a list"));
    largest
        .filter(|counted| counted["prefix"] == prefix.to_string())
        .map(|counted| counted["count"].as_u64().expect("a number"))
        .sum()
}

#[test]
fn clients_are_counted_shown_exported_and_kept() {
    let mut world = world("clients", 2, RECORD);
    let v6 = IpNet::from(Ipv6Net::new_assert("2003:7::".parse().expect("an address"), 48));
    let [first, second] = world.dns()[..] else { panic!("two name servers") };
    ask(first, &[(german(7), 9), (german(8), 3), (v6, 2)]);
    ask(second, &[(german(7), 4)]);
    // Static names have no clients.
    assert!(Ask::a(first, "www.test-net.io").subnet(german(9)).expect().is_useful());
    wait::until("the queries to be counted", SOON, || counted(&world, german(7)) == 13);

    let text = ok(world.geoip().run(["clients"])).stdout;
    let line = |of: &[&str]| {
        let found = text.lines().any(|line| of.iter().all(|word| line.contains(word)));
        assert!(found, "{of:?}: {text}");
    };
    line(&["ns1", "IPv4", "2 of 500000", "12"]);
    line(&["ns1", "IPv6", "1 of 500000", "2"]);
    line(&["ns1", "141.2.7.0/24", " 9 ", "64.3 %", "DE", "50."]);
    line(&["ns2", "141.2.7.0/24", " 4 ", "100.0 %"]);
    let one = ok(world.geoip().run(["clients", "--top", "1"])).stdout;
    assert!(one.contains("141.2.7.0/24") && !one.contains("141.2.8.0/24"), "{one}");

    let file = world.scratch.join("clients.txt");
    let path = file.to_str().expect("a path");
    ok(world.geoip().run(["clients", "--export", path]));
    let expected = "141.2.7.0/24 13\n141.2.8.0/24 3\n2003:7::/48 2\n";
    let exported = std::fs::read_to_string(&file).expect("it was written");
    assert_eq!(exported.split_once('\n').expect("a header").1, expected);

    let metrics = world.name_servers[0].metrics();
    assert_eq!(metrics.labelled("dnsrouter_client_prefixes", &["family=\"ipv4\""]), 2.0);
    assert_eq!(metrics.sum("dnsrouter_client_answers_total"), 14.0);
    assert_eq!(metrics.sum("dnsrouter_client_answers_lost_total"), 0.0);

    let server = &mut world.name_servers[0];
    server.process().terminate(SOON);
    let kept = std::fs::read_to_string(world.scratch.join("ns1/state/clients.txt"));
    let kept = kept.expect("it was written at the end");
    assert_eq!(
        kept,
        "# answers of ns1 by client prefix, half forgotten in 30days\n\
         141.2.7.0/24 9\n141.2.8.0/24 3\n2003:7::/48 2\n"
    );
    world.name_servers[0].revive();
    assert_eq!(counted(&world, german(7)), 13, "from the first moment on");
    ask(world.dns()[0], &[(german(7), 1)]);
    wait::until("counting to go on", SOON, || counted(&world, german(7)) == 14);
}

#[test]
fn a_resolver_without_a_client_subnet_is_its_own_client() {
    let world = world("resolvers", 1, RECORD);
    let from = IpAddr::V4(Ipv4Addr::new(127, 0, 2, 1));
    for _ in 0..3 {
        assert!(Ask::a(world.dns()[0], NAME).from(from).expect().is_useful());
    }
    let prefix = IpNet::new(Ipv4Addr::new(127, 0, 2, 0).into(), 24).expect("a prefix");
    wait::until("the queries to be counted", SOON, || counted(&world, prefix) == 3);
}

#[test]
fn without_being_told_nobody_counts() {
    let world = world("nobody", 1, "");
    ask(world.dns()[0], &[(german(7), 1)]);
    let refused = world.geoip().run(["clients"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stdout.contains("[clients] record = true would"), "{refused:?}");
    assert!(!world.name_servers[0].metrics().has("dnsrouter_client_answers_total"));
    assert!(!world.scratch.join("ns1/state/clients.txt").exists());
}

#[test]
fn what_cannot_be_written_is_told_and_costs_no_answer() {
    let mut world = world("unwritable", 1, RECORD);
    // Something else has the name of the file.
    let in_the_way = world.scratch.join("ns1/state/clients.txt");
    std::fs::create_dir_all(in_the_way.join("x")).expect("the scratch folder can be written");
    ask(world.dns()[0], &[(german(7), 2)]);
    wait::until("the queries to be counted", SOON, || counted(&world, german(7)) == 2);
    let status = world.name_servers[0].process().terminate(SOON);
    assert!(status.success(), "it stops as ever: {status}");
    let log = world.name_servers[0].process().log();
    assert!(log.contains("the counts of clients were not written"), "{log}");
    assert!(!world.scratch.join("ns1/state/clients.txt.new").exists());
    assert!(world.scratch.join("ns1/state/state.json").exists(), "the rest was kept");
    // What is no file of counts is put aside.
    world.name_servers[0].revive();
    ask(world.dns()[0], &[(german(8), 1)]);
    wait::until("counting to begin", SOON, || counted(&world, german(8)) == 1);
    assert!(world.scratch.join("ns1/state/clients.txt.unreadable").exists());
}
