//! What a forecast says against what clients are really answered.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../small/site.rs"]
mod site;

mod alone;
mod another;
mod world;
