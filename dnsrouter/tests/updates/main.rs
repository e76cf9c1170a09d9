//! Updates from the transports' queue to the plan and the journal, without sockets: what is changed,
//! what is refused, what a reload in between does, and what happens when the disk does not want.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "signatures are of this moment")]

mod changing;
mod keeping;
mod node;
mod signing;
