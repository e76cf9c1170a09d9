//! What holds beyond the shape of a type's data.

use super::params;
use crate::name::NameRef;
use crate::rr::Rtype;

/// The rule that well-shaped octets break.
pub(super) fn broken(rtype: Rtype, octets: &[u8]) -> Option<&'static str> {
    match rtype {
        Rtype::DS | Rtype::TA | Rtype::DLV => digest(octets),
        // RFC 8078 §4: algorithm 0 asks for the removal of all DS records, with a digest of zero.
        Rtype::CDS => match octets {
            [_, _, 0, _, digest @ ..] => {
                (*digest != [0]).then_some("algorithm 0 deletes, and goes with the digest 00")
            }
            _ => digest(octets),
        },
        Rtype::CDNSKEY => match octets {
            [_, _, _, 0, key @ ..] => {
                (*key != [0]).then_some("algorithm 0 deletes, and goes with the key AA==")
            }
            _ => None,
        },
        Rtype::SSHFP => match octets {
            [_, 1, fingerprint @ ..] => {
                length(fingerprint, 20, "a SHA-1 fingerprint has 20 octets")
            }
            [_, 2, fingerprint @ ..] => {
                length(fingerprint, 32, "a SHA-256 fingerprint has 32 octets")
            }
            _ => None,
        },
        Rtype::TLSA | Rtype::SMIMEA => match octets {
            [_, _, 1, data @ ..] => length(data, 32, "a SHA-256 hash has 32 octets"),
            [_, _, 2, data @ ..] => length(data, 64, "a SHA-512 hash has 64 octets"),
            _ => None,
        },
        Rtype::ZONEMD => match octets {
            [_, _, _, _, _, 1, digest @ ..] => length(digest, 48, "a SHA-384 digest has 48 octets"),
            [_, _, _, _, _, 2, digest @ ..] => length(digest, 64, "a SHA-512 digest has 64 octets"),
            [_, _, _, _, _, _, digest @ ..] => {
                (digest.len() < 12).then_some("a digest has at least 12 octets")
            }
            _ => None,
        },
        // RFC 2535 §3.1.2: these two bits say that there is no key.
        Rtype::KEY => match octets {
            [flags, _, _, _, key @ ..] => {
                let none = flags & 0xc0 == 0xc0;
                (none != key.is_empty()).then_some("a key is there exactly if the flags say so")
            }
            _ => None,
        },
        Rtype::DHCID => (octets.len() < 3).then_some("a DHCID has at least three octets"),
        Rtype::SVCB | Rtype::HTTPS => {
            let (_, rest) = octets.split_first_chunk::<2>()?;
            let target = NameRef::parse(rest).ok()?;
            params::broken(&rest[target.wire_len()..])
        }
        _ => None,
    }
}

/// DS and its like: the digest is as long as its type says, where that is known.
fn digest(octets: &[u8]) -> Option<&'static str> {
    match octets {
        [_, _, _, 1, digest @ ..] => length(digest, 20, "a SHA-1 digest has 20 octets"),
        [_, _, _, 2, digest @ ..] => length(digest, 32, "a SHA-256 digest has 32 octets"),
        [_, _, _, 3, digest @ ..] => length(digest, 32, "a GOST digest has 32 octets"),
        [_, _, _, 4, digest @ ..] => length(digest, 48, "a SHA-384 digest has 48 octets"),
        _ => None,
    }
}

fn length(octets: &[u8], wanted: usize, rule: &'static str) -> Option<&'static str> {
    (octets.len() != wanted).then_some(rule)
}
