//! The one task that changes the plan: it takes in new inputs and ping reports, and publishes.
//!
//! Because there is one, nothing has to be locked against anything: reports are applied to the
//! monitor in the order they come, a burst of them makes one new snapshot, and inputs and verdicts
//! never cross. What it publishes it also keeps on disk, a moment later and only the newest.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::health::{State, Thresholds};
use crate::monitor::{Monitor, Report, Saved};
use crate::plan::{Generation, Inputs, Published, Refused};
use crate::service::Target;

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
        }
    }

    /// What is known of every target; hold it briefly.
    pub fn monitor(&self) -> MutexGuard<'_, Monitor> {
        self.monitor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of every target, in Prometheus' text form.
    pub fn render(&self) -> String {
        self.monitor().render()
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
                _ = tick.tick() => self.tick(),
                () = stop.cancelled() => return,
            }
        }
    }

    fn tick(&mut self) {
        let held = self.shared.plan.collect();
        metrics::gauge!("dnsrouter_snapshots_retired").set(held as f64);
        // Reports that wait are not missing.
        if !self.reports.is_empty() {
            return;
        }
        let expired = self.shared.monitor().age(TICK, SystemTime::now());
        for target in &expired {
            tracing::warn!(
                target = %target.ping, region = target.region,
                "nobody reports on the target any more; it counts as unknown"
            );
        }
        if !expired.is_empty() {
            self.publish_health();
        }
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
        let health = self.shared.monitor().health(&inputs.services.targets);
        if let Err(refused) = self.shared.plan.apply_health(inputs.generation, health) {
            // Only this task publishes, so this would be a defect; the old plan serves on.
            tracing::error!(%refused, "verdicts were not applied");
        }
        self.announce();
    }

    fn apply(&mut self, apply: Apply) {
        let Apply { inputs, thresholds, done } = apply;
        let targets = Arc::clone(&inputs.services);
        // Dominated inputs must not touch the monitor either: its targets are the plan's.
        let applied = self.shared.plan.load().inputs.generation;
        if inputs.generation <= applied {
            let _ = done.send(Err(Refused::Dominated { offered: inputs.generation, applied }));
            return;
        }
        let health = {
            let mut monitor = self.shared.monitor();
            monitor.retarget(&targets.targets, &[], SystemTime::now());
            monitor.health(&targets.targets)
        };
        let result = self.shared.plan.apply(inputs, health);
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
            .filter(|(_, policy)| policy.fails_open(&snapshot.health))
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
