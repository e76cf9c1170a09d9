//! The seam as every transport calls it: real configuration, real tables, bytes in and bytes out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod forms;
mod routing;
mod steps;
mod world;
