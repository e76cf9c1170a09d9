//! The main job: a client asks a real resolver for one name, is sent to the nearest region, and
//! that region says over mTLS who it is.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use ipnet::IpNet;
use tests::query::{Ask, Reply};
use tests::region::Region;
use tests::unbound::{Tells, Unbound};
use tests::world::{NAME, REGIONS, Shape, World, client};

/// Subnets of networks that have been where they are for decades, one per region: the University
/// of Chicago, Deutsche Telekom, and Singtel.
const SUBNETS: [&str; 3] = ["128.135.0.0/24", "194.25.0.0/24", "165.21.100.0/24"];

#[test]
fn a_client_reaches_the_nearest_region_through_a_resolver() {
    let world = World::start("main-job", Shape::default());
    let geoip = world.geoip();
    let url = format!("{NAME}:{}", world.regions[0].grpc().port());
    for (place, region) in REGIONS.iter().enumerate() {
        let resolver = world.resolver(place);
        let resolver = resolver.address().to_string();

        let printed = geoip.run(["ping", "-u", &url, "--dns", &resolver]);

        let json = printed.json();
        assert_eq!(json["region"], *region, "from {}", client(place));
        assert_eq!(json["status"], "OK");
        let pretty = serde_json::to_string_pretty(&json).expect("JSON prints");
        assert_eq!(sorted(&printed.stdout), sorted(&format!("{pretty}\n")), "pretty-printed");
        let keys: Vec<&str> = printed.stdout.lines().filter_map(key).collect();
        assert_eq!(keys, ["region", "version", "uptime", "status"]);
        let uptime = json["uptime"].as_str().expect("a string");
        assert!(is_go_duration(uptime), "{uptime}");
    }
    let handled: f64 = world.regions.iter().map(Region::requests).sum();
    assert!(handled >= 3.0, "pings of name servers and of three clients were handled");
}

#[test]
fn every_name_server_gives_a_subnet_its_nearest_region_over_udp_and_tcp() {
    let world = World::start("subnets", Shape::default());
    for (place, subnet) in SUBNETS.iter().enumerate() {
        let subnet: IpNet = subnet.parse().expect("a subnet");
        let expected = [world.regions[place].address()];
        let mut seen: Option<Reply> = None;
        for server in world.dns() {
            for ask in [Ask::a(server, NAME), Ask::a(server, NAME).tcp()] {
                let reply = ask.subnet(subnet).expect();

                assert_eq!(reply.rcode(), ResponseCode::NoError);
                assert!(reply.message.metadata.authoritative);
                assert_eq!(reply.addresses(), expected, "{subnet} is near {}", REGIONS[place]);
                let (echoed, scope) = reply.subnet().expect("a client subnet comes back");
                assert_eq!(echoed, subnet);
                assert!((1..=24).contains(&scope), "the answer depends on the place: /{scope}");
                let first = seen.get_or_insert_with(|| reply.clone());
                assert_eq!(reply.bytes_but_id(), first.bytes_but_id(), "one seam, one answer");
            }
        }
    }
}

#[test]
fn a_caching_resolver_that_tells_subnets_gives_each_client_its_own_region() {
    // A TTL that outlasts the test: whoever is answered from the cache is answered by scope.
    let shape = Shape { name_servers: 1, ttl: 300, ..Shape::default() };
    let world = World::start("resolver-subnets", shape);
    let resolver =
        Unbound::start(&world.scratch, "unbound", &world.dns(), client(0), Tells::ClientSubnet);
    for _ in 0..3 {
        for (place, subnet) in SUBNETS.iter().enumerate() {
            let subnet: IpNet = subnet.parse().expect("a subnet");
            let reply = Ask::a(resolver.address(), NAME).recursive().subnet(subnet).expect();
            assert_eq!(reply.addresses(), [world.regions[place].address()], "for {subnet}");
        }
    }
    let asked = world.name_servers[0].metrics().sum("dnsrouter_client_subnet_total");
    assert!((3.0..9.0).contains(&asked), "the resolver asked {asked} times for 9 questions");
}

#[test]
fn static_names_and_names_that_are_not_there() {
    let world = World::start("static", Shape { name_servers: 1, ..Shape::default() });
    let server = world.dns()[0];
    let ask = |name: &str, kind| Ask::new(server, name, kind).expect();

    let soa = ask("test-net.io", RecordType::SOA);
    assert_eq!((soa.rcode(), soa.message.answers.len()), (ResponseCode::NoError, 1));
    assert_eq!(ask("test-net.io", RecordType::NS).message.answers.len(), 2);
    assert_eq!(ask("www.test-net.io", RecordType::AAAA).addresses().len(), 1);
    assert_eq!(ask("alias.test-net.io", RecordType::A).addresses().len(), 1, "CNAME is followed");

    let nothing = ask("nothing.test-net.io", RecordType::A);
    assert_eq!(nothing.rcode(), ResponseCode::NXDomain);
    let no_data = ask("www.test-net.io", RecordType::MX);
    assert_eq!(no_data.rcode(), ResponseCode::NoError);
    // The service has IPv4 endpoints alone: NODATA, for every client, and never NXDOMAIN.
    let no_v6 = ask(NAME, RecordType::AAAA);
    assert_eq!(no_v6.rcode(), ResponseCode::NoError);
    for negative in [nothing, no_data, no_v6] {
        assert!(negative.message.answers.is_empty());
        let authority = &negative.message.authorities;
        assert_eq!(authority.len(), 1);
        assert_eq!(authority[0].record_type(), RecordType::SOA);
        assert_eq!(authority[0].ttl, 60, "RFC 2308 §5: the lesser of TTL and MINIMUM");
    }
    assert_eq!(ask("example.com", RecordType::A).rcode(), ResponseCode::Refused);
}

#[test]
fn status_and_explain_tell_what_is_and_why() {
    let mut world = World::start("status", Shape::default());
    let geoip = world.geoip();
    let status = geoip.run(["status"]);
    assert_eq!(status.code, Some(0), "all is well: {status:?}");

    let explained = geoip.run(["explain", "--client", SUBNETS[1], NAME]);
    assert_eq!(explained.code, Some(0), "{explained:?}");
    let nearest = world.regions[1].address().to_string();
    assert!(explained.stdout.contains(&nearest), "the answer: {}", explained.stdout);
    for region in REGIONS {
        assert!(explained.stdout.contains(region), "every candidate: {}", explained.stdout);
    }

    for region in &mut world.regions {
        region.kill();
    }
    let alarmed = || geoip.run(["status"]).code == Some(1);
    tests::wait::until("the status to be an alarm", std::time::Duration::from_secs(20), alarmed);
}

/// The lines in order of value: JSON objects have none.
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().map(|line| line.trim_end_matches(',')).collect();
    lines.sort_unstable();
    lines
}

/// The key on a line of pretty-printed JSON.
fn key(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix('"')?.split('"').next()
}

/// Whether it reads as Go prints a duration below an hour, e.g. `1m2.345678901s` or `987ms`.
fn is_go_duration(text: &str) -> bool {
    let number = |text: &str| {
        !text.is_empty()
            && text.chars().all(|c| c.is_ascii_digit() || c == '.')
            && text.matches('.').count() <= 1
    };
    let seconds = text.split_once('m').filter(|(_, rest)| *rest != "s");
    let (minutes, seconds) = seconds.map_or((None, text), |(m, s)| (Some(m), s));
    let units = ["ms", "µs", "ns", "s"];
    minutes.is_none_or(number)
        && units.iter().find_map(|unit| seconds.strip_suffix(unit)).is_some_and(number)
}
