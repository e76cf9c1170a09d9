//! DNS over TCP as strangers use it: endless, silent, slow, and too many of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test is a shell")]

mod limits;
mod proxied;
mod server;
#[path = "../small/site.rs"]
mod site;
mod waiting;
#[path = "../small/zone.rs"]
mod zone;
