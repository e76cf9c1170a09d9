//! Skipping over records without reading them.

use super::HEADER_LEN;
use crate::name::{MAX_LABEL, MAX_LABELS, MAX_NAME, Name};
use arrayvec::ArrayVec;

/// Pointers followed in one name. One per label is the most that makes sense; pointers that only
/// lead to pointers would make reading cost more than the message's length times a name's.
const MAX_POINTERS: usize = MAX_LABELS;

/// The fixed parts of one record inside a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    /// Where the record starts.
    pub(super) start: usize,
    /// Whether the owner is the root, written as a single zero octet.
    pub(super) at_root: bool,
    pub(crate) rtype: u16,
    pub(crate) class: u16,
    pub(crate) ttl: u32,
    pub(crate) rdata: &'a [u8],
    /// Where the next record starts.
    pub(crate) end: usize,
}

/// Reads the record at `start`; `None` if it is malformed or reaches past the message.
pub(crate) fn record(bytes: &[u8], start: usize) -> Option<Record<'_>> {
    let fixed_at = name_end(bytes, start)?;
    let (fixed, rest) = bytes.get(fixed_at..)?.split_first_chunk::<10>()?;
    let [t0, t1, c0, c1, l0, l1, l2, l3, r0, r1] = *fixed;
    let rdata = rest.get(..usize::from(u16::from_be_bytes([r0, r1])))?;
    Some(Record {
        start,
        at_root: fixed_at == start + 1,
        rtype: u16::from_be_bytes([t0, t1]),
        class: u16::from_be_bytes([c0, c1]),
        ttl: u32::from_be_bytes([l0, l1, l2, l3]),
        rdata,
        end: fixed_at + 10 + rdata.len(),
    })
}

/// The name at `start`, uncompressed; `None` if it is malformed.
pub(crate) fn name(bytes: &[u8], start: usize) -> Option<Name> {
    Name::from_wire(&name_octets(bytes, start)?).ok()
}

/// The wire form of the name at `start`, uncompressed; `None` if it is malformed.
pub(crate) fn name_octets(bytes: &[u8], start: usize) -> Option<ArrayVec<u8, MAX_NAME>> {
    name_end(bytes, start)?;
    let (mut at, mut wire) = (start, ArrayVec::new());
    loop {
        // It was walked before: every pointer leads back and there is an end.
        let length = usize::from(*bytes.get(at)?);
        if length > MAX_LABEL {
            at = (length & 0x3f) << 8 | usize::from(*bytes.get(at + 1)?);
            continue;
        }
        wire.try_extend_from_slice(bytes.get(at..=at + length)?).ok()?;
        if length == 0 {
            return Some(wire);
        }
        at += 1 + length;
    }
}

/// Where the name at `start` ends. Pointers must go back, each before the part of the name that
/// holds it, so a chain of them ends (RFC 1035 §4.1.4: "a prior occurrence"), and there are at most
/// [`MAX_POINTERS`]; the name they make must not exceed 255 octets.
pub(crate) fn name_end(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut part, mut total, mut pointers) = (start, start, 1, 0);
    let mut end = None;
    loop {
        let length = usize::from(*bytes.get(at)?);
        match length {
            0 => return Some(end.unwrap_or(at + 1)),
            1..=MAX_LABEL => {
                total += 1 + length;
                if total > MAX_NAME {
                    return None;
                }
                at += 1 + length;
            }
            0xc0.. => {
                let target = (length & 0x3f) << 8 | usize::from(*bytes.get(at + 1)?);
                pointers += 1;
                if target >= part || target < HEADER_LEN || pointers > MAX_POINTERS {
                    return None;
                }
                end.get_or_insert(at + 2);
                (at, part) = (target, target);
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message that holds `names` after an empty header; the end of the name at `start`.
    fn end(names: &[u8], start: usize) -> Option<usize> {
        let mut bytes = vec![0; HEADER_LEN];
        bytes.extend_from_slice(names);
        name_end(&bytes, HEADER_LEN + start).map(|end| end - HEADER_LEN)
    }

    #[test]
    fn rfc1035_4_1_4_pointers_go_back() {
        assert_eq!(end(b"\x01a\x00\x01b\xc0\x0c", 3), Some(7));
        assert_eq!(end(b"\x01a\x00\xc0\x0c\xc0\x0f", 5), Some(7));
        assert_eq!(end(b"\x01a\x00", 0), Some(3));
        // to itself, to the part that holds it, forward, into the header
        assert_eq!(end(b"\xc0\x0c", 0), None);
        assert_eq!(end(b"\x01a\xc0\x0c", 0), None);
        assert_eq!(end(b"\xc0\x0e\x00", 0), None);
        assert_eq!(end(b"\x01a\xc0\x00", 0), None);
        // two that point at each other
        assert_eq!(end(b"\x01a\xc0\x10\x01b\xc0\x0c", 4), None);
        // cut, and the two label types that never were
        assert_eq!(end(b"\x01a\xc0", 0), None);
        assert_eq!(end(b"\x01", 0), None);
        assert_eq!(end(b"\x40a\x00", 0), None);
        assert_eq!(end(b"\x80a\x00", 0), None);
    }

    #[test]
    fn names_are_put_together() {
        let mut bytes = vec![0; HEADER_LEN];
        bytes.extend_from_slice(b"\x03Org\x00\x01a\xc0\x0c\x01b\xc0\x11");
        let read = |start: usize| name(&bytes, HEADER_LEN + start).map(|name| name.to_string());
        assert_eq!(read(9).as_deref(), Some("b.a.Org."));
        assert_eq!(read(5).as_deref(), Some("a.Org."));
        assert_eq!(read(8), None, "a label past the end");
    }

    #[test]
    fn pointers_to_pointers_are_bounded() {
        let mut names = vec![0];
        for i in 0..200u16 {
            let target = if i == 0 { 12 } else { 13 + 2 * (i - 1) };
            names.extend_from_slice(&(0xc000 | target).to_be_bytes());
        }
        let start = |pointers: usize| 1 + 2 * (pointers - 1);
        assert_eq!(end(&names, start(MAX_POINTERS)), Some(start(MAX_POINTERS) + 2));
        assert_eq!(end(&names, start(MAX_POINTERS + 1)), None);
    }

    #[test]
    fn a_name_of_pointers_may_not_exceed_255_octets() {
        let mut names = Vec::new();
        for _ in 0..3 {
            names.push(63);
            names.extend_from_slice(&[b'a'; 63]);
        }
        names.push(0);
        let pointed = names.len();
        names.push(61);
        names.extend_from_slice(&[b'b'; 61]);
        names.extend_from_slice(b"\xc0\x0c");
        assert_eq!(end(&names, pointed), Some(names.len()));
        names[pointed] = 62;
        names.insert(pointed + 1, b'b');
        assert_eq!(end(&names, pointed), None);
    }
}
