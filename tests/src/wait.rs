//! Waiting for something to become true, with a deadline and a name.

use std::time::{Duration, Instant};

/// How often a condition is looked at: fine enough to time what takes tenths of a second.
const STEP: Duration = Duration::from_millis(5);

/// Waits until `done`, and returns how long that took.
///
/// # Panics
///
/// When `deadline` has passed: with `what` was waited for.
pub fn until(what: &str, deadline: Duration, mut done: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    some(what, deadline, || done().then(|| started.elapsed()))
}

/// Waits until `look` returns something.
///
/// # Panics
///
/// When `deadline` has passed: with `what` was waited for.
pub fn some<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < deadline, "waited {deadline:?} in vain for {what}");
        std::thread::sleep(STEP);
    }
}
