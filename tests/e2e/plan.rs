//! A plan against what then really happens: clients asked one by one before, and after a region has
//! died or another configuration is served.
#![expect(clippy::disallowed_methods, reason = "reads the configurations that it changes")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;
use tests::geoip::{Geoip, Printed};
use tests::name_server::NameServer;
use tests::query::Ask;
use tests::region::Region;
use tests::stranger::Stranger;
use tests::wait;
use tests::world::{NAME, REGIONS, Shape, World};

/// For a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// Of [`REGIONS`]: the one that goes.
const HERE: usize = 1;

/// A service of its own kind beside the world's; nobody pings it.
const STICKY: &str = r#"
[[service]]
name = "sticky.test-net.io"
ttl = 1
route = ["healthy", "sticky"]
[[service.endpoint]]
region = "us-central1"
addresses = ["203.0.113.1"]
[[service.endpoint]]
region = "europe-west3"
addresses = ["203.0.113.2"]
[[service.endpoint]]
region = "asia-southeast1"
addresses = ["203.0.113.3"]
"#;

fn world(name: &str) -> World {
    World::start(name, Shape { name_servers: 1, kept: true, more: STICKY, ..Shape::default() })
}

/// Networks all over the world, with a weight each.
fn clients() -> Vec<(IpNet, u64)> {
    let first =
        (3_u64..220).filter(|first| !matches!(first, 10 | 100 | 127 | 169 | 172 | 192 | 198 | 203));
    let network =
        |first: u64| format!("{first}.77.{}.0/24", first * 7 % 256).parse().expect("a network");
    first.map(|first| (network(first), 1 + first * first % 50)).collect()
}

fn recorded(world: &World) -> String {
    let lines = clients().into_iter().map(|(network, count)| format!("{network} {count}\n"));
    let file = world.scratch.write("clients.txt", format!("# seen\n{}", lines.collect::<String>()));
    file.display().to_string()
}

/// The share of clients that is answered with each address, by asking for each.
fn answered(world: &World, name: &str) -> BTreeMap<IpAddr, f64> {
    let all = clients();
    let total: u64 = all.iter().map(|(_, count)| count).sum();
    let mut shares = BTreeMap::new();
    for (network, count) in all {
        let reply = Ask::a(world.dns()[0], name).subnet(network).expect();
        *shares.entry(reply.addresses()[0]).or_default() += count as f64 / total as f64;
    }
    shares
}

/// What a plan says of a service, by the address of each region.
fn planned(plan: &Value, name: &str, side: &str, addresses: &[IpAddr]) -> BTreeMap<IpAddr, f64> {
    let services = plan["services"].as_array().expect("services");
    let service = services.iter().find(|service| service["name"] == format!("{name}.").as_str());
    let shares = service.expect("the service")["shares"].as_array().expect("shares");
    let share = |(region, address): (&&str, &IpAddr)| {
        let found = shares.iter().find(|share| share["region"] == **region)?;
        Some((*address, found[side].as_f64().filter(|share| *share > 0.0)?))
    };
    REGIONS.iter().zip(addresses).filter_map(share).collect()
}

fn assert_same(one: &BTreeMap<IpAddr, f64>, other: &BTreeMap<IpAddr, f64>) {
    let same = one.len() == other.len()
        && one.iter().zip(other).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-9);
    assert!(same, "{one:?}\n{other:?}");
}

fn run(geoip: &Geoip, args: &[&str]) -> Printed {
    geoip.run(["plan"].iter().chain(args).copied())
}

#[test]
fn a_region_that_dies_leaves_clients_where_the_plan_said() {
    let mut world = world("plan-death");
    let (geoip, file) = (world.geoip(), recorded(&world));
    let addresses: Vec<IpAddr> = world.regions.iter().map(Region::address).collect();
    let args = ["--without", REGIONS[HERE], "--clients", &file, "--json"];
    let printed = run(&geoip, &args);
    let plan = printed.json();
    assert_eq!(plan["population"]["prefixes"], clients().len());
    let before = answered(&world, NAME);
    assert_same(&planned(&plan, NAME, "before", &addresses), &before);
    assert!(before[&addresses[HERE]] > 0.05, "{before:?}");
    let after = planned(&plan, NAME, "after", &addresses);
    assert!(!after.contains_key(&addresses[HERE]) && after.len() == 2, "{after:?}");
    let moved = plan["services"][0]["moved"].as_f64().expect("a share");
    assert!((moved - before[&addresses[HERE]]).abs() < 1e-9, "who was there, and nobody else");
    // What nobody pings cannot be measured as down, but forced.
    let sticky: Vec<IpAddr> = (1..=3).map(|at| IpAddr::from([203, 0, 113, at])).collect();
    assert_same(
        &planned(&plan, "sticky.test-net.io", "before", &sticky),
        &answered(&world, "sticky.test-net.io"),
    );

    assert_eq!(answered(&world, NAME), before, "nothing was applied");
    assert_eq!(run(&geoip, &args).stdout, printed.stdout, "the same question, the same octets");

    world.regions[HERE].kill();
    wait::until("the dead region to be found down", SOON, || {
        world.name_servers[0].metrics().sum("dnsrouter_target_up") as usize == 2
    });
    wait::until("clients to be where the plan said", SOON, || answered(&world, NAME).len() == 2);
    assert_same(&after, &answered(&world, NAME));
    let forced = geoip.run(["force", "down", REGIONS[HERE]]);
    assert_eq!(forced.code, Some(0), "{forced:?}");
    let expected = planned(&plan, "sticky.test-net.io", "after", &sticky);
    assert_same(&expected, &answered(&world, "sticky.test-net.io"));

    let text = run(&geoip, &["--without", REGIONS[0], "--clients", &file]).stdout;
    let lines = ["REGION", "of clients move", "mean distance", "COUNTRY", "no name becomes empty"];
    assert!(lines.iter().all(|line| text.contains(line)), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let world_wide = run(&geoip, &["--without", REGIONS[0]]);
    assert!(
        world_wide.code == Some(0) && world_wide.stdout.contains("the routed world"),
        "{world_wide:?}"
    );
}

#[test]
fn another_configuration_answers_as_the_plan_said_once_it_is_served() {
    let world = world("plan-config");
    let (geoip, file) = (world.geoip(), recorded(&world));
    let server = &world.name_servers[0];
    let addresses: Vec<IpAddr> = world.regions.iter().map(Region::address).collect();
    let present = std::fs::read_to_string(server.config()).expect("its configuration");
    let bias = "[\"healthy\", { nearest = { bias = { \"asia-southeast1\" = 50 } } }]";
    let other = present.replacen("[\"healthy\", \"nearest\"]", bias, 1);
    let added = "\n[[service]]\nname = \"new.test-net.io\"\nttl = 1\nroute = [\"healthy\"]\n\
                 [[service.endpoint]]\nregion = \"us-central1\"\naddresses = [\"203.0.113.9\"]\n";
    assert_ne!(present, other);
    let at = |text: &str| -> String {
        let file: PathBuf = world.scratch.write("draft/new.toml", text);
        file.display().to_string()
    };
    let next = at(&format!("{other}{added}"));
    let plan = run(&geoip, &["--config", &next, "--clients", &file, "--json"]).json();
    let words =
        |at: usize| (plan["services"][at]["name"].clone(), plan["services"][at]["change"].clone());
    assert_eq!(words(0), (format!("{NAME}.").into(), "changed".into()));
    assert_eq!(words(1), ("sticky.test-net.io.".into(), "same".into()));
    assert_eq!(words(2), ("new.test-net.io.".into(), "added".into()));
    assert_eq!(plan["services"][1]["moved"], 0.0);
    assert!(plan["services"][0]["moved"].as_f64().is_some_and(|moved| moved > 0.01), "{plan}");
    let before = answered(&world, NAME);
    assert_same(&planned(&plan, NAME, "before", &addresses), &before);

    // The same that the server itself would say of it.
    let broken = at(&present.replace("\"nearest\"]", "\"nearesd\"]"));
    let refused = run(&geoip, &["--config", &broken]);
    let checked = NameServer::command(broken.as_ref()).arg("--check").output().expect("it runs");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_eq!(refused.stderr, String::from_utf8_lossy(&checked.stderr));
    assert!(refused.stderr.contains("new.toml:"), "{refused:?}");
    // Its zones are those beside it.
    let zone = world.scratch.write("draft/zone", "@ NONSENSE\n");
    let outside = present.replace("ns1/test-net.io.zone", "draft/zone");
    let refused = run(&geoip, &["--config", &at(&outside)]);
    assert!(refused.stderr.contains("draft/zone:1:"), "{refused:?}");
    std::fs::remove_file(&zone).expect("it is there");
    let refused = run(&geoip, &["--config", &at(&outside)]);
    assert!(refused.stderr.contains("it was not sent along"), "{refused:?}");
    let database = present.replace("database = []", "database = [\"/etc/passwd\"]");
    let refused = run(&geoip, &["--config", &at(&database)]);
    assert!(
        refused.stderr.contains("only files below the served configuration's folder"),
        "{refused:?}"
    );

    std::fs::write(server.config(), std::fs::read(at(&other)).expect("it"))
        .expect("it can be written");
    wait::until("the configuration to be served", SOON, || answered(&world, NAME) != before);
    assert_same(&planned(&plan, NAME, "after", &addresses), &answered(&world, NAME));
}

#[test]
fn a_second_plan_is_refused_until_the_first_is_done() {
    let world = world("plan-turns");
    let (geoip, file) = (world.geoip(), recorded(&world));
    let ask = || run(&geoip, &["--without", REGIONS[HERE], "--clients", &file]);
    let stranger = Stranger::new(Some(&world.authority.user("impatient")));
    let first = stranger.begin_plan(world.name_servers[0].control());
    // Until that has come, there is no other.
    let mut refused = ask();
    wait::until("the first to be there", SOON, || {
        refused = if refused.code == Some(0) { ask() } else { refused.clone() };
        refused.code != Some(0)
    });
    let words = "another plan is being computed here; ask again later";
    assert!(refused.code == Some(1) && refused.stderr.contains(words), "{refused:?}");
    // Others may be asked in the meantime.
    assert_eq!(answered(&world, NAME).len(), 3);
    drop(first);
    wait::until("the first to be gone", SOON, || ask().code == Some(0));
}

#[test]
fn what_cannot_be_planned_is_refused_with_the_reason() {
    let world = world("plan-refused");
    let geoip = world.geoip();
    let here = REGIONS[HERE];
    for (args, code, words) in [
        (vec!["--without", "mars-north1"], 1, "no service is in region \"mars-north1\"; there are"),
        (vec!["--without", here, "--service", "www.test-net.io"], 1, "is no service"),
        (vec![], 2, "--without"),
        (vec!["--without", here, "--clients", "nowhere.txt"], 1, "nowhere.txt"),
        (vec!["--config", "nowhere.toml"], 1, "nowhere.toml"),
    ] {
        let refused = run(&geoip, &args);
        assert_eq!(refused.code, Some(code), "{args:?}: {refused:?}");
        assert!(refused.stderr.contains(words), "{args:?}: {refused:?}");
    }
    let bad = world.scratch.write("bad.txt", "192.0.2.0/24 1\nhere 1\n").display().to_string();
    let refused = run(&geoip, &["--without", here, "--clients", &bad]);
    assert!(refused.stderr.contains("bad.txt:2: \"here\" is no prefix"), "{refused:?}");

    // It costs a name server a minute at most, but not for everybody.
    let papers = world.authority.name_server(REGIONS[0], "ns9");
    let controls = [world.name_servers[0].control()];
    let node = Geoip::new(&world.scratch, "node", &world.authority, Some(&papers));
    let refused = run(&node.asking(&controls, &[]), &["--without", here]);
    assert!(refused.code == Some(1) && refused.stderr.contains("may not call"), "{refused:?}");
}
