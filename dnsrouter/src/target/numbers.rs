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

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use siphasher::sip::SipHasher13;

use super::{Pair, Target, Watched};
use crate::verdicts::TargetId;

/// Numbers of one page: copying one costs about as much as copying the pointers to all pages of
/// 120,000 targets.
const PAGE: usize = 256;

/// What is checked in one plan, by number.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Targets {
    /// All but the last are full.
    pages: Vec<Arc<Vec<Slot>>>,
    targets: usize,
}

/// What one number stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    /// Records and pairs that look at it.
    uses: u32,
    /// Of a target; equal targets have equal ones.
    hash: u64,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Nothing,
    Target(Arc<Target>),
    Pair(Pair),
}

const FREE: Slot = Slot { uses: 0, hash: 0, what: What::Nothing };

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

    /// The targets in the order of their numbers; in a plan that was compiled whole these are 0, 1, 2 and
    /// so on, and those of pairs follow.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.numbered().map(|(_, target)| target)
    }

    /// The targets with their numbers, in order.
    pub fn numbered(&self) -> impl Iterator<Item = (TargetId, &Arc<Target>)> {
        self.slots().filter_map(|(id, slot)| match &slot.what {
            What::Target(target) => Some((id, target)),
            What::Nothing | What::Pair(_) => None,
        })
    }

    /// The pairs with their numbers, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (TargetId, Pair)> + '_ {
        self.slots().filter_map(|(id, slot)| match slot.what {
            What::Pair(pair) => Some((id, pair)),
            What::Nothing | What::Target(_) => None,
        })
    }

    /// The target of this number, if it is one's.
    pub fn get(&self, id: TargetId) -> Option<&Arc<Target>> {
        match &self.slot(id)?.what {
            What::Target(target) => Some(target),
            What::Nothing | What::Pair(_) => None,
        }
    }

    /// The pair of this number, if it is one's.
    pub fn pair(&self, id: TargetId) -> Option<Pair> {
        match self.slot(id)?.what {
            What::Pair(pair) => Some(pair),
            What::Nothing | What::Target(_) => None,
        }
    }

    fn slot(&self, TargetId(id): TargetId) -> Option<&Slot> {
        self.pages.get(id as usize / PAGE)?.get(id as usize % PAGE)
    }

    fn slots(&self) -> impl Iterator<Item = (TargetId, &Slot)> {
        (0..).map(TargetId).zip(self.pages.iter().flat_map(|page| page.iter()))
    }

    /// Of a number that is given out.
    fn slot_mut(&mut self, TargetId(id): TargetId) -> Option<&mut Slot> {
        let page = self.pages.get_mut(id as usize / PAGE)?;
        Arc::make_mut(page).get_mut(id as usize % PAGE)
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

/// Gives numbers to what some services look at, in a plan where others go on looking at theirs.
#[derive(Debug)]
pub struct Numbering {
    targets: Targets,
    /// Of what is wanted.
    ids: HashMap<Arc<Target>, TargetId>,
    pairs: HashMap<Pair, TargetId>,
    /// The lowest last.
    free: Vec<TargetId>,
}

impl Numbering {
    /// Numbers everything that is `wanted`: as in `targets` what is there, then the other targets, then the
    /// other pairs, in the order they come. It takes one walk over `targets`, however much is wanted.
    pub fn new(targets: Targets, wanted: impl Iterator<Item = Watched> + Clone) -> Self {
        let (ids, pairs, free) = (HashMap::new(), HashMap::new(), Vec::new());
        let mut numbering = Self { targets, ids, pairs, free };
        if numbering.targets.numbers() > 0 {
            numbering.find(wanted.clone());
        }
        for watched in wanted.clone() {
            numbering.number(&watched.first);
            watched.second.iter().for_each(|second| _ = numbering.number(second));
        }
        for Watched { first, second } in wanted {
            let Some(second) = second else { continue };
            let pair = (numbering.number(&first), numbering.number(&second));
            if !numbering.pairs.contains_key(&pair) {
                numbering.uses(pair.0, 1);
                numbering.uses(pair.1, 1);
                let id = numbering.add(Slot { what: What::Pair(pair), ..FREE });
                numbering.pairs.insert(pair, id);
            }
        }
        numbering
    }

    /// The number for a record of what was wanted.
    pub fn take(&mut self, watched: &Watched) -> TargetId {
        let unknown = TargetId(u32::MAX);
        let known = |target| self.ids.get(target).copied().unwrap_or(unknown);
        let first = known(&watched.first);
        let id = match &watched.second {
            None => first,
            Some(second) => self.pairs.get(&(first, known(second))).copied().unwrap_or(unknown),
        };
        self.uses(id, 1);
        id
    }

    /// The numbers, without those that only records looked at that went: one of `gone` for each.
    pub fn finish(mut self, gone: impl Iterator<Item = TargetId>) -> Targets {
        gone.for_each(|id| self.uses(id, -1));
        self.targets
    }

    /// Finds what is wanted among what is there.
    fn find(&mut self, wanted: impl Iterator<Item = Watched>) {
        let hashes: HashSet<u64> = wanted
            .flat_map(|watched| std::iter::once(watched.first).chain(watched.second))
            .map(|target| hash(&target))
            .collect();
        let mut pairs = Vec::new();
        for (id, slot) in self.targets.slots() {
            match &slot.what {
                What::Nothing => self.free.push(id),
                What::Target(target) if hashes.contains(&slot.hash) => {
                    self.ids.insert(Arc::clone(target), id);
                }
                What::Target(_) => {}
                What::Pair(pair) => pairs.push((*pair, id)),
            }
        }
        self.free.reverse();
        if !pairs.is_empty() {
            let ids: HashSet<TargetId> = self.ids.values().copied().collect();
            let is_known = |(pair, _): &(Pair, TargetId)| ids.contains(&pair.0);
            self.pairs = pairs.into_iter().filter(is_known).collect();
        }
    }

    fn number(&mut self, target: &Target) -> TargetId {
        if let Some(id) = self.ids.get(target) {
            return *id;
        }
        let target = Arc::new(target.clone());
        let what = What::Target(Arc::clone(&target));
        let id = self.add(Slot { hash: hash(&target), what, ..FREE });
        self.targets.targets += 1;
        self.ids.insert(target, id);
        id
    }

    fn add(&mut self, slot: Slot) -> TargetId {
        let Some(id) = self.free.pop() else { return self.targets.push(slot) };
        if let Some(free) = self.targets.slot_mut(id) {
            *free = slot;
        }
        id
    }

    /// So many uses more, or fewer; what nothing uses goes.
    fn uses(&mut self, id: TargetId, more: i32) {
        let Some(slot) = self.targets.slot_mut(id) else { return };
        slot.uses = slot.uses.saturating_add_signed(more);
        if slot.uses > 0 {
            return;
        }
        match std::mem::replace(slot, FREE).what {
            What::Nothing => {}
            What::Target(_) => self.targets.targets -= 1,
            What::Pair((first, second)) => {
                self.uses(first, -1);
                self.uses(second, -1);
            }
        }
    }
}

/// The same in every plan; what happens to collide is told apart by looking.
fn hash(target: &Target) -> u64 {
    use std::hash::Hasher;
    let mut hasher = SipHasher13::new();
    target.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::super::{Check, HostPort};
    use super::*;

    fn target(port: u16) -> Target {
        let check = Check::Tcp(HostPort { host: "h".into(), port });
        Target { check, region: "r".into() }
    }

    fn watched(first: u16, second: Option<u16>) -> Watched {
        Watched { first: target(first), second: second.map(target) }
    }

    /// By number; a pair as the two.
    fn ports(targets: &Targets) -> Vec<Vec<u16>> {
        let port = |id| targets.get(id).unwrap().check.at().port;
        let of = |id: u32| match targets.pair(TargetId(id)) {
            Some((first, second)) => vec![port(first), port(second)],
            None => targets.get(TargetId(id)).iter().map(|t| t.check.at().port).collect(),
        };
        (0..targets.numbers() as u32).map(of).collect()
    }

    fn taken(before: Targets, wanted: &[Watched], gone: &[u32]) -> (Targets, Vec<u32>) {
        let mut numbering = Numbering::new(before, wanted.iter().cloned());
        let ids = wanted.iter().map(|watched| numbering.take(watched).0).collect();
        (numbering.finish(gone.iter().copied().map(TargetId)), ids)
    }

    #[test]
    fn pairs_are_numbered_behind_all_targets_and_each_once() {
        let all = [watched(1, Some(2)), watched(3, None), watched(1, Some(2)), watched(2, Some(4))];
        let (targets, ids) = taken(Targets::default(), &all, &[]);
        assert_eq!(ids, [4, 2, 4, 5]);
        assert_eq!(ports(&targets), [vec![1], vec![2], vec![3], vec![4], vec![1, 2], vec![2, 4]]);
        assert_eq!((targets.len(), targets.iter().count(), targets.pairs().count()), (4, 4, 2));
    }

    #[test]
    fn what_stays_keeps_its_number_and_what_nobody_looks_at_goes() {
        let first = [watched(1, None), watched(2, Some(3)), watched(1, None)];
        let (targets, ids) = taken(Targets::default(), &first, &[]);
        assert_eq!(ids, [0, 3, 0]);
        // One of the two that look at 1 goes, and the pair.
        let (targets, ids) = taken(targets, &[watched(4, None), watched(3, None)], &[0, 3]);
        assert_eq!(ids, [4, 2]);
        assert_eq!(ports(&targets), [vec![1], vec![], vec![3], vec![], vec![4]]);
        let (targets, ids) = taken(targets, &[watched(5, None), watched(3, Some(1))], &[0, 4]);
        assert_eq!(ids, [1, 3]);
        assert_eq!(ports(&targets), [vec![1], vec![5], vec![3], vec![3, 1], vec![]]);
        assert_eq!(targets.len(), 3);
    }

    #[test]
    fn pages_that_stay_are_shared() {
        let many: Vec<Watched> = (0..600).map(|port| watched(port, None)).collect();
        let (before, _) = taken(Targets::default(), &many, &[]);
        let (after, ids) = taken(before.clone(), &[watched(1000, None)], &[300]);
        assert_eq!(ids, [600]);
        let shared: Vec<bool> =
            before.pages.iter().zip(&after.pages).map(|(a, b)| Arc::ptr_eq(a, b)).collect();
        assert_eq!(shared, [true, false, false]);
        assert_eq!((before.len(), after.len(), after.numbers()), (600, 600, 601));
    }
}
