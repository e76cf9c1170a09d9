//! Zones and services into one table: what is refused, and what the table tells of itself.

use crate::resolve::{ask, service, zone};
use dns::name::{LowerName, Name};
use dns::rr::Rtype;
use dns::zone::{ServiceNode, ZoneFault, Zones};

#[test]
fn services_that_collide_are_refused() {
    let text = "a CNAME b\nw A 192.0.2.1\nc NS ns.net.\nd DNAME x.net.\n";
    let zones = [("example.", text)];
    let name = |text: &str| text.parse::<Name>().unwrap();
    for (services, expected) in [
        (vec![service("x.net", 1, &[Rtype::A])], ZoneFault::ServiceOutsideZones),
        (vec![service("c.example", 1, &[Rtype::A])], ZoneFault::ServiceBelowCut(name("c.example"))),
        (
            vec![service("x.c.example", 1, &[Rtype::A])],
            ZoneFault::ServiceBelowCut(name("c.example")),
        ),
        (
            vec![service("x.d.example", 1, &[Rtype::A])],
            ZoneFault::ServiceBelowDname(name("d.example")),
        ),
        (vec![service("a.example", 1, &[Rtype::A])], ZoneFault::ServiceAtCname),
        (vec![service("W.example", 1, &[Rtype::A])], ZoneFault::ServiceBesideStatic(Rtype::A)),
        (vec![service("s.example", 1, &[])], ZoneFault::ServiceWithoutTypes),
        (vec![service("s.example", 1, &[Rtype::NS])], ZoneFault::ServiceType(Rtype::NS)),
        (
            vec![service("s.example", 1, &[Rtype::A]), service("S.example", 2, &[Rtype::AAAA])],
            ZoneFault::DuplicateService,
        ),
    ] {
        assert_eq!(faults(&zones, &services), [expected]);
    }
    assert_eq!(faults(&[("example.", ""), ("EXAMPLE.", "")], &[]), [ZoneFault::DuplicateZone]);
    let many: Vec<_> = (0..50).map(|i| service("x.net", i, &[])).collect();
    assert_eq!(faults(&zones, &many).len(), 20);
}

#[test]
fn the_fingerprint_is_of_the_content_alone() {
    let text = "www A 192.0.2.1\n";
    let first = zone("example.", text);
    let second = zone("other.", "");
    let services = [service("geo.example", 1, &[Rtype::A])];
    let freeze = |data: &[&dns::zone::ZoneData], services: &[ServiceNode], key| {
        Zones::freeze(data.iter().copied(), services, key).unwrap().fingerprint()
    };
    let base = freeze(&[&first, &second], &services, [1, 2]);
    assert_eq!(base, freeze(&[&second, &first], &services, [3, 4]));
    let changed = zone("example.", "www A 192.0.2.2\n");
    let later = zone("example.", "www 301 A 192.0.2.1\n");
    let other = [service("geo.example", 2, &[Rtype::A])];
    for different in [
        freeze(&[&first], &services, [1, 2]),
        freeze(&[&changed, &second], &services, [1, 2]),
        freeze(&[&later, &second], &services, [1, 2]),
        freeze(&[&first, &second], &[], [1, 2]),
        freeze(&[&first, &second], &other, [1, 2]),
    ] {
        assert_ne!(base, different);
    }
}

#[test]
fn thousands_of_zones_in_one_table() {
    let data: Vec<_> =
        (0..5_000).map(|i| zone(&format!("z{i}.example."), "www A 192.0.2.1\n")).collect();
    let zones = Zones::freeze(&data, &[], [5, 6]).unwrap();
    assert_eq!(zones.zones().len(), 5_000);
    assert_eq!(zones.names().count(), 10_000);
    for i in (0..5_000).step_by(97) {
        assert_eq!(ask(&zones, &format!("www.z{i}.example"), Rtype::A).len(), 2);
        let soa = format!("ns z{i}.example. 60 SOA ns.net.");
        assert_eq!(ask(&zones, &format!("a.b.c.z{i}.example"), Rtype::A), ["NXDOMAIN aa", &soa]);
    }
    assert_eq!(ask(&zones, "www.z5000.example", Rtype::A), ["REFUSED"]);
    let apex: Name = "Z7.example".parse().unwrap();
    let found = zones.zone_at(&LowerName::from(&apex)).unwrap();
    assert_eq!((found.serial(), found.apex()), (7, apex.as_name()));
    let www: Name = "www.z7.example".parse().unwrap();
    assert!(zones.zone_at(&LowerName::from(&www)).is_none());
}

/// The frozen table's octets for each name; `make bench` has the figures of a million names, with
/// what loading them takes.
#[test]
fn many_zones_and_names_are_small() {
    const ZONES: usize = 20_000;
    const NAMES: usize = 50_000;
    const MOST: usize = 180;
    let hosts = |count: usize| {
        (0..count).fold(String::new(), |text, i| text + &format!("host-{i} A 192.0.2.1\n"))
    };
    let mut data: Vec<_> =
        (0..ZONES).map(|i| zone(&format!("zone{i}.example."), "www A 192.0.2.1\n")).collect();
    data.push(zone("example.net.", &hosts(NAMES)));
    let zones = Zones::freeze(&data, &[], [5, 6]).unwrap();
    // Apexes and what is above them: example, net, the root.
    let names = 2 * ZONES + NAMES + 1;
    assert_eq!(zones.names().count(), names);
    assert!(zones.memory_bytes() < names * MOST, "{} octets a name", zones.memory_bytes() / names);
    assert_eq!(ask(&zones, "host-49999.example.net", Rtype::A)[0], "NOERROR aa");
    assert_eq!(ask(&zones, "www.zone19999.example", Rtype::A)[0], "NOERROR aa");
}

/// Each name lacks the same hundred ancestors: they are made once.
#[test]
fn rfc8020_2_ancestors_that_many_names_lack_are_made_once() {
    let deep = "a.".repeat(100);
    let text: String = (0..20_000).map(|i| format!("h{i}.{deep}example. A 192.0.2.1\n")).collect();
    let zones = Zones::freeze(&[zone("example.", &text)], &[], [5, 6]).unwrap();
    assert_eq!(zones.names().count(), 1 + 100 + 20_000);
    assert_eq!(ask(&zones, "a.a.example", Rtype::A)[0], "NOERROR aa");
    assert_eq!(ask(&zones, "b.a.example", Rtype::A)[0], "NXDOMAIN aa");
}

fn faults(zones: &[(&str, &str)], services: &[ServiceNode]) -> Vec<ZoneFault> {
    let data: Vec<_> = zones.iter().map(|(apex, text)| zone(apex, text)).collect();
    let errors = Zones::freeze(&data, services, [1, 2]).unwrap_err();
    errors.into_iter().map(|error| error.fault).collect()
}
