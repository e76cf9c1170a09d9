//! Record data: what each type's is made of, from text to wire form and back.
//!
//! ```text
//!  type ─ shape::of ─▶ [Field, Field, …]        a DS is U16, Code8, Code8, Hex
//!                        │ read   words of a master file ─▶ octets
//!                        │ len    octets ─▶ how many are this field's, if they can be
//!                        └ show   octets ─▶ words that read gives the same octets for
//! ```
//!
//! | to … | use |
//! |---|---|
//! | print the data of any type | [`Rdata`] |
//! | know whether octets are data of a type | [`check`] |
//! | read the data of one record | [`parse`]; whole files: [`zonefile`](crate::zonefile) |
//!
//! What a shape cannot say (a SHA-256 digest has 32 octets) stands in `rules`. Types that are not in
//! the table are opaque: any octets are theirs, and their text is `\# LENGTH HEX` (RFC 3597 §5),
//! which is read for every type.

mod address;
mod codes;
mod cursor;
mod encode;
mod field;
mod gateway;
mod hip;
mod loc;
mod number;
mod params;
mod prefix;
mod rules;
mod shape;
mod strings;
mod types;
mod wks;

use crate::name::Name;
use crate::rr::Rtype;
use crate::zonefile::{Fault, Lexer, Token};
use cursor::Cursor;
use std::fmt;

/// Octets the data of one record may have (RFC 1035 §3.2.1).
pub const MAX_RDATA: usize = 65_535;

/// The data of one record, in the form of master files: [`parse`] reads it back to the same octets.
/// What is not well-formed is shown as RFC 3597 has it, so that nothing is hidden.
///
/// ```
/// # use dns::{rdata::Rdata, rr::Rtype};
/// let mx = Rdata { rtype: Rtype::MX, octets: b"\0\x0a\x04mail\x07example\0" };
/// assert_eq!(mx.to_string(), "10 mail.example.");
/// let cut = Rdata { rtype: Rtype::MX, octets: b"\0\x0a\x04mai" };
/// assert_eq!(cut.to_string(), "\\# 6 000a046d6169");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rdata<'a> {
    /// The record's type.
    pub rtype: Rtype,
    /// RDATA in wire form, names uncompressed.
    pub octets: &'a [u8],
}

/// Why octets are not data of a type. Who sent or wrote them is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The octets end early, go on after the end, or a part of them cannot be.
    #[error("the octets are not what the type consists of")]
    Shape,
    /// A rule of the type is broken.
    #[error("{0}")]
    Rule(&'static str),
}

/// What is wrong with the text of record data. Its author is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// Where in the text, in octets from 1.
    pub column: u32,
}

/// Reads the data of one record as it stands in a master file, on one line. Names without a final
/// dot are completed with `origin`.
///
/// # Errors
/// What is wrong, and where.
pub fn parse(rtype: Rtype, text: &str, origin: &Name) -> Result<Box<[u8]>, Error> {
    let error = |fault: Fault| Error {
        message: fault.message,
        help: fault.help.into_owned(),
        column: fault.place.column,
    };
    let mut lexer = Lexer::new(text.as_bytes());
    let entry = lexer.next_entry().transpose().map_err(error)?;
    let tokens = entry.map(|entry| entry.tokens).unwrap_or_default();
    match lexer.next_entry() {
        None => read(rtype, &mut Cursor::new(&tokens, origin, None)).map_err(error),
        Some(Err(fault)) => Err(error(fault)),
        Some(Ok(_)) => Err(Error {
            message: "the data of one record stands on one line".to_owned(),
            help: "hold several lines together with parentheses".to_owned(),
            column: 1,
        }),
    }
}

/// Reads the data of one record; `before` is the token before it, to point at when there is none.
pub(crate) fn read_tokens(
    rtype: Rtype,
    tokens: &[Token<'_>],
    origin: &Name,
    before: &Token<'_>,
) -> Result<Box<[u8]>, Fault> {
    read(rtype, &mut Cursor::new(tokens, origin, Some(before.place)))
        .map_err(|fault| Fault { message: format!("{rtype} record: {}", fault.message), ..fault })
}

fn read(rtype: Rtype, cursor: &mut Cursor<'_>) -> Result<Box<[u8]>, Fault> {
    let mut octets = Vec::new();
    if cursor.peek().is_some_and(|token| token.text == b"\\#") {
        encode::read_generic(cursor, &mut octets)?;
    } else if let Some(fields) = shape::of(rtype) {
        for field in fields {
            field.read(cursor, &mut octets)?;
        }
        cursor.end()?;
    } else {
        let place = cursor.place();
        let help = "write it as RFC 3597 has it: \\# LENGTH HEX";
        return Err(Fault::at(place, "no text form is known for this type", help));
    }
    if octets.len() > MAX_RDATA {
        let message = format!("more than {MAX_RDATA} octets of data");
        return Err(Fault::at(cursor.place(), message, "no record can be longer"));
    }
    match check(rtype, &octets) {
        Ok(()) => Ok(octets.into()),
        Err(error) => {
            let help = "see the RFC that defines the type, or leave the record out";
            Err(Fault::at(cursor.place(), error.to_string(), help))
        }
    }
}

/// Whether `octets` are well-formed data of `rtype`; any are of a type without a known form.
///
/// # Errors
/// What is wrong.
pub fn check(rtype: Rtype, octets: &[u8]) -> Result<(), Malformed> {
    if octets.len() > MAX_RDATA {
        return Err(Malformed::Shape);
    }
    let Some(fields) = shape::of(rtype) else { return Ok(()) };
    let mut rest = octets;
    for field in fields {
        let length = field.len(rest).ok_or(Malformed::Shape)?;
        rest = &rest[length..];
    }
    if !rest.is_empty() {
        return Err(Malformed::Shape);
    }
    rules::broken(rtype, octets).map_or(Ok(()), |rule| Err(Malformed::Rule(rule)))
}

impl fmt::Display for Rdata<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = shape::of(self.rtype).filter(|_| check(self.rtype, self.octets).is_ok());
        let (Some(fields), false) = (fields, self.octets.is_empty()) else {
            return encode::show_generic(self.octets, f);
        };
        let mut rest = self.octets;
        for (i, field) in fields.iter().enumerate() {
            let Some(length) = field.len(rest) else { break };
            let (octets, after) = rest.split_at(length);
            rest = after;
            if octets.is_empty() && field.vanishes() {
                continue;
            }
            if i > 0 {
                f.write_str(" ")?;
            }
            field.show(octets, f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Rdata<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {self}", self.rtype)
    }
}
