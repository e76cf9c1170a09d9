//! DNS without sockets.
#![forbid(unsafe_code)]

pub mod edns;
pub mod name;
pub mod rr;
pub mod wire;
