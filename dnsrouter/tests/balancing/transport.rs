//! Prices against the exact solution: random worlds of up to 6 regions and 40 places.

use dnsrouter::balance::demand::{Demand, Field};
use dnsrouter::balance::prices::{MAX_PASSES, Problem, Room, solve};
use geo::Point;
use proptest::prelude::*;

use crate::exact::least_total;

fn point() -> impl Strategy<Value = Point> {
    (-60.0..70.0_f64, -180.0..180.0_f64).prop_map(|(lat, lon)| Point::new(lat, lon).unwrap())
}

/// In how many units the exact solver counts all clients.
const UNITS: f64 = 1e6;
/// No price divides a point, of which there are two thousand or more.
const GRAIN: f64 = 0.001;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// However places, their sizes and capacities fall (one may be 0), as long as all clients fit: nobody gets more
    /// than the limit, and the total distance is within 1 % of the least there is.
    #[test]
    fn prices_are_as_good_as_the_exact_solution(
        regions in proptest::collection::vec((point(), 0.2..3.0_f64), 2..=6),
        places in proptest::collection::vec((point(), 1.0..100.0_f64), 6..=40),
        // With a high power, nearly all clients are at one place.
        unevenness in prop_oneof![Just(1), Just(12)],
        closed in prop_oneof![3 => Just(None), 1 => (0..6_usize).prop_map(Some)],
        use_of_all in 0.3..0.98_f64,
    ) {
        let places: Vec<(Point, f64)> =
            places.iter().map(|(at, mass)| (*at, 1.0 + 99.0 * (mass / 100.0).powi(unevenness))).collect();
        let capacity = |e: usize| if closed == Some(e) { 0.0 } else { regions[e].1 };
        let locations: Vec<Point> = regions.iter().map(|(point, _)| *point).collect();
        let demand = Demand::new(places.iter().copied());
        let field = Field::new(&demand, &locations, regions.len());
        let all: f64 = (0..regions.len()).map(capacity).sum();
        let limits: Vec<f64> =
            (0..regions.len()).map(|e| capacity(e) / all / use_of_all).collect();
        let problem = Problem {
            field: &field,
            locations: &[0, 1, 2, 3, 4, 5][..regions.len()],
            open: &vec![true; regions.len()],
            limits: &limits,
            mass: field.mass(),
        };
        let (mut prices, mut room) = (vec![0.0; regions.len()], Room::default());
        // As in the controller, one interval goes on where the last one ended.
        let passes: Vec<usize> = (0..3).map(|_| solve(&problem, &mut prices, &mut room)).collect();
        let division = &room.division;
        for (load, limit) in division.load.iter().zip(&limits) {
            prop_assert!(*load <= limit * 1.005 + GRAIN, "{:?} of {limits:?}, passes {passes:?}", division.load);
        }
        let km = |at: Point| -> Vec<f64> { locations.iter().map(|to| at.distance(to).0).collect() };
        let ours: f64 = demand.points().iter().zip(&division.endpoint).map(|((at, mass), e)| {
            f64::from(*mass) * km(at.point.expect("no country"))[usize::from(*e)]
        }).sum();
        let total: f64 = places.iter().map(|(_, mass)| mass).sum();
        let supply: Vec<i64> =
            places.iter().map(|(_, mass)| (mass / total * UNITS) as i64).collect();
        let table: Vec<Vec<f64>> = places.iter().map(|(at, _)| km(*at)).collect();
        let space: Vec<i64> = limits.iter().map(|limit| (limit * UNITS) as i64).collect();
        let exact = least_total(&supply, &space, &table);
        let exact = exact.expect("all fit") / supply.iter().sum::<i64>() as f64;
        // Dither is worth half its width at most, and only at borders.
        prop_assert!(passes[0] <= MAX_PASSES);
        prop_assert!(ours <= exact * 1.01 + 1.0, "{ours} km, exactly {exact}; passes {passes:?}");
    }
}
