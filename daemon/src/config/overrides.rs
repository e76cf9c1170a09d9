//! Variables and flags laid over the file's tree.
//!
//! Each override is appended to the [`Source`] as a small text of its own (`GEOPING__NODE__NAME=ns1`),
//! and the keys and values it makes carry spans into that text. So whatever is wrong with one,
//! now or in a later check by the program, points at the variable or flag by name.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::source::{Problem, Source};

/// One value from outside the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Override {
    /// What errors call it.
    name: String,
    /// The keys from the root, each with its place in `text`.
    path: Vec<(String, usize)>,
    /// `key=value`, as somebody typed it.
    text: String,
    /// Where the value begins within `text`.
    value: usize,
    /// Where `text` begins within the source.
    start: usize,
}

/// Whether a variable of this name is meant for us.
pub(super) fn is_variable(name: &str) -> bool {
    strip_prefix(name).is_some()
}

fn strip_prefix(name: &str) -> Option<&str> {
    let (prefix, rest) = name.split_at_checked(super::ENV_PREFIX.len())?;
    prefix.eq_ignore_ascii_case(super::ENV_PREFIX).then_some(rest)
}

impl Override {
    /// `GEOPING__SECTION__KEY=value`; `None` for other variables.
    pub(super) fn of_variable(name: &str, value: &str) -> Option<Self> {
        let path = strip_prefix(name)?;
        let keys = segments(path, "__", super::ENV_PREFIX.len());
        let keys = keys.map(|(key, at)| (key.to_ascii_lowercase(), at)).collect();
        Some(Self::new(name.to_owned(), keys, name, value))
    }

    /// `section.key=value` of a command line.
    pub(super) fn of_flag(key: &str, value: &str) -> Self {
        let keys = segments(key, ".", 0).map(|(key, at)| (key.to_owned(), at)).collect();
        Self::new(format!("flag {key}"), keys, key, value)
    }

    fn new(name: String, path: Vec<(String, usize)>, key: &str, value: &str) -> Self {
        Self { name, path, text: format!("{key}={value}"), value: key.len() + 1, start: 0 }
    }

    /// Gives the override a place in `source`.
    pub(super) fn place_in(&mut self, source: &mut Source) {
        self.start = source.append(&self.name, &self.text);
    }

    /// Sets the value in `root`, making the tables on the way.
    pub(super) fn apply<'a>(
        &'a self,
        root: &mut Spanned<DeTable<'a>>,
        source: &Source,
    ) -> Result<(), Problem> {
        let Some(((last, last_at), tables)) = self.path.split_last() else {
            return Err(source.error(self.span(0, self.text.len()), "it names no key", None));
        };
        let mut table = root.get_mut();
        for (key, at) in tables {
            let span = self.span(*at, key.len());
            let made = existing_key(table, key).unwrap_or_else(|| key.clone());
            let entry = table
                .entry(Spanned::new(span.clone(), made.into()))
                .or_insert_with(|| Spanned::new(span.clone(), DeValue::Table(DeTable::new())));
            let DeValue::Table(below) = entry.get_mut() else {
                return Err(source.error(
                    span,
                    format!("`{key}` is not a table, so nothing in it can be set"),
                    Some("lists of tables are set in the file only"),
                ));
            };
            table = below;
        }
        // Removed first: the old key would stay, and with it the old place.
        let key = existing_key(table, last).unwrap_or_else(|| last.clone());
        table.remove(key.as_str());
        table.insert(Spanned::new(self.span(*last_at, last.len()), key.into()), self.parse_value());
        Ok(())
    }

    /// The value as TOML, else as a bare word.
    fn parse_value(&self) -> Spanned<DeValue<'_>> {
        let text = &self.text[self.value..];
        match DeValue::parse(text) {
            Ok(value) => shifted(value, self.start + self.value),
            Err(_) => Spanned::new(self.span(self.value, text.len()), DeValue::String(text.into())),
        }
    }

    fn span(&self, at: usize, len: usize) -> Range<usize> {
        self.start + at..self.start + at + len
    }
}

/// The keys of a path, each with its offset (that of the whole path being `start`).
fn segments<'a>(
    path: &'a str,
    separator: &'a str,
    start: usize,
) -> impl Iterator<Item = (&'a str, usize)> {
    let mut at = start;
    path.split(separator).map(move |key| {
        let here = at;
        at += key.len() + separator.len();
        (key, here)
    })
}

/// The spelling of `key` that the file uses, if it does.
fn existing_key(table: &DeTable<'_>, key: &str) -> Option<String> {
    let known = table.keys().find(|known| known.get_ref().eq_ignore_ascii_case(key))?;
    Some(known.get_ref().clone().into_owned())
}

/// `value` with every span moved by `by`.
fn shifted(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let moved = |span: Range<usize>| span.start + by..span.end + by;
    let span = moved(value.span());
    let value = match value.into_inner() {
        DeValue::Array(items) => {
            DeValue::Array(items.into_iter().map(|item| shifted(item, by)).collect())
        }
        DeValue::Table(entries) => {
            let entries = entries.into_iter().map(|(key, value)| {
                (Spanned::new(moved(key.span()), key.into_inner()), shifted(value, by))
            });
            DeValue::Table(entries.collect())
        }
        scalar => scalar,
    };
    Spanned::new(span, value)
}
