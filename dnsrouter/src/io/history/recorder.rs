//! The keeper's side: hands records over and never waits.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::mpsc::Sender;

use crate::history::{Base, Entry, PULSE, Record, Written};
use crate::monitor::Saved;
use crate::overrides::Override;

/// Hands over what happens.
#[derive(Default)]
pub struct Recorder {
    /// None: no history is kept.
    to: Option<Sender<Record>>,
    /// The plan that was recorded last.
    plan: Option<Arc<Written>>,
    /// Of the last record.
    last: Option<SystemTime>,
    /// The queue was full then, and everything must be said anew.
    missed_since: Option<SystemTime>,
}

impl Recorder {
    /// To a writer.
    pub(super) fn new(to: Sender<Record>) -> Self {
        Self { to: Some(to), ..Self::default() }
    }

    /// A target changed.
    pub fn verdict(&mut self, now: SystemTime, saved: impl FnOnce() -> Saved) {
        if self.to.is_some() {
            self.record(now, Entry::Verdict(saved()));
        }
    }

    /// The overrides changed.
    pub fn overrides<'a>(&mut self, now: SystemTime, all: impl Iterator<Item = &'a Override>) {
        if self.to.is_some() {
            self.record(now, Entry::Overrides(all.cloned().collect()));
        }
    }

    /// A plan was applied; most have the services of the one before.
    pub fn plan(
        &mut self,
        now: SystemTime,
        plan: &Arc<Written>,
        everything: impl FnOnce() -> Base,
    ) {
        let known = self.plan.as_ref();
        if self.to.is_none() || known.is_some_and(|k| Arc::ptr_eq(k, plan) || k == plan) {
            return;
        }
        self.plan = Some(Arc::clone(plan));
        self.record(now, Entry::Base(everything()));
    }

    /// To be called each second or so: a sign of life now and then, and after a loss everything.
    pub fn tick(&mut self, now: SystemTime, everything: impl FnOnce() -> Base) {
        if self.to.is_none() {
            return;
        }
        if self.last.is_none() || self.missed_since.is_some() {
            let base = Base { missed_since: self.missed_since, ..everything() };
            self.plan = Some(Arc::clone(&base.plan));
            if self.hand_over(now, Entry::Base(base)) {
                self.missed_since = None;
            }
            return;
        }
        // A clock that was set back is no reason to fall silent.
        let quiet = self.last.is_none_or(|last| now.duration_since(last).is_ok_and(|q| q < PULSE));
        if !quiet {
            self.record(now, Entry::Pulse);
        }
    }

    fn record(&mut self, now: SystemTime, entry: Entry) {
        // What comes before the first base, or after a loss, is in the next base.
        let begun = self.last.is_some() && self.missed_since.is_none();
        if begun && !self.hand_over(now, entry) {
            self.missed_since = Some(now);
        }
    }

    fn hand_over(&mut self, now: SystemTime, entry: Entry) -> bool {
        let Some(to) = &self.to else { return true };
        let handed = to.try_send(Record { at: now, entry }).is_ok();
        if handed {
            self.last = Some(now);
        } else {
            metrics::counter!("dnsrouter_history_dropped_total", "cause" => "queue").increment(1);
        }
        handed
    }
}
