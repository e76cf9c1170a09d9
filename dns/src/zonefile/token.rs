//! Words and quoted strings with their places, and what they say.

use crate::name::{Name, NameError};
use std::borrow::Cow;

/// A word or a quoted string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// As written, quotes included.
    pub(crate) text: &'a [u8],
    pub(crate) place: Place,
    /// No space before it, as in `key="value"`.
    pub(crate) glued: bool,
}

/// Where a token stands; from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) length: u32,
}

/// Something wrong with a token. The author of the text is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) help: Cow<'static, str>,
    pub(crate) place: Place,
}

/// Octets of a token that a message repeats.
const MAX_SHOWN: usize = 60;

impl Place {
    /// The place right after this one, where something is missing.
    pub(crate) fn after(self) -> Place {
        Place { column: self.column.saturating_add(self.length), length: 1, ..self }
    }
}

impl Fault {
    /// What is wrong with `token`, and what to do about it.
    pub(crate) fn new(
        token: &Token<'_>,
        message: impl Into<String>,
        help: impl Into<Cow<'static, str>>,
    ) -> Self {
        Fault::at(token.place, message, help)
    }

    /// The same for a place.
    pub(crate) fn at(
        place: Place,
        message: impl Into<String>,
        help: impl Into<Cow<'static, str>>,
    ) -> Self {
        Fault { message: message.into(), help: help.into(), place }
    }
}

impl<'a> Token<'a> {
    /// The text for messages, cut.
    pub(crate) fn show(&self) -> String {
        let shown = &self.text[..self.text.len().min(MAX_SHOWN)];
        let cut = if shown.len() < self.text.len() { "…" } else { "" };
        format!("{}{cut}", String::from_utf8_lossy(shown))
    }

    pub(crate) fn is_quoted(&self) -> bool {
        self.text.starts_with(b"\"")
    }

    /// The text of what is neither quoted nor escaped: numbers, addresses, mnemonics. What is, gives
    /// no sensible one.
    pub(crate) fn word(&self) -> &'a str {
        str::from_utf8(self.text).unwrap_or("\u{fffd}")
    }

    /// The octets that a character string stands for, with its escapes resolved (RFC 1035 §5.1).
    pub(crate) fn octets(&self) -> Result<Vec<u8>, Fault> {
        let mut rest = match self.text {
            [b'"', inner @ .., b'"'] => inner,
            text => text,
        };
        let mut octets = Vec::with_capacity(rest.len());
        while let Some((&octet, tail)) = rest.split_first() {
            rest = tail;
            octets.push(match (octet, rest) {
                (b'\\', [a @ b'0'..=b'9', tail @ ..]) => {
                    let digit =
                        |octet: &u8| octet.is_ascii_digit().then(|| u32::from(octet - b'0'));
                    let value = match tail {
                        [b, c, ..] => digit(a).zip(digit(b)).zip(digit(c)),
                        _ => None,
                    };
                    let value = value.map(|((a, b), c)| a * 100 + b * 10 + c);
                    rest = tail.get(2..).unwrap_or_default();
                    value.and_then(|value| u8::try_from(value).ok()).ok_or_else(|| {
                        let help = "write \\X for a character or \\DDD for an octet, 000 to 255";
                        Fault::new(self, "a malformed escape", help)
                    })?
                }
                (b'\\', [escaped, tail @ ..]) => {
                    rest = tail;
                    *escaped
                }
                _ => octet,
            });
        }
        Ok(octets)
    }

    /// A name; a lone `@` is the origin (RFC 1035 §5.1).
    pub(crate) fn name(&self, origin: &Name) -> Result<Name, Fault> {
        if self.text == b"@" {
            return Ok(origin.clone());
        }
        if self.is_quoted() {
            return Err(Fault::new(self, "a name is not quoted", "remove the quotes"));
        }
        Name::from_text(self.word(), origin).map_err(|error| {
            let help = match error {
                NameError::TooLong => "a name without a final dot is completed with the origin",
                NameError::LabelTooLong => "a label has at most 63 octets: is a dot missing?",
                NameError::EmptyLabel => "is there a dot too many?",
                _ => "names are labels with dots between, as www.example.",
            };
            Fault::new(self, format!("malformed name {}: {error}", self.show()), help)
        })
    }

    /// Seconds, or a sum of numbers with the units that every server reads: w d h m s.
    pub(crate) fn seconds(&self) -> Option<u32> {
        let mut total = 0u32;
        let mut number = None;
        let mut bare = true;
        for &octet in self.text {
            let unit = match octet.to_ascii_lowercase() {
                digit @ b'0'..=b'9' => {
                    let digit = u32::from(digit - b'0');
                    number = Some(number.unwrap_or(0u32).checked_mul(10)?.checked_add(digit)?);
                    continue;
                }
                b's' => 1,
                b'm' => 60,
                b'h' => 3_600,
                b'd' => 86_400,
                b'w' => 604_800,
                _ => return None,
            };
            bare = false;
            total = total.checked_add(number.take()?.checked_mul(unit)?)?;
        }
        match number {
            Some(rest) if bare => Some(rest),
            Some(_) => None,
            None if bare => None,
            None => Some(total),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn token(text: &str) -> Token<'_> {
        let place = Place { line: 1, column: 1, length: 1 };
        Token { text: text.as_bytes(), place, glued: false }
    }

    #[test]
    fn ttls_with_units() {
        for (text, value) in [
            ("0", Some(0)),
            ("300", Some(300)),
            ("1h30m", Some(5_400)),
            ("2W1D", Some(1_296_000)),
            ("1w2d3h4m5s", Some(788_645)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("7102w", None),
            ("1h30", None),
            ("h", None),
            ("", None),
            ("1y", None),
            ("-1", None),
            ("\"1\"", None),
        ] {
            assert_eq!(token(text).seconds(), value, "{text}");
        }
    }

    #[test]
    fn rfc1035_5_1_escapes_in_strings() {
        for (text, octets) in [
            ("a\\;b", &b"a;b"[..]),
            ("\"a \\\"b\\\" \\\\\"", b"a \"b\" \\"),
            ("\\000\\255\\065", b"\x00\xffA"),
            ("\"\"", b""),
        ] {
            assert_eq!(token(text).octets().unwrap(), octets, "{text}");
        }
        for bad in ["\\256", "\\25", "\"\\2\"", "\\2x5", "\\999"] {
            assert!(token(bad).octets().is_err(), "{bad}");
        }
    }
}
