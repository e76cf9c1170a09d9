//! A long row of bits in which the next one that is set is found at once, however far it is.

/// Words of bits, and above them words that say which words below have any:
///
/// ```text
/// level 2   |                1                |
/// level 1   |      1       0      1           |     bit i: word i of level 0 has a bit
/// level 0   | ..1..1. | ........ | 1........  |
/// ```
#[derive(Debug)]
pub(crate) struct Bits(Vec<Box<[u64]>>);

const WORD: usize = u64::BITS as usize;

impl Bits {
    pub(crate) fn new(bits: impl IntoIterator<Item = bool>) -> Bits {
        let mut levels = vec![pack(bits)];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let above = pack(below.iter().map(|&word| word != 0));
            levels.push(above);
        }
        Bits(levels)
    }

    /// The first bit that is set at or behind a position.
    #[inline]
    pub(crate) fn next(&self, mut at: usize) -> Option<usize> {
        for (level, words) in self.0.iter().enumerate() {
            let rest = words.get(at / WORD)? & (u64::MAX << (at % WORD));
            if rest != 0 {
                let found = at / WORD * WORD + rest.trailing_zeros() as usize;
                return Some(self.0[..level].iter().rev().fold(found, |found, below| {
                    found * WORD + below[found].trailing_zeros() as usize
                }));
            }
            at = at / WORD + 1;
        }
        None
    }

    /// The last bit that is set at or before a position of the row.
    #[inline]
    pub(crate) fn last(&self, mut at: usize) -> Option<usize> {
        for (level, words) in self.0.iter().enumerate() {
            let rest = words[at / WORD] & (u64::MAX >> (WORD - 1 - at % WORD));
            if rest != 0 {
                let found = at / WORD * WORD + rest.ilog2() as usize;
                return Some(
                    self.0[..level]
                        .iter()
                        .rev()
                        .fold(found, |found, below| found * WORD + below[found].ilog2() as usize),
                );
            }
            at = (at / WORD).checked_sub(1)?;
        }
        None
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.0.iter().map(|level| size_of_val(&**level)).sum()
    }
}

fn pack(bits: impl IntoIterator<Item = bool>) -> Box<[u64]> {
    let mut words = Vec::new();
    for (at, bit) in bits.into_iter().enumerate() {
        if at % WORD == 0 {
            words.push(0);
        }
        words[at / WORD] |= u64::from(bit) << (at % WORD);
    }
    words.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_what_a_walk_finds(
            set in prop::collection::btree_set(0..300_000_usize, 0..20),
            len in 1..300_000_usize,
            asked in prop::collection::vec(0..300_000_usize, 1..20),
        ) {
            let bits = Bits::new((0..len).map(|at| set.contains(&at)));
            let set: Vec<usize> = set.into_iter().filter(|&at| at < len).collect();
            for at in asked.into_iter().chain(set.clone()).filter(|&at| at < len) {
                prop_assert_eq!(bits.next(at), set.iter().copied().find(|&bit| bit >= at));
                prop_assert_eq!(bits.last(at), set.iter().copied().rfind(|&bit| bit <= at));
            }
            prop_assert_eq!(bits.next(len), None);
        }
    }
}
