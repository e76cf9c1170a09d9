//! Everything of this crate that touches the outside: clock, sockets, files, signals.

#![expect(clippy::disallowed_methods, reason = "IO shell")]

use std::time::Instant;

use crate::service::Clock;

pub mod backend;
pub mod certificate;
pub mod cpu;
pub mod health;
pub mod program;
pub mod reload;
pub mod requests;

/// The system's monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }
}
