//! The one task that changes the plan: it takes in new inputs and ping reports, and publishes.
//!
//! Because there is one, nothing has to be locked against anything: reports are applied to the
//! monitor in the order they come, a burst of them makes one new snapshot, and inputs and verdicts
//! never cross. What it publishes it also keeps on disk, a moment later and only the newest.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dns::zone::ServiceId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::balance::fleet;
use crate::health::{Now, State};
use crate::monitor::{Change, Region, Report, Saved, Settings};
use crate::plan::{Difference, Inputs, Refused, Services, Snapshot};
use crate::target::{Target, Targets};

use super::background;
use super::balance::Reckoned;
use super::history::Recorder;
use super::overrides::Said;

mod alarms;
mod disk;
mod shared;

pub use disk::keep_on_disk;
pub use shared::Shared;

use alarms::Found;

/// Reports that may wait; more make the prober wait.
pub const MAX_WAITING: usize = 4096;
/// How often replaced snapshots and old verdicts are looked at, so that none outlives its last
/// reader, or report, by long.
const TICK: Duration = Duration::from_secs(1);

/// New inputs, with the settings that go with them.
pub struct Apply {
    /// What to serve.
    pub inputs: Inputs,
    /// How reports are counted from now on.
    pub settings: Settings,
    /// Told when it is applied or refused.
    pub done: oneshot::Sender<Result<(), Refused>>,
}

/// The task's own side.
pub struct Keeper {
    /// What it writes.
    pub shared: Shared,
    /// How reports are counted.
    pub settings: Settings,
    /// From the prober.
    pub reports: mpsc::Receiver<(Arc<Target>, Report)>,
    /// From the reloader.
    pub inputs: mpsc::Receiver<Apply>,
    /// From people.
    pub said: mpsc::Receiver<Said>,
    /// From the balance.
    pub reckoned: mpsc::Receiver<Reckoned>,
    /// To the history.
    pub recorder: Recorder,
    /// To the prober.
    pub targets: watch::Sender<Targets>,
    /// To the disk: there is something new to keep.
    pub disk: watch::Sender<()>,
}

impl Keeper {
    /// Publishes until told to stop.
    pub async fn run(&mut self, stop: &CancellationToken) {
        self.announce();
        let mut tick = tokio::time::interval(TICK);
        // After a halt one tick is one tick: time in which nobody could report ages no verdict.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some((target, report)) = self.reports.recv() => self.take_reports(&target, report),
                Some(apply) = self.inputs.recv() => self.apply(apply),
                Some(said) = self.said.recv() => self.take_said(said),
                Some(reckoned) = self.reckoned.recv() => self.take_reckoned(reckoned),
                _ = tick.tick() => self.tick(),
                () = stop.cancelled() => return,
            }
        }
    }

    /// What time alone changes, and figures that waited for it.
    fn tick(&mut self) {
        let held = self.shared.plan.collect(background::free);
        metrics::gauge!("dnsrouter_snapshots_retired").set(held as f64);
        let now = self.shared.now();
        self.recorder.tick(now.wall, || self.shared.everything());
        let stances = self.shared.stances(now.wall);
        let said_otherwise = **self.shared.plan.load().health.stances() != stances;
        // Reports that wait are not missing.
        let expired = match self.reports.is_empty() {
            true => self.shared.monitor().age(TICK, now),
            false => Vec::new(),
        };
        let settled = self.shared.monitor().settle(&self.settings, now);
        self.tell(&expired, now);
        self.tell(&settled, now);
        let changes = [expired, settled].concat();
        let news = self.shared.monitor().is_news();
        if said_otherwise || news {
            self.publish(&changes);
        }
        if said_otherwise {
            self.judge_all();
        }
    }

    /// What people say now, in force when they are told so.
    fn take_said(&mut self, said: Said) {
        let Said { overrides, done } = said;
        let services = Arc::clone(&self.shared.plan.load().inputs.services);
        self.recorder.overrides(SystemTime::now(), overrides.iter());
        self.shared.bind(overrides, &services);
        self.publish(&[]);
        self.judge_all();
        // Whoever said it may have gone; it counts all the same.
        let _ = done.send(());
    }

    /// What load-aware steps go by from now on; what is for another plan is old.
    fn take_reckoned(&mut self, reckoned: Reckoned) {
        if reckoned.generation == self.shared.plan.load().inputs.generation {
            self.shared.monitor().set_shares(reckoned.shares);
            self.publish(&[]);
        }
    }

    /// One report and whatever else already waits: one change of many targets is one new plan.
    fn take_reports(&mut self, target: &Target, report: Report) {
        let now = self.shared.now();
        let mut changes = Vec::new();
        changes.extend(self.take_report(target, report, now));
        for _ in 0..MAX_WAITING {
            let Ok((target, report)) = self.reports.try_recv() else { break };
            changes.extend(self.take_report(&target, report, now));
        }
        // A first failure lowers a TTL, which is not to wait either.
        if !changes.is_empty() || self.shared.monitor().is_urgent() {
            self.publish(&changes);
        }
    }

    fn take_report(&mut self, target: &Target, report: Report, now: Now) -> Option<Change> {
        if let Some(rtt) = report.rtt {
            let region = target.region.clone();
            metrics::histogram!("dnsrouter_ping_seconds", "region" => region).record(rtt);
        }
        let change = self.shared.monitor().observe(target, report, &self.settings, now);
        self.tell(change.as_slice(), now);
        change
    }

    /// Tells the log and the history.
    fn tell(&mut self, changes: &[Change], now: Now) {
        for Change { target, transition } in changes {
            let known = self.shared.monitor().get(*target).map(|(target, entry)| {
                (Arc::clone(target), entry.fault.map_or("", |f| f.word()), entry.detail.clone())
            });
            let Some((target, fault, why)) = known else { continue };
            self.recorder.verdict(now.wall, || Saved::of(&target, transition.to, now.wall));
            let (from, to) = (transition.from.word(), transition.to.word());
            let (check, region) = (&target.check, &target.region);
            if transition.to == State::Up {
                tracing::info!(target = %check, region, from, to, "target changed");
            } else {
                tracing::warn!(target = %check, region, from, to, fault, why, "target changed");
            }
        }
    }

    /// Publishes the verdicts first, then everything that follows from the changes among them.
    fn publish(&self, changes: &[Change]) {
        let generation = self.shared.plan.load().inputs.generation;
        let health = self.shared.health(SystemTime::now());
        if let Err(refused) = self.shared.plan.apply_health(generation, health) {
            // Only this task publishes, so this would be a defect; the old plan serves on.
            tracing::error!(%refused, "verdicts were not applied");
        }
        if changes.is_empty() {
            return self.find_regions();
        }
        let mut concerned: Vec<ServiceId> = {
            let monitor = self.shared.monitor();
            changes.iter().flat_map(|change| monitor.services(change.target)).collect()
        };
        concerned.sort_unstable();
        concerned.dedup();
        self.judge(concerned.into_iter());
        self.find_regions();
        self.disk.send_replace(());
    }

    fn apply(&mut self, apply: Apply) {
        let Apply { inputs, settings, done } = apply;
        let services = Arc::clone(&inputs.services);
        // Dominated inputs must not touch the monitor either: its targets are the plan's.
        let applied = self.shared.plan.load().inputs.generation;
        if inputs.generation <= applied {
            let _ = done.send(Err(Refused::Dominated { offered: inputs.generation, applied }));
            return;
        }
        let now = self.shared.now();
        // An update of a zone leaves the services as they are.
        let before = Arc::clone(&self.shared.plan.load());
        let difference = Difference::between(&before.inputs.services, &services);
        if !Arc::ptr_eq(&services, &before.inputs.services) {
            let mut monitor = self.shared.monitor();
            monitor.retarget(&services, &[], now);
            if fleet::is_touched(&before.inputs.services, &services, &difference) {
                let carried = fleet::carried(&before.inputs.services, &before.health, &services);
                monitor.set_shares(carried);
            }
            drop(monitor);
            // Only this task binds, so those of the plan before cannot come back.
            let said = Arc::clone(self.shared.overrides.load().overrides());
            self.shared.bind(said, &services);
        }
        let health = self.shared.health(now.wall);
        let written = Arc::clone(&inputs.written);
        let result = self.shared.plan.apply(inputs, health);
        self.recorder.plan(now.wall, &written, || self.shared.everything());
        self.settings = settings;
        self.announce_change(&before, difference);
        // Whoever asked may have gone; the plan is applied all the same.
        let _ = done.send(result);
    }

    /// Tells the prober, the disk, the metrics and the log what the first plan brings.
    fn announce(&self) {
        self.tell_others();
        self.judge_all();
    }

    /// The same of a plan after another: services that are what they were are not judged anew, unless
    /// places are others.
    fn announce_change(&self, before: &Snapshot, difference: Difference) {
        let inputs = self.shared.plan.load().inputs.clone();
        self.tell_others();
        let names = |services: &Services| -> BTreeSet<String> {
            let others = difference.services.iter();
            let others = others.filter_map(|id| services.services.get(id.0 as usize));
            others.map(|(name, _)| name.to_string()).collect()
        };
        let gone = &names(&before.inputs.services) - &names(&inputs.services);
        self.shared.lock_alarms().keep(|found| match found {
            Found::FailOpen(name) => !gone.contains(name),
            Found::Region(_) | Found::HeldBack => true,
        });
        if Arc::ptr_eq(&before.inputs.geo, &inputs.geo) {
            self.judge(difference.services.into_iter());
        } else {
            self.judge_all();
        }
    }

    fn tell_others(&self) {
        let snapshot = Arc::clone(&self.shared.plan.load());
        let targets = &snapshot.inputs.services.targets;
        self.targets.send_if_modified(|known| {
            let is_other = targets.changed_since(known).next().is_some();
            if is_other {
                known.clone_from(targets);
            }
            is_other
        });
        metrics::gauge!("dnsrouter_plan_generation").set(snapshot.inputs.generation.0 as f64);
        self.find_regions();
        self.disk.send_replace(());
    }

    /// Judges every service.
    fn judge_all(&self) {
        let services = Arc::clone(&self.shared.plan.load().inputs.services);
        self.judge((0..).map(ServiceId).take(services.services.len()));
    }

    /// Whether services fail open.
    fn judge(&self, concerned: impl Iterator<Item = ServiceId>) {
        let snapshot = Arc::clone(&self.shared.plan.load());
        let mut alarms = self.shared.lock_alarms();
        for id in concerned {
            let service = snapshot.inputs.services.services.get(id.0 as usize);
            let Some((name, policy)) = service else { continue };
            let words = policy.fails_open(&snapshot.inputs.geo, &snapshot.health).then(|| {
                format!("{name}: too few endpoints are up; answering as if all were (fail open)")
            });
            alarms.find(Found::FailOpen(name.to_string()), words);
        }
        alarms.measure();
    }

    /// One alarm per region that has a target down, however many; and one for what is held back.
    fn find_regions(&self) {
        let monitor = self.shared.monitor();
        let regions: Vec<Region> = monitor.regions().cloned().collect();
        let (held, restless) = (monitor.held(), monitor.restless());
        drop(monitor);
        let mut alarms = self.shared.lock_alarms();
        alarms.keep(|found| match found {
            Found::Region(name) => regions.iter().any(|region| region.name == *name),
            Found::FailOpen(_) | Found::HeldBack => true,
        });
        for region in regions {
            let (name, down, all) = (region.name, region.down, region.all);
            let words = || format!("region {name}: {down} of {all} targets down");
            let words = (down > 0).then(words);
            alarms.find(Found::Region(name), words);
        }
        let words = || {
            format!(
                "{held} targets more seem to have failed: too many at once to believe it, so they \
                 stay in the answers for now (removal held back)"
            )
        };
        alarms.find(Found::HeldBack, (held > 0).then(words));
        alarms.measure();
        metrics::gauge!("dnsrouter_removals_held_back").set(held as f64);
        metrics::gauge!("dnsrouter_targets_restless").set(restless as f64);
    }
}
