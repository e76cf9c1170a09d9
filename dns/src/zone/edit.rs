//! Changing a checked zone: all or nothing, and no more work than the change is large.
//!
//! ```text
//!   touched names ──copy──▶ change ──▶ compare ──▶ check with what is above and below ──▶ Edit
//!                              └─▶ Skipped
//! ```
//!
//! Every rule of a zone is about one name, or about a name and one above it. So what has to be
//! checked is the touched names, all above them, and, where a delegation or a DNAME appears, all
//! below: the rest of the zone was valid and still is.

use super::check;
use super::data::{Soa, covered};
use super::identity::same_data;
use super::{Record, ZoneData};
use crate::name::Name;
use crate::rr::Rtype;
use crate::update::{Change, Changes, Fault, Skip, Skipped};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What changes come to.
#[derive(Clone, Debug)]
pub struct Edited {
    /// What is to be made of them; `None` if everything is so already.
    pub edit: Option<Edit>,
    /// What was left out; `None` if nothing was.
    pub skipped: Option<Skipped>,
}

/// A change of one zone that leaves it valid: the new content of each name that differs.
#[derive(Clone, Debug)]
pub struct Edit {
    names: BTreeMap<Name, Vec<Record>>,
    removed: Vec<Record>,
    added: Vec<Record>,
    serial: u32,
}

impl Edit {
    /// The zone's serial once it is made.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// The records that go, the SOA record among them: always the first.
    pub fn removed(&self) -> &[Record] {
        &self.removed
    }

    /// The records that come, the SOA record first.
    pub fn added(&self) -> &[Record] {
        &self.added
    }
}

impl ZoneData {
    /// The records of one name.
    pub fn at(&self, name: &Name) -> &[Record] {
        &self.records[self.range(name)]
    }

    /// The records of one name and type.
    pub fn rrset(&self, name: &Name, rtype: Rtype) -> impl Iterator<Item = &Record> {
        self.at(name).iter().filter(move |record| record.rtype == rtype)
    }

    /// What `changes` come to, less those that are ignored (RFC 2136 §3.4.2). The serial moves up
    /// by itself unless they move it (RFC 2136 §3.6).
    ///
    /// # Errors
    /// The zone would be invalid. Nothing was changed.
    pub fn edit(&self, changes: &Changes) -> Result<Edited, Fault> {
        let mut names: BTreeMap<Name, Vec<Record>> = BTreeMap::new();
        let mut skipped = None;
        for change in &changes.0 {
            let name = match change {
                Change::Add(record) => &record.owner,
                Change::DeleteName(name)
                | Change::DeleteRRset(name, _)
                | Change::DeleteRecord(name, ..) => name,
            };
            let content = names.entry(name.clone()).or_insert_with(|| self.at(name).to_vec());
            if let Err(first) = self.change(content, change) {
                skipped.get_or_insert(Skipped { count: 0, first }).count += 1;
            }
        }
        for content in names.values_mut() {
            content.sort_by_key(|record| (record.rtype, covered(record)));
        }
        names.retain(|name, content| !same_content(self.at(name), content));
        if names.is_empty() {
            return Ok(Edited { edit: None, skipped });
        }
        let serial = self.move_serial(&mut names);
        self.check(&names)?;
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        for (name, content) in &names {
            let before = self.at(name);
            removed.extend(before.iter().filter(|record| !contains(content, record)).cloned());
            added.extend(content.iter().filter(|record| !contains(before, record)).cloned());
        }
        // The apex is the first name, but its SOA record not the first of its records.
        for records in [&mut removed, &mut added] {
            records.sort_by_key(|record| record.rtype != Rtype::SOA);
        }
        let edit = Some(Edit { names, removed, added, serial });
        Ok(Edited { edit, skipped })
    }

    /// Makes the change. `edit` must be of this zone as it is now.
    pub fn apply(&mut self, edit: &Edit) {
        let ranges: Vec<Range<usize>> = edit.names.keys().map(|name| self.range(name)).collect();
        let mut old = std::mem::take(&mut self.records).into_iter();
        let mut records = Vec::with_capacity(old.len() + edit.added.len());
        let mut at = 0;
        for (range, content) in ranges.iter().zip(edit.names.values()) {
            records.extend(old.by_ref().take(range.start - at));
            at = range.end;
            old.by_ref().take(range.len()).for_each(drop);
            records.extend_from_slice(content);
        }
        records.extend(old);
        self.records = records;
    }

    /// One change of one name (RFC 2136 §3.4.2.7), or why it is none.
    fn change(&self, content: &mut Vec<Record>, change: &Change) -> Result<(), Skip> {
        match change {
            Change::Add(record) => return add(content, record),
            Change::DeleteName(name) if *name == self.apex => {
                content.retain(|record| matches!(record.rtype, Rtype::SOA | Rtype::NS));
            }
            Change::DeleteName(_) => content.clear(),
            Change::DeleteRRset(name, rtype @ (Rtype::SOA | Rtype::NS)) if *name == self.apex => {
                return Err(Skip::Stays(*rtype));
            }
            Change::DeleteRRset(_, rtype) => content.retain(|record| record.rtype != *rtype),
            Change::DeleteRecord(name, rtype, rdata) => {
                let meant = |record: &Record| {
                    record.rtype == *rtype && same_data(*rtype, &record.rdata, rdata)
                };
                let needed = *name == self.apex && matches!(*rtype, Rtype::SOA | Rtype::NS);
                let mut set = content.iter().filter(|record| record.rtype == *rtype).peekable();
                if needed && set.peek().is_some() && set.all(meant) {
                    return Err(Skip::Stays(*rtype));
                }
                content.retain(|record| !meant(record));
            }
        }
        Ok(())
    }

    /// Moves on to the next serial, unless the changes brought a SOA record of their own; says
    /// which it is.
    fn move_serial(&self, names: &mut BTreeMap<Name, Vec<Record>>) -> u32 {
        let present = self.serial();
        let content =
            names.entry(self.apex.clone()).or_insert_with(|| self.at(&self.apex).to_vec());
        let soa = content.iter_mut().find(|record| record.rtype == Rtype::SOA);
        // A SOA record that is none is found by the checks.
        let parsed = soa.and_then(|soa| Some((Soa::parse(&soa.rdata)?.serial, soa)));
        let Some((serial, soa)) = parsed else { return present };
        if serial != present {
            return serial;
        }
        // The last five numbers have four octets each, and the serial is the first of them.
        let (next, at) = (next_serial(present), soa.rdata.len() - 20);
        soa.rdata[at..at + 4].copy_from_slice(&next.to_be_bytes());
        next
    }

    /// Checks everything that the new content of `names` can have made wrong.
    fn check(&self, names: &BTreeMap<Name, Vec<Record>>) -> Result<(), Fault> {
        let mut wanted: BTreeSet<&Name> = names.keys().collect();
        let mut above = BTreeSet::new();
        for (name, content) in names {
            let hides = content.iter().any(|record| match record.rtype {
                Rtype::NS => *name != self.apex,
                rtype => rtype == Rtype::DNAME,
            });
            if hides {
                let first = self.records.partition_point(|record| record.owner <= *name);
                let below = self.records[first..].iter();
                wanted.extend(
                    below.map(|record| &record.owner).take_while(|o| o.is_subdomain_of(name)),
                );
            }
            let mut at = name.parent();
            while let Some(parent) = at.filter(|parent| parent.is_subdomain_of(&self.apex)) {
                at = parent.parent();
                // What is above this one is there already, too.
                if !above.insert(parent) {
                    break;
                }
            }
        }
        wanted.extend(&above);
        let content = |name: &&Name| match names.get(*name) {
            Some(new) => new.as_slice(),
            None => self.at(name),
        };
        let records: Vec<Record> = wanted.iter().flat_map(content).cloned().collect();
        let errors = check::zone(&self.apex, &records);
        if errors.is_empty() { Ok(()) } else { Err(Fault::Zone(errors)) }
    }

    fn range(&self, name: &Name) -> Range<usize> {
        let start = self.records.partition_point(|record| record.owner < *name);
        let length = self.records[start..].partition_point(|record| record.owner == *name);
        start..start + length
    }
}

/// Adds to the set, or takes the place of what cannot be there twice; or says why neither (RFC 2136
/// §3.4.2.2). The whole set takes the record's TTL (RFC 2181 §5.2).
fn add(content: &mut Vec<Record>, new: &Record) -> Result<(), Skip> {
    let rtype = new.rtype;
    let apart = |rtype| rtype != Rtype::CNAME && !check::stands_beside_cname(rtype);
    let there = |rtype| content.iter().find(|old| old.rtype == rtype);
    if rtype == Rtype::CNAME && content.iter().any(|old| apart(old.rtype)) {
        return Err(Skip::CnameBeside(new.owner.clone()));
    }
    if apart(rtype) && there(Rtype::CNAME).is_some() {
        return Err(Skip::BesideCname(new.owner.clone(), rtype));
    }
    if rtype == Rtype::SOA {
        let present = there(Rtype::SOA).ok_or_else(|| Skip::NoSoa(new.owner.clone()))?;
        let serial = |record: &Record| Soa::parse(&record.rdata).map(|soa| soa.serial);
        // A SOA record that is none is found by the checks.
        if let (Some(present), Some(offered)) = (serial(present), serial(new))
            && !is_after(offered, present)
        {
            return Err(Skip::OldSerial { offered, present });
        }
    }
    content.retain(|old| old.rtype != rtype || !gives_way(rtype, &old.rdata, &new.rdata));
    let same = |old: &Record| old.rtype == rtype && same_data(rtype, &old.rdata, &new.rdata);
    // What is the same stays the one that was there, so that nothing changes.
    if !content.iter().any(same) {
        content.push(new.clone());
    }
    for record in
        content.iter_mut().filter(|record| record.rtype == rtype && covered(record) == covered(new))
    {
        record.ttl = new.ttl;
    }
    Ok(())
}

/// Whether a record goes when another of its type comes (RFC 2136 §1.1.5, RFC 6672 §5.2).
fn gives_way(rtype: Rtype, old: &[u8], new: &[u8]) -> bool {
    /// Octets of address and protocol, which begin the data (RFC 1035 §3.4.2).
    const WKS_SERVER: usize = 5;
    match rtype {
        Rtype::SOA | Rtype::CNAME | Rtype::DNAME => true,
        Rtype::WKS => old.get(..WKS_SERVER) == new.get(..WKS_SERVER),
        _ => false,
    }
}

/// Whether two contents of a name are the same but for the order inside RRsets.
fn same_content(before: &[Record], after: &[Record]) -> bool {
    before.len() == after.len() && after.iter().all(|record| contains(before, record))
}

/// Whether `record` is among those of its name, wherever it was written.
fn contains(records: &[Record], record: &Record) -> bool {
    records.iter().any(|other| {
        (other.rtype, other.ttl, &other.rdata) == (record.rtype, record.ttl, &record.rdata)
    })
}

/// Whether serial `a` is after `b` (RFC 1982 §3.2); of two that are half the circle apart neither
/// is.
fn is_after(a: u32, b: u32) -> bool {
    let ahead = a.wrapping_sub(b);
    ahead != 0 && ahead < 1 << 31
}

/// The serial after this one; 0 is left out, because some secondaries take it for none.
fn next_serial(serial: u32) -> u32 {
    serial.wrapping_add(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc1982_serials_go_round() {
        assert!(is_after(1, 0) && is_after(0, u32::MAX) && is_after(1 << 31, 1));
        assert!(
            !is_after(5, 5) && !is_after(0, 1) && !is_after(1 << 31, 0) && !is_after(0, 1 << 31)
        );
        assert_eq!((next_serial(7), next_serial(u32::MAX)), (8, 1));
    }
}
