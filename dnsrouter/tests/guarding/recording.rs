//! Which clients are counted: those that a service chose for, as routing saw them; and what can be set.

use std::time::Duration;

use dnsrouter::answer::Worker;
use dnsrouter::census::{Prefix, Reader, Settings, ring};
use dnsrouter::config::Config;
use dnsrouter::random::Random;

use crate::world::{Ask, CONFIG, MX, NOERROR, REFUSED, Server, TCP, ask};

const SERVICES: &str = "\
[[service]]
name = 'geo.open.test'
ttl = 60
route = ['healthy', 'nearest']
[[service.endpoint]]
region = 'us-central1'
addresses = ['203.0.113.10', '2001:db8::10']
[[service]]
name = 'alias.open.test'
ttl = 60
route = ['nearest']
[[service.endpoint]]
region = 'us-central1'
cname = 'geo.open.test.'
[[service]]
name = 'fenced.open.test'
ttl = 60
route = [{ fence = [{ clients = ['141.3.0.0/16'], regions = [] }] }, 'nearest']
[[service.endpoint]]
region = 'us-central1'
addresses = ['203.0.113.10']
";

const SUBNET: u16 = 8;

fn recording(more: &str) -> (Server, Reader) {
    let mut server = Server::new(&format!("{more}{SERVICES}"));
    let (recorder, reader) = ring();
    let worker = Worker::with_random(server.registry.worker(), Random::from_seed(1));
    server.worker = worker.recording(Some(recorder));
    (server, reader)
}

fn taken(reader: &mut Reader) -> Vec<String> {
    let mut taken = Vec::new();
    reader.take(&mut taken, usize::MAX);
    taken.into_iter().map(|prefix: Prefix| prefix.net().to_string()).collect()
}

/// 141.`second`.7.0/24.
fn subnet(ask: Ask, second: u8) -> Ask {
    ask.option(SUBNET, &[0, 1, 24, 0, 141, second, 7])
}

#[test]
fn a_client_is_counted_once_per_answer_as_routing_saw_it() {
    let (mut server, mut reader) = recording("");
    let geo = || ask("geo.open.test");
    let private = [0, 1, 24, 0, 192, 168, 7];
    let v6 = [0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 0, 1, 2];
    let cases = [
        (geo(), Some("198.51.100.0/24"), "the resolver"),
        (Ask { peer: "2001:db8:7::1", ..geo() }, Some("2001:db8:7::/48"), "of IPv6"),
        (Ask { peer: "::ffff:198.51.7.1", ..geo() }, Some("198.51.7.0/24"), "on a mapped socket"),
        (subnet(geo(), 2), Some("141.2.7.0/24"), "its client"),
        (geo().option(SUBNET, &v6), Some("2001:db8:1::/48"), "of IPv6"),
        (geo().option(SUBNET, &[0, 1, 0, 0]), Some("198.51.100.0/24"), "who wants not to be told"),
        (geo().option(SUBNET, &private), Some("198.51.100.0/24"), "who is nowhere"),
        (Ask { transport: TCP, ..geo() }, Some("198.51.100.0/24"), "over TCP"),
        (ask("alias.open.test"), Some("198.51.100.0/24"), "through two services, once"),
        (subnet(ask("fenced.open.test"), 2), Some("141.2.7.0/24"), "inside the fence"),
        (Ask { qtype: MX, ..geo() }, None, "nothing was chosen"),
        (ask("ns1.open.test"), None, "the same for everybody"),
    ];
    for (ask, expected, why) in cases {
        assert_eq!(server.expect(&ask).rcode(), NOERROR, "{why}");
        assert_eq!(taken(&mut reader), Vec::from_iter(expected), "{why}");
    }
    let outside = server.expect(&subnet(ask("fenced.open.test"), 3));
    assert_eq!(outside.rcode(), REFUSED);
    assert!(taken(&mut reader).is_empty(), "who is refused is no client");
}

#[test]
fn what_the_rate_limit_holds_back_is_not_counted() {
    let limit = "[rate_limit]\nresponses_per_second = 5\nburst = 5\n";
    let (mut server, mut reader) = recording(limit);
    for _ in 0..20 {
        server.send(&subnet(ask("geo.open.test"), 2));
    }
    assert_eq!(taken(&mut reader), ["141.2.7.0/24"; 5]);
}

#[test]
fn what_can_be_written_about_counting() {
    let settings = |more: &str| {
        let read = read(more).unwrap_or_else(|report| panic!("{report}"));
        (read.clients, read.warnings.concat())
    };
    assert_eq!(settings("").0, None, "off unless told so");
    assert_eq!(settings("[clients]\nmax_prefixes = 5000\n").0, None);
    let day = Duration::from_secs(86_400);
    let (usual, warnings) = settings("[clients]\nrecord = true\n");
    assert_eq!(usual, Some(Settings { most: 1_000_000, half_life: day }));
    assert!(warnings.contains("[clients] record without [state] dir"), "{warnings}");
    let all =
        "[state]\ndir = 'x'\n[clients]\nrecord = true\nmax_prefixes = 1000\nhalf_life = '90d'\n";
    let (set, warnings) = settings(all);
    assert_eq!(set, Some(Settings { most: 1000, half_life: 90 * day }));
    assert!(warnings.is_empty(), "{warnings}");
    for (written, words) in [
        ("max_prefixes = 999", "from 1000 to 1048576"),
        ("max_prefixes = 2000000", "from 1000 to 1048576"),
        ("half_life = '9m'", "from 10m to 90d"),
        ("half_life = '91d'", "from 10m to 90d"),
        ("half_life = 'a day'", "a duration such as \"24h\""),
        ("prefix_v4 = 16", "unknown field `prefix_v4`"),
    ] {
        let report = read(&format!("[clients]\n{written}\n")).err().expect(written);
        assert!(report.contains(words) && report.contains(written), "{written}: {report}");
    }
}

fn read(more: &str) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dnsrouter.toml");
    std::fs::write(&file, format!("{CONFIG}{more}")).unwrap();
    Config::load(&file, &[]).map_err(|error| error.report())
}
