//! Countries and their centres.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::Point;

/// A country or territory: two letters, as in ISO 3166-1 alpha-2.
///
/// Databases also use codes beside the standard (`XK`, `EU`, `AP`), so any two letters parse;
/// [`Country::center`] tells the known ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Country([u8; 2]);

impl Country {
    /// A country from two letters of either case.
    pub fn new(letters: [u8; 2]) -> Option<Country> {
        let letters = letters.map(|letter| letter.to_ascii_uppercase());
        letters.iter().all(u8::is_ascii_uppercase).then_some(Country(letters))
    }

    /// The country's population-weighted centre, near which most of its clients are: for
    /// Canada or Russia that is far from the middle of the land. None for unassigned codes.
    ///
    /// From the curated `countries.csv`, which says what stands for lands without people and
    /// for codes that are no single country.
    pub fn center(self) -> Option<Point> {
        CENTERS[self.slot()]
    }

    /// Both letters, upper case.
    pub(crate) fn bytes(self) -> [u8; 2] {
        self.0
    }

    fn slot(self) -> usize {
        let [first, second] = self.0.map(|letter| usize::from(letter - b'A'));
        first * 26 + second
    }
}

/// A slot for any two letters: a lookup is one load.
static CENTERS: LazyLock<[Option<Point>; 26 * 26]> = LazyLock::new(|| {
    let mut centers = [None; 26 * 26];
    for (country, center) in rows() {
        centers[country.slot()] = Some(center);
    }
    centers
});

/// The rows of `countries.csv`: code, name, latitude, longitude.
fn rows() -> impl Iterator<Item = (Country, Point)> {
    let lines = include_str!("countries.csv").lines().skip(1).filter(|line| !line.starts_with('#'));
    lines.map(|line| row(line).expect("countries.csv is part of the crate and tested"))
}

fn row(line: &str) -> Option<(Country, Point)> {
    let mut fields = line.split(',');
    let country = fields.next()?.parse().ok()?;
    let mut degrees = fields.skip(1).map(str::parse::<f64>);
    Some((country, Point::new(degrees.next()?.ok()?, degrees.next()?.ok()?).ok()?))
}

impl FromStr for Country {
    type Err = CountryError;

    fn from_str(code: &str) -> Result<Country, CountryError> {
        let letters = <[u8; 2]>::try_from(code.as_bytes()).ok().and_then(Country::new);
        letters.ok_or_else(|| CountryError(code.chars().take(16).collect()))
    }
}

impl TryFrom<String> for Country {
    type Error = CountryError;

    fn try_from(code: String) -> Result<Country, CountryError> {
        code.parse()
    }
}

/// `DE`
impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.0.map(char::from);
        write!(f, "{first}{second}")
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Country({self})")
    }
}

/// The caller's text is no country code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no country code: two letters of ISO 3166-1, such as DE")]
pub struct CountryError(String);
