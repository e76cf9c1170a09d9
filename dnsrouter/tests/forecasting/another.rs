//! Another configuration: services that come, go and change, other places, loads.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dnsrouter::forecast::{Whither, carried, loads, pairs};
use dnsrouter::health::State;
use dnsrouter::overrides::Overrides;
use dnsrouter::plan::Snapshot;
use dnsrouter::verdicts::{Health, Verdict};

use crate::world::*;

/// What `next` would be with what is known now.
fn served(present: &Snapshot, next: &str) -> Snapshot {
    let next = snapshot(next);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    let services = &next.inputs.services;
    let health = carried(present, &Arc::new(Overrides::default()), services, now);
    Snapshot { health: Arc::new(health), inputs: next.inputs }
}

#[test]
fn another_configuration_is_where_explain_sends_clients_under_it() {
    let present = down(&snapshot(&config(|_, service| service)), &["asia-southeast1"]);
    let biased = config(|name, service| match name {
        "nearest" => {
            service.replace("\"nearest\"]", "{ nearest = { bias = { \"us-central1\" = 60 } } }]")
        }
        // Another weight, another address in the same place.
        "sticky" => {
            service.replace("weight = 50", "weight = 500").replace("203.0.4.3", "203.0.99.3")
        }
        _ => service,
    });
    let moved_places = biased.replace("country = \"BR\"", "country = \"JP\"");
    let after = served(&present, &moved_places);
    let outcomes = forecast(&present, &after);
    for service in ["nearest", "prefer", "fenced", "sticky", "load"] {
        let outcome = &outcomes[&name(service)];
        assert_near(&shares(outcome, 0), &one_by_one(&present, service, 1), 1e-9);
        assert_near(&shares(outcome, 1), &one_by_one(&after, service, 1), 1e-9);
        assert!(outcome.moved > 0.0, "{service}: Brazilian clients are Japanese there");
    }
    assert!(!shares(&outcomes[&name("nearest")], 1).contains_key("asia-southeast1"), "still down");
    assert!(outcomes[&name("sticky")].readdressed > 0.0);
}

#[test]
fn services_that_come_and_go_move_nobody() {
    let all = config(|_, service| service);
    let fewer = config(|name, service| if name == "load" { String::new() } else { service });
    let (all, fewer) = (snapshot(&all), snapshot(&fewer));
    for (before, after, side) in [(&all, &fewer, 1), (&fewer, &all, 0)] {
        let of = pairs(before, after);
        assert_eq!(of.len(), 7);
        let there = of.iter().filter(|pair| pair.before.is_some() && pair.after.is_some());
        assert_eq!(there.count(), 6);
        let outcome = &forecast(before, after)[&name("load")];
        assert_eq!(outcome.moved, 0.0);
        let absent = outcome.shares.iter().find(|(whither, _)| *whither == Whither::Absent);
        let share = absent.unwrap().1;
        assert!((share[side] - 1.0).abs() < 1e-9 && share[1 - side] == 0.0, "{share:?}");
    }
}

#[test]
fn what_is_measured_goes_where_clients_go() {
    let text = config(|_, service| {
        service
            .replace("weight = 200", "weight = 200\ncapacity = 900")
            .replace("region = \"us-central1\"\n", "region = \"us-central1\"\ncapacity = 1000\n")
    });
    let present = snapshot(&text);
    let states = present.inputs.services.targets.iter().map(|target| {
        let rate = if target.region == "us-central1" { 800 } else { 300 };
        Verdict { told: true, rate, ..State::Up.into() }
    });
    let present = with(&present, Health::new(states));
    let gone = present.inputs.services.locations.iter().position(|l| l.region == "europe-west3");
    let health = dnsrouter::forecast::without(
        &present.health,
        &present.inputs.services,
        &[gone.unwrap() as u8],
    );
    let after = with(&present, health);
    let outcomes = forecast(&present, &after);
    let outcome = &outcomes[&name("nearest")];
    let pair = pairs(&present, &after).into_iter().next().unwrap();
    let loads = loads(pair, &present, &after, outcome);
    let of = |region: &str| loads.iter().find(|load| load.region == region).unwrap();
    let (here, there) = (of("europe-west3"), of("us-central1"));
    assert_eq!((here.before, here.after), (Some(600.0), Some(0.0)), "two endpoints: {loads:?}");
    assert_eq!(here.capacity, None, "not known of both");
    assert_eq!((there.before, there.capacity), (Some(800.0), Some(1000.0)));
    let lost = outcome.flows.iter().find(|flow| {
        flow.from == Whither::Region(here.region.clone())
            && flow.to == Whither::Region(there.region.clone())
    });
    let expected = 800.0 + 600.0 * lost.unwrap().share / shares(outcome, 0)["europe-west3"];
    assert!((there.after.unwrap() - expected).abs() < 1e-6, "{loads:?}");
    let sum = |of: fn(&dnsrouter::forecast::Load) -> Option<f64>| {
        loads.iter().filter_map(of).sum::<f64>()
    };
    assert!((sum(|load| load.before) - sum(|load| load.after)).abs() < 1e-6, "nobody is lost");
}
