//! `load`: what prices make of clients, and what limits make of prices.

use dnsrouter::balance::DITHER;
use dnsrouter::balance::demand::{Demand, Field};
use dnsrouter::balance::prices::{Problem, Room, solve};
use dnsrouter::balance::spill::{HIGH, LOW};
use dnsrouter::verdicts::{Health, Shares};

use crate::chi_squared::{assert_fits, assert_notices};
use crate::world::{Scene, scene};

const CLIENTS: usize = 160_000;
const KM: f64 = DITHER as f64;

fn priced(scene: &Scene, prices: [f64; 3]) -> Vec<u64> {
    let mut health: Health = scene.well();
    let prices = prices.map(|price| price as f32).into();
    let at = scene.policy().dynamic().unwrap() as usize;
    let mut shares = vec![Shares::default(); at + 1];
    shares[at].prices = prices;
    health.set_shares(shares.into());
    scene.by_network(&health, CLIENTS)
}

/// The share of clients of the first of two endpoints at one place when it is `dearer`: the sum of two
/// uniform dithers has a triangular density, from −2 [`DITHER`] to 2 [`DITHER`].
fn share_of_first(dearer: f64) -> f64 {
    let left = (2.0 * KM - dearer.abs()).max(0.0);
    let less = left * left / (8.0 * KM * KM);
    if dearer > 0.0 { less } else { 1.0 - less }
}

#[test]
fn a_price_sends_away_the_share_that_dithers_tell() {
    let scene = scene("load", |_| {});
    // The third is too dear for everybody.
    for dearer in [-150.0_f64, -60.0, -10.0, 0.0, 25.0, 80.0, 90.0] {
        let counts = priced(&scene, [dearer.max(0.0), (-dearer).max(0.0), 1000.0]);
        let first = share_of_first(dearer);
        let expected = [first, 1.0 - first, 0.0];
        let name = format!("load, {dearer} km dearer");
        if first == 1.0 {
            assert_eq!(counts, [CLIENTS as u64, 0, 0]);
            continue;
        }
        assert_fits(&name, &counts, &expected);
        if first > 0.25 && first < 0.75 {
            assert_notices(&name, &counts, &[first * 1.05, 1.0 - first * 1.05, 0.0]);
        }
    }
}

#[test]
fn limits_are_kept_by_the_clients_that_are_answered() {
    let scene = scene("load", |_| {});
    let points: Vec<_> = scene.inputs.services.locations.iter().map(|l| l.point).collect();
    let demand = Demand::of_world(&scene.inputs.geo.table);
    let field = Field::new(&demand, &points, 3);
    for limits in [[0.2, 0.3, 1.0], [0.1, 0.45, 0.5], [0.34, 0.34, 0.34], [1.0, 1.0, 0.05]] {
        let open = [true; 3];
        let problem =
            Problem { field: &field, locations: &[0; 3], open: &open, limits: &limits, mass: &[] };
        let problem = problem.of(field.mass());
        let (mut prices, mut room) = (vec![0.0; 3], Room::default());
        solve(&problem, &mut prices, &mut room);
        let counts = priced(&scene, [prices[0], prices[1], prices[2]]);
        let share = |count: &u64| *count as f64 / CLIENTS as f64;
        let got: Vec<f64> = counts.iter().map(share).collect();
        println!("load, limits {limits:?}: prices {prices:.1?}, clients {got:.4?}");
        for e in 0..3 {
            // Between the marks at which prices would change again; of five standard errors of a share
            // there is less than one in a million.
            let error = 5.0 * (limits[e] * (1.0 - limits[e]) / CLIENTS as f64).sqrt();
            assert!(got[e] <= limits[e] * HIGH + error, "{e}: {got:?}, {limits:?}");
            if prices[e] > 0.0 {
                assert!(got[e] >= limits[e] * LOW - error, "{e}: {got:?}, {limits:?}");
            }
        }
    }
}
