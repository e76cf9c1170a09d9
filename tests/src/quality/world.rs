//! All that is routed, by a city database: which blocks there are, and where their addresses are.

use std::ops::Range;

use super::block::Family;
use super::database::{Database, Record};

/// The blocks of both families, and the places they are in.
#[derive(Clone, Debug)]
pub struct World {
    /// Latitude and longitude in degrees, by number.
    pub places: Vec<[f64; 2]>,
    /// By family.
    pub routed: [Routed; 2],
}

/// The blocks of one family of which the database knows where they are.
#[derive(Clone, Debug)]
pub struct Routed {
    /// Of these addresses.
    pub family: Family,
    /// Ascending and disjoint.
    pub stretches: Vec<Stretch>,
    parts: Vec<Part>,
}

/// One block, or many in a row that are in one place.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// The first block.
    pub first: u64,
    /// How many.
    pub blocks: u64,
    parts: Range<u32>,
}

/// The addresses of a block that are in one place.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// By number.
    pub place: u32,
    /// Of the block's addresses whose place is known; a stretch's parts add up to 1.
    pub share: f64,
}

impl World {
    /// What databases of cities know of each family.
    pub fn new(databases: &[Database; 2]) -> World {
        let mut places = Vec::new();
        let routed = databases.each_ref().map(|database| Routed::new(database, &mut places));
        World { places, routed }
    }
}

impl Routed {
    fn new(database: &Database, places: &mut Vec<[f64; 2]>) -> Routed {
        let family = database.family;
        let number = |record: &Record| {
            places.extend(record.point);
            record.point.map(|_| places.len() as u32 - 1)
        };
        let numbers: Vec<Option<u32>> = database.records.iter().map(number).collect();
        let mut routed = Routed { family, stretches: Vec::new(), parts: Vec::new() };
        for network in &database.networks {
            let Some(place) = numbers[network.record as usize] else { continue };
            let finer = network.len.saturating_sub(family.block_len());
            let wider = family.block_len().saturating_sub(network.len);
            let part = Part { place, share: 0.5_f64.powi(finer.into()) };
            routed.add(family.block_of(network.first), 1 << wider, part);
        }
        routed.share_out();
        routed
    }

    /// Where the addresses of each block of a stretch are.
    pub fn parts(&self, stretch: &Stretch) -> &[Part] {
        &self.parts[stretch.parts.start as usize..stretch.parts.end as usize]
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> u64 {
        self.stretches.iter().map(|stretch| stretch.blocks).sum()
    }

    /// So many single blocks, evenly from all stretches: wide and narrow ones alike.
    #[must_use]
    pub fn sample(&self, count: usize) -> Routed {
        /// Odd, and no small fraction of any power of two (Knuth's multiplicative hashing).
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut sample = Routed { family: self.family, stretches: vec![], parts: vec![] };
        let count = count.min(self.stretches.len());
        for at in 0..count {
            let stretch = &self.stretches[at * self.stretches.len() / count];
            let block = stretch.first + (at as u64).wrapping_mul(STEP) % stretch.blocks;
            for part in self.parts(stretch) {
                sample.add(block, 1, *part);
            }
        }
        sample
    }

    /// Adds a part, to the last stretch if that is of the same block.
    fn add(&mut self, first: u64, blocks: u64, part: Part) {
        let at = self.parts.len() as u32;
        self.parts.push(part);
        match self.stretches.last_mut() {
            Some(last) if last.first == first => last.parts.end = at + 1,
            _ => self.stretches.push(Stretch { first, blocks, parts: at..at + 1 }),
        }
    }

    /// Lets the shares of each stretch add up to 1: what is not known of a block does not count.
    fn share_out(&mut self) {
        for stretch in &self.stretches {
            let parts = &mut self.parts[stretch.parts.start as usize..stretch.parts.end as usize];
            let known: f64 = parts.iter().map(|part| part.share).sum();
            parts.iter_mut().for_each(|part| part.share /= known);
        }
    }
}

impl Stretch {
    /// The last block.
    pub fn last(&self) -> u64 {
        self.first + (self.blocks - 1)
    }
}
