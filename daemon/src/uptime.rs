//! Durations as Go prints them; the wire form of `uptime` (`time.Duration.String`).
//!
//! ```
//! use std::time::Duration;
//! use daemon::uptime::go_duration;
//!
//! assert_eq!(go_duration(Duration::new(2_218_942, 12_357_708)), "616h22m22.012357708s");
//! assert_eq!(go_duration(Duration::from_millis(1500)), "1.5s");
//! assert_eq!(go_duration(Duration::ZERO), "0s");
//! ```

use std::time::Duration;

/// `duration` in Go's form: hours, minutes and seconds from a second up, else one of `ms`, `µs`,
/// `ns`; fractions without trailing zeros.
pub fn go_duration(duration: Duration) -> String {
    let nanos = duration.subsec_nanos();
    let seconds = duration.as_secs();
    if seconds == 0 {
        return match nanos {
            0 => "0s".to_owned(),
            1..1_000 => format!("{nanos}ns"),
            1_000..1_000_000 => {
                format!("{}µs", decimal(u64::from(nanos / 1_000), nanos % 1_000, 3))
            }
            _ => format!("{}ms", decimal(u64::from(nanos / 1_000_000), nanos % 1_000_000, 6)),
        };
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = decimal(seconds % 60, nanos, 9);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, minutes) => format!("{minutes}m{rest}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
    }
}

/// `whole` and a fraction of `digits` decimal places, without the zeros at its end.
fn decimal(whole: u64, fraction: u32, digits: usize) -> String {
    if fraction == 0 {
        return whole.to_string();
    }
    let padded = format!("{fraction:0digits$}");
    format!("{whole}.{}", padded.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_prints_them() {
        // Expected values from Go's own time.Duration.String table and documentation.
        let cases = [
            (Duration::ZERO, "0s"),
            (Duration::from_nanos(1), "1ns"),
            (Duration::from_nanos(1100), "1.1µs"),
            (Duration::from_nanos(2_200_000), "2.2ms"),
            (Duration::from_millis(1), "1ms"),
            (Duration::from_millis(3300), "3.3s"),
            (Duration::from_secs(60), "1m0s"),
            (Duration::from_secs(245), "4m5s"),
            (Duration::from_millis(245_001), "4m5.001s"),
            (Duration::from_millis(18_367_001), "5h6m7.001s"),
            (Duration::from_nanos(480_000_000_001), "8m0.000000001s"),
            (Duration::from_nanos(i64::MAX as u64), "2562047h47m16.854775807s"),
            (Duration::new(616 * 3600 + 22 * 60 + 17, 12_357_708), "616h22m17.012357708s"),
        ];
        for (duration, text) in cases {
            assert_eq!(go_duration(duration), text);
        }
    }
}
