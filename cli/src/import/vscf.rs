//! vscf, the language of gdnsd's configuration (gdnsd.config(5), "LOW-LEVEL SYNTAX"): tables, arrays
//! and texts, nested.
//!
//! ```text
//!  table  = { key => value, key = value  $include{more} }     commas optional
//!  array  = [ value, value ]
//!  text   = plain | "quoted"                                  \" and \\ and \097 in both
//!  # and ; begin comments
//! ```
//!
//! The top of a file is a table without braces, or an array. `$include{path}` stands for a value, or
//! in a table for its keys.

mod include;
mod scan;
#[cfg(test)]
mod tests;

use std::path::Path;

use super::Failure;
use super::files::{At, Files};

/// Values within values: far more than configurations have, far less than the stack holds.
pub(crate) const MAX_DEPTH: usize = 64;
/// Files included in files.
pub(crate) const MAX_INCLUDE_DEPTH: usize = 16;
/// Values of one configuration with everything it includes.
pub(crate) const MAX_VALUES: usize = 4_000_000;

/// A value, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Value {
    pub(crate) at: At,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Text(String),
    Array(Vec<Value>),
    Table(Table),
}

/// Keys and values in the order written; no key is there twice.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) at: At,
    pub(crate) value: Value,
}

impl Table {
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// A table under this key.
    ///
    /// # Errors
    /// When something else is there.
    pub(crate) fn table(&self, key: &str, files: &Files) -> Result<Option<&Self>, Failure> {
        self.get(key).map(|value| value.table(files)).transpose()
    }

    /// A text under this key.
    ///
    /// # Errors
    /// When something else is there.
    pub(crate) fn text(&self, key: &str, files: &Files) -> Result<Option<&str>, Failure> {
        self.get(key).map(|value| value.text(files)).transpose()
    }

    /// `true` or `false` under this key, in any case.
    ///
    /// # Errors
    /// When something else is there.
    pub(crate) fn flag(&self, key: &str, files: &Files) -> Result<Option<bool>, Failure> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.text(files)?.to_ascii_lowercase().as_str() {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => Err(files.problem(value.at, "true or false is expected here", None)),
        }
    }

    /// A number under this key.
    ///
    /// # Errors
    /// When something else is there.
    pub(crate) fn number<T: std::str::FromStr>(
        &self,
        key: &str,
        files: &Files,
    ) -> Result<Option<T>, Failure> {
        self.get(key).map(|value| value.number(files)).transpose()
    }
}

impl Value {
    /// # Errors
    /// When it is no table.
    pub(crate) fn table(&self, files: &Files) -> Result<&Table, Failure> {
        match &self.kind {
            Kind::Table(table) => Ok(table),
            _ => Err(self.not("a table { … }", files)),
        }
    }

    /// # Errors
    /// When it is no text.
    pub(crate) fn text(&self, files: &Files) -> Result<&str, Failure> {
        match &self.kind {
            Kind::Text(text) => Ok(text),
            _ => Err(self.not("a single value", files)),
        }
    }

    /// # Errors
    /// When it is no number of this type.
    pub(crate) fn number<T: std::str::FromStr>(&self, files: &Files) -> Result<T, Failure> {
        self.text(files)?.parse().map_err(|_| self.not("a number", files))
    }

    /// The values of an array; another value is an array of one, as gdnsd has it.
    pub(crate) fn list(&self) -> &[Self] {
        match &self.kind {
            Kind::Array(values) => values,
            _ => std::slice::from_ref(self),
        }
    }

    /// The texts of an array.
    ///
    /// # Errors
    /// When something else is in it.
    pub(crate) fn texts(&self, files: &Files) -> Result<Vec<String>, Failure> {
        self.list().iter().map(|value| value.text(files).map(str::to_owned)).collect()
    }

    fn not(&self, expected: &str, files: &Files) -> Failure {
        let found = match &self.kind {
            Kind::Text(_) => "a single value",
            Kind::Array(_) => "an array",
            Kind::Table(_) => "a table",
        };
        files.problem(self.at, format!("{expected} is expected here, not {found}"), None)
    }
}

/// Reads a file, with everything it includes.
///
/// # Errors
/// Files that cannot be read, and the first mistake in one of them.
pub(crate) fn read(path: &Path, files: &mut Files) -> Result<Value, Failure> {
    let file = files.read(path)?;
    parse(file, files)
}

/// Reads a file that is open already.
///
/// # Errors
/// As [`read`].
pub(crate) fn parse(file: u16, files: &mut Files) -> Result<Value, Failure> {
    scan::Budget::default().file(file, files, 0)
}
