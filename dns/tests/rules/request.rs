//! What is refused, what is dropped, and what is let through.

use crate::parser;
use dns::edns::{ClientSubnet, OptionError, SubnetError};
use dns::rr::{Class, Opcode, Rcode, Rtype};
use dns::wire::{DropReason, Fault, Malformed, Refusal, Request};
use proptest::prelude::*;

/// A message made by hand: header, then `body`.
fn message(flags: u16, counts: [u16; 4], body: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34];
    bytes.extend_from_slice(&flags.to_be_bytes());
    for count in counts {
        bytes.extend_from_slice(&count.to_be_bytes());
    }
    bytes.extend(body.concat());
    bytes
}

const QUESTION: &[u8] = b"\x03wWw\x07eXample\x00\x00\x01\x00\x01";
const RECORD: &[u8] = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\xc0\x00\x02\x01";
/// Version 0, DO, 4096.
const OPT: &[u8] = b"\x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x00";
const TSIG: &[u8] = b"\x01k\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x00";

fn opt(options: &[u8]) -> Vec<u8> {
    let mut opt = OPT.to_vec();
    opt[9..11].copy_from_slice(&(options.len() as u16).to_be_bytes());
    opt.extend_from_slice(options);
    opt
}

#[track_caller]
fn refused(bytes: &[u8]) -> Refusal<'_> {
    match Request::parse(bytes) {
        Err(Malformed::Refuse(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

/// The fault, its code, and whether question and OPT go back.
#[track_caller]
fn fault(bytes: &[u8]) -> (Fault, Rcode, bool, bool) {
    let refusal = refused(bytes);
    let mut out = [0; 512];
    let length = refusal.write(&mut out, 1232);
    let reply = parser::parse(&out[..length]).unwrap();
    assert_eq!(reply.id, 0x1234);
    assert_eq!(reply.rcode(), refusal.rcode.0);
    assert_eq!(reply.flags & 0x8000, 0x8000);
    assert_eq!(!reply.questions.is_empty(), refusal.question.is_some());
    assert_eq!(reply.opt().is_some(), refusal.edns.is_some());
    (refusal.fault, refusal.rcode, refusal.question.is_some(), refusal.edns.is_some())
}

/// RFC 8945 §5.3: for a signed reply one has to know that the refused message was signed.
#[test]
fn a_refusal_has_the_signature_of_its_message() {
    let (one, status, update) = (0x0110, 0x1000, 0x2800);
    let version = b"\x00\x00\x29\x10\x00\x00\x01\x80\x00\x00\x00";
    let other = b"\x03www\x00\x00\x29\x00\x01";
    let bad_option = opt(b"\x00\x08\x00\x01\x00");
    for (what, flags, counts, body) in [
        ("version 1", one, [1, 0, 0, 2], &[QUESTION, version, TSIG][..]),
        ("a bad option", one, [1, 0, 0, 2], &[QUESTION, &bad_option, TSIG]),
        ("two OPT records", one, [1, 0, 0, 3], &[QUESTION, OPT, OPT, TSIG]),
        ("type OPT", one, [1, 0, 0, 1], &[other, TSIG]),
        ("an answer", one, [1, 1, 0, 1], &[QUESTION, RECORD, TSIG]),
        ("two questions", one, [2, 0, 0, 1], &[QUESTION, QUESTION, TSIG]),
        ("no question", one, [0, 0, 0, 1], &[TSIG]),
        ("STATUS", status, [1, 0, 0, 1], &[QUESTION, TSIG]),
        ("OPT in the update section", update, [1, 0, 1, 1], &[QUESTION, OPT, TSIG]),
    ] {
        let bytes = message(flags, counts, body);
        let refusal = refused(&bytes);
        let signature = refusal.signature.unwrap_or_else(|| panic!("{what}"));
        assert_eq!((signature.rtype, signature.start), (Rtype::TSIG, bytes.len() - TSIG.len()));
        let request = refusal.request(&bytes);
        assert_eq!((request.signature, request.bytes), (Some(signature), &bytes[..]), "{what}");
        // RFC 8945 §5.1: the last, the only one, and of everything.
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(refused(&longer).signature.is_none(), "{what}");
        for end in bytes.len() - TSIG.len()..bytes.len() {
            assert!(refused(&bytes[..end]).signature.is_none(), "{what} {end}");
        }
        let [a, b, c, d] = counts;
        let two = message(flags, [a, b, c, d + 1], &[&body.concat(), TSIG]);
        assert!(refused(&two).signature.is_none(), "{what}");
    }
    let unsigned = message(one, [1, 0, 0, 1], &[QUESTION, version]);
    assert!(refused(&unsigned).signature.is_none());
}

#[test]
fn a_plain_query() {
    let bytes = message(0x0110, [1, 0, 0, 0], &[QUESTION]);
    let request = Request::parse(&bytes).unwrap();
    let question = request.question.unwrap();
    assert_eq!(question.name.to_string(), "wWw.eXample.");
    assert_eq!((question.qtype, question.qclass), (Rtype::A, Class::IN));
    assert_eq!(request.header.id, 0x1234);
    assert!(request.header.recursion_desired() && request.header.checking_disabled());
    assert!(request.edns.is_none() && request.signature.is_none());
}

#[test]
fn short_messages_and_responses_are_dropped_in_silence() {
    let bytes = message(0, [1, 0, 0, 0], &[QUESTION]);
    for length in 0..12 {
        assert!(matches!(
            Request::parse(&bytes[..length]),
            Err(Malformed::Drop(DropReason::ShorterThanHeader))
        ));
    }
    for opcode in 0..16 {
        let bytes = message(0x8000 | opcode << 11, [1, 0, 0, 0], &[QUESTION]);
        assert!(matches!(Request::parse(&bytes), Err(Malformed::Drop(DropReason::Response))));
    }
}

#[test]
fn unknown_opcodes_are_not_implemented() {
    for opcode in [1, 2, 3, 6, 7, 15] {
        let bytes = message(opcode << 11, [1, 0, 0, 0], &[QUESTION]);
        let expected = Fault::Opcode(Opcode(opcode as u8));
        assert_eq!(fault(&bytes), (expected, Rcode::NOTIMP, true, false));
        let bytes = message(opcode << 11, [1, 0, 0, 1], &[QUESTION, OPT]);
        assert_eq!(fault(&bytes), (expected, Rcode::NOTIMP, true, true));
        let bytes = message(opcode << 11, [0, 0, 0, 1], &[OPT]);
        assert_eq!(fault(&bytes), (expected, Rcode::NOTIMP, false, true));
    }
}

#[test]
fn what_an_unknown_opcode_means_by_the_rest_is_no_format_error() {
    let expected = (Fault::Opcode(Opcode::DSO), Rcode::NOTIMP);
    let mut later = OPT.to_vec();
    later[6] = 1;
    let subnet = opt(b"\x00\x08\x00\x08\x00\x01\x18\x00\xc0\x00\x02\x01");
    let parts: [&[u8]; 2] = [QUESTION, OPT];
    for (counts, body, question, opt) in [
        // RFC 8490 §5.4: counts of zero, then TLVs
        ([0, 0, 0, 0], &[&b"\x00\x01\x00\x00"[..]][..], false, false),
        ([1, 0, 0, 1], &[QUESTION, &later], true, true),
        ([1, 0, 0, 2], &[QUESTION, OPT, OPT], true, false),
        ([1, 0, 0, 1], &[QUESTION, &subnet], true, false),
        ([1, 0, 0, 1], &[QUESTION, OPT, b"\x00"], true, false),
        ([1, 0, 0, 1], &[QUESTION], true, false),
        ([1, 0, 0, 1], &[b"\xc0\x0c\x00\x01\x00\x01", OPT], false, false),
        ([2, 0, 0, 1], &parts, false, false),
    ] {
        let bytes = message(6 << 11, counts, body);
        let (fault, rcode, has_question, has_opt) = fault(&bytes);
        assert_eq!((fault, rcode), expected, "{bytes:02x?}");
        assert_eq!((has_question, has_opt), (question, opt), "{bytes:02x?}");
    }
}

#[test]
fn rfc9619_3_more_than_one_question_is_a_format_error() {
    let bytes = message(0, [2, 0, 0, 0], &[QUESTION, QUESTION]);
    assert_eq!(fault(&bytes), (Fault::QuestionCount(2), Rcode::FORMERR, false, false));
    for opcode in [4, 5] {
        let bytes = message(opcode << 11, [0, 0, 0, 0], &[]);
        assert_eq!(fault(&bytes).0, Fault::QuestionCount(0));
    }
}

#[test]
fn rfc7873_5_4_no_question_only_with_a_cookie() {
    let cookie = opt(b"\x00\x0a\x00\x08abcdefgh");
    let bytes = message(0, [0, 0, 0, 1], &[&cookie]);
    let request = Request::parse(&bytes).unwrap();
    assert!(request.question.is_none());
    assert_eq!(request.edns.unwrap().cookie.unwrap().client, *b"abcdefgh");
    let bytes = message(0, [0, 0, 0, 1], &[OPT]);
    assert_eq!(fault(&bytes), (Fault::QuestionCount(0), Rcode::FORMERR, false, true));
    assert_eq!(fault(&message(0, [0; 4], &[])).0, Fault::QuestionCount(0));
}

#[test]
fn rfc1035_4_1_4_the_question_cannot_be_compressed() {
    for name in [&b"\xc0\x0c"[..], b"\x01a\xc0\x0c", b"\xc0\x00", b"\xc0\xff"] {
        let bytes = message(0, [1, 0, 0, 0], &[name, b"\x00\x01\x00\x01"]);
        assert!(matches!(fault(&bytes).0, Fault::QuestionName(_)), "{name:02x?}");
    }
    for length in 0..QUESTION.len() {
        let bytes = message(0, [1, 0, 0, 0], &[&QUESTION[..length]]);
        assert_eq!(fault(&bytes).1, Rcode::FORMERR, "{length}");
    }
}

#[test]
fn rfc1035_4_1_4_loops_elsewhere_are_format_errors() {
    for owner in [&b"\xc0\x1d"[..], b"\xc0\x40", b"\x01a\xc0\x1d", b"\xc0\x02"] {
        let record = [owner, &RECORD[2..]].concat();
        let bytes = message(0, [1, 0, 0, 1], &[QUESTION, &record]);
        assert_eq!(fault(&bytes), (Fault::Record, Rcode::FORMERR, true, false), "{owner:02x?}");
    }
}

#[test]
fn a_query_has_no_records_but_additional_ones() {
    let bytes = message(0, [1, 1, 0, 0], &[QUESTION, RECORD]);
    assert_eq!(fault(&bytes).0, Fault::Sections);
    let bytes = message(0, [1, 0, 1, 0], &[QUESTION, RECORD]);
    assert_eq!(fault(&bytes).0, Fault::Sections);
    let bytes = message(0, [1, 0, 0, 1], &[QUESTION, RECORD]);
    assert!(Request::parse(&bytes).is_ok());
    // RFC 1995 §3: IXFR has its SOA in the authority section
    let mut ixfr = QUESTION.to_vec();
    ixfr[QUESTION.len() - 3] = 251;
    assert!(Request::parse(&message(0, [1, 0, 1, 0], &[&ixfr, RECORD])).is_ok());
    // RFC 1996 §3.7: NOTIFY may have one in the answer section
    assert!(Request::parse(&message(4 << 11, [1, 1, 0, 0], &[QUESTION, RECORD])).is_ok());
    // RFC 2136 §2: UPDATE has all four
    let all = [QUESTION, RECORD, RECORD, RECORD];
    assert!(Request::parse(&message(5 << 11, [1, 1, 1, 1], &all)).is_ok());
}

#[test]
fn wrong_counts_and_trailing_octets_are_format_errors() {
    assert_eq!(fault(&message(0, [1, 0, 0, 1], &[QUESTION])).0, Fault::Record);
    assert_eq!(fault(&message(0, [1, 0, 0, 2], &[QUESTION, OPT])).0, Fault::Record);
    assert_eq!(fault(&message(0, [1, 0, 0, 0], &[QUESTION, OPT])).0, Fault::Trailing);
    let bytes = message(0, [1, 0, 0, 1], &[QUESTION, OPT, b"\x00"]);
    assert_eq!(fault(&bytes), (Fault::Trailing, Rcode::FORMERR, true, true));
    let bytes = message(0, [1, 0xffff, 0xffff, 0xffff], &[QUESTION]);
    assert_eq!(fault(&bytes).0, Fault::Sections);
}

#[test]
fn rfc6891_6_1_1_one_opt_at_the_root() {
    let two = message(0, [1, 0, 0, 2], &[QUESTION, OPT, OPT]);
    assert_eq!(fault(&two), (Fault::MisplacedOpt, Rcode::FORMERR, true, true));
    let named = [b"\x01a", OPT].concat();
    let bytes = message(0, [1, 0, 0, 1], &[QUESTION, &named]);
    assert_eq!(fault(&bytes), (Fault::MisplacedOpt, Rcode::FORMERR, true, false));
    let update = message(5 << 11, [1, 0, 1, 0], &[QUESTION, OPT]);
    assert_eq!(fault(&update).0, Fault::MisplacedOpt);
}

#[test]
fn rfc6891_6_1_3_other_versions_are_badvers_whatever_their_options() {
    let mut later = opt(b"\x00\x08\x00\x01\x00");
    later[6] = 1;
    let bytes = message(0, [1, 0, 0, 1], &[QUESTION, &later]);
    assert_eq!(fault(&bytes), (Fault::EdnsVersion(1), Rcode::BADVERS, true, true));
    let mut out = [0; 512];
    let length = refused(&bytes).write(&mut out, 1232);
    let reply = parser::parse(&out[..length]).unwrap();
    let opt = reply.opt().unwrap();
    // extended code 1, version 0, DO copied (RFC 3225 §3); our payload
    assert_eq!((opt.ttl, opt.class), (0x0100_8000, 1232));
    assert_eq!(reply.questions, [QUESTION]);
}

#[test]
fn rfc7871_7_1_2_a_malformed_client_subnet_is_a_format_error() {
    let bad = opt(b"\x00\x08\x00\x08\x00\x01\x18\x00\xc0\x00\x02\x01");
    let bytes = message(0, [1, 0, 0, 1], &[QUESTION, &bad]);
    let expected = Fault::Option(OptionError::Subnet(SubnetError::Length { got: 4, want: 3 }));
    assert_eq!(fault(&bytes), (expected, Rcode::FORMERR, true, true));
    let good = opt(b"\x00\x08\x00\x07\x00\x01\x18\x00\xc0\x00\x02");
    let bytes = message(0, [1, 0, 0, 1], &[QUESTION, &good]);
    let subnet = Request::parse(&bytes).unwrap().edns.unwrap().subnet.unwrap();
    assert_eq!(subnet, ClientSubnet::parse_query(b"\x00\x01\x18\x00\xc0\x00\x02").unwrap());
}

#[test]
fn rfc8945_5_1_a_signature_is_last() {
    let bytes = message(0, [1, 0, 0, 2], &[QUESTION, OPT, TSIG]);
    let signature = Request::parse(&bytes).unwrap().signature.unwrap();
    assert_eq!((signature.rtype, signature.start), (Rtype::TSIG, bytes.len() - TSIG.len()));
    let bytes = message(0, [1, 0, 0, 2], &[QUESTION, TSIG, OPT]);
    assert_eq!(fault(&bytes).0, Fault::MisplacedSignature);
    let bytes = message(0, [1, 0, 0, 2], &[QUESTION, TSIG, TSIG]);
    assert_eq!(fault(&bytes).0, Fault::MisplacedSignature);
}

#[test]
fn rfc9824_3_5_some_types_are_never_asked() {
    let ask = |rtype: Rtype, opcode: u16| {
        let mut question = QUESTION.to_vec();
        let at = QUESTION.len() - 4;
        question[at..at + 2].copy_from_slice(&rtype.0.to_be_bytes());
        message(opcode << 11, [1, 0, 0, 1], &[&question, OPT])
    };
    for rtype in [Rtype::NXNAME, Rtype::OPT, Rtype::TSIG, Rtype::TKEY] {
        let expected = (Fault::QueryType(rtype), Rcode::FORMERR, true, true);
        assert_eq!(fault(&ask(rtype, 0)), expected);
    }
    for rtype in [Rtype::MAILA, Rtype::MAILB] {
        assert_eq!(fault(&ask(rtype, 0)).1, Rcode::NOTIMP);
    }
    for rtype in [Rtype::ANY, Rtype::AXFR, Rtype(65280), Rtype(0)] {
        assert!(Request::parse(&ask(rtype, 0)).is_ok(), "{rtype}");
    }
    let bytes = ask(Rtype::NXNAME, 0);
    let mut out = [0; 512];
    let length = refused(&bytes).write(&mut out, 1232);
    // extended error 30, Invalid Query Type
    assert_eq!(parser::parse(&out[..length]).unwrap().options(), [(15, vec![0, 30])]);
}

/// A well-formed query with some options.
fn query() -> impl Strategy<Value = Vec<u8>> {
    let options = prop::sample::subsequence(
        vec![
            b"\x00\x03\x00\x00".to_vec(),
            b"\x00\x08\x00\x07\x00\x01\x18\x00\xc0\x00\x02".to_vec(),
            b"\x00\x0a\x00\x08abcdefgh".to_vec(),
            b"\xfd\xe8\x00\x01x".to_vec(),
        ],
        0..=4,
    );
    (options, any::<bool>(), 0..3u16).prop_map(|(options, tsig, others)| {
        let opt = opt(&options.concat());
        let mut body = vec![QUESTION, &opt[..]];
        body.extend(std::iter::repeat_n(RECORD, usize::from(others)));
        body.extend(tsig.then_some(TSIG));
        message(0, [1, 0, 0, 1 + others + u16::from(tsig)], &body)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Any octets are read, refused or dropped; a refusal can be sent and is well-formed.
    #[test]
    fn any_octets_are_handled(bytes in any::<Vec<u8>>()) {
        handle(&bytes)?;
    }

    /// The same for what was a query before a few octets changed or it was cut.
    #[test]
    fn damaged_queries_are_handled(
        mut bytes in query(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        if damage.is_empty() && cut.is_none() {
            prop_assert!(Request::parse(&bytes).is_ok());
        }
        for (at, octet) in damage {
            let at = at.index(bytes.len());
            bytes[at] = octet;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        handle(&bytes)?;
    }
}

fn handle(bytes: &[u8]) -> Result<(), TestCaseError> {
    match Request::parse(bytes) {
        Ok(request) => {
            // What we let through, a strict parser reads too, up to pointers into nowhere.
            prop_assert!(request.question.is_some() || request.edns.is_some());
            prop_assert_eq!(bytes[2] & 0x80, 0);
        }
        Err(Malformed::Drop(_)) => prop_assert!(bytes.len() < 12 || bytes[2] & 0x80 != 0),
        Err(Malformed::Refuse(refusal)) => {
            let mut out = [0; 512];
            let length = refusal.write(&mut out, 1232);
            let reply = parser::parse(&out[..length]).map_err(TestCaseError::fail)?;
            prop_assert_eq!(reply.id.to_be_bytes(), [bytes[0], bytes[1]]);
            prop_assert_eq!(reply.rcode(), refusal.rcode.0);
        }
    }
    Ok(())
}
