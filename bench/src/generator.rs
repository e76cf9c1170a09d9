//! A generator of load: queries built beforehand, replies checked one by one, batches of both.
//!
//! ```text
//!  Workload ──query──▶ Flight: id, when ──32 in a call──▶ server
//!     │                   │                                 │
//!     └─expected─▶ judge ◀┴──────────32 in a call───────────┘
//!                    └─▶ Tally: right, wrong, lost, latencies
//! ```
//!
//! | you want to know | run |
//! |---|---|
//! | what one query costs a busy server, and how many it answers | [`Generator::closed`]: so many are under way, always |
//! | the same over TCP, on connections that are kept or not | [`Streams::run`] |
//! | how long an answer takes at a given rate | [`Generator::open`]: each query has its time, whatever the answers do |
//!
//! The generator never sleeps, so it is never woken: waking is dear, and the server would pay for it
//! with each reply. It is meant to have a core of its own.

mod connection;
mod flight;
mod judge;
mod query;
mod run;
mod streams;
mod tally;
mod workload;

pub use flight::Flight;
pub use judge::{Expected, Fault, judge};
pub use query::{A, AAAA, query};
pub use run::{Generator, Until, once};
pub use streams::{Manner, Streams, Then};
pub use tally::Tally;
pub use workload::Workload;
