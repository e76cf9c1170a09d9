//! GeoPing from outside: as a library in a tonic server, against real backends, and as a process
//! with certificates, signals and files.

mod backend;
mod check;
mod embed;
mod harness;
mod identity;
mod lifecycle;
mod reload;
