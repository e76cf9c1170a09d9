//! Where in a plan's numbers something is, by its hash; shared between plans like the numbers.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use siphasher::sip::SipHasher13;

use crate::verdicts::TargetId;

/// Parts of the index, a power of two: with 120,000 targets each has about as many octets as the row of
/// pointers to all parts, and one is copied when a target comes or goes.
const SHARDS: usize = 512;

/// Numbers by hash.
#[derive(Debug, Default, Clone)]
pub(super) struct Index {
    /// None, or [`SHARDS`]; each in order. What happens to collide is told apart by whoever asks.
    shards: Vec<Arc<Vec<(u64, TargetId)>>>,
}

impl Index {
    /// Numbers of whatever has the hash of this.
    pub(super) fn find(&self, what: &impl Hash) -> impl Iterator<Item = TargetId> + '_ {
        let hash = hash(what);
        let shard = self.shards.get(shard(hash)).map_or(&[][..], |shard| shard.as_slice());
        let first = shard.partition_point(|(known, _)| *known < hash);
        shard[first..].iter().take_while(move |(known, _)| *known == hash).map(|(_, id)| *id)
    }

    /// Adds a number.
    pub(super) fn insert(&mut self, what: &impl Hash, id: TargetId) {
        if self.shards.is_empty() {
            self.shards = vec![Arc::default(); SHARDS];
        }
        let entry = (hash(what), id);
        let shard = Arc::make_mut(&mut self.shards[shard(entry.0)]);
        if let Err(at) = shard.binary_search(&entry) {
            shard.insert(at, entry);
        }
    }

    /// Takes a number away.
    pub(super) fn remove(&mut self, what: &impl Hash, id: TargetId) {
        let entry = (hash(what), id);
        let Some(shard) = self.shards.get_mut(shard(entry.0)) else { return };
        if let Ok(at) = shard.binary_search(&entry) {
            Arc::make_mut(shard).remove(at);
        }
    }
}

fn shard(hash: u64) -> usize {
    // Below the number of shards, so it fits.
    (hash % SHARDS as u64) as usize
}

/// The same in every plan.
fn hash(what: &impl Hash) -> u64 {
    let mut hasher = SipHasher13::new();
    what.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_found_until_it_is_taken_away() {
        let mut index = Index::default();
        let found = |index: &Index, what: u32| index.find(&what).collect::<Vec<_>>();
        assert!(found(&index, 7).is_empty());
        (0..5000).for_each(|what| index.insert(&what, TargetId(what)));
        // Two things of one hash.
        index.insert(&7, TargetId(9999));
        let shared = index.clone();
        index.remove(&7, TargetId(7));
        index.remove(&8, TargetId(7));
        assert_eq!(found(&index, 7), [TargetId(9999)]);
        assert_eq!(found(&shared, 7), [TargetId(7), TargetId(9999)]);
        let others = (0..5000).filter(|what| *what != 7);
        assert!(others.into_iter().all(|what| found(&index, what) == [TargetId(what)]));
        let apart = index.shards.iter().zip(&shared.shards).filter(|(a, b)| !Arc::ptr_eq(a, b));
        assert_eq!(apart.count(), 1);
    }
}
