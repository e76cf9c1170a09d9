//! What stands between strangers and the answers: how it is configured, and what it does, through
//! the seam that every transport calls.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod config;
mod cookies;
mod identity;
mod limit;
mod recording;
mod world;
