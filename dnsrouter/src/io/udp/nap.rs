//! Waiting a little for more queries, which costs latency and saves processor time.
//!
//! Waking a thread and a system call cost more than an answer. Where queries come every few
//! microseconds, a thread that sleeps on after a small batch finds several the next time, and shares
//! that cost among them. It does so only while they do come that densely: who asks a server with
//! nothing else to do is answered at once.

use std::num::NonZeroU64;
use std::time::{Duration, SystemTime};

use rustix::thread::{NanosleepRelativeResult, Timespec};

/// A larger batch needs no more company: more than so many at once gain nothing.
const SMALL: usize = 8;
/// Batches come densely when a nap is longer than this part of the time between two.
const DENSE: u32 = 4;
/// So many dense ones in a row, and a thread begins to nap: a resolver that sends A and AAAA at
/// once is no dense traffic.
const STREAK: u32 = 8;

/// When one thread naps.
#[derive(Debug)]
pub(super) struct Naps {
    length: Duration,
    streak: u32,
    last: SystemTime,
}

impl Naps {
    /// Of this length, on the thread that calls this.
    pub(super) fn new(length: Duration) -> Self {
        // Else the kernel may add 50 microseconds, to wake several threads at once. Where it does
        // not let us, naps are longer.
        let _ = rustix::thread::set_current_timer_slack(Some(NonZeroU64::MIN));
        Self { length, streak: 0, last: SystemTime::UNIX_EPOCH }
    }

    /// Whether to nap behind a batch of so many, which was received `now`.
    fn are_due(&mut self, received: usize, now: SystemTime) -> bool {
        let gap = now.duration_since(self.last).unwrap_or(Duration::MAX);
        self.last = now;
        self.streak = if gap <= self.length * DENSE { self.streak.saturating_add(1) } else { 0 };
        self.streak >= STREAK && received <= SMALL
    }

    /// Naps behind a batch of so many, if that is worth it.
    pub(super) fn after(&mut self, received: usize, now: SystemTime) {
        if self.are_due(received, now) {
            // A signal that ends it early does no harm.
            let _: NanosleepRelativeResult = rustix::thread::nanosleep(&Timespec {
                tv_sec: 0,
                tv_nsec: self.length.subsec_nanos().into(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naps() -> Naps {
        Naps { length: Duration::from_micros(20), streak: 0, last: SystemTime::UNIX_EPOCH }
    }

    /// How many of some batches are napped behind, `micros` apart.
    fn napped(naps: &mut Naps, batches: u64, received: usize, micros: u64) -> usize {
        let due = |i| {
            let now = naps.last + Duration::from_micros(micros);
            usize::from(naps.are_due(received, now) && i < batches)
        };
        (0..batches).map(due).sum()
    }

    #[test]
    fn who_asks_now_and_then_waits_for_nobody() {
        let mut naps = naps();
        assert_eq!(napped(&mut naps, 1000, 1, 100), 0);
        assert_eq!(napped(&mut naps, 7, 1, 10), 0, "a few at once");
        assert_eq!(napped(&mut naps, 1000, 1, 1000), 0);
    }

    #[test]
    fn dense_queries_are_gathered_until_they_are_many_or_few() {
        let mut naps = naps();
        assert_eq!(napped(&mut naps, 1000, 8, 15), 1000 - 7);
        assert_eq!(napped(&mut naps, 1000, 9, 15), 0, "they are many already");
        assert_eq!(napped(&mut naps, 100, 1, 15), 100);
        assert_eq!(napped(&mut naps, 1, 1, 200), 0, "it is over");
        assert_eq!(napped(&mut naps, 7, 1, 15), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_ends_naps() {
        let mut naps = naps();
        assert!(napped(&mut naps, 100, 1, 15) > 0);
        assert!(!naps.are_due(1, SystemTime::UNIX_EPOCH));
    }
}
