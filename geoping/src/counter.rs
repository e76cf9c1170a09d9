//! The service's own count of its requests, in the text that it shows to Prometheus.
//!
//! A program beside the service sees none of its requests. But most services count them, and show
//! the count where Prometheus looks for it:
//!
//! ```text
//!   # TYPE grpc_server_started_total counter
//!   grpc_server_started_total{method="Get"} 1027        ─┐ summed over all labels, read every
//!   grpc_server_started_total{method="Put"} 3           ─┘ few seconds: crate::rate
//! ```

use http::uri::PathAndQuery;

use crate::check::{Check, CheckError, Origin};

/// The largest exposition read, in bytes: some tens of thousands of series.
pub const MAX_EXPOSITION: usize = 4 * 1024 * 1024;

/// The longest name of a metric, in bytes; real ones have a fifth of it.
const MAX_NAME: usize = 256;

/// Where requests are counted, and under which name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The server that shows it.
    pub origin: Origin,
    /// Where it does.
    pub path: PathAndQuery,
    /// The metric, as it stands at the beginning of its lines.
    pub name: String,
}

/// Why something is no counter to read. The one who configures it is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CounterError {
    /// Not a place to read from.
    #[error(transparent)]
    Place(#[from] CheckError),
    /// Not the name of a metric.
    #[error("'{0}' is no metric's name: letters, digits, _ and :, and no digit first")]
    Name(String),
}

impl Counter {
    /// The metric `name` at `url`, `http[s]://host[:port]/path`.
    ///
    /// # Errors
    ///
    /// [`CounterError`].
    pub fn new(url: &str, name: &str) -> Result<Counter, CounterError> {
        let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_' || b == b':';
        let good = name.bytes().next().is_some_and(letter)
            && name.bytes().all(|b| letter(b) || b.is_ascii_digit())
            && name.len() <= MAX_NAME;
        if !good {
            return Err(CounterError::Name(name.to_owned()));
        }
        let (origin, path) = Check::url(url)?;
        Ok(Counter { origin, path, name: name.to_owned() })
    }

    /// The sum of all series of the metric in `text` (Prometheus' text format 0.0.4, or OpenMetrics).
    /// `None` if there is none, or one that is not a number from 0 on.
    pub fn sum(&self, text: &str) -> Option<u64> {
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(self.name.as_str())?;
            match rest.as_bytes().first()? {
                // A label's value may hold anything between quotes, braces too.
                b'{' => Some(rest.get(end_of_labels(rest)?..)?.trim_start()),
                b' ' | b'\t' => Some(rest.trim_start()),
                _ => None,
            }
        });
        let mut sum = None;
        for value in values {
            let number: f64 = value.split_ascii_whitespace().next()?.parse().ok()?;
            if !number.is_finite() || number < 0.0 {
                return None;
            }
            sum = Some(sum.unwrap_or(0.0) + number);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
        sum.map(|sum: f64| sum as u64)
    }
}

/// Where the labels that `text` begins with end.
fn end_of_labels(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(text: &str) -> Option<u64> {
        Counter::new("http://127.0.0.1:9464/metrics", "requests_total").unwrap().sum(text)
    }

    #[test]
    fn all_series_of_the_name_are_summed() {
        let text = "# HELP requests_total Requests.\n# TYPE requests_total counter\n\
                    requests_total{method=\"Get\",path=\"/a}\\\"b\"} 1027 1395066363000\n\
                    requests_total 3.0\nrequests_total{} 1e3\n\
                    requests_total_of_others 9\nother_requests_total 9\nrequests_totals{a=\"b\"} 9\n";
        assert_eq!(sum(text), Some(2030));
    }

    #[test]
    fn what_is_no_count_is_none() {
        for text in [
            "",
            "requests_total",
            "requests_total ",
            "requests_total{a=\"b\" 7",
            "requests_total x",
            "requests_total NaN",
            "requests_total +Inf",
            "requests_total -1",
            "requests_total 1\nrequests_total x",
        ] {
            assert_eq!(sum(text), None, "{text:?}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        let name = |name: &str| Counter::new("http://h:1/m", name).unwrap_err();
        for wrong in ["", "1st", "a-b", "a{b}", "ä", &"a".repeat(257)] {
            assert_eq!(name(wrong), CounterError::Name(wrong.to_owned()));
        }
        let place = Counter::new("h:1/m", "a").unwrap_err();
        assert!(matches!(place, CounterError::Place(CheckError::NotUrl(_))), "{place}");
    }
}
