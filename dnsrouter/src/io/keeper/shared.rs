//! What the keeper shares with others: they read, it writes.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;

use crate::health::Now;
use crate::history::Base;
use crate::io::state::State;
use crate::monitor::{Monitor, Rows, Saved, unix_ms};
use crate::operators::Operators;
use crate::overrides::Overrides;
use crate::overrides::bound::Bound;
use crate::plan::{Inputs, Published, Services};
use crate::verdicts::{Health, Stances};

use super::alarms::Alarms;

/// Targets looked at under one lock by those who look at all: some tens of microseconds, so that a
/// report never waits for a walk.
const STRIDE: usize = 256;

/// What the keeper shares with others: they read, it writes.
#[derive(Clone)]
pub struct Shared {
    /// The plan.
    pub plan: Arc<Published>,
    pub(super) overrides: Arc<ArcSwap<Bound>>,
    /// When it was last reckoned what follows from them, in milliseconds since 1970: what is
    /// shown of a ramp is what is in the answers.
    reckoned: Arc<AtomicU64>,
    monitor: Arc<Mutex<Monitor>>,
    alarms: Arc<Mutex<Alarms>>,
    operators: Arc<ArcSwap<Operators>>,
    started: Instant,
}

impl Shared {
    /// Begins with a plan and what the last run knew of its targets.
    pub fn new(inputs: Inputs, saved: &[Saved], now: SystemTime) -> Self {
        let started = Instant::now();
        let mut monitor = Monitor::default();
        let now = Now { wall: now, uptime: started.elapsed() };
        monitor.retarget(&inputs.services, saved, now);
        let health = monitor.health();
        Self {
            plan: Arc::new(Published::new(inputs, health)),
            overrides: Arc::default(),
            reckoned: Arc::default(),
            monitor: Arc::new(Mutex::new(monitor)),
            alarms: Arc::default(),
            operators: Arc::default(),
            started,
        }
    }

    /// Puts the overrides of the last run in force, before there is a keeper.
    pub fn begin_with(&self, overrides: Arc<Overrides>, now: SystemTime) {
        let inputs = self.plan.load().inputs.clone();
        self.bind(overrides, &inputs.services);
        if let Err(refused) = self.plan.apply_health(inputs.generation, self.health(now)) {
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

    /// What is known of every target; hold it briefly.
    pub fn monitor(&self) -> MutexGuard<'_, Monitor> {
        self.monitor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of every target and said of anything, in Prometheus' text form.
    pub fn render(&self) -> String {
        let overrides = self.overrides.load().overrides().render(self.reckoned());
        let rows: Rows = self.gather(Monitor::render);
        rows.text() + &overrides
    }

    /// The form that goes to disk.
    pub fn state(&self) -> State {
        State::new(self.plan.load().inputs.generation.0, self.saved())
    }

    /// Looks at all targets, a few at a time, in the order of their names.
    pub fn gather<T: Default>(&self, mut add: impl FnMut(&Monitor, Range<usize>, &mut T)) -> T {
        'anew: loop {
            let mut gathered = T::default();
            let plan = self.monitor().plans();
            for at in (0..).step_by(STRIDE) {
                let monitor = self.monitor();
                if monitor.plans() != plan {
                    continue 'anew;
                }
                if at >= monitor.len() {
                    return gathered;
                }
                add(&monitor, at..at + STRIDE, &mut gathered);
                drop(monitor);
                // The keeper may be waiting for it.
                std::thread::yield_now();
            }
        }
    }

    /// For the history.
    pub(super) fn everything(&self) -> Base {
        Base {
            plan: Arc::clone(&self.plan.load().inputs.written),
            verdicts: self.saved(),
            overrides: self.overrides.load().overrides().iter().cloned().collect(),
            missed_since: None,
        }
    }

    /// What people say, against a plan's services.
    pub(super) fn bind(&self, overrides: Arc<Overrides>, services: &Services) {
        self.overrides.store(Arc::new(Bound::new(overrides, services)));
    }

    /// When it was last reckoned what follows from overrides.
    pub fn reckoned(&self) -> SystemTime {
        let ms = Duration::from_millis(self.reckoned.load(Ordering::Relaxed));
        SystemTime::UNIX_EPOCH.checked_add(ms).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// What follows from overrides at `now`.
    pub(super) fn stances(&self, now: SystemTime) -> Stances {
        self.reckoned.store(unix_ms(now), Ordering::Relaxed);
        self.overrides.load().stances(now)
    }

    /// What was measured, and what people say against that.
    pub(super) fn health(&self, now: SystemTime) -> Health {
        let stances = self.stances(now);
        let mut monitor = self.monitor();
        monitor.set_stances(stances);
        monitor.health()
    }

    /// Both clocks.
    pub(super) fn now(&self) -> Now {
        Now { wall: SystemTime::now(), uptime: self.started.elapsed() }
    }

    /// What is wrong at the moment, in words.
    pub fn alarms(&self) -> Vec<String> {
        self.lock_alarms().all()
    }

    /// Raises an alarm until [`Self::clear_alarm`].
    pub fn raise_alarm(&self, alarm: impl Into<Cow<'static, str>>) {
        self.lock_alarms().raise(alarm.into());
    }

    /// Ends an alarm.
    pub fn clear_alarm(&self, alarm: &str) {
        self.lock_alarms().clear(alarm);
    }

    pub(super) fn lock_alarms(&self) -> MutexGuard<'_, Alarms> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saved(&self) -> Vec<Saved> {
        self.gather(|monitor, range, all: &mut Vec<Saved>| all.extend(monitor.saved(range)))
    }
}
