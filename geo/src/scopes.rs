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

use crate::borders::Borders;
use crate::partition::Partition;
use crate::runs::Value;
use crate::table::{key_v4, key_v6};
use crate::{Fence, Lens, Mask, PlaceId, Source, Table};

#[cfg(test)]
mod tests;

/// The scopes of one class of services: those whose routes look at the client's place through the
/// same lenses and the same fence, and that are in the same locations.
#[derive(Debug)]
pub struct Scopes {
    v4: Borders,
    v6: Borders,
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
            Source::Special => Value::new(PlaceId::UNKNOWN, Source::Special),
            _ => Value::new(PlaceId(classes[value.place().index()]), Source::None),
        };
        let borders =
            |leaves: &Partition, cap| Borders::new(leaves.regroup(class).as_slice(), cap, |_| ());
        let (v4, v6) = table.partitions();
        Scopes { v4: borders(v4, table.cap().v4()), v6: borders(v6, table.cap().v6()) }
    }

    /// The prefix length of a network around the address in which the class tells no two
    /// addresses apart: the widest there is, and never finer than the table's cap.
    #[inline]
    pub fn scope(&self, address: IpAddr) -> u8 {
        match address {
            IpAddr::V4(v4) => self.v4.find(key_v4(v4.into())).1,
            IpAddr::V6(v6) => self.v6.find(key_v6(v6.into())).1,
        }
    }

    /// How many scopes there are, of both families.
    pub fn count(&self) -> usize {
        self.v4.blocks().count() + self.v6.blocks().count()
    }

    /// The memory that they hold, in bytes: about 0.7 MB, and one or four bytes for each border.
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
