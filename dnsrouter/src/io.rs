//! The shells: sockets, files, clocks, tasks. They move bytes and carry out; the cores decide.

#![expect(clippy::disallowed_methods, reason = "IO shell")]

pub mod background;
pub mod balance;
pub mod census;
pub mod control;
pub mod deferred;
mod descriptors;
pub mod dynamic;
pub mod history;
pub mod keeper;
pub mod load;
pub mod overrides;
pub mod probe;
pub mod proxy;
pub mod reload;
pub mod run;
pub mod sockets;
pub mod state;
pub mod tcp;
pub mod udp;
