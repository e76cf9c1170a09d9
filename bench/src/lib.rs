//! Measurements: side by side with other name servers, and micro-benchmarks in `benches/`.
//!
//! ```text
//!  Scene: Entrants ──Data──▶ Site ──▶ Contender: gdnsd, Knot, NSD, dnsrouter, echo   (one core)
//!            └────Questions────▶ Asker ◀─────────┘ ▲                                 (the other)
//!                    Generator or Streams            │
//!                                └─ right, wrong, lost, latencies ─▶ rounds ─▶ figures ─▶ report
//!                                                  cpu, footprint ──┘
//! ```
//!
//! | to | look at |
//! |---|---|
//! | ask a server as fast as it can, or at a rate, and check each answer | [`generator`] |
//! | see what every server is configured with | [`contender`] |
//! | find what is asked, of whom | [`scenes`], made of [`entrant`]s with the data of [`geography`] and [`names`] |
//! | add a comparison | a [`scene::Scene`] to [`scenes::SCENES`], and its bounds to [`goals::GOALS`] |
//! | know how turns are taken, and when one is disturbed | [`rounds`] |
//! | read a process' use of the processor | [`cpu`], [`watch`]; of the memory: [`footprint`] |
//! | change a zone while it is asked | [`reloads`] |
//! | measure GeoPing: requests, handshakes, idle connections, probing | [`status`] |
//! | have what was measured told, with the goals | [`report`], [`results`], [`goals`] |
//!
//! Absolute figures wander with the machine: compare within one run, and quote ratios.
#![expect(clippy::disallowed_methods, reason = "measures")]

pub mod asker;
pub mod choice;
pub mod contender;
pub mod cores;
pub mod cpu;
pub mod echo;
pub mod entrant;
pub mod figures;
pub mod footprint;
pub mod generator;
pub mod geography;
pub mod goal;
pub mod goals;
pub mod machine;
pub mod names;
pub mod reloads;
pub mod report;
pub mod results;
pub mod rounds;
pub mod scene;
pub mod scenes;
pub mod services;
pub mod stage;
pub mod status;
pub mod watch;
pub mod yardstick;

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
    memory_of("self", what)
}

/// The same of another process, by its id.
///
/// # Panics
///
/// When there is none such.
pub fn memory_of(process: &str, what: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"));
    let status = status.expect("a process of ours runs");
    let line = status.lines().find(|line| line.starts_with(what)).expect("the kernel tells");
    let kilobytes: usize =
        line.split_whitespace().nth(1).expect("a figure").parse().expect("a number");
    kilobytes << 10
}

/// A number that looks like chance and is always the same for the same `n`; different ones for
/// different `n` (the last steps of SplitMix64).
pub fn scatter(n: u64) -> u64 {
    let n = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

/// Times of the same work: the median and the worst, in milliseconds.
///
/// # Panics
///
/// Without any.
pub fn median_and_worst(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort_unstable();
    let of = |at: usize| times[at].as_secs_f64() * 1e3;
    (of(times.len() / 2), of(times.len() - 1))
}
