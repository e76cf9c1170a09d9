//! What is told about zones that are allowed and doubtful.

use dns::name::Name;
use dns::zone::{MAX_LINTS, lint};
use dns::zonefile::{self, Source};

const HEAD: &str = "$TTL 300\n@ SOA ns hostmaster 7 2h 30m 2w 60\n@ NS ns\n@ NS ns.else.\n\
                    ns A 192.0.2.1\n";
/// Lines of [`HEAD`].
const HEAD_LINES: u32 = 5;

/// `line owner: doubt` of each in the order of lines, counted from the head's end.
fn doubts_of(head: &str, text: &str) -> Vec<String> {
    let apex: Name = "example.com.".parse().unwrap();
    let text = format!("{head}{text}");
    let source = Source { name: "zone", text: text.as_bytes() };
    let loaded = zonefile::parse(&apex, source, &mut |_, _| Err("none".to_owned())).unwrap();
    let mut lints = lint(&loaded.zone);
    lints.sort_by_key(|lint| lint.position.as_ref().unwrap().line);
    let told = lints.iter().map(|lint| {
        let line = i64::from(lint.position.as_ref().unwrap().line) - i64::from(HEAD_LINES);
        format!("{line} {}: {}", lint.name, lint.doubt)
    });
    told.collect()
}

fn doubts(text: &str) -> Vec<String> {
    doubts_of(HEAD, text)
}

#[test]
fn a_good_zone_is_not_doubted() {
    let text = "www CNAME ns\n@ MX 0 .\nmx MX 10 mail\nmail AAAA 2001:db8::1\n\
                x MX 5 y.mail.else.\n*.wild A 192.0.2.7\nv MX 1 any.wild\n_s._tcp SRV 0 0 0 .\n\
                sub NS ns.sub\nsub NS ns.other\nns.sub A 192.0.2.3\n\
                other NS ns.else.\nsub2 NS deep.other\n";
    assert_eq!(doubts(text), Vec::<String>::new());
}

#[test]
fn rfc2181_10_3_targets_are_no_aliases() {
    let text = "a CNAME ns\n*.w CNAME ns\nb MX 1 a\n_s._tcp SRV 0 0 1 x.w\nc NS a\n\
                d DNAME e\nf MX 1 g.d\n";
    assert_eq!(
        doubts(text),
        [
            "3 b.example.com.: the MX target a.example.com. is an alias (CNAME)",
            "4 _s._tcp.example.com.: the SRV target x.w.example.com. is an alias (CNAME)",
            "5 c.example.com.: the NS target a.example.com. is an alias (CNAME)",
            "7 f.example.com.: the MX target g.d.example.com. is an alias (CNAME)",
        ]
    );
}

#[test]
fn targets_in_the_zone_have_addresses() {
    let text =
        "a MX 1 nowhere\nb SRV 0 0 1 empty\nx.empty TXT t\nc NS nowhere\nt TXT t\nd MX 1 t\n";
    let told = doubts(text);
    assert_eq!(told.len(), 4, "{told:#?}");
    for told in told {
        assert!(told.ends_with("has no address in the zone"), "{told}");
    }
}

#[test]
fn rfc9471_glue_is_there_and_is_used() {
    let text = "a NS ns.a\na NS ns2.a\nns2.a A 192.0.2.2\nold.a AAAA 2001:db8::1\nb NS b\n";
    assert_eq!(
        doubts(text),
        [
            "1 a.example.com.: glue is missing: ns.a.example.com. is inside the delegated zone, \
             and its address is not here",
            "4 old.a.example.com.: the address is below a delegation and belongs to none of its \
             name servers",
            "5 b.example.com.: glue is missing: b.example.com. is inside the delegated zone, and \
             its address is not here",
        ]
    );
}

#[test]
fn a_forgotten_final_dot_is_seen() {
    let text = "www.example.com A 192.0.2.1\nwww.example.com TXT t\nb CNAME ns.example.com\n\
                c MX 1 ns.example.com\nd MX 1 192.0.2.1\n";
    assert_eq!(
        doubts(text),
        [
            "1 www.example.com.example.com.: www.example.com.example.com. ends in the zone's name \
             twice",
            "3 b.example.com.: ns.example.com.example.com. ends in the zone's name twice",
            "4 c.example.com.: ns.example.com.example.com. ends in the zone's name twice",
            "5 d.example.com.: the MX target 192.0.2.1.example.com. looks like an address: a name \
             must stand here",
        ]
    );
}

#[test]
fn aliases_that_lead_nowhere_and_ttls_of_nothing() {
    assert_eq!(
        doubts("a CNAME b\nb CNAME a\nc CNAME a\nd 0 TXT t\n"),
        [
            "1 a.example.com.: the CNAME leads back to itself",
            "2 b.example.com.: the CNAME leads back to itself",
            "4 d.example.com.: TTL 0: resolvers ask again for every client",
        ]
    );
}

#[test]
fn rfc9460_2_4_2_an_alias_has_no_parameters() {
    assert_eq!(
        doubts("a HTTPS 0 b.else. port=53\nb SVCB 0 .\nc SVCB 1 . port=53\nd SVCB 0 . port=53\n"),
        [
            "1 a.example.com.: HTTPS record of priority 0, an alias, with parameters: clients ignore \
             them",
            "4 d.example.com.: SVCB record of priority 0, an alias, with parameters: clients ignore \
             them",
        ]
    );
}

#[test]
fn keys_of_a_zone_that_is_not_signed() {
    let text = "@ DNSKEY 256 3 13 AQID\n@ CDS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000\n\
                @ CDNSKEY 257 3 13 AQID\n";
    let told = doubts(text);
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told.iter().all(|told| told.ends_with("in a zone that is served unsigned")));
    // RFC 8078 §4: the wish for no DS record is what an unsigned zone may well have.
    assert_eq!(doubts("@ CDS 0 0 0 00\n@ CDNSKEY 0 3 0 AA==\n"), Vec::<String>::new());
}

#[test]
fn rfc1912_the_soa_makes_sense() {
    let head = "$TTL 300\n@ SOA hidden host@ 7 30m 2h 2h 2d\n@ NS ns\nns A 192.0.2.1\n\n";
    assert_eq!(
        doubts_of(head, ""),
        [
            "-3 example.com.: the SOA's primary hidden.example.com. is none of the zone's NS",
            "-3 example.com.: the SOA's mail address has an @",
            "-3 example.com.: the SOA's expire is shorter than its refresh and retry together",
            "-3 example.com.: the SOA's retry is not shorter than its refresh",
            "-3 example.com.: negative answers are cached for more than a day",
            "-2 example.com.: a single name server",
        ]
    );
}

#[test]
fn a_mistake_made_everywhere_is_told_a_hundred_times() {
    assert_eq!(doubts("$GENERATE 1-500 h$ 0 A 192.0.2.1\n").len(), MAX_LINTS);
}
