//! The frozen table and its look-ups.
//!
//! ```text
//!  index (open addressing, SipHash-1-3)      nodes                slots               data
//!  ┌ tag │ id ┐   ┌ name, kind, zone, link ┐   ┌ type, TTL, where ┐   ┌ len rdata len rdata … ┐
//!  │ …   │  7 ┼──▶│ 7: geo.example. Data   ┼──▶│ A: service 3     │   │                       │
//!  └─────┴────┘   └────────────────────────┘   │ TXT: 300 s ──────┼──▶│                       │
//!                                              └──────────────────┘   └───────────────────────┘
//! ```

use super::freeze::ServiceId;
use crate::name::{LowerName, NameRef};
use crate::rr::{RRset, Rtype, Ttl};
use siphasher::sip::SipHasher13;

/// Some of the zones, with the services in them, frozen; all of them, or those of one part of
/// [`Zones`](super::Zones). Look-ups take `&self`, share no state and allocate nothing.
pub(crate) struct Table {
    pub(super) hash_key: [u64; 2],
    /// A power of two of places, at most half of them taken.
    pub(super) index: Box<[Place]>,
    pub(super) nodes: Box<[Node]>,
    pub(super) slots: Box<[Slot]>,
    /// In canonical order of their apexes.
    pub(super) zones: Box<[ZoneEntry]>,
    /// The number of the first of them.
    pub(super) first: ZoneId,
    /// Where zones of other tables begin.
    pub(super) markers: Box<[NodeId]>,
    pub(super) extras: Box<[NodeId]>,
    /// Each name in lower case, then as written.
    pub(super) names: Box<[u8]>,
    pub(super) data: Box<[u8]>,
    /// Labels of the longest name: nothing longer needs hashing.
    pub(super) max_depth: usize,
    pub(super) fingerprint: u64,
}

/// Number of a zone: its place among [`Zones::zones`](super::Zones::zones). It stays when one of them
/// is frozen anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneId(pub(super) u32);

impl ZoneId {
    /// As a place in lists by number.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Number of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(pub(super) u32);

impl NodeId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What stands at a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Outside of every zone, but above one.
    #[default]
    Outer,
    /// Our data, or an empty non-terminal.
    Data,
    /// A delegation.
    Cut,
    /// Below the delegation `link`: only glue.
    BelowCut,
    /// Below the DNAME at `link`: only there because a zone of ours stands deeper.
    BelowDname,
    /// In `zone`, which another table holds: its apex (a *marker*), or a name between there and a
    /// zone of this table. A marker's `link` is the node above it if that belongs to a zone that
    /// has a say here, which is the parent; its DS records stand at the marker. Else it is the
    /// marker itself.
    Elsewhere,
    /// In no record of `zone`: only there because a zone of ours stands deeper. What exists is a
    /// matter of a zone's own content, so a query finds the closest encloser that `zone` has, the
    /// node `link`, in its place.
    Between,
}

/// A name that exists.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Node {
    pub(super) name_at: u32,
    pub(super) slots_at: u32,
    pub(super) slots: u16,
    pub(super) name_len: u8,
    pub(crate) kind: Kind,
    pub(crate) has_cname: bool,
    pub(crate) has_dname: bool,
    pub(crate) zone: ZoneId,
    pub(crate) link: NodeId,
    pub(super) wildcard: Option<NodePlusOne>,
}

/// A node number in a form where `Option` takes no room.
pub(super) type NodePlusOne = std::num::NonZeroU32;

/// One RRset of a node: fixed, or a service's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) rtype: Rtype,
    pub(super) count: u16,
    pub(super) ttl: Ttl,
    pub(super) data_at: u32,
    pub(super) data_len: u32,
    pub(crate) service: Option<ServiceId>,
    pub(super) extras_at: u32,
    /// Addresses needed with a referral stand first.
    pub(super) needed: u16,
    pub(super) extras: u16,
}

impl Slot {
    pub(super) fn service(rtype: Rtype, id: ServiceId) -> Self {
        Slot { service: Some(id), ..Slot::fixed(rtype, Ttl::ZERO, 0, 0, 0) }
    }

    pub(super) fn fixed(rtype: Rtype, ttl: Ttl, count: u16, data_at: u32, data_len: u32) -> Self {
        Slot {
            rtype,
            count,
            ttl,
            data_at,
            data_len,
            service: None,
            extras_at: 0,
            needed: 0,
            extras: 0,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ZoneEntry {
    pub(super) apex: NodeId,
    pub(super) serial: u32,
    pub(super) minimum: Ttl,
    pub(super) parent: Parent,
}

/// The zone of ours that holds a zone's delegation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Parent {
    /// There is none, or a delegation or a DNAME above hides that it is.
    None,
    /// A zone of the same table, with the DS records that it has.
    Here(ZoneId, Option<Slot>),
    /// The zone of ours above is in another table, whose marker knows.
    Elsewhere(ZoneId),
}

#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    /// Upper half of the hash.
    pub(super) tag: u32,
    pub(super) id: Option<NodePlusOne>,
}

impl Table {
    #[inline]
    pub(super) fn entry(&self, zone: ZoneId) -> &ZoneEntry {
        &self.zones[zone.index() - self.first.index()]
    }

    pub(super) fn names(&self) -> impl Iterator<Item = NameRef<'_>> {
        let here = |node: &&Node| !matches!(node.kind, Kind::Outer | Kind::Elsewhere);
        self.nodes.iter().filter(here).map(|node| self.name(node))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(self)
            + size_of_val(&*self.index)
            + size_of_val(&*self.nodes)
            + size_of_val(&*self.slots)
            + size_of_val(&*self.zones)
            + size_of_val(&*self.markers)
            + size_of_val(&*self.extras)
            + self.names.len()
            + self.data.len()
    }

    /// The node at `name` or, if there is none, at its closest encloser (RFC 4592 §3.3.1), and how
    /// many labels that has.
    ///
    /// Ancestors of a node are nodes, so existence is monotone in depth. The name itself and its
    /// parent are tried first, being most of all hits and misses; the rest is halved, so that a
    /// name of 127 labels costs seven hashes more.
    #[inline]
    pub(crate) fn seek(&self, name: &LowerName) -> (NodeId, usize) {
        let labels = name.label_count();
        if labels <= self.max_depth
            && let Some(node) = self.find(name.wire())
        {
            return (node, labels);
        }
        self.seek_encloser(name, labels)
    }

    fn seek_encloser(&self, name: &LowerName, labels: usize) -> (NodeId, usize) {
        // The root is node 0 in canonical order, and is never missed.
        let (mut known, mut depth) = (NodeId(0), 0);
        let mut missing = labels.min(self.max_depth + 1);
        let mut probe = missing.saturating_sub(1);
        while depth + 1 < missing {
            match self.find(name.suffix(probe)) {
                Some(node) => (known, depth) = (node, probe),
                None => missing = probe,
            }
            probe = depth.midpoint(missing);
        }
        (known, depth)
    }

    #[inline]
    pub(super) fn find(&self, lower: &[u8]) -> Option<NodeId> {
        find(&self.index, hash(self.hash_key, lower), |id| {
            self.lower(&self.nodes[id.index()]) == lower
        })
    }

    #[inline]
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    #[inline]
    fn lower(&self, node: &Node) -> &[u8] {
        let (at, len) = (node.name_at as usize, usize::from(node.name_len));
        &self.names[at..at + len]
    }

    /// The node's name with the case of the zone file.
    pub(crate) fn name(&self, node: &Node) -> NameRef<'_> {
        let (at, len) = (node.name_at as usize, usize::from(node.name_len));
        NameRef::from_checked(&self.names[at + len..at + 2 * len])
    }

    #[inline]
    pub(crate) fn slots(&self, node: &Node) -> &[Slot] {
        &self.slots[node.slots_at as usize..][..usize::from(node.slots)]
    }

    #[inline]
    pub(crate) fn slot(&self, node: &Node, rtype: Rtype) -> Option<&Slot> {
        self.slots(node).iter().find(|slot| slot.rtype == rtype)
    }

    /// The records of a slot that is not a service's.
    #[inline]
    pub(crate) fn rrset(&self, slot: &Slot) -> RRset<'_> {
        RRset {
            rtype: slot.rtype,
            ttl: slot.ttl,
            count: slot.count,
            data: &self.data[slot.data_at as usize..][..slot.data_len as usize],
        }
    }

    /// Nodes with the addresses of the slot's targets, the needed ones first; and how many those
    /// are.
    #[inline]
    pub(crate) fn extras(&self, slot: &Slot) -> (&[NodeId], usize) {
        let extras = &self.extras[slot.extras_at as usize..][..usize::from(slot.extras)];
        (extras, usize::from(slot.needed))
    }

    #[inline]
    pub(crate) fn wildcard(&self, encloser: &Node) -> Option<&Node> {
        encloser.wildcard.map(|id| &self.nodes[id.get() as usize - 1])
    }
}

#[inline]
pub(super) fn hash(key: [u64; 2], lower: &[u8]) -> u64 {
    SipHasher13::new_with_keys(key[0], key[1]).hash(lower)
}

#[inline]
pub(super) fn find(index: &[Place], hash: u64, is: impl Fn(NodeId) -> bool) -> Option<NodeId> {
    let mask = index.len() - 1;
    let mut at = hash as usize & mask;
    let tag = (hash >> 32) as u32;
    loop {
        let place = index[at];
        let id = NodeId(place.id?.get() - 1);
        if place.tag == tag && is(id) {
            return Some(id);
        }
        at = (at + 1) & mask;
    }
}
