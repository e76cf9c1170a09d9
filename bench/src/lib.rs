//! Measurements. Micro-benchmarks of the answer path are in `benches/`; run them by `make bench`.
//!
//! Absolute figures wander with the machine: compare within one run, and quote ratios.
#![expect(clippy::disallowed_methods, reason = "measures")]

use std::time::Duration;

/// The processor's time that this thread has had: it means something on a busy machine too.
///
/// # Panics
///
/// Where the kernel does not tell: on anything but Linux.
pub fn processor() -> Duration {
    let figures = std::fs::read_to_string("/proc/self/schedstat").expect("this is Linux");
    let nanoseconds = figures.split(' ').next().expect("a figure");
    Duration::from_nanos(nanoseconds.parse().expect("a number"))
}
