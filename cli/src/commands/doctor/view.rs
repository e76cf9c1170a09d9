//! What a message says to somebody who walks down the tree (RFC 1034 §5.3.3). Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use dns::name::Name;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use hickory_proto::serialize::binary::BinEncodable;

use super::observed::KeyId;
use crate::dns::ours;

/// Answer, referral or neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    /// The records asked for are there.
    Answer,
    /// The name is another name's.
    Alias(Name),
    /// The name or its records do not exist.
    Denied(ResponseCode),
    /// Others know: the servers of `cut`.
    Referral { cut: Name },
    /// The server does not help.
    Useless(ResponseCode),
}

/// Reads the answer to a question for `record_type` of `name`.
pub(super) fn view(message: &Message, name: &Name, record_type: RecordType) -> View {
    match message.metadata.response_code {
        ResponseCode::NoError => {}
        code @ ResponseCode::NXDomain => return View::Denied(code),
        code => return View::Useless(code),
    }
    let mut here = message.answers.iter().filter(|record| ours(&record.name) == *name);
    if here.clone().any(|record| record.record_type() == record_type) {
        return View::Answer;
    }
    if let Some(target) = here.find_map(|record| match &record.data {
        RData::CNAME(target) => Some(ours(&target.0)),
        _ => None,
    }) {
        return View::Alias(target);
    }
    let authority = message.authorities.iter();
    let mut cuts = authority.filter(|record| record.record_type() == RecordType::NS);
    let cut = cuts.find_map(|record| {
        let cut = ours(&record.name);
        (name.is_subdomain_of(&cut) && !cut.is_root()).then_some(cut)
    });
    match cut {
        Some(cut) if !message.metadata.authoritative => View::Referral { cut },
        _ => View::Denied(ResponseCode::NoError),
    }
}

/// The NS of `cut`, wherever they stand.
pub(super) fn ns(message: &Message, cut: &Name) -> BTreeSet<Name> {
    let records = message.answers.iter().chain(&message.authorities);
    let targets = records.filter(|record| ours(&record.name) == *cut).filter_map(|record| {
        match &record.data {
            RData::NS(target) => Some(ours(&target.0)),
            _ => None,
        }
    });
    targets.collect()
}

/// The addresses in the additional section that belong to one of `names`.
pub(super) fn glue(message: &Message, names: &BTreeSet<Name>) -> BTreeMap<Name, BTreeSet<IpAddr>> {
    let mut glue = BTreeMap::<Name, BTreeSet<IpAddr>>::new();
    for record in &message.additionals {
        let owner = ours(&record.name);
        if let Some(address) = address(record).filter(|_| names.contains(&owner)) {
            glue.entry(owner).or_default().insert(address);
        }
    }
    glue
}

/// The addresses of `name` in the answer section.
pub(super) fn addresses(message: &Message, name: &Name) -> BTreeSet<IpAddr> {
    message
        .answers
        .iter()
        .filter(|record| ours(&record.name) == *name)
        .filter_map(address)
        .collect()
}

fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    }
}

/// The serial of the SOA of `zone` in the answer section.
pub(super) fn serial(message: &Message, zone: &Name) -> Option<u32> {
    let mut here = message.answers.iter().filter(|record| ours(&record.name) == *zone);
    here.find_map(|record| match &record.data {
        RData::SOA(soa) => Some(soa.serial),
        _ => None,
    })
}

/// Which zone a resolver's answer to a question for a SOA comes from.
pub(super) fn soa_owner(message: &Message) -> Option<Name> {
    let mut records = message.answers.iter().chain(&message.authorities);
    let soa = records.find(|record| record.record_type() == RecordType::SOA);
    soa.map(|record| ours(&record.name))
}

/// The keys that DS records of `zone` point to (RFC 4034 §5.1).
pub(super) fn ds(message: &Message, zone: &Name) -> Vec<KeyId> {
    keys(message, zone, RecordType::DS, |data| match data {
        &[high, low, algorithm, _digest_type, ..] => {
            Some(KeyId { tag: u16::from_be_bytes([high, low]), algorithm })
        }
        _ => None,
    })
}

/// The DNSKEY of `zone` (RFC 4034 §2.1).
pub(super) fn dnskey(message: &Message, zone: &Name) -> Vec<KeyId> {
    keys(message, zone, RecordType::DNSKEY, |data| match data {
        &[_, _, _protocol, algorithm, ..] => Some(KeyId { tag: key_tag(data), algorithm }),
        _ => None,
    })
}

fn keys(
    message: &Message,
    zone: &Name,
    record_type: RecordType,
    read: impl Fn(&[u8]) -> Option<KeyId>,
) -> Vec<KeyId> {
    let here = message.answers.iter().filter(|record| ours(&record.name) == *zone);
    let mut keys: Vec<KeyId> = here
        .filter(|record| record.record_type() == record_type)
        // As octets, which they are however much of DNSSEC the library is built to read.
        .filter_map(|record| read(&record.data.to_bytes().ok()?))
        .collect();
    keys.sort_unstable();
    keys
}

/// RFC 4034 appendix B.
fn key_tag(rdata: &[u8]) -> u16 {
    let sum = rdata.iter().enumerate().fold(0u32, |sum, (i, &octet)| {
        let octet = u32::from(octet);
        sum.wrapping_add(if i % 2 == 0 { octet << 8 } else { octet })
    });
    let folded = sum.wrapping_add(sum >> 16);
    (folded & 0xffff) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{parse_name, theirs};
    use hickory_proto::op::OpCode;
    use hickory_proto::rr::rdata::{A, CNAME, NS, NULL, SOA};

    fn name(text: &str) -> Name {
        ours(&parse_name(text).unwrap())
    }

    fn record(owner: &str, data: RData) -> Record {
        Record::from_rdata(theirs(&name(owner)), 60, data)
    }

    fn ns_record(owner: &str, target: &str) -> Record {
        record(owner, RData::NS(NS(theirs(&name(target)))))
    }

    fn a(owner: &str, last: u8) -> Record {
        record(owner, RData::A(A::new(192, 0, 2, last)))
    }

    fn message() -> Message {
        Message::response(1, OpCode::Query)
    }

    fn seen(message: &Message) -> View {
        view(message, &name("www.example.com"), RecordType::A)
    }

    #[test]
    fn a_referral_names_who_knows() {
        let mut message = message();
        message.add_authority(ns_record("example.com", "ns.example.com"));
        message.add_authority(ns_record("EXAMPLE.com", "ns.else"));
        message.add_additional(a("NS.example.com", 1));
        message.add_additional(a("stranger.example.com", 2));
        assert_eq!(seen(&message), View::Referral { cut: name("example.com") });
        let names = ns(&message, &name("example.com"));
        assert_eq!(names, [name("ns.example.com"), name("ns.else")].into());
        let address = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(glue(&message, &names), [(name("ns.example.com"), [address].into())].into());
    }

    #[test]
    fn what_leads_up_or_aside_is_no_referral() {
        let mut upward = message();
        upward.add_authority(ns_record(".", "a.root-servers.net"));
        assert_eq!(seen(&upward), View::Denied(ResponseCode::NoError));
        let mut aside = message();
        aside.add_authority(ns_record("example.org", "ns.example.org"));
        assert_eq!(seen(&aside), View::Denied(ResponseCode::NoError));
    }

    #[test]
    fn answers_aliases_and_denials_are_told_apart() {
        let mut answer = message();
        answer.metadata.authoritative = true;
        answer.add_answer(a("www.example.com", 1));
        answer.add_authority(ns_record("example.com", "ns.example.com"));
        assert_eq!(seen(&answer), View::Answer);
        let mut alias = message();
        alias.add_answer(record("www.example.com", RData::CNAME(CNAME(theirs(&name("a.else"))))));
        alias.add_answer(a("a.else", 1));
        assert_eq!(seen(&alias), View::Alias(name("a.else")));
        let mut denied = message();
        denied.metadata.response_code = ResponseCode::NXDomain;
        assert_eq!(seen(&denied), View::Denied(ResponseCode::NXDomain));
        denied.metadata.response_code = ResponseCode::Refused;
        assert_eq!(seen(&denied), View::Useless(ResponseCode::Refused));
    }

    #[test]
    fn a_serial_is_that_of_the_zone_itself() {
        let mut message = message();
        let soa = |owner: &str| {
            record(
                owner,
                RData::SOA(SOA::new(theirs(&name("a")), theirs(&name("b")), 7, 1, 1, 1, 1)),
            )
        };
        message.add_answer(soa("example.com"));
        assert_eq!(serial(&message, &name("example.com")), Some(7));
        assert_eq!(serial(&message, &name("com")), None);
        assert_eq!(soa_owner(&message), Some(name("example.com")));
    }

    #[test]
    fn rfc4034_5_4_a_ds_points_to_its_key() {
        // The example of the RFC, dskey.example.com.
        let key = "AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZDRD9\
                   9WYwYqUSdjMmmAphXdvxegXd/M5+X7OrzKBaMbCVdFLUUh6DhweJBjEVv5f2wwjM9XzcnOf+EPbt\
                   G9DMBmADjFDc2w/rljwvFw==";
        let unknown = |record_type: RecordType, data: Vec<u8>| {
            let rdata = NULL::with(data);
            record("dskey.example.com", RData::Unknown { code: record_type, rdata })
        };
        let mut message = message();
        let mut data = vec![1, 0, 3, 5];
        data.extend(base64(key));
        message.add_answer(unknown(RecordType::DNSKEY, data));
        message.add_answer(unknown(RecordType::DS, vec![0xec, 0x45, 5, 1, 0x2b, 0xb1]));
        let zone = name("dskey.example.com");
        let expected = [KeyId { tag: 60485, algorithm: 5 }];
        assert_eq!(ds(&message, &zone), expected);
        assert_eq!(dnskey(&message, &zone), expected);
    }

    fn base64(text: &str) -> Vec<u8> {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digits = text.bytes().filter_map(|c| alphabet.iter().position(|&known| known == c));
        let bits: Vec<bool> =
            digits.flat_map(|digit| (0..6).rev().map(move |bit| digit >> bit & 1 == 1)).collect();
        let octet = |bits: &[bool]| bits.iter().fold(0u8, |octet, &bit| octet << 1 | u8::from(bit));
        bits.chunks_exact(8).map(octet).collect()
    }
}
