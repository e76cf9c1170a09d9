//! Updates by the tables of RFC 2136. Commands are written as nsupdate has them.

use crate::resolve::zone;
use dns::name::Name;
use dns::rr::{Class, Rcode, Rtype, Ttl};
use dns::update::{Changes, Entry, Fault, Message, Prerequisites, Skip, Skipped};
use dns::zone::{Edited, Record, ZoneData, ZoneFault};
use proptest::prelude::*;

mod messages;
mod model;

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
        assert_eq!(model::content(zone.records()), model::content(before.records()), "{lines:?}");
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
