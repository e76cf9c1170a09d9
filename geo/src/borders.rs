//! Where the runs of an address space begin, frozen: a few loads find the run of a key and the
//! block around it.

use std::hash::Hasher;
use std::ops::Range;

use crate::column::Column;
use crate::runs::{Key, Run};

/// Keys are cut into 2¹⁶ buckets: 320 KiB that stay in a cache close by, and what is left of a
/// start fits one byte for IPv4 at /24, and four for IPv6 at /48.
const BUCKET_BITS: u8 = 16;

/// The bits of a key behind the bucket's.
const SUFFIX_BITS: u8 = u64::BITS as u8 - BUCKET_BITS;

/// The starts of runs over left-aligned 64-bit keys: an IPv4 address in the key's upper half, or
/// the upper half of an IPv6 address.
///
/// ```text
/// key       |  bucket  |   suffix   |
///                │            └──── is searched among the bucket's suffixes only
///                ▼
/// buckets   ..| 7 | 8 | 11 |..      the bucket's first slot, and where the next bucket's start
/// suffixes  ..| 0 | 0  c  f |..     where a run starts within its bucket, without the bits
///                                   that are zero at the cap; a bucket's first one is 0
/// scopes    ..|14 |  - |..          of buckets with a single run, which may be part of a wider
/// ```
///
/// No prefix lengths are stored. A run's neighbours have other values, so the leaf of the
/// disjoint trie around a key is the largest aligned block that touches neither: see
/// [`Key::block`]. A bucket with several runs is not one leaf, so its leaves end at its borders.
#[derive(Debug)]
pub(crate) struct Borders {
    buckets: Box<[u32]>,
    scopes: Box<[u8]>,
    suffixes: Column,
    /// How many zero bits the column leaves away.
    shift: u8,
}

impl Borders {
    /// Freezes runs of which each starts at a multiple of the cap's block size. A run has a slot
    /// in each bucket that it is in; `slot` hears of them in order.
    pub(crate) fn new(runs: &[Run<u64>], cap: u8, mut slot: impl FnMut(&Run<u64>)) -> Borders {
        let start = |run: usize| runs.get(run).map(|run| run.start);
        let width = Column::width(cap.saturating_sub(BUCKET_BITS));
        let shift = SUFFIX_BITS.saturating_sub(width);
        let mut buckets = Vec::with_capacity((1 << BUCKET_BITS) + 1);
        let mut scopes = Vec::with_capacity(1 << BUCKET_BITS);
        let mut suffixes = Vec::with_capacity(runs.len());
        let mut run = 0;
        for bucket in 0..1 << BUCKET_BITS {
            let first = bucket << SUFFIX_BITS;
            let last = first | u64::host_mask(BUCKET_BITS);
            run += usize::from(start(run + 1) == Some(first));
            buckets.push(suffixes.len() as u32);
            scopes.push(first.block(runs[run].start.checked_sub(1), start(run + 1)));
            suffixes.push(0);
            slot(&runs[run]);
            while let Some(start) = start(run + 1).filter(|&start| start <= last) {
                run += 1;
                suffixes.push((start - first) >> shift);
                slot(&runs[run]);
            }
        }
        buckets.push(suffixes.len() as u32);
        Borders {
            buckets: buckets.into(),
            scopes: scopes.into(),
            suffixes: Column::new(&suffixes, width),
            shift,
        }
    }

    /// The slot of the run that holds the key, and the prefix length of the largest block around
    /// the key that the run holds.
    #[inline]
    pub(crate) fn find(&self, key: u64) -> (usize, u8) {
        let bucket = Borders::bucket(key);
        let slots = self.slots(bucket);
        if slots.len() == 1 {
            return (slots.start, self.scopes[bucket]);
        }
        let suffix = key & u64::host_mask(BUCKET_BITS);
        let slot = self.suffixes.find(slots.clone(), suffix >> self.shift);
        let next = (slot + 1 < slots.end).then_some(slot + 1);
        (slot, self.block(key, Some(slot), next))
    }

    /// The blocks of the disjoint trie in order: first key, prefix length, slot.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (u64, u8, usize)> + '_ {
        let mut next = Some(0);
        std::iter::from_fn(move || {
            let start: u64 = next?;
            let (slot, len) = self.find(start);
            next = (start | u64::host_mask(len)).next();
            Some((start, len, slot))
        })
    }

    /// The slots of each bucket, in order.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        (0..1 << BUCKET_BITS).map(|bucket| self.slots(bucket))
    }

    /// Feeds all that look-ups depend on.
    pub(crate) fn hash(&self, hasher: &mut impl Hasher) {
        self.buckets.iter().for_each(|&slot| hasher.write(&slot.to_le_bytes()));
        self.suffixes.hash(hasher);
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.buckets) + size_of_val(&*self.scopes) + self.suffixes.memory_bytes()
    }

    /// The bucket of a key.
    #[inline]
    pub(crate) fn bucket(key: u64) -> usize {
        (key >> SUFFIX_BITS) as usize
    }

    /// The first key of a bucket.
    pub(crate) fn first_key(bucket: usize) -> u64 {
        (bucket as u64) << SUFFIX_BITS
    }

    /// The first and the last key of a slot, of a bucket with these slots.
    pub(crate) fn keys(&self, slot: usize, slots: &Range<usize>) -> (u64, u64) {
        let start = |slot: usize| self.suffixes.get(slot) << self.shift;
        let behind = if slot + 1 < slots.end { start(slot + 1) } else { 1 << SUFFIX_BITS };
        (start(slot), behind - 1)
    }

    /// The prefix length of the largest block around a key inside its bucket that holds neither
    /// the slot that ends before `begin`, nor that at `end`; for none, there is no such slot.
    #[inline]
    pub(crate) fn block(&self, key: u64, begin: Option<usize>, end: Option<usize>) -> u8 {
        let start = |slot: usize| self.suffixes.get(slot) << self.shift;
        let suffix = key & u64::host_mask(BUCKET_BITS);
        suffix.block(begin.and_then(|slot| start(slot).checked_sub(1)), end.map(start))
    }

    #[inline]
    pub(crate) fn slots(&self, bucket: usize) -> Range<usize> {
        self.buckets[bucket] as usize..self.buckets[bucket + 1] as usize
    }
}
