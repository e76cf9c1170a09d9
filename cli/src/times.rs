//! Times and durations as people write them on the command line.

use std::time::{Duration, SystemTime};

/// A moment in UTC: `2026-12-01T14:00Z`; seconds may follow.
///
/// # Errors
/// How to write it.
pub(crate) fn parse_time(text: &str) -> Result<SystemTime, String> {
    const MINUTES: usize = "2026-12-01T14:00".len();
    let bare = text.strip_suffix('Z').unwrap_or(text);
    let whole = match bare.len() {
        MINUTES => format!("{bare}:00"),
        _ => bare.to_owned(),
    };
    humantime::parse_rfc3339_weak(&whole)
        .map_err(|_| format!("{text:?} is no time: write it in UTC, as 2026-12-01T14:00Z"))
}

/// `90s`, `10m`, `2h 30m`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(span) if span < Duration::from_millis(1) => Err("at least a millisecond".to_owned()),
        Ok(span) => Ok(span),
        Err(error) => Err(format!("{error}: write it as 90s, 10m or 2h")),
    }
}

/// Milliseconds since 1970, as times go over the wire; 0 for a time before that.
pub(crate) fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The time of milliseconds since 1970, to the second, for people.
pub(crate) fn shown(unix_ms: u64) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms));
    // The last second of 9999 is the last that has a form.
    let known = time.filter(|time| {
        time.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|t| t.as_secs() < 253_402_300_800)
    });
    known.map_or("?".to_owned(), |time| humantime::format_rfc3339_seconds(time).to_string())
}

/// A duration to the second, for people.
pub(crate) fn rounded(span: Duration) -> String {
    let seconds =
        Duration::from_secs(span.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX));
    humantime::format_duration(seconds).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_to_the_minute_or_to_the_second() {
        let seconds = |text: &str| parse_time(text).map(|time| unix_ms(time) / 1000);
        assert_eq!(seconds("2026-12-01T14:00Z"), Ok(1_796_133_600));
        assert_eq!(seconds("2026-12-01T14:00"), Ok(1_796_133_600));
        assert_eq!(seconds("2026-12-01T14:00:07Z"), Ok(1_796_133_607));
        assert_eq!(shown(1_796_133_607_999), "2026-12-01T14:00:07Z");
        assert_eq!(shown(u64::MAX), "?");
        for no in ["", "now", "2026-12-01", "14:00Z", "2026-12-01T14:00+01:00", "2026-13-01T14:00Z"]
        {
            assert!(parse_time(no).unwrap_err().contains("as 2026-12-01T14:00Z"), "{no}");
        }
    }

    #[test]
    fn spans_have_units() {
        assert_eq!(parse_span("2h 30m"), Ok(Duration::from_secs(9000)));
        assert_eq!(rounded(Duration::from_millis(9_000_001)), "2h 30m 1s");
        assert!(parse_span("0s").is_err() && parse_span("soon").is_err());
    }
}
