//! The doctor's report, for people and for programs. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use super::finding::{Finding, Level, Section, all_well};
use crate::exit::one_line;

/// A line per finding, what to do below it, and a verdict last, where the eye ends.
pub(super) fn text(section: &Section) -> String {
    let width = section.findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut out = format!("{}\n", section.about);
    for Finding { check, level, says, todo } in &section.findings {
        let level = match level {
            Level::Ok => "ok  ",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        let _ = writeln!(out, "  {level}  {check:width$}  {}", one_line(says));
        if let Some(todo) = todo {
            let _ = writeln!(out, "  {:4}  {:width$}  -> {}", "", "", one_line(todo));
        }
    }
    let _ = writeln!(out, "{}: {}", section.about, verdict(section));
    out
}

fn verdict(section: &Section) -> String {
    let count = |n: usize, what: &str| match n {
        0 => None,
        1 => Some(format!("1 {what}")),
        n => Some(format!("{n} {what}s")),
    };
    let failures = count(section.count(Level::Fail), "failure");
    let warnings = count(section.count(Level::Warn), "warning");
    match (failures, warnings) {
        (None, None) => "all is well".to_owned(),
        (Some(failures), None) => failures,
        (None, Some(warnings)) => format!("it works; {warnings}"),
        (Some(failures), Some(warnings)) => format!("{failures}, {warnings}"),
    }
}

/// Everything, for programs.
#[derive(Debug, Serialize)]
pub(super) struct Object<'a> {
    ok: bool,
    sections: &'a [Section],
}

pub(super) fn object(sections: &[Section]) -> Object<'_> {
    Object { ok: all_well(sections), sections }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output;

    fn section(findings: Vec<Finding>) -> Section {
        Section { about: "example.com.".to_owned(), findings }
    }

    #[test]
    fn what_is_wrong_stands_out_with_what_to_do() {
        let text = text(&section(vec![
            Finding::ok("ns", "the same"),
            Finding::fail("serial", "differs\x1b[31m", "wait"),
            Finding::warn("spread", "one network", "add another"),
        ]));
        assert_eq!(
            text,
            "example.com.\n\
             \x20 ok    ns      the same\n\
             \x20 FAIL  serial  differs [31m\n\
             \x20               -> wait\n\
             \x20 warn  spread  one network\n\
             \x20               -> add another\n\
             example.com.: 1 failure, 1 warning\n"
        );
    }

    #[test]
    fn warnings_are_no_failure() {
        let good = section(vec![Finding::ok("ns", "same")]);
        let warned = section(vec![Finding::warn("spread", "one", "add")]);
        assert!(text(&good).ends_with("example.com.: all is well\n"));
        assert!(text(&warned).ends_with("example.com.: it works; 1 warning\n"));
        assert!(all_well(&[good, warned]));
    }

    #[test]
    fn the_report_as_json() {
        let sections = [section(vec![Finding::fail("ns", "differ", "mend")])];
        assert_eq!(
            output::line(&object(&sections)).unwrap(),
            "{\"ok\":false,\"sections\":[{\"about\":\"example.com.\",\"findings\":[{\"check\":\"ns\",\
             \"level\":\"fail\",\"says\":\"differ\",\"do\":\"mend\"}]}]}\n"
        );
    }
}
