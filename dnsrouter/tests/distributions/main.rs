//! Whether draws, hashes and prices divide clients as they promise: χ² tests at a level of 10⁻⁶ from
//! fixed seeds, each with a canary that says whether a weight that is wrong by 5 % would be noticed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chi_squared;
mod load;
mod picks;
#[path = "../small/site.rs"]
mod site;
mod sticky;
mod world;
