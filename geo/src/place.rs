//! What is known of where an address is.

use crate::{Country, Point};

/// Where some addresses are: a country, a point, both, or, for [`Place::UNKNOWN`], neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The country, if known.
    pub country: Option<Country>,
    /// The point the source itself gave. [`Place::point`] falls back to the country's.
    pub point: Option<Point>,
}

impl Place {
    /// Nothing is known.
    pub const UNKNOWN: Place = Place { country: None, point: None };

    /// The best point known, for showing: the source's own, else the middle of the country's networks.
    /// Distances are not measured from there: [`Distances`](crate::Distances) does that.
    pub fn point(&self) -> Option<Point> {
        self.point.or_else(|| self.country?.center())
    }

    /// Whether its distance from anything is known.
    pub fn is_somewhere(&self) -> bool {
        self.point.is_some() || self.country.is_some_and(|country| country.row().is_some())
    }

    /// Whether there is neither a country nor a point.
    pub fn is_unknown(&self) -> bool {
        *self == Place::UNKNOWN
    }
}

impl From<Country> for Place {
    fn from(country: Country) -> Place {
        Place { country: Some(country), point: None }
    }
}

impl From<Point> for Place {
    fn from(point: Point) -> Place {
        Place { country: None, point: Some(point) }
    }
}

/// The number of a [`Place`] in one [`Table`](crate::Table). Places are numbered by their
/// content, so tables of equal content number them alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceId(pub(crate) u32);

impl PlaceId {
    /// The place of addresses of which nothing is known. Every table has it, first.
    pub const UNKNOWN: PlaceId = PlaceId(0);

    /// The index into [`Table::places`](crate::Table::places).
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where the place of an address was learnt. Earlier ones win over later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Source {
    /// A network that the configuration places explicitly.
    Network,
    /// Private, shared, loopback or link-local (RFC 6890): the same addresses are in use all over
    /// the world, so they are nowhere, and the place is unknown.
    Special,
    /// A database file.
    Database,
    /// The built-in country database.
    BuiltIn,
    /// Nothing covers the address.
    None,
}

impl Source {
    /// The inverse of `as u8`, of which only the lowest three bits count.
    pub(crate) fn from_bits(bits: u32) -> Source {
        match bits & 7 {
            0 => Source::Network,
            1 => Source::Special,
            2 => Source::Database,
            3 => Source::BuiltIn,
            _ => Source::None,
        }
    }
}
