//! What can be wrong with zones and services.

use super::{Position, Record};
use crate::name::{Name, NameError};
use crate::rr::{Rtype, Ttl};
use std::fmt;

/// Most errors reported at once: a file of another kind would give one per line.
pub const MAX_ERRORS: usize = 20;

/// Something wrong, and where. The author of the zone file or of the service is to blame; nothing
/// has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneError {
    /// The record's place; none for services and for records that were never in a file.
    pub position: Option<Position>,
    /// The owner name, the service's name, or the zone's.
    pub name: Name,
    /// What is wrong.
    pub fault: ZoneFault,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZoneFault {
    /// No SOA at the apex (RFC 1035 §5.2).
    #[error("the zone has no SOA record at its apex")]
    NoSoa,
    /// A second SOA (RFC 1035 §5.2: "exactly one").
    #[error("a second SOA record")]
    SecondSoa,
    /// SOA RDATA that cannot be read.
    #[error("malformed SOA record")]
    MalformedSoa,
    /// SOA elsewhere than at the apex.
    #[error("a SOA record below the apex")]
    SoaBelowApex,
    /// No NS at the apex (RFC 1035 §5.2).
    #[error("the zone has no NS record at its apex")]
    NoNs,
    /// An owner outside the zone.
    #[error("the record is outside the zone {0}")]
    OutOfZone(Name),
    /// A CNAME with other data (RFC 1034 §3.6.2, RFC 2181 §10.1).
    #[error("{0} record beside a CNAME record")]
    BesideCname(Rtype),
    /// Two different CNAMEs at one name (RFC 2181 §10.1).
    #[error("a second CNAME record at the same name")]
    SecondCname,
    /// Two different DNAMEs at one name (RFC 6672 §2.4).
    #[error("a second DNAME record at the same name")]
    SecondDname,
    /// Something below a DNAME (RFC 6672 §2.4).
    #[error("record below the DNAME record at {0}")]
    BelowDname(Name),
    /// Below a delegation only addresses of name servers make sense (RFC 1034 §4.2.1).
    #[error("{rtype} record below the delegation at {cut}")]
    BelowCut {
        /// The type that stands there.
        rtype: Rtype,
        /// Where the delegation is.
        cut: Name,
    },
    /// At a delegation only NS, DS and what DNSSEC adds make sense.
    #[error("{0} record at a delegation")]
    AtCut(Rtype),
    /// DS without a delegation (RFC 4035 §2.4).
    #[error("DS record where no delegation is")]
    DsWithoutCut,
    /// NS or DNAME at a wildcard: what it means is not defined (RFC 4592 §4.2, §4.4).
    #[error("{0} record at a wildcard")]
    AtWildcard(Rtype),
    /// A type that is never stored.
    #[error("{0} records cannot be stored in a zone")]
    MetaType(Rtype),
    /// What only a signed zone has (RFC 4034, RFC 5155): served without it in each answer, validators
    /// would take the zone for forged.
    #[error("{0} record: this zone is signed; dnsrouter does not serve DNSSEC yet")]
    Signed(Rtype),
    /// A type whose RDATA holds names that cannot be read.
    #[error("malformed {0} record")]
    Malformed(Rtype),
    /// An RRset that no message can hold.
    #[error("the {0} records of this name do not fit into one message")]
    RRsetTooBig(Rtype),
    /// TTLs differ inside an RRset (a notice).
    #[error("TTL differs inside the RRset; the lowest, {lowest}, is used")]
    TtlMismatch {
        /// The TTL of the whole set.
        lowest: Ttl,
    },
    /// The same record twice (a notice).
    #[error("the same record was given before")]
    Duplicate,
    /// A name is too long once something is put before it.
    #[error("{0}")]
    Name(#[from] NameError),
    /// Two zones with one apex.
    #[error("the zone is given twice")]
    DuplicateZone,
    /// A zone that shares its table with others is to be frozen anew by itself.
    #[error("the zone is not frozen apart from the others")]
    NotApart,
    /// More data than offsets of 32 bits reach.
    #[error("zones that are frozen together hold more than 4 GiB of data")]
    TooBig,
    /// A service outside of every zone.
    #[error("the service is not inside any of the zones")]
    ServiceOutsideZones,
    /// A service at or below a delegation.
    #[error("the service is at or below the delegation at {0}")]
    ServiceBelowCut(Name),
    /// A service below a DNAME.
    #[error("the service is below the DNAME record at {0}")]
    ServiceBelowDname(Name),
    /// A service at a CNAME.
    #[error("the service is at a CNAME record")]
    ServiceAtCname,
    /// Two services at one name.
    #[error("another service has this name")]
    DuplicateService,
    /// Static records of a type that the service answers.
    #[error("the zone has {0} records at the service's name")]
    ServiceBesideStatic(Rtype),
    /// A service that answers a CNAME and something else, or stands where something else does
    /// (RFC 2181 §10.1).
    #[error("the service answers a CNAME, and has {0} records beside it")]
    CnameServiceBeside(Rtype),
    /// A service that answers nothing, or a type that is not data.
    #[error("a service cannot answer {0}")]
    ServiceType(Rtype),
    /// A service without any type.
    #[error("the service answers no type")]
    ServiceWithoutTypes,
}

impl ZoneError {
    pub(super) fn at(record: &Record, fault: ZoneFault) -> Self {
        ZoneError { position: record.position.clone(), name: record.owner.clone(), fault }
    }

    pub(super) fn of(name: &Name, fault: ZoneFault) -> Self {
        ZoneError { position: None, name: name.clone(), fault }
    }
}

impl std::error::Error for ZoneError {}

impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = &self.position {
            write!(f, "{position}: ")?;
        }
        write!(f, "{}: {}", self.name, self.fault)
    }
}

impl ZoneFault {
    /// What to do about it.
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            ZoneFault::NoSoa => {
                "add one: @ SOA ns1.example. hostmaster.example. 1 7200 3600 1209600 60"
            }
            ZoneFault::SecondSoa => "keep one; is the file included twice?",
            ZoneFault::SoaBelowApex => "a zone of its own goes into a file of its own",
            ZoneFault::NoNs => "add the zone's name servers: @ NS ns1.example.",
            ZoneFault::OutOfZone(_) => "is a final dot missing or one too many, or $ORIGIN wrong?",
            ZoneFault::BesideCname(_) | ZoneFault::ServiceAtCname => {
                "a name with a CNAME has no other data: move one of them"
            }
            ZoneFault::SecondCname | ZoneFault::SecondDname | ZoneFault::Duplicate => {
                "keep one of them"
            }
            ZoneFault::BelowDname(_) => "the DNAME redirects everything below it: remove one",
            ZoneFault::BelowCut { .. } | ZoneFault::AtCut(_) => {
                "this belongs into the child zone; here only its NS, DS and their addresses"
            }
            ZoneFault::DsWithoutCut => "add the child's NS records, or remove the DS",
            ZoneFault::AtWildcard(_) => "write the names out",
            ZoneFault::MalformedSoa | ZoneFault::Malformed(_) => {
                "see the RFC that defines the type, or leave the record out"
            }
            ZoneFault::MetaType(_) => "it exists in messages only: remove it",
            ZoneFault::Signed(_) => "load the unsigned zone, and remove the DS at the parent first",
            ZoneFault::RRsetTooBig(_) => "spread the records over several names",
            ZoneFault::DuplicateZone => "remove one of the two [[zone]]",
            ZoneFault::TtlMismatch { .. } => "give all records of the set one TTL",
            ZoneFault::CnameServiceBeside(_) => {
                "a name with a CNAME has no other data; at an apex, make the service an alias"
            }
            ZoneFault::ServiceOutsideZones => "add a [[zone]] that holds the name",
            ZoneFault::ServiceBelowCut(_) => "the child's servers answer for this name, not we",
            ZoneFault::ServiceBelowDname(_) => "remove the DNAME, or move the service",
            ZoneFault::ServiceBesideStatic(_) => "remove the static records, or the service",
            _ => return None,
        })
    }
}
