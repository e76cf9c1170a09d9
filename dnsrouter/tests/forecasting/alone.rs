//! Regions that go, and nothing else.

use std::sync::Arc;

use dnsrouter::forecast::{Crowd, Totals, Whither, without};
use dnsrouter::policy::Outside;
use dnsrouter::verdicts::{Stance, Stances};
use proptest::prelude::*;

use crate::world::*;

const HERE: &str = "europe-west3";

/// Routes of which `explain` tells exactly what each client gets, at any time.
const CERTAIN: [&str; 5] = ["nearest", "prefer", "fenced", "sticky", "load"];

#[test]
fn without_a_region_everybody_is_where_explain_sends_them_when_it_is_down() {
    let present = snapshot(&config(|_, service| service));
    let location = present.inputs.services.locations.iter().position(|l| l.region == HERE).unwrap();
    let gone = without(&present.health, &present.inputs.services, &[location as u8]);
    let outcomes = forecast(&present, &with(&present, gone));
    let dead = down(&present, &[HERE]);
    for service in CERTAIN {
        let outcome = &outcomes[&name(service)];
        assert!(!outcome.drawn && !outcome.sampled);
        assert_near(&shares(outcome, 0), &one_by_one(&present, service, 1), 1e-9);
        assert_near(&shares(outcome, 1), &one_by_one(&dead, service, 1), 1e-9);
    }
    for service in ["band", "weighted"] {
        let outcome = &outcomes[&name(service)];
        // Some 700 clients with 60 draws each, of unequal weights.
        assert_near(&shares(outcome, 0), &one_by_one(&present, service, 60), 0.01);
        assert_near(&shares(outcome, 1), &one_by_one(&dead, service, 60), 0.01);
    }
    for (service, outcome) in &outcomes {
        // In the fence of Europe there is nothing else: it fails open, inside.
        let left = shares(outcome, 1).get(HERE).copied().unwrap_or(0.0);
        assert_eq!(left > 0.0, service.starts_with("fenced"), "{service}: {outcome:?}");
        assert_eq!(outcome.fail_open, [0.0, left], "{service}");
        for side in [0, 1] {
            let sum: f64 = shares(outcome, side).values().sum();
            assert!((sum - 1.0).abs() < 1e-9, "{service}: {sum}");
        }
        let lost = shares(outcome, 0)[HERE] - left;
        let least = if service.starts_with("weighted") { lost - 0.2 } else { lost };
        assert!(outcome.moved >= least - 1e-9, "{service}: who was there had to go");
        let flows: f64 = outcome.flows.iter().map(|flow| flow.share).sum();
        assert!((flows - outcome.moved).abs() < 1e-9);
        let of_countries: f64 = outcome.countries.iter().map(|one| one.moved).sum();
        assert!((of_countries - outcome.moved).abs() < 1e-9);
        let clients: f64 = outcome.countries.iter().map(|one| one.clients).sum();
        assert!((clients - 1.0).abs() < 1e-9);
    }
    let nearest = &outcomes[&name("nearest")];
    let [before, after] = nearest.kilometres.map(Option::unwrap);
    assert!(before < after, "the others are farther: {before} {after}");
    let refused = outcomes[&name("fenced")].shares.iter().find_map(|(whither, share)| {
        (*whither == Whither::Outside(Outside::Refused { rule: 1 })).then_some(*share)
    });
    let refused = refused.unwrap();
    assert!(refused[0] > 0.01 && refused[0] == refused[1], "{refused:?}");
}

#[test]
fn where_nothing_changes_nobody_moves() {
    let present = snapshot(&config(|_, service| service));
    let table = &present.inputs.geo.table;
    let world = Crowd::world(table, table, true);
    let (of_world, recorded) = (all(&present, &present, &world), forecast(&present, &present));
    for (service, outcome) in of_world.iter().chain(&recorded) {
        assert_eq!((outcome.moved, outcome.readdressed), (0.0, 0.0), "{service}");
        assert!(outcome.flows.is_empty());
        assert!(outcome.shares.iter().all(|(_, [before, after])| before == after));
        let sum: f64 = shares(outcome, 0).values().sum();
        assert!((sum - 1.0).abs() < 1e-9, "{service}: {sum}");
    }
    assert_eq!(forecast(&present, &present), recorded, "the same again");
    assert!(of_world[&name("sticky")].sampled && !of_world[&name("nearest")].sampled);
    let mut totals = Totals::default();
    of_world.values().for_each(|outcome| totals.add(outcome));
    let total = totals.outcome().unwrap();
    assert_eq!(total.moved, 0.0);
    assert!((shares(&total, 0).values().sum::<f64>() - 1.0).abs() < 1e-9);
}

#[test]
fn of_a_drain_on_its_way_each_client_has_its_turn() {
    let present = snapshot(&config(|_, service| service));
    let mut health = (*present.health).clone();
    let locations = present.inputs.services.locations.iter();
    let half = |region: &str| match region == HERE {
        true => Stance::Draining { gone: 40_000 },
        false => Stance::Measured,
    };
    let locations = locations.map(|location| half(&location.region)).collect();
    health.set_stances(Arc::new(Stances { locations, ..Stances::default() }));
    let draining = with(&present, health);
    let outcomes = forecast(&present, &draining);
    for service in CERTAIN {
        let outcome = &outcomes[&name(service)];
        assert_near(&shares(outcome, 1), &one_by_one(&draining, service, 1), 1e-9);
    }
    let [all, left] = [0, 1].map(|side| shares(&outcomes[&name("nearest")], side)[HERE]);
    assert!(left < all * 0.6 && left > all * 0.15, "{all} {left}");
}

#[test]
fn a_region_whose_endpoint_was_forced_up_is_gone_as_well() {
    let present = snapshot(&config(|_, service| service));
    let location = present.inputs.services.locations.iter().position(|l| l.region == HERE).unwrap();
    let mut health = (*present.health).clone();
    let (_, policy) = &present.inputs.services.services[0];
    let endpoints = [((policy.id(), 1), Stance::ForcedUp)].into();
    health.set_stances(Arc::new(Stances { endpoints, ..Stances::default() }));
    let gone = without(&health, &present.inputs.services, &[location as u8]);
    let outcomes = forecast(&with(&present, health), &with(&present, gone));
    assert!(!shares(&outcomes[&name("nearest")], 1).contains_key(HERE));
}

#[test]
fn it_stops_when_it_is_told_to() {
    let present = snapshot(&config(|_, service| service));
    let table = &present.inputs.geo.table;
    let crowd = Crowd::world(table, table, true);
    let mut forecaster = dnsrouter::forecast::Forecaster::new(&present, &present, &crowd, NOW);
    for pair in dnsrouter::forecast::pairs(&present, &present) {
        assert!(forecaster.service(pair, &|| false).is_err());
    }
}

#[test]
fn draws_are_made_by_kind_of_choice_and_not_by_place() {
    // No closed form: an order by weight, and then by turns.
    let drawn = r#"{ nearest = { within = "40 %" } }, "weighted", "round-robin", { take = 2 }]"#;
    let present = snapshot(&config(|name, service| match name {
        // A second type, of the same endpoints.
        "band" => (0..5).fold(
            service.replace(r#"{ nearest = { within = "40 %" } }, "weighted"]"#, drawn),
            |text, at| text.replace(&format!(".{at}\"]"), &format!(".{at}\", \"2001:db8::{at}\"]")),
        ),
        _ => service,
    }));
    let location = present.inputs.services.locations.iter().position(|l| l.region == HERE).unwrap();
    let gone = without(&present.health, &present.inputs.services, &[location as u8]);
    let after = with(&present, gone);
    let table = &present.inputs.geo.table;
    let crowd = Crowd::world(table, table, false);
    let places = crowd.cells().len();
    let mut forecaster = dnsrouter::forecast::Forecaster::new(&present, &after, &crowd, NOW);
    let pairs = dnsrouter::forecast::pairs(&present, &after);
    let pair = pairs.into_iter().find(|pair| pair.name.to_string() == name("band")).unwrap();
    let outcomes = forecaster.service(pair, &|| true).unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.drawn));
    // Five endpoints in four places make few bands; there are two types, before and after.
    let kinds = forecaster.drawn() / 1024;
    assert!((1..=64).contains(&kinds) && places > 200, "{kinds} of {places} places");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn whatever_goes_shares_sum_up_and_are_those_of_explain(
        regions in prop::sample::subsequence(
            vec!["us-central1", "europe-west3", "asia-southeast1", "southamerica-east1"], 0..=4),
    ) {
        static PRESENT: std::sync::LazyLock<dnsrouter::plan::Snapshot> =
            std::sync::LazyLock::new(|| snapshot(&config(|_, service| service)));
        let present = &*PRESENT;
        let known = present.inputs.services.locations.iter().enumerate();
        let gone: Vec<u8> = known
            .filter(|(_, location)| regions.contains(&location.region.as_str()))
            .map(|(at, _)| at as u8)
            .collect();
        let after = with(present, without(&present.health, &present.inputs.services, &gone));
        let dead = down(present, &regions);
        for (service, outcome) in forecast(present, &after) {
            let sum: f64 = shares(&outcome, 1).values().sum();
            prop_assert!((sum - 1.0).abs() < 1e-9, "{} {}", service, sum);
            prop_assert!(!outcome.shares.iter().any(|(whither, _)| *whither == Whither::Empty));
        }
        for service in ["nearest", "fenced", "sticky"] {
            let outcome = &forecast(present, &after)[&name(service)];
            assert_near(&shares(outcome, 1), &one_by_one(&dead, service, 1), 1e-9);
        }
    }
}
