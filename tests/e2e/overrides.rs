//! What people say against what is measured: drains, forces, who may, what outlives kill -9, and how it
//! was before.
#![expect(clippy::disallowed_methods, reason = "looks at the clock")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use ipnet::{IpNet, Ipv4Net};
use tests::canary::Canary;
use tests::geoip::{Geoip, Printed};
use tests::query::{Ask, Reply};
use tests::wait;
use tests::world::{NAME, REGIONS, Shape, World, client};

/// A change of overrides shows at once; this is for a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// Of [`REGIONS`]: the one that is drained and forced, in America, where many networks are.
const HERE: usize = 0;

/// Its next nearest for [`client`]s of it.
const THERE: usize = 1;

fn world(name: &str, name_servers: usize) -> World {
    World::start(name, Shape { name_servers, kept: true, ..Shape::default() })
}

fn address(world: &World, region: usize) -> IpAddr {
    world.regions[region].address()
}

/// Where the first name server sends a client that stands at `place`.
fn sent(world: &World, place: usize) -> IpAddr {
    let reply = Ask::a(world.dns()[0], NAME).from(client(place)).expect();
    assert!(reply.is_useful(), "{reply}");
    reply.addresses()[0]
}

fn ok(printed: Printed) -> Printed {
    assert_eq!(printed.code, Some(0), "{printed:?}");
    printed
}

/// Clients in America, one for each scope, by the scope.
fn crowd(server: SocketAddr, here: IpAddr) -> BTreeMap<IpNet, Ask> {
    let mut crowd = BTreeMap::new();
    for a in 3..220_u8 {
        for b in [0, 64, 128, 192] {
            let subnet = IpNet::V4(Ipv4Net::new(Ipv4Addr::new(a, b, 0, 0), 24).expect("a prefix"));
            let ask = Ask::a(server, NAME).subnet(subnet);
            let reply = ask.expect();
            if reply.addresses() == [here] {
                crowd.insert(scope(&reply), ask);
            }
        }
    }
    assert!(crowd.len() >= 100, "only {} scopes", crowd.len());
    crowd
}

fn scope(reply: &Reply) -> IpNet {
    let (source, length) = reply.subnet().expect("a subnet in the answer");
    IpNet::new(source.addr(), length).expect("a scope").trunc()
}

#[test]
fn a_drain_moves_clients_evenly_and_none_of_them_back() {
    let world = world("drain", 1);
    let (here, geoip) = (address(&world, HERE), world.geoip());
    let server = &world.name_servers[0];
    let crowd = crowd(server.dns(), here);
    let canary = Canary::start("of the drain", Ask::a(server.dns(), NAME).from(client(HERE)));
    let gone = || server.metrics().sum("dnsrouter_drain_gone_ratio");

    ok(geoip.run(["drain", REGIONS[HERE], "--over", "15s", "--why", "new disks"]));

    let mut moved = BTreeMap::new();
    let mut halfway = 0;
    loop {
        let before = gone();
        for (scope_of, ask) in &crowd {
            let reply = ask.expect();
            assert!(reply.is_useful(), "{reply}");
            let scope = scope(&reply);
            assert_eq!(scope, *scope_of, "a drain changes no scope");
            let elsewhere = !reply.addresses().contains(&here);
            let was = moved.insert(*scope_of, elsewhere);
            assert!(elsewhere || was != Some(true), "{scope} went, and came back");
            // All of a scope go together.
            let last = IpNet::new(scope.broadcast(), 32).expect("an address");
            let other = Ask::a(server.dns(), NAME).subnet(last).expect();
            let there = !other.addresses().contains(&here);
            assert!(there || !elsewhere, "{scope}: one end went, the other not");
        }
        let after = gone();
        let share = moved.values().filter(|moved| **moved).count() as f64 / crowd.len() as f64;
        // Which scopes go when is a hash, the same in each run; a hundred of them are near the
        // mean. And a figure is told a moment before it is in the answers.
        assert!(
            (before - 0.15..=after + 0.15).contains(&share),
            "{share} of {} went, of {before} to {after}",
            crowd.len()
        );
        halfway += usize::from(share > 0.1 && share < 0.9);
        if before >= 1.0 {
            break;
        }
    }
    assert!(halfway > 0, "it was seen on its way");
    wait::until("all to have gone", SOON, || {
        crowd.values().all(|ask| !ask.expect().addresses().contains(&here))
    });
    let status = geoip.run(["status"]);
    assert!(
        status.stdout.contains("all gone") && status.stdout.contains("new disks"),
        "{status:?}"
    );

    ok(geoip.run(["undrain", REGIONS[HERE]]));
    let back = crowd.values().all(|ask| ask.expect().addresses() == [here]);
    assert!(back, "what is acknowledged is in the answers");
    assert!(canary.stop() > 0);
}

#[test]
fn an_announced_drain_begins_at_its_time_and_ends_by_itself() {
    let shape = Shape { name_servers: 1, kept: true, ttl: 60, ..Shape::default() };
    let world = World::start("announced", shape);
    let (here, geoip) = (address(&world, HERE), world.geoip());
    let ttl = || {
        let reply = Ask::a(world.dns()[0], NAME).from(client(HERE)).expect();
        reply.message.answers[0].ttl
    };
    assert_eq!(ttl(), 60);
    let begins = unix().as_secs() + 4;
    let args = ["drain", REGIONS[HERE], "--at", &time(begins), "--for", "3s"];
    let printed = ok(geoip.run(args));
    assert!(printed.stdout.contains("begins in"), "{printed:?}");
    assert!(ttl() < 60, "an answer of now would be kept into the drain");
    let mut early = 0;
    wait::until("the drain to begin", SOON, || {
        let sent = sent(&world, HERE);
        early += usize::from(sent == here);
        sent != here
    });
    assert!(early > 0 && unix() >= Duration::from_secs(begins), "it began before {begins}");
    wait::until("it to end", SOON, || sent(&world, HERE) == here);
    assert!(unix() >= Duration::from_secs(begins + 3), "it lasts from its beginning");
    assert_eq!(ttl(), 60);
}

#[test]
fn a_force_counts_more_than_what_is_measured_and_ends() {
    let mut world = world("force", 1);
    let (here, there) = (address(&world, HERE), address(&world, THERE));
    let geoip = world.geoip();

    ok(geoip.run(["force", "down", REGIONS[HERE], "--for", "3s", "--why", "bad release"]));
    assert_ne!(sent(&world, HERE), here);
    wait::until("the force to end", SOON, || sent(&world, HERE) == here);
    wait::until("it to be taken out", SOON, || geoip.run(["overrides"]).stdout == "no overrides\n");

    world.regions[HERE].kill();
    wait::until("the dead region to be found down", SOON, || sent(&world, HERE) != here);
    let endpoint = format!("{NAME}/{}/{here}", REGIONS[HERE]);
    ok(geoip.run(["force", "up", &endpoint]));
    assert_eq!(sent(&world, HERE), here, "it is answered although it is dead");
    // The narrower counts.
    ok(geoip.run(["force", "down", REGIONS[HERE]]));
    assert_eq!(sent(&world, HERE), here);
    ok(geoip.run(["unforce", &endpoint]));
    assert_ne!(sent(&world, HERE), here);
    assert_eq!(sent(&world, THERE), there, "others are not touched");
    let printed = geoip.run(["unforce", &endpoint]);
    assert!(printed.code == Some(1) && printed.stdout.contains("there is no force"), "{printed:?}");
}

#[test]
fn what_is_acknowledged_survives_kill_9_on_every_node() {
    let mut world = world("survives", 2);
    let (here, geoip) = (address(&world, HERE), world.geoip());
    ok(geoip.run(["drain", REGIONS[HERE]]));
    ok(geoip.run(["force", "up", NAME, "--for", "1h", "--why", "to be lifted"]));
    assert_eq!(sent(&world, HERE), here, "a service before a region");
    for server in &mut world.name_servers {
        server.kill();
        server.revive();
    }
    let geoip = world.geoip();
    let listed = ok(geoip.run(["overrides"])).stdout;
    for server in ["ns1", "ns2"] {
        let of = |word: &str| listed.lines().any(|l| l.starts_with(server) && l.contains(word));
        assert!(of("drain") && of("to be lifted") && of("ada"), "{listed}");
    }
    // Before anything was measured again.
    assert_eq!(sent(&world, HERE), here);
    ok(geoip.run(["unforce", NAME]));
    assert_ne!(sent(&world, HERE), here);
}

#[test]
fn the_last_one_is_drained_only_on_demand_and_still_answers() {
    let world = world("last", 1);
    let (geoip, server) = (world.geoip(), &world.name_servers[0]);
    ok(geoip.run(["drain", REGIONS[1]]));
    ok(geoip.run(["force", "down", REGIONS[2]]));
    let refused = geoip.run(["drain", REGIONS[HERE]]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for words in
        ["europe-west3 drained", "asia-southeast1 forced down", "--yes", "nothing was changed"]
    {
        assert!(refused.stdout.contains(words), "{words}: {refused:?}");
    }
    assert_eq!(sent(&world, THERE), address(&world, HERE));
    let done = ok(geoip.run(["drain", REGIONS[HERE], "--yes"]));
    assert!(done.stdout.contains("fails open"), "{done:?}");
    for place in 0..2 {
        assert_eq!(sent(&world, place), address(&world, place), "what is drained counts again");
    }
    assert_ne!(sent(&world, 2), address(&world, 2), "what is forced down does not");
    wait::until("the alarm", SOON, || server.metrics().sum("dnsrouter_services_fail_open") > 0.0);
}

#[test]
fn only_people_may_and_of_them_those_that_are_named() {
    let mut world = World::start(
        "operators",
        Shape {
            name_servers: 1,
            kept: true,
            more: "\n[control]\noperators = [\"user/ada\"]\n",
            ..Shape::default()
        },
    );
    let here = address(&world, HERE);
    let controls = [world.name_servers[0].control()];
    let as_whom = |name: &str, papers| {
        Geoip::new(&world.scratch, name, &world.authority, Some(&papers)).asking(&controls, &[])
    };
    let ben = as_whom("ben", world.authority.user("ben"));
    let node = as_whom("node", world.authority.name_server(REGIONS[1], "ns9"));
    for (who, name) in [(&ben, "user/ben"), (&node, "dnsrouter/ns9")] {
        for order in [["drain", REGIONS[HERE]].as_slice(), &["force", "down", REGIONS[HERE]]] {
            let refused = who.run(order.iter().copied());
            assert_eq!(refused.code, Some(1), "{refused:?}");
            let told = refused.stdout.contains(name) && refused.stdout.contains("may not call");
            assert!(told, "{refused:?}");
        }
        assert_eq!(ok(who.run(["overrides"])).stdout, "no overrides\n", "they may look");
    }
    assert_eq!(sent(&world, HERE), here);
    let ada = world.geoip();
    ok(ada.run(["drain", REGIONS[HERE]]));
    let refused = ben.run(["undrain", REGIONS[HERE]]);
    assert!(refused.code == Some(1) && sent(&world, HERE) != here, "{refused:?}");
    // Whoever is named now, without a restart.
    let config = world.name_servers[0].config().to_owned();
    let text = std::fs::read_to_string(&config).expect("its configuration");
    std::fs::write(&config, text.replace("user/ada", "user/ben")).expect("it can be written");
    wait::until("ben to be let in", SOON, || ben.run(["undrain", REGIONS[HERE]]).code == Some(0));
    assert_eq!(ada.run(["drain", REGIONS[HERE]]).code, Some(1));
    let log = world.name_servers[0].process().log();
    assert!(log.contains("spiffe://test-net.io/user/ada"), "who said it is in the log: {log}");
}

#[test]
fn explain_tells_how_it_was_before_and_during_a_drain() {
    let mut world = world("history", 1);
    let (here, geoip) = (address(&world, HERE).to_string(), world.geoip());
    let asked = client(HERE).to_string();
    let before = next_second();
    ok(geoip.run(["drain", REGIONS[HERE]]));
    let during = next_second();
    ok(geoip.run(["undrain", REGIONS[HERE]]));
    // Then the service is another altogether, on a node that was killed in between.
    world.name_servers[0].kill();
    let config = world.name_servers[0].config().to_owned();
    let text = std::fs::read_to_string(&config).expect("its configuration");
    let other = text.replace(&format!("addresses = [\"{here}\"]"), "addresses = [\"127.0.9.9\"]");
    assert_ne!(text, other);
    std::fs::write(&config, other).expect("it can be written");
    world.name_servers[0].revive();
    let geoip = world.geoip();
    let explain = |at: &str| {
        let args = ["explain", "--json", "--client", &asked, NAME, "--type", "A", "--at", at];
        let json = serde_json::from_str(&ok(geoip.run(args)).stdout);
        let json: serde_json::Value = json.expect("JSON");
        (json["decisions"][0]["addresses"][0].clone(), json)
    };
    let (answer, json) = explain(&before);
    assert_eq!(answer, here.as_str(), "{json}");
    assert!(json["notes"].to_string().contains("of then, not of now"), "{json}");
    let (answer, json) = explain(&during);
    assert_ne!(answer, here.as_str(), "{json}");
    assert!(json.to_string().contains("drain"), "it says why: {json}");
    for at in ["2001-01-01T00:00Z", "2999-01-01T00:00Z"] {
        let refused = geoip.run(["explain", "--client", &asked, NAME, "--at", at]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let told = refused.stderr.contains("outside the history, which reaches from")
            || refused.stderr.contains("still to come");
        assert!(told, "{refused:?}");
    }
}

/// The next whole second, when it has come and gone: times on the command line are whole seconds.
fn next_second() -> String {
    let next = unix().as_secs() + 1;
    wait::until("a second to pass", SOON, || unix().as_millis() > u128::from(next) * 1000 + 50);
    time(next)
}

fn unix() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970")
}

/// In UTC, as the command line reads it.
fn time(seconds: u64) -> String {
    let at = time::OffsetDateTime::from_unix_timestamp(seconds as i64).expect("a time");
    let (date, time) = (at.date(), at.time());
    let (hour, minute, second) = time.as_hms();
    format!("{date}T{hour:02}:{minute:02}:{second:02}Z")
}
