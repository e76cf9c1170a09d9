//! The two output formats, and the one table layout.

use std::io::{self, Write};

use comfy_table::{Table, presets};
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
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// One line of NDJSON.
pub(crate) fn line(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string(value)? + "\n")
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
    fn indentation_moves_every_line() {
        assert_eq!(indent("a\nb\n", 2), "  a\n  b\n");
    }
}
