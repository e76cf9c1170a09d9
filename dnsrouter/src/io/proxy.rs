//! The PROXY protocol, version 2: what a proxy says first on a connection about the client it
//! stands for (HAProxy's proxy-protocol.txt, §2.2).
//!
//! ```text
//!   signature (12) │ version, command │ family │ length │ source, destination, ports │ TLVs …
//! ```
//!
//! The parser is our own: the crates that read such headers (`ppp`, `proxy-header`,
//! `proxy-protocol`) verify no checksum, take the text form, datagrams or Unix sockets as well, and
//! let a header be 64 KiB long, so that more would have to be checked around them than they do.

use std::net::{IpAddr, SocketAddr};

/// The longest header. Addresses take 52 octets; what TLS proxies add about names and
/// certificates stays far below the rest.
pub const MAX_LENGTH: usize = 2048;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, and the length of what follows.
const FIXED: usize = SIGNATURE.len() + 4;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
/// The type of the TLV with a checksum of the whole header.
const CRC32C: u8 = 0x03;

/// Whom a connection is from, and to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// From the proxy itself, which looks whether we live.
    Local,
    /// From a client.
    Proxied {
        /// Who asks.
        source: SocketAddr,
        /// The address they asked, which is the proxy's.
        destination: SocketAddr,
    },
}

/// What is no header of version 2: the peer's fault, or our configuration's, which calls it a
/// proxy. Nothing on the connection can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Most likely a client that talks DNS at once.
    #[error("it does not begin with the signature of the PROXY protocol, version 2")]
    Signature,
    /// There is a version 1 without this signature, and no version 3.
    #[error("PROXY protocol version {0}, not 2")]
    Version(u8),
    /// Neither LOCAL nor PROXY.
    #[error("PROXY command {0}, neither 0 (LOCAL) nor 1 (PROXY)")]
    Command(u8),
    /// Neither TCP over IPv4 nor over IPv6: then there is no client's address.
    #[error("PROXY address family and transport {0:#04x}, neither 0x11 (TCP4) nor 0x21 (TCP6)")]
    Family(u8),
    /// More than any proxy in use has to say.
    #[error("a PROXY header of {0} octets, more than {MAX_LENGTH}")]
    TooLong(usize),
    /// The addresses do not fit into the length.
    #[error("a PROXY header whose length, {0}, does not hold its addresses")]
    TooShort(usize),
    /// A TLV goes past the end of the header, or is a second checksum, or one of another size.
    #[error("a PROXY header whose TLVs do not fill it, or whose checksum is no such")]
    Tlv,
    /// It has been changed on its way.
    #[error("a PROXY header whose checksum (CRC32c) is wrong")]
    Checksum,
}

/// Reads a header from the beginning of what has come, and tells how many octets it has; none while
/// more must come.
///
/// # Errors
///
/// [`Malformed`], at the first octet that shows it.
pub fn parse(octets: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    if octets.iter().zip(SIGNATURE).any(|(octet, expected)| *octet != expected) {
        return Err(Malformed::Signature);
    }
    let Some(fixed) = octets.get(..FIXED) else { return Ok(None) };
    let (version, command, family) = (fixed[12] >> 4, fixed[12] & 15, fixed[13]);
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let whole = FIXED + length;
    if version != 2 {
        return Err(Malformed::Version(version));
    }
    if command > 1 {
        return Err(Malformed::Command(command));
    }
    let local = command == 0;
    let address = match family {
        // What else a local header says is to be ignored.
        _ if local => 0,
        TCP4 => 4,
        TCP6 => 16,
        other => return Err(Malformed::Family(other)),
    };
    if whole > MAX_LENGTH {
        return Err(Malformed::TooLong(whole));
    }
    let ports = FIXED + 2 * address;
    if !local && whole < ports + 4 {
        return Err(Malformed::TooShort(length));
    }
    let Some(octets) = octets.get(..whole) else { return Ok(None) };
    if local {
        return Ok(Some((Header::Local, whole)));
    }
    check_tlvs(octets, ports + 4)?;
    let (source, destination) = octets[FIXED..ports].split_at(address);
    let source = end(source, &octets[ports..ports + 2]);
    let destination = end(destination, &octets[ports + 2..ports + 4]);
    Ok(Some((Header::Proxied { source, destination }, whole)))
}

/// One end of a connection, from its address (4 or 16 octets) and port.
fn end(address: &[u8], port: &[u8]) -> SocketAddr {
    let ip = match <[u8; 4]>::try_from(address) {
        Ok(v4) => v4.into(),
        Err(_) => {
            let mut v6 = [0; 16];
            v6.copy_from_slice(address);
            // One client has one address, whether or not the proxy's socket maps it.
            IpAddr::from(v6).to_canonical()
        }
    };
    SocketAddr::new(ip, u16::from_be_bytes([port[0], port[1]]))
}

/// TLVs are skipped but for the checksum, and must fill the header to its end.
fn check_tlvs(header: &[u8], mut at: usize) -> Result<(), Malformed> {
    let mut checksum = None;
    while at < header.len() {
        let head = header.get(at..at + 3).ok_or(Malformed::Tlv)?;
        let value = at + 3..at + 3 + usize::from(u16::from_be_bytes([head[1], head[2]]));
        let octets = header.get(value.clone()).ok_or(Malformed::Tlv)?;
        at = value.end;
        if head[0] == CRC32C {
            let sum = <[u8; 4]>::try_from(octets).map_err(|_| Malformed::Tlv)?;
            if checksum.replace((value, u32::from_be_bytes(sum))).is_some() {
                return Err(Malformed::Tlv);
            }
        }
    }
    let Some((value, sum)) = checksum else { return Ok(()) };
    // Of the whole header, with zeros where the sum stands.
    let zeroed = [&header[..value.start], &[0; 4], &header[value.end..]];
    if crc32c(zeroed) == sum { Ok(()) } else { Err(Malformed::Checksum) }
}

/// CRC32c (RFC 9260 appendix A), bit by bit: it is a few hundred octets once per connection.
fn crc32c<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let octets = parts.into_iter().flatten();
    let sum = octets.fold(u32::MAX, |sum, octet| {
        (0..8).fold(sum ^ u32::from(*octet), |sum, _| {
            (sum >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(sum & 1))
        })
    });
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with this command, family and what follows.
    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 203, 0, 113, 53, 0x10, 0x92, 0, 53];

    fn v4() -> Header {
        Header::Proxied {
            source: "192.0.2.1:4242".parse().unwrap(),
            destination: "203.0.113.53:53".parse().unwrap(),
        }
    }

    fn v6(source: [u8; 16]) -> Vec<u8> {
        [&source[..], &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 53], &V4[8..]].concat()
    }

    /// What follows, with a checksum TLV at its end that is right but for `flaw`.
    fn summed(rest: &[u8], flaw: u32) -> Vec<u8> {
        let mut whole = header(0x21, TCP4, &[rest, &[CRC32C, 0, 4, 0, 0, 0, 0]].concat());
        let sum = crc32c([&whole[..]]) ^ flaw;
        let at = whole.len() - 4;
        whole[at..].copy_from_slice(&sum.to_be_bytes());
        whole
    }

    #[test]
    fn the_checksum_is_crc32c() {
        assert_eq!(crc32c([&b"1234"[..], b"56789"]), 0xe306_9283);
    }

    #[test]
    fn a_client_s_addresses_are_read() {
        let whole = header(0x21, TCP4, &V4);
        assert_eq!(parse(&whole), Ok(Some((v4(), 28))));
        let whole =
            header(0x21, TCP6, &v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]));
        let expected = Header::Proxied {
            source: "[2001:db8::9]:4242".parse().unwrap(),
            destination: "[2001:db8::35]:53".parse().unwrap(),
        };
        assert_eq!(parse(&whole), Ok(Some((expected, 52))));
    }

    #[test]
    fn a_mapped_address_is_the_client_s_own() {
        let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1];
        let parsed = parse(&header(0x21, TCP6, &v6(mapped))).unwrap().unwrap();
        let Header::Proxied { source, .. } = parsed.0 else { panic!("{parsed:?}") };
        assert_eq!(source, "192.0.2.1:4242".parse().unwrap());
    }

    #[test]
    fn a_local_header_is_skipped_whole_whatever_it_says() {
        for (family, rest) in [(0, &[][..]), (TCP4, &V4), (0x31, &[1, 2, 3]), (0xff, &[0; 100])] {
            let whole = header(0x20, family, rest);
            assert_eq!(parse(&whole), Ok(Some((Header::Local, 16 + rest.len()))));
        }
    }

    #[test]
    fn what_follows_a_header_is_not_its() {
        let mut stream = header(0x21, TCP4, &V4);
        stream.extend(b"\0\x1da query");
        assert_eq!(parse(&stream), Ok(Some((v4(), 28))));
    }

    #[test]
    fn tlvs_are_skipped_and_a_checksum_is_verified() {
        let tlvs = [&V4[..], &[4, 0, 1, 0, 0xee, 0, 0]].concat();
        assert_eq!(parse(&header(0x21, TCP4, &tlvs)), Ok(Some((v4(), 16 + tlvs.len()))));
        let whole = summed(&tlvs, 0);
        assert_eq!(parse(&whole), Ok(Some((v4(), whole.len()))));
        for bit in 0..32 {
            assert_eq!(parse(&summed(&tlvs, 1 << bit)), Err(Malformed::Checksum));
        }
        for at in [16, 20, 24, 27, 31] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert_eq!(parse(&changed), Err(Malformed::Checksum), "octet {at}");
        }
    }

    #[test]
    fn cut_at_every_octet_it_waits_for_more() {
        for whole in [header(0x21, TCP4, &V4), header(0x20, 0, &[7; 9]), summed(&V4, 0)] {
            for cut in 0..whole.len() {
                assert_eq!(parse(&whole[..cut]), Ok(None), "{cut} of {}", whole.len());
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn what_comes_later_changes_no_verdict(
            command in 0x20..=0x22_u8,
            family in proptest::sample::select(vec![0, TCP4, TCP6, 0x31]),
            rest in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..80),
            cut in 0..=96_usize,
        ) {
            let whole = header(command, family, &rest);
            match parse(&whole[..cut.min(whole.len())]) {
                Ok(None) => assert!(cut < whole.len()),
                verdict => assert_eq!(verdict, parse(&whole)),
            }
        }

        #[test]
        fn arbitrary_octets_are_no_danger(
            octets in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..300),
        ) {
            let signed = [&SIGNATURE[..], &octets].concat();
            if let Ok(Some((_, length))) = parse(&signed) {
                assert!(length <= signed.len().min(MAX_LENGTH));
            }
        }
    }

    #[test]
    fn every_malformed_kind_is_told_at_the_first_octet_that_shows_it() {
        for at in 0..SIGNATURE.len() {
            let mut wrong = SIGNATURE[..=at].to_vec();
            wrong[at] ^= 0x20;
            assert_eq!(parse(&wrong), Err(Malformed::Signature), "octet {at}");
        }
        assert_eq!(parse(b"PROXY TCP4 192.0.2.1"), Err(Malformed::Signature), "version 1");
        let tlv = |octets: &[u8]| header(0x21, TCP4, &[&V4[..], octets].concat());
        for (octets, kind) in [
            (header(0x11, TCP4, &V4), Malformed::Version(1)),
            (header(0x31, TCP4, &V4), Malformed::Version(3)),
            (header(0x22, TCP4, &V4), Malformed::Command(2)),
            (header(0x2f, TCP4, &V4), Malformed::Command(15)),
            (header(0x21, 0x00, &[]), Malformed::Family(0x00)),
            (header(0x21, 0x10, &V4), Malformed::Family(0x10)),
            (header(0x21, 0x12, &V4), Malformed::Family(0x12)),
            (header(0x21, 0x22, &[0; 36]), Malformed::Family(0x22)),
            (header(0x21, 0x31, &[0; 216]), Malformed::Family(0x31)),
            (header(0x21, 0x41, &V4), Malformed::Family(0x41)),
            (header(0x21, TCP4, &V4[..11]), Malformed::TooShort(11)),
            (header(0x21, TCP4, &[]), Malformed::TooShort(0)),
            (header(0x21, TCP6, &[0; 35]), Malformed::TooShort(35)),
            (header(0x20, 0, &[0; MAX_LENGTH - 15]), Malformed::TooLong(MAX_LENGTH + 1)),
            (header(0x21, TCP4, &[0; 65_535]), Malformed::TooLong(65_551)),
            (tlv(&[4]), Malformed::Tlv),
            (tlv(&[4, 0]), Malformed::Tlv),
            (tlv(&[4, 0, 1]), Malformed::Tlv),
            (tlv(&[4, 0, 0, 4, 0xff, 0xff, 0]), Malformed::Tlv),
            (tlv(&[CRC32C, 0, 3, 0, 0, 0]), Malformed::Tlv),
            (tlv(&[CRC32C, 0, 0]), Malformed::Tlv),
            (tlv(&[CRC32C, 0, 4, 0, 0, 0, 0]), Malformed::Checksum),
            (summed(&summed(&V4, 0)[16..], 0), Malformed::Tlv),
        ] {
            assert_eq!(parse(&octets), Err(kind), "{octets:02x?}");
        }
        let early = &header(0x21, TCP4, &[0; 65_535])[..FIXED];
        assert_eq!(parse(early), Err(Malformed::TooLong(65_551)), "before it has come");
    }
}
