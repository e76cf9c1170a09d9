//! What is compiled of a change is that change alone, and all answers are those of a plan that is
//! compiled whole.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chains;
mod fleet;
mod one;
#[path = "../small/site.rs"]
mod site;
mod world;
