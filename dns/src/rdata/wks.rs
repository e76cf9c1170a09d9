//! Well-known services (WKS, RFC 1035 §3.4.2): address, protocol, a bit for each port.

use super::address;
use super::cursor::Cursor;
use super::number;
use crate::zonefile::Fault;
use std::collections::BTreeSet;
use std::fmt;

/// Octets before the bits.
const HEAD: usize = 5;
/// Octets of bits for all ports.
const MAX_BITS: usize = 8_192;

/// Protocols by their names of RFC 1010.
const PROTOCOLS: [(&str, u8); 2] = [("tcp", 6), ("udp", 17)];
/// Services that files of that time have by name (RFC 1010); all others are numbers.
const SERVICES: [(&str, u16); 16] = [
    ("echo", 7),
    ("discard", 9),
    ("systat", 11),
    ("daytime", 13),
    ("ftp-data", 20),
    ("ftp", 21),
    ("telnet", 23),
    ("smtp", 25),
    ("time", 37),
    ("nameserver", 42),
    ("domain", 53),
    ("tftp", 69),
    ("finger", 79),
    ("sunrpc", 111),
    ("nntp", 119),
    ("ntp", 123),
];

pub(super) fn read(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    out.extend_from_slice(&address::read_ip4(cursor)?.octets());
    let token = cursor.word("a protocol")?;
    let protocol = find(&PROTOCOLS, token.word())
        .or_else(|| u8::try_from(number::decimal(token.word())?).ok())
        .ok_or_else(|| {
            let message = format!("{} is not a protocol", token.show());
            Fault::new(token, message, "write TCP, UDP or a number from 0 to 255")
        })?;
    out.push(protocol);
    let mut ports = BTreeSet::new();
    while !cursor.is_empty() {
        let token = cursor.word("a port")?;
        let port = find(&SERVICES, token.word())
            .or_else(|| u16::try_from(number::decimal(token.word())?).ok())
            .ok_or_else(|| {
                let message = format!("{} is not a port", token.show());
                Fault::new(token, message, "write a number from 0 to 65535")
            })?;
        ports.insert(port);
    }
    let mut bits = vec![0u8; ports.last().map_or(0, |&last| usize::from(last) / 8 + 1)];
    for port in ports {
        bits[usize::from(port) / 8] |= 0x80 >> (port % 8);
    }
    out.extend(bits);
    Ok(())
}

fn find<T: Copy>(known: &[(&str, T)], text: &str) -> Option<T> {
    known.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|&(_, number)| number)
}

/// The bits end with the last that is set: else two texts would be the same.
pub(super) fn len(octets: &[u8]) -> Option<usize> {
    let (_, bits) = octets.split_first_chunk::<HEAD>()?;
    (bits.len() <= MAX_BITS && bits.last() != Some(&0)).then_some(octets.len())
}

pub(super) fn show(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(([a, b, c, d, protocol], bits)) = octets.split_first_chunk::<HEAD>() else {
        return Ok(());
    };
    write!(f, "{a}.{b}.{c}.{d} {protocol}")?;
    for (at, octet) in bits.iter().enumerate() {
        for bit in (0..8).filter(|bit| octet & 0x80 >> bit != 0) {
            write!(f, " {}", at * 8 + bit)?;
        }
    }
    Ok(())
}
