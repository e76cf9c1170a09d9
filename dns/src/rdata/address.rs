//! Addresses that are one word: of IP, of links, of nodes, and those of OSI and ATM.

use super::cursor::Cursor;
use super::encode;
use crate::zonefile::{Fault, Token};
use std::fmt::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) fn read_ip4(cursor: &mut Cursor<'_>) -> Result<Ipv4Addr, Fault> {
    let token = cursor.word("an IPv4 address")?;
    token.word().parse().map_err(|_| not_ip(token, "IPv4", "as in 192.0.2.1"))
}

pub(super) fn read_ip6(cursor: &mut Cursor<'_>) -> Result<Ipv6Addr, Fault> {
    let token = cursor.word("an IPv6 address")?;
    token.word().parse().map_err(|_| not_ip(token, "IPv6", "as in 2001:db8::1"))
}

fn not_ip(token: &Token<'_>, family: &str, example: &'static str) -> Fault {
    Fault::new(token, format!("{} is not an {family} address", token.show()), example)
}

pub(super) fn ip4(octets: &[u8]) -> Option<Ipv4Addr> {
    octets.first_chunk::<4>().map(|&octets| octets.into())
}

pub(super) fn ip6(octets: &[u8]) -> Option<Ipv6Addr> {
    octets.first_chunk::<16>().map(|&octets| octets.into())
}

/// Reads `N` octets of two hexadecimal digits with hyphens between (RFC 7043 §3.2, §4.2).
pub(super) fn read_eui<const N: usize>(
    cursor: &mut Cursor<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let token = cursor.word("hexadecimal octets with hyphens between")?;
    let parts: Vec<&[u8]> = token.text.split(|&octet| octet == b'-').collect();
    let pairs = parts.len() == N && parts.iter().all(|part| part.len() == 2);
    if pairs && encode::unhex(&parts.concat(), out).is_some() {
        return Ok(());
    }
    let message = format!("{} is not {N} octets with hyphens between", token.show());
    Err(Fault::new(token, message, "as in 00-00-5e-00-53-2a"))
}

pub(super) fn show_eui(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, octet) in octets.iter().enumerate() {
        write!(f, "{}{octet:02x}", if i > 0 { "-" } else { "" })?;
    }
    Ok(())
}

/// Reads four groups of up to four hexadecimal digits with colons between (RFC 6742 §2.1.2).
pub(super) fn read_groups(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let token = cursor.word("four groups of hexadecimal digits")?;
    let group = |text: &str| {
        let digits = (1..=4).contains(&text.len()) && text.bytes().all(|d| d.is_ascii_hexdigit());
        if digits { u16::from_str_radix(text, 16).ok() } else { None }
    };
    let groups: Option<Vec<u16>> = token.word().split(':').map(group).collect();
    let Some([a, b, c, d]) = groups.as_deref() else {
        let message = format!("{} is not four groups of hexadecimal digits", token.show());
        return Err(Fault::new(token, message, "as in 14:4fff:ff20:ee64"));
    };
    out.extend([a, b, c, d].into_iter().flat_map(|group| group.to_be_bytes()));
    Ok(())
}

pub(super) fn show_groups(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, group) in octets.as_chunks::<2>().0.iter().enumerate() {
        write!(f, "{}{:x}", if i > 0 { ":" } else { "" }, u16::from_be_bytes(*group))?;
    }
    Ok(())
}

/// Reads `0x` and hexadecimal digits, with dots wherever one likes (RFC 1706 §7).
pub(super) fn read_nsap(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let token = cursor.word("an NSAP address")?;
    let prefix = token.text.split_first_chunk::<2>();
    let digits = prefix.filter(|(prefix, _)| prefix.eq_ignore_ascii_case(b"0x"));
    digits.and_then(|(_, digits)| dotted(digits, out)).ok_or_else(|| {
        let message = format!("{} is not an NSAP address", token.show());
        Fault::new(token, message, "write 0x and pairs of hexadecimal digits")
    })
}

pub(super) fn show_nsap(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("0x")?;
    encode::show_hex(octets, f)
}

/// At least one octet of hexadecimal digits that may have dots between.
fn dotted(digits: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let digits: Vec<u8> = digits.iter().copied().filter(|&octet| octet != b'.').collect();
    if digits.is_empty() { None } else { encode::unhex(&digits, out) }
}

/// Format octets of ATM addresses: an OSI address, or a telephone number.
const AESA: u8 = 0;
const E164: u8 = 1;

/// Reads an ATM address (ATM Forum AF-SAA-0069): `+` and a telephone number, or hexadecimal digits;
/// dots may stand anywhere.
pub(super) fn read_atma(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let token = cursor.word("an ATM address")?;
    let good = if let Some(number) = token.text.strip_prefix(b"+") {
        out.push(E164);
        out.extend(number.iter().copied().filter(|&octet| octet != b'.'));
        is_telephone(&out[out.len().min(1)..]).then_some(())
    } else {
        out.push(AESA);
        dotted(token.text, out)
    };
    good.ok_or_else(|| {
        let message = format!("{} is not an ATM address", token.show());
        Fault::new(token, message, "write + and a telephone number, or hexadecimal digits")
    })
}

fn is_telephone(digits: &[u8]) -> bool {
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

pub(super) fn len_atma(octets: &[u8]) -> Option<usize> {
    let well_formed = match octets {
        [AESA, address @ ..] => !address.is_empty(),
        [E164, digits @ ..] => is_telephone(digits),
        _ => false,
    };
    well_formed.then_some(octets.len())
}

pub(super) fn show_atma(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match octets {
        [E164, digits @ ..] => {
            f.write_str("+")?;
            digits.iter().try_for_each(|&digit| f.write_char(char::from(digit)))
        }
        [_, address @ ..] => encode::show_hex(address, f),
        [] => Ok(()),
    }
}
