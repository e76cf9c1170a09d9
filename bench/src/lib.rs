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

/// Octets of this process, by a line of its status: `VmRSS` now, `VmHWM` at most so far.
///
/// # Panics
///
/// Where the kernel does not tell: on anything but Linux.
pub fn memory(what: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find(|line| line.starts_with(what)).expect("the kernel tells");
    let kilobytes: usize =
        line.split_whitespace().nth(1).expect("a figure").parse().expect("a number");
    kilobytes << 10
}
