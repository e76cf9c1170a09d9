//! Presentation form of names (RFC 1035 §5.1, RFC 4343 §2.1).

use super::{MAX_LABEL, MAX_NAME, Name, NameRef};
use std::fmt;

/// Why octets or text are not a domain name. The sender or the author of the file is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// More than 255 octets in wire form.
    #[error("name is longer than 255 octets")]
    TooLong,
    /// A label over 63 octets, or one of the label types that were never used (RFC 6891 §5).
    #[error("label is longer than 63 octets")]
    LabelTooLong,
    /// Two dots in a row, or a leading dot.
    #[error("empty label")]
    EmptyLabel,
    /// `\` at the end, or `\DDD` over 255 or with fewer than three digits.
    #[error("bad escape: write \\X for a character or \\DDD for an octet from 000 to 255")]
    BadEscape,
    /// Space, control character or something outside ASCII, unescaped.
    #[error("character must be written as \\DDD, or the name in its xn-- form")]
    BadCharacter,
    /// The octets end before the root label.
    #[error("name ends early")]
    Truncated,
    /// A compression pointer where none may be.
    #[error("compression pointer where none may be")]
    Compressed,
    /// Octets after the root label.
    #[error("octets after the end of the name")]
    TrailingOctets,
}

/// Reads `text`; a name without a final dot is completed with `origin`. `@` alone is not special
/// here, and the empty text is an error.
pub(super) fn parse(text: &[u8], origin: NameRef<'_>) -> Result<Name, NameError> {
    if text == b"." {
        return Ok(Name::root());
    }
    let mut wire = Vec::with_capacity(text.len() + 1 + origin.wire_len());
    let mut rest = text;
    let mut absolute = false;
    while !rest.is_empty() {
        let label = wire.len();
        wire.push(0);
        absolute = read_label(&mut rest, &mut wire)?;
        let length = wire.len() - label - 1;
        wire[label] = match length {
            0 => return Err(NameError::EmptyLabel),
            1..=MAX_LABEL => length as u8,
            _ => return Err(NameError::LabelTooLong),
        };
        if wire.len() >= MAX_NAME {
            return Err(NameError::TooLong);
        }
    }
    match (absolute, wire.is_empty()) {
        (_, true) => return Err(NameError::EmptyLabel),
        (true, _) => wire.push(0),
        (false, _) => wire.extend_from_slice(origin.wire()),
    }
    Name::from_wire(&wire)
}

/// Appends one label's octets; tells whether a dot ended it.
fn read_label(rest: &mut &[u8], wire: &mut Vec<u8>) -> Result<bool, NameError> {
    while let Some((&octet, tail)) = rest.split_first() {
        *rest = tail;
        match octet {
            b'.' => return Ok(true),
            b'\\' => wire.push(read_escape(rest)?),
            0x21..=0x7e => wire.push(octet),
            _ => return Err(NameError::BadCharacter),
        }
    }
    Ok(false)
}

fn read_escape(rest: &mut &[u8]) -> Result<u8, NameError> {
    match **rest {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ..] => {
            *rest = &rest[3..];
            let value = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
            u8::try_from(value).map_err(|_| NameError::BadEscape)
        }
        [b'0'..=b'9', ..] => Err(NameError::BadEscape),
        [octet @ 0x20..=0x7e, ..] => {
            *rest = &rest[1..];
            Ok(octet)
        }
        _ => Err(NameError::BadEscape),
    }
}

/// Writes a form that [`parse`] and every master file parser read back to the same octets.
pub(super) fn write(name: NameRef<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use fmt::Write;
    if name.is_root() {
        return f.write_char('.');
    }
    for label in name.labels() {
        for &octet in label {
            match octet {
                b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
                    write!(f, "\\{}", char::from(octet))?;
                }
                0x21..=0x7e => f.write_char(char::from(octet))?,
                _ => write!(f, "\\{octet:03}")?,
            }
        }
        f.write_char('.')?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc1035_5_1_escapes() {
        let name: Name = "a\\.b\\032\\\\.c".parse().unwrap();
        assert_eq!(name.wire(), b"\x05a.b \\\x01c\x00");
        assert_eq!(name.to_string(), "a\\.b\\032\\\\.c.");
        for bad in ["a\\", "\\25", "\\256", "\\1x3"] {
            assert_eq!(bad.parse::<Name>(), Err(NameError::BadEscape), "{bad}");
        }
        for bad in ["", "..", ".a", "a..b", "a.."] {
            assert_eq!(bad.parse::<Name>(), Err(NameError::EmptyLabel), "{bad}");
        }
        for bad in ["a b", "é.example", "a\u{7f}"] {
            assert_eq!(bad.parse::<Name>(), Err(NameError::BadCharacter), "{bad}");
        }
    }

    #[test]
    fn relative_names_take_the_origin() {
        let origin: Name = "Example".parse().unwrap();
        assert_eq!(Name::from_text("www", &origin).unwrap().to_string(), "www.Example.");
        assert_eq!(Name::from_text("www.", &origin).unwrap().to_string(), "www.");
        assert_eq!(Name::from_text(".", &origin).unwrap(), Name::root());
    }

    #[test]
    fn every_octet_survives_text() {
        for octet in 0..=255u8 {
            let name = Name::from_wire(&[2, octet, b'x', 0]).unwrap();
            let back: Name = name.to_string().parse().unwrap();
            assert_eq!(back.wire(), name.wire());
        }
    }

    #[test]
    fn limits_hold_in_text() {
        let label = "a".repeat(63);
        assert!(label.parse::<Name>().is_ok());
        assert_eq!(format!("{label}a").parse::<Name>(), Err(NameError::LabelTooLong));
        let long = format!("{label}.{label}.{label}.{}", "b".repeat(61));
        assert_eq!(long.parse::<Name>().unwrap().wire().len(), MAX_NAME);
        assert_eq!(format!("{long}b").parse::<Name>(), Err(NameError::TooLong));
    }
}
