//! The records of one zone, checked.

use super::check;
use super::error::{ZoneError, ZoneFault};
use super::identity::identity;
use crate::name::{Name, NameRef};
use crate::rr::{Rtype, Ttl};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// Most notices kept of a zone: a file that is included twice would give one per record.
pub const MAX_NOTICES: usize = 20;

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The file's name as the user knows it.
    pub file: Arc<str>,
    /// From 1.
    pub line: u32,
    /// From 1, in octets.
    pub column: u32,
    /// Octets to underline, at least 1.
    pub length: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One record of class IN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The owner name.
    pub owner: Name,
    /// The type.
    pub rtype: Rtype,
    /// The TTL; [`ZoneData::new`] makes it the same in the whole RRset.
    pub ttl: Ttl,
    /// RDATA in wire form, names uncompressed.
    pub rdata: Box<[u8]>,
    /// Where it comes from; none for records that were never in a file.
    pub position: Option<Position>,
}

/// One zone whose records passed every check: one SOA, NS at the apex, nothing out of zone,
/// nothing beside a CNAME, nothing below a DNAME, below a delegation only addresses.
#[derive(Clone, Debug)]
pub struct ZoneData {
    pub(super) apex: Name,
    pub(super) records: Vec<Record>,
    notices: Vec<ZoneError>,
}

impl ZoneData {
    /// Checks and sorts `records`. Duplicates are collapsed, and an RRset's TTLs are brought down
    /// to the lowest (RFC 2181 §5, §5.2); both are [notices](Self::notices).
    ///
    /// # Errors
    /// All that is wrong, at most [`MAX_ERRORS`](super::MAX_ERRORS) of it. Nothing is kept.
    pub fn new(apex: Name, mut records: Vec<Record>) -> Result<Self, Vec<ZoneError>> {
        // Stable, so that of equal records the first written stays.
        records.sort_by_cached_key(|record| {
            (record.owner.as_name().canonical_key(), record.rtype, covered(record))
        });
        let errors = check::zone(&apex, &records);
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut notices = Vec::new();
        let records = collapse(records, &mut notices);
        Ok(ZoneData { apex, records, notices })
    }

    /// The zone's name.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// The records by owner in canonical order, then by type, then as written.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// What was set right by itself: worth telling, no reason to refuse. At most [`MAX_NOTICES`].
    pub fn notices(&self) -> &[ZoneError] {
        &self.notices
    }

    /// The serial of the SOA.
    pub fn serial(&self) -> u32 {
        self.soa().serial
    }

    /// The SOA's numbers.
    pub(super) fn soa(&self) -> Soa {
        self.records
            .iter()
            .find(|record| record.rtype == Rtype::SOA)
            .and_then(|record| Soa::parse(&record.rdata))
            .expect("a checked zone has a well-formed SOA")
    }
}

/// What a TTL must be equal over: the RRset, and for RRSIG the covered type (RFC 4034 §3: a
/// signature has the TTL of what it covers).
pub(super) fn covered(record: &Record) -> Option<[u8; 2]> {
    match record.rtype {
        Rtype::RRSIG => record.rdata.first_chunk().copied(),
        _ => None,
    }
}

/// Whether two records are of one RRset.
fn is_same_set(a: &Record, b: &Record) -> bool {
    (&a.owner, a.rtype, covered(a)) == (&b.owner, b.rtype, covered(b))
}

/// Drops duplicates and evens TTLs in sorted records: in place, for there may be millions. `[..kept]`
/// stay, `[kept..next]` go.
fn collapse(mut records: Vec<Record>, notices: &mut Vec<ZoneError>) -> Vec<Record> {
    let (mut kept, mut next) = (0, 0);
    let mut seen = HashSet::new();
    while next < records.len() {
        let first = kept;
        records.swap(kept, next);
        (kept, next) = (kept + 1, next + 1);
        let goes_on = |records: &[Record], next: usize| {
            records.get(next).is_some_and(|record| is_same_set(record, &records[first]))
        };
        // Most sets are one record: nothing to compare it with.
        if !goes_on(&records, next) {
            continue;
        }
        let ttl = records[first].ttl;
        let mut lowest = ttl;
        let mut uneven = None;
        seen.clear();
        seen.insert(identity(records[first].rtype, &records[first].rdata).into_owned());
        while goes_on(&records, next) {
            let record = &records[next];
            if uneven.is_none() && record.ttl != ttl {
                uneven = Some((record.position.clone(), notices.len()));
            }
            lowest = lowest.min(record.ttl);
            if seen.insert(identity(record.rtype, &record.rdata).into_owned()) {
                records.swap(kept, next);
                kept += 1;
            } else if notices.len() < MAX_NOTICES {
                notices.push(ZoneError::at(record, ZoneFault::Duplicate));
            }
            next += 1;
        }
        if let Some((position, place)) = uneven {
            let fault = ZoneFault::TtlMismatch { lowest };
            let name = records[first].owner.clone();
            notices.insert(place, ZoneError { position, name, fault });
            notices.truncate(MAX_NOTICES);
            for record in &mut records[first..kept] {
                record.ttl = lowest;
            }
        }
    }
    records.truncate(kept);
    records
}

/// The numbers of a SOA record (RFC 1035 §3.3.13).
#[derive(Clone, Copy, Debug)]
pub(super) struct Soa {
    pub(super) serial: u32,
    pub(super) minimum: Ttl,
}

impl Soa {
    pub(super) fn parse(rdata: &[u8]) -> Option<Soa> {
        let mname = NameRef::parse(rdata).ok()?;
        let rest = &rdata[mname.wire_len()..];
        let rname = NameRef::parse(rest).ok()?;
        let numbers: &[u8; 20] = rest[rname.wire_len()..].try_into().ok()?;
        let [serial, .., minimum] = [0, 4, 8, 12, 16].map(|at| {
            u32::from_be_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]])
        });
        Some(Soa { serial, minimum: Ttl::from_secs(minimum) })
    }
}
