//! GeoPing from outside: as a library in a tonic server, against real backends, and as a process
//! with certificates, signals and files.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests are shells, and a step that fails fails the test"
)]

mod backend;
mod check;
mod embed;
mod harness;
mod identity;
mod lifecycle;
mod reload;
mod requests;
