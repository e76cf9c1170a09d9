//! Questions and the answers that the RFCs give, kept as data: `tests/cases/dns/*.case`.
//!
//! ```text
//!   *.case ─ file ─▶ Case ── query ──▶ Server ── reply ──▶ message ─ judge ─▶ findings
//!                     │                 dnsrouter, Knot, NSD          ▲
//!                     └───────────── expected ────────────────────────┘
//! ```
//!
//! `tests/cases/dns/README.md` teaches the format. What is expected comes from the RFCs, not from
//! any server. Ours has to give it; the peers too, or the case says why not, and that is checked
//! as well: a difference that is no more has to go from the file.
//!
//! | to … | use |
//! |---|---|
//! | read case files | [`file::load`] |
//! | have servers of all their zones | [`server`] |
//! | put a case to a server | [`replay::replay`] |
//! | read a message strictly | [`message::Message`] |
//! | say what is wrong with it | [`judge::judge`] |

pub mod exchange;
pub mod expect;
pub mod file;
pub mod judge;
pub mod message;
pub mod query;
pub mod record;
pub mod replay;
pub mod server;
