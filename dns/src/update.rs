//! Dynamic updates: what a client demands, what it wants changed, and what comes of it (RFC 2136).
//!
//! ```text
//!   octets ─ Message::read ─▶ entries of two sections
//!
//!   prerequisites ─ Prerequisites::read ─▶ hold(zone)? ─┐ NXDOMAIN, YXRRSET, …
//!                                                       ▼
//!   updates ─────── Changes::read ─▶ the caller's permission ─▶ ZoneData::edit ─▶ Edit ─▶ apply
//!                        │ FORMERR, NOTZONE                         │ REFUSED; or skips
//! ```
//!
//! [`ZoneData::edit`] works on copies of the names it touches, checks them as a master file is
//! checked, and only a whole [`Edit`] can be applied.
//!
//! What RFC 2136 §3.4.2 has a server ignore is left out, and told ([`Skipped`]): a CNAME beside
//! other data, the deletion of the last NS record, an older SOA. Whatever else would make the zone
//! invalid (data below a delegation or a DNAME) changes nothing at all.
//!
//! [`ZoneData::edit`]: crate::zone::ZoneData::edit
//! [`Edit`]: crate::zone::Edit

use std::collections::BTreeMap;
use std::fmt;

use crate::name::Name;
use crate::rdata;
use crate::rr::{Class, Rcode, Rtype, Ttl};
use crate::zone::{Record, ZoneData, ZoneError, same_data};

pub use read::Message;

mod read;

/// A record of the prerequisite or update section, as it was sent; names in RDATA uncompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The owner name.
    pub owner: Name,
    /// The type, or ANY.
    pub rtype: Rtype,
    /// What is meant: the zone's class, ANY or NONE.
    pub class: Class,
    /// Zero but for records to be added.
    pub ttl: u32,
    /// Empty where only name and type count.
    pub rdata: Box<[u8]>,
}

/// Why an update does not happen. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A record that means nothing in its section (RFC 2136 §3.2.4, §3.4.1.2).
    #[error("{0}: a record that means nothing in an update")]
    Malformed(Name),
    /// A name outside of the zone.
    #[error("{0} is not inside the zone")]
    NotZone(Name),
    /// The name shall be in use, and is not.
    #[error("prerequisite: {0} is not in use")]
    NameMissing(Name),
    /// The name shall not be in use, and is.
    #[error("prerequisite: {0} is in use")]
    NamePresent(Name),
    /// The RRset shall exist, or be exactly the one given.
    #[error("prerequisite: {0} has no such {1} records")]
    RRsetMissing(Name, Rtype),
    /// The RRset shall not exist.
    #[error("prerequisite: {0} has {1} records")]
    RRsetPresent(Name, Rtype),
    /// What would come of it is no valid zone.
    #[error("the zone would be invalid: {}", Joined(.0))]
    Zone(Vec<ZoneError>),
}

impl Fault {
    /// What the client is told.
    pub fn rcode(&self) -> Rcode {
        match self {
            Fault::Malformed(_) => Rcode::FORMERR,
            Fault::NotZone(_) => Rcode::NOTZONE,
            Fault::NameMissing(_) => Rcode::NXDOMAIN,
            Fault::NamePresent(_) => Rcode::YXDOMAIN,
            Fault::RRsetMissing(..) => Rcode::NXRRSET,
            Fault::RRsetPresent(..) => Rcode::YXRRSET,
            Fault::Zone(_) => Rcode::REFUSED,
        }
    }
}

/// A change that is ignored, as RFC 2136 §3.4.2 demands. The others of the update are made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Skip {
    /// A CNAME record to be added where other data is (§3.4.2.2).
    #[error("{0}: a CNAME record beside other data")]
    CnameBeside(Name),
    /// Other data to be added where a CNAME record is (§3.4.2.2).
    #[error("{0}: a {1} record beside a CNAME record")]
    BesideCname(Name, Rtype),
    /// A SOA record to be added where none is: it is no apex (§3.4.2.2).
    #[error("{0}: a SOA record elsewhere than at the apex")]
    NoSoa(Name),
    /// A SOA record whose serial is not after the present one (§3.4.2.2, RFC 1982).
    #[error("a SOA record whose serial {offered} is not after {present}")]
    OldSerial {
        /// Of the update.
        offered: u32,
        /// Of the zone.
        present: u32,
    },
    /// The apex' SOA record, its NS records all at once, or the last of them, to be deleted
    /// (§3.4.2.3, §3.4.2.4).
    #[error("{0} records that the apex needs, to be deleted")]
    Stays(Rtype),
}

/// What was ignored of an update: at least one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// How many changes.
    pub count: usize,
    /// The first of them.
    pub first: Skip,
}

struct Joined<'a>(&'a [ZoneError]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// What must hold before anything is changed (RFC 2136 §2.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prerequisites(Vec<Prerequisite>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Prerequisite {
    InUse(Name),
    NotInUse(Name),
    Exists(Name, Rtype),
    Absent(Name, Rtype),
    /// Exactly these, whatever their TTL.
    Is(Name, Rtype, Vec<Box<[u8]>>),
}

/// A name that is in use though no record of the zone stands there, with the types it has: a
/// service's.
pub type Elsewhere<'a> = &'a dyn Fn(&Name) -> &'a [Rtype];

impl Prerequisites {
    /// Reads the section (RFC 2136 §3.2.5). Demands on one RRset's data become one.
    ///
    /// # Errors
    /// [`Fault::Malformed`], [`Fault::NotZone`].
    pub fn read(apex: &Name, entries: Vec<Entry>) -> Result<Self, Fault> {
        let mut all = Vec::new();
        let mut exact: BTreeMap<(Name, Rtype), Vec<Box<[u8]>>> = BTreeMap::new();
        for entry in entries {
            let Entry { owner, rtype, class, ttl, rdata } = entry;
            if ttl != 0 {
                return Err(Fault::Malformed(owner));
            }
            if !owner.is_subdomain_of(apex) {
                return Err(Fault::NotZone(owner));
            }
            let empty = rdata.is_empty();
            match (class, rtype) {
                (Class::ANY, Rtype::ANY) if empty => all.push(Prerequisite::InUse(owner)),
                (Class::NONE, Rtype::ANY) if empty => all.push(Prerequisite::NotInUse(owner)),
                (_, rtype) if !is_data(rtype) => return Err(Fault::Malformed(owner)),
                (Class::ANY, rtype) if empty => all.push(Prerequisite::Exists(owner, rtype)),
                (Class::NONE, rtype) if empty => all.push(Prerequisite::Absent(owner, rtype)),
                (Class::IN, rtype) => exact.entry((owner, rtype)).or_default().push(rdata),
                _ => return Err(Fault::Malformed(owner)),
            }
        }
        let exact =
            exact.into_iter().map(|((name, rtype), set)| Prerequisite::Is(name, rtype, set));
        all.extend(exact);
        Ok(Self(all))
    }

    /// Looks whether all of them hold. Wildcards, aliases and delegations count for nothing here:
    /// a name is in use if a record stands at that very name (RFC 2136 §2.4.4).
    ///
    /// # Errors
    /// The first that does not.
    pub fn hold(&self, zone: &ZoneData, elsewhere: Elsewhere<'_>) -> Result<(), Fault> {
        let used = |name: &Name| !zone.at(name).is_empty() || !elsewhere(name).is_empty();
        let exists = |name: &Name, rtype: Rtype| {
            zone.rrset(name, rtype).next().is_some() || elsewhere(name).contains(&rtype)
        };
        for prerequisite in &self.0 {
            let fault = match prerequisite {
                Prerequisite::InUse(name) if !used(name) => Fault::NameMissing(name.clone()),
                Prerequisite::NotInUse(name) if used(name) => Fault::NamePresent(name.clone()),
                Prerequisite::Exists(name, rtype) if !exists(name, *rtype) => {
                    Fault::RRsetMissing(name.clone(), *rtype)
                }
                Prerequisite::Absent(name, rtype) if exists(name, *rtype) => {
                    Fault::RRsetPresent(name.clone(), *rtype)
                }
                Prerequisite::Is(name, rtype, wanted)
                    if !is_exactly(zone, name, *rtype, wanted) =>
                {
                    Fault::RRsetMissing(name.clone(), *rtype)
                }
                _ => continue,
            };
            return Err(fault);
        }
        Ok(())
    }
}

/// Whether the RRset is `wanted`, no more and no less (RFC 2136 §3.2.3).
fn is_exactly(zone: &ZoneData, name: &Name, rtype: Rtype, wanted: &[Box<[u8]>]) -> bool {
    let among = |rdata: &[u8]| wanted.iter().any(|other| same_data(rtype, rdata, other));
    let present =
        |rdata: &[u8]| zone.rrset(name, rtype).any(|record| same_data(rtype, &record.rdata, rdata));
    zone.rrset(name, rtype).all(|record| among(&record.rdata))
        && wanted.iter().all(|rdata| present(rdata))
}

/// What is to be changed, in the order of the message (RFC 2136 §2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes(pub(crate) Vec<Change>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Add(Record),
    DeleteName(Name),
    DeleteRRset(Name, Rtype),
    DeleteRecord(Name, Rtype, Box<[u8]>),
}

impl Changes {
    /// Reads the section (RFC 2136 §3.4.1.3).
    ///
    /// # Errors
    /// [`Fault::Malformed`], [`Fault::NotZone`].
    pub fn read(apex: &Name, entries: Vec<Entry>) -> Result<Self, Fault> {
        let mut changes = Vec::with_capacity(entries.len());
        for entry in entries {
            let Entry { owner, rtype, class, ttl, rdata } = entry;
            if !owner.is_subdomain_of(apex) {
                return Err(Fault::NotZone(owner));
            }
            let bare = ttl == 0 && rdata.is_empty();
            changes.push(match class {
                Class::ANY if bare && rtype == Rtype::ANY => Change::DeleteName(owner),
                Class::ANY if bare && is_data(rtype) => Change::DeleteRRset(owner, rtype),
                Class::NONE if ttl == 0 && is_data(rtype) => {
                    Change::DeleteRecord(owner, rtype, rdata)
                }
                Class::IN if is_data(rtype) && rdata::check(rtype, &rdata).is_ok() => {
                    let ttl = Ttl::from_secs(ttl);
                    Change::Add(Record { owner, rtype, ttl, rdata, position: None })
                }
                _ => return Err(Fault::Malformed(owner)),
            });
        }
        Ok(Self(changes))
    }

    /// The names that would be touched, each with the type, or none where all types are meant: for
    /// whoever gives permission.
    pub fn touched(&self) -> impl Iterator<Item = (&Name, Option<Rtype>)> {
        self.0.iter().map(|change| match change {
            Change::Add(record) => (&record.owner, Some(record.rtype)),
            Change::DeleteName(name) => (name, None),
            Change::DeleteRRset(name, rtype) | Change::DeleteRecord(name, rtype, _) => {
                (name, Some(*rtype))
            }
        })
    }
}

/// Whether records of the type can be stored.
fn is_data(rtype: Rtype) -> bool {
    rtype.0 != 0 && !rtype.is_meta()
}
