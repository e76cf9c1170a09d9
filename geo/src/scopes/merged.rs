//! The scopes of a class over one address family.

use std::collections::HashMap;
use std::ops::Range;

use crate::bits::Bits;
use crate::borders::Borders;
use crate::partition::Partition;
use crate::runs::{Key, Value};
use crate::table::Slot;

/// The slots of a table's partition, merged where they are of one class.
///
/// Most slots lie inside one merged block, so that one scope is good for all of a slot. Such
/// scopes repeat themselves: pages that are equal are kept once.
///
/// ```text
/// class     | 4  4  4  4 | 7 | 4  4 |          of the slots
/// scope     | 9  9  9  9 | - | 11 12|          -: its addresses have several
/// begins    |            | x | x    |          where another class begins
/// ```
#[derive(Debug)]
pub(super) struct Merged {
    pages: Box<[u32]>,
    scopes: Box<[[u8; PAGE]]>,
    /// Slots, other than a bucket's first, at which another class begins.
    begins: Bits,
}

/// Slots of a page: one line of a cache.
const PAGE: usize = 64;

/// In place of a scope: the slot's addresses have several. No scope is as long.
const SEVERAL: u8 = u8::MAX;

impl Merged {
    pub(super) fn new(leaves: &Partition, class: impl Fn(Value) -> u32) -> Merged {
        let classes: Vec<u32> = leaves.values().iter().map(|&value| class(value)).collect();
        let buckets: Vec<_> = leaves.borders().buckets().collect();
        let mut begins = Vec::with_capacity(classes.len());
        let mut scopes = Vec::with_capacity(classes.len());
        let whole = whole_buckets(&buckets, &classes);
        for (slots, whole) in buckets.iter().zip(whole) {
            if let Some(scope) = whole {
                begins.resize(slots.end, false);
                scopes.resize(slots.end, scope);
                continue;
            }
            for stretch in classes[slots.clone()].chunk_by(|a, b| a == b) {
                let first = begins.len();
                let stretch = first..first + stretch.len();
                let begin = (first > slots.start).then_some(first);
                let end = (stretch.end < slots.end).then_some(stretch.end);
                begins.extend(stretch.clone().map(|slot| Some(slot) == begin));
                scopes.extend(stretch.map(|slot| {
                    let keys = leaves.borders().keys(slot, slots);
                    let block = |key| leaves.borders().block(key, begin, end);
                    common(keys, block)
                }));
            }
        }
        let (pages, scopes) = paged(&scopes);
        Merged { pages, scopes, begins: Bits::new(begins) }
    }

    #[inline]
    pub(super) fn scope(&self, borders: &Borders, key: u64, Slot(slot): Slot) -> u8 {
        let (slot, page) = match self.pages.get(slot / PAGE) {
            Some(&page) => (slot, page),
            None => {
                let slot = borders.find(key).0;
                (slot, self.pages[slot / PAGE])
            }
        };
        match self.scopes[page as usize][slot % PAGE] {
            SEVERAL => self.search(borders, key, slot),
            scope => scope,
        }
    }

    fn search(&self, borders: &Borders, key: u64, slot: usize) -> u8 {
        let slots = borders.slots(Borders::bucket(key));
        let begin = self.begins.last(slot).filter(|begin| slots.contains(begin));
        let end = self.begins.next(slot + 1).filter(|end| slots.contains(end));
        borders.block(key, begin, end)
    }

    pub(super) fn count(&self, borders: &Borders) -> usize {
        let mut next = Some(0_u64);
        let blocks = std::iter::from_fn(|| {
            let start = next?;
            let len = self.scope(borders, start, Slot::default());
            next = (start | u64::host_mask(len)).next();
            Some(())
        });
        blocks.count()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.pages) + size_of_val(&*self.scopes) + self.begins.memory_bytes()
    }
}

/// The one length that the blocks of all keys from the first to the last have, as far as that is
/// seen at once: they share a block, or have two of one length side by side.
fn common((first, last): (u64, u64), block: impl Fn(u64) -> u8) -> u8 {
    let len = block(first);
    let number = |key: u64| key.checked_shr((u64::BITS as u8 - len).into()).unwrap_or(0);
    if len == block(last) && number(last) - number(first) <= 1 { len } else { SEVERAL }
}

/// The scope of each bucket that is of one class: the largest block around it in which all are.
fn whole_buckets(buckets: &[Range<usize>], classes: &[u32]) -> Vec<Option<u8>> {
    let class = |slots: &Range<usize>| {
        let classes = &classes[slots.clone()];
        classes.iter().all(|class| *class == classes[0]).then_some(classes[0])
    };
    let by_bucket: Vec<Option<u32>> = buckets.iter().map(class).collect();
    let mut scopes = Vec::with_capacity(buckets.len());
    for stretch in by_bucket.chunk_by(|a, b| a.is_some() && a == b) {
        let first = scopes.len();
        let behind = first + stretch.len();
        let before_key = Borders::first_key(first).checked_sub(1);
        let behind_key = (behind < buckets.len()).then(|| Borders::first_key(behind));
        scopes.extend((first..behind).zip(stretch).map(|(bucket, class)| {
            class.map(|_| Borders::first_key(bucket).block(before_key, behind_key))
        }));
    }
    scopes
}

/// The pages of a long row, and each different one once.
fn paged(row: &[u8]) -> (Box<[u32]>, Box<[[u8; PAGE]]>) {
    let mut known: HashMap<[u8; PAGE], u32> = HashMap::new();
    let mut different = Vec::new();
    let pages = row.chunks(PAGE).map(|chunk| {
        let mut page = [SEVERAL; PAGE];
        page[..chunk.len()].copy_from_slice(chunk);
        *known.entry(page).or_insert_with(|| {
            different.push(page);
            different.len() as u32 - 1
        })
    });
    (pages.collect(), different.into())
}
