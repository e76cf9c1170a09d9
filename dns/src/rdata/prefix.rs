//! Parts of addresses: lists of prefixes (APL, RFC 3123) and what stands behind one (A6, RFC 2874).

use super::address;
use super::cursor::Cursor;
use super::number;
use crate::name::NameRef;
use crate::zonefile::{Fault, Token};
use std::fmt;
use std::net::IpAddr;

/// Numbers of address families (RFC 3123 §4).
const IPV4: u16 = 1;
const IPV6: u16 = 2;
/// The bit beside the length of an address that turns its meaning around.
const NEGATED: u8 = 0x80;
/// Bits of an IPv6 address.
const A6_BITS: u8 = 128;

/// One item of APL: family, bits of the prefix, length, octets without the zeros at their end.
struct Item<'a> {
    prefix: u8,
    negated: bool,
    address: IpAddr,
    octets: &'a [u8],
}

/// Reads items `[!]FAMILY:ADDRESS/BITS` up to the end of the data.
pub(super) fn read_apl(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    while !cursor.is_empty() {
        let token = cursor.word("a prefix")?;
        put(token, out).ok_or_else(|| {
            let message = format!("{} is not a prefix", token.show());
            Fault::new(token, message, "as in 1:192.0.2.0/24, !1:192.0.2.7/32, 2:2001:db8::/32")
        })?;
    }
    Ok(())
}

fn put(token: &Token<'_>, out: &mut Vec<u8>) -> Option<()> {
    let text = token.word();
    let (negated, text) = text.strip_prefix('!').map_or((false, text), |text| (true, text));
    let (family, text) = text.split_once(':')?;
    let (address, prefix) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let (number, octets, most) = match &address {
        IpAddr::V4(address) => (IPV4, &address.octets()[..], 32),
        IpAddr::V6(address) => (IPV6, &address.octets()[..], 128),
    };
    let prefix = number::decimal(prefix).filter(|&prefix| prefix <= most)?;
    if number::decimal(family)? != u64::from(number) {
        return None;
    }
    let used = octets.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
    out.extend_from_slice(&number.to_be_bytes());
    out.push(prefix as u8);
    out.push(used as u8 | if negated { NEGATED } else { 0 });
    out.extend_from_slice(&octets[..used]);
    Some(())
}

/// The item at the start of `octets`.
fn item(octets: &[u8]) -> Option<Item<'_>> {
    let [f0, f1, prefix, length, rest @ ..] = octets else { return None };
    let used = rest.get(..usize::from(length & !NEGATED))?;
    let (address, most) = match u16::from_be_bytes([*f0, *f1]) {
        IPV4 => (IpAddr::from(filled::<4>(used)?), 32),
        IPV6 => (IpAddr::from(filled::<16>(used)?), 128),
        _ => return None,
    };
    let shortest = used.last() != Some(&0);
    (shortest && *prefix <= most).then_some(Item {
        prefix: *prefix,
        negated: length & NEGATED != 0,
        address,
        octets: &octets[..4 + used.len()],
    })
}

/// Octets with zeros at their end; `None` if there are too many.
fn filled<const N: usize>(octets: &[u8]) -> Option<[u8; N]> {
    let mut all = [0; N];
    all.get_mut(..octets.len())?.copy_from_slice(octets);
    Some(all)
}

pub(super) fn len_apl(octets: &[u8]) -> Option<usize> {
    let mut rest = octets;
    while !rest.is_empty() {
        rest = &rest[item(rest)?.octets.len()..];
    }
    Some(octets.len())
}

pub(super) fn show_apl(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut rest = octets;
    while let Some(item) = item(rest) {
        let separator = if rest.len() < octets.len() { " " } else { "" };
        let sign = if item.negated { "!" } else { "" };
        let family = if item.address.is_ipv4() { IPV4 } else { IPV6 };
        write!(f, "{separator}{sign}{family}:{}/{}", item.address, item.prefix)?;
        rest = &rest[item.octets.len()..];
    }
    Ok(())
}

/// Reads `BITS ADDRESS NAME`: without bits there is no name, with 128 no address.
pub(super) fn read_a6(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let prefix = number::read(cursor, u64::from(A6_BITS))? as u8;
    out.push(prefix);
    if prefix < A6_BITS {
        let octets = address::read_ip6(cursor)?.octets();
        let (before, suffix) = octets.split_at(usize::from(prefix) / 8);
        // What is before the suffix is not sent: a bit there would be lost.
        if before.iter().any(|&octet| octet != 0) || !is_clear_before(prefix, suffix) {
            let help = "only bits behind the prefix may be set";
            return Err(Fault::at(cursor.place(), "the address has bits in its prefix", help));
        }
        out.extend_from_slice(suffix);
    }
    if prefix > 0 {
        out.extend_from_slice(
            cursor.word("the name with the prefix")?.name(cursor.origin())?.wire(),
        );
    }
    Ok(())
}

/// Whether the bits of the first octet that belong to the prefix are zero.
fn is_clear_before(prefix: u8, suffix: &[u8]) -> bool {
    suffix.first().is_none_or(|&first| u16::from(first) < 0x100 >> (prefix % 8))
}

pub(super) fn len_a6(octets: &[u8]) -> Option<usize> {
    let (&prefix, rest) = octets.split_first()?;
    let suffix = usize::from(A6_BITS.checked_sub(prefix)?).div_ceil(8);
    let (suffix, rest) = rest.split_at_checked(suffix)?;
    let name = if prefix > 0 { NameRef::parse(rest).ok()?.wire_len() } else { 0 };
    is_clear_before(prefix, suffix).then_some(1 + suffix.len() + name)
}

pub(super) fn show_a6(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some((&prefix, rest)) = octets.split_first() else { return Ok(()) };
    let length = usize::from(A6_BITS.saturating_sub(prefix)).div_ceil(8);
    let (suffix, name) = rest.split_at(length);
    write!(f, "{prefix}")?;
    if prefix < A6_BITS {
        let mut all = [0; 16];
        all[16 - length..].copy_from_slice(suffix);
        write!(f, " {}", std::net::Ipv6Addr::from(all))?;
    }
    if prefix > 0
        && let Ok(name) = NameRef::parse(name)
    {
        write!(f, " {name}")?;
    }
    Ok(())
}
