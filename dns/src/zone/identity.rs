//! Which records are one (RFC 2181 §5, RFC 2136 §1.1.1): those of the same data, where names
//! compare without case (RFC 4343 §3).

use crate::name::NameRef;
use crate::rr::Rtype;
use std::borrow::Cow;
use std::ops::Range;

/// RDATA as records of a type are compared: its names in lower case.
pub(super) fn identity(rtype: Rtype, rdata: &[u8]) -> Cow<'_, [u8]> {
    match names(rtype, rdata) {
        // A label's length is at most 63, less than any letter.
        Some(names) if rdata[names.clone()].iter().any(u8::is_ascii_uppercase) => {
            let mut same = rdata.to_vec();
            same[names].make_ascii_lowercase();
            Cow::Owned(same)
        }
        _ => Cow::Borrowed(rdata),
    }
}

/// Whether two RDATA of a type are one record.
pub(crate) fn same_data(rtype: Rtype, a: &[u8], b: &[u8]) -> bool {
    identity(rtype, a) == identity(rtype, b)
}

/// Where the names in RDATA stand, for the types whose names have no case: those that were known
/// when all other types became octets (RFC 3597 §6, §7; RFC 4034 §6.2 has the list). None if malformed.
fn names(rtype: Rtype, rdata: &[u8]) -> Option<Range<usize>> {
    let start = match rtype {
        Rtype::NS
        | Rtype::MD
        | Rtype::MF
        | Rtype::CNAME
        | Rtype::MB
        | Rtype::MG
        | Rtype::MR
        | Rtype::PTR
        | Rtype::DNAME
        | Rtype::MINFO
        | Rtype::RP => 0,
        Rtype::MX | Rtype::AFSDB | Rtype::RT | Rtype::KX | Rtype::PX => 2,
        Rtype::SRV => 6,
        // Two numbers and three strings, which have a case.
        Rtype::NAPTR => (0..3).try_fold(4, |at, _| Some(at + 1 + usize::from(*rdata.get(at)?)))?,
        Rtype::SOA => {
            let mname = NameRef::parse(rdata).ok()?.wire_len();
            return Some(0..mname + NameRef::parse(&rdata[mname..]).ok()?.wire_len());
        }
        _ => return None,
    };
    (start <= rdata.len()).then_some(start..rdata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc2136_1_1_1_names_in_data_have_no_case() {
        assert!(same_data(Rtype::NS, b"\x01a\0", b"\x01A\0"));
        assert!(same_data(Rtype::MX, b"\0\x41\x01a\0", b"\0\x41\x01A\0"));
        assert!(!same_data(Rtype::MX, b"\0\x41\x01a\0", b"\0\x61\x01a\0"), "preference 65 and 97");
        assert!(same_data(Rtype::PX, b"\0\x41\x01a\0\x01b\0", b"\0\x41\x01A\0\x01B\0"));
        assert!(!same_data(Rtype::SRV, b"\0\0\0\0\0A\x01a\0", b"\0\0\0\0\0a\x01a\0"), "ports");
        assert!(!same_data(Rtype::TXT, b"\x01a", b"\x01A"));
        assert!(!same_data(Rtype(65_280), b"\x01a\0", b"\x01A\0"), "nobody knows of a name there");
    }

    #[test]
    fn strings_and_numbers_around_names_do() {
        let naptr =
            |flag: u8, name: &[u8]| [b"\0\x41\0\0\x01", &[flag][..], b"\0\0", name].concat();
        assert!(same_data(Rtype::NAPTR, &naptr(b's', b"\x01a\0"), &naptr(b's', b"\x01A\0")));
        assert!(!same_data(Rtype::NAPTR, &naptr(b's', b"\0"), &naptr(b'S', b"\0")));
        let soa =
            |name: &[u8], serial: u8| [name, b"\0\0", &[0, 0, 0, serial], &[b'a'; 16]].concat();
        assert!(same_data(Rtype::SOA, &soa(b"\x01a", 1), &soa(b"\x01A", 1)));
        assert!(!same_data(Rtype::SOA, &soa(b"\x01a", 1), &soa(b"\x01a", 2)));
        assert!(!same_data(Rtype::SOA, &soa(b"\x01a", b'a'), &soa(b"\x01a", b'A')));
    }

    #[test]
    fn malformed_data_is_compared_as_it_is() {
        for (rtype, rdata) in
            [(Rtype::MX, &b"A"[..]), (Rtype::NAPTR, b"\0\0\0\0\x40A"), (Rtype::SOA, b"\x01A")]
        {
            assert!(same_data(rtype, rdata, rdata));
            assert!(!same_data(rtype, rdata, &rdata.to_ascii_lowercase()));
        }
    }
}
