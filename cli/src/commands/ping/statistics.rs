//! What a series of pings adds up to. Pure: round-trip times come in, figures go out.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// Regions counted by name; what comes beyond is counted together. Names come from servers, so
/// their number needs a limit.
const MAX_REGIONS: usize = 64;

/// The name under which the rest is counted.
const OTHERS: &str = "(others)";

/// Running figures of one series. Mean and variance follow Welford's method: one pass, and no
/// loss of digits when the times are alike.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Statistics {
    sent: u64,
    received: u64,
    minimum: Duration,
    maximum: Duration,
    mean_ms: f64,
    squares_ms: f64,
    regions: BTreeMap<String, u64>,
}

/// Minimum, average, maximum and standard deviation, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct RoundTrips {
    pub(crate) min: f64,
    pub(crate) avg: f64,
    pub(crate) max: f64,
    pub(crate) stddev: f64,
}

impl Statistics {
    /// One ping that was answered.
    pub(crate) fn answered(&mut self, rtt: Duration, region: &str) {
        self.sent += 1;
        self.received += 1;
        self.minimum = if self.received == 1 { rtt } else { self.minimum.min(rtt) };
        self.maximum = self.maximum.max(rtt);
        let ms = milliseconds(rtt);
        let distance = ms - self.mean_ms;
        // u64 to f64: exact up to 2^53 pings.
        self.mean_ms += distance / self.received as f64;
        self.squares_ms += distance * (ms - self.mean_ms);
        let known = self.regions.contains_key(region) || self.regions.len() < MAX_REGIONS;
        let name = if known { region } else { OTHERS };
        *self.regions.entry(name.to_owned()).or_default() += 1;
    }

    /// One ping that was not.
    pub(crate) fn lost(&mut self) {
        self.sent += 1;
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Share of pings without answer, 0 to 100.
    pub(crate) fn loss_percent(&self) -> f64 {
        match self.sent {
            0 => 0.0,
            sent => 100.0 * (sent - self.received) as f64 / sent as f64,
        }
    }

    /// `None` until something was received.
    pub(crate) fn round_trips(&self) -> Option<RoundTrips> {
        (self.received > 0).then(|| RoundTrips {
            min: milliseconds(self.minimum),
            avg: self.mean_ms,
            max: milliseconds(self.maximum),
            // Of the whole population, as ping(8) does.
            stddev: (self.squares_ms / self.received as f64).sqrt(),
        })
    }

    /// Region → answers from it, by name.
    pub(crate) fn regions(&self) -> &BTreeMap<String, u64> {
        &self.regions
    }
}

/// As a number with fraction.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn figures_of_a_known_series() {
        let mut statistics = Statistics::default();
        for time in [2, 4, 4, 4, 5, 5, 7, 9] {
            statistics.answered(ms(time), "us-central1");
        }
        let trips = statistics.round_trips().unwrap();
        assert_eq!((trips.min, trips.max), (2.0, 9.0));
        assert!((trips.avg - 5.0).abs() < 1e-9);
        assert!((trips.stddev - 2.0).abs() < 1e-9);
        assert_eq!(statistics.loss_percent(), 0.0);
    }

    #[test]
    fn losses_count_as_sent_only() {
        let mut statistics = Statistics::default();
        assert_eq!(statistics.loss_percent(), 0.0);
        assert_eq!(statistics.round_trips(), None);
        statistics.lost();
        assert_eq!(statistics.loss_percent(), 100.0);
        assert_eq!(statistics.round_trips(), None);
        statistics.answered(ms(1), "a");
        statistics.answered(ms(1), "b");
        statistics.answered(ms(1), "a");
        assert_eq!(statistics.loss_percent(), 25.0);
        assert_eq!(statistics.regions(), &[("a".to_owned(), 2), ("b".to_owned(), 1)].into());
        assert_eq!(statistics.round_trips().unwrap().stddev, 0.0);
    }

    #[test]
    fn alike_times_far_from_zero_keep_their_spread() {
        let mut statistics = Statistics::default();
        for nanos in [0, 1000, 2000] {
            statistics.answered(Duration::from_secs(100_000) + Duration::from_nanos(nanos), "a");
        }
        let stddev = statistics.round_trips().unwrap().stddev;
        assert!((stddev - 0.000_816_496_58).abs() < 1e-6, "{stddev}");
    }

    #[test]
    fn region_names_are_bounded() {
        let mut statistics = Statistics::default();
        for number in 0..1000 {
            statistics.answered(ms(1), &format!("region-{number}"));
        }
        assert_eq!(statistics.regions().len(), MAX_REGIONS + 1);
        assert_eq!(statistics.regions()[OTHERS], 1000 - MAX_REGIONS as u64);
    }
}
