//! Targets as rows of metrics in Prometheus' text form: a target that went has none, and one that
//! nobody has seen is neither up nor not up.

use std::fmt::Write;

use crate::health::State;
use crate::target::Target;

use super::entry::Entry;

/// What is told of a target: labels beside its own, and a value.
type Row = Option<(String, f64)>;

/// Name, help, and what there is to tell.
type Gauge = (&'static str, &'static str, fn(&Entry) -> Row);

const GAUGES: [Gauge; 6] = [
    ("dnsrouter_target_state", "1 at the state a target is in", |entry| {
        Some((format!(",state=\"{}\"", entry.state.word()), 1.0))
    }),
    ("dnsrouter_target_up", "Whether a target is answered with; absent while unknown", |entry| {
        let up = f64::from(u8::from(entry.state.is_usable()));
        (entry.state != State::Unknown).then(|| (String::new(), up))
    }),
    ("dnsrouter_target_rtt_seconds", "Round trip of the last check answered", |entry| {
        entry.rtt.map(|rtt| (String::new(), rtt.as_secs_f64()))
    }),
    ("dnsrouter_target_fault", "1 at what was wrong with the last check", |entry| {
        entry.fault.map(|fault| (format!(",fault=\"{}\"", fault.word()), 1.0))
    }),
    ("dnsrouter_target_damped", "1 while a target flapped too much to be believed", |entry| {
        entry.machine.is_damped().then(|| (String::new(), 1.0))
    }),
    ("dnsrouter_target_held_back", "1 while a target's removal waits for others'", |entry| {
        entry.is_held.then(|| (String::new(), 1.0))
    }),
];

/// Rows of some targets, gauge by gauge; more can be added.
#[derive(Debug, Default)]
pub struct Rows([String; GAUGES.len()]);

impl Rows {
    /// Adds one target's.
    pub(super) fn add(&mut self, target: &Target, entry: &Entry) {
        let (name, region) = (escape(&target.check.to_string()), escape(&target.region));
        for ((gauge, _, row), text) in GAUGES.iter().zip(&mut self.0) {
            let Some((more, value)) = row(entry) else { continue };
            // Writing to a String cannot fail.
            let _ =
                writeln!(text, "{gauge}{{target=\"{name}\",region=\"{region}\"{more}}} {value}");
        }
    }

    /// All of it, each gauge with its help.
    pub fn text(&self) -> String {
        let parts = GAUGES.iter().zip(&self.0).map(|((name, help, _), rows)| {
            format!("# HELP {name} {help}\n# TYPE {name} gauge\n{rows}")
        });
        parts.collect()
    }
}

/// A label's value as it stands between quotes.
pub(crate) fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
