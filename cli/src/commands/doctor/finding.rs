//! What the doctor says. Pure.

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// It works, and should be better; or it could not be looked at.
    Warn,
    /// Somebody is not served, or will not be.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at: one word, the same in every run.
    pub(super) check: &'static str,
    pub(super) level: Level,
    /// What was seen, and of whom.
    pub(super) says: String,
    /// What to do about it; none when all is well.
    #[serde(rename = "do")]
    pub(super) todo: Option<String>,
}

/// What was found out about one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Section {
    /// Which: a zone's name.
    pub(super) about: String,
    pub(super) findings: Vec<Finding>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, says: says.into(), todo: None }
    }

    pub(super) fn warn(
        check: &'static str,
        says: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self { check, level: Level::Warn, says: says.into(), todo: Some(todo.into()) }
    }

    pub(super) fn fail(
        check: &'static str,
        says: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self { check, level: Level::Fail, says: says.into(), todo: Some(todo.into()) }
    }
}

impl Section {
    pub(super) fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }
}

/// Whether nothing fails; warnings are no failure.
pub(super) fn all_well(sections: &[Section]) -> bool {
    sections.iter().all(|section| section.count(Level::Fail) == 0)
}
