//! The seam as every transport calls it: real configuration, real tables, bytes in and bytes out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod explaining;
mod forms;
mod routing;
#[path = "../small/site.rs"]
mod site;
mod steps;
mod ways;
mod world;
