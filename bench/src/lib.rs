//! Measurements. Micro-benchmarks of the answer path are in `benches/`; run them by `make bench`.
//!
//! Absolute figures wander with the machine: compare within one run, and quote ratios.
