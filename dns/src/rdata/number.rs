//! Numbers and times.

use super::cursor::Cursor;
use crate::zonefile::{Fault, Token};
use std::fmt;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// Reads a decimal number from 0 to `max`.
pub(super) fn read(cursor: &mut Cursor<'_>, max: u64) -> Result<u64, Fault> {
    let what = format!("a number from 0 to {max}");
    let token = cursor.word(&what)?;
    decimal(token.word()).filter(|&number| number <= max).ok_or_else(|| {
        let message = format!("{} is not {what}", token.show());
        Fault::new(token, message, "write it with the digits 0 to 9 alone")
    })
}

/// Digits and nothing else.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Reads seconds, with units or without.
pub(super) fn read_seconds(cursor: &mut Cursor<'_>) -> Result<u32, Fault> {
    const HELP: &str = "write seconds, or units: 2h, 1w3d, 1h30m";
    let token = cursor.word("a time")?;
    token
        .seconds()
        .ok_or_else(|| Fault::new(token, format!("{} is not a time", token.show()), HELP))
}

/// Reads a point in time as DNSSEC has it: `YYYYMMDDHHmmSS`, or seconds since 1970 (RFC 4034 §3.2).
pub(super) fn read_stamp(cursor: &mut Cursor<'_>) -> Result<u32, Fault> {
    let token = cursor.word("a time as YYYYMMDDHHmmSS")?;
    stamp(token).ok_or_else(|| {
        let message = format!("{} is not a time from 1970 to 2106", token.show());
        Fault::new(token, message, "write YYYYMMDDHHmmSS in UTC, or seconds since 1970")
    })
}

fn stamp(token: &Token<'_>) -> Option<u32> {
    let text = token.word();
    let number = decimal(text)?;
    if text.len() != 14 {
        return u32::try_from(number).ok();
    }
    let part = |at: usize, length: usize| decimal(text.get(at..at + length)?);
    let (year, month, day) = (part(0, 4)?, part(4, 2)?, part(6, 2)?);
    let (hour, minute, second) = (part(8, 2)?, part(10, 2)?, part(12, 2)?);
    let days = days_since_1970(year, month, day)?;
    // Only a time that is: the days count back to the date they came from.
    if date(days) != (year, month, day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    u32::try_from(days * DAY + hour * 3_600 + minute * 60 + second).ok()
}

/// Shows a point in time as `YYYYMMDDHHmmSS`.
pub(super) fn show_stamp(seconds: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (days, second) = (u64::from(seconds) / DAY, u64::from(seconds) % DAY);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    write!(f, "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
}

/// Days from 1970-01-01 in the Gregorian calendar: years begin in March here, so that the leap day
/// is the last.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let in_year = (153 * month + 2) / 5 + day.checked_sub(1)?;
    (365 * year + year / 4 - year / 100 + year / 400 + in_year).checked_sub(719_468)
}

/// Year, month and day of a day counted from 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, in_era) = (days / 146_097, days % 146_097);
    let year = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + carry, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_agree() {
        for days in 0..=u64::from(u32::MAX) / DAY {
            let (year, month, day) = date(days);
            assert_eq!(days_since_1970(year, month, day), Some(days));
        }
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(19_782), (2024, 2, 29));
        assert_eq!(date(49_710), (2106, 2, 7));
    }
}
