//! The grammar.

use std::collections::HashSet;

use super::{Entry, Kind, MAX_DEPTH, MAX_INCLUDE_DEPTH, MAX_VALUES, Table, Value, include};
use crate::import::Failure;
use crate::import::files::{At, Files};

/// What of the limits is used up.
#[derive(Debug, Default)]
pub(super) struct Budget {
    values: usize,
}

impl Budget {
    /// One file; `depth` files include each other.
    pub(super) fn file(
        &mut self,
        file: u16,
        files: &mut Files,
        depth: usize,
    ) -> Result<Value, Failure> {
        let text = files.text(file).to_owned();
        let mut scan = Scan { text: &text, at: 0, file, files, budget: self, includes: depth };
        scan.skip()?;
        let whole = At::new(file, 0, text.len().min(1));
        let kind = if scan.eat(b'[') {
            let values = scan.array(1)?;
            scan.skip()?;
            if scan.at < text.len() {
                return Err(scan.mistake("nothing may follow the array that is the whole file"));
            }
            Kind::Array(values)
        } else {
            Kind::Table(scan.table(None, 1)?)
        };
        Ok(Value { at: whole, kind })
    }
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    file: u16,
    files: &'a mut Files,
    budget: &'a mut Budget,
    includes: usize,
}

impl Scan<'_> {
    /// Keys and values up to the closing brace; without `open`, up to the end of the file.
    fn table(&mut self, open: Option<usize>, depth: usize) -> Result<Table, Failure> {
        let mut table = Table::default();
        let mut keys = HashSet::new();
        loop {
            self.skip()?;
            match (self.peek(), open) {
                (None, None) => return Ok(table),
                (None, Some(open)) => return Err(self.unclosed(open, '{')),
                (Some(b'}'), Some(_)) => {
                    self.at += 1;
                    return Ok(table);
                }
                (Some(b'$'), _) => {
                    let start = self.at;
                    for value in self.include(true)? {
                        let Kind::Table(more) = value.kind else {
                            let message = "an array cannot be merged into a table";
                            return Err(self.wrong(start, message));
                        };
                        for entry in more.entries {
                            self.insert(&mut table, &mut keys, entry)?;
                        }
                    }
                }
                (Some(_), _) => {
                    let entry = self.assignment(depth)?;
                    self.insert(&mut table, &mut keys, entry)?;
                }
            }
            self.comma()?;
        }
    }

    fn insert(
        &self,
        table: &mut Table,
        keys: &mut HashSet<String>,
        entry: Entry,
    ) -> Result<(), Failure> {
        if !keys.insert(entry.key.clone()) {
            let message = format!("the key '{}' is there twice", entry.key);
            return Err(self.files.problem(entry.at, message, Some("keep one of the two")));
        }
        table.entries.push(entry);
        Ok(())
    }

    fn assignment(&mut self, depth: usize) -> Result<Entry, Failure> {
        let (key, at) = self.string("a key")?;
        self.skip()?;
        if !self.eat(b'=') {
            return Err(self.mistake(&format!("'=>' is expected after the key '{key}'")));
        }
        self.eat(b'>');
        self.skip()?;
        let value = self.value(depth)?;
        Ok(Entry { key, at, value })
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Value>, Failure> {
        let open = self.at - 1;
        let mut values = Vec::new();
        loop {
            self.skip()?;
            match self.peek() {
                None => return Err(self.unclosed(open, '[')),
                Some(b']') => {
                    self.at += 1;
                    return Ok(values);
                }
                Some(_) => values.push(self.value(depth)?),
            }
            self.comma()?;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Failure> {
        let start = self.at;
        if depth >= MAX_DEPTH {
            return Err(self.wrong(start, &format!("values are nested over {MAX_DEPTH} deep")));
        }
        self.budget.values += 1;
        if self.budget.values > MAX_VALUES {
            return Err(self.wrong(start, &format!("more than {MAX_VALUES} values")));
        }
        let kind = match self.peek() {
            Some(b'{') => {
                self.at += 1;
                Kind::Table(self.table(Some(start), depth + 1)?)
            }
            Some(b'[') => {
                self.at += 1;
                Kind::Array(self.array(depth + 1)?)
            }
            Some(b'$') => {
                let mut included = self.include(false)?;
                let Some(value) = included.pop().filter(|_| included.is_empty()) else {
                    return Err(self.wrong(start, "here exactly one file can be included"));
                };
                return Ok(value);
            }
            _ => {
                let (text, at) = self.string("a value")?;
                return Ok(Value { at, kind: Kind::Text(text) });
            }
        };
        Ok(Value { at: At::new(self.file, start, start + 1), kind })
    }

    /// A plain or quoted text.
    fn string(&mut self, what: &str) -> Result<(String, At), Failure> {
        let start = self.at;
        let quoted = self.eat(b'"');
        let mut octets = Vec::new();
        loop {
            let from = self.at;
            let Some(octet) = self.peek() else {
                match quoted {
                    true => return Err(self.wrong(start, "the quotes that open here never close")),
                    false => break,
                }
            };
            match octet {
                b'\\' => octets.push(self.escape()?),
                b'"' if quoted => break,
                _ if quoted || is_plain(octet) => {
                    self.at += 1;
                    octets.push(octet);
                }
                _ => break,
            }
            // An escape may stand for a character's first octet only together with the next ones.
            debug_assert!(self.at > from);
        }
        if !quoted && octets.is_empty() {
            let found = self.text[self.at..].chars().next();
            let found = found.map_or("the end of the file".to_owned(), |c| format!("{c:?}"));
            return Err(self.mistake(&format!("{what} is expected here, not {found}")));
        }
        if quoted {
            self.at += 1;
        }
        let at = At::new(self.file, start, self.at);
        match String::from_utf8(octets) {
            Ok(text) => Ok((text, at)),
            Err(_) => Err(self.files.problem(at, "this is no UTF-8 text", None)),
        }
    }

    /// `\X`, or `\DDD` in decimal.
    fn escape(&mut self) -> Result<u8, Failure> {
        const HELP: &str = "a backslash is followed by three digits up to 255, or by a character";
        let start = self.at;
        let rest = &self.text.as_bytes()[start + 1..];
        match rest {
            [first, ..] if first.is_ascii_digit() => {
                let number = rest.get(..3).filter(|three| three.iter().all(u8::is_ascii_digit));
                let number = number
                    .map(|three| three.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0')))
                    .and_then(|number| u8::try_from(number).ok());
                let Some(octet) = number else { return Err(self.wrong(start, HELP)) };
                self.at += 4;
                Ok(octet)
            }
            [octet, ..] if octet.is_ascii() => {
                self.at += 2;
                Ok(*octet)
            }
            // The backslash before a longer character stands for nothing.
            [_, ..] => {
                self.at += 1;
                let octet = self.text.as_bytes()[self.at];
                self.at += 1;
                Ok(octet)
            }
            [] => Err(self.wrong(start, HELP)),
        }
    }

    /// `$include{ path }`; in a table several files and the files of a folder are fine.
    fn include(&mut self, merge: bool) -> Result<Vec<Value>, Failure> {
        const WORD: &str = "$include{";
        let start = self.at;
        if !self.text[start..].starts_with(WORD) {
            return Err(
                self.wrong(start, "only $include{…} begins with a dollar sign; else quote it")
            );
        }
        self.at += WORD.len();
        self.skip()?;
        let (path, at) = self.string("a path")?;
        self.skip()?;
        if !self.eat(b'}') {
            return Err(self.mistake("'}' is expected after the path"));
        }
        if self.includes >= MAX_INCLUDE_DEPTH {
            let message = format!("files include each other over {MAX_INCLUDE_DEPTH} deep");
            return Err(self.files.problem(at, message, None));
        }
        let paths = include::paths(&path, self.file, self.files)
            .map_err(|why| self.files.problem(at, format!("{path}: {why}"), None))?;
        if paths.len() != 1 && !merge {
            return Err(self.files.problem(at, "here exactly one file can be included", None));
        }
        let mut values = Vec::with_capacity(paths.len());
        for path in paths {
            let file = self
                .files
                .read(&path)
                .map_err(|why| self.files.problem(at, format!("cannot include: {why}"), None))?;
            values.push(self.budget.file(file, self.files, self.includes + 1)?);
        }
        Ok(values)
    }

    /// One comma at most, with white space around it.
    fn comma(&mut self) -> Result<(), Failure> {
        self.skip()?;
        self.eat(b',');
        Ok(())
    }

    /// White space and comments.
    fn skip(&mut self) -> Result<(), Failure> {
        while let Some(octet) = self.peek() {
            match octet {
                b' ' | b'\t' | b'\n' => self.at += 1,
                b'\r' => {
                    let message = "a carriage return; gdnsd takes it as part of what is before it";
                    return Err(self.mistake(message));
                }
                b'#' | b';' => {
                    let rest = &self.text.as_bytes()[self.at..];
                    self.at += rest.iter().position(|o| *o == b'\n').unwrap_or(rest.len());
                }
                _ => break,
            }
        }
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        self.at += usize::from(found);
        found
    }

    fn unclosed(&self, open: usize, bracket: char) -> Failure {
        self.wrong(open, &format!("the '{bracket}' that opens here is never closed"))
    }

    /// What is wrong with what comes next.
    fn mistake(&self, message: &str) -> Failure {
        self.wrong(self.at, message)
    }

    fn wrong(&self, start: usize, message: &str) -> Failure {
        self.files.problem(At::new(self.file, start, start + 1), message, None)
    }
}

/// Whether it can be in a text without quotes.
fn is_plain(octet: u8) -> bool {
    !b"][}{;#,\"=\\ \t\n\r".contains(&octet)
}
