//! The records of an UPDATE message, out of its octets.

use super::Entry;
use crate::rr::{Class, Rtype};
use crate::wire::{self, HEADER_LEN, Request};

/// The two sections of an UPDATE that say something (RFC 2136 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What must hold.
    pub prerequisites: Vec<Entry>,
    /// What is to be changed.
    pub changes: Vec<Entry>,
}

impl Message {
    /// Reads what `request` carries; `None` if a name inside RDATA is malformed.
    ///
    /// Work and memory are bounded by the message: names inside RDATA of at most two per record
    /// grow to at most 255 octets each.
    pub fn read(request: &Request<'_>) -> Option<Self> {
        let bytes = request.bytes;
        let [_, prerequisites, changes, _] = request.header.counts();
        let mut at = HEADER_LEN + request.question.map_or(0, |question| question.wire_len());
        let mut section = |count: u16| -> Option<Vec<Entry>> {
            let mut entries = Vec::new();
            for _ in 0..count {
                let record = wire::record(bytes, at)?;
                let rtype = Rtype(record.rtype);
                entries.push(Entry {
                    owner: wire::name(bytes, at)?,
                    rtype,
                    class: Class(record.class),
                    ttl: record.ttl,
                    rdata: rdata(bytes, rtype, record.end - record.rdata.len(), record.end)?,
                });
                at = record.end;
            }
            Some(entries)
        };
        Some(Self { prerequisites: section(prerequisites)?, changes: section(changes)? })
    }
}

/// RDATA with its names uncompressed: of the types of RFC 1035, and of those whose names senders
/// once compressed (RFC 3597 §4). `None` if a name is malformed or reaches past the end.
fn rdata(bytes: &[u8], rtype: Rtype, start: usize, end: usize) -> Option<Box<[u8]>> {
    let (before, names) = match rtype {
        _ if start == end => (0, 0),
        Rtype::NS
        | Rtype::MD
        | Rtype::MF
        | Rtype::CNAME
        | Rtype::MB
        | Rtype::MG
        | Rtype::MR
        | Rtype::PTR
        | Rtype::NXT => (0, 1),
        Rtype::SOA | Rtype::MINFO | Rtype::RP => (0, 2),
        Rtype::MX | Rtype::AFSDB | Rtype::RT => (2, 1),
        Rtype::PX => (2, 2),
        Rtype::SRV => (6, 1),
        // Two numbers and three strings.
        Rtype::NAPTR => {
            let end_of = |at, _| Some(at + 1 + usize::from(*bytes.get(start + at)?));
            ((0..3).try_fold(4, end_of)?, 1)
        }
        // Type, algorithm, labels, TTL, two times and a key tag (RFC 2535 §4.1).
        Rtype::SIG => (18, 1),
        _ => (0, 0),
    };
    let mut at = start + before;
    let mut octets = bytes.get(start..at.min(end))?.to_vec();
    for _ in 0..names {
        let after = wire::name_end(bytes, at).filter(|&after| after <= end)?;
        octets.extend_from_slice(wire::name(bytes, at)?.wire());
        at = after;
    }
    octets.extend_from_slice(bytes.get(at..end)?);
    Some(octets.into())
}
