//! Client-subnet scopes that are as wide as an answer allows.
//!
//! The leaves of a table tell places apart; an answer often does not. A route that ranks three
//! locations sees most of Europe alike, so one answer is good for much wider networks than a
//! leaf, and a resolver asks once where it would have asked a hundred times.
//!
//! ```text
//! leaves     | Lyon | Paris | Paris | Lille | Rome | Nice | private | Bonn |
//! rows       |  1 0 2               |  0 1 2       |  1 0 | nowhere | 1 0  |
//! scopes     |----------------------|--------------|------|---------|------|
//! ```
//!
//! Cut into aligned blocks, as scopes are. Special blocks are told apart from all else, as in the
//! table: no scope around them may hold them.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::runs::Value;
use crate::table::{Slot, key_v4, key_v6};
use crate::{Fence, Lens, Mask, PlaceId, Source, Table};
use merged::Merged;

mod merged;
#[cfg(test)]
mod tests;

/// The scopes of one class of services: those whose routes look at the client's place through the
/// same lenses and the same fence, and that are in the same locations.
///
/// They add to the table what is theirs, and use its borders: it must be at hand when they are asked.
#[derive(Debug)]
pub struct Scopes {
    v4: Merged,
    v6: Merged,
}

impl Scopes {
    /// Merges the leaves of the table whose places the class cannot tell apart: behind the fence,
    /// and of the mask's locations, the same ones are left, in the same order and groups through
    /// each lens. Where none is left, the fence's rule tells places apart, since it has the
    /// answer.
    ///
    /// # Panics
    ///
    /// If a lens or the fence was built for a smaller table.
    pub fn build(table: &Table, lenses: &[&Lens], fence: Option<&Fence>, mask: Mask) -> Scopes {
        let classes = classes(table, lenses, fence, mask);
        let class = |value: Value| match value.source() {
            Source::Special => u32::MAX,
            _ => classes[value.place().index()],
        };
        let (v4, v6) = table.partitions();
        Scopes { v4: Merged::new(v4, class), v6: Merged::new(v6, class) }
    }

    /// The prefix length of a network around the address in which the class tells no two
    /// addresses apart: the widest there is, and never finer than the table's cap.
    ///
    /// The table is the one that the scopes were built from, and `slot` is that of the address'
    /// [hit](Table::lookup_subnet); the default is looked up again.
    #[inline]
    pub fn scope(&self, table: &Table, address: IpAddr, slot: Slot) -> u8 {
        let (v4, v6) = table.partitions();
        match address {
            IpAddr::V4(address) => self.v4.scope(v4.borders(), key_v4(address.into()), slot),
            IpAddr::V6(address) => self.v6.scope(v6.borders(), key_v6(address.into()), slot),
        }
    }

    /// How many scopes there are, of both families.
    pub fn count(&self, table: &Table) -> usize {
        let (v4, v6) = table.partitions();
        self.v4.count(v4.borders()) + self.v6.count(v6.borders())
    }

    /// The memory that they hold, in bytes: from a quarter of a byte for each of the table's slots,
    /// where nearly all are alike, up to one and a quarter.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Scopes>() + self.v4.memory_bytes() + self.v6.memory_bytes()
    }
}

/// A number for each place, equal for places that the class cannot tell apart.
fn classes(table: &Table, lenses: &[&Lens], fence: Option<&Fence>, mask: Mask) -> Vec<u32> {
    // First by rows as a whole, of which there are few, so that few are looked into.
    let mut by_rows: HashMap<Vec<u32>, u32> = HashMap::new();
    let mut by_view: HashMap<Vec<u8>, u32> = HashMap::new();
    let mut rows = Vec::with_capacity(lenses.len() + 1);
    let class = |place: PlaceId| {
        let (allowed, rule) = fence.map_or((Mask::MAX, None), |fence| fence.allowed(place));
        rows.clear();
        rows.extend(lenses.iter().map(|lens| lens.row_number(place)));
        rows.push(rule.map_or(u32::MAX, u32::from));
        if let Some(&known) = by_rows.get(&rows) {
            return known;
        }
        let next = by_view.len() as u32;
        let view = view(lenses, place, allowed & mask, rule);
        let class = *by_view.entry(view).or_insert(next);
        by_rows.insert(rows.clone(), class);
        class
    };
    table.place_ids().map(class).collect()
}

/// All that the class sees of a place: the locations that are left, in their groups.
fn view(lenses: &[&Lens], place: PlaceId, left: Mask, rule: Option<u8>) -> Vec<u8> {
    const BEGINS_GROUP: u8 = 0x80;
    let mut view = left.to_le_bytes().to_vec();
    if left == 0 {
        view.extend(rule);
        return view;
    }
    for lens in lenses {
        for group in lens.row(place).iter_groups() {
            let kept = group.iter().filter(|&&location| left & 1 << location != 0);
            let begin = std::iter::once(BEGINS_GROUP).chain(std::iter::repeat(0));
            view.extend(kept.zip(begin).map(|(location, begin)| location | begin));
        }
    }
    view
}
