//! Records in the form of zone files (RFC 1035 §5.1), unknown ones in that of RFC 3597.

use std::fmt::Write as _;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};

/// `TYPE123` where the type has no name here.
pub(crate) fn record_type(record_type: RecordType) -> String {
    match record_type {
        RecordType::Unknown(code) => format!("TYPE{code}"),
        known => known.to_string(),
    }
}

/// A type's mnemonic or `TYPE123`.
pub(crate) fn parse_record_type(text: &str) -> Option<RecordType> {
    let upper = text.to_ascii_uppercase();
    match upper.strip_prefix("TYPE").map(str::parse::<u16>) {
        Some(Ok(code)) => Some(RecordType::from(code)),
        _ => upper.parse().ok(),
    }
}

/// `IN`, `CH`, …, `CLASS32`.
pub(crate) fn class(class: DNSClass) -> String {
    match class {
        DNSClass::Unknown(code) => format!("CLASS{code}"),
        known => known.to_string(),
    }
}

/// A class's mnemonic or `CLASS123`.
pub(crate) fn parse_class(text: &str) -> Option<DNSClass> {
    let upper = text.to_ascii_uppercase();
    match upper.strip_prefix("CLASS").map(str::parse::<u16>) {
        Some(Ok(code)) => Some(DNSClass::from(code)),
        _ => upper.parse().ok().filter(|_| upper != "*"),
    }
}

/// The mnemonics of the IANA registry, as dig prints them.
pub(crate) fn response_code(code: ResponseCode) -> String {
    match code {
        ResponseCode::Unknown(number) => format!("RCODE{number}"),
        // One number, two meanings: BADSIG stands inside a TSIG record only (RFC 6895 §2.3).
        ResponseCode::BADSIG => "BADVERS".to_owned(),
        known => format!("{known:?}").to_ascii_uppercase(),
    }
}

/// The data part of a record.
pub(crate) fn data(record: &Record) -> String {
    match &record.data {
        RData::TXT(txt) => {
            let strings = txt.txt_data.iter().map(|string| quoted(string));
            strings.collect::<Vec<_>>().join(" ")
        }
        RData::NULL(null) => generic(&null.anything),
        RData::Unknown { rdata, .. } => generic(&rdata.anything),
        other => other.to_string(),
    }
}

/// A character string in quotes, with everything escaped that is not printable ASCII.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from('"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b' '..=b'~' => text.push(char::from(byte)),
            other => {
                let _ = write!(text, "\\{other:03}");
            }
        }
    }
    text.push('"');
    text
}

/// `\# 4 0a000001` (RFC 3597 §5).
fn generic(bytes: &[u8]) -> String {
    let mut text = format!("\\# {}", bytes.len());
    if !bytes.is_empty() {
        text.push(' ');
        text.push_str(&hex(bytes));
    }
    text
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

    #[test]
    fn text_is_quoted_and_escaped() {
        let txt = TXT::from_bytes(vec![b"a \"b\"\\", b"\x1b[31m\xff"]);
        let record = Record::from_rdata(parse_name("t").unwrap(), 1, RData::TXT(txt));
        assert_eq!(data(&record), r#""a \"b\"\\" "\027[31m\255""#);
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
