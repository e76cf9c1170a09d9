//! The built `geoip`, run as a person runs it.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests run real programs")]

mod commands;
mod dev;
mod dig;
mod home;
mod import;
mod zone;
