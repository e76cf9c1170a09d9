//! Kilometres from a place to the locations, when a query asks for them.

use crate::{Kilometres, Point, point};

/// The locations as unit vectors: a place's distances cost two sines and cosines for the place,
/// and one arcsine each.
#[derive(Clone, Debug, Default)]
pub struct Distances(Box<[[f64; 3]]>);

impl Distances {
    /// To these locations.
    pub fn new(locations: &[Point]) -> Distances {
        Distances(locations.iter().map(Point::unit).collect())
    }

    /// From a point, in the order of the locations: great-circle distances, as
    /// [`Point::distance`] has them but for rounding.
    pub fn from(&self, point: &Point) -> impl ExactSizeIterator<Item = Kilometres> + '_ {
        let from = point.unit();
        self.0.iter().map(move |&to| point::arc(from, to))
    }

    /// The squared chords, which sort like the distances and cost nearly nothing.
    pub(crate) fn chords_squared(&self, from: [f64; 3]) -> impl Iterator<Item = f64> + '_ {
        self.0.iter().map(move |&to| point::chord_squared(from, to))
    }

    /// How many locations there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
