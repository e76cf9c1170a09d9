//! Extension mechanisms (RFC 6891) and the options we speak.
//!
//! | type | direction | holds |
//! |---|---|---|
//! | [`Edns`] | from the client | what one OPT record said, options parsed once |
//! | [`ClientSubnet`] | both | RFC 7871; strict in, identical back out |
//! | [`cookie::Secrets`] | both | RFC 9018: what a cookie proves, and the one to give |
//! | [`Reply`] | to the client | what our OPT record will say; [`Reply::encoded_len`] is reserved up front |

pub mod cookie;
mod reply;
mod subnet;

pub use reply::{ExtendedError, InfoCode, MAX_ERRORS, Reply};
pub use subnet::{ClientSubnet, SubnetError};

/// Option codes we know (IANA "DNS EDNS0 Option Codes").
pub(crate) mod code {
    pub(crate) const NSID: u16 = 3;
    pub(crate) const CLIENT_SUBNET: u16 = 8;
    pub(crate) const COOKIE: u16 = 10;
    pub(crate) const TCP_KEEPALIVE: u16 = 11;
    pub(crate) const PADDING: u16 = 12;
    pub(crate) const EXTENDED_ERROR: u16 = 15;
    /// Ours, from the range for local use: why does a service answer this? Empty; the answer is an
    /// extended error with text.
    pub(crate) const WHY: u16 = super::WHY;
}

/// Option code, of the range for local use (RFC 6891 §9), by which a client asks why a service
/// answers as it does. It is empty; the reason comes as the text of an extended error.
pub const WHY: u16 = 65_300;

/// The version we speak; a query with a higher one gets BADVERS (RFC 6891 §6.1.3).
pub const VERSION: u8 = 0;
/// What fits without EDNS, and the least a client can announce (RFC 6891 §6.2.3).
pub const MIN_PAYLOAD: u16 = 512;
/// An OPT record without options: root owner, type, class, TTL, length.
pub(crate) const OPT_LEN: usize = 11;

pub(crate) const DO: u16 = 0x8000;
const CO: u16 = 0x4000;

/// What the OPT record of a query said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edns<'a> {
    /// 0 in every [`Request`](crate::wire::Request) that parsed.
    pub version: u8,
    /// The UDP payload the client takes, never below [`MIN_PAYLOAD`].
    pub payload: u16,
    /// DNSSEC records wanted (RFC 3225); copied into the reply.
    pub do_bit: bool,
    /// Compact denial understood: NXDOMAIN may be restored (RFC 9824 §5.1).
    pub co_bit: bool,
    /// Client subnet (RFC 7871); of several options the first counts.
    pub subnet: Option<ClientSubnet>,
    /// The server's identity is wanted (RFC 5001).
    pub nsid: bool,
    /// Cookies (RFC 7873); of several options the first counts.
    pub cookie: Option<Cookie<'a>>,
    /// The client would keep the connection (RFC 7828); to be ignored over UDP.
    pub keepalive: bool,
    /// The reason of a service's answer is wanted ([`WHY`]).
    pub why: bool,
    /// The client padded, so its reply shall be padded on encrypted transports (RFC 7830 §4).
    pub padding: bool,
}

/// Client and server part of a COOKIE option (RFC 7873 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie<'a> {
    /// The client's eight octets, echoed as they are.
    pub client: [u8; 8],
    /// What the client holds for our cookie: empty, or 8 to 32 octets.
    pub server: &'a [u8],
}

/// Why an OPT record's data is a format error. The client is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// An option header or its data ends outside the record.
    #[error("EDNS option reaches past the end of the OPT record")]
    Truncated,
    /// RFC 7873 §5.2.2: neither 8 nor 16 to 40 octets.
    #[error("COOKIE option of {0} octets")]
    CookieLength(usize),
    /// See [`SubnetError`].
    #[error(transparent)]
    Subnet(#[from] SubnetError),
}

impl<'a> Edns<'a> {
    /// Reads the fixed part: class is the payload, TTL holds version and flags.
    pub(crate) fn from_fixed(class: u16, ttl: u32) -> Self {
        let flags = ttl as u16;
        Edns {
            version: (ttl >> 16) as u8,
            payload: class.max(MIN_PAYLOAD),
            do_bit: flags & DO != 0,
            co_bit: flags & CO != 0,
            ..Edns::default()
        }
    }

    /// Reads the options; unknown ones are skipped (RFC 6891 §6.1.2).
    pub(crate) fn read_options(&mut self, mut rdata: &'a [u8]) -> Result<(), OptionError> {
        while !rdata.is_empty() {
            let (head, rest) = rdata.split_first_chunk::<4>().ok_or(OptionError::Truncated)?;
            let code = u16::from_be_bytes([head[0], head[1]]);
            let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let (data, rest) = rest.split_at_checked(length).ok_or(OptionError::Truncated)?;
            rdata = rest;
            match code {
                code::CLIENT_SUBNET if self.subnet.is_none() => {
                    self.subnet = Some(ClientSubnet::parse_query(data)?);
                }
                code::COOKIE if self.cookie.is_none() => self.cookie = Some(Cookie::parse(data)?),
                code::NSID => self.nsid = true,
                code::TCP_KEEPALIVE => self.keepalive = true,
                code::PADDING => self.padding = true,
                code::WHY => self.why = true,
                _ => {}
            }
        }
        Ok(())
    }
}

impl<'a> Cookie<'a> {
    pub(crate) fn parse(data: &'a [u8]) -> Result<Self, OptionError> {
        match data.split_first_chunk::<8>() {
            Some((client, server)) if server.is_empty() || (8..=32).contains(&server.len()) => {
                Ok(Cookie { client: *client, server })
            }
            _ => Err(OptionError::CookieLength(data.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(rdata: &[u8]) -> Result<Edns<'_>, OptionError> {
        let mut edns = Edns::from_fixed(1232, 0);
        edns.read_options(rdata).map(|()| edns)
    }

    #[test]
    fn rfc6891_6_1_3_fixed_part() {
        let edns = Edns::from_fixed(4096, 0x0001_c000);
        assert_eq!((edns.version, edns.payload, edns.do_bit, edns.co_bit), (1, 4096, true, true));
        assert_eq!(Edns::from_fixed(0, 0).payload, MIN_PAYLOAD);
    }

    #[test]
    fn rfc6891_6_1_2_unknown_options_are_skipped() {
        let edns =
            options(b"\xff\x00\x00\x02ab\x00\x03\x00\x00\x00\x0b\x00\x00\x00\x0c\x00\x01\x00");
        let edns = edns.unwrap();
        assert!(edns.nsid && edns.keepalive && edns.padding);
        assert_eq!(options(b"\x00\x03\x00"), Err(OptionError::Truncated));
        assert_eq!(options(b"\x00\x03\x00\x01"), Err(OptionError::Truncated));
    }

    #[test]
    fn rfc7873_5_2_2_cookie_lengths() {
        for length in 0..=48usize {
            let mut rdata = vec![0, 10, 0, length as u8];
            rdata.extend((0..length).map(|i| i as u8));
            let valid = length == 8 || (16..=40).contains(&length);
            match options(&rdata) {
                Ok(edns) => {
                    let cookie = edns.cookie.unwrap();
                    assert!(valid, "{length}");
                    assert_eq!(cookie.client, [0, 1, 2, 3, 4, 5, 6, 7]);
                    assert_eq!(cookie.server.len(), length - 8);
                }
                Err(error) => {
                    assert!(!valid, "{length}");
                    assert_eq!(error, OptionError::CookieLength(length));
                }
            }
        }
    }

    #[test]
    fn the_first_of_several_cookies_counts() {
        let edns = options(b"\x00\x0a\x00\x08aaaaaaaa\x00\x0a\x00\x08bbbbbbbb").unwrap();
        assert_eq!(edns.cookie.unwrap().client, *b"aaaaaaaa");
    }
}
