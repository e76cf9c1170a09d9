//! The seven continents.

use std::fmt;
use std::str::FromStr;

/// A continent, by the two letters that GeoNames and MaxMind use. Which one a country counts to
/// is [`Country::continent`](crate::Country::continent).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Continent {
    /// `AF`
    Africa,
    /// `AN`
    Antarctica,
    /// `AS`
    Asia,
    /// `EU`
    Europe,
    /// `NA`, with Central America and the Caribbean
    NorthAmerica,
    /// `OC`
    Oceania,
    /// `SA`
    SouthAmerica,
}

impl Continent {
    /// In the order of their codes.
    pub const ALL: [Continent; 7] = [
        Continent::Africa,
        Continent::Antarctica,
        Continent::Asia,
        Continent::Europe,
        Continent::NorthAmerica,
        Continent::Oceania,
        Continent::SouthAmerica,
    ];

    /// Its two letters.
    pub fn code(self) -> &'static str {
        match self {
            Continent::Africa => "AF",
            Continent::Antarctica => "AN",
            Continent::Asia => "AS",
            Continent::Europe => "EU",
            Continent::NorthAmerica => "NA",
            Continent::Oceania => "OC",
            Continent::SouthAmerica => "SA",
        }
    }
}

/// From its code, of either case.
impl FromStr for Continent {
    type Err = ContinentError;

    fn from_str(code: &str) -> Result<Continent, ContinentError> {
        let found = Continent::ALL.into_iter().find(|it| it.code().eq_ignore_ascii_case(code));
        found.ok_or_else(|| ContinentError(code.chars().take(16).collect()))
    }
}

/// `EU`
impl fmt::Display for Continent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The caller's text is no continent's code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no continent: one of AF, AN, AS, EU, NA, OC, SA")]
pub struct ContinentError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_back() {
        for continent in Continent::ALL {
            assert_eq!(continent.to_string().to_lowercase().parse(), Ok(continent));
        }
        assert!(Continent::ALL.is_sorted_by_key(|continent| continent.code()));
        for wrong in ["", "E", "EUR", "DE", "Europe"] {
            assert!(wrong.parse::<Continent>().is_err(), "{wrong:?}");
        }
    }
}
