//! What must hold for the replies to one message, whatever it was.

use std::net::IpAddr;

use hickory_proto::op::{Edns, Message, MessageType, ResponseCode};
use hickory_proto::rr::{Name, Record, RecordType};
use hickory_proto::serialize::binary::DecodeError;

use crate::world::{self, Outcome, PAYLOAD, Via};

/// What fits without EDNS.
const MIN_PAYLOAD: usize = 512;
/// Octets of a message's header.
const HEADER: usize = 12;

const QUERY: u8 = 0;
const NOTIFY: u8 = 4;
const UPDATE: u8 = 5;

/// The replies to one message.
pub struct Replies {
    /// Over UDP.
    pub udp: Message,
    /// Over TCP.
    pub tcp: Message,
}

/// Asks over both transports and checks everything; no replies if there are none at once, rightly.
///
/// # Panics
///
/// When a reply is wrong.
pub fn check(query: &[u8], peer: IpAddr) -> Option<Replies> {
    let udp = world::ask(query, peer, Via::Udp);
    let tcp = world::ask(query, peer, Via::Tcp);
    let silence = query.len() < HEADER || query[2] & 0x80 != 0;
    if udp == Outcome::Deferred {
        assert_eq!(tcp, Outcome::Deferred);
        assert!(
            !silence && (opcode(query) == UPDATE || may_be_signed(query)),
            "nothing to wait for"
        );
        return None;
    }
    let (Outcome::Said(udp), Outcome::Said(tcp)) = (&udp, &tcp) else {
        assert!(silence, "{udp:02x?} over UDP, {tcp:02x?} over TCP");
        assert_eq!(udp, tcp, "silence is for both");
        return None;
    };
    assert!(!silence, "a reply to what is no query");
    assert!(udp.len() <= udp_limit(query), "{} octets over UDP", udp.len());
    let [udp, tcp] = [udp, tcp].map(|reply| read(query, reply));
    assert!(!tcp.metadata.truncation, "nothing is truncated over TCP");
    agree(&udp, &tcp);
    Some(Replies { udp, tcp })
}

fn opcode(message: &[u8]) -> u8 {
    message[2] >> 3 & 0xf
}

/// Whether a record of type TSIG or SIG can be in there at all.
fn may_be_signed(message: &[u8]) -> bool {
    message[HEADER..].windows(2).any(|pair| matches!(pair, [0, 250 | 24]))
}

/// Octets that a reply over UDP may have.
fn udp_limit(query: &[u8]) -> usize {
    match parse(query) {
        Ok(Message { edns: Some(edns), .. }) => {
            usize::from(edns.max_payload()).clamp(MIN_PAYLOAD, PAYLOAD)
        }
        Ok(_) => MIN_PAYLOAD,
        // Hickory is stricter in places, so this may still be a query, and one with EDNS.
        Err(_) => PAYLOAD,
    }
}

/// As hickory reads it, which does not know that a client subnet of family 0 is none (RFC 7871
/// §7.1.2): to it such a one is shown as 0.0.0.0/0.
fn parse(message: &[u8]) -> Result<Message, DecodeError> {
    const NONE: [u8; 8] = [0, 8, 0, 4, 0, 0, 0, 0];
    Message::from_vec(message).or_else(|error| {
        let at = message.windows(NONE.len()).rposition(|window| window == NONE);
        let mut shown = message.to_vec();
        shown[at.ok_or(error)? + 5] = 1;
        Message::from_vec(&shown)
    })
}

/// The reply as hickory reads it, if it fits its query.
fn read(query: &[u8], reply: &[u8]) -> Message {
    let message = parse(reply)
        .unwrap_or_else(|error| panic!("hickory cannot read it: {error}: {reply:02x?}"));
    assert_eq!(reply[..2], query[..2], "the id");
    assert_eq!(message.metadata.message_type, MessageType::Response);
    assert_eq!((reply[2] ^ query[2]) & 0x79, 0, "opcode and RD are the query's");
    assert_eq!(reply[3] & 0xc0, 0, "neither RA nor the reserved bit");
    let asked = question(query);
    match message.queries.len() {
        0 => {
            let readable = query[4..6] == [0, 1] && asked.is_some();
            let known = [QUERY, NOTIFY, UPDATE].contains(&opcode(query));
            assert!(!(readable && known), "the question is missing");
        }
        1 => assert_eq!(question(reply), asked, "the question, case and all"),
        several => panic!("{several} questions"),
    }
    let code = message.metadata.response_code;
    if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain | ResponseCode::YXDomain) {
        let records = message.answers.len() + message.authorities.len() + message.additionals.len();
        assert_eq!(records, 0, "an error carries nothing");
        assert!(!message.metadata.authoritative, "{code} is nobody's data");
    }
    if parse(query).is_ok_and(|query| query.edns.is_none()) {
        assert_eq!(message.edns, None, "EDNS unasked");
    }
    whole_sets(&message);
    message
}

/// The question in wire form, by an independent reader.
fn question(message: &[u8]) -> Option<&[u8]> {
    let mut at = HEADER;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1 + length;
        if length > 63 || at - HEADER > 255 {
            return None;
        }
        if length == 0 {
            return message.get(HEADER..at + 4);
        }
    }
}

/// Every record once, and one TTL for each RRset (RFC 2181 §5).
fn whole_sets(message: &Message) {
    for section in [&message.answers, &message.authorities, &message.additionals] {
        for (i, record) in section.iter().enumerate() {
            for other in section[..i].iter().filter(|other| key(other) == key(record)) {
                assert_eq!(other.ttl, record.ttl, "two TTLs in one RRset");
                assert_ne!(other.data, record.data, "a record twice");
            }
        }
    }
}

fn key(record: &Record) -> (Name, RecordType) {
    (record.name.to_lowercase(), record.record_type())
}

/// Over UDP may be missing what does not fit, and then whole RRsets, and nobody needs them or the
/// message says so.
fn agree(udp: &Message, tcp: &Message) {
    let but_tc = |message: &Message| {
        let mut metadata = message.metadata;
        metadata.truncation = false;
        (metadata, message.queries.clone())
    };
    assert_eq!(but_tc(udp), but_tc(tcp), "header and question");
    let payload = |message: &Message| message.edns.as_ref().map(Edns::max_payload);
    assert_eq!(payload(udp), payload(tcp));
    let sections = [
        (&udp.answers, &tcp.answers),
        (&udp.authorities, &tcp.authorities),
        (&udp.additionals, &tcp.additionals),
    ];
    for (place, (short, full)) in sections.into_iter().enumerate() {
        assert_eq!(short[..], full[..short.len()], "UDP and TCP say different things");
        if let (Some(last), Some(next)) = (short.last(), full.get(short.len())) {
            assert_ne!(key(last), key(next), "half an RRset");
        }
        let optional = place == 2;
        assert!(
            udp.metadata.truncation || optional || short.len() == full.len(),
            "records are missing, and no TC says so"
        );
    }
}
