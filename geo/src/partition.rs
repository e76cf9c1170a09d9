//! The frozen form of an address space: built once, read by everyone, a few loads per lookup.

use std::hash::Hasher;

use crate::borders::Borders;
use crate::runs::{Runs, Value};

/// Runs with their values: one for each slot of the borders.
#[derive(Debug)]
pub(crate) struct Partition {
    borders: Borders,
    values: Box<[Value]>,
}

impl Partition {
    /// Freezes runs of which each starts at a multiple of the cap's block size.
    pub(crate) fn new(runs: &Runs<u64>, cap: u8) -> Partition {
        let mut values = Vec::with_capacity(runs.as_slice().len());
        let borders = Borders::new(runs.as_slice(), cap, |run| values.push(run.value));
        Partition { borders, values: values.into() }
    }

    /// The value that covers the key, the prefix length of the largest block around the key in
    /// which every key has this value, and the slot where all that was found.
    #[inline]
    pub(crate) fn lookup(&self, key: u64) -> (Value, u8, usize) {
        let (slot, scope) = self.borders.find(key);
        (self.values[slot], scope, slot)
    }

    /// The leaves of the disjoint trie in order: first key, prefix length, value.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = (u64, u8, Value)> + '_ {
        self.borders.blocks().map(|(start, len, slot)| (start, len, self.values[slot]))
    }

    /// Where the runs begin.
    pub(crate) fn borders(&self) -> &Borders {
        &self.borders
    }

    /// The values, slot by slot.
    pub(crate) fn values(&self) -> &[Value] {
        &self.values
    }

    /// Replaces each value by what `f` makes of it; distinct values stay distinct.
    pub(crate) fn replace(&mut self, f: &mut impl FnMut(Value) -> Value) {
        self.values.iter_mut().for_each(|value| *value = f(*value));
    }

    /// Feeds all that lookups can yield.
    pub(crate) fn hash(&self, hasher: &mut impl Hasher) {
        self.borders.hash(hasher);
        self.values.iter().for_each(|value| hasher.write(&value.bits().to_le_bytes()));
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.borders.memory_bytes() + size_of_val(&*self.values)
    }
}
