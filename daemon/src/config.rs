//! One configuration per program: a TOML file, variables and flags over it, and errors that
//! point at the place.
//!
//! Precedence: flags, then `GEOPING__SECTION__KEY`, then the file, then serde's defaults.
//! Unknown keys are errors (put `#[serde(deny_unknown_fields)]` on every raw struct).
//!
//! ```
//! use daemon::config::{self, ConfigError, Loaded, Node, Spanned};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Raw {
//!     node: Node,
//!     ttl: Spanned<u32>,
//!     #[serde(default = "ten_seconds", with = "config::duration")]
//!     timeout: std::time::Duration,
//! }
//! fn ten_seconds() -> std::time::Duration { std::time::Duration::from_secs(10) }
//!
//! let text = "ttl = 0\n[node]\nname = 'ns1'\nregion = 'us-central1'\n";
//! let env = [("GEOPING__NODE__NAME".to_owned(), "ns2".to_owned())];
//! let Loaded { value, source } = config::parse::<Raw>("dnsrouter.toml", text, env, &[])?;
//! assert_eq!(value.node.name.get_ref(), "ns2");
//!
//! // What only the program knows to be wrong points at the same file:
//! let mut problems = Vec::new();
//! if *value.ttl.get_ref() == 0 {
//!     problems.push(source.error(value.ttl.span(), "a TTL of 0 is never cached", Some("try 60")));
//! }
//! let error = ConfigError::check(problems).unwrap_err();
//! assert!(error.report().starts_with("dnsrouter.toml:1:7: a TTL of 0 is never cached\n"));
//! # Ok::<(), ConfigError>(())
//! ```
//!
//! In `main`: `config::load(&file, config::environment(), &flags)`, and on an error
//! `return config::exit_invalid(&error)`.

mod overrides;
mod sections;
mod source;

pub mod duration;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use serde::de::DeserializeOwned;
pub use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

pub use sections::{Log, LogFormat, Node, Renew, Tls};
pub use source::{ConfigError, Position, Problem, Source};

use overrides::Override;

use crate::files;

/// The exit status of a program whose configuration is wrong (`EX_USAGE` of sysexits.h).
pub const EXIT_CONFIG: u8 = 64;

/// The largest configuration file read, in bytes. A service takes about 300 bytes, so this is
/// some fifty thousand of them; a generator that runs wild is stopped here, not by memory.
pub const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Variables with this prefix override the file.
pub const ENV_PREFIX: &str = "GEOPING__";

/// Problems of one file reported at once; the rest is likely to follow from the first.
const MAX_PROBLEMS: usize = 16;

/// A configuration and where it came from.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// What was read.
    pub value: T,
    /// The text that spans inside `value` point into.
    pub source: Source,
}

/// Reads `file`, lays `env` and `flags` (dotted key and value) over it.
///
/// A value from a variable or a flag is read as TOML when it parses as such, else as a string:
/// `GEOPING__LISTEN__DNS='["127.0.0.1:53"]'`, `GEOPING__NODE__NAME=ns1`.
///
/// # Errors
///
/// [`ConfigError`] with every problem found, each pointing at its file, variable or flag.
pub fn load<T: DeserializeOwned>(
    file: &Path,
    env: impl IntoIterator<Item = (String, String)>,
    flags: &[(String, String)],
) -> Result<Loaded<T>, ConfigError> {
    let name = file.display().to_string();
    match files::read(file, MAX_FILE) {
        Ok(content) => match String::from_utf8(content.octets) {
            Ok(text) => parse(&name, &text, env, flags),
            Err(error) => Err(source::not_utf8(&name, &error).into()),
        },
        Err(why) => Err(source::unreadable(&name, &why.to_string()).into()),
    }
}

/// As [`load`], from text that is named `name` in errors.
///
/// # Errors
///
/// As [`load`].
pub fn parse<T: DeserializeOwned>(
    name: &str,
    text: &str,
    env: impl IntoIterator<Item = (String, String)>,
    flags: &[(String, String)],
) -> Result<Loaded<T>, ConfigError> {
    let mut source = Source::file(name, text);
    let mut overrides: Vec<Override> =
        env.into_iter().filter_map(|(name, value)| Override::of_variable(&name, &value)).collect();
    overrides.sort(); // the environment has no order; errors should
    overrides.extend(flags.iter().map(|(key, value)| Override::of_flag(key, value)));
    for one in &mut overrides {
        one.place_in(&mut source);
    }

    let (_, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let problems = errors.iter().take(MAX_PROBLEMS).map(|e| source.problem_of(e));
        return Err(ConfigError { errors: problems.collect() });
    }

    // serde stops at the first error. An unknown key can be taken out and the rest looked at
    // again, so that all of them are reported at once.
    let mut problems: Vec<Problem> = Vec::new();
    let mut unknown = Vec::new();
    loop {
        let mut table = DeTable::parse(text).map_err(|e| source.problem_of(&e))?;
        for one in &overrides {
            one.apply(&mut table, &source)?;
        }
        for span in &unknown {
            remove_key(table.get_mut(), span);
        }
        match T::deserialize(Deserializer::from(table)) {
            Ok(value) if problems.is_empty() => return Ok(Loaded { value, source }),
            Ok(_) => return Err(ConfigError { errors: problems }),
            Err(error) => {
                problems.push(source.problem_of(&error));
                let span = error.span().filter(|_| source::is_unknown_key(error.message()));
                match span {
                    Some(span) if problems.len() < MAX_PROBLEMS && !unknown.contains(&span) => {
                        unknown.push(span);
                    }
                    _ => return Err(ConfigError { errors: problems }),
                }
            }
        }
    }
}

/// The process's variables that can be overrides; others (also those that are no UTF-8, which
/// would make `std::env::vars` panic) are left out.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value): (OsString, OsString)| {
        let name = name.into_string().ok().filter(|name| overrides::is_variable(name))?;
        Some((name, value.to_string_lossy().into_owned()))
    })
}

/// Prints the problems to stderr, each as `file:line:column: message` and the line with a caret,
/// and gives the status to end with.
pub fn exit_invalid(error: &ConfigError) -> ExitCode {
    eprint!("{}", error.report());
    ExitCode::from(EXIT_CONFIG)
}

/// Takes out the key that stands at `span`, wherever it is.
fn remove_key(table: &mut DeTable<'_>, span: &std::ops::Range<usize>) {
    let unknown = table.keys().find(|key| key.span() == *span).map(|key| key.get_ref().to_string());
    if let Some(unknown) = unknown {
        table.remove(unknown.as_str());
    }
    for (_, value) in table.iter_mut() {
        remove_key_below(value.get_mut(), span);
    }
}

fn remove_key_below(value: &mut DeValue<'_>, span: &std::ops::Range<usize>) {
    match value {
        DeValue::Table(table) => remove_key(table, span),
        DeValue::Array(items) => {
            for item in items.iter_mut() {
                remove_key_below(item.get_mut(), span);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
