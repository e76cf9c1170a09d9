//! What must hold inside one zone (RFC 1035 §5.2, RFC 2181, RFC 4035, RFC 4592, RFC 6672).
//!
//! Records come sorted by owner in canonical order, so a subtree is one run that starts at its
//! top: one pass that remembers the last delegation and the last DNAME sees all that is hidden.

use super::Record;
use super::data::Soa;
use super::error::{MAX_ERRORS, ZoneError, ZoneFault};
use super::identity::same_data;
use crate::name::Name;
use crate::rdata;
use crate::rr::Rtype;
use std::collections::BTreeSet;

/// Octets an RRset may take on the wire: a whole message over TCP less header, question and OPT.
/// A bigger set could be loaded but never answered.
const MAX_RRSET: usize = 64_000;
/// Owner (as a pointer), type, class, TTL and length of each record.
const RECORD_HEAD: usize = 12;

/// All that is wrong with the zone, at most [`MAX_ERRORS`].
pub(super) fn zone(apex: &Name, records: &[Record]) -> Vec<ZoneError> {
    let mut checks = Checks { apex, cut: None, dname: None, is_signed: false, errors: Vec::new() };
    if !records.iter().any(|record| record.owner == *apex && record.rtype == Rtype::SOA) {
        checks.errors.push(ZoneError::of(apex, ZoneFault::NoSoa));
    }
    if !records.iter().any(|record| record.owner == *apex && record.rtype == Rtype::NS) {
        checks.errors.push(ZoneError::of(apex, ZoneFault::NoNs));
    }
    for at_name in records.chunk_by(|a, b| a.owner == b.owner) {
        if checks.errors.len() >= MAX_ERRORS {
            break;
        }
        checks.name(at_name);
    }
    checks.errors
}

struct Checks<'a> {
    apex: &'a Name,
    /// The delegation that what comes next may be below.
    cut: Option<&'a Name>,
    /// The same for DNAME.
    dname: Option<&'a Name>,
    /// Whether that was told: once, for every name of a signed zone shows it.
    is_signed: bool,
    errors: Vec<ZoneError>,
}

impl<'a> Checks<'a> {
    fn error(&mut self, record: &Record, fault: ZoneFault) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(ZoneError::at(record, fault));
        }
    }

    /// Checks all records of one owner.
    fn name(&mut self, records: &'a [Record]) {
        let owner = &records[0].owner;
        if !owner.is_subdomain_of(self.apex) {
            self.error(&records[0], ZoneFault::OutOfZone(self.apex.clone()));
            return;
        }
        self.cut = self.cut.filter(|cut| owner.is_subdomain_of(cut));
        self.dname = self.dname.filter(|dname| owner.is_subdomain_of(dname));
        for record in records {
            match data(record) {
                Err(ZoneFault::Signed(_)) if std::mem::replace(&mut self.is_signed, true) => {}
                Err(fault) => self.error(record, fault),
                Ok(()) => {}
            }
        }
        if let Some(dname) = self.dname {
            self.error(&records[0], ZoneFault::BelowDname(dname.clone()));
        } else if let Some(cut) = self.cut {
            for record in records {
                if !matches!(record.rtype, Rtype::A | Rtype::AAAA) {
                    let fault = ZoneFault::BelowCut { rtype: record.rtype, cut: cut.clone() };
                    self.error(record, fault);
                }
            }
        } else {
            self.authoritative(owner, records);
        }
        for set in records.chunk_by(|a, b| a.rtype == b.rtype) {
            let octets = |rdata: &[u8]| RECORD_HEAD + rdata.len();
            if set.iter().map(|record| octets(&record.rdata)).sum::<usize>() <= MAX_RRSET {
                continue;
            }
            let distinct: BTreeSet<&[u8]> = set.iter().map(|record| &*record.rdata).collect();
            if distinct.into_iter().map(octets).sum::<usize>() > MAX_RRSET {
                self.error(&set[0], ZoneFault::RRsetTooBig(set[0].rtype));
            }
        }
    }

    /// Checks a name at or above the delegations, and notes a new one.
    fn authoritative(&mut self, owner: &'a Name, records: &'a [Record]) {
        let has = |rtype| records.iter().any(|record| record.rtype == rtype);
        let at_apex = *owner == *self.apex;
        let at_cut = has(Rtype::NS) && !at_apex;
        let cname = has(Rtype::CNAME);
        for record in records {
            let first = records.partition_point(|other| other.rtype < record.rtype);
            let second = || !same_data(record.rtype, &records[first].rdata, &record.rdata);
            let fault = match record.rtype {
                Rtype::SOA if !at_apex => ZoneFault::SoaBelowApex,
                Rtype::SOA if second() => ZoneFault::SecondSoa,
                Rtype::CNAME if second() => ZoneFault::SecondCname,
                Rtype::DNAME if second() => ZoneFault::SecondDname,
                Rtype::NS | Rtype::DNAME if owner.is_wildcard() => {
                    ZoneFault::AtWildcard(record.rtype)
                }
                rtype if cname && rtype != Rtype::CNAME && !stands_beside_cname(rtype) => {
                    ZoneFault::BesideCname(rtype)
                }
                Rtype::DS if !at_cut => ZoneFault::DsWithoutCut,
                rtype if at_cut && !belongs_at_cut(rtype) => ZoneFault::AtCut(rtype),
                _ => continue,
            };
            self.error(record, fault);
        }
        if at_cut {
            self.cut = Some(owner);
        }
        if has(Rtype::DNAME) {
            self.dname = Some(owner);
        }
    }
}

/// RFC 2181 §10.1 and RFC 4035 §2.5: only DNSSEC's own stand beside a CNAME, and keys of those who
/// may change it (RFC 3007).
pub(super) fn stands_beside_cname(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::RRSIG | Rtype::NSEC | Rtype::KEY)
}

/// A delegation has NS, DS and what signs them; addresses are glue where the child's name is also
/// its server's.
fn belongs_at_cut(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::NS | Rtype::DS | Rtype::NSEC | Rtype::RRSIG | Rtype::A | Rtype::AAAA)
}

/// Checks what later code relies on: types that are data, and data that is well-formed. Files were
/// read by the same rules; other records come from elsewhere.
fn data(record: &Record) -> Result<(), ZoneFault> {
    let rtype = record.rtype;
    match rtype {
        _ if rtype.is_meta() || rtype.0 == 0 => Err(ZoneFault::MetaType(rtype)),
        // Answers without them, below a DS record at the parent, are bogus (RFC 4035 §5).
        Rtype::RRSIG | Rtype::NSEC | Rtype::NSEC3 | Rtype::NSEC3PARAM => {
            Err(ZoneFault::Signed(rtype))
        }
        Rtype::SOA => Soa::parse(&record.rdata).map(|_| ()).ok_or(ZoneFault::MalformedSoa),
        _ => rdata::check(rtype, &record.rdata).map_err(|_| ZoneFault::Malformed(rtype)),
    }
}
