//! Host identities (HIP, RFC 8005 §5): lengths stand before what they are the lengths of.
//!
//! ```text
//!  text: algorithm, HIT in hexadecimal, key in base64, rendezvous servers
//!  wire: length of HIT (1), algorithm (1), length of key (2), HIT, key, rendezvous servers
//! ```

use super::cursor::Cursor;
use super::encode;
use super::number;
use crate::zonefile::Fault;
use std::fmt;

/// Octets before the HIT.
const HEAD: usize = 4;

/// Reads everything but the names.
pub(super) fn read(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let algorithm = number::read(cursor, u64::from(u8::MAX))? as u8;
    let token = cursor.word("a host identity tag")?;
    let mut hit = Vec::new();
    let hit_len = encode::unhex(token.text, &mut hit)
        .and_then(|()| u8::try_from(hit.len()).ok())
        .filter(|&length| length > 0)
        .ok_or_else(|| {
            let message = format!("{} is not a host identity tag", token.show());
            Fault::new(token, message, "write up to 255 octets in hexadecimal digits")
        })?;
    let key = encode::read_base64_word(cursor)?;
    let key_len = u16::try_from(key.len()).ok().filter(|&length| length > 0).ok_or_else(|| {
        Fault::at(cursor.place(), "the key is empty or too long", "write it in base64")
    })?;
    out.extend_from_slice(&[hit_len, algorithm]);
    out.extend_from_slice(&key_len.to_be_bytes());
    out.extend(hit);
    out.extend(key);
    Ok(())
}

/// HIT and key.
fn split(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let ([hit, _, k0, k1], rest) = octets.split_first_chunk::<HEAD>()?;
    let (hit, rest) = rest.split_at_checked(usize::from(*hit))?;
    let key = rest.get(..usize::from(u16::from_be_bytes([*k0, *k1])))?;
    (!hit.is_empty() && !key.is_empty()).then_some((hit, key))
}

pub(super) fn len(octets: &[u8]) -> Option<usize> {
    split(octets).map(|(hit, key)| HEAD + hit.len() + key.len())
}

pub(super) fn show(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some((hit, key)) = split(octets) else { return Ok(()) };
    write!(f, "{} ", octets[1])?;
    encode::show_hex(hit, f)?;
    f.write_str(" ")?;
    encode::show_base64(key, f)
}
