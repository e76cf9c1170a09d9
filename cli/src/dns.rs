//! A small DNS client, the one both `ping` and `dig` use.
//!
//! | to do this | take |
//! |---|---|
//! | say what to ask | [`Question`] |
//! | ask one server once, with retries and TCP when truncated | [`exchange::ask`] |
//! | turn a host name into addresses | [`lookup::Resolver`] |
//! | show a record as a zone file would | [`text`] |
//! | find the machine's own resolvers | [`resolv_conf`] |
//!
//! ```text
//!  Question ──encode──▶ UDP ──▶ accept? ──▶ TC? ──▶ TCP ──▶ accept? ──▶ Reply
//!                        ▲ retries, each with a time-out
//! ```
//!
//! Encoding and acceptance are pure and live here; sockets only in [`exchange`].

pub(crate) mod exchange;
pub(crate) mod lookup;
pub(crate) mod resolv_conf;
pub(crate) mod text;

use std::fmt::Display;
use std::net::IpAddr;

use dns::name::NameError;
use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
use hickory_proto::rr::{DNSClass, Name, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinEncodable, DecodeError};
use ipnet::IpNet;
use thiserror::Error;

/// Payload size we offer over UDP: fits an unfragmented packet everywhere (DNS flag day 2020).
pub(crate) const DEFAULT_PAYLOAD: u16 = 1232;

/// One question with everything that shapes the query message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) name: Name,
    pub(crate) record_type: RecordType,
    pub(crate) class: DNSClass,
    pub(crate) recursion_desired: bool,
    /// AD: tell whether the answer was validated (RFC 6840 §5.7).
    pub(crate) authentic_data: bool,
    /// CD: do not validate (RFC 4035 §3.2.2).
    pub(crate) checking_disabled: bool,
    /// None: the message has no OPT record.
    pub(crate) edns: Option<Offer>,
}

/// What the OPT record of a query says (RFC 6891).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) version: u8,
    /// UDP payload size that we take.
    pub(crate) payload: u16,
    /// The DO bit (RFC 3225).
    pub(crate) dnssec_ok: bool,
    /// EDNS client subnet (RFC 7871). Host bits are cut off when encoding.
    pub(crate) subnet: Option<IpNet>,
    /// Other options, code and data.
    pub(crate) options: Vec<(u16, Vec<u8>)>,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            version: 0,
            payload: DEFAULT_PAYLOAD,
            dnssec_ok: false,
            subnet: None,
            options: Vec::new(),
        }
    }
}

/// Why a message is not the answer to our question. A stranger's datagram gives the first three:
/// it is ignored; the server's own answer can only give the last.
#[derive(Debug, Error)]
pub(crate) enum NotOurs {
    #[error("the message has another id")]
    Id,
    #[error("the message is no response")]
    NotAResponse,
    #[error("the response is to another question")]
    Question,
    #[error("the response cannot be decoded: {0}")]
    Malformed(#[from] DecodeError),
}

impl Question {
    /// Of class IN, with EDNS, recursion desired.
    pub(crate) fn new(name: Name, record_type: RecordType) -> Self {
        Self {
            name,
            record_type,
            class: DNSClass::IN,
            recursion_desired: true,
            authentic_data: false,
            checking_disabled: false,
            edns: Some(Offer::default()),
        }
    }

    /// The same for clients in `subnet`; None: for whoever asks.
    pub(crate) fn on_behalf_of(self, subnet: Option<IpNet>) -> Self {
        Self { edns: Some(Offer { subnet, ..self.edns.unwrap_or_default() }), ..self }
    }

    /// The query message with that id.
    ///
    /// # Errors
    /// When a name cannot be encoded; names that parsed can.
    pub(crate) fn encode(&self, id: u16) -> Result<Vec<u8>, ProtoError> {
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = self.recursion_desired;
        message.metadata.authentic_data = self.authentic_data;
        message.metadata.checking_disabled = self.checking_disabled;
        let mut query = Query::query(self.name.clone(), self.record_type);
        query.set_query_class(self.class);
        message.add_query(query);
        if let Some(offer) = &self.edns {
            message.set_edns(offer.record());
        }
        message.to_vec()
    }

    /// The message, if it answers this question asked with that id (RFC 5452 §9.1: id, response
    /// bit and question must match).
    ///
    /// A server that failed before reading the question (FORMERR, NOTIMP) may leave it out: such
    /// an answer is accepted without one.
    ///
    /// # Errors
    /// [`NotOurs`] says which check failed.
    pub(crate) fn accept(&self, id: u16, bytes: &[u8]) -> Result<Message, NotOurs> {
        match bytes {
            [high, low, ..] if u16::from_be_bytes([*high, *low]) == id => {}
            _ => return Err(NotOurs::Id),
        }
        let message = Message::from_vec(bytes)?;
        if message.metadata.message_type != MessageType::Response {
            return Err(NotOurs::NotAResponse);
        }
        match message.queries.as_slice() {
            [asked] if self.is(asked) => {}
            [] if u16::from(message.metadata.response_code) != 0 => {}
            _ => return Err(NotOurs::Question),
        }
        Ok(message)
    }

    fn is(&self, asked: &Query) -> bool {
        asked.name == self.name
            && asked.query_type == self.record_type
            && asked.query_class == self.class
    }
}

impl Offer {
    fn record(&self) -> Edns {
        let mut edns = Edns::new();
        edns.set_version(self.version).set_max_payload(self.payload);
        edns.set_dnssec_ok(self.dnssec_ok);
        if let Some(subnet) = self.subnet {
            let option = ClientSubnet::new(subnet.network(), subnet.prefix_len(), 0);
            edns.options_mut().insert(EdnsOption::Subnet(option));
        }
        for (code, data) in &self.options {
            edns.options_mut().insert(EdnsOption::Unknown(*code, data.clone()));
        }
        edns
    }
}

/// The client subnet the server answered for, with its scope.
pub(crate) fn client_subnet(message: &Message) -> Option<ClientSubnet> {
    let options = message.edns.as_ref()?.options().as_ref();
    options.iter().find_map(|(_, option)| match option {
        EdnsOption::Subnet(subnet) => Some(*subnet),
        _ => None,
    })
}

/// `ADDRESS` or `ADDRESS/LENGTH`; a bare address is the host itself, `0` is 0.0.0.0/0 (RFC 7871
/// §7.1.2: "do not use my address").
///
/// # Errors
/// A sentence that says what is expected.
pub(crate) fn parse_subnet(text: &str) -> Result<IpNet, String> {
    if text == "0" {
        return parse_subnet("0.0.0.0/0");
    }
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map(|net| net.trunc())
        .map_err(|_| format!("\"{text}\" is no address or prefix, such as 192.0.2.0/24"))
}

/// A name as typed: relative names are taken as absolute, as dig does, `\DDD` is decimal as in
/// zone files, and what is not ASCII takes its xn-- form.
///
/// # Errors
/// A sentence with the cause.
pub(crate) fn parse_name(text: &str) -> Result<Name, String> {
    let told = |cause: &dyn Display| format!("\"{text}\" is no domain name: {cause}");
    if text.is_ascii() {
        return text.parse().map(|name| theirs(&name)).map_err(|error: NameError| told(&error));
    }
    let mut name = Name::from_utf8(text).map_err(|error| told(&error))?;
    name.set_fqdn(true);
    Ok(name)
}

/// The wire library's name as one of ours, which has the text form of zone files.
pub(crate) fn ours(name: &Name) -> dns::name::Name {
    let wire = name.to_bytes().unwrap_or_default();
    // Both are valid names of the same octets.
    dns::name::Name::from_wire(&wire).unwrap_or_else(|_| dns::name::Name::root())
}

/// Our name for the wire library.
pub(crate) fn theirs(name: &dns::name::Name) -> Name {
    Name::from_bytes(name.wire()).unwrap_or_else(|_| Name::root())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::ResponseCode;

    fn question() -> Question {
        Question::new(parse_name("geo.test-net.io").unwrap(), RecordType::A)
            .on_behalf_of(Some("192.0.2.77/24".parse().unwrap()))
    }

    fn reply(to: &Question, id: u16) -> Message {
        let mut message = Message::response(id, OpCode::Query);
        message.add_query(Query::query(to.name.clone(), to.record_type));
        message
    }

    #[test]
    fn the_query_bytes_are_as_the_rfcs_draw_them() {
        let bytes = question().encode(0xabcd).unwrap();
        let mut expected = vec![0xab, 0xcd, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 1];
        expected.extend(b"\x03geo\x08test-net\x02io\x00\x00\x01\x00\x01");
        // OPT: root, type 41, payload 1232, no flags, one option of 7 bytes: family 1, /24, scope
        // 0, and only the three bytes that matter.
        expected.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 11]);
        expected.extend([0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn flags_class_and_options_are_sent_and_edns_can_be_left_out() {
        let offer = Offer {
            version: 1,
            payload: 4096,
            dnssec_ok: true,
            options: vec![(3, Vec::new()), (65300, vec![7])],
            ..Offer::default()
        };
        let asked = Question {
            class: DNSClass::CH,
            recursion_desired: false,
            authentic_data: true,
            checking_disabled: true,
            edns: Some(offer),
            ..Question::new(Name::root(), RecordType::TXT)
        };
        let mut expected = vec![0, 1, 0, 0x30, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 16, 0, 3];
        expected.extend([0, 0, 41, 0x10, 0, 0, 1, 0x80, 0, 0, 9]);
        expected.extend([0, 3, 0, 0, 0xff, 0x14, 0, 1, 7]);
        assert_eq!(asked.encode(1).unwrap(), expected);
        let plain = Question { edns: None, ..asked };
        let bytes = plain.encode(1).unwrap();
        assert_eq!((bytes.len(), bytes[11]), (17, 0), "no additional record");
    }

    #[test]
    fn only_the_answer_to_our_question_is_accepted() {
        let question = question();
        let good = reply(&question, 7);
        assert_eq!(question.accept(7, &good.to_vec().unwrap()).unwrap(), good);
        assert!(matches!(question.accept(8, &good.to_vec().unwrap()), Err(NotOurs::Id)));
        assert!(matches!(question.accept(7, &[0]), Err(NotOurs::Id)));
        assert!(matches!(question.accept(7, &[0, 7, 0]), Err(NotOurs::Malformed(_))));
        let query = question.encode(7).unwrap();
        assert!(matches!(question.accept(7, &query), Err(NotOurs::NotAResponse)));
        let other = Question::new(parse_name("other.test-net.io").unwrap(), RecordType::A);
        let stranger = reply(&other, 7).to_vec().unwrap();
        assert!(matches!(question.accept(7, &stranger), Err(NotOurs::Question)));
        let mut class = reply(&question, 7);
        class.queries[0].set_query_class(DNSClass::CH);
        let class = class.to_vec().unwrap();
        assert!(matches!(question.accept(7, &class), Err(NotOurs::Question)));
    }

    #[test]
    fn an_error_without_question_is_accepted_but_a_success_is_not() {
        let mut bare = Message::response(7, OpCode::Query);
        assert!(matches!(question().accept(7, &bare.to_vec().unwrap()), Err(NotOurs::Question)));
        bare.metadata.response_code = ResponseCode::FormErr;
        assert!(question().accept(7, &bare.to_vec().unwrap()).is_ok());
    }

    #[test]
    fn names_are_read_as_in_zone_files_and_keep_their_case() {
        let wire = |text: &str| parse_name(text).unwrap().to_bytes().unwrap();
        assert_eq!(wire("WwW.a"), b"\x03WwW\x01a\0");
        assert_eq!(wire("a\\.b\\010.c."), b"\x04a.b\n\x01c\0");
        assert_eq!(wire("b\u{fc}cher.example"), b"\x0dxn--bcher-kva\x07example\0");
        assert_eq!(wire("."), b"\0");
        let told = parse_name("a..b").unwrap_err();
        assert_eq!(told, "\"a..b\" is no domain name: empty label");
        for text in ["a\\.b\\010.C.", "xn--bcher-kva.example.", "."] {
            let name = parse_name(text).unwrap();
            assert_eq!(ours(&name).to_string(), text);
            assert_eq!(theirs(&ours(&name)), name);
        }
    }

    #[test]
    fn subnets_lose_their_host_bits() {
        let shown = |text| parse_subnet(text).map(|net| net.to_string());
        assert_eq!(shown("192.0.2.77/24").as_deref(), Ok("192.0.2.0/24"));
        assert_eq!(shown("192.0.2.77").as_deref(), Ok("192.0.2.77/32"));
        assert_eq!(shown("2001:db8::1/48").as_deref(), Ok("2001:db8::/48"));
        assert_eq!(shown("0").as_deref(), Ok("0.0.0.0/0"));
        assert!(shown("192.0.2.0/33").is_err());
        assert!(shown("chicago").is_err());
    }
}
