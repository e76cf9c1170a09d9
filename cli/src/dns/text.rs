//! Records in the form of zone files (RFC 1035 §5.1), unknown ones in that of RFC 3597: the crate
//! `dns` knows the forms, here its words are found for what the wire library holds.

use std::fmt::Write as _;

use dns::rdata::Rdata;
use dns::rr::{Class, Rcode, Rtype};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::BinEncodable;

use super::ours;

/// A name with its final dot.
pub(crate) fn name(name: &Name) -> String {
    ours(name).to_string()
}

/// A type's mnemonic, or `TYPE123` where it has none.
pub(crate) fn record_type(record_type: RecordType) -> String {
    rtype(record_type).to_string()
}

fn rtype(record_type: RecordType) -> Rtype {
    Rtype(u16::from(record_type))
}

/// A type's mnemonic or `TYPE123`.
pub(crate) fn parse_record_type(text: &str) -> Option<RecordType> {
    text.parse::<Rtype>().ok().map(|rtype| RecordType::from(rtype.0))
}

/// `IN`, `CH`, …, `CLASS32`.
pub(crate) fn class(class: DNSClass) -> String {
    Class(u16::from(class)).to_string()
}

/// A class's mnemonic or `CLASS123`.
pub(crate) fn parse_class(text: &str) -> Option<DNSClass> {
    text.parse::<Class>().ok().map(|class| DNSClass::from(class.0))
}

/// The mnemonics of the IANA registry, as dig prints them.
pub(crate) fn response_code(code: ResponseCode) -> String {
    Rcode(u16::from(code)).to_string()
}

/// The data part of a record.
pub(crate) fn data(record: &Record) -> String {
    let octets = match &record.data {
        RData::SOA(soa) => Ok(soa_octets(soa)),
        RData::NULL(null) => Ok(null.anything.clone()),
        RData::Unknown { rdata, .. } => Ok(rdata.anything.clone()),
        known => known.to_bytes(),
    };
    match octets {
        Ok(octets) => Rdata { rtype: rtype(record.record_type()), octets: &octets }.to_string(),
        // What was read can be written; if not, something is better than nothing.
        Err(_) => record.data.to_string(),
    }
}

/// The one type that the library knows with two names, of which it would compress the second.
fn soa_octets(soa: &SOA) -> Vec<u8> {
    let mut octets = [ours(&soa.mname).wire(), ours(&soa.rname).wire()].concat();
    octets.extend(soa.serial.to_be_bytes());
    for seconds in [soa.refresh, soa.retry, soa.expire] {
        octets.extend(seconds.to_be_bytes());
    }
    octets.extend(soa.minimum.to_be_bytes());
    octets
}

/// Lower-case hexadecimal without separators.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The octets of an even number of hexadecimal digits.
pub(crate) fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let octet = |pair: &[u8]| {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        u8::try_from(digit(0)? * 16 + digit(1)?).ok()
    };
    digits.len().is_multiple_of(2).then(|| digits.chunks_exact(2).map(octet).collect()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::parse_name;
    use hickory_proto::rr::rdata::{NULL, TXT};
    use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

    #[test]
    fn text_is_quoted_and_escaped() {
        let txt = TXT::from_bytes(vec![b"a \"b\"\\", b"\x1b[31m\xff"]);
        let record = Record::from_rdata(parse_name("t").unwrap(), 1, RData::TXT(txt));
        assert_eq!(data(&record), r#""a \"b\"\\" "\027[31m\255""#);
    }

    /// The text of a record that came from the wire as these octets.
    fn shown(code: u16, octets: &[u8]) -> String {
        let mut wire = vec![0];
        wire.extend(code.to_be_bytes());
        wire.extend([0, 1, 0, 0, 0, 60]);
        wire.extend(u16::try_from(octets.len()).unwrap().to_be_bytes());
        wire.extend(octets);
        data(&Record::read(&mut BinDecoder::new(&wire)).unwrap())
    }

    #[test]
    fn every_type_has_the_form_of_zone_files() {
        assert_eq!(shown(1, &[192, 0, 2, 1]), "192.0.2.1");
        assert_eq!(shown(15, b"\0\x0a\x04mail\x07example\0"), "10 mail.example.");
        assert_eq!(shown(257, b"\0\x05issueca.example"), "0 issue \"ca.example\"");
        assert_eq!(shown(52, &[3, 1, 1, 0xab, 0xcd]), "\\# 5 030101abcd");
        let soa = b"\x02ns\x07example\0\x04host\x07example\0\
                    \0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05";
        assert_eq!(shown(6, soa), "ns.example. host.example. 1 2 3 4 5");
        let https = b"\0\x01\0\0\x01\0\x06\x02h2\x02h3\0\x04\0\x04\xc0\0\x02\x01\xfd\xe8\0\x01x";
        let text = shown(65, https);
        for part in ["1 . alpn=", "h2,h3", "ipv4hint=", "192.0.2.1", "key65000="] {
            assert!(text.contains(part), "{text}");
        }
        let digest = [7; 32];
        let ds = shown(43, &[&[0x30, 0x39, 13, 2][..], &digest].concat());
        assert_eq!(ds.to_lowercase(), format!("12345 13 2 {}", hex(&digest)));
    }

    #[test]
    fn unknown_types_take_the_generic_form() {
        let unknown =
            RData::Unknown { code: RecordType::Unknown(65280), rdata: NULL::with(vec![10, 0, 1]) };
        let record = Record::from_rdata(parse_name("t").unwrap(), 1, unknown);
        assert_eq!(data(&record), r"\# 3 0a0001");
        assert_eq!(record_type(record.record_type()), "TYPE65280");
        assert_eq!(parse_record_type("type65280"), Some(RecordType::Unknown(65280)));
        assert_eq!(parse_record_type("aaaa"), Some(RecordType::AAAA));
        assert_eq!(parse_record_type("TYPE28"), Some(RecordType::AAAA));
        assert_eq!(parse_record_type("nonsense"), None);
        assert_eq!(parse_class("ch"), Some(DNSClass::CH));
        assert_eq!(parse_class("CLASS3"), Some(DNSClass::CH));
        assert_eq!(parse_class("class32").map(class).as_deref(), Some("CLASS32"));
        assert_eq!(parse_class("A"), None);
    }

    #[test]
    fn hexadecimal_digits_come_in_pairs() {
        assert_eq!(parse_hex("00fF"), Some(vec![0, 255]));
        assert_eq!(hex(&[0, 255]), "00ff");
        assert_eq!(parse_hex(""), Some(vec![]));
        assert_eq!(parse_hex("0"), None);
        assert_eq!(parse_hex("0x"), None);
        assert_eq!(parse_hex("é"), None);
    }

    #[test]
    fn response_codes_have_their_registered_names() {
        assert_eq!(response_code(ResponseCode::NXDomain), "NXDOMAIN");
        assert_eq!(response_code(ResponseCode::NoError), "NOERROR");
        assert_eq!(response_code(ResponseCode::ServFail), "SERVFAIL");
        assert_eq!(response_code(ResponseCode::Unknown(3000)), "RCODE3000");
        assert_eq!(response_code(ResponseCode::from(1, 0)), "BADVERS");
        assert_eq!(response_code(ResponseCode::from(1, 7)), "BADCOOKIE");
    }
}
