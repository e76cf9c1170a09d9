//! What this node knows of every target: one health machine each, and the last ping's details.
//!
//! Pure: the prober shell feeds outcomes in, and takes transitions, verdicts and a form for the
//! disk out.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::health::{Machine, Outcome, State, Thresholds, Transition};
use crate::policy::Health;
use crate::service::Target;

/// One ping, as the prober saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What it means for the state.
    pub outcome: Outcome,
    /// From the request's first byte to the reply, when there was one.
    pub rtt: Option<Duration>,
    /// Why it was not a success, in words; empty for a success.
    pub detail: String,
}

/// What is known of one target.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its state and how it got there.
    pub machine: Machine,
    /// Of the last successful ping.
    pub rtt: Option<Duration>,
    /// The last failure in words; empty after a success.
    pub detail: String,
}

/// All targets of the present plan, in their order there.
#[derive(Debug, Default)]
pub struct Monitor {
    entries: BTreeMap<Target, Entry>,
}

/// A verdict as it is kept on disk, so that a restarted node goes on where it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// `host:port` that is pinged.
    pub address: String,
    /// The region expected there.
    pub region: String,
    /// The verdict.
    pub state: State,
    /// When it began, in milliseconds since 1970.
    pub since_unix_ms: u64,
}

impl Monitor {
    /// Follows a new plan: keeps what is known of targets that stay, forgets those that went.
    /// A target that is new here begins with what `saved` says of it, else unknown.
    pub fn retarget(&mut self, targets: &[Target], saved: &[Saved], now: SystemTime) {
        let mut old = std::mem::take(&mut self.entries);
        for target in targets {
            let entry = old.remove(target).unwrap_or_else(|| {
                let address = target.ping.to_string();
                let known =
                    saved.iter().find(|s| s.address == address && s.region == target.region);
                Entry {
                    machine: known.map_or_else(
                        || Machine::new(now),
                        // A stamp from the future (the clock was set back) counts from now.
                        |s| Machine::restored(s.state, from_unix_ms(s.since_unix_ms).min(now)),
                    ),
                    rtt: None,
                    detail: String::new(),
                }
            });
            self.entries.insert(target.clone(), entry);
        }
    }

    /// Takes in one ping; returns the change of state it made. A report about a target that is no
    /// longer in the plan changes nothing.
    pub fn observe(
        &mut self,
        target: &Target,
        report: Report,
        thresholds: Thresholds,
        now: SystemTime,
    ) -> Option<Transition> {
        let entry = self.entries.get_mut(target)?;
        if report.rtt.is_some() {
            entry.rtt = report.rtt;
        }
        entry.detail = report.detail;
        entry.machine.observe(report.outcome, thresholds, now)
    }

    /// The verdicts in the order of `targets`.
    pub fn health(&self, targets: &[Target]) -> Health {
        Health::new(targets.iter().map(|target| {
            self.entries.get(target).map_or(State::Unknown, |entry| entry.machine.state())
        }))
    }

    /// Every target with what is known of it.
    pub fn entries(&self) -> impl Iterator<Item = (&Target, &Entry)> {
        self.entries.iter()
    }

    /// The form that goes to disk. What is unknown is not worth keeping.
    pub fn saved(&self) -> Vec<Saved> {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.machine.state() != State::Unknown)
            .map(|(target, entry)| Saved {
                address: target.ping.to_string(),
                region: target.region.clone(),
                state: entry.machine.state(),
                since_unix_ms: unix_ms(entry.machine.since()),
            })
            .collect()
    }
}

/// Milliseconds since 1970; 0 for a clock before that.
pub fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn from_unix_ms(ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Ping;
    use std::num::NonZeroU32;

    const T: Thresholds = Thresholds { rise: NonZeroU32::MIN, fall: NonZeroU32::MIN };
    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn target(host: &str) -> Target {
        Target { ping: Ping { host: host.into(), port: 443 }, region: "r".into() }
    }

    fn failure() -> Report {
        Report { outcome: Outcome::Failure, rtt: None, detail: "refused".into() }
    }

    #[test]
    fn a_reload_keeps_what_is_known_of_targets_that_stay() {
        let (a, b, c) = (target("a"), target("b"), target("c"));
        let mut monitor = Monitor::default();
        monitor.retarget(&[a.clone(), b.clone()], &[], NOW);
        assert!(monitor.observe(&a, failure(), T, NOW).is_some());
        monitor.retarget(&[c.clone(), a.clone()], &[], NOW);
        let health = monitor.health(&[c, a]);
        assert_eq!(health, Health::new([State::Unknown, State::Down]));
        assert_eq!(monitor.observe(&b, failure(), T, NOW), None, "b is gone");
    }

    #[test]
    fn a_restart_goes_on_with_the_saved_verdicts() {
        let a = target("a");
        let mut before = Monitor::default();
        before.retarget(std::slice::from_ref(&a), &[], NOW);
        before.observe(&a, failure(), T, NOW + Duration::from_secs(5));
        let saved = before.saved();
        let mut after = Monitor::default();
        after.retarget(std::slice::from_ref(&a), &saved, NOW + Duration::from_secs(60));
        let (_, entry) = after.entries().next().unwrap();
        assert_eq!(entry.machine.state(), State::Down);
        assert_eq!(entry.machine.since(), NOW + Duration::from_secs(5));
    }

    #[test]
    fn a_saved_stamp_from_the_future_or_of_any_size_is_survived() {
        let a = target("a");
        let address = a.ping.to_string();
        let saved =
            Saved { address, region: "r".into(), state: State::Up, since_unix_ms: u64::MAX };
        let mut monitor = Monitor::default();
        monitor.retarget(std::slice::from_ref(&a), &[saved], NOW);
        assert_eq!(monitor.entries().next().unwrap().1.machine.since(), NOW);
    }
}
