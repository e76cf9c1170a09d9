//! For each place, the locations by distance.

use crate::{PlaceId, Point, Table};

/// The order of a few locations as seen from each place of a table: the answer to "which is
/// nearest, and which is next", computed once, so that a query only reads it.
///
/// ```text
/// place       0 (unknown)   1             2
/// orders    | 0  1  2     | 1  0  2     | 2  1  0     |      location indices, nearest first
/// ```
#[derive(Debug)]
pub struct Ranking {
    orders: Box<[u8]>,
    locations: usize,
}

impl Ranking {
    /// The most locations that can be ranked: an index takes a byte, and a place of a city
    /// database then takes no more than a hundred bytes or so.
    pub const MAX_LOCATIONS: usize = 128;

    /// Ranks the locations for every place of the table. Equally distant ones stay in the order
    /// given, and so do all where the place has no point.
    ///
    /// # Panics
    ///
    /// If there are more than [`Ranking::MAX_LOCATIONS`]: configuration is checked before.
    pub fn build(table: &Table, locations: &[Point]) -> Ranking {
        assert!(locations.len() <= Ranking::MAX_LOCATIONS, "too many locations to rank");
        let vectors: Vec<[f64; 3]> = locations.iter().map(Point::unit).collect();
        let mut orders = Vec::with_capacity(table.places().len() * locations.len());
        let mut ranked: Vec<(f64, u8)> = Vec::with_capacity(locations.len());
        for place in table.places() {
            ranked.clear();
            let from = place.point().map(|point| point.unit());
            ranked.extend((0..).zip(&vectors).map(|(location, to)| {
                (from.map_or(0.0, |from| chord_squared(from, *to)), location)
            }));
            ranked.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            orders.extend(ranked.iter().map(|&(_, location)| location));
        }
        Ranking { orders: orders.into(), locations: locations.len() }
    }

    /// The indices of all locations, nearest first.
    ///
    /// # Panics
    ///
    /// If the place is not of the table that was ranked, but of a larger one.
    #[inline]
    pub fn order(&self, place: PlaceId) -> &[u8] {
        let first = place.index() * self.locations;
        &self.orders[first..first + self.locations]
    }

    /// The memory that the ranking holds, in bytes.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Ranking>() + size_of_val(&*self.orders)
    }
}

fn chord_squared(a: [f64; 3], b: [f64; 3]) -> f64 {
    let [x, y, z] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    x * x + y * y + z * z
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::{Place, ScopeCap, TableBuilder, regions};

    #[test]
    fn nearest_first_also_across_the_date_line() {
        let locations = ["us-central1", "europe-west3", "asia-southeast1", "australia-southeast1"];
        let points = locations.map(|name| regions::find(name).unwrap().point);
        let nearest = |lat, lon| {
            let (table, place) = table_of(&[(lat, lon)]);
            locations[usize::from(Ranking::build(&table, &points).order(place[0])[0])]
        };
        assert_eq!(nearest(48.9, 2.4), "europe-west3"); // Paris
        assert_eq!(nearest(21.3, -157.9), "us-central1"); // Honolulu
        assert_eq!(nearest(-18.1, 178.4), "australia-southeast1"); // Suva
        assert_eq!(nearest(-13.8, -171.8), "australia-southeast1"); // Apia, beyond 180°
        assert_eq!(nearest(35.7, 139.7), "asia-southeast1"); // Tokyo
    }

    #[test]
    fn ties_and_the_unknown_keep_the_order_given() {
        let twin = Point::new(10.0, 10.0).unwrap();
        let far = Point::new(-40.0, 100.0).unwrap();
        let (table, place) = table_of(&[(11.0, 11.0)]);
        let ranking = Ranking::build(&table, &[far, twin, twin]);
        assert_eq!(ranking.order(place[0]), [1, 2, 0]);
        assert_eq!(ranking.order(PlaceId::UNKNOWN), [0, 1, 2]);
        assert!(Ranking::build(&table, &[]).order(place[0]).is_empty());
    }

    proptest! {
        #[test]
        fn agrees_with_sorting_by_distance(
            places in prop::collection::vec(degrees(), 1..20),
            locations in prop::collection::vec(degrees(), 0..20),
        ) {
            let (table, ids) = table_of(&places);
            let locations: Vec<Point> =
                locations.into_iter().map(|(lat, lon)| Point::new(lat, lon).unwrap()).collect();
            let ranking = Ranking::build(&table, &locations);
            for id in ids {
                let from = table.place(id).point().unwrap();
                let mut sorted: Vec<u8> = (0..locations.len() as u8).collect();
                sorted.sort_by(|&a, &b| {
                    let distance = |i: u8| from.distance(&locations[usize::from(i)]).0;
                    distance(a).total_cmp(&distance(b))
                });
                // Chord and arc may round differently where two are equally far to a millimetre.
                for (ranked, sorted) in ranking.order(id).iter().zip(&sorted) {
                    let distance = |i: &u8| from.distance(&locations[usize::from(*i)]).0;
                    prop_assert!((distance(ranked) - distance(sorted)).abs() < 1e-3);
                }
                let mut all = ranking.order(id).to_vec();
                all.sort_unstable();
                prop_assert_eq!(all, (0..locations.len() as u8).collect::<Vec<_>>());
            }
        }
    }

    fn degrees() -> impl Strategy<Value = (f64, f64)> {
        (-90.0..=90.0f64, -180.0..=180.0f64)
    }

    /// A table with one network per place, and the numbers of those places.
    fn table_of(places: &[(f64, f64)]) -> (Table, Vec<PlaceId>) {
        let mut builder = TableBuilder::new(ScopeCap::default());
        for (i, &(lat, lon)) in places.iter().enumerate() {
            let place = Place::from(Point::new(lat, lon).unwrap());
            builder.network(format!("10.0.{i}.0/24").parse().unwrap(), place).unwrap();
        }
        let table = builder.freeze();
        let address = |i: usize| IpAddr::from([10, 0, i as u8, 1]);
        let ids = (0..places.len()).map(|i| table.lookup_subnet(address(i)).place).collect();
        (table, ids)
    }
}
