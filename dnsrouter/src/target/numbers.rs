//! Numbers of targets, and of pairs of them: where their verdicts stand.
//!
//! ```text
//!   number   0       1       2       3        4       5
//!   is       target  target  -       pair     target  pair
//!   used by  12      1       0       (0, 1)   3       (1, 4)
//! ```
//!
//! A number stays as long as any record of any service looks at what it stands for; then it is free for
//! what comes next. So a plan in which one service was compiled anew counts like the one before, and
//! shares all pages with it but those that changed.

use std::sync::Arc;

use super::index::Index;
use super::{Pair, Target};
use crate::verdicts::TargetId;

/// Numbers of one page: copying one costs about as much as copying the pointers to all pages of
/// 120,000 targets.
const PAGE: usize = 256;

/// What is checked in one plan, by number.
#[derive(Debug, Default, Clone)]
pub struct Targets {
    /// All but the last are full.
    pages: Vec<Arc<Vec<Slot>>>,
    /// Where everything is that has a number.
    index: Index,
    /// The one that is given out next.
    free: Option<TargetId>,
    targets: usize,
    pairs: usize,
}

/// What one number stands for.
#[derive(Debug, Clone)]
struct Slot {
    /// Records and pairs that look at it.
    uses: u32,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    /// Nothing: it is free, and so is the next.
    Free(Option<TargetId>),
    Target(Arc<Target>),
    Pair(Pair),
}

impl Targets {
    /// How many targets there are.
    pub fn len(&self) -> usize {
        self.targets
    }

    /// Whether nothing is checked.
    pub fn is_empty(&self) -> bool {
        self.targets == 0
    }

    /// How many numbers there are, those of pairs and free ones included.
    pub fn numbers(&self) -> usize {
        let last = self.pages.last().map_or(0, |page| page.len());
        self.pages.len().saturating_sub(1) * PAGE + last
    }

    /// How many of them are free.
    pub fn free(&self) -> usize {
        self.numbers() - self.targets - self.pairs
    }

    /// The targets in the order of their numbers; in a plan that was compiled whole these are 0, 1, 2 and
    /// so on, and those of pairs follow.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.numbered().map(|(_, target)| target)
    }

    /// The targets with their numbers, in order.
    pub fn numbered(&self) -> impl Iterator<Item = (TargetId, &Arc<Target>)> {
        self.slots().filter_map(|(id, slot)| match &slot.what {
            What::Target(target) => Some((id, target)),
            What::Free(_) | What::Pair(_) => None,
        })
    }

    /// The pairs with their numbers, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (TargetId, Pair)> + '_ {
        self.slots().filter_map(|(id, slot)| match slot.what {
            What::Pair(pair) => Some((id, pair)),
            What::Free(_) | What::Target(_) => None,
        })
    }

    /// The target of this number, if it is one's.
    pub fn get(&self, id: TargetId) -> Option<&Arc<Target>> {
        match &self.slot(id)?.what {
            What::Target(target) => Some(target),
            What::Free(_) | What::Pair(_) => None,
        }
    }

    /// The pair of this number, if it is one's.
    pub fn pair(&self, id: TargetId) -> Option<Pair> {
        match self.slot(id)?.what {
            What::Pair(pair) => Some(pair),
            What::Free(_) | What::Target(_) => None,
        }
    }

    /// The number of a target.
    pub fn find(&self, target: &Target) -> Option<TargetId> {
        let mut found = self.index.find(target);
        found.find(|id| self.get(*id).is_some_and(|known| **known == *target))
    }

    /// The number of a pair.
    pub fn find_pair(&self, pair: Pair) -> Option<TargetId> {
        self.index.find(&pair).find(|id| self.pair(*id) == Some(pair))
    }

    /// Numbers that stand for another target or pair than in `before`, or for one in one of both alone;
    /// in order. Pages that both share are not looked at.
    pub fn changed_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = TargetId> + 'a {
        let is_apart = |page: &usize| match (self.pages.get(*page), before.pages.get(*page)) {
            (Some(a), Some(b)) => !Arc::ptr_eq(a, b),
            _ => true,
        };
        let pages = (0..self.pages.len().max(before.pages.len())).filter(is_apart);
        let numbers = pages.flat_map(|page| page * PAGE..(page + 1) * PAGE);
        let ids = numbers.map(|at| TargetId(u32::try_from(at).unwrap_or(u32::MAX)));
        ids.filter(|id| (self.get(*id), self.pair(*id)) != (before.get(*id), before.pair(*id)))
    }

    /// Gives a target a number; nothing looks at it yet.
    pub(super) fn add(&mut self, target: Target) -> TargetId {
        self.targets += 1;
        let target = Arc::new(target);
        let id = self.next(What::Target(Arc::clone(&target)));
        self.index.insert(&*target, id);
        id
    }

    /// Gives a pair a number; nothing looks at it yet, and it looks at its two.
    pub(super) fn add_pair(&mut self, pair: Pair) -> TargetId {
        self.uses(pair.0, 1);
        self.uses(pair.1, 1);
        self.pairs += 1;
        let id = self.next(What::Pair(pair));
        self.index.insert(&pair, id);
        id
    }

    /// So many uses more, or fewer; what nothing uses goes.
    pub(super) fn uses(&mut self, id: TargetId, more: i32) {
        let free = self.free;
        let Some(slot) = self.slot_mut(id) else { return };
        slot.uses = slot.uses.saturating_add_signed(more);
        if slot.uses > 0 {
            return;
        }
        match std::mem::replace(&mut slot.what, What::Free(free)) {
            What::Free(next) => {
                slot.what = What::Free(next);
                return;
            }
            What::Target(target) => {
                self.targets -= 1;
                self.index.remove(&*target, id);
            }
            What::Pair(pair) => {
                self.pairs -= 1;
                self.index.remove(&pair, id);
                self.free = Some(id);
                self.uses(pair.0, -1);
                return self.uses(pair.1, -1);
            }
        }
        self.free = Some(id);
    }

    fn slot(&self, TargetId(id): TargetId) -> Option<&Slot> {
        self.pages.get(id as usize / PAGE)?.get(id as usize % PAGE)
    }

    fn slots(&self) -> impl Iterator<Item = (TargetId, &Slot)> {
        (0..).map(TargetId).zip(self.pages.iter().flat_map(|page| page.iter()))
    }

    fn slot_mut(&mut self, TargetId(id): TargetId) -> Option<&mut Slot> {
        let page = self.pages.get_mut(id as usize / PAGE)?;
        Arc::make_mut(page).get_mut(id as usize % PAGE)
    }

    /// The next free number, which stands for `what` from now on.
    fn next(&mut self, what: What) -> TargetId {
        let Some(id) = self.free else { return self.push(Slot { uses: 0, what }) };
        let slot = self.slot_mut(id);
        let before = slot.map(|slot| std::mem::replace(slot, Slot { uses: 0, what }).what);
        self.free = match before {
            Some(What::Free(next)) => next,
            Some(What::Target(_) | What::Pair(_)) | None => None,
        };
        id
    }

    fn push(&mut self, slot: Slot) -> TargetId {
        let id = TargetId(u32::try_from(self.numbers()).unwrap_or(u32::MAX));
        match self.pages.last_mut().filter(|page| page.len() < PAGE) {
            Some(page) => Arc::make_mut(page).push(slot),
            None => {
                let mut page = Vec::with_capacity(PAGE);
                page.push(slot);
                self.pages.push(Arc::new(page));
            }
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Check, HostPort};

    fn target(port: u16) -> Target {
        let check = Check::Tcp(HostPort { host: "h".into(), port });
        Target { check, region: "r".into() }
    }

    /// Six hundred, of ports 0, 1 and so on, each looked at once.
    fn many() -> Targets {
        let mut many = Targets::default();
        for port in 0..600 {
            let id = many.add(target(port));
            many.uses(id, 1);
        }
        many
    }

    #[test]
    fn pages_that_stay_are_shared() {
        let before = many();
        let mut after = before.clone();
        after.uses(TargetId(300), -1);
        assert_eq!((after.len(), after.free(), after.get(TargetId(300))), (599, 1, None));
        let halves = (TargetId(598), TargetId(599));
        let pair = after.add_pair(halves);
        assert_eq!((pair, after.find_pair(halves)), (TargetId(300), Some(pair)));
        let last = after.add(target(1000));
        assert_eq!((last, after.len(), after.numbers()), (TargetId(600), 600, 601));
        let shared: Vec<bool> =
            before.pages.iter().zip(&after.pages).map(|(a, b)| Arc::ptr_eq(a, b)).collect();
        assert_eq!(shared, [true, false, false]);
        // The halves are used more often; that makes them no others.
        let changed = [TargetId(300), TargetId(600)];
        assert!(after.changed_since(&before).eq(changed));
        assert!(before.changed_since(&after).eq(changed));
    }

    #[test]
    fn everything_is_found_by_what_it_is() {
        let mut targets = many();
        assert!((0..600).all(|port| targets.find(&target(port)) == Some(TargetId(port.into()))));
        assert_eq!(targets.find(&target(600)), None);
        targets.uses(TargetId(7), -1);
        assert_eq!((targets.find(&target(7)), targets.free), (None, Some(TargetId(7))));
        // What nothing uses does not go twice.
        targets.uses(TargetId(7), -1);
        let ids = [target(7), target(601)].map(|target| targets.add(target));
        assert_eq!((ids, targets.free), ([TargetId(7), TargetId(600)], None));
    }
}
