//! The gRPC server and client over real loopback sockets: who gets in, what cannot hurt, how
//! certificates change under load and how a server leaves.

#![expect(clippy::unwrap_used, reason = "the helpers belong to tests: what fails there fails them")]

mod drain;
mod floods;
mod http2;
mod identity;
mod rotation;
mod world;
