//! Service bindings with the client's own addresses in them (RFC 9460).
//!
//! ```text
//!   configured   priority │ . │ alpn port │          │ others
//!   answered     priority │ . │ alpn port │ ipv4hint │ ech │ ipv6hint │ others
//! ```
//!
//! A hint saves the client a round trip only if it is what that client would have been told had it
//! asked for A and AAAA. So hints are not written down but chosen by the same route, for the same
//! client, as its addresses are.

use arrayvec::ArrayVec;

use crate::service::MAX_BINDING;

/// The key of IPv4 addresses (RFC 9460 §7.3).
pub const IPV4HINT: u16 = 4;
/// The key of IPv6 addresses.
pub const IPV6HINT: u16 = 6;
/// Addresses of one family in a hint: enough to begin with, and no amplification.
pub const MAX_HINTS: usize = 8;

/// A parameter's key and length.
const HEAD: usize = 4;
/// Priority, and the root as the target.
const FIXED: usize = 3;
const CAPACITY: usize = MAX_BINDING + 2 * HEAD + MAX_HINTS * (4 + 16);

/// RDATA in the making, on the stack.
pub type Rdata = ArrayVec<u8, CAPACITY>;

/// Puts hints into the binding `configured` (checked when it was configured: target `.`, no hints,
/// at most [`MAX_BINDING`] octets). Keys must ascend (RFC 9460 §2.2), so each hint goes before the
/// first greater key. A family without addresses gets no hint.
pub fn with_hints<'a>(
    configured: &[u8],
    v4: impl Iterator<Item = &'a [u8]> + Clone,
    v6: impl Iterator<Item = &'a [u8]> + Clone,
) -> Rdata {
    let mut out = Rdata::new();
    let (fixed, mut rest) = configured.split_at_checked(FIXED).unwrap_or((configured, &[]));
    put(&mut out, fixed);
    copy_below(&mut rest, IPV4HINT, &mut out);
    hint(&mut out, IPV4HINT, v4);
    copy_below(&mut rest, IPV6HINT, &mut out);
    hint(&mut out, IPV6HINT, v6);
    put(&mut out, rest);
    out
}

/// Moves parameters with smaller keys.
fn copy_below(rest: &mut &[u8], key: u16, out: &mut Rdata) {
    while let [k0, k1, l0, l1, ..] = **rest
        && u16::from_be_bytes([k0, k1]) < key
    {
        let length = HEAD + usize::from(u16::from_be_bytes([l0, l1]));
        let (parameter, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        put(out, parameter);
        *rest = after;
    }
}

fn hint<'a>(out: &mut Rdata, key: u16, addresses: impl Iterator<Item = &'a [u8]> + Clone) {
    let addresses = addresses.take(MAX_HINTS);
    let length: usize = addresses.clone().map(<[u8]>::len).sum();
    if length == 0 {
        return;
    }
    put(out, &key.to_be_bytes());
    // At most 8 addresses of 16 octets.
    put(out, &(length as u16).to_be_bytes());
    addresses.for_each(|address| put(out, address));
}

fn put(out: &mut Rdata, octets: &[u8]) {
    // The capacity is the sum of all limits, so there is always room.
    let _ = out.try_extend_from_slice(octets);
}

#[cfg(test)]
mod tests {
    use dns::name::Name;
    use dns::rr::Rtype;

    use super::*;

    fn read(text: &str) -> Box<[u8]> {
        dns::rdata::parse(Rtype::HTTPS, text, &Name::root()).unwrap()
    }

    fn hinted(configured: &str, v4: &[[u8; 4]], v6: &[[u8; 16]]) -> Rdata {
        let v4 = v4.iter().map(<[u8; 4]>::as_slice);
        with_hints(&read(configured), v4, v6.iter().map(<[u8; 16]>::as_slice))
    }

    #[test]
    fn rfc9460_2_2_keys_ascend_wherever_hints_go() {
        let v6 = [std::net::Ipv6Addr::LOCALHOST.octets()];
        for (configured, expected) in [
            ("1 .", "1 . ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=::1"),
            ("1 . alpn=h2", "1 . alpn=h2 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=::1"),
            (
                "16 . alpn=h2,h3 port=8443 ech=AAAA key65000=y",
                "16 . alpn=h2,h3 port=8443 ipv4hint=192.0.2.1,192.0.2.2 ech=AAAA ipv6hint=::1 key65000=y",
            ),
        ] {
            let made = hinted(configured, &[[192, 0, 2, 1], [192, 0, 2, 2]], &v6);
            assert_eq!(made.as_slice(), &*read(expected), "{configured}");
        }
    }

    #[test]
    fn a_family_without_addresses_has_no_hint() {
        assert_eq!(hinted("1 . port=1", &[], &[]).as_slice(), &*read("1 . port=1"));
        let made = hinted("1 .", &[[192, 0, 2, 1]], &[]);
        assert_eq!(made.as_slice(), &*read("1 . ipv4hint=192.0.2.1"));
    }

    #[test]
    fn the_longest_binding_and_all_hints_fit() {
        let mut longest = read("1 .").to_vec();
        longest.extend([0xff, 0, ((MAX_BINDING - 7) >> 8) as u8, (MAX_BINDING - 7) as u8]);
        longest.resize(MAX_BINDING, 7);
        let (v4, v6) = ([[1; 4]; MAX_HINTS + 1], [[2; 16]; MAX_HINTS + 1]);
        let v4 = v4.iter().map(<[u8; 4]>::as_slice);
        let made = with_hints(&longest, v4, v6.iter().map(<[u8; 16]>::as_slice));
        assert_eq!(made.len(), CAPACITY);
        assert!(made.ends_with(&[7; 400]));
    }
}
