//! How a command ends: an exit code for scripts, and at most one line on stderr for people.

use std::fmt;
use std::process::ExitCode;

use daemon::terminal::acts;

/// What the exit code says. The same number means the same in every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It worked, and all is well.
    Ok,
    /// It was understood, but did not succeed: no answer, an alarm, a refusal.
    Failed,
    /// `geoip status`: at least one name server could not be asked.
    Unreachable,
    /// `geoip import`: it was imported, and some answers can be others than before.
    Differs,
    /// `geoip dev up`: a second signal ended it at once; 128 and the signal's number.
    Signalled(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Unreachable => 3,
            Exit::Differs => 4,
            Exit::Signalled(status) => status,
        })
    }
}

/// Exit code of a usage error, the one clap uses too.
const USAGE: u8 = 2;

/// The caller's mistake: what was asked for cannot be, whatever the network says.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Shorthand for `Err(Usage(..))` as the error of a command.
pub(crate) fn usage<T>(message: impl Into<String>) -> anyhow::Result<T> {
    Err(Usage(message.into()).into())
}

/// Where it is read that nothing listens. Causes are text when they get here: those of several
/// addresses are one line.
const NOTHING_LISTENS: &str = "connection refused";

/// Prints the error's chain as exactly one line and chooses the exit code. `dev`: the command
/// worked in the context of `geoip dev up`.
pub(crate) fn report(error: &anyhow::Error, dev: bool) -> ExitCode {
    eprintln!("geoip: {}", line(error, dev));
    match error.downcast_ref::<Usage>() {
        Some(_) => ExitCode::from(USAGE),
        None => Exit::Failed.into(),
    }
}

fn line(error: &anyhow::Error, dev: bool) -> String {
    let line = one_line(&format!("{error:#}"));
    match dev && line.contains(NOTHING_LISTENS) {
        true => format!("{line}; is `geoip dev up` running?"),
        false => line,
    }
}

/// Text of unknown origin as one line that is safe on a terminal: characters that act there, which
/// may come from a server's message, become spaces, and runs of white space one space.
pub(crate) fn one_line(text: &str) -> String {
    printable(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same with white space as it was, for text whose indentation says something.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if acts(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_development_system_may_not_be_running() {
        let refused = anyhow::anyhow!("connection refused: nothing listens there");
        let refused = refused.context("127.0.0.21:7443");
        let told = "127.0.0.21:7443: connection refused: nothing listens there";
        assert_eq!(line(&refused, false), told);
        assert_eq!(line(&refused, true), format!("{told}; is `geoip dev up` running?"));
        assert_eq!(line(&anyhow::anyhow!("timed out"), true), "timed out");
    }

    #[test]
    fn one_line_defuses_control_characters() {
        assert_eq!(one_line("a\n\tb\x1b[31m  c"), "a b [31m c");
        assert_eq!(one_line("a\u{202e}b\u{2069}"), "a b");
    }
}
