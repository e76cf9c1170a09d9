//! Octets as hexadecimal digits, base32hex and base64 (RFC 4648).

use super::MAX_RDATA;
use super::cursor::Cursor;
use super::number;
use super::strings;
use crate::zonefile::{Fault, Token};
use std::fmt::{self, Write};

const BASE32: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends the octets of hexadecimal `text`; `None` if it is not that.
pub(super) fn unhex(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    for &[high, low] in pairs {
        out.push(nibble(high)? << 4 | nibble(low)?);
    }
    Some(())
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

pub(super) fn show_hex(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    octets.iter().try_for_each(|octet| write!(f, "{octet:02X}"))
}

/// Reads hexadecimal digits up to the end of the data; spaces may stand anywhere.
pub(super) fn read_hex(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    const WHAT: &str = "hexadecimal digits";
    let (text, last) = rest(cursor, WHAT, |octet| octet.is_ascii_hexdigit())?;
    unhex(&text, out).ok_or_else(|| {
        Fault::new(last, "an odd number of hexadecimal digits", "two digits make an octet")
    })
}

/// Reads base64 up to the end of the data; spaces may stand anywhere.
pub(super) fn read_base64(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let allowed = |octet: u8| BASE64.contains(&octet) || octet == b'=';
    let (text, last) = rest(cursor, "base64", allowed)?;
    unbase64(&text, out).ok_or_else(|| bad_base64(last))
}

/// Reads one word of base64.
pub(super) fn read_base64_word(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, Fault> {
    let token = cursor.word("base64")?;
    let mut out = Vec::new();
    unbase64(token.text, &mut out).ok_or_else(|| bad_base64(token))?;
    Ok(out)
}

fn bad_base64(token: &Token<'_>) -> Fault {
    let help = "its length is a multiple of four, with = at the end to fill up";
    Fault::new(token, "this is no complete base64", help)
}

/// The remaining words in one, each octet `allowed`; and the last token, to blame for the whole.
fn rest<'t>(
    cursor: &mut Cursor<'t>,
    what: &str,
    allowed: impl Fn(u8) -> bool,
) -> Result<(Vec<u8>, &'t Token<'t>), Fault> {
    let mut text = Vec::new();
    let mut last = cursor.word(what)?;
    loop {
        if let Some(bad) = last.text.iter().find(|&&octet| !allowed(octet)) {
            let bad = char::from(*bad).escape_default();
            let message = format!("{} is not {what}: {bad}", last.show());
            return Err(Fault::new(last, message, "is something missing before it?"));
        }
        text.extend_from_slice(last.text);
        if cursor.is_empty() {
            return Ok((text, last));
        }
        last = cursor.word(what)?;
    }
}

/// Appends the octets of base64 `text`; `None` if it is not that, incomplete, or has bits set that
/// belong to no octet.
pub(super) fn unbase64(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let digits = text.iter().position(|&octet| octet == b'=').unwrap_or(text.len());
    let (digits, padding) = text.split_at(digits);
    let padded = padding.len() <= 2 && padding.iter().all(|&octet| octet == b'=');
    if !padded || !text.len().is_multiple_of(4) {
        return None;
    }
    bits(digits, 6, |digit| value_in(BASE64, digit), out)
}

/// Appends what digits of `width` bits each stand for; bits that fill no octet must be zero.
fn bits(
    digits: &[u8],
    width: u32,
    value: impl Fn(u8) -> Option<u8>,
    out: &mut Vec<u8>,
) -> Option<()> {
    let (mut held, mut count) = (0u32, 0);
    for &digit in digits {
        held = held << width | u32::from(value(digit)?);
        count += width;
        if count >= 8 {
            count -= 8;
            out.push((held >> count) as u8);
            held &= (1 << count) - 1;
        }
    }
    (held == 0 && count < width).then_some(())
}

fn value_in(alphabet: &[u8], digit: u8) -> Option<u8> {
    alphabet.iter().position(|&known| known == digit).map(|value| value as u8)
}

/// Shows octets in digits of `width` bits.
fn show_bits(
    octets: &[u8],
    alphabet: &[u8],
    width: u32,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let (mut held, mut count) = (0u32, 0);
    let mut digit = |value: u32| f.write_char(char::from(alphabet[value as usize]));
    for &octet in octets {
        held = held << 8 | u32::from(octet);
        count += 8;
        while count >= width {
            count -= width;
            digit(held >> count)?;
            held &= (1 << count) - 1;
        }
    }
    if count > 0 { digit(held << (width - count)) } else { Ok(()) }
}

pub(super) fn show_base64(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    show_bits(octets, BASE64, 6, f)?;
    f.write_str(["", "==", "="][octets.len() % 3])
}

/// Reads a word of base32hex without padding, as NSEC3 has it (RFC 5155 §3.3), and appends octets
/// with their length before them.
pub(super) fn read_base32(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let token = cursor.word("base32 (digits and A to V)")?;
    let mut octets = Vec::new();
    let value = |digit: u8| value_in(BASE32, digit.to_ascii_uppercase());
    bits(token.text, 5, value, &mut octets).filter(|()| !octets.is_empty()).ok_or_else(|| {
        let help = "write digits and the letters A to V, without =";
        Fault::new(token, format!("{} is not base32", token.show()), help)
    })?;
    strings::put(token, &octets, out)
}

/// Reads a salt in hexadecimal, or `-` for none (RFC 5155 §3.3), and appends it with its length
/// before it.
pub(super) fn read_salt(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let token = cursor.word("a salt")?;
    let mut salt = Vec::new();
    if token.text != b"-" {
        unhex(token.text, &mut salt).filter(|()| !salt.is_empty()).ok_or_else(|| {
            let help = "write - for none, or pairs of hexadecimal digits";
            Fault::new(token, format!("{} is not a salt", token.show()), help)
        })?;
    }
    strings::put(token, &salt, out)
}

pub(super) fn show_salt(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match octets {
        [_, salt @ ..] if !salt.is_empty() => show_hex(salt, f),
        _ => f.write_str("-"),
    }
}

pub(super) fn show_base32(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    show_bits(octets, BASE32, 5, f)
}

/// Reads `\# LENGTH HEX` (RFC 3597 §5).
pub(super) fn read_generic(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    cursor.word("\\#")?;
    let length = number::read(cursor, MAX_RDATA as u64)?;
    let place = cursor.place();
    if length > 0 || !cursor.is_empty() {
        read_hex(cursor, out)?;
    }
    if out.len() as u64 == length {
        return Ok(());
    }
    let message = format!("the length is {length}, but {} octets follow", out.len());
    Err(Fault::at(place, message, "two hexadecimal digits make an octet"))
}

/// Shows what [`read_generic`] reads.
pub(super) fn show_generic(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "\\# {}", octets.len())?;
    if !octets.is_empty() {
        f.write_str(" ")?;
    }
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Base64<'a>(&'a [u8]);

    impl fmt::Display for Base64<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            show_base64(self.0, f)
        }
    }

    struct Base32<'a>(&'a [u8]);

    impl fmt::Display for Base32<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            show_base32(self.0, f)
        }
    }

    /// RFC 4648 §10.
    #[test]
    fn rfc4648_10_test_vectors() {
        for (octets, base64, base32) in [
            ("", "", ""),
            ("f", "Zg==", "CO"),
            ("fo", "Zm8=", "CPNG"),
            ("foo", "Zm9v", "CPNMU"),
            ("foob", "Zm9vYg==", "CPNMUOG"),
            ("fooba", "Zm9vYmE=", "CPNMUOJ1"),
            ("foobar", "Zm9vYmFy", "CPNMUOJ1E8"),
        ] {
            assert_eq!(Base64(octets.as_bytes()).to_string(), base64);
            assert_eq!(Base32(octets.as_bytes()).to_string(), base32);
            let mut back = Vec::new();
            unbase64(base64.as_bytes(), &mut back).unwrap();
            assert_eq!(back, octets.as_bytes());
        }
        for bad in ["Zg", "Zg=", "Zh==", "Z===", "=Zg=", "Zm9v=", "Z!==", "Zg==Zg=="] {
            assert_eq!(unbase64(bad.as_bytes(), &mut Vec::new()), None, "{bad}");
        }
    }
}
