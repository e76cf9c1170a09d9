//! Name compression (RFC 1035 §4.1.4) with a bounded table and no allocation.
//!
//! The table knows where suffixes of written names stand. A candidate must have the same wire
//! length as what is looked for, so that octets are compared for almost no wrong one. Comparison
//! ignores case, as BIND's and Knot's do (RFC 4343 §4.1 lets it).

use crate::name::MAX_LABEL;
use arrayvec::ArrayVec;

/// Suffixes remembered. A reply's names share a few; a full table costs size, not truth.
const MAX_SUFFIXES: usize = 64;
/// Of the question's suffixes only the rightmost are remembered, so that a name of 127 labels
/// does not fill the table: an address in `ip6.arpa` has 34.
const MAX_QUESTION_SUFFIXES: usize = 40;
/// A pointer has 14 bits.
const MAX_OFFSET: usize = 0x3fff;

#[derive(Clone, Copy)]
struct Suffix {
    offset: u16,
    /// Octets of the suffix in uncompressed wire form.
    length: u8,
}

/// Where suffixes stand in the message being written.
#[derive(Default)]
pub(super) struct Table {
    suffixes: ArrayVec<Suffix, MAX_SUFFIXES>,
}

impl Table {
    /// How many are known: a mark to go [`back`](Self::back) to.
    pub(super) fn mark(&self) -> usize {
        self.suffixes.len()
    }

    /// Forgets what was added after the mark.
    pub(super) fn back(&mut self, mark: usize) {
        self.suffixes.truncate(mark);
    }

    /// Remembers the suffixes of the uncompressed name at `offset`.
    pub(super) fn add_question(&mut self, name: &[u8], offset: usize) {
        let labels = starts(name).count();
        for start in starts(name).skip(labels.saturating_sub(MAX_QUESTION_SUFFIXES)) {
            self.add(offset + start, name.len() - start);
        }
    }

    /// Remembers the suffix of so many octets at `offset`.
    pub(super) fn add(&mut self, offset: usize, length: usize) {
        if offset <= MAX_OFFSET {
            // A full table is no error.
            let _ = self.suffixes.try_push(Suffix { offset: offset as u16, length: length as u8 });
        }
    }

    /// Where `suffix` already stands in `message`.
    pub(super) fn find(&self, message: &[u8], suffix: &[u8]) -> Option<u16> {
        self.suffixes
            .iter()
            .find(|known| {
                usize::from(known.length) == suffix.len()
                    && same(message, usize::from(known.offset), suffix)
            })
            .map(|known| known.offset)
    }
}

/// Starts of the labels of an uncompressed name, the root's not among them.
pub(super) fn starts(name: &[u8]) -> impl Iterator<Item = usize> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        let length = usize::from(name[start]);
        at += 1 + length;
        (length > 0).then_some(start)
    })
}

/// Whether the name at `at`, which we wrote and which so is well-formed, equals `name`.
fn same(message: &[u8], mut at: usize, mut name: &[u8]) -> bool {
    loop {
        let length = usize::from(message[at]);
        if length > MAX_LABEL {
            at = (length & 0x3f) << 8 | usize::from(message[at + 1]);
            continue;
        }
        let end = 1 + length;
        let Some(label) = name.get(..end) else { return false };
        let written = &message[at..at + end];
        // Most often the case is the same too, which is quicker to see.
        if written != label && !written.eq_ignore_ascii_case(label) {
            return false;
        }
        if length == 0 {
            return true;
        }
        at += end;
        name = &name[end..];
    }
}
