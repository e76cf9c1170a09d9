//! Sets of record types: the windows of NSEC (RFC 4034 §4.1.2) and the flat bitmap of NXT.

use super::cursor::Cursor;
use crate::rr::Rtype;
use crate::zonefile::Fault;
use std::collections::BTreeSet;
use std::fmt;

/// Octets of the bitmap of one window, and of NXT's only one.
const MAX_BITMAP: usize = 32;
/// NXT knows types up to 127 (RFC 2535 §5.2).
const MAX_NXT: u16 = 127;

/// Reads one type.
pub(super) fn read_one(cursor: &mut Cursor<'_>) -> Result<Rtype, Fault> {
    let token = cursor.word("a record type")?;
    token.word().parse().map_err(|_| {
        let message = format!("{} is not a record type", token.show());
        Fault::new(token, message, "unknown types are written TYPE65280")
    })
}

/// Reads types up to the end of the data.
fn read_set(cursor: &mut Cursor<'_>, may_be_empty: bool) -> Result<BTreeSet<Rtype>, Fault> {
    let mut set = BTreeSet::new();
    if !may_be_empty {
        set.insert(read_one(cursor)?);
    }
    while !cursor.is_empty() {
        set.insert(read_one(cursor)?);
    }
    Ok(set)
}

/// Reads types into windows.
pub(super) fn read(
    cursor: &mut Cursor<'_>,
    may_be_empty: bool,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let set = read_set(cursor, may_be_empty)?;
    let types: Vec<Rtype> = set.into_iter().collect();
    for window in types.chunk_by(|a, b| a.0 >> 8 == b.0 >> 8) {
        let bitmap = bitmap(window.iter().map(|rtype| rtype.0 as u8));
        out.extend_from_slice(&[(window[0].0 >> 8) as u8, bitmap.len() as u8]);
        out.extend_from_slice(&bitmap);
    }
    Ok(())
}

/// A bit for each number, up to the last octet that has one.
fn bitmap(numbers: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut bits = [0u8; MAX_BITMAP];
    let mut used = 0;
    for number in numbers {
        let at = usize::from(number / 8);
        bits[at] |= 0x80 >> (number % 8);
        used = used.max(at + 1);
    }
    bits[..used].to_vec()
}

/// The numbers of the bits that are set.
fn numbers(bitmap: &[u8]) -> impl Iterator<Item = u16> {
    let bits = (0u16..).zip(bitmap).flat_map(|(at, octet)| (0..8).map(move |bit| (at, octet, bit)));
    bits.filter(|(_, octet, bit)| *octet & 0x80 >> bit != 0).map(|(at, _, bit)| at * 8 + bit)
}

/// The window at the start of `octets`: its number and its bitmap.
fn window(octets: &[u8]) -> Option<(u8, &[u8])> {
    let [number, length, rest @ ..] = octets else { return None };
    let bitmap = rest.get(..usize::from(*length))?;
    let well_formed = bitmap.len() <= MAX_BITMAP && bitmap.last().is_some_and(|&last| last != 0);
    well_formed.then_some((*number, bitmap))
}

/// All octets are windows in ascending order, without octets of zeros at their ends.
pub(super) fn len(octets: &[u8], may_be_empty: bool) -> Option<usize> {
    let (mut rest, mut before) = (octets, None);
    while !rest.is_empty() {
        let (number, bitmap) = window(rest)?;
        if before.is_some_and(|before| number <= before) {
            return None;
        }
        before = Some(number);
        rest = &rest[2 + bitmap.len()..];
    }
    (may_be_empty || !octets.is_empty()).then_some(octets.len())
}

pub(super) fn show(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (mut rest, mut separator) = (octets, "");
    while let Some((number, bitmap)) = window(rest) {
        for low in numbers(bitmap) {
            write!(f, "{separator}{}", Rtype(u16::from(number) << 8 | low))?;
            separator = " ";
        }
        rest = &rest[2 + bitmap.len()..];
    }
    Ok(())
}

/// Reads the types of an NXT record.
pub(super) fn read_nxt(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let set = read_set(cursor, false)?;
    match set.last() {
        Some(last) if last.0 > MAX_NXT => {
            let help = "NXT knows types up to 127: use NSEC";
            Err(Fault::at(cursor.place(), format!("{last} in an NXT record"), help))
        }
        _ => {
            out.extend(bitmap(set.iter().map(|rtype| rtype.0 as u8)));
            Ok(())
        }
    }
}

pub(super) fn len_nxt(octets: &[u8]) -> Option<usize> {
    let most = usize::from(MAX_NXT / 8) + 1;
    let well_formed = octets.len() <= most && octets.last().is_some_and(|&last| last != 0);
    well_formed.then_some(octets.len())
}

pub(super) fn show_nxt(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, number) in numbers(octets).enumerate() {
        write!(f, "{}{}", if i > 0 { " " } else { "" }, Rtype(number))?;
    }
    Ok(())
}
