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

use std::net::IpAddr;

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::binary::DecodeError;
use ipnet::IpNet;
use thiserror::Error;

/// Payload size we offer over UDP: fits an unfragmented packet everywhere (DNS flag day 2020).
pub(crate) const DEFAULT_PAYLOAD: u16 = 1232;

/// One question with everything that shapes the query message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) name: Name,
    pub(crate) record_type: RecordType,
    /// EDNS client subnet (RFC 7871). Host bits are cut off when encoding.
    pub(crate) subnet: Option<IpNet>,
    pub(crate) recursion_desired: bool,
    /// The DO bit (RFC 3225).
    pub(crate) dnssec_ok: bool,
    /// UDP payload size offered in EDNS.
    pub(crate) payload: u16,
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
    pub(crate) fn new(name: Name, record_type: RecordType) -> Self {
        Self {
            name,
            record_type,
            subnet: None,
            recursion_desired: true,
            dnssec_ok: false,
            payload: DEFAULT_PAYLOAD,
        }
    }

    /// The query message with that id.
    ///
    /// # Errors
    /// When a name cannot be encoded; names that parsed can.
    pub(crate) fn encode(&self, id: u16) -> Result<Vec<u8>, ProtoError> {
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = self.recursion_desired;
        message.add_query(Query::query(self.name.clone(), self.record_type));
        let mut edns = Edns::new();
        edns.set_max_payload(self.payload).set_dnssec_ok(self.dnssec_ok);
        if let Some(subnet) = self.subnet {
            let option = ClientSubnet::new(subnet.network(), subnet.prefix_len(), 0);
            edns.options_mut().insert(EdnsOption::Subnet(option));
        }
        message.set_edns(edns);
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
            [asked] if asked.name == self.name && asked.query_type == self.record_type => {}
            [] if u16::from(message.metadata.response_code) != 0 => {}
            _ => return Err(NotOurs::Question),
        }
        Ok(message)
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

/// A name as typed: relative names are taken as absolute, as dig does.
///
/// # Errors
/// A sentence with the cause.
pub(crate) fn parse_name(text: &str) -> Result<Name, String> {
    let mut name =
        Name::from_utf8(text).map_err(|error| format!("\"{text}\" is no domain name: {error}"))?;
    name.set_fqdn(true);
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::ResponseCode;

    fn question() -> Question {
        Question {
            subnet: Some("192.0.2.77/24".parse().unwrap()),
            ..Question::new(parse_name("geo.test-net.io").unwrap(), RecordType::A)
        }
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
    }

    #[test]
    fn an_error_without_question_is_accepted_but_a_success_is_not() {
        let mut bare = Message::response(7, OpCode::Query);
        assert!(matches!(question().accept(7, &bare.to_vec().unwrap()), Err(NotOurs::Question)));
        bare.metadata.response_code = ResponseCode::FormErr;
        assert!(question().accept(7, &bare.to_vec().unwrap()).is_ok());
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
