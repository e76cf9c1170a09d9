//! Laying the table out.

use super::table::{self, Kind, Node, NodeId, NodePlusOne, Place, Slot, ZoneEntry, Zones};
use crate::name::Name;
use crate::rr::Rtype;
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// The arrays while they grow. `None` from its functions: an offset does not fit into 32 bits.
pub(super) struct Emit {
    zones: Zones,
    nodes: Vec<Node>,
    slots: Vec<Slot>,
    entries: Vec<ZoneEntry>,
    extras: Vec<NodeId>,
    names: Vec<u8>,
    data: Vec<u8>,
}

impl Emit {
    pub(super) fn new(hash_key: [u64; 2], nodes: usize) -> Self {
        let zones = Zones {
            hash_key,
            index: vec![Place::default(); (nodes * 2).next_power_of_two()].into(),
            nodes: Box::default(),
            slots: Box::default(),
            zones: Box::default(),
            extras: Box::default(),
            names: Box::default(),
            data: Box::default(),
            max_depth: 0,
            fingerprint: 0,
        };
        Emit {
            zones,
            nodes: Vec::with_capacity(nodes),
            slots: Vec::new(),
            entries: Vec::new(),
            extras: Vec::new(),
            names: Vec::new(),
            data: Vec::new(),
        }
    }

    pub(super) fn slots_at(&self) -> Option<u32> {
        u32::try_from(self.slots.len()).ok()
    }

    pub(super) fn data<'r>(
        &mut self,
        rdatas: impl Iterator<Item = &'r [u8]>,
    ) -> Option<(u32, u32)> {
        let at = self.data.len();
        for rdata in rdatas {
            self.data.extend_from_slice(&u16::try_from(rdata.len()).ok()?.to_be_bytes());
            self.data.extend_from_slice(rdata);
        }
        Some((u32::try_from(at).ok()?, u32::try_from(self.data.len() - at).ok()?))
    }

    pub(super) fn node(&mut self, name: &Name, node: Node, slots: Vec<Slot>) -> Option<NodeId> {
        let id = NodeId(u32::try_from(self.nodes.len()).ok()?);
        let place_id = NodePlusOne::new(id.0.checked_add(1)?)?;
        self.nodes.push(Node {
            name_at: u32::try_from(self.names.len()).ok()?,
            name_len: u8::try_from(name.lower().len()).ok()?,
            ..node
        });
        self.names.extend_from_slice(name.lower());
        self.names.extend_from_slice(name.wire());
        self.slots.extend(slots);
        self.zones.max_depth = self.zones.max_depth.max(name.label_count());
        let hash = table::hash(self.zones.hash_key, name.lower());
        let mask = self.zones.index.len() - 1;
        let mut at = hash as usize & mask;
        while self.zones.index[at].id.is_some() {
            at = (at + 1) & mask;
        }
        self.zones.index[at] = Place { tag: (hash >> 32) as u32, id: Some(place_id) };
        Some(id)
    }

    pub(super) fn find(&self, lower: &[u8]) -> Option<NodeId> {
        table::find(&self.zones.index, table::hash(self.zones.hash_key, lower), |id| {
            let node = self.nodes[id.index()];
            self.names[node.name_at as usize..].starts_with(lower)
        })
    }

    pub(super) fn kind(&self, id: NodeId) -> Kind {
        self.nodes[id.index()].kind
    }

    /// Notes that `wildcard` is the `*` below `encloser`, which has come before it.
    pub(super) fn wildcard(&mut self, encloser: &[u8], wildcard: NodeId) {
        if let Some(encloser) = self.find(encloser) {
            self.nodes[encloser.index()].wildcard = NodePlusOne::new(wildcard.0 + 1);
        }
    }

    pub(super) fn zone(&mut self, entry: ZoneEntry) {
        self.entries.push(entry);
    }

    /// The node at `target` if it has addresses that may go along: our own data, and with a
    /// referral also glue.
    pub(super) fn find_addresses(&self, target: &Name, referral: bool) -> Option<NodeId> {
        let id = self.find(target.lower())?;
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

    pub(super) fn finish(self) -> Zones {
        let fingerprint = self.fingerprint();
        Zones {
            nodes: self.nodes.into(),
            slots: self.slots.into(),
            zones: self.entries.into(),
            extras: self.extras.into(),
            names: self.names.into(),
            data: self.data.into(),
            fingerprint,
            ..self.zones
        }
    }

    /// Hashes all content under a fixed key; array order is canonical, so equal content is equal.
    fn fingerprint(&self) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(0, 0);
        hasher.write_u64(self.entries.len() as u64);
        for entry in &self.entries {
            hasher.write_u32(entry.apex.0);
            hasher.write_u32(entry.parent.map_or(u32::MAX, |parent| parent.0));
            write_slot(&mut hasher, entry.parent_ds.as_ref());
        }
        for node in &self.nodes {
            hasher.write_u8(node.kind as u8);
            hasher.write_u16(node.slots);
            let slots = &self.slots[node.slots_at as usize..][..usize::from(node.slots)];
            for slot in slots {
                write_slot(&mut hasher, Some(slot));
            }
        }
        hasher.write(&self.names);
        hasher.write(&self.data);
        hasher.finish()
    }
}

fn write_slot(hasher: &mut SipHasher13, slot: Option<&Slot>) {
    let Some(slot) = slot else { return hasher.write_u8(0) };
    hasher.write_u8(1);
    hasher.write_u16(slot.rtype.0);
    hasher.write_u16(slot.count);
    hasher.write_u32(slot.ttl.as_secs());
    hasher.write_u32(slot.data_len);
    hasher.write_u32(slot.service.map_or(u32::MAX, |service| service.0));
}
