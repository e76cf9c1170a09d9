//! What this node knows of every target: one health machine each, and the last ping's details.
//!
//! Pure: the prober shell feeds outcomes in, and takes transitions, verdicts, a form for the disk
//! and one for metrics out.
//!
//! A verdict is good for as long as its last report says. When the next one does not come, not
//! even that of a failure, nobody looks any more, and the target becomes unknown: an old verdict
//! must not pass for a present one. Time without reports is counted in steps by whoever owns the
//! monitor, so that a clock that leaps, or a process that was halted, ages nothing.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::health::{Machine, Outcome, State, Thresholds, Transition};
use crate::service::Target;
use crate::verdicts::Health;

/// How long the verdicts of the last run, and of nobody yet, wait for a first report. It comes
/// within the first ping's time-out, whatever the interval.
const FIRST_REPORT: Duration = Duration::from_secs(300);

/// One ping, as the prober saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What it means for the state.
    pub outcome: Outcome,
    /// From the request's first byte to the reply, when there was one.
    pub rtt: Option<Duration>,
    /// Why it was not a success, in words; empty for a success.
    pub detail: String,
    /// Without another report within this, nobody looks any more.
    pub good_for: Duration,
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
    /// Time since the last report.
    unheard: Duration,
    /// How much of it the verdict outlasts.
    good_for: Duration,
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

impl Saved {
    /// Of a target whose state began at `since`.
    pub fn of(target: &Target, state: State, since: SystemTime) -> Self {
        Self {
            address: target.ping.to_string(),
            region: target.region.clone(),
            state,
            since_unix_ms: unix_ms(since),
        }
    }
}

impl Monitor {
    /// Follows a new plan: keeps what is known of targets that stay, forgets those that went.
    /// A target that is new here begins with what `saved` says of it, else unknown.
    pub fn retarget(&mut self, targets: &[Target], saved: &[Saved], now: SystemTime) {
        let saved: HashMap<_, _> =
            saved.iter().map(|s| ((s.address.as_str(), s.region.as_str()), s)).collect();
        let mut old = std::mem::take(&mut self.entries);
        for target in targets {
            let entry = old.remove(target).unwrap_or_else(|| {
                let address = target.ping.to_string();
                let known = saved.get(&(address.as_str(), target.region.as_str()));
                Entry {
                    machine: known.map_or_else(
                        || Machine::new(now),
                        // A stamp from the future (the clock was set back) counts from now.
                        |s| Machine::restored(s.state, from_unix_ms(s.since_unix_ms).min(now)),
                    ),
                    rtt: None,
                    detail: String::new(),
                    unheard: Duration::ZERO,
                    good_for: FIRST_REPORT,
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
        entry.unheard = Duration::ZERO;
        entry.good_for = report.good_for;
        entry.machine.observe(report.outcome, thresholds, now)
    }

    /// Lets time pass without reports; returns the targets that became unknown by it.
    pub fn age(&mut self, by: Duration, now: SystemTime) -> Vec<Target> {
        let mut expired = Vec::new();
        for (target, entry) in &mut self.entries {
            entry.unheard = entry.unheard.saturating_add(by);
            if entry.unheard >= entry.good_for && entry.machine.state() != State::Unknown {
                entry.machine = Machine::new(now);
                entry.rtt = None;
                let waited = humantime::format_duration(entry.unheard);
                entry.detail = format!("nobody has reported on it for {waited}");
                expired.push(target.clone());
            }
        }
        expired
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

    /// What is known now, in Prometheus' text form: a target that went has no rows, and one that
    /// nobody has seen is neither up nor not up.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let mut gauge = |name: &str, help: &str, row: fn(&Entry) -> Option<(String, f64)>| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
            for (target, entry) in &self.entries {
                let Some((more, value)) = row(entry) else { continue };
                let (ping, region) = (target.ping.to_string(), escape(&target.region));
                let ping = escape(&ping);
                let _ =
                    writeln!(text, "{name}{{target=\"{ping}\",region=\"{region}\"{more}}} {value}");
            }
        };
        gauge("dnsrouter_target_state", "1 at the state a target is in", |entry| {
            Some((format!(",state=\"{}\"", entry.machine.state().word()), 1.0))
        });
        gauge("dnsrouter_target_up", "Whether a target is up; absent while unknown", |entry| {
            let state = entry.machine.state();
            let up = f64::from(u8::from(state == State::Up));
            (state != State::Unknown).then(|| (String::new(), up))
        });
        gauge("dnsrouter_target_rtt_seconds", "Round trip of the last ping replied to", |entry| {
            entry.rtt.map(|rtt| (String::new(), rtt.as_secs_f64()))
        });
        text
    }

    /// The form that goes to disk. What is unknown is not worth keeping.
    pub fn saved(&self) -> Vec<Saved> {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.machine.state() != State::Unknown)
            .map(|(target, entry)| Saved::of(target, entry.machine.state(), entry.machine.since()))
            .collect()
    }
}

/// A label's value as it stands between quotes.
pub(crate) fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
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
    const GOOD_FOR: Duration = Duration::from_secs(60);

    fn target(host: &str) -> Target {
        Target { ping: Ping { host: host.into(), port: 443 }, region: "r".into() }
    }

    fn report(outcome: Outcome, rtt: Option<Duration>) -> Report {
        Report { outcome, rtt, detail: "refused".into(), good_for: GOOD_FOR }
    }

    fn failure() -> Report {
        report(Outcome::Failure, None)
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

    #[test]
    fn a_verdict_that_nobody_renews_becomes_unknown() {
        let (heard, unheard, never) = (target("heard"), target("unheard"), target("never"));
        let targets = [heard.clone(), unheard.clone(), never];
        let mut monitor = Monitor::default();
        monitor.retarget(&targets, &[], NOW);
        let second = Duration::from_secs(1);
        monitor.observe(&unheard, failure(), T, NOW);
        let mut passed = Duration::ZERO;
        while passed < GOOD_FOR - second {
            monitor.observe(&heard, failure(), T, NOW);
            assert_eq!(monitor.age(second, NOW), [], "after {passed:?}");
            passed += second;
        }
        assert_eq!(monitor.age(second, NOW + GOOD_FOR), std::slice::from_ref(&unheard));
        assert_eq!(
            monitor.health(&targets),
            Health::new([State::Down, State::Unknown, State::Unknown])
        );
        assert_eq!(monitor.age(second, NOW), [], "it is told once");
        assert!(monitor.observe(&unheard, failure(), T, NOW).is_some(), "and believed again");
    }

    #[test]
    fn the_verdicts_of_the_last_run_expire_too() {
        let a = target("a");
        let address = a.ping.to_string();
        let saved = Saved { address, region: "r".into(), state: State::Down, since_unix_ms: 0 };
        let mut monitor = Monitor::default();
        monitor.retarget(std::slice::from_ref(&a), &[saved], NOW);
        assert_eq!(monitor.age(FIRST_REPORT - Duration::from_secs(1), NOW), []);
        assert_eq!(monitor.age(Duration::from_secs(1), NOW), [a]);
    }

    #[test]
    fn metrics_have_the_rows_of_present_targets_only() {
        let (up, down, unknown) = (target("up"), target("down"), target("unknown"));
        let mut monitor = Monitor::default();
        monitor.retarget(&[up.clone(), down.clone(), unknown.clone()], &[], NOW);
        monitor.observe(&up, report(Outcome::Success, Some(Duration::from_millis(12))), T, NOW);
        monitor.observe(&down, failure(), T, NOW);
        let rows = |monitor: &Monitor| {
            let text = monitor.render();
            let rows = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned);
            rows.collect::<Vec<_>>()
        };
        assert_eq!(
            rows(&monitor),
            [
                r#"dnsrouter_target_state{target="down:443",region="r",state="down"} 1"#,
                r#"dnsrouter_target_state{target="unknown:443",region="r",state="unknown"} 1"#,
                r#"dnsrouter_target_state{target="up:443",region="r",state="up"} 1"#,
                r#"dnsrouter_target_up{target="down:443",region="r"} 0"#,
                r#"dnsrouter_target_up{target="up:443",region="r"} 1"#,
                r#"dnsrouter_target_rtt_seconds{target="up:443",region="r"} 0.012"#,
            ]
        );
        monitor.retarget(&[unknown], &[], NOW);
        let left = r#"dnsrouter_target_state{target="unknown:443",region="r",state="unknown"} 1"#;
        assert_eq!(rows(&monitor), [left]);
    }

    #[test]
    fn labels_cannot_break_out_of_their_quotes() {
        let mut odd = target("a\"b");
        odd.region = "back\\slash\nline".into();
        let mut monitor = Monitor::default();
        monitor.retarget(&[odd], &[], NOW);
        let row = r#"{target="a\"b:443",region="back\\slash\nline",state="unknown"} 1"#;
        assert!(monitor.render().contains(row), "{}", monitor.render());
    }
}
