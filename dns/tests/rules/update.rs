//! Updates by the tables of RFC 2136, and against a model that knows no shortcuts. Commands are
//! written as nsupdate has them.

use crate::resolve::zone;
use dns::name::Name;
use dns::rr::{Class, Rcode, Rtype, Ttl};
use dns::update::{Changes, Entry, Fault, Message, Prerequisites, Skip, Skipped};
use dns::zone::{Edited, Record, ZoneData, ZoneFault};
use proptest::prelude::*;

/// Serial 7, one NS record.
const ZONE: &str = "\
www    A     192.0.2.1
www    A     192.0.2.2
www    TXT   one
alias  CNAME www
*.w    A     192.0.2.9
a.b.c  A     192.0.2.3
mx     MX    65 mail
cut    NS    ns.cut
cut    DS    1 8 250 00
ns.cut A     192.0.2.4
d      DNAME other.
";

fn name(text: &str) -> Name {
    Name::from_text(text, &"example.".parse().unwrap()).unwrap()
}

fn rtype(text: &str) -> Rtype {
    let known = [
        Rtype::A,
        Rtype::ANY,
        Rtype::AXFR,
        Rtype::CNAME,
        Rtype::DNAME,
        Rtype::DS,
        Rtype::KEY,
        Rtype::MX,
        Rtype::NS,
        Rtype::NSEC,
        Rtype::NSEC3,
        Rtype::NSEC3PARAM,
        Rtype::RRSIG,
        Rtype::SOA,
        Rtype::TXT,
        Rtype::WKS,
    ];
    known.into_iter().find(|rtype| rtype.to_string() == text).unwrap()
}

/// RDATA in presentation form; of a SOA record the serial.
fn rdata(rtype: Rtype, text: &str) -> Box<[u8]> {
    if text.is_empty() {
        return Box::default();
    }
    if rtype == Rtype::SOA {
        let numbers = [text.parse::<u32>().unwrap(), 2, 3, 4, 60].map(u32::to_be_bytes);
        return [b"\x02ns\x03net\0\x01h\x03net\0".as_slice(), &numbers.concat()].concat().into();
    }
    dns::rdata::parse(rtype, text, &"example.".parse().unwrap()).unwrap()
}

/// `add NAME TTL TYPE DATA`, `del NAME [TYPE [DATA]]`.
fn change(line: &str) -> Entry {
    let words: Vec<&str> = line.split(' ').collect();
    let owner = name(words[1]);
    match words[0] {
        "add" => {
            let (rtype, ttl) = (rtype(words[3]), words[2].parse().unwrap());
            let rdata = rdata(rtype, &words[4..].join(" "));
            Entry { owner, rtype, class: Class::IN, ttl, rdata }
        }
        "del" => {
            let rtype = words.get(2).map_or(Rtype::ANY, |text| rtype(text));
            let class = if words.len() > 3 { Class::NONE } else { Class::ANY };
            let rdata = rdata(rtype, &words.get(3..).unwrap_or_default().join(" "));
            Entry { owner, rtype, class, ttl: 0, rdata }
        }
        other => panic!("{other}"),
    }
}

/// `nxdomain NAME`, `yxdomain NAME`, `nxrrset NAME TYPE`, `yxrrset NAME TYPE [DATA]`.
fn demand(line: &str) -> Entry {
    let words: Vec<&str> = line.split(' ').collect();
    let owner = name(words[1]);
    let rtype = words.get(2).map_or(Rtype::ANY, |text| rtype(text));
    let class = match (words[0], words.len()) {
        ("nxdomain" | "nxrrset", _) => Class::NONE,
        (_, 4..) => Class::IN,
        _ => Class::ANY,
    };
    Entry {
        owner,
        rtype,
        class,
        ttl: 0,
        rdata: rdata(rtype, &words.get(3..).unwrap_or_default().join(" ")),
    }
}

/// Whether anything was changed.
fn update(zone: &mut ZoneData, lines: &[&str]) -> Result<bool, Fault> {
    Ok(skipping(zone, lines)?.0)
}

/// The same, and what was skipped.
fn skipping(zone: &mut ZoneData, lines: &[&str]) -> Result<(bool, Option<Skipped>), Fault> {
    let changes = Changes::read(zone.apex(), lines.iter().map(|line| change(line)).collect())?;
    let Edited { edit, skipped } = zone.edit(&changes)?;
    let Some(edit) = edit else { return Ok((false, skipped)) };
    let before = zone.records().len();
    zone.apply(&edit);
    assert_eq!(zone.serial(), edit.serial());
    assert_eq!(before + edit.added().len() - edit.removed().len(), zone.records().len());
    let again = ZoneData::new(zone.apex().clone(), zone.records().to_vec()).unwrap();
    assert_eq!(again.records(), zone.records(), "sorted, and without duplicates");
    Ok((true, skipped))
}

/// The RRset at a name, as text.
fn rrset(zone: &ZoneData, owner: &str, rtype: Rtype) -> Vec<String> {
    let show = |record: &Record| format!("{} {:02x?}", record.ttl, record.rdata);
    zone.rrset(&name(owner), rtype).map(show).collect()
}

fn holds(lines: &[&str]) -> Rcode {
    let zone = zone("example.", ZONE);
    let types = [Rtype::A, Rtype::AAAA];
    let geo = name("geo");
    let elsewhere = |name: &Name| if *name == geo { &types[..] } else { &[] };
    let entries = lines.iter().map(|line| demand(line)).collect();
    let held = Prerequisites::read(zone.apex(), entries);
    match held.and_then(|all| all.hold(&zone, &elsewhere)) {
        Ok(()) => Rcode::NOERROR,
        Err(fault) => fault.rcode(),
    }
}

#[test]
fn rfc2136_2_4_prerequisites() {
    for (lines, expected) in [
        (&["yxdomain www"][..], Rcode::NOERROR),
        (&["yxdomain WWW"], Rcode::NOERROR),
        (&["yxdomain nobody"], Rcode::NXDOMAIN),
        (&["nxdomain nobody"], Rcode::NOERROR),
        (&["nxdomain www"], Rcode::YXDOMAIN),
        (&["yxrrset www A"], Rcode::NOERROR),
        (&["yxrrset www MX"], Rcode::NXRRSET),
        (&["nxrrset www MX"], Rcode::NOERROR),
        (&["nxrrset www A"], Rcode::YXRRSET),
        // The whole set and nothing but the set, in any order and letter case.
        (&["yxrrset www A 192.0.2.2", "yxrrset www A 192.0.2.1"], Rcode::NOERROR),
        (&["yxrrset www A 192.0.2.1"], Rcode::NXRRSET),
        (
            &["yxrrset www A 192.0.2.1", "yxrrset www A 192.0.2.2", "yxrrset www A 192.0.2.3"],
            Rcode::NXRRSET,
        ),
        (&["yxrrset mx MX 65 MAIL"], Rcode::NOERROR),
        (&["yxrrset mx MX 97 mail"], Rcode::NXRRSET),
        (&["yxrrset nobody A 192.0.2.1"], Rcode::NXRRSET),
        // What stands there, not what would be answered.
        (&["nxdomain x.w"], Rcode::NOERROR),
        (&["yxdomain b.c"], Rcode::NXDOMAIN),
        (&["yxrrset alias A"], Rcode::NXRRSET),
        (&["yxrrset x.cut NS"], Rcode::NXRRSET),
        (&["nxdomain x.d"], Rcode::NOERROR),
        // Services stand there as well.
        (&["nxdomain geo"], Rcode::YXDOMAIN),
        (&["yxrrset geo A"], Rcode::NOERROR),
        (&["nxrrset geo TXT"], Rcode::NOERROR),
        // The first that fails is told.
        (&["yxdomain www", "nxdomain www", "yxdomain nobody"], Rcode::YXDOMAIN),
        (&["yxdomain other."], Rcode::NOTZONE),
    ] {
        assert_eq!(holds(lines), expected, "{lines:?}");
    }
}

#[test]
fn rfc2136_3_2_5_records_that_demand_nothing() {
    let apex = name("x").parent().unwrap();
    let good = demand("yxrrset www A");
    for (what, entry) in [
        ("a TTL", Entry { ttl: 1, ..good.clone() }),
        ("data with ANY", Entry { rdata: [1][..].into(), ..good.clone() }),
        ("data with NONE", Entry { class: Class::NONE, rdata: [1][..].into(), ..good.clone() }),
        ("a class", Entry { class: Class::CH, ..good.clone() }),
        ("a type", Entry { rtype: Rtype::AXFR, ..good.clone() }),
        ("type ANY with data", Entry { class: Class::IN, rtype: Rtype::ANY, ..good.clone() }),
    ] {
        let read = Prerequisites::read(&apex, vec![entry]);
        assert_eq!(read.unwrap_err().rcode(), Rcode::FORMERR, "{what}");
    }
}

#[test]
fn rfc2136_3_4_1_records_that_change_nothing_meant() {
    let apex = name("x").parent().unwrap();
    let (add, delete) = (change("add www 60 A 192.0.2.7"), change("del www A 192.0.2.1"));
    let (set, all) = (change("del www A"), change("del www"));
    for (what, entry) in [
        ("a class", Entry { class: Class::CH, ..add.clone() }),
        ("an added ANY", Entry { rtype: Rtype::ANY, ..add.clone() }),
        ("an added AXFR", Entry { rtype: Rtype::AXFR, ..add.clone() }),
        ("an added OPT", Entry { rtype: Rtype::OPT, ..add.clone() }),
        ("an added nothing", Entry { rdata: Box::default(), ..add.clone() }),
        ("half an address", Entry { rdata: [1, 2][..].into(), ..add.clone() }),
        ("a deleted record with a TTL", Entry { ttl: 1, ..delete.clone() }),
        ("a deleted record of type ANY", Entry { rtype: Rtype::ANY, ..delete }),
        ("a deleted set with a TTL", Entry { ttl: 1, ..set.clone() }),
        ("a deleted set with data", Entry { rdata: [1][..].into(), ..set.clone() }),
        ("a deleted set of type MAILA", Entry { rtype: Rtype::MAILA, ..set }),
        ("a deleted name with data", Entry { rdata: [1][..].into(), ..all }),
    ] {
        let read = Changes::read(&apex, vec![entry]);
        assert_eq!(read.unwrap_err().rcode(), Rcode::FORMERR, "{what}");
    }
    let outside = Changes::read(&apex, vec![change("add other. 60 A 192.0.2.7")]);
    assert_eq!(outside.unwrap_err().rcode(), Rcode::NOTZONE);
    let empty = Entry { rtype: Rtype(65280), rdata: Box::default(), ..add };
    assert!(Changes::read(&apex, vec![empty]).is_ok(), "an unknown type may have no data");
}

#[test]
fn rfc2136_3_4_2_changes() {
    let mut zone = zone("example.", ZONE);
    let mut serial = 7;
    let mut step = |lines: &[&str], owner: &str, rtype: Rtype, expected: &[&str]| {
        assert_eq!(update(&mut zone, lines), Ok(true), "{lines:?}");
        serial += 1;
        assert_eq!(zone.serial(), serial, "{lines:?}");
        assert_eq!(rrset(&zone, owner, rtype), expected, "{lines:?}");
    };
    let (one, two, nine) = ("[c0, 00, 02, 01]", "[c0, 00, 02, 02]", "[c0, 00, 02, 09]");
    let at = |ttl: u32, address: &str| format!("{ttl} {address}");
    // Into a set: the set takes the new TTL.
    let expected = [at(60, one), at(60, two), at(60, nine)];
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    step(&["add www 60 A 192.0.2.9"], "www", Rtype::A, &expected);
    // The same record with another TTL.
    let expected = [at(5, one), at(5, two), at(5, nine)];
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    step(&["add WWW 5 A 192.0.2.1"], "www", Rtype::A, &expected);
    // One record, one set, one name.
    step(&["del www A 192.0.2.1", "del www A 192.0.2.9"], "www", Rtype::A, &[&at(5, two)]);
    step(&["del www A"], "www", Rtype::A, &[]);
    step(&["del www"], "www", Rtype::TXT, &[]);
    // A CNAME takes the place of another, and the order of changes counts.
    step(&["add alias 9 CNAME b.net."], "alias", Rtype::CNAME, &["9 [01, 62, 03, 6e, 65, 74, 00]"]);
    step(&["del alias", "add alias 9 A 192.0.2.1"], "alias", Rtype::A, &[&at(9, one)]);
    // At the apex a whole name leaves SOA and NS.
    step(
        &["add example. 9 TXT a", "add example. 9 NS b.net."],
        "example.",
        Rtype::TXT,
        &["9 [01, 61]"],
    );
    step(&["del example."], "example.", Rtype::TXT, &[]);
    step(&["del example. NS ns.net."], "example.", Rtype::NS, &["9 [01, 62, 03, 6e, 65, 74, 00]"]);
    // A SOA record that is newer brings its own serial.
    assert_eq!(update(&mut zone, &["add example. 5 SOA 100", "add n 5 A 192.0.2.1"]), Ok(true));
    assert_eq!(zone.serial(), 100);
}

#[test]
fn what_is_so_already_changes_nothing() {
    let mut zone = zone("example.", ZONE);
    for lines in [
        &["del nobody"][..],
        &["del nobody A"],
        &["del www A 192.0.2.77"],
        &["add www 300 A 192.0.2.1"],
        &["del www A 192.0.2.1", "add www 300 A 192.0.2.1"],
        &["add new 60 A 192.0.2.1", "del new"],
        &["del example. SOA 6"],
        &["del example."],
    ] {
        assert_eq!(update(&mut zone, lines), Ok(false), "{lines:?}");
    }
    assert_eq!(zone.serial(), 7);
}

#[test]
fn what_would_break_the_zone_is_refused_whole() {
    let at = |text: &str| name(text);
    for (lines, expected) in [
        (&["add x.d 60 A 192.0.2.1"][..], ZoneFault::BelowDname(at("d"))),
        (&["add c 60 DNAME a."], ZoneFault::BelowDname(at("c"))),
        (&["add example. 60 DNAME a."], ZoneFault::BelowDname(at("example."))),
        (&["add y.x.cut 60 TXT a"], ZoneFault::BelowCut { rtype: Rtype::TXT, cut: at("cut") }),
        (&["add cut 60 TXT a"], ZoneFault::AtCut(Rtype::TXT)),
        (&["add mx 60 NS a."], ZoneFault::AtCut(Rtype::MX)),
        (&["del cut NS"], ZoneFault::DsWithoutCut),
        (&["add www 60 DS 1 8 250 00"], ZoneFault::DsWithoutCut),
        (&["add *.n 60 NS a."], ZoneFault::AtWildcard(Rtype::NS)),
        (&["add www 60 NSEC example. A"], ZoneFault::Signed(Rtype::NSEC)),
        (
            &["add abcd 60 NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A"],
            ZoneFault::Signed(Rtype::NSEC3),
        ),
        (&["add example. 0 NSEC3PARAM 1 0 0 -"], ZoneFault::Signed(Rtype::NSEC3PARAM)),
        (
            &["add www 60 RRSIG A 13 2 300 20300101000000 20200101000000 1 example. AQID"],
            ZoneFault::Signed(Rtype::RRSIG),
        ),
    ] {
        let mut zone = zone("example.", ZONE);
        // What is good in it is not done either.
        let lines: Vec<&str> =
            std::iter::once("add good 60 A 192.0.2.1").chain(lines.iter().copied()).collect();
        let before = zone.records().to_vec();
        let fault = update(&mut zone, &lines).unwrap_err();
        assert_eq!(fault.rcode(), Rcode::REFUSED);
        let Fault::Zone(errors) = fault else { panic!("{lines:?}: {fault}") };
        assert!(errors.iter().any(|error| error.fault == expected), "{lines:?}: {errors:?}");
        assert_eq!(zone.records(), before, "{lines:?}");
    }
    let mut zone = zone("example.", ZONE);
    // Below, a name turns into glue: only addresses may.
    assert!(update(&mut zone, &["add b.c 60 NS ns.b.c"]).is_ok());
}

#[test]
fn rfc2136_1_1_5_wks_of_an_address_and_protocol_is_one() {
    let mut zone = zone("example.", ZONE);
    let (tcp, udp) = ("WKS 192.0.2.1 TCP", "WKS 192.0.2.1 UDP");
    let lines = [
        format!("add www 60 {tcp} 25"),
        format!("add www 60 {udp} 53"),
        "add www 60 WKS 192.0.2.2 TCP 25".to_owned(),
        format!("add www 60 {tcp} 80"),
    ];
    assert_eq!(update(&mut zone, &lines.each_ref().map(String::as_str)), Ok(true));
    let left = |zone: &ZoneData| {
        let mut left: Vec<Box<[u8]>> =
            zone.rrset(&name("www"), Rtype::WKS).map(|record| record.rdata.clone()).collect();
        left.sort();
        left
    };
    let data = |text: &str| rdata(Rtype::WKS, text);
    let mut expected =
        ["192.0.2.1 TCP 80", "192.0.2.1 UDP 53", "192.0.2.2 TCP 25"].map(data).to_vec();
    expected.sort();
    assert_eq!(left(&zone), expected);
    // Files may have several of one: they all give way.
    let written = "w WKS 192.0.2.1 TCP 25\nw WKS 192.0.2.1 TCP 80\n";
    let mut zone = self::zone("example.", written);
    assert_eq!(update(&mut zone, &["add w 300 WKS 192.0.2.1 TCP 80"]), Ok(true));
    let single: Vec<_> = zone.rrset(&name("w"), Rtype::WKS).collect();
    assert_eq!(single.len(), 1);
    assert_eq!(single[0].rdata, data("192.0.2.1 TCP 80"));
    assert_eq!(update(&mut zone, &["add w 300 WKS 192.0.2.1 TCP 80"]), Ok(false));
}

#[test]
fn rfc4035_2_5_keys_of_clients_stand_beside_a_cname() {
    let mut zone = zone("example.", ZONE);
    assert_eq!(update(&mut zone, &["add alias 60 KEY 512 3 8 AQAB"]), Ok(true));
    assert_eq!(rrset(&zone, "alias", Rtype::KEY).len(), 1);
    let lines = ["add k 60 KEY 512 3 8 AQAB", "add k 60 CNAME www"];
    assert_eq!(update(&mut zone, &lines), Ok(true));
    assert_eq!(
        (rrset(&zone, "k", Rtype::KEY).len(), rrset(&zone, "k", Rtype::CNAME).len()),
        (1, 1)
    );
}

/// What is left out is told, and everything else carried out.
#[test]
fn rfc2136_3_4_2_what_is_skipped() {
    let old = |offered| Skip::OldSerial { offered, present: 8 };
    let beside = |owner, rtype| Skip::BesideCname(name(owner), rtype);
    for (lines, count, first) in [
        // §3.4.2.2
        (&["add www 60 CNAME a."][..], 1, Skip::CnameBeside(name("www"))),
        (&["add example. 60 CNAME a."], 1, Skip::CnameBeside(name("example."))),
        (&["add alias 60 A 192.0.2.1"], 1, beside("alias", Rtype::A)),
        (&["add alias 60 DNAME a."], 1, beside("alias", Rtype::DNAME)),
        (&["add d 60 CNAME a."], 1, Skip::CnameBeside(name("d"))),
        (&["add www 60 SOA 9"], 1, Skip::NoSoa(name("www"))),
        (&["add nobody 60 SOA 9"], 1, Skip::NoSoa(name("nobody"))),
        (&["add example. 60 SOA 8"], 1, old(8)),
        (&["add example. 60 SOA 7"], 1, old(7)),
        (&["add example. 60 SOA 2147483656"], 1, old(8 + (1 << 31))),
        // §3.4.2.3
        (&["del example. SOA"], 1, Skip::Stays(Rtype::SOA)),
        (&["del example. NS"], 1, Skip::Stays(Rtype::NS)),
        // §3.4.2.4
        (&["del example. SOA 8"], 1, Skip::Stays(Rtype::SOA)),
        (&["del example. NS NS.net."], 1, Skip::Stays(Rtype::NS)),
        // The first is told, and all are counted.
        (
            &["add www 60 CNAME a.", "del example. NS", "add alias 60 A 192.0.2.1"],
            3,
            Skip::CnameBeside(name("www")),
        ),
    ] {
        // The apex' own name server is outside, and the serial 8 once something was changed.
        let mut zone = zone("example.", ZONE);
        assert_eq!(update(&mut zone, &["add good 60 A 192.0.2.1"]), Ok(true));
        let before = zone.clone();
        let (changed, skipped) = skipping(&mut zone, lines).unwrap();
        assert!(!changed, "{lines:?}");
        assert_eq!(skipped, Some(Skipped { count, first }), "{lines:?}");
        assert_eq!(zone.records(), before.records(), "{lines:?}");
        // What comes before and after is done.
        let mut more = vec!["add first 60 A 192.0.2.1"];
        more.extend(lines);
        more.push("del good");
        let (changed, skipped) = skipping(&mut zone, &more).unwrap();
        assert_eq!((changed, skipped.unwrap().count), (true, count), "{lines:?}");
        assert_eq!(update(&mut zone, &["del first", "add good 60 A 192.0.2.1"]), Ok(true));
        assert_eq!(content(zone.records()), content(before.records()), "{lines:?}");
    }
}

/// What is skipped is judged by what the changes before it in the message have made.
#[test]
fn rfc2136_3_4_2_7_one_after_another() {
    for (lines, count, owner, rtype, expected) in [
        (&["del www", "add www 60 CNAME a."][..], 0, "www", Rtype::CNAME, 1),
        (&["add www 60 CNAME a.", "del www"], 1, "www", Rtype::CNAME, 0),
        (&["del alias", "add alias 60 A 192.0.2.1"], 0, "alias", Rtype::A, 1),
        (&["add n 60 CNAME a.", "add n 60 CNAME b.", "add n 60 TXT x"], 1, "n", Rtype::CNAME, 1),
        // The set stays, and the new record comes to it.
        (&["del example. NS", "add example. 8 NS c.net."], 1, "example.", Rtype::NS, 2),
        (&["add example. 8 NS c.net.", "del example. NS ns.net."], 0, "example.", Rtype::NS, 1),
        (
            &["add example. 8 NS c.net.", "del example. NS ns.net.", "del example. NS c.net."],
            1,
            "example.",
            Rtype::NS,
            1,
        ),
        (&["del example."], 0, "example.", Rtype::NS, 1),
        // A name server that is not there is not the last.
        (&["del example. NS other."], 0, "example.", Rtype::NS, 1),
        (&["del example. SOA 6"], 0, "example.", Rtype::SOA, 1),
        (&["add example. 60 SOA 9", "add example. 60 SOA 8"], 1, "example.", Rtype::SOA, 1),
        // Below the apex nothing has to stay.
        (&["del cut DS", "del cut NS"], 0, "cut", Rtype::NS, 0),
    ] {
        let mut zone = zone("example.", ZONE);
        let (_, skipped) = skipping(&mut zone, lines).unwrap();
        assert_eq!(skipped.map_or(0, |skipped| skipped.count), count, "{lines:?}");
        assert_eq!(rrset(&zone, owner, rtype).len(), expected, "{lines:?}");
    }
}

#[test]
fn the_soa_goes_up() {
    let mut zone = zone("example.", ZONE);
    assert_eq!(update(&mut zone, &["add example. 300 SOA 2147483654"]), Ok(true));
    assert_eq!(update(&mut zone, &["add example. 300 SOA 4294967295"]), Ok(true));
    assert_eq!(update(&mut zone, &["add n 300 A 192.0.2.1"]), Ok(true));
    assert_eq!(zone.serial(), 1, "round, and past 0");
}

#[test]
fn rfc2136_2_messages_are_read_with_names_whole() {
    let head = b"\0\x07\x28\0\0\x01\0\x01\0\x03\0\0\x07example\0\0\x06\0\x01";
    let soa = b"\xc0\x0c\0\x06\0\x01\0\0\0\x05\0\x1a\xc0\x35\x01h\xc0\x0c";
    let bytes = [
        &head[..],
        b"\x01a\xc0\x0c\0\xff\0\xff\0\0\0\0\0\0",
        b"\xc0\x19\0\x0f\0\x01\0\0\0\x3c\0\x06\0\x0a\x01m\xc0\x0c",
        b"\xc0\x19\0\x10\0\xfe\0\0\0\0\0\x03\x02\xc0\x0c",
        &soa[..],
        &[0; 20],
    ];
    let bytes = bytes.concat();
    let request = dns::wire::Request::parse(&bytes);
    let Ok(request) = request else { panic!("{request:?}") };
    let message = Message::read(&request).unwrap();
    let a = name("a");
    let entry = |owner: &Name, rtype, class, ttl, rdata: &[u8]| Entry {
        owner: owner.clone(),
        rtype,
        class,
        ttl,
        rdata: rdata.into(),
    };
    assert_eq!(message.prerequisites, [entry(&a, Rtype::ANY, Class::ANY, 0, b"")]);
    assert_eq!(
        message.changes[..2],
        [
            entry(&a, Rtype::MX, Class::IN, 60, b"\0\x0a\x01m\x07example\0"),
            entry(&a, Rtype::TXT, Class::NONE, 0, b"\x02\xc0\x0c"),
        ]
    );
    let soa = [&b"\x01m\x07example\0\x01h\x07example\0"[..], &[0; 20]].concat();
    assert_eq!(*message.changes[2].rdata, *soa);
}

/// What senders of before RFC 3597 compressed is taken, and stored uncompressed.
#[test]
fn rfc3597_4_compressed_names_of_every_type_that_had_them() {
    let head = b"\0\x07\x28\0\0\x01\0\0\0\x01\0\0\x07example\0\0\x06\0\x01\xc0\x0c";
    let fixed = b"\0\x01\x08\x02\0\0\0\x3c\0\0\0\x02\0\0\0\x01\0\x07";
    for (rtype, before, names, after) in [
        (Rtype::NAPTR, &b"\0\x01\0\x02\x01s\x07SIP+D2U\0"[..], 1, &b""[..]),
        (Rtype::PX, b"\0\x0a", 2, b""),
        (Rtype::NXT, b"", 1, b"\x62\x01"),
        (Rtype::SIG, fixed, 1, b"\x01\x02\x03"),
        (Rtype::RT, b"\0\x0a", 1, b""),
        (Rtype::AFSDB, b"\0\x01", 1, b""),
        (Rtype::RP, b"", 2, b""),
        (Rtype::SRV, b"\0\x01\0\x02\0\x35", 1, b""),
    ] {
        let data = |name: &[u8]| [before, &name.repeat(names), after].concat();
        let read = |rdata: &[u8]| {
            let length = (rdata.len() as u16).to_be_bytes();
            let fixed = [&rtype.0.to_be_bytes()[..], b"\0\x01\0\0\0\x05", &length].concat();
            let bytes = [&head[..], &fixed, rdata].concat();
            Message::read(&dns::wire::Request::parse(&bytes).unwrap())
        };
        let (whole, short) = (data(b"\x01m\x07example\0"), data(b"\x01m\xc0\x0c"));
        for sent in [&short, &whole] {
            let message = read(sent).unwrap_or_else(|| panic!("{rtype}"));
            assert_eq!(*message.changes[0].rdata, *whole, "{rtype}");
            let read = Changes::read(&name("example."), message.changes);
            assert!(read.is_ok(), "{rtype}: {read:?}");
        }
        // Cut anywhere before the end of its names, and at a pointer that leads nowhere.
        for end in 1..short.len() - after.len() {
            assert!(read(&short[..end]).is_none(), "{rtype} {end}");
        }
        assert!(read(&data(b"\x01m\xc0\xff")).is_none(), "{rtype}");
    }
}

#[test]
fn names_in_data_that_are_none() {
    let head = b"\0\x07\x28\0\0\x01\0\0\0\x01\0\0\x07example\0\0\x06\0\x01\xc0\x0c";
    let read = |tail: &[u8]| {
        let bytes = [&head[..], tail].concat();
        dns::wire::Request::parse(&bytes).ok().and_then(|request| Message::read(&request))
    };
    assert!(read(b"\0\x02\0\x01\0\0\0\x05\0\x02\xc0\x0c").is_some());
    for (what, tail) in [
        ("forward", &b"\0\x02\0\x01\0\0\0\x05\0\x02\xc0\x7f"[..]),
        ("to itself", b"\0\x02\0\x01\0\0\0\x05\0\x02\xc0\x25"),
        ("past the end", b"\0\x02\0\x01\0\0\0\x05\0\x02\x05a"),
        ("one of two", b"\0\x06\0\x01\0\0\0\x05\0\x02\xc0\x0c"),
        ("no preference", b"\0\x0f\0\x01\0\0\0\x05\0\x01\0"),
    ] {
        assert!(read(tail).is_none(), "{what}");
    }
}

fn any_change() -> impl Strategy<Value = Entry> {
    let owner =
        prop::sample::select(vec!["a", "b.a", "c.b.a", "*.a", "d", "e.d", "example.", "f", "g.f"]);
    let data = prop::sample::select(vec![
        "A 192.0.2.1",
        "A 192.0.2.2",
        "TXT x",
        "CNAME t.",
        "CNAME u.",
        "NS ns.net.",
        "NS o.net.",
        "DNAME t.",
        "DS 1 8 250 00",
        "KEY 512 3 8 AQAB",
        "WKS 192.0.2.1 TCP 25",
        "WKS 192.0.2.1 TCP 80",
        "SOA 9",
        "SOA 20",
    ]);
    (owner, data, 0..6).prop_map(|(owner, data, kind)| {
        let rtype = data.split(' ').next().unwrap();
        change(&match kind {
            0 => format!("del {owner}"),
            1 => format!("del {owner} {rtype}"),
            2 => format!("del {owner} {data}"),
            ttl => format!("add {owner} {ttl} {data}"),
        })
    })
}

/// What the changes come to, by RFC 2136 §3.4.2.7 over a plain list, then checked as a whole; the
/// serial is not looked at. `None`: refused.
fn model(zone: &ZoneData, entries: &[Entry]) -> Option<Vec<Record>> {
    let mut records = zone.records().to_vec();
    let gives_way = |old: &[u8], entry: &Entry| match entry.rtype {
        Rtype::SOA | Rtype::CNAME | Rtype::DNAME => true,
        Rtype::WKS => old[..5] == entry.rdata[..5],
        _ => *old == *entry.rdata,
    };
    for entry in entries {
        let at_apex = entry.owner == *zone.apex();
        let there: Vec<Rtype> =
            records.iter().filter(|r| r.owner == entry.owner).map(|r| r.rtype).collect();
        let count = |rtype| there.iter().filter(|&&other| other == rtype).count();
        let same_set = |r: &Record| r.owner == entry.owner && r.rtype == entry.rtype;
        match (entry.class, entry.rtype) {
            (Class::ANY, Rtype::ANY) => records.retain(|r| {
                r.owner != entry.owner || (at_apex && matches!(r.rtype, Rtype::SOA | Rtype::NS))
            }),
            (Class::ANY, Rtype::SOA | Rtype::NS) | (Class::NONE, Rtype::SOA) if at_apex => {}
            (Class::ANY, _) => records.retain(|r| !same_set(r)),
            (Class::NONE, Rtype::NS) if at_apex && count(Rtype::NS) == 1 => {}
            (Class::NONE, _) => records.retain(|r| !(same_set(r) && r.rdata == entry.rdata)),
            _ => {
                let apart =
                    |&rtype: &Rtype| !matches!(rtype, Rtype::CNAME | Rtype::KEY | Rtype::SOA);
                let ignored = match entry.rtype {
                    Rtype::CNAME => at_apex || there.iter().any(apart),
                    Rtype::SOA => {
                        let serial = |rdata: &[u8]| rdata[rdata.len() - 20..][..4].to_vec();
                        let newer = |r: &Record| serial(&entry.rdata) > serial(&r.rdata);
                        !records.iter().any(|r| same_set(r) && newer(r))
                    }
                    other => apart(&other) && count(Rtype::CNAME) > 0,
                };
                if ignored {
                    continue;
                }
                records.retain(|r| !(same_set(r) && gives_way(&r.rdata, entry)));
                records.push(Record {
                    owner: entry.owner.clone(),
                    rtype: entry.rtype,
                    ttl: Ttl::from_secs(entry.ttl),
                    rdata: entry.rdata.clone(),
                    position: None,
                });
                let ttl = Ttl::from_secs(entry.ttl);
                records.iter_mut().filter(|r| same_set(r)).for_each(|r| r.ttl = ttl);
            }
        }
    }
    let valid = ZoneData::new(zone.apex().clone(), records).ok()?;
    Some(valid.records().to_vec())
}

/// Records as a set, wherever they were written.
fn lines(records: &[Record]) -> Vec<String> {
    let line = |r: &Record| format!("{} {} {} {:02x?}", r.owner, r.ttl, r.rtype, r.rdata);
    let mut lines: Vec<String> = records.iter().map(line).collect();
    lines.sort();
    lines
}

/// The same without the serial.
fn content(records: &[Record]) -> Vec<String> {
    let mut records = records.to_vec();
    for soa in records.iter_mut().filter(|record| record.rtype == Rtype::SOA) {
        let at = soa.rdata.len() - 20;
        soa.rdata[at..at + 4].fill(0);
    }
    lines(&records)
}

/// A record as an UPDATE has it.
fn octets(entry: &Entry) -> Vec<u8> {
    let head = [entry.rtype.0.to_be_bytes(), entry.class.0.to_be_bytes()].concat();
    let length = (entry.rdata.len() as u16).to_be_bytes();
    [entry.owner.wire(), &head, &entry.ttl.to_be_bytes(), &length, &entry.rdata].concat()
}

proptest! {
    #[test]
    fn damaged_messages_are_good_updates_or_none(
        demands in prop::collection::vec(any_change(), 0..3),
        changes in prop::collection::vec(any_change(), 0..4),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let head = [0, 7, 0x28, 0, 0, 1, 0, demands.len() as u8, 0, changes.len() as u8, 0, 0];
        let records: Vec<u8> = demands.iter().chain(&changes).flat_map(octets).collect();
        let mut bytes = [&head[..], b"\x07example\0\0\x06\0\x01", &records].concat();
        for (at, octet) in &damage {
            let at = at.index(bytes.len());
            bytes[at] = *octet;
        }
        let message = match dns::wire::Request::parse(&bytes) {
            Ok(request) => {
                let _ = dns::tsig::Request::read(&request);
                Message::read(&request)
            }
            Err(_) => None,
        };
        if damage.is_empty() {
            let expected = Message { prerequisites: demands, changes };
            prop_assert_eq!(message.as_ref(), Some(&expected));
        }
        let Some(message) = message else { return Ok(()) };
        let zone = zone("example.", ZONE);
        let held = Prerequisites::read(zone.apex(), message.prerequisites);
        let _ = held.and_then(|all| all.hold(&zone, &|_| &[]));
        let Ok(changes) = Changes::read(zone.apex(), message.changes) else { return Ok(()) };
        if let Ok(Edited { edit: Some(edit), .. }) = zone.edit(&changes) {
            let mut changed = zone.clone();
            changed.apply(&edit);
            let again = ZoneData::new(zone.apex().clone(), changed.records().to_vec());
            prop_assert!(again.is_ok(), "{again:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn many_updates_come_to_what_the_model_says(
        updates in prop::collection::vec(prop::collection::vec(any_change(), 1..5), 1..8)
    ) {
        let mut zone = zone("example.", "a A 192.0.2.1\ne.d NS ns.net.\n");
        for entries in updates {
            let expected = model(&zone, &entries);
            let changes = Changes::read(zone.apex(), entries.clone()).unwrap();
            let before = zone.clone();
            match (zone.edit(&changes), expected) {
                (Ok(Edited { edit, .. }), Some(expected)) => {
                    prop_assert_eq!(edit.is_none(), lines(zone.records()) == lines(&expected));
                    if let Some(edit) = edit {
                        zone.apply(&edit);
                        prop_assert_ne!(zone.serial(), before.serial());
                    }
                    prop_assert_eq!(content(zone.records()), content(&expected));
                    let again = ZoneData::new(zone.apex().clone(), zone.records().to_vec()).unwrap();
                    prop_assert_eq!(again.records(), zone.records());
                }
                (Err(_), None) => {}
                (edit, expected) => prop_assert!(false, "{entries:?}: {edit:?}, not {expected:?}"),
            }
        }
    }
}
