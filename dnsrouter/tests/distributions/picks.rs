//! Draws and turns: of each query, and of each network.

use dnsrouter::balance::fair::coop;
use dnsrouter::health::State;
use dnsrouter::verdicts::{Verdict, WHOLE};

use crate::chi_squared::{assert_fits, assert_notices, fit_one};
use crate::world::{ENDPOINTS, Scene, scene, weighted};

const CLIENTS: u64 = 180_000;
const WEIGHTS: [u32; ENDPOINTS] = [1000, 400, 300, 200, 100, 100, 50, 50, 20, 20, 10, 0];

fn shares(weights: &[u32]) -> Vec<f64> {
    weights.iter().map(|weight| f64::from(*weight)).collect()
}

/// The same, with 5 % more of the first.
fn distorted(weights: &[u32; ENDPOINTS]) -> [u32; ENDPOINTS] {
    let mut weights = *weights;
    weights[0] += weights[0] / 20;
    weights
}

fn both_ways(scene: &Scene) -> [(&'static str, Vec<u64>); 2] {
    let health = scene.well();
    [
        ("resolvers", scene.resolvers(&health, CLIENTS)),
        ("networks", scene.by_network(&health, CLIENTS as usize)),
    ]
}

#[test]
fn weighted_is_by_weight() {
    for (who, counts) in both_ways(&weighted("weighted", &WEIGHTS)) {
        assert_fits(&format!("weighted, {who}"), &counts, &shares(&WEIGHTS));
    }
    for (who, counts) in both_ways(&weighted("weighted", &distorted(&WEIGHTS))) {
        assert_notices(&format!("weighted, {who}"), &counts, &shares(&WEIGHTS));
    }
}

/// The level for each of so many endpoints, if all together are to keep theirs.
const EACH: f64 = 1e-6 / ENDPOINTS as f64;

#[test]
fn each_endpoint_is_in_its_share_of_the_answers_with_several() {
    let weights = [900, 250, 200, 150, 100, 100, 100, 100, 100, 100, 100, 100];
    // The first is longer than a third of all, so it is in every answer; two of the rest are drawn.
    let rest: f64 = shares(&weights[1..]).iter().sum();
    let expected = |at: usize| 2.0 * f64::from(weights[at]) / rest;
    let counts = |weights: &[u32; ENDPOINTS]| {
        let scene = weighted("three", weights);
        scene.resolvers(&scene.well(), CLIENTS)
    };
    let sound = counts(&weights);
    assert_eq!((sound[0], sound.iter().sum::<u64>()), (CLIENTS, 3 * CLIENTS));
    for (at, count) in sound.iter().enumerate().skip(1) {
        let p = fit_one(*count, CLIENTS, expected(at));
        assert!(p >= EACH, "endpoint {at}: p = {p:e}, {count} for {}", expected(at));
    }
    let least = (1..ENDPOINTS).map(|at| fit_one(sound[at], CLIENTS, expected(at)));
    println!("three by inclusion: p ≥ {:.3} for each of 12", least.fold(1.0, f64::min));
    let mut heavier = weights;
    heavier[1] += heavier[1] / 20;
    let p = fit_one(counts(&heavier)[1], CLIENTS, expected(1));
    assert!(p < EACH, "5 % too much is not noticed, p = {p}");
}

#[test]
fn turns_are_taken_one_after_the_other() {
    let scene = scene("turns", |_| {});
    let well = scene.well();
    let counts = scene.resolvers(&well, 12 * 1000);
    assert_eq!(counts, [1000; ENDPOINTS], "who asks for itself takes them in order");
    let counts = scene.by_network(&well, CLIENTS as usize);
    assert_fits("round-robin, networks", &counts, &[1.0; ENDPOINTS]);
    // One that comes back has 5 % of its turns taken by the next.
    let slow = scene.health(|endpoint| Verdict {
        warm: if endpoint == 0 { WHOLE / 20 * 19 } else { WHOLE },
        ..Verdict::from(State::Up)
    });
    let counts = scene.by_network(&slow, 3 * CLIENTS as usize);
    assert_notices("round-robin, networks", &counts, &[1.0; ENDPOINTS]);
    let mut expected = [1.0; ENDPOINTS];
    (expected[0], expected[1]) = (0.95, 1.05);
    assert_fits("round-robin, one at 95 %", &counts, &expected);
}

#[test]
fn the_least_loaded_share_by_weight() {
    // Up to 120 is as good as the least; the others get nobody.
    let in_flight = [100, 110, 120, 121, 150, 200, 130, 140, 160, 170, 180, 119];
    let busy = |scene: &Scene| {
        let health = scene.health(|endpoint| Verdict {
            told: true,
            in_flight: in_flight[endpoint],
            ..Verdict::from(State::Up)
        });
        scene.resolvers(&health, CLIENTS)
    };
    let weights = [1000, 500, 300, 900, 900, 900, 900, 900, 900, 900, 900, 200];
    let of = |at: usize| if in_flight[at] <= 120 { f64::from(weights[at]) } else { 0.0 };
    let expected: Vec<f64> = (0..ENDPOINTS).map(of).collect();
    assert_fits("least-connections", &busy(&weighted("least", &weights)), &expected);
    let heavier = distorted(&weights);
    assert_notices("least-connections", &busy(&weighted("least", &heavier)), &expected);
}

#[test]
fn fair_is_by_the_bargained_shares() {
    let capacities: [u32; ENDPOINTS] = [2500, 900, 800, 700, 600, 500, 400, 300, 200, 100, 50, 20];
    let fair = |capacities: &[u32; ENDPOINTS]| {
        let scene = scene("fair", |service| {
            for (endpoint, capacity) in service.endpoints.iter_mut().zip(capacities) {
                endpoint.capacity = Some(u64::from(*capacity));
            }
        });
        scene.resolvers(&scene.well(), CLIENTS)
    };
    let expected = coop(&shares(&capacities), 4000.0);
    assert!(expected.contains(&0.0), "the slow ones stay idle: {expected:?}");
    assert_fits("fair", &fair(&capacities), &expected);
    assert_notices("fair", &fair(&distorted(&capacities)), &expected);
}

#[test]
fn slow_start_scales_the_weight() {
    let scene = weighted("weighted", &WEIGHTS);
    let warm = |share: u16| {
        let health = scene.health(|endpoint| Verdict {
            warm: if endpoint == 0 { share } else { WHOLE },
            ..Verdict::from(State::Up)
        });
        scene.resolvers(&health, CLIENTS)
    };
    for part in [10, 4, 2, 1] {
        let mut expected = shares(&WEIGHTS);
        expected[0] /= f64::from(part);
        let counts = warm(WHOLE / part);
        assert_fits(&format!("one of {part} parts warm"), &counts, &expected);
    }
    assert_notices("warm by 95 %", &warm(WHOLE / 20 * 19), &shares(&WEIGHTS));
    let mut degraded = shares(&WEIGHTS);
    degraded[0] /= 2.0;
    let health = scene.health(|endpoint| match endpoint {
        0 => State::Degraded.into(),
        _ => State::Up.into(),
    });
    assert_fits("one degraded", &scene.resolvers(&health, CLIENTS), &degraded);
}
