//! What is wrong, in words: found by the keeper, or raised and ended by somebody.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What the keeper finds wrong by itself. What it is stays while its words (counts) change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    /// A service answers as if everything were up.
    FailOpen(String),
    /// A region has targets down.
    Region(String),
    /// Too many targets seem to fail at once.
    HeldBack,
}

/// Everything that is wrong.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    found: BTreeMap<Found, String>,
    raised: BTreeSet<Cow<'static, str>>,
    /// How many services fail open.
    failing: usize,
}

impl Alarms {
    /// In words.
    pub(super) fn all(&self) -> Vec<String> {
        let raised = self.raised.iter().map(|alarm| alarm.clone().into_owned());
        self.found.values().cloned().chain(raised).collect()
    }

    /// Sets what there is to say of something; nothing: it is well.
    pub(super) fn find(&mut self, what: Found, words: Option<String>) {
        match words {
            Some(words) => match self.found.get_mut(&what) {
                Some(known) => *known = words,
                None => {
                    tracing::error!(alarm = words, "alarm raised");
                    self.failing += usize::from(matches!(what, Found::FailOpen(_)));
                    self.found.insert(what, words);
                }
            },
            None => self.end(&what),
        }
    }

    /// Ends those of a kind that are not among `still`, which a new plan may not have any more.
    pub(super) fn keep(&mut self, still: impl Fn(&Found) -> bool) {
        let gone: Vec<Found> = self.found.keys().filter(|what| !still(what)).cloned().collect();
        gone.iter().for_each(|what| self.end(what));
    }

    pub(super) fn raise(&mut self, alarm: Cow<'static, str>) {
        self.raised.insert(alarm);
        self.measure();
    }

    pub(super) fn clear(&mut self, alarm: &str) {
        self.raised.remove(alarm);
        self.measure();
    }

    fn end(&mut self, what: &Found) {
        if let Some(words) = self.found.remove(what) {
            self.failing -= usize::from(matches!(what, Found::FailOpen(_)));
            tracing::info!(alarm = words, "alarm ended");
        }
    }

    /// Counts them, once what there is to find was found.
    pub(super) fn measure(&self) {
        let count = self.found.len() + self.raised.len();
        metrics::gauge!("dnsrouter_alarms").set(count as f64);
        metrics::gauge!("dnsrouter_services_fail_open").set(self.failing as f64);
    }
}
