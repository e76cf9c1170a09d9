//! The frozen form of an address space: built once, read by everyone, a few loads per lookup.

use std::hash::Hasher;

use crate::column::Column;
use crate::runs::{Key, Runs, Value};

/// Keys are cut into 2¹⁶ buckets: 320 KiB that stay in a cache close by, and what is left of a
/// start fits one byte for IPv4 at /24, and four for IPv6 at /48.
const BUCKET_BITS: u8 = 16;

/// The bits of a key behind the bucket's.
const SUFFIX_BITS: u8 = u64::BITS as u8 - BUCKET_BITS;

/// Runs over left-aligned 64-bit keys: an IPv4 address in the key's upper half, or the upper half
/// of an IPv6 address.
///
/// ```text
/// key       |  bucket  |   suffix   |
///                │            └──── is searched among the bucket's suffixes only
///                ▼
/// buckets   ..| 7 | 8 | 11 |..      the bucket's first run, and where the next bucket's start
/// suffixes  ..| 0 | 0  c  f |..     where a run starts within its bucket, without the bits
/// values    ..| A | A  B  C |..     that are zero at the cap; a bucket's first one is 0
/// scopes    ..|14 |  - |..          of buckets with a single run, which may be part of a wider
/// ```
///
/// No prefix lengths are stored. A run's neighbours have other values, so the leaf of the
/// disjoint trie around a key is the largest aligned block that touches neither: see
/// [`Key::block`]. A bucket with several runs is not one leaf, so its leaves end at its borders.
#[derive(Debug)]
pub(crate) struct Partition {
    buckets: Box<[u32]>,
    scopes: Box<[u8]>,
    suffixes: Column,
    /// How many zero bits the column leaves away.
    shift: u8,
    values: Box<[Value]>,
}

impl Partition {
    /// Freezes runs of which each starts at a multiple of the cap's block size.
    pub(crate) fn new(runs: &Runs<u64>, cap: u8) -> Partition {
        let runs = runs.as_slice();
        let start = |run: usize| runs.get(run).map(|run| run.start);
        let width = Column::width(cap.saturating_sub(BUCKET_BITS));
        let shift = SUFFIX_BITS.saturating_sub(width);
        let mut buckets = Vec::with_capacity((1 << BUCKET_BITS) + 1);
        let mut scopes = Vec::with_capacity(1 << BUCKET_BITS);
        let mut suffixes = Vec::with_capacity(runs.len());
        let mut values = Vec::with_capacity(runs.len());
        let mut run = 0;
        for bucket in 0..1 << BUCKET_BITS {
            let first = bucket << SUFFIX_BITS;
            let last = first | u64::host_mask(BUCKET_BITS);
            run += usize::from(start(run + 1) == Some(first));
            buckets.push(values.len() as u32);
            scopes.push(first.block(runs[run].start.checked_sub(1), start(run + 1)));
            suffixes.push(0);
            values.push(runs[run].value);
            while let Some(start) = start(run + 1).filter(|&start| start <= last) {
                run += 1;
                suffixes.push((start - first) >> shift);
                values.push(runs[run].value);
            }
        }
        buckets.push(values.len() as u32);
        Partition {
            buckets: buckets.into(),
            scopes: scopes.into(),
            suffixes: Column::new(&suffixes, width),
            shift,
            values: values.into(),
        }
    }

    /// The value that covers the key, and the prefix length of the largest block around the key
    /// in which every key has this value.
    #[inline]
    pub(crate) fn lookup(&self, key: u64) -> (Value, u8) {
        let bucket = (key >> SUFFIX_BITS) as usize;
        let runs = self.buckets[bucket] as usize..self.buckets[bucket + 1] as usize;
        if runs.len() == 1 {
            return (self.values[runs.start], self.scopes[bucket]);
        }
        let suffix = key & u64::host_mask(BUCKET_BITS);
        let run = self.suffixes.find(runs.clone(), suffix >> self.shift);
        let start = |run: usize| self.suffixes.get(run) << self.shift;
        let next = (run + 1 < runs.end).then(|| start(run + 1));
        (self.values[run], suffix.block(start(run).checked_sub(1), next))
    }

    /// The leaves of the disjoint trie in order: first key, prefix length, value.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = (u64, u8, Value)> + '_ {
        let mut next = Some(0);
        std::iter::from_fn(move || {
            let start: u64 = next?;
            let (value, len) = self.lookup(start);
            next = (start | u64::host_mask(len)).next();
            Some((start, len, value))
        })
    }

    /// Replaces each value by what `f` makes of it; distinct values stay distinct.
    pub(crate) fn replace(&mut self, f: &mut impl FnMut(Value) -> Value) {
        self.values.iter_mut().for_each(|value| *value = f(*value));
    }

    /// Feeds all that lookups can yield.
    pub(crate) fn hash(&self, hasher: &mut impl Hasher) {
        self.buckets.iter().for_each(|&run| hasher.write(&run.to_le_bytes()));
        self.suffixes.hash(hasher);
        self.values.iter().for_each(|value| hasher.write(&value.bits().to_le_bytes()));
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.buckets)
            + size_of_val(&*self.scopes)
            + size_of_val(&*self.values)
            + self.suffixes.memory_bytes()
    }
}
