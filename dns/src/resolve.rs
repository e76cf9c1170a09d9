//! What to answer (RFC 1034 §4.3.2, with RFC 2308, 4592, 6604, 6672, 8020, 8482).
//!
//! ```text
//!            seek(name) ─▶ node at the name, or closest encloser
//!                │
//!   Outer ───────┼──────────▶ REFUSED                (later in a chain: the chain just ends)
//!   Cut, below ──┼──────────▶ referral: NS, glue, AA=0      (DS at the cut: our own answer)
//!   exact ───────┼─▶ type?  ─▶ RRset or service
//!                │   CNAME? ─▶ add it, go on at its target
//!                │   else   ─▶ NODATA: SOA
//!   encloser ────┼─▶ DNAME? ─▶ add it and the CNAME it makes, go on
//!                │   has *? ─▶ as exact, with the wildcard's data
//!                └─▶ else   ─▶ NXDOMAIN: SOA
//! ```
//!
//! Resolution reads frozen data and allocates nothing. It does not know addresses of services:
//! it says "here stands service N, type T", and the caller supplies them. Where T is CNAME and
//! was not asked for, the caller also goes on: it resolves the target it chose, within what is left
//! of the bound ([`Zones::resolve_on`](crate::zone::Zones::resolve_on)), and writes that with
//! [`Resolution::write_from`].

#[cfg(feature = "mutations")]
mod misled;
mod walk;

use crate::name::{MAX_NAME, NameRef};
use crate::rr::{RRset, Rcode, Rtype, Ttl};
use crate::wire::{Fit, Owner, Section, Writer};
use crate::zone::{Node, NodeId, ServiceId, Table, ZoneId};
use arrayvec::ArrayVec;

/// Most names visited for one question: the question's and those that CNAMEs and DNAMEs lead to.
/// Resolvers give up about there (Unbound and BIND after 11), and go on by themselves from where
/// our answer ends.
pub const MAX_CHAIN: usize = 11;

/// Each step adds a DNAME and a CNAME at most.
const MAX_ANSWERS: usize = 2 * MAX_CHAIN;

/// The answer to one question; see [`Zones::resolve`](crate::zone::Zones::resolve).
pub struct Resolution<'z> {
    rcode: Rcode,
    authoritative: bool,
    zone: Option<ZoneId>,
    visited: usize,
    answers: ArrayVec<Stored<'z>, MAX_ANSWERS>,
    authority: Option<(NameRef<'z>, RRset<'z>)>,
    alias: Option<Alias<'z>>,
    additional: Option<Additional<'z>>,
    /// Names that DNAMEs made.
    made: ArrayVec<MadeName, MAX_CHAIN>,
}

/// A name in wire form that stands in no zone.
type MadeName = ArrayVec<u8, MAX_NAME>;

#[derive(Clone, Copy)]
struct Stored<'z> {
    owner: OwnerAt<'z>,
    data: DataAt<'z>,
}

/// A name of the chain.
#[derive(Clone, Copy)]
enum OwnerAt<'z> {
    Question,
    Frozen(NameRef<'z>),
    /// Place in [`Resolution::made`].
    Made(usize),
}

#[derive(Clone, Copy)]
enum DataAt<'z> {
    Static(RRset<'z>),
    Service(ServiceId, Rtype),
    Cname { made: usize, ttl: Ttl },
}

/// Of the bits that say which addresses are hidden, the last speaks for all later ones too.
const LAST_BIT: usize = u64::BITS as usize - 1;

#[derive(Clone, Copy)]
struct Additional<'z> {
    table: &'z Table,
    nodes: &'z [NodeId],
    /// So many of them must come along (RFC 9471).
    needed: usize,
    /// Those behind the needed ones that lie in zones which the client may not see: a bit each.
    hidden: u64,
    referral: bool,
}

/// What a service binding in alias form leads to: bindings of the same type.
#[derive(Clone, Copy)]
struct Alias<'z> {
    owner: NameRef<'z>,
    data: DataAt<'z>,
    /// Addresses of their targets.
    addresses: Additional<'z>,
}

impl<'z> Additional<'z> {
    /// Those of its nodes that the client may see, and whether they must come along.
    fn seen(self) -> impl Iterator<Item = (NodeId, bool)> {
        let is_hidden = move |i: usize| self.hidden >> i.min(LAST_BIT) & 1 != 0;
        let nodes = self.nodes.iter().enumerate().filter(move |(i, _)| !is_hidden(*i));
        nodes.map(move |(i, &node)| (node, i < self.needed))
    }

    /// Whether a node is among its own, seen or hidden.
    fn has(self, table: &Table, node: NodeId) -> bool {
        std::ptr::eq(self.table, table) && self.nodes.contains(&node)
    }

    /// RRsets, as [`Resolution::additional`] has them, and whose they are.
    fn entries(self) -> impl Iterator<Item = (NodeId, Section, Entry<'z>)> {
        let Additional { table, referral, .. } = self;
        self.seen().flat_map(move |(id, needed)| {
            let section = if needed { Section::Glue } else { Section::Additional };
            addresses(table, table.node(id))
                .filter(move |entry| !(referral && matches!(entry.data, Data::Service { .. })))
                .map(move |entry| (id, section, entry))
        })
    }
}

/// One RRset of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'r> {
    /// Whose RRset it is. At wildcards the name that was asked for, not the wildcard's.
    pub owner: Owner<'r>,
    /// What it is.
    pub data: Data<'r>,
}

/// What stands in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data<'r> {
    /// Records from a zone.
    Static(RRset<'r>),
    /// Records that the caller makes for this client.
    Service {
        /// Which service.
        service: ServiceId,
        /// Which of its types.
        rtype: Rtype,
    },
    /// A CNAME that a DNAME made (RFC 6672 §3.1).
    Cname {
        /// Where it points to.
        target: NameRef<'r>,
        /// The DNAME's TTL.
        ttl: Ttl,
    },
}

impl Entry<'_> {
    fn rtype(&self) -> Rtype {
        match self.data {
            Data::Static(rrset) => rrset.rtype,
            Data::Cname { .. } => Rtype::CNAME,
            Data::Service { rtype, .. } => rtype,
        }
    }

    fn write<'b>(
        &self,
        section: Section,
        owner: Owner<'_>,
        writer: &mut Writer<'b>,
        services: &mut impl FnMut(&mut Writer<'b>, Section, Owner<'_>, ServiceId, Rtype),
    ) -> Fit {
        match self.data {
            Data::Static(rrset) => writer.rrset(section, owner, &rrset),
            Data::Cname { target, ttl } => {
                writer.rrset_with(section, owner, Rtype::CNAME, ttl, [target.wire()])
            }
            Data::Service { service, rtype } => {
                services(writer, section, owner, service, rtype);
                Fit::Written
            }
        }
    }
}

impl<'z> Resolution<'z> {
    /// An empty answer. Cheap: its arrays are not written to.
    #[inline]
    pub fn new() -> Self {
        Resolution {
            rcode: Rcode::REFUSED,
            authoritative: false,
            zone: None,
            visited: 0,
            answers: ArrayVec::new_const(),
            authority: None,
            alias: None,
            additional: None,
            made: ArrayVec::new_const(),
        }
    }

    /// Back to [`new`](Self::new), without a copy of the whole.
    fn clear(&mut self) {
        self.rcode = Rcode::REFUSED;
        self.authoritative = false;
        self.zone = None;
        self.visited = 0;
        self.answers.clear();
        self.authority = None;
        self.alias = None;
        self.additional = None;
        self.made.clear();
    }

    /// NOERROR, NXDOMAIN (also at the end of a chain, RFC 6604), YXDOMAIN, or REFUSED for a name
    /// outside our zones.
    pub fn rcode(&self) -> Rcode {
        self.rcode
    }

    /// AA: set but for referrals and refusals. A chain that ends in a referral is still ours at
    /// its start, which is what the bit speaks of (RFC 1035 §4.1.1).
    pub fn authoritative(&self) -> bool {
        self.authoritative
    }

    /// The zone that the question's name is in.
    pub fn zone(&self) -> Option<ZoneId> {
        self.zone
    }

    /// Names that were visited: the first, and those that CNAMEs and DNAMEs led to. At most
    /// [`MAX_CHAIN`].
    pub fn visited(&self) -> usize {
        self.visited
    }

    /// Whether this sends the client to the servers of a child zone.
    pub fn is_referral(&self) -> bool {
        self.additional.is_some_and(|additional| additional.referral)
    }

    /// The answer section, in order of the chain.
    pub fn answer(&self) -> impl Iterator<Item = Entry<'_>> {
        self.answers
            .iter()
            .map(|stored| Entry { owner: self.owner(stored.owner), data: self.data(stored.data) })
    }

    /// The service in the answer section, if there is one: there is never more than one, at the
    /// end of the chain. Its scope is the reply's; without one the scope is 0 (RFC 7871 §7.4).
    pub fn service(&self) -> Option<(ServiceId, Rtype)> {
        match self.answers.last()?.data {
            DataAt::Service(service, rtype) => Some((service, rtype)),
            _ => None,
        }
    }

    /// The authority section: the SOA with its negative TTL, or the delegation's NS.
    pub fn authority(&self) -> impl Iterator<Item = Entry<'_>> {
        self.authority
            .iter()
            .map(|&(owner, rrset)| Entry { owner: Owner::Name(owner), data: Data::Static(rrset) })
    }

    /// What goes along: glue of a referral, which must fit ([`Section::Glue`]), and what need not:
    /// bindings that a SVCB or HTTPS record in alias form leads to (RFC 9460 §4.1), and addresses
    /// of NS, MX, SRV, SVCB and HTTPS targets in the same table of our zones. Services are among
    /// the latter two but not in referrals. A reply whose additional section holds a service's
    /// addresses depends on the client: leave them out or give the scope accordingly.
    pub fn additional(&self) -> impl Iterator<Item = (Section, Entry<'_>)> {
        let alias = self.alias.into_iter();
        let bindings = alias.clone().map(|Alias { owner, data, .. }| {
            let data = self.data(data);
            (Section::Additional, Entry { owner: Owner::Name(owner), data })
        });
        let theirs = alias.flat_map(|alias| alias.addresses.entries());
        let others = self.additional.into_iter().flat_map(move |additional| {
            let is_said = move |node| {
                self.alias.is_some_and(|alias| alias.addresses.has(additional.table, node))
            };
            additional.entries().filter(move |(node, ..)| !is_said(*node))
        });
        bindings.chain(theirs.chain(others).map(|(_, section, entry)| (section, entry)))
    }

    /// Writes all sections, and AA, of the answer to the question; see
    /// [`write_from`](Self::write_from).
    pub fn write<'b>(
        &self,
        writer: &mut Writer<'b>,
        services: impl FnMut(&mut Writer<'b>, Section, Owner<'_>, ServiceId, Rtype),
    ) {
        self.write_from(Owner::Question, writer, |_, _| false, services);
    }

    /// Writes all sections, and AA. `start` is the name that was resolved: the question's, or the
    /// target of a service's CNAME. What `known` says of an RRset of the answer section (by owner
    /// and type) is in the message already, and is left out. `services` is called for each service entry and writes its
    /// RRset with [`Writer::rrset_with`], or not: entries of [`Section::Additional`] may be left
    /// out. What does not fit is truncated as [`Writer`] says.
    pub fn write_from<'b>(
        &self,
        start: Owner<'_>,
        writer: &mut Writer<'b>,
        mut known: impl FnMut(Owner<'_>, Rtype) -> bool,
        mut services: impl FnMut(&mut Writer<'b>, Section, Owner<'_>, ServiceId, Rtype),
    ) {
        writer.set_authoritative(self.authoritative);
        // What comes later is needed less: nothing follows what did not fit.
        for entry in self.answer() {
            let owner = if entry.owner == Owner::Question { start } else { entry.owner };
            if !known(owner, entry.rtype())
                && entry.write(Section::Answer, owner, writer, &mut services) != Fit::Written
            {
                return;
            }
        }
        for entry in self.authority() {
            if entry.write(Section::Authority, entry.owner, writer, &mut services) != Fit::Written {
                return;
            }
        }
        if self.alias.is_none() && self.additional.is_none() {
            return;
        }
        for (section, entry) in self.additional() {
            if entry.write(section, entry.owner, writer, &mut services) != Fit::Written {
                return;
            }
        }
    }

    fn data(&self, data: DataAt<'z>) -> Data<'_> {
        match data {
            DataAt::Static(rrset) => Data::Static(rrset),
            DataAt::Service(service, rtype) => Data::Service { service, rtype },
            DataAt::Cname { made, ttl } => Data::Cname { target: self.made(made), ttl },
        }
    }

    fn owner(&self, owner: OwnerAt<'z>) -> Owner<'_> {
        match owner {
            OwnerAt::Question => Owner::Question,
            OwnerAt::Frozen(name) => Owner::Name(name),
            OwnerAt::Made(made) => Owner::Name(self.made(made)),
        }
    }

    fn made(&self, made: usize) -> NameRef<'_> {
        NameRef::from_checked(&self.made[made])
    }
}

impl Default for Resolution<'_> {
    fn default() -> Self {
        Resolution::new()
    }
}

/// The address RRsets of a node.
fn addresses<'z>(table: &'z Table, node: &'z Node) -> impl Iterator<Item = Entry<'z>> {
    [Rtype::A, Rtype::AAAA].into_iter().filter_map(move |rtype| {
        let slot = table.slot(node, rtype)?;
        let data = match slot.service {
            Some(service) => Data::Service { service, rtype },
            None => Data::Static(table.rrset(slot)),
        };
        Some(Entry { owner: Owner::Name(table.name(node)), data })
    })
}
