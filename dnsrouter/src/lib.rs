//! dnsrouter: an authoritative DNS server that answers with near, healthy, weighted regions.
//!
//! ```text
//!  resolver ──query──▶ io::udp │ io::tcp ──bytes──▶ answer() ──bytes──▶ resolver
//!                                                      ▲ Arc swap, no lock
//!   zone files ─┐                                      │
//!   services ───┼── io::load ──▶ plan::Inputs ──▶ plan::Snapshot
//!   mmdb ───────┘                                      ▲ verdicts::Health
//!   geoping ◀─ mTLS ping ─ io::probe ──reports──▶ io::keeper (monitor, health)
//! ```
//!
//! | to know | look at |
//! |---|---|
//! | what one query becomes | [`answer`] |
//! | which endpoints a client gets, and with what scope | [`policy`], [`client`] |
//! | why | [`explain`] |
//! | who would move if something were otherwise | [`forecast`] |
//! | what is checked | [`target`] |
//! | when a target is up or down | [`health`], [`removal`], [`monitor`] |
//! | what choices are made with beside the plan | [`verdicts`] |
//! | when a full region sends its farthest clients elsewhere | [`balance`] |
//! | what people say against that, and who may | [`overrides`], [`operators`] |
//! | how often whose clients were answered | [`census`] |
//! | how it was then | [`history`] |
//! | what is swapped in whole, and what is refused | [`plan`] |
//! | what can be configured | [`config`], [`service`] |
//!
//! Only [`io`] touches sockets, files and clocks; everything else is given bytes and the time.

pub mod answer;
pub mod balance;
pub mod binding;
pub mod census;
pub mod client;
pub mod compile;
pub mod config;
pub mod counters;
pub mod dependants;
pub mod explain;
pub mod forecast;
pub mod guard;
pub mod health;
pub mod history;
pub mod io;
pub mod keyfile;
pub mod monitor;
pub mod mould;
pub mod operators;
pub mod overrides;
pub mod pages;
pub mod plan;
pub mod policy;
pub mod random;
pub mod removal;
pub mod service;
pub mod signed;
pub mod target;
pub mod updates;
pub mod verdicts;
