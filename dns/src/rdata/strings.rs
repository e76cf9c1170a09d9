//! Character strings (RFC 1035 §3.3): a length octet and up to 255 octets, in quotes.

use super::cursor::Cursor;
use crate::zonefile::{Fault, Token};
use std::fmt::{self, Write};

/// Octets of one character string.
const MAX_STRING: usize = u8::MAX as usize;

/// Reads a string with its length before it.
pub(super) fn read(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let token = cursor.next("a string")?;
    put(token, &token.octets()?, out)
}

/// Appends a string with its length before it.
pub(super) fn put(token: &Token<'_>, string: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let length = u8::try_from(string.len()).map_err(|_| {
        let message = format!("a string of {} octets; it has at most {MAX_STRING}", string.len());
        Fault::new(token, message, "split it into several quoted strings")
    })?;
    out.push(length);
    out.extend_from_slice(string);
    Ok(())
}

/// Reads strings up to the end of the data, at least one.
pub(super) fn read_all(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    read(cursor, out)?;
    while !cursor.is_empty() {
        read(cursor, out)?;
    }
    Ok(())
}

/// Octets of a string and its length.
pub(super) fn len(octets: &[u8]) -> Option<usize> {
    let length = 1 + usize::from(*octets.first()?);
    (length <= octets.len()).then_some(length)
}

/// Octets of one string or more.
pub(super) fn len_all(octets: &[u8]) -> Option<usize> {
    let mut at = len(octets)?;
    while at < octets.len() {
        at += len(&octets[at..])?;
    }
    Some(at)
}

/// The strings, without their lengths, of octets that [`len_all`] found well-formed.
pub(super) fn each(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        let (string, after) = rest.split_at(len(rest)?);
        rest = after;
        Some(&string[1..])
    })
}

/// Shows strings of which each has its length before it.
pub(super) fn show(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, string) in each(octets).enumerate() {
        f.write_str(if i > 0 { " " } else { "" })?;
        show_quoted(string, f)?;
    }
    Ok(())
}

/// Shows octets in quotes, everything escaped that is not printable ASCII.
pub(super) fn show_quoted(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    for &octet in octets {
        match octet {
            b'"' | b'\\' => write!(f, "\\{}", char::from(octet))?,
            b' '..=b'~' => f.write_char(char::from(octet))?,
            _ => write!(f, "\\{octet:03}")?,
        }
    }
    f.write_str("\"")
}

/// Reads the digits of an X.25 address (RFC 1183 §3.1: at least the four of a DNIC).
pub(super) fn read_digits(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let token = cursor.next("the digits of an X.25 address")?;
    let digits = token.octets()?;
    if !are_digits(&digits) {
        let message = format!("{} is not an X.25 address", token.show());
        return Err(Fault::new(token, message, "it begins with a DNIC of four digits"));
    }
    put(token, &digits, out)
}

pub(super) fn len_digits(octets: &[u8]) -> Option<usize> {
    let length = len(octets)?;
    are_digits(&octets[1..length]).then_some(length)
}

fn are_digits(octets: &[u8]) -> bool {
    octets.len() >= 4 && octets.iter().all(u8::is_ascii_digit)
}

/// Reads the tag of a CAA record (RFC 8659 §4.1: letters and digits).
pub(super) fn read_tag(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let token = cursor.word("a tag, as issue")?;
    if !is_tag(token.text) {
        let message = format!("{} is not a tag", token.show());
        return Err(Fault::new(token, message, "a tag is letters and digits: issue, iodef"));
    }
    put(token, token.text, out)
}

pub(super) fn len_tag(octets: &[u8]) -> Option<usize> {
    let length = len(octets)?;
    is_tag(&octets[1..length]).then_some(length)
}

fn is_tag(octets: &[u8]) -> bool {
    !octets.is_empty() && octets.iter().all(u8::is_ascii_alphanumeric)
}

pub(super) fn show_tag(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    octets[1..].iter().try_for_each(|&octet| f.write_char(char::from(octet)))
}

/// Reads one string that has no length before it and is the rest of the data.
pub(super) fn read_text(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let token = cursor.next("a quoted string")?;
    out.extend(token.octets()?);
    Ok(())
}
