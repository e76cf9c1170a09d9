//! The best map of countries that a careful operator could write: what a server that knows countries
//! alone is given.

use std::collections::BTreeMap;

use geo::Country;

use super::block::Family;
use super::database::Database;
use super::figures::Excess;
use super::world::Routed;

/// Regions by country, the one with the least mean distance from all blocks in the country first. Where
/// blocks are, `countries` says: a database of cities, as exact for each family. Both families weigh
/// alike, since one map serves both.
pub fn orders(
    routed: &[Routed; 2],
    countries: &[Database; 2],
    excess: &Excess,
    regions: usize,
) -> BTreeMap<Country, Vec<u8>> {
    let mut costs: BTreeMap<Country, Vec<f64>> = BTreeMap::new();
    for (routed, countries) in routed.iter().zip(countries) {
        let all = routed.blocks() as f64;
        each_overlap(routed, countries, |place, blocks, country| {
            let costs = costs.entry(country).or_insert_with(|| vec![0.0; regions]);
            for (cost, far) in costs.iter_mut().zip(excess.of(place)) {
                *cost += blocks / all * f64::from(*far);
            }
        });
    }
    let order = |costs: Vec<f64>| {
        let mut order: Vec<u8> = (0..).take(regions).collect();
        order.sort_by(|a, b| costs[usize::from(*a)].total_cmp(&costs[usize::from(*b)]));
        order
    };
    costs.into_iter().map(|(country, costs)| (country, order(costs))).collect()
}

/// Calls `then` with a place, how many blocks' worth of addresses are there, and in which country
/// the other database says they are.
pub(super) fn each_overlap(
    routed: &Routed,
    countries: &Database,
    mut then: impl FnMut(u32, f64, Country),
) {
    let family: Family = routed.family;
    let size = 2_f64.powi(family.host_bits().into());
    let mut ahead = &countries.networks[..];
    for stretch in &routed.stretches {
        let first = family.first_address(stretch.first);
        let last = family.first_address(stretch.last()) | ((1 << family.host_bits()) - 1);
        ahead = &ahead[ahead.partition_point(|network| network.last(family) < first)..];
        for network in ahead.iter().take_while(|network| network.first <= last) {
            let Some(country) = countries.record(network).country else { continue };
            let both = network.last(family).min(last) - network.first.max(first);
            let blocks = (both as f64 + 1.0) / size;
            for part in routed.parts(stretch) {
                then(part.place, part.share * blocks, country);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::database::{Network, Record};
    use super::super::world::World;
    use super::*;

    #[test]
    fn a_country_prefers_the_region_with_the_least_mean_distance() {
        let record = |country: &str, degrees: f64| Record {
            country: country.parse().ok(),
            point: Some([0.0, degrees]),
        };
        let network =
            |(first, len, record): (u128, u8, u32)| Network { first: first << 8, len, record };
        // Three blocks in the west and five in the east, of which four are near the middle.
        let cities = Database {
            family: Family::V4,
            networks: [(0, 23, 0), (2, 24, 0), (3, 24, 1), (4, 22, 2)].map(network).to_vec(),
            records: vec![record("AA", 0.0), record("AA", 40.0), record("AA", 21.0)],
        };
        let countries = Database {
            family: Family::V4,
            networks: [(0, 23, 0), (2, 23, 1), (4, 22, 1)].map(network).to_vec(),
            records: vec![record("AA", 0.0), record("BB", 0.0)],
        };
        let none = Database { family: Family::V6, networks: vec![], records: vec![] };
        let world = World::new(&[cities, none.clone()]);
        let excess = Excess::new(&world.places, &[[0.0, 40.0], [0.0, 0.0], [0.0, 20.0]]);
        let orders = orders(&world.routed, &[countries, none], &excess, 3);
        let of = |code: &str| orders.get(&code.parse().unwrap()).cloned();
        assert_eq!(of("AA"), Some(vec![1, 2, 0]));
        // One at 0, one at 40 and four at 21: 116 degrees to 40, 124 to 0, 44 to 20.
        assert_eq!(of("BB"), Some(vec![2, 0, 1]));
        assert_eq!(orders.len(), 2);
    }
}
