//! Laying a table out.

use super::Record;
use super::table::{
    self, Kind, Node, NodeId, NodePlusOne, Parent, Place, Slot, Table, ZoneEntry, ZoneId,
};
use crate::name::{LowerName, NameRef};
use crate::rr::{Rtype, Ttl};
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// The arrays while they grow. `None` from its functions: an offset does not fit into 32 bits.
pub(super) struct Emit {
    hash_key: [u64; 2],
    first: ZoneId,
    index: Box<[Place]>,
    nodes: Vec<Node>,
    slots: Vec<Slot>,
    entries: Vec<ZoneEntry>,
    markers: Vec<NodeId>,
    extras: Vec<NodeId>,
    names: Vec<u8>,
    data: Vec<u8>,
    max_depth: usize,
}

impl Emit {
    /// `first` is the number of the table's first zone, `records` about how many will come.
    pub(super) fn new(hash_key: [u64; 2], first: ZoneId, records: usize) -> Self {
        Emit {
            hash_key,
            first,
            index: Box::default(),
            nodes: Vec::with_capacity(records),
            slots: Vec::with_capacity(records),
            entries: Vec::new(),
            markers: Vec::new(),
            extras: Vec::new(),
            names: Vec::new(),
            data: Vec::new(),
            max_depth: 0,
        }
    }

    /// The number of the next node.
    pub(super) fn next(&self) -> Option<NodeId> {
        // In the index and as a wildcard's it is one more.
        let id = u32::try_from(self.nodes.len()).ok().filter(|&id| id < u32::MAX)?;
        Some(NodeId(id))
    }

    pub(super) fn slots_at(&self) -> Option<u32> {
        u32::try_from(self.slots.len()).ok()
    }

    /// One RRset; not yet any node's.
    pub(super) fn records(&mut self, set: &[Record]) -> Option<Slot> {
        let at = self.data.len();
        let mut ttl = set.first().map_or(Ttl::ZERO, |record| record.ttl);
        for record in set {
            ttl = ttl.min(record.ttl);
            self.data.extend_from_slice(&u16::try_from(record.rdata.len()).ok()?.to_be_bytes());
            self.data.extend_from_slice(&record.rdata);
        }
        let (count, length) = (u16::try_from(set.len()).ok()?, self.data.len() - at);
        let (at, length) = (u32::try_from(at).ok()?, u32::try_from(length).ok()?);
        Some(Slot::fixed(set.first()?.rtype, ttl, count, at, length))
    }

    /// A slot of the node that comes next.
    pub(super) fn slot(&mut self, slot: Slot) {
        self.slots.push(slot);
    }

    /// The next node, with the slots that came since [`slots_at`](Self::slots_at) was `slots_at`.
    pub(super) fn node(
        &mut self,
        (lower, wire): (&[u8], &[u8]),
        depth: usize,
        node: Node,
    ) -> Option<()> {
        let slots = &mut self.slots[node.slots_at as usize..];
        if !slots.is_sorted_by_key(|slot| slot.rtype) {
            slots.sort_by_key(|slot| slot.rtype);
        }
        let slots = u16::try_from(slots.len()).ok()?;
        self.nodes.push(Node {
            name_at: u32::try_from(self.names.len()).ok()?,
            name_len: u8::try_from(lower.len()).ok()?,
            slots,
            ..node
        });
        self.names.extend_from_slice(lower);
        self.names.extend_from_slice(wire);
        self.max_depth = self.max_depth.max(depth);
        Some(())
    }

    /// Notes that `wildcard` is the `*` below `encloser`.
    pub(super) fn wildcard(&mut self, encloser: NodeId, wildcard: NodeId) {
        self.nodes[encloser.index()].wildcard = NodePlusOne::new(wildcard.0 + 1);
    }

    /// Notes that a node between its zone and one below is a name of its zone after all.
    pub(super) fn exists(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.index()];
        (node.kind, node.link) = (Kind::Data, id);
    }

    /// Sets the closest enclosers of nodes between zones, which were linked with the node right
    /// above: parents come first, so theirs are known.
    pub(super) fn enclose(&mut self) {
        for id in 0..self.nodes.len() {
            let Node { kind, link, .. } = self.nodes[id];
            let above = self.nodes[link.index()];
            if kind == Kind::Between && above.kind == Kind::Between {
                self.nodes[id].link = above.link;
            }
        }
    }

    /// The next zone.
    pub(super) fn zone(&mut self, entry: ZoneEntry) {
        self.entries.push(entry);
    }

    /// Notes that a zone of another table begins here.
    pub(super) fn marker(&mut self, id: NodeId) {
        self.markers.push(id);
    }

    pub(super) fn kind(&self, id: NodeId) -> Kind {
        self.nodes[id.index()].kind
    }

    fn lower(&self, node: &Node) -> &[u8] {
        &self.names[node.name_at as usize..][..usize::from(node.name_len)]
    }

    /// The node's name with the case it was written in.
    pub(super) fn name(&self, id: NodeId) -> NameRef<'_> {
        let node = &self.nodes[id.index()];
        let length = usize::from(node.name_len);
        NameRef::from_checked(&self.names[node.name_at as usize + length..][..length])
    }

    /// Makes every node that has come findable.
    pub(super) fn index(&mut self) {
        let places = (self.nodes.len() * 2).next_power_of_two();
        let mut index = vec![Place::default(); places].into_boxed_slice();
        for (node, id) in self.nodes.iter().zip(1..) {
            let hash = table::hash(self.hash_key, self.lower(node));
            let mut at = hash as usize & (places - 1);
            while index[at].id.is_some() {
                at = (at + 1) & (places - 1);
            }
            index[at] = Place { tag: (hash >> 32) as u32, id: NodePlusOne::new(id) };
        }
        self.index = index;
    }

    /// The node at `target` if it has addresses that may go along: our own data, and with a
    /// referral also glue.
    pub(super) fn find_addresses(&self, target: &LowerName, referral: bool) -> Option<NodeId> {
        let lower = target.wire();
        let id = table::find(&self.index, table::hash(self.hash_key, lower), |id| {
            self.lower(&self.nodes[id.index()]) == lower
        })?;
        let node = self.nodes[id.index()];
        let known =
            node.kind == Kind::Data || referral && matches!(node.kind, Kind::Cut | Kind::BelowCut);
        let slots = &self.slots[node.slots_at as usize..][..usize::from(node.slots)];
        let addresses = slots.iter().any(|slot| {
            matches!(slot.rtype, Rtype::A | Rtype::AAAA) && !(referral && slot.service.is_some())
        });
        (known && addresses).then_some(id)
    }

    /// Notes the addresses that go along with an RRset.
    pub(super) fn extras(
        &mut self,
        id: NodeId,
        rtype: Rtype,
        needed: &[NodeId],
        optional: &[NodeId],
    ) -> Option<()> {
        let at = u32::try_from(self.extras.len()).ok()?;
        self.extras.extend_from_slice(needed);
        self.extras.extend_from_slice(optional);
        let node = self.nodes[id.index()];
        let slots = &mut self.slots[node.slots_at as usize..][..usize::from(node.slots)];
        let slot = slots.iter_mut().find(|slot| slot.rtype == rtype)?;
        slot.extras_at = at;
        slot.needed = u16::try_from(needed.len()).ok()?;
        slot.extras = u16::try_from(needed.len() + optional.len()).ok()?;
        Some(())
    }

    pub(super) fn finish(self) -> Table {
        let fingerprint = self.fingerprint();
        Table {
            hash_key: self.hash_key,
            index: self.index,
            nodes: self.nodes.into(),
            slots: self.slots.into(),
            zones: self.entries.into(),
            first: self.first,
            markers: self.markers.into(),
            extras: self.extras.into(),
            names: self.names.into(),
            data: self.data.into(),
            max_depth: self.max_depth,
            fingerprint,
        }
    }

    /// The sum of a hash of each name with what stands there, under a fixed key: how names are
    /// divided among tables leaves no trace in the sum of the tables.
    fn fingerprint(&self) -> u64 {
        let mut sum = 0_u64;
        let mut add = |name: &[u8], what: u8, slots: &[Slot]| {
            let mut hasher = SipHasher13::new_with_keys(0, 0);
            hasher.write(name);
            hasher.write_u8(what);
            for slot in slots {
                self.write_slot(&mut hasher, slot);
            }
            sum = sum.wrapping_add(hasher.finish());
        };
        let name = |id| self.name(id).wire();
        for (node, id) in self.nodes.iter().zip((0..).map(NodeId)) {
            if !matches!(node.kind, Kind::Outer | Kind::Elsewhere) {
                let slots = &self.slots[node.slots_at as usize..][..usize::from(node.slots)];
                add(name(id), node.kind as u8, slots);
            }
        }
        // What a zone of ours says of another one below it.
        for entry in &self.entries {
            if let Parent::Here(_, Some(ds)) = &entry.parent {
                add(name(entry.apex), u8::MAX, std::slice::from_ref(ds));
            }
        }
        for &id in &self.markers {
            let node = &self.nodes[id.index()];
            let slots = &self.slots[node.slots_at as usize..][..usize::from(node.slots)];
            if !slots.is_empty() {
                add(name(id), u8::MAX, slots);
            }
        }
        sum
    }

    fn write_slot(&self, hasher: &mut SipHasher13, slot: &Slot) {
        hasher.write_u64(
            u64::from(slot.rtype.0) << 48
                | u64::from(slot.count) << 32
                | u64::from(slot.ttl.as_secs()),
        );
        let service = slot.service.map_or(u32::MAX, |service| service.0);
        hasher.write_u64(u64::from(slot.data_len) << 32 | u64::from(service));
        hasher.write(&self.data[slot.data_at as usize..][..slot.data_len as usize]);
    }
}
