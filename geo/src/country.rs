//! Countries, and where their networks are.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::{Continent, Point};

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

    /// Where the country's networks are: a few points with their shares, which sum up to 1. None for
    /// unassigned codes.
    ///
    /// From `spread.csv`, which says how the points were found; where it has none, the point of
    /// `countries.csv`, which stands for lands without networks.
    pub fn spread(self) -> &'static [(Point, f64)] {
        self.known().map_or(&[], |known| &known.spread)
    }

    /// The middle of the country's networks: for showing where that is. What is near to its clients
    /// is another question, which [`Distances`](crate::Distances) answers. None for unassigned codes.
    pub fn center(self) -> Option<Point> {
        Some(self.known()?.center)
    }

    /// The continent that it counts to, as GeoNames and MaxMind have it: all of Russia and Cyprus
    /// to Europe, Turkey and the Caucasus to Asia, Egypt to Africa. None for unassigned codes.
    pub fn continent(self) -> Option<Continent> {
        Some(self.known()?.continent)
    }

    /// Both letters, upper case.
    pub(crate) fn bytes(self) -> [u8; 2] {
        self.0
    }

    /// Its row among [`rows`].
    pub(crate) fn row(self) -> Option<usize> {
        COUNTRIES.slots[self.slot()].map(usize::from)
    }

    fn known(self) -> Option<&'static Known> {
        self.row().map(|row| &COUNTRIES.rows[row])
    }

    fn slot(self) -> usize {
        let [first, second] = self.0.map(|letter| usize::from(letter - b'A'));
        first * 26 + second
    }
}

/// What `countries.csv` and `spread.csv` say of one.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) spread: Box<[(Point, f64)]>,
    continent: Continent,
    center: Point,
}

/// All of them, in the order of `countries.csv`.
pub(crate) fn rows() -> &'static [Known] {
    &COUNTRIES.rows
}

struct Countries {
    /// A slot for any two letters: a lookup is two loads.
    slots: [Option<u16>; 26 * 26],
    rows: Box<[Known]>,
}

static COUNTRIES: LazyLock<Countries> = LazyLock::new(|| {
    let spreads = spreads();
    let mut slots = [None; 26 * 26];
    let mut rows = Vec::new();
    for (row, line) in (0..).zip(lines(include_str!("countries.csv"))) {
        let (country, known) = known(line, &spreads).expect("countries.csv is tested");
        slots[country.slot()] = Some(row);
        rows.push(known);
    }
    Countries { slots, rows: rows.into() }
});

/// Without the head and comments.
fn lines(csv: &'static str) -> impl Iterator<Item = &'static str> {
    csv.lines().skip(1).filter(|line| !line.starts_with('#'))
}

/// A row of `countries.csv`: code, name, continent, and where there are no networks, latitude and
/// longitude.
fn known(line: &str, spreads: &HashMap<Country, Spread>) -> Option<(Country, Known)> {
    let mut fields = line.split(',');
    let country = fields.next()?.parse().ok()?;
    let continent = fields.nth(1)?.parse().ok()?;
    let spread: Box<[_]> = match spreads.get(&country) {
        Some(pieces) => {
            // Shares are rounded.
            let all: f64 = pieces.iter().map(|(_, share)| share).sum();
            pieces.iter().map(|(point, share)| (*point, share / all)).collect()
        }
        None => [(degrees(fields)?, 1.0)].into(),
    };
    let center = middle(&spread)?;
    Some((country, Known { spread, continent, center }))
}

type Spread = Vec<(Point, f64)>;

/// The rows of `spread.csv`, by country: code, share, latitude, longitude.
fn spreads() -> HashMap<Country, Spread> {
    let mut spreads: HashMap<Country, Spread> = HashMap::new();
    for line in lines(include_str!("spread.csv")) {
        let piece = || {
            let mut fields = line.split(',');
            let country: Country = fields.next()?.parse().ok()?;
            let share = fields.next()?.parse().ok()?;
            Some((country, (degrees(fields)?, share)))
        };
        let (country, piece) = piece().expect("spread.csv is tested");
        spreads.entry(country).or_default().push(piece);
    }
    spreads
}

fn degrees<'f>(mut fields: impl Iterator<Item = &'f str>) -> Option<Point> {
    let mut next = || fields.next()?.parse().ok();
    Point::new(next()?, next()?).ok()
}

/// The mean place, to a hundredth of a degree; the point itself of only one.
fn middle(spread: &[(Point, f64)]) -> Option<Point> {
    let &[(only, _)] = spread else {
        let mut sum = [0.0; 3];
        for (point, share) in spread {
            sum.iter_mut().zip(point.unit()).for_each(|(sum, x)| *sum += share * x);
        }
        let [x, y, z] = sum;
        let hundredths = |radians: f64| (radians.to_degrees() * 100.0).round() / 100.0;
        return Point::new(hundredths(z.atan2(x.hypot(y))), hundredths(y.atan2(x))).ok();
    };
    Some(only)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// ISO 3166-1 alpha-2, all that are officially assigned.
    const ASSIGNED: &str = "\
        AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ \
        BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM \
        DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS \
        GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN \
        KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ \
        MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM \
        PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV \
        SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI \
        VN VU WF WS YE YT ZA ZM ZW";

    #[test]
    fn every_assigned_country_has_one_row() {
        let code = |line: &str| line.split(',').next().unwrap().to_owned();
        let mut codes: Vec<String> = lines(include_str!("countries.csv")).map(code).collect();
        codes.sort_unstable();
        assert!(codes.windows(2).all(|pair| pair[0] != pair[1]), "a country twice");
        let assigned: Vec<&str> = ASSIGNED.split_whitespace().collect();
        assert_eq!(assigned.len(), 249);
        for code in assigned {
            assert!(codes.iter().any(|row| row == code), "{code} has no row");
        }
        assert_eq!(codes.len(), rows().len());
        assert!(center("XK").is_some());
        assert!(center("ZZ").is_none());
    }

    #[test]
    fn each_country_is_somewhere_once() {
        let spreads = spreads();
        for line in lines(include_str!("countries.csv")) {
            let fields: Vec<&str> = line.split(',').collect();
            let [code, _, _, latitude, longitude] = fields[..] else { panic!("{line}") };
            let country: Country = code.parse().unwrap();
            let has_networks = spreads.contains_key(&country);
            assert_eq!(latitude.is_empty() && longitude.is_empty(), has_networks, "{code}");
            let spread = country.spread();
            assert!(!spread.is_empty() && spread.len() <= 16, "{code}: {}", spread.len());
            assert!(spread.iter().all(|(_, share)| *share > 0.0), "{code}");
            let sum: f64 = spread.iter().map(|(_, share)| share).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{code}: {sum}");
        }
        let known = |country: &Country| country.row().is_some();
        assert!(spreads.keys().all(known), "a country that countries.csv does not have");
        assert!("ZZ".parse::<Country>().unwrap().spread().is_empty());
    }

    #[test]
    fn centers_are_not_far_from_the_people() {
        // Published centres of population. Networks lean to where companies and data centres are,
        // in the United States to the east; a slip of a sign or digit is farther off.
        let published = [
            ("US", 37.416, -92.347, 800.0), // Census Bureau, 2020: near Hartville, Missouri
            ("JP", 35.57, 137.04, 250.0),   // Statistics Bureau, 2020: Seki, Gifu
            ("GB", 52.69, -1.55, 150.0),    // Appleby Parva, Leicestershire
        ];
        for (code, lat, lon, within) in published {
            let published = Point::new(lat, lon).unwrap();
            let apart = center(code).unwrap().distance(&published);
            assert!(apart.0 < within, "{code}: {apart} apart");
        }
    }

    #[test]
    fn the_nearest_region_is_the_one_that_networks_are_nearest_to_on_average() {
        // By mean distance from the country's /24s and /48s in DB-IP City Lite.
        for (code, nearest, other) in [
            ("US", "us-east1", "us-central1"),
            ("CA", "us-central1", "us-east1"),
            ("CI", "africa-south1", "europe-west1"),
            ("IQ", "europe-north1", "asia-south1"),
            ("MZ", "southamerica-east1", "asia-southeast1"),
            ("PG", "asia-southeast1", "asia-northeast1"),
        ] {
            let points = [nearest, other].map(|region| crate::regions::find(region).unwrap().point);
            let distances = crate::Distances::new(&points);
            let place = crate::Place::from(code.parse::<Country>().unwrap());
            let [near, far] = [0, 1].map(|at| distances.between(&place, at).unwrap());
            assert!(near < far, "{code}: {nearest} {near}, {other} {far}");
        }
    }

    #[test]
    fn borders_of_continents_are_as_databases_draw_them() {
        let on = |code: &str| code.parse::<Country>().unwrap().continent();
        for (code, continent) in [
            ("RU", Continent::Europe),
            ("CY", Continent::Europe),
            ("TR", Continent::Asia),
            ("GE", Continent::Asia),
            ("KZ", Continent::Asia),
            ("EG", Continent::Africa),
            ("GL", Continent::NorthAmerica),
            ("PA", Continent::NorthAmerica),
            ("TT", Continent::NorthAmerica),
            ("CO", Continent::SouthAmerica),
            ("ID", Continent::Asia),
            ("PG", Continent::Oceania),
            ("AQ", Continent::Antarctica),
        ] {
            assert_eq!(on(code), Some(continent), "{code}");
        }
        assert_eq!(on("ZZ"), None);
    }

    #[test]
    fn codes_are_two_letters() {
        assert_eq!("de".parse::<Country>().unwrap().to_string(), "DE");
        for wrong in ["", "D", "DEU", "D1", "Ä", "  "] {
            assert!(wrong.parse::<Country>().is_err(), "{wrong:?}");
        }
    }

    fn center(code: &str) -> Option<Point> {
        code.parse::<Country>().unwrap().center()
    }
}
