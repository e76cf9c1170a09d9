//! What was found out about a file, for people and for programs. Pure.

use std::fmt::Write as _;

use daemon::config::{ConfigError, Position, Problem};
use daemon::terminal::visible;
use dns::zone::{MAX_ERRORS, MAX_LINTS};
use serde::Serialize;

use super::{Checked, Summary, Verdict};

/// Each mistake with its line and a caret, and one line of verdict last, where the eye ends.
pub(super) fn text(checked: &Checked) -> String {
    let file = visible(&checked.file);
    let zone = checked.zone.as_ref().map(|zone| format!("zone {zone}")).unwrap_or_default();
    match &checked.verdict {
        Verdict::Unread(why) => format!("{file}: {}\n", visible(why)),
        Verdict::Refused(problems) => {
            let errors = count(problems.len(), "error");
            let more = if problems.len() < MAX_ERRORS { "" } else { ", and there may be more" };
            format!("{}{file}: {zone} is refused: {errors}{more}\n", shown(problems.clone()))
        }
        Verdict::Good { summary, warnings } => {
            let Summary { records, names, delegations, serial } = summary;
            let marked = warnings.iter().cloned().map(|warning| warning.called("warning: "));
            let mut out = shown(marked.collect());
            let _ = write!(
                out,
                "{file}: {zone} is good: {}, {}, {}, serial {serial}",
                count(*records, "record"),
                count(*names, "name"),
                count(*delegations, "delegation"),
            );
            if !warnings.is_empty() {
                let more = if warnings.len() < MAX_LINTS { "" } else { ", and there may be more" };
                let _ = write!(out, "; {}{more}", count(warnings.len(), "warning"));
            }
            out + "\n"
        }
    }
}

fn shown(problems: Vec<Problem>) -> String {
    ConfigError { errors: problems }.report()
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// A file for programs.
#[derive(Debug, Serialize)]
pub(super) struct Object {
    file: String,
    zone: Option<String>,
    ok: bool,
    #[serde(flatten)]
    summary: Option<SummaryObject>,
    errors: Vec<Told>,
    warnings: Vec<Told>,
}

#[derive(Debug, Serialize)]
struct SummaryObject {
    records: usize,
    names: usize,
    delegations: usize,
    serial: u32,
}

/// One mistake; without a place when it is of the whole file.
#[derive(Debug, Serialize)]
struct Told {
    file: String,
    line: Option<usize>,
    column: Option<usize>,
    message: String,
    help: Option<String>,
}

pub(super) fn object(checked: &Checked) -> Object {
    let mut object = Object {
        file: checked.file.clone(),
        zone: checked.zone.as_ref().map(ToString::to_string),
        ok: checked.is_good(),
        summary: None,
        errors: Vec::new(),
        warnings: Vec::new(),
    };
    match &checked.verdict {
        Verdict::Unread(why) => object.errors.push(Told {
            file: checked.file.clone(),
            line: None,
            column: None,
            message: why.clone(),
            help: None,
        }),
        Verdict::Refused(problems) => object.errors = problems.iter().map(told).collect(),
        Verdict::Good { summary, warnings } => {
            let Summary { records, names, delegations, serial } = *summary;
            object.summary = Some(SummaryObject { records, names, delegations, serial });
            object.warnings = warnings.iter().map(told).collect();
        }
    }
    object
}

fn told(problem: &Problem) -> Told {
    let place = problem.position();
    Told {
        file: problem.file().to_owned(),
        line: place.map(|Position { line, .. }| line),
        column: place.map(|Position { column, .. }| column),
        message: problem.message().to_owned(),
        help: problem.help_text().map(str::to_owned),
    }
}
