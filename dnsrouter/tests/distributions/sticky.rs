//! `sticky`: by weight, and a change moves those whom it has to move.

use dnsrouter::health::State;
use dnsrouter::verdicts::Health;

use crate::chi_squared::{assert_fits, assert_notices};
use crate::world::{ENDPOINTS, Scene, scene, weighted};

const CLIENTS: usize = 160_000;
/// More than the share that has to move: what chance may add.
const MORE: f64 = 0.01;
const WEIGHTS: [u32; ENDPOINTS] = [600, 200, 150, 100, 100, 100, 100, 100, 50, 50, 50, 50];
/// The one that changes.
const CHANGED: usize = 0;

fn share(weights: &[u32; ENDPOINTS]) -> f64 {
    f64::from(weights[CHANGED]) / f64::from(weights.iter().sum::<u32>())
}

fn counts(scene: &Scene) -> Vec<u64> {
    scene.by_network(&scene.well(), CLIENTS)
}

/// Each network's endpoint, by what it is and not where it stands.
fn answered(scene: &Scene, health: &Health) -> Vec<u64> {
    let chosen = scene.networks(health, CLIENTS).into_iter();
    chosen.map(|endpoint| scene.policy().endpoint_id(endpoint as u8)).collect()
}

#[test]
fn networks_are_divided_by_weight() {
    let expected = WEIGHTS.map(f64::from);
    assert_fits("sticky", &counts(&weighted("sticky", &WEIGHTS)), &expected);
    let mut heavier = WEIGHTS;
    heavier[CHANGED] += heavier[CHANGED] / 20;
    assert_notices("sticky", &counts(&weighted("sticky", &heavier)), &expected);
}

#[test]
fn a_change_of_one_endpoint_of_twelve_moves_its_share() {
    for (what, weights) in [("by weight", WEIGHTS), ("equal", [100; ENDPOINTS])] {
        let whole = weighted("sticky", &weights);
        let before = answered(&whole, &whole.well());
        let own = whole.policy().endpoint_id(CHANGED as u8);
        let moved = |after: &[u64]| {
            let pairs = before.iter().zip(after);
            // Nobody moves from one endpoint that stays as it was to another.
            let strangers = pairs.clone().filter(|(a, b)| a != b && **a != own && **b != own);
            assert_eq!(strangers.count(), 0);
            pairs.filter(|(a, b)| a != b).count() as f64 / CLIENTS as f64
        };
        let report = |name: &str, share: f64, moved: f64| {
            println!(
                "sticky, {what}, {name}: {:.2} % moved of {:.2} %",
                moved * 100.0,
                share * 100.0
            );
            assert!(moved <= share + MORE, "{name}: {moved} moved, {share} is its share");
            assert!(moved >= share - MORE, "{name}: {moved} moved, {share} is its share");
        };
        // Removed; and added again, which is the same seen from the other side.
        let without = scene("sticky", |service| {
            for (endpoint, weight) in service.endpoints.iter_mut().zip(weights) {
                endpoint.weight = weight;
            }
            service.endpoints.remove(CHANGED);
        });
        let removed = answered(&without, &without.well());
        report("removed or added", share(&weights), moved(&removed));
        // Down.
        let down = whole.health(|endpoint| match endpoint {
            CHANGED => State::Down.into(),
            _ => State::Up.into(),
        });
        assert_eq!(answered(&whole, &down), removed, "down is as good as removed");
        // Heavier and lighter: only the difference moves.
        for (name, factor) in [("half as heavy again", 1.5), ("half as heavy", 0.5)] {
            let mut other = weights;
            other[CHANGED] = (f64::from(other[CHANGED]) * factor) as u32;
            let scene = weighted("sticky", &other);
            let after = answered(&scene, &scene.well());
            report(name, (share(&other) - share(&weights)).abs(), moved(&after));
        }
    }
}
