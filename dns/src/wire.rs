//! Messages on the wire (RFC 1035 §4): read a query, write a reply.
//!
//! ```text
//!   bytes ──▶ Request::parse ──▶ Request { header, question, edns, signature }
//!                │                    │
//!                │ Malformed          │ … the caller finds what to say …
//!                ▼                    ▼
//!        Drop, or Refusal::write   Writer::reply ─▶ rrset()… ─▶ finish(rcode, OPT) ─▶ length
//! ```
//!
//! Neither allocates. Reading never follows a pointer forward, so its work is bounded by the
//! message's length times [`MAX_NAME`](crate::name::MAX_NAME); writing is bounded by the limit.

mod compress;
mod plain;
mod request;
mod walk;
mod writer;

pub use plain::{Plain, Told};
pub use request::{DropReason, Fault, Malformed, Question, Refusal, Request, Signature};
pub(crate) use walk::{name, name_end, name_octets, record};
pub use writer::{Fit, NoRoom, Owner, Section, Writer};

use crate::rr::Opcode;

/// Octets of a message's header.
pub const HEADER_LEN: usize = 12;

/// Longest message: its length has two octets over TCP, and pointers are no longer either.
pub const MAX_MESSAGE: usize = 65_535;

const QR: u16 = 0x8000;
const AA: u16 = 0x0400;
const TC: u16 = 0x0200;
const RD: u16 = 0x0100;
const CD: u16 = 0x0010;

/// The fixed part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Echoed.
    pub id: u16,
    flags: u16,
    counts: [u16; 4],
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Header> {
        let fixed = bytes.first_chunk::<HEADER_LEN>()?;
        let word = |i: usize| u16::from_be_bytes([fixed[2 * i], fixed[2 * i + 1]]);
        Some(Header { id: word(0), flags: word(1), counts: [word(2), word(3), word(4), word(5)] })
    }

    /// How many records each section has, the question's first.
    pub(crate) fn counts(&self) -> [u16; 4] {
        self.counts
    }

    /// What is asked of us.
    pub fn opcode(&self) -> Opcode {
        Opcode((self.flags >> 11) as u8 & 0x0f)
    }

    /// Whether this is a response.
    pub fn is_response(&self) -> bool {
        self.flags & QR != 0
    }

    /// Recursion desired; copied into the reply, never obeyed.
    pub fn recursion_desired(&self) -> bool {
        self.flags & RD != 0
    }

    /// Checking disabled; means nothing to an authoritative server (RFC 4035 §3.1.6).
    pub fn checking_disabled(&self) -> bool {
        self.flags & CD != 0
    }

    /// Flags of a reply to this header: QR, and opcode and RD copied. AD, CD and RA stay clear
    /// (RFC 4035 §3.1.6).
    fn reply_flags(&self) -> u16 {
        let copied = if mutated!(RecursionDesiredIsLost) { 0x7800 } else { 0x7900 };
        QR | (self.flags & copied)
    }
}
