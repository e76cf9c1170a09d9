//! What a zone may say and seldom means to: no reason to refuse it, worth telling its author.
//!
//! Targets are looked up as a query would, in the zone frozen for it alone: wildcards, aliases
//! and delegations are then seen as clients see them. What stands in other zones, and the names
//! of services, are unknown here.

use super::data::Soa;
use super::{Position, Record, ZoneData, Zones};
use crate::name::{LowerName, Name, NameRef};
use crate::resolve::{Data, Resolution};
use crate::rr::{Rtype, Ttl};

/// Most of them told at once: a file with more has one mistake many times.
pub const MAX_LINTS: usize = 100;

/// Longest useful negative TTL (RFC 2308 §5: values over a day have been problematic).
const MAX_NEGATIVE: Ttl = Ttl::from_secs(86_400);

/// Something doubtful, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    /// The record's place; none for records that were never in a file.
    pub position: Option<Position>,
    /// The owner name.
    pub name: Name,
    /// What is doubtful.
    pub doubt: Doubt,
}

/// What is doubtful.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// NS, MX or SRV at an alias (RFC 2181 §10.3, RFC 2782).
    #[error("the {rtype} target {target} is an alias (CNAME)")]
    TargetIsAlias {
        /// Of the record that points there.
        rtype: Rtype,
        /// Where it points.
        target: Name,
    },
    /// NS, MX or SRV at a name of the zone that has no address.
    #[error("the {rtype} target {target} has no address in the zone")]
    TargetWithoutAddress {
        /// Of the record that points there.
        rtype: Rtype,
        /// Where it points.
        target: Name,
    },
    /// A delegation to a server below it, without its address (RFC 9471).
    #[error("glue is missing: {0} is inside the delegated zone, and its address is not here")]
    MissingGlue(Name),
    /// An address below a delegation that is none of its servers': never answered.
    #[error("the address is below a delegation and belongs to none of its name servers")]
    UnusedGlue,
    /// A key, or a child's wish for a DS record, in a zone that no answer is signed of.
    #[error("{0} record in a zone that is served unsigned")]
    KeyUnsigned(Rtype),
    /// Parameters of a service binding in alias form, which clients ignore (RFC 9460 §2.4.2).
    #[error("{0} record of priority 0, an alias, with parameters: clients ignore them")]
    AliasWithParameters(Rtype),
    /// The target is an address with the zone's name behind it.
    #[error("the {rtype} target {target} looks like an address: a name must stand here")]
    AddressAsName {
        /// Of the record that points there.
        rtype: Rtype,
        /// Where it points.
        target: Name,
    },
    /// The zone's name twice, as when a final dot was forgotten.
    #[error("{0} ends in the zone's name twice")]
    ApexTwice(Name),
    /// A CNAME that leads back to itself.
    #[error("the CNAME leads back to itself")]
    AliasLoop,
    /// A TTL of zero: every client asks each time.
    #[error("TTL 0: resolvers ask again for every client")]
    ZeroTtl,
    /// SOA MNAME is none of the name servers.
    #[error("the SOA's primary {0} is none of the zone's NS")]
    PrimaryNotListed(Name),
    /// `user@host` in the SOA's mail address.
    #[error("the SOA's mail address has an @")]
    MailWithAt,
    /// SOA EXPIRE would drop the zone before a secondary tries again.
    #[error("the SOA's expire is shorter than its refresh and retry together")]
    ExpiresEarly,
    /// SOA RETRY is no quicker than REFRESH.
    #[error("the SOA's retry is not shorter than its refresh")]
    SlowRetry,
    /// SOA MINIMUM over a day.
    #[error("negative answers are cached for more than a day")]
    LongNegative,
    /// Fewer name servers than two (RFC 1034 §4.1, RFC 2182 §5).
    #[error("a single name server")]
    OneServer,
}

impl Doubt {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Doubt::TargetIsAlias { .. } => {
                "name the host itself: many clients follow no alias here"
            }
            Doubt::TargetWithoutAddress { .. } => {
                "add its A or AAAA record; a [[service]] of that name has one, which is not seen here"
            }
            Doubt::MissingGlue(_) => "add its A or AAAA record: without it nobody finds the server",
            Doubt::UnusedGlue => "remove it here; the child zone says it",
            Doubt::KeyUnsigned(_) => {
                "dnsrouter does not serve DNSSEC yet: with a DS at the parent nobody who validates \
                 believes the zone"
            }
            Doubt::AliasWithParameters(_) => "leave them out, or give it a priority of 1 or more",
            Doubt::AddressAsName { .. } => "give the address to a name, and name that",
            Doubt::ApexTwice(_) => "is a final dot missing?",
            Doubt::AliasLoop => "point it at a name that has data",
            Doubt::ZeroTtl => "a few seconds spare most queries",
            Doubt::PrimaryNotListed(_) => "right for a hidden primary; else name one of the NS",
            Doubt::MailWithAt => "write hostmaster@example.com as hostmaster.example.com.",
            Doubt::ExpiresEarly => "expire is usually two to four weeks",
            Doubt::SlowRetry => "retry is usually a fraction of refresh",
            Doubt::LongNegative => "the SOA's last number: an hour or less lets new names appear",
            Doubt::OneServer => "two at different places keep the zone up when one is down",
        }
    }
}

/// Everything doubtful about `zone`, in the order of its records, at most [`MAX_LINTS`].
pub fn lint(zone: &ZoneData) -> Vec<Lint> {
    // Nobody chooses names against this table: it answers only these look-ups.
    let zones = Zones::freeze([zone], &[], [0; 2]).unwrap_or_else(|_| Zones::empty());
    let lints = Lints { zone, zones, twice: twice(zone.apex()), found: Vec::new() };
    lints.all()
}

struct Lints<'z> {
    zone: &'z ZoneData,
    zones: Zones,
    /// The apex below itself.
    twice: Option<Name>,
    found: Vec<Lint>,
}

/// What a target is, seen from inside the zone.
enum Target {
    /// In another zone, also in one that is delegated here.
    Elsewhere,
    Alias,
    Addresses,
    Nothing,
}

impl<'z> Lints<'z> {
    fn all(mut self) -> Vec<Lint> {
        // The delegation that what comes next may be below: records come in canonical order.
        let mut cut: Option<&Name> = None;
        let mut last: Option<&Name> = None;
        for set in self.zone.records().chunk_by(|a, b| a.owner == b.owner && a.rtype == b.rtype) {
            if self.found.len() >= MAX_LINTS {
                break;
            }
            let first = &set[0];
            cut = cut.filter(|cut| first.owner.is_subdomain_of(cut));
            if first.rtype == Rtype::NS && first.owner != *self.zone.apex() {
                cut = Some(&first.owner);
            }
            if first.ttl == Ttl::ZERO {
                self.add(first, Doubt::ZeroTtl);
            }
            if last.replace(&first.owner) != Some(&first.owner) && self.is_twice(&first.owner) {
                self.add(first, Doubt::ApexTwice(first.owner.clone()));
            }
            for record in set {
                self.record(record, cut);
            }
            if first.rtype == Rtype::NS && cut.is_none() && set.len() == 1 {
                self.add(first, Doubt::OneServer);
            }
        }
        self.found.truncate(MAX_LINTS);
        self.found
    }

    fn add(&mut self, record: &Record, doubt: Doubt) {
        let (position, name) = (record.position.clone(), record.owner.clone());
        self.found.push(Lint { position, name, doubt });
    }

    fn record(&mut self, record: &Record, cut: Option<&Name>) {
        let target = |skip: usize| {
            let name = NameRef::parse(record.rdata.get(skip..)?).ok()?;
            Some(name.to_name()).filter(|name| !name.is_root())
        };
        match record.rtype {
            Rtype::SOA => self.soa(record),
            Rtype::A | Rtype::AAAA if cut.is_some_and(|cut| !self.serves(cut, &record.owner)) => {
                self.add(record, Doubt::UnusedGlue);
            }
            Rtype::NS => self.host(record, target(0), cut),
            Rtype::MX => self.host(record, target(2), None),
            Rtype::SRV => self.host(record, target(6), None),
            Rtype::DNSKEY | Rtype::CDS | Rtype::CDNSKEY if !asks_for_no_ds(record) => {
                self.add(record, Doubt::KeyUnsigned(record.rtype));
            }
            Rtype::SVCB | Rtype::HTTPS if is_alias_with_parameters(&record.rdata) => {
                self.add(record, Doubt::AliasWithParameters(record.rtype));
            }
            Rtype::CNAME | Rtype::DNAME | Rtype::PTR => {
                let twice = target(0).filter(|name| self.is_twice(name));
                if let Some(name) = twice {
                    self.add(record, Doubt::ApexTwice(name));
                }
                if record.rtype == Rtype::CNAME && self.loops(&record.owner) {
                    self.add(record, Doubt::AliasLoop);
                }
            }
            _ => {}
        }
    }

    /// A record that must lead to a host. `cut`: the delegation it makes, if it does.
    fn host(&mut self, record: &Record, target: Option<Name>, cut: Option<&Name>) {
        let Some(target) = target else { return };
        let rtype = record.rtype;
        let doubt = if looks_like_address(&target) {
            Doubt::AddressAsName { rtype, target }
        } else if self.is_twice(&target) {
            Doubt::ApexTwice(target)
        } else {
            match self.look_up(&target) {
                Target::Alias => Doubt::TargetIsAlias { rtype, target },
                Target::Nothing => Doubt::TargetWithoutAddress { rtype, target },
                Target::Elsewhere
                    if cut.is_some_and(|cut| target.is_subdomain_of(cut))
                        && !self.has_address(&target) =>
                {
                    Doubt::MissingGlue(target)
                }
                Target::Elsewhere | Target::Addresses => return,
            }
        };
        self.add(record, doubt);
    }

    fn soa(&mut self, record: &Record) {
        let Some((mname, rname, times)) = soa(&record.rdata) else { return };
        let apex = self.zone.apex();
        let listed = self
            .zone
            .records()
            .iter()
            .filter(|other| other.rtype == Rtype::NS && other.owner == *apex)
            .any(|other| NameRef::parse(&other.rdata).is_ok_and(|ns| ns == mname.as_name()));
        if self.is_twice(&mname) {
            self.add(record, Doubt::ApexTwice(mname));
        } else if !listed && !mname.is_root() {
            self.add(record, Doubt::PrimaryNotListed(mname));
        }
        let has_at = rname.labels().next().is_some_and(|label| label.contains(&b'@'));
        let Times { refresh, retry, expire, minimum } = times;
        let doubts = [
            (has_at, Doubt::MailWithAt),
            (u64::from(expire) < u64::from(refresh) + u64::from(retry), Doubt::ExpiresEarly),
            (retry >= refresh && refresh > 0, Doubt::SlowRetry),
            (minimum > MAX_NEGATIVE, Doubt::LongNegative),
        ];
        for (doubtful, doubt) in doubts {
            if doubtful {
                self.add(record, doubt);
            }
        }
    }

    fn look_up(&self, name: &Name) -> Target {
        if !name.is_subdomain_of(self.zone.apex()) {
            return Target::Elsewhere;
        }
        let mut found = Resolution::new();
        for rtype in [Rtype::A, Rtype::AAAA] {
            self.zones.resolve(&LowerName::from(name.as_name()), rtype, &mut found);
            let answered = found.answer().next();
            match answered.map(|entry| entry.data) {
                Some(Data::Static(set)) if set.rtype == rtype => return Target::Addresses,
                Some(_) => return Target::Alias,
                None if found.is_referral() => return Target::Elsewhere,
                None => {}
            }
        }
        Target::Nothing
    }

    /// Whether the aliases that start at `owner` come back to it.
    fn loops(&self, owner: &Name) -> bool {
        let mut found = Resolution::new();
        self.zones.resolve(&LowerName::from(owner.as_name()), Rtype::A, &mut found);
        found.answer().any(|entry| match entry.data {
            Data::Static(set) if set.rtype == Rtype::CNAME => set
                .rdatas()
                .any(|rdata| NameRef::parse(rdata).is_ok_and(|target| target == owner.as_name())),
            _ => false,
        })
    }

    /// Whether `host` is a name server of the delegation at `cut`.
    fn serves(&self, cut: &Name, host: &Name) -> bool {
        self.of(cut).iter().filter(|record| record.rtype == Rtype::NS).any(|record| {
            NameRef::parse(&record.rdata).is_ok_and(|target| target == host.as_name())
        })
    }

    fn has_address(&self, name: &Name) -> bool {
        self.of(name).iter().any(|record| matches!(record.rtype, Rtype::A | Rtype::AAAA))
    }

    /// The records of one owner.
    fn of(&self, name: &Name) -> &'z [Record] {
        let records = self.zone.records();
        let start = records.partition_point(|record| record.owner < *name);
        let length = records[start..].iter().take_while(|record| record.owner == *name).count();
        &records[start..start + length]
    }

    fn is_twice(&self, name: &Name) -> bool {
        self.twice.as_ref().is_some_and(|twice| name.is_subdomain_of(twice))
    }
}

/// `example.com.example.com.` for `example.com.`; none for a single label, which may well stand
/// twice on purpose, and if the name would be too long.
fn twice(apex: &Name) -> Option<Name> {
    let labels: Vec<&[u8]> = apex.labels().collect();
    let again = |below: Name, label: &&[u8]| below.child(label).ok();
    (labels.len() > 1).then(|| labels.iter().rev().try_fold(apex.clone(), again)).flatten()
}

/// Whether the child asks its parent to remove the DS records, as one should who stops signing: the
/// algorithm is 0 (RFC 8078 §4).
fn asks_for_no_ds(record: &Record) -> bool {
    match record.rtype {
        Rtype::CDS => record.rdata.get(2) == Some(&0),
        Rtype::CDNSKEY => record.rdata.get(3) == Some(&0),
        _ => false,
    }
}

fn is_alias_with_parameters(rdata: &[u8]) -> bool {
    let target = rdata.strip_prefix(&[0, 0]).unwrap_or_default();
    NameRef::parse(target).is_ok_and(|name| name.wire_len() < target.len())
}

/// Four numbers at the left: an IPv4 address that was taken for a relative name.
fn looks_like_address(name: &Name) -> bool {
    let number = |label: &[u8]| label.len() <= 3 && label.iter().all(u8::is_ascii_digit);
    let labels: Vec<&[u8]> = name.labels().take(4).collect();
    labels.len() == 4 && labels.into_iter().all(number)
}

/// Seconds, and the negative TTL.
struct Times {
    refresh: u32,
    retry: u32,
    expire: u32,
    minimum: Ttl,
}

fn soa(rdata: &[u8]) -> Option<(Name, Name, Times)> {
    let mname = NameRef::parse(rdata).ok()?;
    let rname = NameRef::parse(rdata.get(mname.wire_len()..)?).ok()?;
    let numbers = rdata.last_chunk::<20>()?;
    let number = |at: usize| {
        u32::from_be_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]])
    };
    let minimum = Soa::parse(rdata)?.minimum;
    let times = Times { refresh: number(4), retry: number(8), expire: number(12), minimum };
    Some((mname.to_name(), rname.to_name(), times))
}
