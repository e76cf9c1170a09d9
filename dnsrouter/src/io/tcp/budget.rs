//! Room for long messages that are not whole yet, of all connections together: each of them may be
//! as long as 64 KiB, and few are longer than a page.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// Locked only by who has more than a short message to say.
pub(super) struct Budget {
    octets: usize,
    holders: Mutex<Holders>,
}

#[derive(Default)]
struct Holders {
    taken: usize,
    /// In the order in which they came: who has been at it longest stands first.
    by_age: BTreeMap<u64, (usize, CancellationToken)>,
    next: u64,
}

/// A part of the budget; given back when dropped.
pub(super) struct Share {
    budget: Arc<Budget>,
    number: u64,
}

impl Budget {
    /// So many octets, none of them taken.
    pub(super) fn new(octets: usize) -> Arc<Self> {
        Arc::new(Self { octets, holders: Mutex::default() })
    }

    /// So many octets. When there are none left, those leave who began longest ago: a message that
    /// comes at all comes within moments, and an octet now and then must not be what keeps a place.
    pub(super) fn take(self: &Arc<Self>, octets: usize, leave: CancellationToken) -> Share {
        let mut holders = self.lock();
        while holders.taken.saturating_add(octets) > self.octets {
            let Some((_, (freed, oldest))) = holders.by_age.pop_first() else { break };
            holders.taken -= freed;
            oldest.cancel();
        }
        let number = holders.next;
        holders.next += 1;
        holders.taken += octets;
        holders.by_age.insert(number, (octets, leave));
        Share { budget: Arc::clone(self), number }
    }

    fn lock(&self) -> MutexGuard<'_, Holders> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.lock().taken
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut holders = self.budget.lock();
        // Whoever had to leave has given it back already.
        if let Some((octets, _)) = holders.by_age.remove(&self.number) {
            holders.taken -= octets;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_began_longest_ago_leaves_for_a_newcomer() {
        let budget = Budget::new(10);
        let tokens: Vec<_> = (0..4).map(|_| CancellationToken::new()).collect();
        let gone = || tokens.iter().map(CancellationToken::is_cancelled).collect::<Vec<_>>();
        let first = budget.take(4, tokens[0].clone());
        let second = budget.take(4, tokens[1].clone());
        drop(second);
        let _third = budget.take(6, tokens[2].clone());
        assert_eq!((gone(), budget.taken()), (vec![false; 4], 10));
        let fourth = budget.take(1, tokens[3].clone());
        assert_eq!((gone(), budget.taken()), (vec![true, false, false, false], 7));
        drop(first);
        assert_eq!(budget.taken(), 7, "it was given back once");
        drop(fourth);
        assert_eq!(budget.taken(), 6);
    }
}
