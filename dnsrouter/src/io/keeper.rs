//! The one task that changes the plan: it takes in new inputs and ping reports, and publishes.
//!
//! Because there is one, nothing has to be locked against anything: reports are applied to the
//! monitor in the order they come, a burst of them makes one new snapshot, and inputs and verdicts
//! never cross. What it publishes it also keeps on disk, a moment later and only the newest.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::health::{State, Thresholds};
use crate::history::Base;
use crate::monitor::{Monitor, Report, Saved};
use crate::operators::Operators;
use crate::overrides::Overrides;
use crate::overrides::bound::Bound;
use crate::plan::{Generation, Inputs, Published, Refused, Services};
use crate::service::Target;
use crate::verdicts::Health;

use super::history::Recorder;
use super::overrides::Said;
use super::state;

/// Reports that may wait; more make the prober wait.
pub const MAX_WAITING: usize = 4096;
/// How often replaced snapshots and old verdicts are looked at, so that none outlives its last
/// reader, or report, by long.
const TICK: Duration = Duration::from_secs(1);
/// A disk that refused is tried again after this.
const RETRY: Duration = Duration::from_secs(5);

/// New inputs, with the thresholds that go with them.
pub struct Apply {
    /// What to serve.
    pub inputs: Inputs,
    /// How reports are counted from now on.
    pub thresholds: Thresholds,
    /// Told when it is applied or refused.
    pub done: oneshot::Sender<Result<(), Refused>>,
}

/// What the keeper shares with others: they read, it writes.
#[derive(Clone)]
pub struct Shared {
    /// The plan.
    pub plan: Arc<Published>,
    monitor: Arc<Mutex<Monitor>>,
    alarms: Arc<Mutex<Alarms>>,
    overrides: Arc<ArcSwap<Bound>>,
    operators: Arc<ArcSwap<Operators>>,
}

/// What is wrong: derived anew from each plan, or raised and ended by somebody.
#[derive(Debug, Default)]
struct Alarms {
    derived: BTreeSet<String>,
    raised: BTreeSet<Cow<'static, str>>,
}

impl Shared {
    /// Begins with a plan and what the last run knew of its targets.
    pub fn new(inputs: Inputs, saved: &[Saved], now: SystemTime) -> Self {
        let mut monitor = Monitor::default();
        monitor.retarget(&inputs.services.targets, saved, now);
        let health = monitor.health(&inputs.services.targets);
        Self {
            plan: Arc::new(Published::new(inputs, health)),
            monitor: Arc::new(Mutex::new(monitor)),
            alarms: Arc::default(),
            overrides: Arc::default(),
            operators: Arc::default(),
        }
    }

    /// Puts the overrides of the last run in force, before there is a keeper.
    pub fn begin_with(&self, overrides: Arc<Overrides>, now: SystemTime) {
        let inputs = self.plan.load().inputs.clone();
        self.overrides.store(Arc::new(Bound::new(overrides, &inputs.services)));
        let health = self.health(&inputs.services, now);
        if let Err(refused) = self.plan.apply_health(inputs.generation, health) {
            tracing::error!(%refused, "the overrides of the last run were not applied");
        }
    }

    /// What people said, against the present plan.
    pub fn overrides(&self) -> Arc<Bound> {
        self.overrides.load_full()
    }

    /// Who may say so.
    pub fn operators(&self) -> Arc<Operators> {
        self.operators.load_full()
    }

    /// Changes who may.
    pub fn set_operators(&self, operators: Operators) {
        self.operators.store(Arc::new(operators));
    }

    /// What was measured of a plan's targets, and what people say against that.
    fn health(&self, services: &Services, now: SystemTime) -> Health {
        let mut health = self.monitor().health(&services.targets);
        health.set_stances(Arc::new(self.overrides.load().stances(now)));
        health
    }

    /// What is known of every target; hold it briefly.
    pub fn monitor(&self) -> MutexGuard<'_, Monitor> {
        self.monitor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of every target and said of anything, in Prometheus' text form.
    pub fn render(&self) -> String {
        let overrides = self.overrides.load().overrides().render(SystemTime::now());
        self.monitor().render() + &overrides
    }

    /// What is wrong at the moment, in words.
    pub fn alarms(&self) -> Vec<String> {
        let alarms = self.lock_alarms();
        let raised = alarms.raised.iter().map(|alarm| alarm.clone().into_owned());
        alarms.derived.iter().cloned().chain(raised).collect()
    }

    /// Raises an alarm until [`Self::clear_alarm`].
    pub fn raise_alarm(&self, alarm: impl Into<Cow<'static, str>>) {
        let mut alarms = self.lock_alarms();
        alarms.raised.insert(alarm.into());
        alarms.measure();
    }

    /// Ends an alarm.
    pub fn clear_alarm(&self, alarm: &str) {
        let mut alarms = self.lock_alarms();
        alarms.raised.remove(alarm);
        alarms.measure();
    }

    fn lock_alarms(&self) -> MutexGuard<'_, Alarms> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task's own side.
pub struct Keeper {
    /// What it writes.
    pub shared: Shared,
    /// How reports are counted.
    pub thresholds: Thresholds,
    /// From the prober.
    pub reports: mpsc::Receiver<(Target, Report)>,
    /// From the reloader.
    pub inputs: mpsc::Receiver<Apply>,
    /// From people.
    pub said: mpsc::Receiver<Said>,
    /// To the history.
    pub recorder: Recorder,
    /// To the prober.
    pub targets: watch::Sender<Arc<[Target]>>,
    /// To the disk.
    pub state: watch::Sender<state::State>,
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
                _ = tick.tick() => self.tick(),
                () = stop.cancelled() => return,
            }
        }
    }

    fn tick(&mut self) {
        let held = self.shared.plan.collect();
        metrics::gauge!("dnsrouter_snapshots_retired").set(held as f64);
        let now = SystemTime::now();
        self.recorder.tick(now, || everything(&self.shared));
        let stances = self.shared.overrides.load().stances(now);
        let mut changed = **self.shared.plan.load().health.stances() != stances;
        // Reports that wait are not missing.
        if self.reports.is_empty() {
            let expired = self.shared.monitor().age(TICK, now);
            for target in &expired {
                tracing::warn!(
                    target = %target.ping, region = target.region,
                    "nobody reports on the target any more; it counts as unknown"
                );
                self.recorder.verdict(now, || Saved::of(target, State::Unknown, now));
            }
            changed |= !expired.is_empty();
        }
        if changed {
            self.publish_health();
        }
    }

    /// What people say now, in force when they are told so.
    fn take_said(&mut self, said: Said) {
        let Said { overrides, done } = said;
        let services = Arc::clone(&self.shared.plan.load().inputs.services);
        self.recorder.overrides(SystemTime::now(), overrides.iter());
        self.shared.overrides.store(Arc::new(Bound::new(overrides, &services)));
        self.publish_health();
        // Whoever said it may have gone; it counts all the same.
        let _ = done.send(());
    }

    /// One report and whatever else already waits: one change of many targets is one new plan.
    fn take_reports(&mut self, target: &Target, report: Report) {
        let now = SystemTime::now();
        let mut changed = self.take_report(target, report, now);
        for _ in 0..MAX_WAITING {
            let Ok((target, report)) = self.reports.try_recv() else { break };
            changed |= self.take_report(&target, report, now);
        }
        if changed {
            self.publish_health();
        }
    }

    fn take_report(&mut self, target: &Target, report: Report, now: SystemTime) -> bool {
        let detail = report.detail.clone();
        let rtt = report.rtt;
        let transition = self.shared.monitor().observe(target, report, self.thresholds, now);
        if let Some(rtt) = rtt {
            let region = target.region.clone();
            metrics::histogram!("dnsrouter_ping_seconds", "region" => region).record(rtt);
        }
        let Some(change) = transition else { return false };
        self.recorder.verdict(now, || Saved::of(target, change.to, now));
        let (from, to) = (change.from.word(), change.to.word());
        if change.to == State::Up {
            tracing::info!(target = %target.ping, region = target.region, from, to, "target changed");
        } else {
            tracing::warn!(
                target = %target.ping, region = target.region, from, to, why = detail,
                "target changed"
            );
        }
        true
    }

    fn publish_health(&self) {
        let inputs = self.shared.plan.load().inputs.clone();
        let health = self.shared.health(&inputs.services, SystemTime::now());
        if let Err(refused) = self.shared.plan.apply_health(inputs.generation, health) {
            // Only this task publishes, so this would be a defect; the old plan serves on.
            tracing::error!(%refused, "verdicts were not applied");
        }
        self.announce();
    }

    fn apply(&mut self, apply: Apply) {
        let Apply { inputs, thresholds, done } = apply;
        let services = Arc::clone(&inputs.services);
        // Dominated inputs must not touch the monitor either: its targets are the plan's.
        let applied = self.shared.plan.load().inputs.generation;
        if inputs.generation <= applied {
            let _ = done.send(Err(Refused::Dominated { offered: inputs.generation, applied }));
            return;
        }
        let now = SystemTime::now();
        self.shared.monitor().retarget(&services.targets, &[], now);
        // Only this task binds, so those of the plan before cannot come back.
        let said = Arc::clone(self.shared.overrides.load().overrides());
        self.shared.overrides.store(Arc::new(Bound::new(said, &services)));
        let health = self.shared.health(&services, now);
        let written = Arc::clone(&inputs.written);
        let result = self.shared.plan.apply(inputs, health);
        self.recorder.plan(now, &written, || everything(&self.shared));
        self.thresholds = thresholds;
        self.announce();
        // Whoever asked may have gone; the plan is applied all the same.
        let _ = done.send(result);
    }

    /// Tells the prober, the disk, the metrics and the log what is now.
    fn announce(&self) {
        let snapshot = self.shared.plan.load();
        let services = &snapshot.inputs.services;
        self.targets.send_if_modified(|known| {
            let same = **known == *services.targets;
            if !same {
                *known = Arc::from(&*services.targets);
            }
            !same
        });
        let Generation(generation) = snapshot.inputs.generation;
        let saved = self.shared.monitor().saved();
        self.state.send_replace(state::State::new(generation, saved));
        metrics::gauge!("dnsrouter_plan_generation").set(generation as f64);
        let failing = services
            .services
            .iter()
            .filter(|(_, policy)| policy.fails_open(&snapshot.inputs.geo, &snapshot.health))
            .map(|(name, _)| {
                format!("{name}: too few endpoints are up; answering as if all were (fail open)")
            });
        let failing: Vec<_> = failing.collect();
        metrics::gauge!("dnsrouter_services_fail_open").set(failing.len() as f64);
        let alarms = failing.into_iter().chain(regions_down(&self.shared.monitor()));
        self.raise(alarms.collect());
    }

    fn raise(&self, now: BTreeSet<String>) {
        let mut alarms = self.shared.lock_alarms();
        for alarm in now.difference(&alarms.derived) {
            tracing::error!(alarm, "alarm raised");
        }
        for alarm in alarms.derived.difference(&now) {
            tracing::info!(alarm, "alarm ended");
        }
        alarms.derived = now;
        alarms.measure();
    }
}

/// For the history.
fn everything(shared: &Shared) -> Base {
    Base {
        plan: Arc::clone(&shared.plan.load().inputs.written),
        verdicts: shared.monitor().saved(),
        overrides: shared.overrides.load().overrides().iter().cloned().collect(),
        missed_since: None,
    }
}

/// One alarm per region that has a target down, however many.
fn regions_down(monitor: &Monitor) -> Vec<String> {
    let mut regions: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (target, entry) in monitor.entries() {
        let (down, all) = regions.entry(&target.region).or_default();
        *down += usize::from(entry.machine.state() == State::Down);
        *all += 1;
    }
    let down = regions.into_iter().filter(|(_, (down, _))| *down > 0);
    down.map(|(region, (down, all))| format!("region {region}: {down} of {all} targets down"))
        .collect()
}

impl Alarms {
    fn measure(&self) {
        let count = self.derived.len() + self.raised.len();
        metrics::gauge!("dnsrouter_alarms").set(count as f64);
    }
}

/// Keeps the newest state on disk until told to stop, then once more if there is anything newer.
pub async fn keep_on_disk(
    folder: state::Folder,
    mut newest: watch::Receiver<state::State>,
    stop: CancellationToken,
) {
    loop {
        let state = newest.borrow_and_update().clone();
        let saved = save(&folder, state).await;
        tokio::select! {
            changed = newest.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(RETRY), if !saved => {}
            () = stop.cancelled() => {
                if !saved || newest.has_changed().unwrap_or(true) {
                    let last = newest.borrow().clone();
                    save(&folder, last).await;
                }
                return;
            }
        }
    }
}

async fn save(folder: &state::Folder, state: state::State) -> bool {
    let to = folder.clone();
    let written = tokio::task::spawn_blocking(move || to.write(&state)).await;
    let failed = match written {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(panicked) => Some(panicked.to_string()),
    };
    metrics::gauge!("dnsrouter_state_unsaved").set(f64::from(u8::from(failed.is_some())));
    if let Some(error) = &failed {
        tracing::error!(error, "the state was not kept; serving goes on, a restart would lose it");
    }
    failed.is_none()
}
