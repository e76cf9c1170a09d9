//! What an import could not carry over, or carried over differently.

use std::collections::BTreeSet;

use serde::Serialize;

/// Findings that are kept: a generated configuration repeats its mistakes, and nobody reads more.
const MAX_FINDINGS: usize = 10_000;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// It is not in the result: some answers are missing or others.
    LeftOut,
    /// It is in the result, and some answers can be others.
    Changed,
    /// Answers are the same; something is for you to fill in or to know.
    Note,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::LeftOut => "left out",
            Self::Changed => "changed",
            Self::Note => "note",
        }
    }
}

/// One thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    /// `file:line:column`, or the name and type of a record.
    pub(crate) at: String,
    /// What it is about.
    pub(crate) what: String,
    pub(crate) why: String,
    /// What to do instead.
    #[serde(rename = "do")]
    pub(crate) instead: String,
}

/// All of them, in the order found, each once.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
    seen: BTreeSet<Finding>,
    /// How many more there were than are kept.
    pub(crate) dropped: usize,
}

impl Findings {
    pub(crate) fn left_out(&mut self, at: impl Into<String>, what: &str, why: &str, instead: &str) {
        self.add(Kind::LeftOut, at.into(), what, why, instead);
    }

    pub(crate) fn changed(&mut self, at: impl Into<String>, what: &str, why: &str, instead: &str) {
        self.add(Kind::Changed, at.into(), what, why, instead);
    }

    pub(crate) fn note(&mut self, at: impl Into<String>, what: &str, why: &str, instead: &str) {
        self.add(Kind::Note, at.into(), what, why, instead);
    }

    /// In the order found.
    pub(crate) fn list(&self) -> &[Finding] {
        &self.list
    }

    /// Whether every answer is the same as before.
    pub(crate) fn is_faithful(&self) -> bool {
        self.list.iter().all(|finding| finding.kind == Kind::Note)
    }

    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.list.iter().filter(|finding| finding.kind == kind).count()
    }

    fn add(&mut self, kind: Kind, at: String, what: &str, why: &str, instead: &str) {
        let [what, why, instead] = [what, why, instead].map(str::to_owned);
        let finding = Finding { kind, at, what, why, instead };
        if self.seen.contains(&finding) {
            return;
        }
        // What matters most is told even when there is too much of it.
        if self.list.len() >= MAX_FINDINGS {
            self.dropped += 1;
            return;
        }
        self.seen.insert(finding.clone());
        self.list.push(finding);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_and_there_is_an_end() {
        let mut findings = Findings::default();
        for _ in 0..2 {
            findings.note("config:1:1", "x", "y", "z");
        }
        assert_eq!(findings.list().len(), 1);
        assert!(findings.is_faithful());
        for at in 0..MAX_FINDINGS + 5 {
            findings.changed(at.to_string(), "x", "y", "z");
        }
        assert_eq!((findings.list().len(), findings.dropped), (MAX_FINDINGS, 6));
        assert!(!findings.is_faithful());
    }
}
