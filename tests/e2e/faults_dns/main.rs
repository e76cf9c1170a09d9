//! What strangers send to a name server, or make of its data: each fault is tried on a real
//! process while canaries ask the same question over UDP and TCP all the time, and none of theirs
//! may go wrong. (Faults of connections are in `transports.rs`.)
#![expect(clippy::disallowed_methods, reason = "opens sockets and times a flood")]

mod cost;
mod octets;
mod packets;
mod stand;
mod subnets;
