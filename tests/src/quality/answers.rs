//! Which region each block is answered with, learnt with as few questions as scopes allow.

use super::block::Family;
use super::world::{Routed, Stretch};

/// Blocks in a row that are answered with the same region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first block.
    pub first: u64,
    /// The last block.
    pub last: u64,
    /// Position among the service's regions.
    pub region: u8,
}

/// A walk over stretches: asks about the first block of which nothing is known yet, and takes the
/// answer for all blocks in its scope, as a resolver does (RFC 7871 §7.3.1).
#[derive(Debug)]
pub struct Walk<'w> {
    family: Family,
    ahead: &'w [Stretch],
    /// All blocks before are answered for, or are not routed.
    from: u64,
    runs: Vec<Run>,
}

impl<'w> Walk<'w> {
    /// Walks over parts of what is routed, so that several can be on their way at once.
    pub fn split(routed: &'w Routed, stretches_each: usize) -> Vec<Walk<'w>> {
        let walk = |ahead| Walk { family: routed.family, ahead, from: 0, runs: Vec::new() };
        routed.stretches.chunks(stretches_each).map(walk).collect()
    }

    /// Of these addresses.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The block to ask about; none: all are answered for.
    pub fn next(&self) -> Option<u64> {
        self.ahead.first().map(|stretch| stretch.first.max(self.from))
    }

    /// Takes in what was answered for the block asked about.
    pub fn answered(&mut self, region: u8, scope: u8) {
        let (Some(first), Some(end)) = (self.next(), self.ahead.last()) else { return };
        // What is in scope beyond the walk is another's to ask about.
        let last = self.family.last_in_scope(first, scope).min(end.last());
        match self.runs.last_mut() {
            Some(run) if run.region == region && run.last + 1 == first => run.last = last,
            _ => self.runs.push(Run { first, last, region }),
        }
        self.from = last + 1;
        let behind = self.ahead.partition_point(|stretch| stretch.last() <= last);
        self.ahead = &self.ahead[behind..];
    }

    /// The answers of all walks, in the order of the blocks.
    pub fn runs(walks: Vec<Walk<'w>>) -> Vec<Run> {
        walks.into_iter().flat_map(|walk| walk.runs).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::database::{Database, Network, Record};
    use super::super::world::World;
    use super::*;

    #[test]
    fn a_walk_asks_once_per_scope_and_about_nothing_else() {
        // 0-3, 4-5, 8, and 16-31.
        let networks = [(0_u128, 22), (4 << 8, 23), (8 << 8, 24), (16 << 8, 20)];
        let network = |(first, len)| Network { first, len, record: 0 };
        let records = vec![Record { country: None, point: Some([1.0, 2.0]) }];
        let none = Database { family: Family::V6, networks: vec![], records: vec![] };
        let networks = networks.map(network).to_vec();
        let world = World::new(&[Database { family: Family::V4, networks, records }, none]);
        // A /21, a /24 each from 8 on, a /21 and a /22 in the last, and a /22 behind it.
        let answers: BTreeMap<u64, (u8, u8)> = BTreeMap::from([
            (0, (7, 21)),
            (8, (7, 24)),
            (16, (2, 21)),
            (24, (2, 22)),
            (28, (1, 22)),
        ]);
        for each in [1, 2, 100] {
            let mut walks = Walk::split(&world.routed[0], each);
            let mut asked = Vec::new();
            for walk in &mut walks {
                while let Some(block) = walk.next() {
                    asked.push(block);
                    let (_, (region, scope)) = answers.range(..=block).next_back().unwrap();
                    walk.answered(*region, *scope);
                }
            }
            let runs = Walk::runs(walks);
            let region = |block| {
                let run = runs.iter().find(|run| run.first <= block && block <= run.last);
                run.map(|run| run.region)
            };
            let expected = |block: u64| match block {
                0..=5 | 8 => Some(7),
                16..=27 => Some(2),
                28..=31 => Some(1),
                _ => None,
            };
            for block in [0, 3, 4, 5, 8, 16, 23, 24, 27, 28, 31] {
                assert_eq!(region(block), expected(block), "{block}, {each} stretches each");
            }
            assert!(asked.contains(&16) && asked.contains(&24) && asked.contains(&28));
            assert_eq!(asked.len(), if each == 1 { 6 } else { 5 }, "{asked:?}");
        }
    }
}
