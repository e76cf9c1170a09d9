//! Updates as clients of this world send them: nsupdate, knsupdate and hickory's client, signed well,
//! badly and not at all, over UDP and TCP; then what the name server says, also after it was killed or
//! reloaded.
#![expect(clippy::disallowed_methods, reason = "a test of real processes on loopback")]

mod clients;
mod flood;
mod hickory;
mod lasting;
mod nsupdate;
mod refusals;
mod server;
