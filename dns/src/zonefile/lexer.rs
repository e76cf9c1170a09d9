//! Entries and tokens of a master file (RFC 1035 §5.1).
//!
//! An entry is a line, or several held together by parentheses. Tokens are slices of the text with
//! their place; escapes and quotes are left in them for whoever reads them ([`Token`]).

use super::token::{Fault, Place, Token};

/// A record or a directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// The line began with a space: the owner is the last one.
    pub(crate) indented: bool,
    /// At least one.
    pub(crate) tokens: Vec<Token<'a>>,
}

/// What is wrong with an entry's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum LexError {
    #[error("quoted string without an end on its line")]
    OpenQuote,
    #[error("\"(\" without a \")\" after it")]
    OpenParenthesis,
    #[error("\")\" without a \"(\" before it")]
    CloseParenthesis,
    #[error("\"\\\" at the end of the line")]
    Backslash,
    #[error("character outside ASCII")]
    NotAscii,
    #[error("control character")]
    Control,
}

impl From<u8> for LexError {
    /// What `octet` is that can stand in no word.
    fn from(octet: u8) -> Self {
        if octet.is_ascii() { LexError::Control } else { LexError::NotAscii }
    }
}

impl LexError {
    fn help(self) -> &'static str {
        match self {
            LexError::OpenQuote => "write a quote inside a string as \\\", a line break as \\010",
            LexError::OpenParenthesis => "close it, or write \\( for the character",
            LexError::CloseParenthesis => "open one before it, or write \\) for the character",
            LexError::Backslash => "write \\X for a character or \\DDD for an octet, 000 to 255",
            LexError::NotAscii => "quote it, write it as \\DDD, or a name in its xn-- form",
            LexError::Control => "remove it, or write it as \\DDD",
        }
    }
}

pub(crate) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
    line_start: usize,
}

/// What some editors put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        // Editors hide the mark, so it counts for no column.
        let start = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        Lexer { text, at: start, line: 1, line_start: start }
    }

    /// The next entry that has tokens. After an error the rest of the line was skipped.
    pub(crate) fn next_entry(&mut self) -> Option<Result<Entry<'a>, Fault>> {
        loop {
            if self.at >= self.text.len() {
                return None;
            }
            let indented = matches!(self.text[self.at], b' ' | b'\t');
            match self.tokens() {
                Ok(tokens) if tokens.is_empty() => {}
                Ok(tokens) => return Some(Ok(Entry { indented, tokens })),
                Err((error, place)) => {
                    self.skip_line();
                    return Some(Err(Fault::at(place, error.to_string(), error.help())));
                }
            }
        }
    }

    /// Reads up to the end of the entry.
    fn tokens(&mut self) -> Result<Vec<Token<'a>>, (LexError, Place)> {
        let mut tokens = Vec::new();
        let mut open = None;
        let mut depth = 0usize;
        let mut glued = false;
        while let Some(&octet) = self.text.get(self.at) {
            match octet {
                b'\n' => {
                    self.newline();
                    glued = false;
                    if depth == 0 {
                        return Ok(tokens);
                    }
                }
                b' ' | b'\t' | b'\r' => {
                    self.at += 1;
                    glued = false;
                }
                b';' => self.skip_comment(),
                b'(' => {
                    open.get_or_insert(self.place(self.at, 1));
                    depth += 1;
                    self.at += 1;
                    glued = false;
                }
                b')' => {
                    let place = self.place(self.at, 1);
                    depth = depth.checked_sub(1).ok_or((LexError::CloseParenthesis, place))?;
                    self.at += 1;
                    glued = false;
                }
                _ => {
                    let start = self.at;
                    if octet == b'"' { self.quoted() } else { self.word() }?;
                    let place = self.place(start, self.at - start);
                    tokens.push(Token { text: &self.text[start..self.at], place, glued });
                    glued = true;
                }
            }
        }
        match open {
            Some(place) if depth > 0 => Err((LexError::OpenParenthesis, place)),
            _ => Ok(tokens),
        }
    }

    fn word(&mut self) -> Result<(), (LexError, Place)> {
        let start = self.at;
        while let Some(&octet) = self.text.get(self.at) {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' | b'"' => break,
                b'\\' => self.escape()?,
                0x21..=0x7e => self.at += 1,
                _ => return Err((octet.into(), self.place(start, self.at - start + 1))),
            }
        }
        Ok(())
    }

    fn quoted(&mut self) -> Result<(), (LexError, Place)> {
        let open = self.place(self.at, 1);
        self.at += 1;
        loop {
            match self.text.get(self.at) {
                None | Some(b'\n') => return Err((LexError::OpenQuote, open)),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), (LexError, Place)> {
        match self.text.get(self.at + 1) {
            None | Some(b'\n' | b'\r') => Err((LexError::Backslash, self.place(self.at, 1))),
            Some(0x20..=0x7e) => {
                self.at += 2;
                Ok(())
            }
            Some(&octet) => Err((octet.into(), self.place(self.at, 2))),
        }
    }

    fn skip_comment(&mut self) {
        while self.text.get(self.at).is_some_and(|&octet| octet != b'\n') {
            self.at += 1;
        }
    }

    fn skip_line(&mut self) {
        self.skip_comment();
        if self.at < self.text.len() {
            self.newline();
        }
    }

    fn newline(&mut self) {
        self.at += 1;
        self.line = self.line.saturating_add(1);
        self.line_start = self.at;
    }

    fn place(&self, start: usize, length: usize) -> Place {
        Place {
            line: self.line,
            column: u32::try_from(start - self.line_start + 1).unwrap_or(u32::MAX),
            length: u32::try_from(length).unwrap_or(u32::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text, line and column of a token.
    type Seen<'a> = (&'a str, u32, u32);

    fn lex(text: &str) -> Vec<Result<Vec<Seen<'_>>, String>> {
        let mut lexer = Lexer::new(text.as_bytes());
        std::iter::from_fn(|| lexer.next_entry())
            .map(|entry| {
                let tokens = entry.map_err(|fault| fault.message)?.tokens;
                Ok(tokens
                    .iter()
                    .map(|t| (str::from_utf8(t.text).unwrap(), t.place.line, t.place.column))
                    .collect())
            })
            .collect()
    }

    #[test]
    fn rfc1035_5_1_parentheses_comments_and_quotes() {
        let text = "; c\n\na (b ; x)\n  \"q ;)(\" ) d\\;e\n\tf";
        assert_eq!(
            lex(text),
            [
                Ok(vec![("a", 3, 1), ("b", 3, 4), ("\"q ;)(\"", 4, 3), ("d\\;e", 4, 13)]),
                Ok(vec![("f", 5, 2)]),
            ]
        );
    }

    #[test]
    fn an_error_costs_one_line() {
        assert_eq!(
            lex("a \"b\nc\nd)\ne \\\n\u{e9}\nz\x1b[m\n\\\x7f\nf (\ng"),
            [
                Err(LexError::OpenQuote.to_string()),
                Ok(vec![("c", 2, 1)]),
                Err(LexError::CloseParenthesis.to_string()),
                Err(LexError::Backslash.to_string()),
                Err(LexError::NotAscii.to_string()),
                Err("control character".to_owned()),
                Err("control character".to_owned()),
                Err(LexError::OpenParenthesis.to_string()),
            ]
        );
    }

    #[test]
    fn indented_and_glued_are_seen() {
        let mut lexer = Lexer::new(b" a k=\"v\" b\nc");
        let entry = lexer.next_entry().unwrap().unwrap();
        assert!(entry.indented);
        assert_eq!(
            entry.tokens.iter().map(|t| t.glued).collect::<Vec<_>>(),
            [false, false, true, false]
        );
        assert!(!lexer.next_entry().unwrap().unwrap().indented);
    }
}
