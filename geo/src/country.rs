//! Countries and their centres.

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

    /// The middle of the country's networks: from there, what is nearest is what its clients are
    /// nearest to on average. For Canada or Russia that is far from the middle of the land. None
    /// for unassigned codes.
    ///
    /// From `countries.csv`, which says how the points were found, and what stands for lands
    /// without people and for codes that are no single country.
    pub fn center(self) -> Option<Point> {
        Some(KNOWN[self.slot()]?.center)
    }

    /// The continent that it counts to, as GeoNames and MaxMind have it: all of Russia and Cyprus
    /// to Europe, Turkey and the Caucasus to Asia, Egypt to Africa. None for unassigned codes.
    pub fn continent(self) -> Option<Continent> {
        Some(KNOWN[self.slot()]?.continent)
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

/// What `countries.csv` says of one.
#[derive(Clone, Copy)]
struct Known {
    continent: Continent,
    center: Point,
}

/// A slot for any two letters: a lookup is one load.
static KNOWN: LazyLock<[Option<Known>; 26 * 26]> = LazyLock::new(|| {
    let mut known = [None; 26 * 26];
    for (country, row) in rows() {
        known[country.slot()] = Some(row);
    }
    known
});

/// The rows of `countries.csv`: code, name, continent, latitude, longitude.
fn rows() -> impl Iterator<Item = (Country, Known)> {
    let lines = include_str!("countries.csv").lines().skip(1).filter(|line| !line.starts_with('#'));
    lines.map(|line| row(line).expect("countries.csv is part of the crate and tested"))
}

fn row(line: &str) -> Option<(Country, Known)> {
    let mut fields = line.split(',');
    let country = fields.next()?.parse().ok()?;
    let continent = fields.nth(1)?.parse().ok()?;
    let mut degrees = fields.map(str::parse::<f64>);
    let center = Point::new(degrees.next()?.ok()?, degrees.next()?.ok()?).ok()?;
    Some((country, Known { continent, center }))
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
        let mut codes: Vec<String> = rows().map(|(country, _)| country.to_string()).collect();
        codes.sort_unstable();
        assert!(codes.windows(2).all(|pair| pair[0] != pair[1]), "a country twice");
        let assigned: Vec<&str> = ASSIGNED.split_whitespace().collect();
        assert_eq!(assigned.len(), 249);
        for code in assigned {
            assert!(codes.iter().any(|row| row == code), "{code} has no centre");
        }
        assert!(center("XK").is_some());
        assert!(center("ZZ").is_none());
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
            let [near, far] = [nearest, other].map(|region| {
                let region = crate::regions::find(region).unwrap();
                center(code).unwrap().distance(&region.point)
            });
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
