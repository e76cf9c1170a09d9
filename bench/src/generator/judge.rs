//! Whether a reply is the right one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::query::{A, AAAA};

/// What must be answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expected {
    /// The response code: 0 for NOERROR, 3 for NXDOMAIN.
    pub rcode: u8,
    /// Every address record in the answer section, in any order; none for NODATA.
    pub addresses: Vec<IpAddr>,
}

impl Expected {
    /// These addresses, and no others.
    pub fn addresses(addresses: impl Into<Vec<IpAddr>>) -> Self {
        Self { rcode: 0, addresses: addresses.into() }
    }

    /// That there is no such name.
    pub fn no_name() -> Self {
        Self { rcode: 3, addresses: Vec::new() }
    }

    /// That the name has none of these records.
    pub fn no_data() -> Self {
        Self::addresses([])
    }
}

/// What is wrong with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It ends early, is no reply, or its records are not readable.
    Malformed,
    /// It repeats another question than the one asked.
    Question,
    /// It says that it was cut (TC).
    Truncated,
    /// The response code.
    Rcode,
    /// An address too many, too few, or one that somebody else should have.
    Address,
}

impl Fault {
    /// All.
    pub const ALL: [Fault; 5] =
        [Fault::Malformed, Fault::Question, Fault::Truncated, Fault::Rcode, Fault::Address];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Malformed => "malformed",
            Fault::Question => "another question",
            Fault::Truncated => "truncated",
            Fault::Rcode => "another response code",
            Fault::Address => "another address",
        })
    }
}

const HEADER: usize = 12;
/// QR, and TC, in the third octet of a message; the response code in the fourth (RFC 1035 §4.1.1).
const REPLY: u8 = 0x80;
const CUT: u8 = 0x02;
const RCODE: u8 = 0x0f;

/// Compares a reply whose id is known to be that of `query`. With nothing expected, its question
/// alone: an echo knows no answer.
///
/// # Errors
///
/// What is wrong first.
pub fn judge(query: &[u8], expected: Option<&Expected>, reply: &[u8]) -> Result<(), Fault> {
    let head: &[u8; HEADER] = reply.first_chunk().ok_or(Fault::Malformed)?;
    if head[2] & REPLY == 0 {
        return Err(Fault::Malformed);
    }
    // A query's question ends with the root's octet, its type and its class.
    let end = past_name(query, HEADER).map(|end| end + 4).ok_or(Fault::Malformed)?;
    if head[4..6] != [0, 1] || query.get(HEADER..end) != reply.get(HEADER..end) {
        return Err(Fault::Question);
    }
    let Some(expected) = expected else { return Ok(()) };
    if head[2] & CUT != 0 {
        return Err(Fault::Truncated);
    }
    if head[3] & RCODE != expected.rcode {
        return Err(Fault::Rcode);
    }
    let mut found = 0;
    let mut at = end;
    for _ in 0..u16::from_be_bytes([head[6], head[7]]) {
        let (address, next) = record(reply, at).ok_or(Fault::Malformed)?;
        at = next;
        let Some(address) = address else { continue };
        if !expected.addresses.contains(&address) {
            return Err(Fault::Address);
        }
        found += 1;
    }
    if found == expected.addresses.len() { Ok(()) } else { Err(Fault::Address) }
}

/// The record at this offset: its address if it is one of an address, and where the next begins.
fn record(reply: &[u8], at: usize) -> Option<(Option<IpAddr>, usize)> {
    let at = past_name(reply, at)?;
    let [rtype @ .., _, _, _, _, _, _, high, low] = reply.get(at..)?.first_chunk::<10>()?;
    let data = at + 10;
    let next = data + usize::from(u16::from_be_bytes([*high, *low]));
    let data = reply.get(data..next)?;
    let address = match u16::from_be_bytes(*rtype) {
        A => Some(IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?))),
        AAAA => Some(IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?))),
        _ => None,
    };
    Some((address, next))
}

/// Where a name ends that begins here, compressed or not.
fn past_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..64 => at += 1 + usize::from(length),
            192.. => return Some(at + 2),
            64..192 => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{Message, ResponseCode};
    use hickory_proto::rr::{Name, RData, Record};

    use super::*;
    use crate::generator::query;

    const NEAR: &str = "203.0.113.1";
    const FAR: &str = "203.0.113.2";

    /// A reply to `query` with these addresses behind an alias, written by somebody else's code.
    fn reply(query: &[u8], rcode: ResponseCode, addresses: &[&str]) -> Vec<u8> {
        let asked = Message::from_vec(query).unwrap();
        let mut reply = Message::response(0, asked.metadata.op_code);
        reply.metadata.response_code = rcode;
        let name = asked.queries[0].name().clone();
        reply.add_query(asked.queries[0].clone());
        let target = Name::from_ascii("target.test-net.io.").unwrap();
        let alias = hickory_proto::rr::rdata::CNAME(target.clone());
        reply.add_answer(Record::from_rdata(name, 60, RData::CNAME(alias)));
        for address in addresses {
            let data = RData::from(address.parse::<IpAddr>().unwrap());
            reply.add_answer(Record::from_rdata(target.clone(), 60, data));
        }
        reply.to_vec().unwrap()
    }

    fn near() -> Expected {
        Expected::addresses([NEAR.parse::<IpAddr>().unwrap()])
    }

    #[test]
    fn the_right_addresses_in_any_order_are_right() {
        let query = query("geo.test-net.io", A, None);
        let one = reply(&query, ResponseCode::NoError, &[NEAR]);
        assert_eq!(judge(&query, Some(&near()), &one), Ok(()));
        let both = Expected::addresses([FAR, NEAR].map(|text| text.parse::<IpAddr>().unwrap()));
        let two = reply(&query, ResponseCode::NoError, &[NEAR, FAR]);
        assert_eq!(judge(&query, Some(&both), &two), Ok(()));
        assert_eq!(judge(&query, Some(&both), &one), Err(Fault::Address), "one is missing");
    }

    #[test]
    fn an_address_of_another_region_is_wrong() {
        let query = query("geo.test-net.io", A, None);
        for addresses in [&[FAR][..], &[NEAR, FAR], &[]] {
            let reply = reply(&query, ResponseCode::NoError, addresses);
            assert_eq!(judge(&query, Some(&near()), &reply), Err(Fault::Address), "{addresses:?}");
        }
    }

    #[test]
    fn what_was_not_asked_is_wrong() {
        let asked = query("geo.test-net.io", A, None);
        let other = query("gee.test-net.io", A, None);
        let of_other = reply(&other, ResponseCode::NoError, &[NEAR]);
        assert_eq!(judge(&asked, Some(&near()), &of_other), Err(Fault::Question));
        let refused = reply(&asked, ResponseCode::Refused, &[]);
        assert_eq!(judge(&asked, Some(&near()), &refused), Err(Fault::Rcode));
        assert_eq!(judge(&asked, Some(&Expected::no_name()), &refused), Err(Fault::Rcode));
        let mut cut = reply(&asked, ResponseCode::NoError, &[]);
        cut[2] |= CUT;
        assert_eq!(judge(&asked, Some(&near()), &cut), Err(Fault::Truncated));
    }

    #[test]
    fn what_is_cut_anywhere_is_never_right() {
        let query = query("geo.test-net.io", A, None);
        let reply = reply(&query, ResponseCode::NoError, &[NEAR]);
        for length in 0..reply.len() {
            assert!(judge(&query, Some(&near()), &reply[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn an_echo_is_a_question_that_came_back_as_a_reply() {
        let query = query("geo.test-net.io", A, None);
        assert_eq!(judge(&query, None, &query), Err(Fault::Malformed), "no reply");
        let mut echoed = query.clone();
        echoed[2] |= REPLY;
        assert_eq!(judge(&query, None, &echoed), Ok(()));
    }
}
