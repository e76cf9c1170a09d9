//! Master files: what is read, and that every error points at what is wrong.

use dns::name::Name;
use dns::rr::Rtype;
use dns::zonefile::{self, Error, Included, Loaded, Source};
use proptest::prelude::*;

const HEAD: &str = "$TTL 300\n@ SOA ns hostmaster 7 2h 30m 2w 60\n@ NS ns\nns A 192.0.2.1\n";
/// Lines of [`HEAD`].
const HEAD_LINES: u32 = 4;

fn load(text: &str) -> Result<Loaded, Vec<Error>> {
    let apex: Name = "example.".parse().unwrap();
    let source = Source { name: "example.zone", text: text.as_bytes() };
    zonefile::parse(&apex, source, &mut |path, from| match path {
        "sub/hosts" => Ok(Included {
            name: "sub/hosts".to_owned(),
            text: format!("; from {from}\n$ORIGIN deep\na A 192.0.2.9\n$TTL 1\n").into_bytes(),
        }),
        "bad" => Ok(Included { name: "bad".to_owned(), text: b"\n x A 1.2.3\n".to_vec() }),
        "self" => Ok(Included { name: "self".to_owned(), text: b"$INCLUDE self\n".to_vec() }),
        _ => Err("no such file".to_owned()),
    })
}

/// Records other than the head's, as `owner TTL type data` with the data in hex.
fn records(text: &str) -> Vec<String> {
    let loaded = load(&format!("{HEAD}{text}")).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let head = load(HEAD).unwrap();
    (loaded.zone.records().iter())
        .filter(|record| !head.zone.records().iter().any(|known| known.rdata == record.rdata))
        .map(|record| {
            let hex: String = record.rdata.iter().map(|octet| format!("{octet:02x}")).collect();
            format!("{} {} {} {hex}", record.owner, record.ttl, record.rtype)
        })
        .collect()
}

/// The one error of a zone with these lines after the head: `line:column+length message`, lines
/// counted from the head's end.
fn error(text: &str) -> String {
    let errors = load(&format!("{HEAD}{text}")).expect_err("an error");
    assert_eq!(errors.len(), 1, "{errors:#?}");
    let Error { position, message, .. } = &errors[0];
    let line = i64::from(position.line) - i64::from(HEAD_LINES);
    format!("{line}:{}+{} {message}", position.column, position.length)
}

#[test]
fn the_head_is_a_zone() {
    let zone = load(HEAD).unwrap().zone;
    assert_eq!(zone.serial(), 7);
    let soa = zone.records().iter().find(|record| record.rtype == Rtype::SOA).unwrap();
    assert_eq!(
        *soa.rdata,
        *b"\x02ns\x07example\x00\x0ahostmaster\x07example\x00\
           \0\0\0\x07\0\0\x1c\x20\0\0\x07\x08\0\x12\x75\0\0\0\0\x3c"
    );
}

#[test]
fn rfc1035_5_1_owners_ttls_and_classes() {
    assert_eq!(
        records(
            "a A 192.0.2.2 ; comment\n  60 IN AAAA 2001:db8::1\n\
             b IN 1h A 192.0.2.3\nb.example. 1h in a 192.0.2.4\n@ TXT x\n\
             C ( 5\n  TXT ; more\n \"y\" )\n\\100 A 192.0.2.5\n"
        ),
        [
            "example. 300 TXT 0178",
            "a.example. 300 A c0000202",
            "a.example. 60 AAAA 20010db8000000000000000000000001",
            "b.example. 3600 A c0000203",
            "b.example. 3600 A c0000204",
            "C.example. 5 TXT 0179",
            "d.example. 300 A c0000205",
        ]
    );
}

#[test]
fn rfc1035_5_1_a_lone_at_in_data_is_the_origin_but_not_in_text() {
    assert_eq!(
        records("a MX 10 @\na TXT @\ns SRV 1 2 3 @\n"),
        [
            "a.example. 300 MX 000a076578616d706c6500",
            "a.example. 300 TXT 0140",
            "s.example. 300 SRV 000100020003076578616d706c6500",
        ]
    );
}

#[test]
fn rfc3597_5_unknown_types_and_generic_data() {
    assert_eq!(
        records("a TYPE65280 \\# 3 abcd 01\na A \\# 4 c0000207\na TYPE1 192.0.2.8\n"),
        [
            "a.example. 300 A c0000207",
            "a.example. 300 A c0000208",
            "a.example. 300 TYPE65280 abcd01"
        ]
    );
    assert_eq!(
        error("a TYPE65280 abcd"),
        "1:13+4 TYPE65280 record: no text form is known for this type"
    );
    assert_eq!(
        error("a A \\# 3 c00002"),
        "1:10+6 A record: the octets are not what the type consists of"
    );
}

#[test]
fn quoted_strings_hold_any_octet() {
    assert_eq!(
        records("a TXT \"x;(\\\"\\;\" \"\u{e9}\t\\200\" plain\\;\n"),
        ["a.example. 300 TXT 05783b28223b04c3a909c806706c61696e3b"]
    );
}

#[test]
fn many_types_are_read() {
    let text = "\
        a CAA 0 issue \"ca.example.net\"\n\
        a HTTPS 1 . alpn=\"h2,h3\" ipv4hint=192.0.2.1\n\
        b DNAME other.example.net.\n\
        c NS ns1.c\nns1.c A 192.0.2.1\nc DS 12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n\
        d SSHFP 4 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n\
        e TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n\
        f NAPTR 100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:a@example!\" .\n\
        g PTR @\nh HINFO \"a\" b\n";
    let types: Vec<String> =
        (records(text).iter()).map(|record| record.split(' ').nth(2).unwrap().to_owned()).collect();
    assert_eq!(
        types,
        ["HTTPS", "CAA", "DNAME", "NS", "DS", "SSHFP", "TLSA", "NAPTR", "PTR", "HINFO"]
    );
}

#[test]
fn rfc2308_4_ttl_sources() {
    // $TTL wins over the last TTL, which wins over the SOA's minimum.
    let no_default =
        "@ SOA ns h 1 2 3 4 60\n@ NS ns\nns 5 A 192.0.2.1\nx A 192.0.2.2\n$TTL 9\ny A 192.0.2.3\n";
    let zone = load(no_default).unwrap().zone;
    let ttls: Vec<u32> = zone.records().iter().map(|record| record.ttl.as_secs()).collect();
    assert_eq!(ttls, [60, 60, 5, 5, 9]);
    let errors = load("@ NS ns\n").unwrap_err();
    assert!(errors[0].message.starts_with("no TTL"), "{errors:?}");
    assert!(error("a 2147483648 A 192.0.2.1").starts_with("1:3+10 TTL over"));
}

#[test]
fn include_keeps_the_outer_origin() {
    assert_eq!(
        records("$INCLUDE sub/hosts\nx A 192.0.2.8\n$INCLUDE \"sub/hosts\" inner\n"),
        [
            "a.deep.example. 300 A c0000209",
            "a.deep.inner.example. 1 A c0000209",
            "x.example. 1 A c0000208",
        ]
    );
    let loaded = load(&format!("{HEAD}$INCLUDE sub/hosts\n")).unwrap();
    assert_eq!(
        loaded.files.iter().map(|file| &**file).collect::<Vec<_>>(),
        ["example.zone", "sub/hosts"]
    );
}

#[test]
fn include_errors_point_into_the_right_file() {
    assert_eq!(error("$INCLUDE nowhere"), "1:10+7 cannot include nowhere: no such file");
    let errors = load(&format!("{HEAD}$INCLUDE bad\n")).unwrap_err();
    assert_eq!(errors[0].position.to_string(), "bad:2:2");
    assert_eq!(errors[0].excerpt, " x A 1.2.3");
    let errors = load(&format!("{HEAD}$INCLUDE self\n")).unwrap_err();
    assert_eq!(errors[0].position.to_string(), "self:1:10");
    assert!(errors[0].message.contains("deeper"), "{errors:?}");
}

#[test]
fn generate_makes_records() {
    assert_eq!(
        records("$GENERATE 1-3/2 h${0,2} 60 A 192.0.3.$\n$GENERATE 5-5 t TXT \"a $\" $\n"),
        [
            "h01.example. 60 A c0000301",
            "h03.example. 60 A c0000303",
            "t.example. 300 TXT 036120350135",
        ]
    );
    assert_eq!(error("$GENERATE 254-256 h$ A 192.0.2.$").split(' ').next(), Some("1:24+9"));
    assert!(error("$GENERATE 1-99999999 h$ A 192.0.2.$").starts_with("1:11+10 range of more"));
}

#[test]
fn errors_point_at_their_token() {
    for (text, expected) in [
        ("www IN A 192.0.2.256", "1:10+11 A record"),
        ("www IN A 192.0.2.1 192.0.2.2", "1:20+9 A record: more data than the type takes"),
        ("www IN A", "1:9+1 A record: ends too early"),
        ("www IN AAA 192.0.2.1", "1:8+3 AAA is not a record type"),
        ("www CH A 192.0.2.1", "1:5+2 class CH"),
        ("www 1x A 192.0.2.1", "1:5+2 1x is not a TTL"),
        ("www", "1:1+3 no type after the owner"),
        ("www IN", "1:5+2 no type after TTL and class"),
        ("w..w A 192.0.2.1", "1:1+4 malformed name w..w: empty label"),
        ("m MX ten mail", "1:6+3 MX record"),
        ("m MX 10 mail..x", "1:9+7 MX record"),
        ("m MX 10", "1:8+1 MX record: ends too early"),
        ("m (\n MX\n 10 \n mail extra )", "4:7+5 MX record: more data"),
        ("t TXT \"open", "1:7+1 quoted string"),
        ("t TXT \\300", "1:7+4 TXT record: a malformed escape"),
        ("t OPT \\# 0", "1:3+3 OPT records cannot be stored"),
        ("$ORIGIN", "1:1+7 the directive is written $ORIGIN NAME"),
        ("$ORIGIN a b", "1:11+1 the directive is written $ORIGIN NAME"),
        ("$BOGUS 1", "1:1+6 unknown directive $BOGUS"),
        ("\n\nwww IN A 1", "3:10+1 A record"),
    ] {
        let found = error(text);
        assert!(found.starts_with(expected), "{text:?}: {found}");
    }
    let long = format!("t TXT {}", "x".repeat(256));
    assert!(
        error(&long).starts_with("1:7+256 TXT record: a string of 256 octets"),
        "{}",
        error(&long)
    );
}

#[test]
fn several_errors_are_told_at_once_and_no_more_than_twenty() {
    let errors = load(&format!("{HEAD}a A x\nb A 192.0.2.1\nc A y\n")).unwrap_err();
    let lines: Vec<u32> = errors.iter().map(|error| error.position.line - HEAD_LINES).collect();
    assert_eq!(lines, [1, 3]);
    assert_eq!(load(&"a A x\n".repeat(1_000)).unwrap_err().len(), 20);
}

#[test]
fn zone_faults_point_at_the_record() {
    for (text, expected) in [
        ("a CNAME b\na A 192.0.2.1", "2:1+1 a.example.: A record beside a CNAME"),
        ("a CNAME b\na CNAME c", "2:1+1 a.example.: a second CNAME"),
        (
            "a.example A 192.0.2.1\nother.net. A 192.0.2.1",
            "2:1+10 other.net.: the record is outside",
        ),
        ("s SOA ns h 1 2 3 4 5", "1:1+1 s.example.: a SOA record below the apex"),
        ("@ SOA ns h 1 2 3 4 5", "1:1+1 example.: a second SOA"),
        (
            "c NS ns.c\nns.c A 192.0.2.1\nx.c TXT no",
            "3:1+3 x.c.example.: TXT record below the delegation at c.example.",
        ),
        ("c NS ns\nc TXT no", "2:1+1 c.example.: TXT record at a delegation"),
        (
            "d DNAME x.net.\nb.a.d A 192.0.2.1",
            "2:1+5 b.a.d.example.: record below the DNAME record at d.example.",
        ),
        (
            "c DS 1 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "1:1+1 c.example.: DS record where no delegation",
        ),
        ("*.w NS ns", "1:1+3 *.w.example.: NS record at a wildcard"),
    ] {
        let found = error(text);
        assert!(found.starts_with(expected), "{text:?}: {found}");
    }
    for (text, expected) in [
        ("$TTL 1\n@ NS ns\n", "example.: the zone has no SOA"),
        ("@ SOA ns h 1 2 3 4 5\n", "example.: the zone has no NS"),
    ] {
        let errors = load(text).unwrap_err();
        assert!(errors[0].message.starts_with(expected), "{errors:?}");
        assert_eq!(errors[0].position.to_string(), "example.zone:1:1");
    }
    let huge: String = (0..1_000).map(|i| format!("t TXT {i:0>100}\n")).collect();
    assert!(error(&huge).ends_with("the TXT records of this name do not fit into one message"));
}

#[test]
fn rfc2181_5_differing_ttls_and_duplicates_are_warnings() {
    let text =
        format!("{HEAD}a 60 A 192.0.2.1\na 30 A 192.0.2.2\na 90 A 192.0.2.1\nb NS NS\nb NS ns\n");
    let loaded = load(&text).unwrap();
    let ttls: Vec<u32> = (loaded.zone.records().iter())
        .filter(|record| record.owner.to_string() == "a.example.")
        .map(|record| record.ttl.as_secs())
        .collect();
    assert_eq!(ttls, [30, 30]);
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "example.zone:6:1: a.example.: TTL differs inside the RRset; the lowest, 30, is used",
            "example.zone:7:1: a.example.: the same record was given before",
            "example.zone:9:1: b.example.: the same record was given before",
        ]
    );
}

#[test]
fn a_file_that_is_there_twice_is_told_with_a_few_lines() {
    let hosts: String = (0..200).map(|i| format!("h{i} A 192.0.2.1\nh{i} 5 TXT x\n")).collect();
    let loaded = load(&format!("{HEAD}{hosts}$TTL 7\n{hosts}")).unwrap();
    assert_eq!(loaded.zone.records().len(), 3 + 400);
    assert_eq!(loaded.warnings.len(), dns::zone::MAX_NOTICES);
    assert!(loaded.zone.records().iter().all(|record| record.ttl.as_secs() <= 300));
    let h199 =
        loaded.zone.records().iter().find(|record| record.owner.to_string() == "h199.example.");
    assert_eq!(h199.unwrap().ttl.as_secs(), 7);
}

#[test]
fn the_caret_stands_under_the_token() {
    let errors = load(&format!("{HEAD}www\tIN A 192.0.2.256 ; no\n")).unwrap_err();
    assert_eq!(
        errors[0].caret().lines().skip(1).collect::<Vec<_>>(),
        [
            "  5 | www\tIN A 192.0.2.256 ; no",
            "    |    \t     ^^^^^^^^^^^",
            "  help: as in 192.0.2.1",
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever the text, it is read or refused; never a panic.
    #[test]
    fn any_text_is_read_or_refused(text in any::<Vec<u8>>()) {
        let source = Source { name: "x", text: &text };
        let _ = zonefile::parse(&Name::root(), source, &mut |_, _| Err(String::new()));
    }

    /// The same with text that looks like records, which gets deeper.
    #[test]
    fn anything_like_a_record_is_read_or_refused(
        rtype in prop::sample::select(vec![
            "A", "AAAA", "NS", "CNAME", "MX", "TXT", "SRV", "SOA", "CAA", "HTTPS", "SVCB", "DS",
            "NAPTR", "TLSA", "SSHFP", "DNSKEY", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "HINFO",
            "OPENPGPKEY", "IPSECKEY", "ZONEMD", "RP", "TYPE65280", "CDS", "DNAME", "PTR",
        ]),
        words in prop::collection::vec(
            "(\\\\# |@|\\\\[0-9]{1,3}|[a-z]{1,5}=|\"[^\"\n]{0,6}\"|[0-9]{1,11}|[0-9a-f]{2,20}|[!-~]{1,8}|\\.|[a-z]{1,3}\\.)",
            0..9,
        ),
        glue in prop::sample::select(vec!["", " ", "  ", "\t(", ") ", "\n"]),
    ) {
        let text = format!("x 5 IN {rtype} {}\n", words.join(glue));
        let source = Source { name: "x", text: text.as_bytes() };
        let errors = zonefile::parse(&Name::root(), source, &mut |_, _| Err(String::new()));
        // No SOA, so always refused; and every refusal can be shown.
        for error in errors.unwrap_err() {
            prop_assert!(error.position.line >= 1 && error.position.column >= 1);
            prop_assert!(error.caret().contains('^'));
        }
    }
}
