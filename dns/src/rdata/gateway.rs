//! A relay or gateway whose form a number before it tells: IPSECKEY (RFC 4025) and AMTRELAY
//! (RFC 8777).
//!
//! ```text
//!  IPSECKEY  10     1    2         192.0.2.38  AQNRU3mG…    wire: precedence, type, algorithm, gateway
//!            │      │    └ algorithm └ gateway, then the key
//!            └ precedence
//!                   └ type: 0 none (.), 1 IPv4, 2 IPv6, 3 name
//!  AMTRELAY  10   0   1    203.0.113.15                     wire: precedence, D and type, relay
//!                 └ discovery is optional
//! ```

use super::address;
use super::cursor::Cursor;
use super::number;
use crate::name::NameRef;
use crate::zonefile::Fault;
use std::fmt;

/// The largest type of which the form is known.
const MAX_TYPE: u64 = 3;
/// AMTRELAY's D bit beside the type.
const OPTIONAL: u8 = 0x80;

pub(super) fn read_ipseckey(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    out.push(number::read(cursor, u64::from(u8::MAX))? as u8);
    let kind = read_type(cursor)?;
    out.extend_from_slice(&[kind, number::read(cursor, u64::from(u8::MAX))? as u8]);
    read(cursor, kind, out)
}

pub(super) fn read_amtrelay(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    out.push(number::read(cursor, u64::from(u8::MAX))? as u8);
    let optional = number::read(cursor, 1)? == 1;
    let kind = read_type(cursor)?;
    out.push(kind | if optional { OPTIONAL } else { 0 });
    read(cursor, kind, out)
}

fn read_type(cursor: &mut Cursor<'_>) -> Result<u8, Fault> {
    number::read(cursor, MAX_TYPE).map(|kind| kind as u8).map_err(|fault| Fault {
        help: "0: none, 1: an IPv4 address, 2: an IPv6 address, 3: a name".into(),
        ..fault
    })
}

fn read(cursor: &mut Cursor<'_>, kind: u8, out: &mut Vec<u8>) -> Result<(), Fault> {
    match kind {
        0 => {
            let token = cursor.word(". for no gateway")?;
            if token.text != b"." {
                let message = format!("{} where type 0 says that there is none", token.show());
                return Err(Fault::new(token, message, "write a dot, or another type"));
            }
        }
        1 => out.extend_from_slice(&address::read_ip4(cursor)?.octets()),
        2 => out.extend_from_slice(&address::read_ip6(cursor)?.octets()),
        _ => {
            let name = cursor.word("a name")?.name(cursor.origin())?;
            out.extend_from_slice(name.wire());
        }
    }
    Ok(())
}

/// Octets of a gateway of this type.
fn len(kind: u8, octets: &[u8]) -> Option<usize> {
    match kind {
        0 => Some(0),
        1 => address::ip4(octets).map(|_| 4),
        2 => address::ip6(octets).map(|_| 16),
        3 => NameRef::parse(octets).ok().map(NameRef::wire_len),
        _ => None,
    }
}

pub(super) fn len_ipseckey(octets: &[u8]) -> Option<usize> {
    let [_, kind, _, gateway @ ..] = octets else { return None };
    Some(3 + len(*kind, gateway)?)
}

pub(super) fn len_amtrelay(octets: &[u8]) -> Option<usize> {
    let [_, kind, relay @ ..] = octets else { return None };
    Some(2 + len(kind & !OPTIONAL, relay)?)
}

pub(super) fn show_ipseckey(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let [precedence, kind, algorithm, gateway @ ..] = octets else { return Ok(()) };
    write!(f, "{precedence} {kind} {algorithm} ")?;
    show(*kind, gateway, f)
}

pub(super) fn show_amtrelay(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let [precedence, kind, relay @ ..] = octets else { return Ok(()) };
    let (optional, kind) = (u8::from(kind & OPTIONAL != 0), kind & !OPTIONAL);
    write!(f, "{precedence} {optional} {kind} ")?;
    show(kind, relay, f)
}

fn show(kind: u8, octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match kind {
        1 => address::ip4(octets).map_or(Ok(()), |address| write!(f, "{address}")),
        2 => address::ip6(octets).map_or(Ok(()), |address| write!(f, "{address}")),
        3 => NameRef::parse(octets).map_or(Ok(()), |name| write!(f, "{name}")),
        _ => f.write_str("."),
    }
}
