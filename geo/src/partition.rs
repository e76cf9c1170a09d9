//! The frozen form of an address space: built once, read by everyone, a few loads per lookup.

use crate::runs::{Key, Run, Runs, Value};

/// At most 2²⁰ buckets, 4 MiB: past that the index falls out of the caches it is to spare.
const MAX_INDEX_BITS: u8 = 20;

/// Runs as sorted columns, with an index over the top bits of the key.
///
/// ```text
/// index    top bits of the key ──▶ the run that covers the bucket's first address
/// starts   0         a   b  c        d          ascending; a lookup searches one bucket only
/// values   v0        v1  v2 v3       v4         place and source, side by side with starts
/// ```
///
/// No prefix lengths are stored. A run's neighbours have other values, so the leaf of the
/// disjoint trie around a key is the largest aligned block that touches neither neighbour:
/// the key must differ within the block's prefix from the last key before the run and from
/// the first one behind it. Two `xor`s and two counts of leading zeros give that length.
#[derive(Debug)]
pub(crate) struct Partition<K> {
    starts: Box<[K]>,
    values: Box<[Value]>,
    index: Box<[u32]>,
    index_bits: u8,
}

impl<K: Key> Partition<K> {
    pub(crate) fn new(runs: &Runs<K>) -> Partition<K> {
        let runs = runs.as_slice();
        let index_bits = (runs.len().ilog2() as u8).clamp(1, MAX_INDEX_BITS);
        let mut run = 0;
        // One entry more than buckets: where the last bucket's search ends.
        let index = (0..=1usize << index_bits).map(|bucket| {
            if bucket >> index_bits == 1 {
                return runs.len() as u32 - 1;
            }
            let first = K::from_top(bucket, index_bits);
            while runs.get(run + 1).is_some_and(|next| next.start <= first) {
                run += 1;
            }
            run as u32
        });
        Partition {
            index: index.collect(),
            index_bits,
            starts: runs.iter().map(|run| run.start).collect(),
            values: runs.iter().map(|run| run.value).collect(),
        }
    }

    /// The value that covers the key, and the prefix length of the largest block around it in
    /// which every key has this value.
    #[inline]
    pub(crate) fn lookup(&self, key: K) -> (Value, u8) {
        let run = self.find(key);
        (self.values[run], self.scope(run, key))
    }

    /// The runs in order.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Run<K>> + '_ {
        self.starts.iter().zip(&self.values).map(|(&start, &value)| Run { start, value })
    }

    /// The leaves of the disjoint trie in order: first key, prefix length, value.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = (K, u8, Value)> + '_ {
        let mut next = Some(K::ZERO);
        std::iter::from_fn(move || {
            let start = next?;
            let (value, len) = self.lookup(start);
            next = (start | K::host_mask(len)).next();
            Some((start, len, value))
        })
    }

    /// Replaces each value by what `f` makes of it; distinct values stay distinct.
    pub(crate) fn replace(&mut self, f: &mut impl FnMut(Value) -> Value) {
        self.values.iter_mut().for_each(|value| *value = f(*value));
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.starts) + size_of_val(&*self.values) + size_of_val(&*self.index)
    }

    #[inline]
    fn find(&self, key: K) -> usize {
        let bucket = key.top(self.index_bits);
        let low = self.index[bucket] as usize;
        let high = self.index[bucket + 1] as usize;
        // The run that covers the next bucket's first address may start in this bucket.
        low + self.starts[low + 1..=high].partition_point(|&start| start <= key)
    }

    #[inline]
    fn scope(&self, run: usize, key: K) -> u8 {
        let apart = |other: K| (key ^ other).leading_zeros() + 1;
        let left = if run == 0 { 0 } else { apart(self.starts[run] - K::ONE) };
        let right = self.starts.get(run + 1).map_or(0, |&next| apart(next));
        left.max(right)
    }
}
