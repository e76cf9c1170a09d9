//! What is written is valid, within the limit, and says what was put in.

use crate::parser::{self, Message, Record};
use dns::edns::{self, ClientSubnet};
use dns::name::{Name, NameRef};
use dns::rr::{RRsetBuf, Rcode, Rtype, Ttl};
use dns::wire::{Fit, NoRoom, Owner, Request, Section, Writer};
use proptest::prelude::*;

/// `wWw.eXample. A` with RD set.
const QUERY: &[u8] = b"\x12\x34\x01\x10\0\x01\0\0\0\0\0\0\x03wWw\x07eXample\0\0\x01\0\x01";

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn set(rtype: Rtype, rdatas: &[&[u8]]) -> RRsetBuf {
    let mut set = RRsetBuf::new(rtype, Ttl::from_secs(300));
    for rdata in rdatas {
        assert!(set.push(rdata));
    }
    set
}

fn write(
    limit: usize,
    opt: Option<&edns::Reply<'_>>,
    fill: impl FnOnce(&mut Writer<'_>),
) -> (Message, usize) {
    let request = Request::parse(QUERY).unwrap();
    let mut out = [0xee; 4096];
    let reserve = opt.map_or(0, edns::Reply::encoded_len);
    let question = request.question.as_ref();
    let mut writer = Writer::reply(&mut out, limit, &request.header, question, reserve).unwrap();
    fill(&mut writer);
    let length = writer.finish(Rcode::NOERROR, opt);
    assert!(length <= limit, "{length} > {limit}");
    assert!(out[limit..].iter().all(|&octet| octet == 0xee), "wrote past the limit");
    (parser::parse(&out[..length]).unwrap(), length)
}

#[test]
fn the_question_goes_back_octet_by_octet_and_flags_are_ours() {
    let (message, length) = write(512, None, |writer| writer.set_authoritative(true));
    assert_eq!(message.questions, [&QUERY[12..]]);
    assert_eq!(length, QUERY.len());
    // QR, AA, RD copied; CD, AD, RA clear (RFC 4035 §3.1.6)
    assert_eq!((message.id, message.flags), (0x1234, 0x8500));
}

#[test]
fn rfc1035_4_1_4_names_share_their_tails() {
    let target = name("cdn.EXAMPLE.");
    let (message, length) = write(512, None, |writer| {
        let cname = set(Rtype::CNAME, &[target.wire()]);
        let _ = writer.rrset(Section::Answer, Owner::Question, &cname.as_rrset());
        let a = set(Rtype::A, &[&[192, 0, 2, 1], &[192, 0, 2, 2]]);
        let _ = writer.rrset(Section::Answer, Owner::Name(target.as_name()), &a.as_rrset());
    });
    // CNAME: pointer, 10, "cdn" and a pointer; A: pointer, 10, 4
    assert_eq!(length, QUERY.len() + (2 + 10 + 4 + 2) + 2 * (2 + 10 + 4));
    let owners: Vec<String> = (message.sections[0].iter())
        .map(|record| NameRef::parse(&record.owner).unwrap().to_string())
        .collect();
    assert_eq!(owners, ["wWw.eXample.", "cdn.eXample.", "cdn.eXample."]);
}

#[test]
fn rfc3597_4_only_the_types_of_rfc1035_are_compressed() {
    let target = name("x.example.");
    for (rtype, head, compressed) in [
        (Rtype::NS, &b""[..], true),
        (Rtype::MX, b"\0\x0a", true),
        (Rtype::PTR, b"", true),
        (Rtype::SRV, b"\0\0\0\0\0\x16", false),
        (Rtype::DNAME, b"", false),
        (Rtype::HTTPS, b"\0\x01", false),
    ] {
        let rdata = [head, target.wire()].concat();
        let (_, length) = write(512, None, |writer| {
            let set = set(rtype, &[&rdata]);
            let _ = writer.rrset(Section::Answer, Owner::Question, &set.as_rrset());
        });
        let name = if compressed { 4 } else { target.wire().len() };
        assert_eq!(length, QUERY.len() + 12 + head.len() + name, "{rtype}");
    }
}

#[test]
fn rfc2181_9_an_rrset_is_whole_or_absent() {
    let big = set(Rtype::TXT, &[&[1; 200], &[2; 200], &[3; 200]]);
    let small = set(Rtype::A, &[&[192, 0, 2, 1]]);
    let (message, length) = write(512, None, |writer| {
        let small = small.as_rrset();
        assert_eq!(writer.rrset(Section::Answer, Owner::Question, &small), Fit::Written);
        let big = big.as_rrset();
        assert_eq!(writer.rrset(Section::Answer, Owner::Question, &big), Fit::Truncated);
        // nothing comes after what is missing
        assert_eq!(writer.rrset(Section::Authority, Owner::Question, &small), Fit::Truncated);
        assert_eq!(writer.rrset(Section::Additional, Owner::Question, &small), Fit::Omitted);
    });
    assert!(message.truncated());
    assert_eq!(message.sections.each_ref().map(Vec::len), [1, 0, 0]);
    assert_eq!(length, QUERY.len() + 16);
}

#[test]
fn rfc9471_3_1_missing_glue_truncates_and_missing_extras_do_not() {
    let big = set(Rtype::TXT, &[&[1; 250], &[2; 250]]);
    for (section, fit, truncated) in
        [(Section::Glue, Fit::Truncated, true), (Section::Additional, Fit::Omitted, false)]
    {
        let (message, _) = write(512, None, |writer| {
            assert_eq!(writer.rrset(section, Owner::Question, &big.as_rrset()), fit);
        });
        assert_eq!(message.truncated(), truncated);
    }
}

#[test]
fn the_opt_record_always_fits() {
    let opt = edns::Reply {
        payload: 1232,
        nsid: Some(&[b'n'; 100]),
        subnet: Some(ClientSubnet::parse_query(b"\0\x01\x18\0\xc0\0\x02").unwrap()),
        ..edns::Reply::default()
    };
    let mut last = None;
    for octets in 1..=255usize {
        let rdata = vec![b'x'; octets];
        let filler = set(Rtype::TXT, &[&rdata, &[0; 30]]);
        let (message, _) = write(512, Some(&opt), |writer| {
            let _ = writer.rrset(Section::Answer, Owner::Question, &filler.as_rrset());
        });
        assert_eq!(message.options().len(), 2);
        assert_eq!(message.truncated(), message.sections[0].is_empty());
        last = Some(message.truncated());
    }
    assert_eq!(last, Some(false));
}

#[test]
fn a_scope_found_late_is_still_written() {
    let request = Request::parse(QUERY).unwrap();
    let subnet = ClientSubnet::parse_query(b"\0\x01\x18\0\xc0\0\x02").unwrap();
    let mut opt = edns::Reply { payload: 1232, subnet: Some(subnet), ..edns::Reply::default() };
    let mut out = [0; 512];
    let reserve = opt.encoded_len();
    let writer = Writer::reply(&mut out, 512, &request.header, request.question.as_ref(), reserve);
    let writer = writer.unwrap();
    opt.subnet = Some(subnet.with_scope(20));
    let length = writer.finish(Rcode::NOERROR, Some(&opt));
    let message = parser::parse(&out[..length]).unwrap();
    assert_eq!(message.options(), [(8, b"\0\x01\x18\x14\xc0\0\x02".to_vec())]);
}

#[test]
fn a_buffer_without_room_is_refused_before_anything_is_written() {
    let request = Request::parse(QUERY).unwrap();
    for room in 0..QUERY.len() + 11 {
        let mut out = vec![0xee; room];
        let question = request.question.as_ref();
        let writer = Writer::reply(&mut out, 512, &request.header, question, 11);
        assert_eq!(writer.err(), Some(NoRoom));
        assert!(out.iter().all(|&octet| octet == 0xee));
    }
}

#[test]
fn tcp_sized_messages_point_no_further_than_pointers_reach() {
    // past 16 KiB new names are written in full, and old ones still found
    let request = Request::parse(QUERY).unwrap();
    let mut out = vec![0; 65_535];
    let mut writer =
        Writer::reply(&mut out, usize::MAX, &request.header, request.question.as_ref(), 0).unwrap();
    let text = set(Rtype::TXT, &[&[0; 255]]);
    for i in 0..200 {
        let owner = name(&format!("n{i}.example."));
        let fit = writer.rrset(Section::Answer, Owner::Name(owner.as_name()), &text.as_rrset());
        assert_eq!(fit, Fit::Written);
    }
    let length = writer.finish(Rcode::NOERROR, None);
    let message = parser::parse(&out[..length]).unwrap();
    let last = NameRef::parse(&message.sections[0][199].owner).unwrap().to_string();
    assert!(last.eq_ignore_ascii_case("n199.example."), "{last}");
}

/// A name of a few short labels, so that tails are shared often.
fn any_name() -> impl Strategy<Value = Name> {
    prop::collection::vec(prop::sample::select(vec!["a", "B", "b", "cc", "eXample"]), 0..5)
        .prop_map(|labels| labels.join(".") + ".")
        .prop_map(|text| text.trim_start_matches('.').to_owned())
        .prop_map(|text| if text.is_empty() { Name::root() } else { name(&text) })
}

#[derive(Clone, Debug)]
struct Put {
    section: Section,
    owner: Option<Name>,
    rtype: Rtype,
    rdatas: Vec<Vec<u8>>,
}

fn any_put() -> impl Strategy<Value = Put> {
    let rdatas = prop_oneof![
        prop::collection::vec(any_name().prop_map(|name| (Rtype::NS, name.wire().to_vec())), 1..4),
        prop::collection::vec(
            any_name().prop_map(|name| (Rtype::MX, [b"\0\x0a", name.wire()].concat())),
            1..4
        ),
        (any_name(), any_name()).prop_map(|(mname, rname)| vec![(
            Rtype::SOA,
            [mname.wire(), rname.wire(), &[7; 20]].concat()
        )]),
        prop::collection::vec(any::<[u8; 4]>().prop_map(|a| (Rtype::A, a.to_vec())), 1..9),
        prop::collection::vec(
            prop::collection::vec(any::<u8>(), 0..90).prop_map(|txt| (Rtype::TXT, txt)),
            1..4
        ),
    ];
    let sections = [Section::Answer, Section::Authority, Section::Glue, Section::Additional];
    (prop::sample::select(sections.to_vec()), prop::option::of(any_name()), rdatas).prop_map(
        |(section, owner, rdatas)| Put {
            section,
            owner,
            rtype: rdatas[0].0,
            rdatas: rdatas.into_iter().map(|(_, rdata)| rdata).collect(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever is put in under whatever limit, the message is within it, a strict parser reads
    /// it, it holds exactly what was reported as written, and TC is set exactly if something
    /// needed is missing.
    #[test]
    fn what_is_written_is_what_was_put(
        mut puts in prop::collection::vec(any_put(), 0..12),
        limit in 80..700usize,
        with_opt in any::<bool>(),
    ) {
        puts.sort_by_key(|put| put.section.min(Section::Glue));
        let opt = edns::Reply { payload: 1232, nsid: Some(b"ns1"), ..edns::Reply::default() };
        let opt = with_opt.then_some(&opt);
        let mut expected = [Vec::new(), Vec::new(), Vec::new()];
        let mut missing = false;
        let (message, _) = write(limit, opt, |writer| {
            for put in &puts {
                let rdatas: Vec<&[u8]> = put.rdatas.iter().map(Vec::as_slice).collect();
                let set = set(put.rtype, &rdatas);
                let owner = put.owner.as_ref().map_or(Owner::Question, |o| Owner::Name(o.as_name()));
                let section = match put.section {
                    Section::Answer => 0,
                    Section::Authority => 1,
                    Section::Glue | Section::Additional => 2,
                };
                match writer.rrset(put.section, owner, &set.as_rrset()) {
                    Fit::Written => expected[section].extend(put.rdatas.iter().map(|rdata| {
                        let owner = put.owner.as_ref().map_or(&QUERY[12..QUERY.len() - 4], Name::wire);
                        (owner.to_ascii_lowercase(), put.rtype.0, rdata.to_ascii_lowercase())
                    })),
                    Fit::Omitted => assert_eq!(put.section, Section::Additional),
                    Fit::Truncated => missing = true,
                }
            }
        });
        prop_assert_eq!(message.truncated(), missing);
        prop_assert_eq!(message.opt().is_some(), with_opt);
        for (found, expected) in message.sections.iter().zip(&expected) {
            let found: Vec<_> = (found.iter())
                .filter(|record| record.rtype != 41)
                .map(|Record { owner, rtype, rdata, .. }| {
                    (owner.to_ascii_lowercase(), *rtype, rdata.to_ascii_lowercase())
                })
                .collect();
            prop_assert_eq!(&found, expected);
        }
    }

    /// Names survive wire and text.
    #[test]
    fn names_round_trip(labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..8)) {
        let mut wire = Vec::new();
        for label in &labels {
            wire.push(label.len() as u8);
            wire.extend_from_slice(label);
        }
        wire.push(0);
        let name = Name::from_wire(&wire).unwrap();
        prop_assert_eq!(name.wire(), &wire[..]);
        let back: Name = name.to_string().parse().unwrap();
        prop_assert_eq!(back.wire(), &wire[..]);
    }
}
