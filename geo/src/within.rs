//! How much farther still counts as equally near.

use std::fmt;
use std::str::FromStr;

use crate::Kilometres;

/// A band of distances that count as one: a share of the nearest's, or so much more than it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Within {
    /// Up to so many percent farther than the nearest; at most [`Within::MAX_PERCENT`].
    Percent(u16),
    /// Up to so many kilometres farther; at most [`Within::MAX_KILOMETRES`].
    Kilometres(u16),
}

impl Within {
    /// Eleven times as far; whoever means more ranks nothing.
    pub const MAX_PERCENT: u16 = 1000;
    /// Half of the earth's circumference: nothing is farther.
    pub const MAX_KILOMETRES: u16 = 20_016;

    /// The farthest that still counts as near as `nearest` is.
    pub fn limit(self, nearest: Kilometres) -> Kilometres {
        Kilometres(match self {
            Within::Percent(share) => nearest.0 * (100.0 + f64::from(share)) / 100.0,
            Within::Kilometres(more) => nearest.0 + f64::from(more),
        })
    }
}

/// `15 %` or `300 km`.
impl FromStr for Within {
    type Err = WithinError;

    fn from_str(text: &str) -> Result<Within, WithinError> {
        let error = || WithinError(text.chars().take(32).collect());
        let (number, unit, most): (_, fn(u16) -> Within, _) = match text.strip_suffix('%') {
            Some(number) => (number, Within::Percent, Within::MAX_PERCENT),
            None => {
                let number = text.strip_suffix("km").ok_or_else(error)?;
                (number, Within::Kilometres, Within::MAX_KILOMETRES)
            }
        };
        let number: u16 = number.trim_end().parse().map_err(|_| error())?;
        if number > most {
            return Err(error());
        }
        Ok(unit(number))
    }
}

/// As it is written.
impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Within::Percent(share) => write!(f, "{share} %"),
            Within::Kilometres(more) => write!(f, "{more} km"),
        }
    }
}

/// The caller's text is no band.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no band of distances: \"15 %\" (up to {percent} %) or \"300 km\" (up to {km} km)",
    percent = Within::MAX_PERCENT,
    km = Within::MAX_KILOMETRES
)]
pub struct WithinError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_units_are_read_back() {
        for (text, within) in [
            ("15 %", Within::Percent(15)),
            ("1000%", Within::Percent(1000)),
            ("300 km", Within::Kilometres(300)),
            ("0km", Within::Kilometres(0)),
        ] {
            assert_eq!(text.parse(), Ok(within));
            assert_eq!(within.to_string().parse(), Ok(within));
        }
        for wrong in ["", "15", "%", "-1 %", "1001 %", "20017 km", "300 m", "1.5 %", "km"] {
            let error = wrong.parse::<Within>().expect_err(wrong).to_string();
            assert!(error.contains("\"300 km\" (up to 20016 km)"), "{error}");
        }
    }

    #[test]
    fn the_limit_is_measured_from_the_nearest() {
        assert_eq!(Within::Percent(15).limit(Kilometres(200.0)), Kilometres(230.0));
        assert_eq!(Within::Kilometres(15).limit(Kilometres(200.0)), Kilometres(215.0));
    }
}
