//! Zones in several tables: the answers are those of one table, and a zone that is frozen anew
//! leaves the others alone.

use crate::model::{APEXES, World, any_owner, any_seed};
use crate::resolve::{ask, freeze, service, show, zone};
use dns::name::{LowerName, Name, NameRef};
use dns::resolve::Resolution;
use dns::rr::Rtype;
use dns::wire::Owner;
use dns::zone::{ServiceNode, ZoneData, ZoneFault, Zones};
use proptest::prelude::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// An answer without the numbers of zones, which differ.
#[derive(Debug, PartialEq)]
struct Answer {
    head: String,
    sections: Vec<String>,
    /// With the hosts' names.
    additional: Vec<(Name, String)>,
    /// The owner of what the additional addresses go along with.
    beside: Name,
}

/// To somebody who may not see the zones at these apexes.
fn answer(zones: &Zones, hidden: &[Name], question: &Name, qtype: Rtype) -> Answer {
    let may_see =
        |id| !hidden.iter().any(|apex| apex.as_name().eq_ignore_case(zones.zone(id).apex()));
    let mut found = Resolution::new();
    zones.resolve_within(may_see, &LowerName::from(question), qtype, &mut found);
    let owner = |owner: Owner<'_>| match owner {
        Owner::Question => question.clone(),
        Owner::Name(name) => name.to_name(),
    };
    let zone = found.zone().map(|id| zones.zone(id).apex().to_string());
    let (aa, referral) = (found.authoritative(), found.is_referral());
    let last = if referral { found.authority().last() } else { found.answer().last() };
    Answer {
        head: format!("{} aa {aa} referral {referral} in {zone:?}", found.rcode()),
        sections: found.answer().chain(found.authority()).map(show).collect(),
        additional: (found.additional())
            .map(|(_, entry)| (owner(entry.owner), show(entry)))
            .collect(),
        beside: last.map_or_else(|| question.clone(), |entry| owner(entry.owner)),
    }
}

/// SOA and NS alone.
fn bare(zone: &ZoneData) -> ZoneData {
    let head = |rtype| zone.rrset(zone.apex(), rtype).cloned();
    let records = head(Rtype::SOA).chain(head(Rtype::NS)).collect();
    ZoneData::new(zone.apex().clone(), records).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn several_tables_answer_as_one(
        seeds in prop::collection::vec(any_seed(), 0..20),
        count in 1..=APEXES.len(),
        apart in prop::collection::vec(any::<bool>(), APEXES.len()),
        hidden in prop::collection::vec(prop::bool::weighted(0.1), APEXES.len()),
        questions in prop::collection::vec(any_owner(), 8),
    ) {
        let world = World::grow(&seeds, count);
        let chosen = |among: &[bool]| -> Vec<Name> {
            let pairs = APEXES.iter().zip(among);
            pairs.filter(|(_, chosen)| **chosen).map(|(apex, _)| name(apex)).collect()
        };
        let (apart, hidden) = (chosen(&apart), chosen(&hidden));
        let is_apart = |apex: &Name| apart.contains(apex);
        let at_once =
            Zones::freeze_apart(&world.zones, &world.services, [3, 4], is_apart).unwrap();
        // Zone after zone, each from nothing but its head; services stand in none but theirs.
        let begun: Vec<ZoneData> = (world.zones.iter())
            .map(|zone| if is_apart(zone.apex()) { bare(zone) } else { zone.clone() })
            .collect();
        let static_services: Vec<ServiceNode> = (world.services.iter())
            .filter(|service| !world.home(&service.name).is_some_and(|home| is_apart(&home)))
            .cloned()
            .collect();
        let first = Zones::freeze_apart(&begun, &static_services, [3, 4], is_apart).unwrap();
        let mut one_by_one = first.clone();
        for zone in world.zones.iter().filter(|zone| is_apart(zone.apex())) {
            one_by_one = one_by_one.refreeze(zone, &world.services).unwrap();
        }
        prop_assert!(one_by_one.shares_main(&first));
        // The zones of one table are as good as one.
        let table = |name: &Name| world.home(name).filter(|home| is_apart(home));
        for several in [&at_once, &one_by_one] {
            prop_assert_eq!(several.fingerprint(), world.frozen.fingerprint());
            let names = |zones: &Zones| {
                let mut names: Vec<Name> = zones.names().map(NameRef::to_name).collect();
                names.sort();
                names
            };
            prop_assert_eq!(names(several), names(&world.frozen));
            for zone in &world.zones {
                let found = several.zone_at(&LowerName::from(zone.apex()));
                prop_assert_eq!(found.map(|zone| zone.apex()), Some(zone.apex().as_name()));
            }
            let apexes = APEXES.map(str::to_owned);
            for question in questions.iter().chain(&apexes).map(|text| name(text)) {
                for qtype in [Rtype::A, Rtype::TXT, Rtype::NS, Rtype::DS, Rtype::ANY] {
                    let mut expected = answer(&world.frozen, &hidden, &question, qtype);
                    let beside = table(&expected.beside);
                    expected.additional.retain(|(host, _)| table(host) == beside);
                    prop_assert_eq!(
                        answer(several, &hidden, &question, qtype),
                        expected,
                        "{} {} apart {:?} hidden {:?}\n{:#?}\n{:?}",
                        question, qtype, apart, hidden,
                        world.zones.iter().flat_map(ZoneData::records)
                            .map(|record| format!("{} {}", record.owner, record.rtype))
                            .collect::<Vec<_>>(),
                        world.services
                    );
                }
            }
        }
    }
}

#[test]
fn rfc4035_3_1_4_1_ds_is_of_the_zone_right_above() {
    let above = format!("a.b NS ns.net.\na.b DS 1 13 2 {}\n", "00".repeat(32));
    let texts = [("example.", &*above), ("b.example.", "a NS ns.net.\n"), ("a.b.example.", "")];
    let none = ["NOERROR aa", "ns b.example. 60 SOA ns.net."];
    assert_eq!(ask(&freeze(&texts, &[]), "a.b.example", Rtype::DS), none);
    let data: Vec<_> = texts.iter().map(|(apex, text)| zone(apex, text)).collect();
    for apart in ["example.", "b.example.", "a.b.example."].map(name) {
        let zones = Zones::freeze_apart(&data, &[], [1, 2], |apex| *apex == apart).unwrap();
        assert_eq!(ask(&zones, "a.b.example", Rtype::DS), none, "{apart}");
    }
}

#[test]
fn an_updated_parent_is_heard_at_once() {
    let ds = format!("dyn DS 1 13 2 {}\n", "00".repeat(32));
    let data = [zone("example.", ""), zone("dyn.example.", ""), zone("s.dyn.example.", "")];
    let zones = Zones::freeze_apart(&data, &[], [1, 2], |apex| *apex == name("example")).unwrap();
    assert_eq!(ask(&zones, "dyn.example", Rtype::DS), ["NOERROR aa", "ns example. 60 SOA ns.net."]);
    let delegating = zone("example.", &format!("dyn NS ns.net.\n{ds}www A 192.0.2.1\n"));
    let later = zones.refreeze(&delegating, &[]).unwrap();
    assert_eq!(ask(&later, "dyn.example", Rtype::DS)[..1], ["NOERROR aa"]);
    assert!(ask(&later, "dyn.example", Rtype::DS)[1].starts_with("an ? 300 DS"));
    assert_eq!(ask(&later, "www.example", Rtype::A), ["NOERROR aa", "an ? 300 A 192.0.2.1"]);
    assert_eq!(ask(&later, "x.s.dyn.example", Rtype::A)[1], "ns s.dyn.example. 60 SOA ns.net.");
    assert!(later.shares_main(&zones));
    assert_ne!(later.fingerprint(), zones.fingerprint());
}

#[test]
fn what_collides_in_a_zone_apart_is_refused_and_changes_nothing() {
    let data = [zone("example.", ""), zone("dyn.example.", "")];
    let is_apart = |apex: &Name| *apex == name("dyn.example");
    let services = [
        service("geo.dyn.example", 1, &[Rtype::A]),
        service("geo.example", 2, &[Rtype::A]),
        service("geo.example.net", 3, &[Rtype::A]),
    ];
    let errors = Zones::freeze_apart(&data, &services, [1, 2], is_apart).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].fault, ZoneFault::ServiceOutsideZones);
    let services = &services[..2];
    let zones = Zones::freeze_apart(&data, services, [1, 2], is_apart).unwrap();
    let alias = zone("dyn.example.", "geo CNAME www\n");
    let errors = zones.refreeze(&alias, services).unwrap_err();
    assert_eq!(errors[0].fault, ZoneFault::ServiceAtCname);
    assert_eq!(ask(&zones, "geo.dyn.example", Rtype::A), ["NOERROR aa", "an ? A service 1"]);
    for elsewhere in ["example.", "example.net."] {
        let errors = zones.refreeze(&zone(elsewhere, ""), services).unwrap_err();
        assert_eq!(errors[0].fault, ZoneFault::NotApart, "{elsewhere}");
    }
}
