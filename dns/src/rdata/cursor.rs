//! Words of one record's data, taken one by one.

use crate::name::Name;
use crate::zonefile::{Fault, Place, Token};

/// Where reading stands.
pub(super) struct Cursor<'t> {
    tokens: &'t [Token<'t>],
    at: usize,
    origin: &'t Name,
    /// Where to point when there is no data at all.
    before: Option<Place>,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(tokens: &'t [Token<'t>], origin: &'t Name, before: Option<Place>) -> Self {
        Cursor { tokens, at: 0, origin, before }
    }

    pub(super) fn origin(&self) -> &'t Name {
        self.origin
    }

    pub(super) fn peek(&self) -> Option<&'t Token<'t>> {
        self.tokens.get(self.at)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left() == 0
    }

    /// Tokens that are not taken yet.
    pub(super) fn left(&self) -> usize {
        self.tokens.len() - self.at
    }

    /// The token that was taken last, or where the data should begin.
    pub(super) fn place(&self) -> Place {
        match self.tokens.get(self.at.saturating_sub(1)) {
            Some(token) => token.place,
            None => self.missing(),
        }
    }

    /// Where something is missing.
    fn missing(&self) -> Place {
        let last = self.tokens.last().map(|token| token.place).or(self.before);
        last.map_or(Place { line: 1, column: 1, length: 1 }, Place::after)
    }

    /// The next token, quoted or not; `what` should be there.
    pub(super) fn next(&mut self, what: &str) -> Result<&'t Token<'t>, Fault> {
        let Some(token) = self.peek() else {
            let help = format!("next comes {what}");
            return Err(Fault::at(self.missing(), "ends too early", help));
        };
        let before = self.at.checked_sub(1).map(|before| &self.tokens[before]);
        // "a""b" is two strings everywhere; what a"b" is, servers do not agree on.
        let apart =
            !token.glued || before.is_none_or(|before| before.is_quoted() == token.is_quoted());
        if !apart {
            let help = "put a space between, or write the quote as \\\"";
            return Err(Fault::new(token, "a quote next to a word", help));
        }
        self.at += 1;
        Ok(token)
    }

    /// The next token, which must not be quoted.
    pub(super) fn word(&mut self, what: &str) -> Result<&'t Token<'t>, Fault> {
        let token = self.next(what)?;
        if token.is_quoted() {
            let message = format!("{} is quoted, but here goes {what}", token.show());
            return Err(Fault::new(token, message, "remove the quotes"));
        }
        Ok(token)
    }

    /// The next token if it is glued to the one before: the value in `key="value"`.
    pub(super) fn glued(&mut self) -> Option<&'t Token<'t>> {
        let token = self.peek().filter(|token| token.glued)?;
        self.at += 1;
        Some(token)
    }

    /// Takes a token whatever stands before it.
    pub(super) fn any(&mut self) -> Option<&'t Token<'t>> {
        let token = self.peek()?;
        self.at += 1;
        Some(token)
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(token) => {
                let help = "is a quote or a comment sign missing, or a line break?";
                Err(Fault::new(token, "more data than the type takes", help))
            }
        }
    }
}
