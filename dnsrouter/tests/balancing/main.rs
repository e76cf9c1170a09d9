//! `load` and its parts as a whole: against an exact solver, and in simulated worlds whose clients
//! keep their answers for a TTL. Virtual time, from seeds; nothing here touches a clock or a socket.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod exact;
mod fleet;
mod population;
mod scenes;
mod several;
#[path = "../small/site.rs"]
mod site;
mod transport;
mod world;
