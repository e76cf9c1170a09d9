//! What a DNS implementer would check: rules by RFC section, and properties of anything at all.
#![allow(clippy::unwrap_used, reason = "tests")]

mod apart;
mod examples;
mod freeze;
mod lint;
mod masterfile_cases;
mod masterfiles;
mod model;
mod parser;
mod records;
mod request;
mod resolve;
mod tsig;
mod update;
mod writer;
mod zonefile;
