//! What is known of one target.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::health::{Fault, Machine, Outcome, State};
use crate::target::Target;
use crate::verdicts::{Verdict, WHOLE};

/// How much of the difference to the newest round trip the smoothed one makes up: an eighth, as
/// TCP does (RFC 6298 §2).
const SMOOTHING: u32 = 8;

/// One check, as the prober saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What it means for the state.
    pub outcome: Outcome,
    /// From the request's first byte to the reply, when there was one.
    pub rtt: Option<Duration>,
    /// How busy the target says it is, when it does.
    pub load: Option<Load>,
    /// Why it was not a success, in words; empty for a success.
    pub detail: String,
    /// Without another report within this, nobody looks any more.
    pub good_for: Duration,
}

/// How busy a target says it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests being handled.
    pub in_flight: u32,
    /// Share of its processors in use; [`WHOLE`] is all.
    pub cpu: u16,
    /// Requests per second; 0: not stated.
    pub rate: u32,
    /// Requests per second that it can handle; 0: not stated.
    pub capacity: u32,
}

impl Load {
    /// A share from 0 to 1 as it is kept; what is outside, or no number, counts as the nearest.
    pub fn share(share: f64) -> u16 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let kept = (share.clamp(0.0, 1.0) * f64::from(WHOLE)) as u16;
        kept
    }
}

/// What is known of one target.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What its checks make of it.
    pub machine: Machine,
    /// What is answered with: the machine's state, unless its removal is held back.
    pub state: State,
    /// It would be taken out, were not so many others.
    pub is_held: bool,
    /// Of the last check that was answered.
    pub rtt: Option<Duration>,
    /// The same, smoothed.
    pub smoothed: Option<Duration>,
    /// As it said last.
    pub load: Option<Load>,
    /// What was wrong with the last check, if anything was.
    pub fault: Option<Fault>,
    /// The same in words; empty after a success.
    pub detail: String,
    /// Number of its region.
    pub(super) region: u16,
    /// When the last report came, on the monitor's own clock.
    pub(super) heard: Duration,
    /// How long that is good for.
    pub(super) good_for: Duration,
    /// When it is looked at next, whether it expired.
    pub(super) due: Option<Duration>,
}

impl Entry {
    pub(super) fn new(machine: Machine, good_for: Duration) -> Self {
        Self {
            state: machine.state(),
            machine,
            is_held: false,
            rtt: None,
            smoothed: None,
            load: None,
            fault: None,
            detail: String::new(),
            region: 0,
            heard: Duration::ZERO,
            good_for,
            due: None,
        }
    }

    pub(super) fn take(&mut self, report: Report, now: Duration) {
        if let Some(rtt) = report.rtt {
            self.rtt = Some(rtt);
            self.smoothed = Some(match self.smoothed {
                Some(old) => old * (SMOOTHING - 1) / SMOOTHING + rtt / SMOOTHING,
                None => rtt,
            });
        }
        // What does not answer is as busy as it was: a failure says nothing about it.
        self.load = report.load.or(self.load);
        self.fault = match report.outcome {
            Outcome::Failure(fault) => Some(fault),
            Outcome::Success | Outcome::Degraded | Outcome::Draining => None,
        };
        self.detail = report.detail;
        self.heard = now;
        self.good_for = report.good_for;
    }

    pub(super) fn expire(&mut self, waited: Duration, now: SystemTime) {
        self.machine = Machine::new(now);
        (self.rtt, self.smoothed, self.load, self.fault) = (None, None, None, None);
        let waited = humantime::format_duration(waited);
        self.detail = format!("nobody has reported on it for {waited}");
    }

    pub(super) fn verdict(&self, slow_start: Duration, uptime: Duration) -> Verdict {
        let load = self.load.unwrap_or_default();
        Verdict {
            state: self.state,
            suspected: self.is_held || self.machine.is_suspected(),
            damped: self.machine.is_damped(),
            warm: self.machine.warm(slow_start, uptime),
            told: self.load.is_some(),
            in_flight: load.in_flight,
            load: load.cpu,
            rtt: self
                .smoothed
                .map_or(0, |rtt| u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX).max(1)),
            rate: load.rate,
            capacity: load.capacity,
        }
    }
}

/// A verdict as it is kept on disk, so that a restarted node goes on where it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// What is checked, in words: `host:port` for a ping.
    pub address: String,
    /// The region expected there.
    pub region: String,
    /// The verdict.
    pub state: State,
    /// When it began, in milliseconds since 1970.
    pub since_unix_ms: u64,
}

impl Saved {
    /// Of a target whose state began at `since`.
    pub fn of(target: &Target, state: State, since: SystemTime) -> Self {
        Self {
            address: target.check.to_string(),
            region: target.region.clone(),
            state,
            since_unix_ms: unix_ms(since),
        }
    }

    pub(super) fn machine(&self, now: SystemTime) -> Machine {
        let since = Duration::from_millis(self.since_unix_ms);
        let since = SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH);
        // A stamp from the future (the clock was set back) counts from now.
        Machine::restored(self.state, since.min(now))
    }
}

/// Milliseconds since 1970; 0 for a clock before that.
pub fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
