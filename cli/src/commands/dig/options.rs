//! What the OPT record of a reply says, read once for both forms of output. Pure.

use std::fmt;
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};

use crate::dns::text;
use crate::exit::one_line;

/// Octets of a client cookie; the server's part follows (RFC 7873 §4).
const CLIENT_COOKIE: usize = 8;

/// One option of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// RFC 7871.
    Subnet(ClientSubnet),
    /// RFC 5001: who answered.
    Nsid(Vec<u8>),
    /// RFC 7314: seconds until a secondary drops the zone.
    Expire(u32),
    /// RFC 7873: our part, and what the server added.
    Cookie { client: Vec<u8>, server: Vec<u8> },
    /// RFC 7828: how long the connection may idle.
    Keepalive(Duration),
    /// RFC 7830: so many octets.
    Padding(usize),
    /// RFC 8914.
    ExtendedError { code: u16, text: String },
    /// What is not understood, or malformed.
    Other { code: u16, data: Vec<u8> },
}

/// The options of a message, in its order.
pub(super) fn of(message: &Message) -> Vec<Said> {
    let options = message.edns.iter().flat_map(|edns| edns.options().as_ref());
    options.map(|(code, option)| read(u16::from(*code), option)).collect()
}

/// The reason that a dnsrouter gives for its answer when asked: the text of its extended error
/// "Other".
pub(super) fn why(message: &Message) -> Option<String> {
    of(message).into_iter().find_map(|said| match said {
        Said::ExtendedError { code: 0, text } if !text.is_empty() => Some(text),
        _ => None,
    })
}

/// The whole cookie to try again with, when the server has given its part to ours.
pub(super) fn whole_cookie(message: &Message, ours: &[u8]) -> Option<Vec<u8>> {
    of(message).into_iter().find_map(|said| match said {
        Said::Cookie { client, server } if !server.is_empty() && ours.starts_with(&client) => {
            Some([client, server].concat())
        }
        _ => None,
    })
}

fn read(code: u16, option: &EdnsOption) -> Said {
    let data = match option {
        EdnsOption::Subnet(subnet) => return Said::Subnet(*subnet),
        // What is read can be written again.
        other => Vec::<u8>::try_from(other).unwrap_or_default(),
    };
    understood(code, &data).unwrap_or(Said::Other { code, data })
}

fn understood(code: u16, data: &[u8]) -> Option<Said> {
    Some(match (code, data) {
        (3, id) => Said::Nsid(id.to_vec()),
        (9, data) => Said::Expire(u32::from_be_bytes(data.try_into().ok()?)),
        (10, data) if data.len() >= CLIENT_COOKIE => {
            let (client, server) = data.split_at(CLIENT_COOKIE);
            Said::Cookie { client: client.to_vec(), server: server.to_vec() }
        }
        (11, &[high, low]) => {
            let tenths = u16::from_be_bytes([high, low]);
            Said::Keepalive(Duration::from_millis(u64::from(tenths) * 100))
        }
        (12, data) => Said::Padding(data.len()),
        (15, &[high, low, ref words @ ..]) => {
            Said::ExtendedError { code: u16::from_be_bytes([high, low]), text: readable(words) }
        }
        _ => return None,
    })
}

/// A line of the pseudo section, as dig writes it.
impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subnet(subnet) => write!(
                f,
                "CLIENT-SUBNET: {}/{}/{}",
                subnet.addr(),
                subnet.source_prefix(),
                subnet.scope_prefix()
            ),
            Self::Nsid(id) => write!(f, "NSID: {} (\"{}\")", text::hex(id), readable(id)),
            Self::Expire(seconds) => write!(f, "EXPIRE: {seconds}"),
            Self::Cookie { client, server } => {
                write!(f, "COOKIE: {}{}", text::hex(client), text::hex(server))
            }
            Self::Keepalive(idle) => write!(f, "TCP KEEPALIVE: {:.1} secs", idle.as_secs_f64()),
            Self::Padding(octets) => write!(f, "PADDING: {octets} octets"),
            Self::ExtendedError { code, text } => {
                write!(f, "EDE: {code}")?;
                if let Some(name) = error_name(*code) {
                    write!(f, " ({name})")?;
                }
                if text.is_empty() { Ok(()) } else { write!(f, ": ({text})") }
            }
            Self::Other { code, data } => write!(f, "OPT={code}: {}", text::hex(data)),
        }
    }
}

/// Text of a server on one line, safe on a terminal.
pub(super) fn readable(octets: &[u8]) -> String {
    one_line(&String::from_utf8_lossy(octets))
}

/// The names of INFO-CODE, by number: RFC 8914 §4 up to 24, then the IANA registry.
const ERRORS: [&str; 31] = [
    "Other",
    "Unsupported DNSKEY Algorithm",
    "Unsupported DS Digest Type",
    "Stale Answer",
    "Forged Answer",
    "DNSSEC Indeterminate",
    "DNSSEC Bogus",
    "Signature Expired",
    "Signature Not Yet Valid",
    "DNSKEY Missing",
    "RRSIGs Missing",
    "No Zone Key Bit Set",
    "NSEC Missing",
    "Cached Error",
    "Not Ready",
    "Blocked",
    "Censored",
    "Filtered",
    "Prohibited",
    "Stale NXDOMAIN Answer",
    "Not Authoritative",
    "Not Supported",
    "No Reachable Authority",
    "Network Error",
    "Invalid Data",
    "Signature Expired before Valid",
    "Too Early",
    "Unsupported NSEC3 Iterations Value",
    "Unable to conform to policy",
    "Synthesized",
    "Invalid Query Type",
];

pub(super) fn error_name(code: u16) -> Option<&'static str> {
    ERRORS.get(usize::from(code)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::{Edns, OpCode};

    fn message(options: &[(u16, &[u8])]) -> Message {
        let mut message = Message::response(1, OpCode::Query);
        let mut edns = Edns::new();
        for (code, data) in options {
            edns.options_mut().insert(EdnsOption::Unknown(*code, data.to_vec()));
        }
        message.set_edns(edns);
        // As it comes from the wire.
        Message::from_vec(&message.to_vec().unwrap()).unwrap()
    }

    fn line(code: u16, data: &[u8]) -> String {
        of(&message(&[(code, data)]))[0].to_string()
    }

    #[test]
    fn options_have_names_and_readable_values() {
        assert_eq!(line(3, b"ns1\n"), "NSID: 6e73310a (\"ns1\")");
        assert_eq!(line(8, &[0, 1, 24, 16, 192, 0, 2]), "CLIENT-SUBNET: 192.0.2.0/24/16");
        assert_eq!(line(9, &[0, 0, 1, 0]), "EXPIRE: 256");
        assert_eq!(line(10, b"12345678abcdefgh"), "COOKIE: 31323334353637386162636465666768");
        assert_eq!(line(11, &[1, 44]), "TCP KEEPALIVE: 30.0 secs");
        assert_eq!(line(12, &[0; 9]), "PADDING: 9 octets");
        assert_eq!(line(15, &[0, 20]), "EDE: 20 (Not Authoritative)");
        assert_eq!(line(15, b"\0\x1eno\x1b[31m"), "EDE: 30 (Invalid Query Type): (no [31m)");
        assert_eq!(line(15, &[1, 0, b'x']), "EDE: 256: (x)");
        assert_eq!(line(65001, &[1, 2]), "OPT=65001: 0102");
    }

    #[test]
    fn what_is_malformed_is_shown_as_it_is() {
        for (code, data) in [(9, &[1][..]), (10, &[1]), (11, &[1]), (15, &[1])] {
            assert_eq!(line(code, data), format!("OPT={code}: 01"));
        }
    }

    #[test]
    fn the_reason_is_the_text_of_other() {
        let refused: (u16, &[u8]) = (15, b"\0\x12blocked");
        assert_eq!(why(&message(&[refused, (15, b"\0\0near")])).as_deref(), Some("near"));
        assert_eq!(why(&message(&[refused, (15, b"\0\0")])), None);
    }

    #[test]
    fn only_a_cookie_to_ours_is_used() {
        let reply = message(&[(10, b"12345678abcdefgh")]);
        let whole = Some(b"12345678abcdefgh".to_vec());
        assert_eq!(whole_cookie(&reply, b"12345678"), whole);
        assert_eq!(whole_cookie(&reply, b"12345678OLDOLDOL"), whole);
        assert_eq!(whole_cookie(&reply, b"87654321"), None);
        assert_eq!(whole_cookie(&message(&[(10, b"12345678")]), b"12345678"), None);
    }
}
