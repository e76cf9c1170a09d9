//! The harness of the tests that need more than one program: real processes on loopback, a real
//! resolver, a private authority, and faults to try them with.
//!
//! ```text
//!              ┌──────────── World ─────────────────────────────────────────┐
//!  Canary ──▶ Unbound ──▶ NameServer (dnsrouter) ──▶ [Relay] ──▶ Region (geoping)
//!  Geoip  ───────────────────────────── mTLS ───────────────────────▲       │
//!              │  Authority: everybody's certificates, and the odd ones     │
//!              └────────────────────────────────────────────────────────────┘
//! ```
//!
//! | to … | use |
//! |---|---|
//! | have three regions and their name servers | [`world::World`] |
//! | start one program with a configuration of its own | [`region::Region`], [`name_server::NameServer`] |
//! | end, freeze or wait for a process | [`process::Process`] |
//! | put a silent network between two programs | [`relay::Relay`] |
//! | ask a DNS question and see the bytes | [`query::Ask`] |
//! | ask it all the time and judge every answer | [`canary::Canary`] |
//! | run the command line | [`geoip::Geoip`] |
//! | have a certificate nobody should accept | [`authority::Authority`] |
//! | show a server those papers as they are | [`stranger::Stranger`] |
//! | read a metric | [`scrape::Metrics`] |
//! | show what was measured, also after success | [`figures::show`] |
//! | put questions to ours and other servers as case files have them | [`conformance`] |
//! | have a geo database that several servers read | [`mmdb::city`], [`mmdb::Writer`] |
//! | have other servers read a master file | [`checkers::Checker`] |
//! | ask gdnsd the same as ours | [`gdnsd::Gdnsd`] |
//! | know how far from the nearest region answers are | [`quality`] |
//! | have a port for a program that cannot take any | [`port::free`] |
//! | wait for something | [`wait::until`], never a sleep |
//!
//! Every folder a test writes is a [`scratch::Scratch`]: gone after success, kept and named after
//! a failure. Every process ends with the thread that started it, also when that thread panics.
//! What a test needs from outside and does not find is a failure that names the command to run,
//! never a skipped test.
#![expect(clippy::disallowed_methods, reason = "IO shell: the whole harness")]

pub mod artifact;
pub mod authority;
pub mod canary;
pub mod checkers;
pub mod conformance;
pub mod figures;
pub mod gdnsd;
pub mod geoip;
pub mod mmdb;
pub mod name_server;
pub mod port;
pub mod process;
pub mod quality;
pub mod query;
pub mod region;
pub mod relay;
pub mod scrape;
pub mod scratch;
pub mod stranger;
pub mod unbound;
pub mod wait;
pub mod world;
