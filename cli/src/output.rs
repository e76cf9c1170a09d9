//! The two output formats, and the one table layout.

use std::fmt::Write as _;
use std::io::{self, Write};

use comfy_table::{Table, presets};
use daemon::terminal::acts;
use serde::Serialize;

/// What `--output` chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Pretty-printed JSON with two spaces of indentation, and a final newline.
pub(crate) fn pretty(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(inert(serde_json::to_string_pretty(value)?) + "\n")
}

/// One line of NDJSON.
pub(crate) fn line(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(inert(serde_json::to_string(value)?) + "\n")
}

/// The same JSON, written so that a terminal does nothing at it: a string may have come from a
/// stranger's file, and JSON itself demands escapes below U+0020 only (RFC 8259 §7).
fn inert(json: String) -> String {
    // What stands below is white space between values, or escaped already.
    let acts = |c: char| c > ' ' && acts(c);
    if !json.contains(acts) {
        return json;
    }
    let mut text = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if acts(c) {
            // All that act are in the basic plane: one unit each.
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

/// Writes to stdout at once. A reader that went away (`geoip … | head`) is no error: there is
/// nobody left to tell.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => Ok(other?),
    }
}

/// Rows under a header, without borders: easy on the eye, and `awk` can read it.
pub(crate) fn table<R, C>(header: &[&str], rows: R) -> String
where
    R: IntoIterator<Item = C>,
    C: IntoIterator<Item = String>,
{
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    let mut text = String::new();
    for line in table.to_string().lines() {
        text.push_str(line.strip_prefix(' ').unwrap_or(line).trim_end());
        text.push('\n');
    }
    text
}

/// The same with every line moved right.
pub(crate) fn indent(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{:by$}{line}\n", "")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_aligned_columns_and_no_trailing_space() {
        let rows = [["geoping", "127.0.0.11:8443"], ["dnsrouter", ""]];
        let text = table(&["PROGRAM", "ADDRESS"], rows.map(|row| row.map(str::to_owned)));
        assert_eq!(
            text,
            "PROGRAM    ADDRESS\n\
             geoping    127.0.0.11:8443\n\
             dnsrouter\n"
        );
    }

    #[test]
    fn json_does_nothing_to_a_terminal_and_means_the_same() {
        let value = "a\x1b]0;x\x07\u{9b}31m\u{202e}b\u{7f}\u{2028}\u{fc}\u{5d0}\n\"\\";
        for json in [pretty(&[value]).unwrap(), line(&[value]).unwrap()] {
            let text = json.replace("\n", "");
            assert!(!text.contains(acts), "{text:?}");
            assert!(text.contains("\\u009b31m\\u202eb\\u007f\\u2028\u{fc}\u{5d0}\\n"), "{text}");
            assert_eq!(serde_json::from_str::<[String; 1]>(&json).unwrap(), [value]);
        }
    }

    #[test]
    fn indentation_moves_every_line() {
        assert_eq!(indent("a\nb\n", 2), "  a\n  b\n");
    }
}
