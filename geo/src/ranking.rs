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
