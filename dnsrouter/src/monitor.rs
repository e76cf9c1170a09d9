//! What this node knows of every target: one health machine each, the last check's details, and
//! the verdicts that follow, kept up to date as reports come.
//!
//! ```text
//!  report ─▶ Entry ─▶ Machine ─▶ may it go? ─▶ Health (one page), unsettled services (one bit)
//!                     rise, fall, removals:        │
//!                     damping  not all at once     └─▶ Change, to be logged and published
//! ```
//!
//! Pure: the prober shell feeds reports in; the keeper takes changes, verdicts, a form for the
//! disk and one for metrics out. A report costs what depends on its target, however many targets
//! and services there are.
//!
//! A verdict is good for as long as its last report says. When the next one does not come, not
//! even that of a failure, nobody looks any more, and the target becomes unknown: an old verdict
//! must not pass for a present one. Time without reports is counted in steps by whoever owns the
//! monitor, so that a clock that leaps, or a process that was halted, ages nothing.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use dns::zone::ServiceId;

use crate::dependants::Dependants;
use crate::health::{Now, Rules, State, Transition};
use crate::plan::Services;
use crate::removal::{Limit, Removals};
use crate::target::Target;
use crate::verdicts::{Health, Shares, Stances, TargetId, WHOLE};

mod entry;
mod retarget;
mod rows;

pub use entry::{Entry, Load, Report, Saved, unix_ms};
pub use rows::Rows;
pub(crate) use rows::escape;

/// How long the verdicts of the last run, and of nobody yet, wait for a first report. It comes
/// within the first check's time-out, whatever the interval.
const FIRST_REPORT: Duration = Duration::from_secs(300);

/// How reports become verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Of a single target.
    pub rules: Rules,
    /// How many may be taken out at once; none: all.
    pub removal: Option<Limit>,
}

/// A target's state as it is answered with has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub target: TargetId,
    /// How.
    pub transition: Transition,
}

/// A region and how its targets are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Targets down.
    pub down: usize,
    /// All of them.
    pub all: usize,
}

/// All targets of the present plan.
#[derive(Debug, Default)]
pub struct Monitor {
    services: Arc<Services>,
    /// By target id; those of pairs and of free numbers say nothing.
    entries: Vec<Entry>,
    /// Target ids by what is checked, for people.
    order: Vec<TargetId>,
    dependants: Dependants,
    /// By number; one without targets is free.
    regions: Vec<Region>,
    health: Health,
    /// Verdicts differ from those taken last.
    is_news: bool,
    /// So does whether a service is unsettled.
    is_urgent: bool,
    plans: u64,
    /// Per service: its suspected targets.
    suspects: Vec<u32>,
    removals: Removals,
    /// Per region, those whose removal is held back, the longest waiting first; some of them
    /// recovered meanwhile.
    waiting: Vec<VecDeque<TargetId>>,
    held: usize,
    /// Those that change by time alone: damped or warming up.
    restless: BTreeSet<TargetId>,
    /// When to look whether a verdict expired, on a clock of its own: [`Self::age`]. As in the entries.
    deadlines: BTreeSet<(Duration, TargetId)>,
    aged: Duration,
}

impl Monitor {
    /// Takes in one check; returns the change of state it made. A report about a target that is no
    /// longer in the plan changes nothing.
    pub fn observe(
        &mut self,
        target: &Target,
        report: Report,
        settings: &Settings,
        now: Now,
    ) -> Option<Change> {
        let id = self.services.targets.find(target)?;
        let entry = &mut self.entries[id.0 as usize];
        let outcome = report.outcome;
        entry.take(report, self.aged);
        let deadline = entry.heard + entry.good_for;
        // A later deadline is seen when the earlier one comes.
        if entry.due.is_none_or(|due| due > deadline) {
            if let Some(due) = entry.due.replace(deadline) {
                self.deadlines.remove(&(due, id));
            }
            self.deadlines.insert((deadline, id));
        }
        entry.machine.observe(outcome, &settings.rules, now);
        self.conclude(id, settings, now)
    }

    /// Lets time pass without reports; returns the targets that became unknown by it.
    pub fn age(&mut self, by: Duration, now: Now) -> Vec<Change> {
        self.aged = self.aged.saturating_add(by);
        let mut expired = Vec::new();
        while let Some((due, id)) = self.deadlines.first().copied()
            && due <= self.aged
        {
            self.deadlines.pop_first();
            let entry = &mut self.entries[id.0 as usize];
            let deadline = entry.heard + entry.good_for;
            if deadline > self.aged {
                entry.due = Some(deadline);
                self.deadlines.insert((deadline, id));
                continue;
            }
            entry.due = None;
            if entry.machine.state() == State::Unknown && entry.state == State::Unknown {
                continue;
            }
            entry.expire(self.aged - entry.heard, now.wall);
            expired.extend(self.publish(id, now.uptime));
        }
        expired
    }

    /// Lets time end what it ends: damping, slow starts, removals that were held back.
    pub fn settle(&mut self, settings: &Settings, now: Now) -> Vec<Change> {
        let mut changes = Vec::new();
        for id in std::mem::take(&mut self.restless) {
            self.entries[id.0 as usize].machine.settle(&settings.rules, now);
            changes.extend(self.conclude(id, settings, now));
        }
        for region in 0..self.waiting.len() {
            while let Some(id) = self.waiting[region].pop_front() {
                if !self.entries[id.0 as usize].is_held {
                    continue;
                }
                if !self.may_go(id, settings, now) {
                    self.waiting[region].push_front(id);
                    break;
                }
                changes.extend(self.publish(id, now.uptime));
            }
        }
        changes
    }

    /// Sets what people decided; services with an announced drain count as unsettled.
    pub fn set_stances(&mut self, stances: Stances) {
        let before = Arc::clone(self.health.stances());
        if *before == stances {
            return;
        }
        let stances = Arc::new(stances);
        self.health.set_stances(Arc::clone(&stances));
        for service in before.announced.iter().chain(&stances.announced) {
            self.mark(*service);
        }
        self.is_news = true;
    }

    /// Sets what was reckoned for load-aware steps.
    pub fn set_shares(&mut self, shares: Arc<[Shares]>) {
        self.health.set_shares(shares);
        self.is_news = true;
    }

    /// The verdicts, whether or not they are news.
    pub fn health(&mut self) -> Health {
        (self.is_news, self.is_urgent) = (false, false);
        self.health.clone()
    }

    /// Whether anything that choices look at has changed since the verdicts were taken.
    pub fn is_news(&self) -> bool {
        self.is_news
    }

    /// Whether a service became, or ceased to be, unsettled since: that should not wait.
    pub fn is_urgent(&self) -> bool {
        self.is_urgent
    }

    /// How many plans it has followed: positions are good within one.
    pub fn plans(&self) -> u64 {
        self.plans
    }

    /// The services that look at a target.
    pub fn services(&self, target: TargetId) -> impl Iterator<Item = ServiceId> + '_ {
        self.dependants.services(target)
    }

    /// One target, if there is such a number.
    pub fn get(&self, id: TargetId) -> Option<(&Arc<Target>, &Entry)> {
        Some((self.services.targets.get(id)?, self.entries.get(id.0 as usize)?))
    }

    /// How many targets there are.
    pub fn len(&self) -> usize {
        self.services.targets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.services.targets.is_empty()
    }

    /// Every target with what is known of it, by what is checked.
    pub fn entries(&self) -> impl Iterator<Item = (&Arc<Target>, &Entry)> {
        self.some(0..self.order.len())
    }

    /// Some of [`Self::entries`], by position: those who look at many targets do it in parts.
    pub fn some(&self, range: Range<usize>) -> impl Iterator<Item = (&Arc<Target>, &Entry)> {
        let end = range.end.min(self.order.len());
        let ids = &self.order[range.start.min(end)..end];
        ids.iter().filter_map(|id| self.get(*id))
    }

    /// Adds the rows of some targets.
    pub fn render(&self, range: Range<usize>, rows: &mut Rows) {
        self.some(range).for_each(|(target, entry)| rows.add(target, entry));
    }

    /// Some of the form that goes to disk. What is unknown is not worth keeping.
    pub fn saved(&self, range: Range<usize>) -> impl Iterator<Item = Saved> {
        let known = self.some(range).filter(|(_, entry)| entry.state != State::Unknown);
        known.map(|(target, entry)| Saved::of(target, entry.state, entry.machine.since()))
    }

    /// Every region, and how its targets are.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.regions.iter().filter(|region| region.all > 0)
    }

    /// How many removals are held back.
    pub fn held(&self) -> usize {
        self.held
    }

    /// How many targets are damped or warming up.
    pub fn restless(&self) -> usize {
        self.restless.len()
    }

    /// What a machine's new state means: published, or held back.
    fn conclude(&mut self, id: TargetId, settings: &Settings, now: Now) -> Option<Change> {
        let entry = &self.entries[id.0 as usize];
        let removes = entry.state.is_usable() && !entry.machine.state().is_usable();
        if !removes || (!entry.is_held && self.may_go(id, settings, now)) {
            return self.publish(id, now.uptime);
        }
        let entry = &mut self.entries[id.0 as usize];
        if !entry.is_held {
            entry.is_held = true;
            self.held += 1;
            self.waiting[usize::from(entry.region)].push_back(id);
        }
        self.write(id, now.uptime);
        None
    }

    fn may_go(&mut self, id: TargetId, settings: &Settings, now: Now) -> bool {
        let (region, all) = (self.entries[id.0 as usize].region, self.len());
        settings.removal.is_none_or(|limit| self.removals.may_go(region, all, &limit, now.uptime))
    }

    /// From now on its machine's state is answered with.
    fn publish(&mut self, id: TargetId, uptime: Duration) -> Option<Change> {
        let entry = &mut self.entries[id.0 as usize];
        if std::mem::take(&mut entry.is_held) {
            self.held -= 1;
        }
        let to = entry.machine.state();
        let from = std::mem::replace(&mut entry.state, to);
        let region = &mut self.regions[usize::from(entry.region)];
        region.down -= usize::from(from == State::Down);
        region.down += usize::from(to == State::Down);
        self.write(id, uptime);
        let transition = Transition { from, to };
        (from != to).then_some(Change { target: id, transition })
    }

    /// Brings everything that follows from an entry up to date.
    fn write(&mut self, id: TargetId, uptime: Duration) {
        let was_suspected = self.health.verdict(id).suspected;
        self.write_verdicts(id, uptime);
        let is_suspected = self.health.verdict(id).suspected;
        if was_suspected != is_suspected {
            let services: Vec<_> = self.dependants.services(id).collect();
            for service in services {
                let suspects = &mut self.suspects[service.0 as usize];
                *suspects = if is_suspected { *suspects + 1 } else { *suspects - 1 };
                self.mark(service);
            }
        }
    }

    /// Its own verdict and those of its pairs; its services are not looked at.
    fn write_verdicts(&mut self, id: TargetId, uptime: Duration) {
        let entry = &self.entries[id.0 as usize];
        let verdict = entry.verdict(self.dependants.slow_start(id), uptime);
        if entry.machine.is_damped() || verdict.warm < WHOLE {
            self.restless.insert(id);
        } else {
            self.restless.remove(&id);
        }
        if !self.health.set(id, verdict) {
            return;
        }
        self.is_news = true;
        let pairs: Vec<_> = self.dependants.pairs(id).collect();
        pairs.into_iter().for_each(|pair| self.write_pair(pair));
    }

    /// The verdict of a pair, which follows from those of its two.
    fn write_pair(&mut self, pair: TargetId) {
        let Some((first, second)) = self.services.targets.pair(pair) else { return };
        let both = self.health.verdict(first).with(self.health.verdict(second));
        self.health.set(pair, both);
    }

    /// Whether a service's TTL is the lower one.
    fn mark(&mut self, service: ServiceId) {
        let Some(suspects) = self.suspects.get(service.0 as usize) else { return };
        let announced = self.health.stances().announced.binary_search(&service).is_ok();
        self.is_urgent |= self.health.set_unsettled(service, *suspects > 0 || announced);
    }
}

#[cfg(test)]
mod tests;
