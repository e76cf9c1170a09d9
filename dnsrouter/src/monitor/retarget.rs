//! From one plan to the next: what is known of targets that stay is left alone, so that a change of one
//! service costs what that service is, however many others there are.
//!
//! ```text
//!   plan before ─┐
//!                ├─▶ Difference ─▶ numbers given up ─▶ numbers given out ─▶ services that are others
//!   plan after ──┘                   entries of targets that moved ─▲         suspects counted anew
//! ```
//!
//! A plan that was compiled whole numbers everything anew; then nearly all is another, and the same is done
//! for all.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::{Entry, FIRST_REPORT, Monitor, Region, Saved};
use crate::health::{Machine, Now, State};
use crate::plan::{Difference, Services};
use crate::target::{Target, Targets};
use crate::verdicts::{TargetId, Verdict};

/// What was known by numbers that were given up.
#[derive(Default)]
struct GivenUp {
    ids: HashSet<TargetId>,
    known: HashMap<Arc<Target>, (TargetId, Entry)>,
    /// From the old number to the new one.
    moved: HashMap<TargetId, TargetId>,
}

impl Monitor {
    /// Follows a new plan: keeps what is known of targets that stay, forgets those that went.
    /// A target that is new here begins with what `saved` says of it, else unknown.
    pub fn retarget(&mut self, services: &Arc<Services>, saved: &[Saved], now: Now) {
        let before = std::mem::replace(&mut self.services, Arc::clone(services));
        let difference = Difference::between(&before, services);
        let numbers = services.targets.numbers();
        let touched = self.dependants.follow(&before, services, &difference);
        let mut free = self.free_regions();
        let mut given_up = self.give_up(&before.targets, &difference.targets, now);
        self.entries.resize(numbers, Entry::new(Machine::new(now.wall), FIRST_REPORT));
        self.health.resize(numbers);
        let saved: HashMap<_, _> =
            saved.iter().map(|s| ((s.address.as_str(), s.region.as_str()), s)).collect();
        let mut regions: HashMap<String, u16> = HashMap::new();
        for (at, region) in (0..).zip(&self.regions) {
            if !free.contains(&at) {
                regions.insert(region.name.clone(), at);
            }
        }
        let given_out =
            difference.targets.iter().filter_map(|id| Some((*id, services.targets.get(*id)?)));
        let given_out: Vec<(TargetId, &Arc<Target>)> = given_out.collect();
        for (id, target) in &given_out {
            let entry = given_up.known.remove(*target).map(|(old, entry)| {
                given_up.moved.insert(old, *id);
                entry
            });
            let mut entry = entry.unwrap_or_else(|| {
                let check = target.check.to_string();
                let saved = saved.get(&(check.as_str(), target.region.as_str()));
                let machine = saved.map_or_else(|| Machine::new(now.wall), |s| s.machine(now.wall));
                let due = Some(self.aged + FIRST_REPORT);
                Entry { heard: self.aged, due, ..Entry::new(machine, FIRST_REPORT) }
            });
            entry.region = match regions.get(&target.region) {
                Some(region) => *region,
                None => {
                    let number = self.number_region(&target.region, &mut free);
                    regions.insert(target.region.clone(), number);
                    number
                }
            };
            self.take_in(*id, entry);
        }
        self.follow_waiting(&given_up);
        self.forget_regions();
        self.order_anew(&before.targets, &difference.targets, given_out);
        // All that was given out is looked at by one of these services.
        for id in touched.iter().filter(|id| services.targets.get(**id).is_some()) {
            self.write_verdicts(*id, now.uptime);
        }
        // A pair can be of the same numbers as before, and of other targets.
        let pairs = touched.iter().flat_map(|id| self.dependants.pairs(*id));
        for pair in pairs.collect::<HashSet<_>>() {
            self.write_pair(pair);
        }
        self.count_suspects(&difference);
        self.plans += 1;
        self.is_news = true;
    }

    /// Takes out what is known of targets by these numbers.
    fn give_up(&mut self, before: &Targets, numbers: &[TargetId], now: Now) -> GivenUp {
        let mut given_up = GivenUp::default();
        for id in numbers {
            self.health.set(*id, Verdict::UNKNOWN);
            let Some(target) = before.get(*id) else { continue };
            let nothing = Entry::new(Machine::new(now.wall), FIRST_REPORT);
            let entry = std::mem::replace(&mut self.entries[id.0 as usize], nothing);
            let region = &mut self.regions[usize::from(entry.region)];
            region.all -= 1;
            region.down -= usize::from(entry.state == State::Down);
            self.held -= usize::from(entry.is_held);
            self.restless.remove(id);
            if let Some(due) = entry.due {
                self.deadlines.remove(&(due, *id));
            }
            given_up.ids.insert(*id);
            given_up.known.insert(Arc::clone(target), (*id, entry));
        }
        given_up
    }

    /// Puts what is known of a target where its number is.
    fn take_in(&mut self, id: TargetId, entry: Entry) {
        let region = &mut self.regions[usize::from(entry.region)];
        region.all += 1;
        region.down += usize::from(entry.state == State::Down);
        self.held += usize::from(entry.is_held);
        if let Some(due) = entry.due {
            self.deadlines.insert((due, id));
        }
        self.entries[id.0 as usize] = entry;
    }

    /// Removals that wait go on waiting in their order, under the numbers that their targets have now.
    fn follow_waiting(&mut self, given_up: &GivenUp) {
        if given_up.ids.is_empty() {
            return;
        }
        for waiting in self.waiting.iter_mut().filter(|waiting| !waiting.is_empty()) {
            let now = |id: TargetId| match given_up.ids.contains(&id) {
                true => given_up.moved.get(&id).copied(),
                false => Some(id),
            };
            let all = std::mem::take(waiting).into_iter().filter_map(now);
            *waiting = all.filter(|id| self.entries[id.0 as usize].is_held).collect();
        }
    }

    /// Regions that have no target, whose numbers may be given out.
    fn free_regions(&self) -> Vec<u16> {
        (0..).zip(&self.regions).filter(|(_, region)| region.all == 0).map(|(at, _)| at).collect()
    }

    /// A number for a region that has none.
    fn number_region(&mut self, name: &str, free: &mut Vec<u16>) -> u16 {
        let region = Region { name: name.to_owned(), down: 0, all: 0 };
        if let Some(number) = free.pop() {
            self.regions[usize::from(number)] = region;
            return number;
        }
        self.regions.push(region);
        self.waiting.push(VecDeque::new());
        u16::try_from(self.regions.len() - 1).unwrap_or(u16::MAX)
    }

    /// What went in regions that have no target any more counts no more.
    fn forget_regions(&mut self) {
        let free = self.free_regions();
        if !free.is_empty() {
            self.removals.renumber(|region| (!free.contains(&region)).then_some(region));
        }
    }

    /// Brings the order up to date: numbers given up leave it, those given out are put where they belong.
    fn order_anew(
        &mut self,
        before: &Targets,
        numbers: &[TargetId],
        mut given_out: Vec<(TargetId, &Arc<Target>)>,
    ) {
        given_out.sort_unstable_by_key(|(_, target)| *target);
        let gone = numbers.iter().filter_map(|id| before.get(*id));
        if gone.clone().count() == self.order.len() {
            self.order = given_out.into_iter().map(|(id, _)| id).collect();
            return;
        }
        let place = |target: &Arc<Target>| {
            self.order.partition_point(|id| before.get(*id).is_some_and(|known| known < target))
        };
        let mut gone: Vec<usize> = gone.map(place).collect();
        gone.sort_unstable();
        let coming: Vec<(usize, TargetId)> =
            given_out.into_iter().map(|(id, target)| (place(target), id)).collect();
        let mut order = Vec::with_capacity(self.order.len() + coming.len() - gone.len());
        let (mut gone, mut coming) = (gone.into_iter().peekable(), coming.into_iter().peekable());
        let mut at = 0;
        while at < self.order.len() || coming.peek().is_some() {
            while let Some((_, id)) = coming.next_if(|(place, _)| *place == at) {
                order.push(id);
            }
            let stays = match gone.next_if_eq(&at) {
                Some(_) => 0,
                None => {
                    let next = gone.peek().copied().into_iter().chain(coming.peek().map(|c| c.0));
                    next.min().unwrap_or(self.order.len()) - at
                }
            };
            order.extend_from_slice(&self.order[at..at + stays]);
            at += stays.max(1);
        }
        self.order = order;
    }

    /// Counts the suspected targets of services that are others.
    fn count_suspects(&mut self, difference: &Difference) {
        let services = Arc::clone(&self.services);
        self.suspects.resize(services.services.len(), 0);
        for id in &difference.services {
            let Some((_, policy)) = services.services.get(id.0 as usize) else {
                self.is_urgent |= self.health.set_unsettled(*id, false);
                continue;
            };
            let behind = policy.targets().flat_map(|verdict| services.behind(verdict));
            let suspected = behind.filter(|target| self.health.verdict(*target).suspected);
            let count = suspected.collect::<HashSet<_>>().len();
            self.suspects[id.0 as usize] = u32::try_from(count).unwrap_or(u32::MAX);
            self.mark(*id);
        }
    }
}

#[cfg(test)]
mod tests;
