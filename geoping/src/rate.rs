//! Requests per second, from a counter that somebody reads now and then.
//!
//! ```text
//!  marks    ●────────────●────────────●───●──────● now
//!           │            └── the newest that is a window old: the rate counts from here
//!           └── older: forgotten
//! ```
//!
//! No task ticks: whoever wants to know the rate says what the counter and the clock show. Asked
//! often, it is an average over the [`WINDOW`]; asked less often, over the time since the last
//! question.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The time over which the rate is an average: a burst shorter than that is no reason to send
/// clients elsewhere, since they come and go by DNS, in tens of seconds.
pub const WINDOW: Duration = Duration::from_secs(10);

/// Marks are no closer together than this, and no rate is told of less: it bounds how many there
/// are, whoever asks how often.
const STEP: Duration = Duration::from_secs(1);

/// What a counter showed over the last [`WINDOW`].
#[derive(Debug, Default)]
pub struct Meter {
    /// Oldest first; at most `WINDOW / STEP` and two more.
    marks: VecDeque<(Instant, u64)>,
}

impl Meter {
    /// How fast the counter grows, per second, if it shows `count` at `now`. `None` until it has
    /// been watched for a second; a counter that went back (its process restarted) begins anew.
    pub fn rate(&mut self, count: u64, now: Instant) -> Option<f64> {
        if self.marks.back().is_some_and(|(_, before)| count < *before) {
            self.marks.clear();
        }
        let age = |at: Instant| now.saturating_duration_since(at);
        while self.marks.get(1).is_some_and(|(at, _)| age(*at) >= WINDOW) {
            self.marks.pop_front();
        }
        if self.marks.back().is_none_or(|(at, _)| age(*at) >= STEP) {
            self.marks.push_back((now, count));
        }
        let (since, before) = *self.marks.front()?;
        let elapsed = age(since);
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
        let rate = (count - before) as f64 / elapsed.as_secs_f64();
        (elapsed >= STEP).then_some(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::SystemClock;
    use crate::service::Clock as _;

    /// Rates of a counter that shows `count` so many milliseconds after the start.
    fn rates(readings: &[(u64, u64)]) -> Vec<Option<f64>> {
        let (mut meter, start) = (Meter::default(), SystemClock.now());
        let at = |ms| start + Duration::from_millis(ms);
        readings.iter().map(|(ms, count)| meter.rate(*count, at(*ms))).collect()
    }

    #[test]
    fn the_rate_is_an_average_over_the_window() {
        let mut readings: Vec<_> = (0..=20).map(|s| (s * 1000, s * 50)).collect();
        // Twice as fast from then on: half of the window shows half of the difference.
        readings.extend((1..=10).map(|s| (20_000 + s * 1000, 1000 + s * 100)));
        let rates = rates(&readings);
        assert_eq!(rates[0], None, "nothing has been watched yet");
        assert!(rates[1..=20].iter().all(|rate| *rate == Some(50.0)), "{rates:?}");
        assert_eq!((rates[25], rates[30]), (Some(75.0), Some(100.0)));
    }

    #[test]
    fn seldom_asked_it_is_an_average_since_the_last_question() {
        assert_eq!(rates(&[(0, 0), (60_000, 600), (120_000, 600)]), [None, Some(10.0), Some(0.0)]);
    }

    #[test]
    fn asked_without_pause_it_keeps_few_marks() {
        let (mut meter, start) = (Meter::default(), SystemClock.now());
        for ms in 0..60_000 {
            meter.rate(ms, start + Duration::from_millis(ms));
        }
        assert!(meter.marks.len() <= 12, "{}", meter.marks.len());
    }

    #[test]
    fn a_counter_that_restarted_begins_anew() {
        let rates = rates(&[(0, 1000), (2000, 1200), (4000, 10), (6000, 30)]);
        assert_eq!(rates, [None, Some(100.0), None, Some(10.0)]);
    }
}
