//! For each place, the locations by preference: what a `nearest` step reads.

use std::collections::HashMap;

use crate::who::FirstMatch;
use crate::{Distances, Kilometres, Place, PlaceId, Point, Table, Who, Within};

#[cfg(test)]
mod tests;

/// Locations that can be told apart: an index takes a byte, and a set of them one word.
pub const MAX_LOCATIONS: usize = 128;

/// A set of locations: bit *i* is location *i*.
pub type Mask = u128;

/// Makes a location seem nearer or farther: as Route 53's, percent from −99 to 99.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bias(i8);

/// The caller's number is no bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a bias of {0}: from -99 (as if much farther) to 99 (as if much nearer)")]
pub struct BiasError(i64);

impl Bias {
    /// As far as it is.
    pub const NONE: Bias = Bias(0);

    /// What distances are multiplied by: 20 means × 0.80, and −20 means ÷ 0.80.
    pub fn factor(self) -> f64 {
        let rest = 1.0 - f64::from(self.0.unsigned_abs()) / 100.0;
        if self.0 < 0 { 1.0 / rest } else { rest }
    }

    /// Percent.
    pub fn percent(self) -> i8 {
        self.0
    }
}

impl TryFrom<i64> for Bias {
    type Error = BiasError;

    fn try_from(percent: i64) -> Result<Bias, BiasError> {
        let fits = i8::try_from(percent).ok().filter(|percent| percent.abs() <= 99);
        fits.map(Bias).ok_or(BiasError(percent))
    }
}

/// How a [`Lens`] looks at the locations. The default is plain distance.
///
/// Locations are positions in the slice of points that the lens is built with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LensRule {
    /// By location; missing ones have none.
    pub bias: Vec<Bias>,
    /// What counts as equally near; none: no two locations do.
    pub within: Option<Within>,
    /// Of the first entry that is for a place, the locations come first, in that order, each
    /// better than the next; the others follow by distance. At most
    /// [`MAX_RULES`](crate::MAX_RULES) entries.
    pub prefer: Vec<(Vec<Who>, Vec<u8>)>,
}

/// The locations in the order of preference, for each place of a table: computed once, so that a
/// query only reads it.
///
/// ```text
/// place       0 (unknown)   1     2     3     4
/// of_place  |      0      | 1  |  1  |  2  |  1  |          many places share a row
///
/// row         0             1             2
/// orders    | 0  1  2     | 1  0  2     | 2  1  0     |     location indices, best first
/// groups    | 0| 1| 2     | 1  0| 2     | 2| 1  0     |     where a group begins
/// ```
#[derive(Debug)]
pub struct Lens {
    locations: usize,
    of_place: RowNumbers,
    orders: Box<[u8]>,
    groups: Box<[u128]>,
    matched: Box<[Option<u8>]>,
}

/// The locations as seen from one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'l> {
    /// All locations, best first.
    pub order: &'l [u8],
    /// Bit *i*: a group begins at position *i* of the order; those of a group are equally good.
    pub groups: u128,
    /// Which entry of [`LensRule::prefer`] was for the place.
    pub matched: Option<u8>,
}

impl Lens {
    /// Orders the locations for every place of the table.
    ///
    /// Equally far ones stay in the order given. Where a place is unknown, all of them do, each
    /// a group of its own: of what is unknown, nothing is near.
    ///
    /// # Panics
    ///
    /// If there are more than [`MAX_LOCATIONS`], or more rules than
    /// [`MAX_RULES`](crate::MAX_RULES), or a rule prefers what is no location: configuration is
    /// checked before.
    pub fn build(table: &Table, locations: &[Point], rule: &LensRule) -> Lens {
        assert!(locations.len() <= MAX_LOCATIONS, "too many locations to rank");
        let prefer = rule.prefer.iter();
        assert!(
            prefer.clone().flat_map(|entry| &entry.1).all(|&at| usize::from(at) < locations.len()),
            "a location that is none is preferred"
        );
        let mut matches = FirstMatch::new(table, prefer.map(|entry| &*entry.0));
        let mut ranks = Ranks::new(locations, rule);
        let mut rows = Rows::default();
        let of_place = table.place_ids().map(|id| {
            let matched = matches.of(id);
            let preferred = matched.map_or(&[][..], |entry| &rule.prefer[usize::from(entry)].1);
            ranks.order(table.place(id), preferred);
            rows.intern(&ranks, matched)
        });
        let of_place: Vec<u32> = of_place.collect();
        Lens {
            locations: locations.len(),
            of_place: RowNumbers::new(&of_place, rows.groups.len()),
            orders: rows.orders.into(),
            groups: rows.groups.into(),
            matched: rows.matched.into(),
        }
    }

    /// The locations as seen from a place.
    ///
    /// # Panics
    ///
    /// If the place is not of the table that the lens was built for, but of a larger one.
    #[inline]
    pub fn row(&self, place: PlaceId) -> Row<'_> {
        self.nth_row(self.row_number(place))
    }

    /// Equal for places that see the locations alike, and below [`Lens::rows`].
    #[inline]
    pub fn row_number(&self, place: PlaceId) -> u32 {
        self.of_place.get(place.index())
    }

    fn nth_row(&self, row: u32) -> Row<'_> {
        let row = row as usize;
        let first = row * self.locations;
        Row {
            order: &self.orders[first..first + self.locations],
            groups: self.groups[row],
            matched: self.matched[row],
        }
    }

    /// How many different rows there are.
    pub fn rows(&self) -> usize {
        self.groups.len()
    }

    /// The memory that it holds, in bytes: two for each place, four if there are more than 65,536
    /// rows; and the rows.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Lens>()
            + self.of_place.memory_bytes()
            + size_of_val(&*self.orders)
            + size_of_val(&*self.groups)
            + size_of_val(&*self.matched)
    }
}

impl Row<'_> {
    /// The groups, best first, each with its locations.
    pub fn iter_groups(&self) -> impl Iterator<Item = &[u8]> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let rest = self.order.get(at..).filter(|rest| !rest.is_empty())?;
            let behind = self.groups.checked_shr(at as u32 + 1).unwrap_or(0);
            let len = rest.len().min(behind.trailing_zeros() as usize + 1);
            at += len;
            Some(&rest[..len])
        })
    }
}

/// The row of each place. A dozen locations have some thousand rows over hundreds of thousands of
/// places, so two bytes are nearly always enough.
#[derive(Debug)]
enum RowNumbers {
    Few(Box<[u16]>),
    Many(Box<[u32]>),
}

impl RowNumbers {
    fn new(of_place: &[u32], rows: usize) -> RowNumbers {
        if rows <= 1 << 16 {
            return RowNumbers::Few(of_place.iter().map(|&row| row as u16).collect());
        }
        RowNumbers::Many(of_place.into())
    }

    #[inline]
    fn get(&self, place: usize) -> u32 {
        match self {
            RowNumbers::Few(rows) => rows[place].into(),
            RowNumbers::Many(rows) => rows[place],
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            RowNumbers::Few(rows) => size_of_val(&**rows),
            RowNumbers::Many(rows) => size_of_val(&**rows),
        }
    }
}

/// Orders locations for one place after another.
struct Ranks {
    distances: Distances,
    /// None: as far as they are.
    factors: Option<Vec<f64>>,
    within: Option<Within>,
    by_distance: Vec<(f64, u8)>,
    order: Vec<u8>,
    groups: u128,
}

impl Ranks {
    fn new(locations: &[Point], rule: &LensRule) -> Ranks {
        let factors = || {
            let given = rule.bias.iter().map(|bias| bias.factor());
            given.chain(std::iter::repeat(1.0)).take(locations.len()).collect()
        };
        let biased = rule.bias.iter().any(|&bias| bias != Bias::NONE);
        Ranks {
            distances: Distances::new(locations),
            factors: biased.then(factors),
            within: rule.within,
            by_distance: Vec::with_capacity(locations.len()),
            order: Vec::with_capacity(locations.len()),
            groups: 0,
        }
    }

    fn order(&mut self, from: &Place, preferred: &[u8]) {
        self.measure(from);
        self.by_distance.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        self.order.clear();
        self.groups = 0;
        let mut placed: Mask = 0;
        for &location in preferred {
            if placed & 1 << location == 0 {
                placed |= 1 << location;
                self.groups |= 1 << self.order.len();
                self.order.push(location);
            }
        }
        let band = self.within.filter(|_| from.is_somewhere());
        let mut limit = None;
        for &(distance, location) in &self.by_distance {
            if placed & 1 << location != 0 {
                continue;
            }
            if limit.is_none_or(|limit| distance > limit) {
                limit = band.map(|band| band.limit(Kilometres(distance)).0);
                self.groups |= 1 << self.order.len();
            }
            self.order.push(location);
        }
    }

    /// Something that sorts like the distance, and is one where that matters.
    fn measure(&mut self, from: &Place) {
        let all = 0..self.distances.len() as u8;
        self.by_distance.clear();
        if self.factors.is_none()
            && self.within.is_none()
            && let Some(proxies) = self.distances.proxies(from)
        {
            self.by_distance.extend(proxies.zip(all));
        } else if let Some(distances) = self.distances.from(from) {
            let factors = self.factors.iter().flatten().copied().chain(std::iter::repeat(1.0));
            let seen = distances.zip(factors).map(|(far, factor)| far.0 * factor);
            self.by_distance.extend(seen.zip(all));
        } else {
            self.by_distance.extend(all.map(|location| (0.0, location)));
        }
    }
}

/// Rows, each once.
#[derive(Default)]
struct Rows {
    numbers: HashMap<Box<[u8]>, u32>,
    orders: Vec<u8>,
    groups: Vec<u128>,
    matched: Vec<Option<u8>>,
    /// The row in question as a key of `numbers`.
    key: Vec<u8>,
}

impl Rows {
    fn intern(&mut self, ranks: &Ranks, matched: Option<u8>) -> u32 {
        self.key.clear();
        self.key.extend_from_slice(&ranks.order);
        self.key.extend(ranks.groups.to_ne_bytes());
        self.key.extend(matched);
        if let Some(&known) = self.numbers.get(&*self.key) {
            return known;
        }
        let number = self.groups.len() as u32;
        self.orders.extend_from_slice(&ranks.order);
        self.groups.push(ranks.groups);
        self.matched.push(matched);
        self.numbers.insert(self.key.as_slice().into(), number);
        number
    }
}
