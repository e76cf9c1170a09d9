//! Log lines that strangers can cause, so many per window and no more.
//!
//! ```
//! let quiet = daemon::quiet::Quiet::default();
//! if let Some(suppressed) = quiet.pass() {
//!     tracing::warn!(suppressed, "accepting failed; going on");
//! }
//! ```

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lines let through per window; enough to see what is going on.
const LINES: u32 = 20;

/// The window.
const WINDOW: Duration = Duration::from_secs(10);

/// Lets 20 lines through in 10 s and counts the rest.
#[derive(Debug, Default)]
pub struct Quiet(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

impl Quiet {
    /// Whether to log now; if so, how many lines were held back since the last one.
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.since.is_none_or(|since| now.duration_since(since) >= WINDOW) {
            state.since = Some(now);
            state.lines = 0;
        }
        if state.lines >= LINES {
            state.suppressed += 1;
            metrics::counter!("log_lines_suppressed_total").increment(1);
            return None;
        }
        state.lines += 1;
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_told_later() {
        let (quiet, start) = (Quiet::default(), Instant::now());
        for _ in 0..LINES {
            assert_eq!(quiet.pass_at(start), Some(0));
        }
        for _ in 0..500 {
            assert_eq!(quiet.pass_at(start + WINDOW / 2), None);
        }
        assert_eq!(quiet.pass_at(start + WINDOW), Some(500));
        assert_eq!(quiet.pass_at(start + WINDOW), Some(0));
    }
}
