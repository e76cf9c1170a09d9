//! What is answered, rule by rule. Zones are text; an answer is printed and compared as text:
//! rcode, then `aa` and `ref`(erral), then the sections.

use dns::name::{LowerName, Name, NameRef};
use dns::resolve::{Data, Entry, MAX_CHAIN, Resolution};
use dns::rr::{RRset, Rtype};
use dns::wire::{Owner, Section};
use dns::zone::{ServiceId, ServiceNode, ZoneId, Zones};
use dns::zonefile::{self, Source};

/// SOA TTL 300, MINIMUM 60; one name server outside.
const HEAD: &str = "$TTL 300\n@ SOA ns.net. h.net. 7 2 3 4 60\n@ NS ns.net.\n";

pub(crate) fn zone(apex: &str, text: &str) -> dns::zone::ZoneData {
    let text = format!("{HEAD}{text}");
    let source = Source { name: apex, text: text.as_bytes() };
    zonefile::parse(&apex.parse().unwrap(), source, &mut |_, _| Err(String::new()))
        .unwrap_or_else(|errors| panic!("{errors:#?}"))
        .zone
}

pub(crate) fn service(name: &str, id: u32, types: &[Rtype]) -> ServiceNode {
    ServiceNode { name: name.parse().unwrap(), id: ServiceId(id), types: types.to_vec() }
}

pub(crate) fn freeze(zones: &[(&str, &str)], services: &[ServiceNode]) -> Zones {
    let data: Vec<_> = zones.iter().map(|(apex, text)| zone(apex, text)).collect();
    Zones::freeze(&data, services, [1, 2]).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

/// `example.` with these records.
fn example(text: &str) -> Zones {
    freeze(&[("example.", text)], &[])
}

pub(crate) fn ask(zones: &Zones, name: &str, rtype: Rtype) -> Vec<String> {
    ask_within(zones, |_| true, name, rtype)
}

fn ask_within(
    zones: &Zones,
    may_see: impl Fn(ZoneId) -> bool,
    name: &str,
    rtype: Rtype,
) -> Vec<String> {
    let name: Name = name.parse().unwrap();
    let mut found = Resolution::new();
    zones.resolve_within(may_see, &LowerName::from(&name), rtype, &mut found);
    let mut lines = vec![found.rcode().to_string()];
    lines[0].push_str(if found.authoritative() { " aa" } else { "" });
    lines[0].push_str(if found.is_referral() { " ref" } else { "" });
    lines.extend(found.answer().map(|entry| format!("an {}", show(entry))));
    lines.extend(found.authority().map(|entry| format!("ns {}", show(entry))));
    lines.extend(found.additional().map(|(section, entry)| match section {
        Section::Glue => format!("glue {}", show(entry)),
        _ => format!("ar {}", show(entry)),
    }));
    lines
}

pub(crate) fn show(entry: Entry<'_>) -> String {
    let owner = match entry.owner {
        Owner::Question => "?".to_owned(),
        Owner::Name(name) => name.to_string(),
    };
    match entry.data {
        Data::Static(rrset) => format!("{owner} {} {} {}", rrset.ttl, rrset.rtype, rdatas(&rrset)),
        Data::Service { service, rtype } => format!("{owner} {rtype} service {}", service.0),
        Data::Cname { target, ttl } => format!("{owner} {ttl} CNAME made {target}"),
    }
}

fn rdatas(rrset: &RRset<'_>) -> String {
    let one = |rdata: &[u8]| match rrset.rtype {
        Rtype::A => rdata.iter().map(u8::to_string).collect::<Vec<_>>().join("."),
        Rtype::NS | Rtype::CNAME | Rtype::DNAME | Rtype::SOA => {
            NameRef::parse(rdata).unwrap().to_string()
        }
        Rtype::MX => NameRef::parse(&rdata[2..]).unwrap().to_string(),
        Rtype::TXT => str::from_utf8(&rdata[1..]).unwrap().to_owned(),
        _ => format!("{} octets", rdata.len()),
    };
    rrset.rdatas().map(one).collect::<Vec<_>>().join(" ")
}

/// The SOA as negative answers have it.
const SOA: &str = "ns example. 60 SOA ns.net.";

#[test]
fn rfc1034_4_3_2_an_existing_rrset() {
    let zones = example("www A 192.0.2.1\nwww A 192.0.2.2\nwww TXT x\n");
    assert_eq!(
        ask(&zones, "WWW.example", Rtype::A),
        ["NOERROR aa", "an ? 300 A 192.0.2.1 192.0.2.2"]
    );
    assert_eq!(ask(&zones, "example", Rtype::NS), ["NOERROR aa", "an ? 300 NS ns.net."]);
    assert_eq!(ask(&zones, "example", Rtype::SOA), ["NOERROR aa", "an ? 300 SOA ns.net."]);
}

#[test]
fn rfc2308_5_negative_answers_have_the_lower_ttl() {
    let zones = example("www A 192.0.2.1\n");
    assert_eq!(ask(&zones, "www.example", Rtype::AAAA), ["NOERROR aa", SOA]);
    assert_eq!(ask(&zones, "wwx.example", Rtype::A), ["NXDOMAIN aa", SOA]);
    assert_eq!(ask(&zones, "a.www.example", Rtype::A), ["NXDOMAIN aa", SOA]);
}

#[test]
fn rfc8020_2_names_above_others_exist() {
    let zones = example("a.b.c A 192.0.2.1\n");
    assert_eq!(ask(&zones, "b.c.example", Rtype::A), ["NOERROR aa", SOA]);
    assert_eq!(ask(&zones, "c.example", Rtype::TXT), ["NOERROR aa", SOA]);
    assert_eq!(ask(&zones, "x.c.example", Rtype::A), ["NXDOMAIN aa", SOA]);
}

#[test]
fn rfc4592_2_2_2_a_zone_below_makes_no_name_of_the_zone_above() {
    let below = ["c.y", "b.w.v", "s.t", "a.*.star"].map(|name| format!("{name}.example."));
    let zones = |text: &str, services: &[ServiceNode]| {
        let lower = below.iter().map(|apex| (apex.as_str(), ""));
        freeze(&std::iter::once(("example.", text)).chain(lower).collect::<Vec<_>>(), services)
    };
    let a = "an ? 300 A 192.0.2.1";
    let bare = zones("", &[]);
    assert_eq!(ask(&bare, "q.y.example", Rtype::A), ["NXDOMAIN aa", SOA]);
    // Else resolvers would not ask for what is below (RFC 8020 §2).
    assert_eq!(ask(&bare, "y.example", Rtype::A), ["NOERROR aa", SOA]);
    let wild = zones("* A 192.0.2.1\n", &[]);
    for name in ["y.example", "q.y.example", "v.example", "w.v.example", "q.w.v.example"] {
        assert_eq!(ask(&wild, name, Rtype::A), ["NOERROR aa", a], "{name}");
    }
    // Whatever comes later in the zone, and what a service adds, makes a name of it.
    let services = [service("z.t.example.", 0, &[Rtype::A])];
    let known = zones(
        "* A 192.0.2.1\nz.y A 192.0.2.2\nz.v A 192.0.2.2\n*.v A 192.0.2.3\nz.*.star TXT x\n",
        &services,
    );
    for name in ["y.example", "q.t.example", "t.example", "v.example"] {
        let lines = ask(&known, name, Rtype::A);
        assert_eq!(lines[1..], [SOA], "{name}");
    }
    assert_eq!(ask(&known, "q.y.example", Rtype::A), ["NXDOMAIN aa", SOA]);
    for name in ["w.v.example", "q.w.v.example"] {
        assert_eq!(ask(&known, name, Rtype::A), ["NOERROR aa", "an ? 300 A 192.0.2.3"], "{name}");
    }
    // The wildcard is there as soon as something is below it.
    assert_eq!(ask(&bare, "q.star.example", Rtype::A), ["NXDOMAIN aa", SOA]);
    assert_eq!(ask(&known, "q.star.example", Rtype::A), ["NOERROR aa", SOA]);
}

#[test]
fn rfc9460_4_1_service_bindings_bring_the_addresses_of_their_targets() {
    let zones = example(
        "@ A 192.0.2.1\n@ HTTPS 1 . alpn=h2\n@ HTTPS 2 pool alpn=h3\n@ HTTPS 3 pool port=8443\n\
         pool A 192.0.2.2\npool AAAA 2001:db8::2\n\
         alias HTTPS 0 pool\nalias A 192.0.2.3\n\
         none HTTPS 0 .\nnone A 192.0.2.4\n\
         away SVCB 1 pool.example.net.\n_dns SVCB 1 pool\n\
         *.wild HTTPS 1 .\n*.wild A 192.0.2.5\n",
    );
    let additional = |name: &str, rtype| {
        let lines = ask(&zones, name, rtype);
        lines.into_iter().filter(|line| line.starts_with("ar ")).collect::<Vec<_>>()
    };
    let pool = ["ar pool.example. 300 A 192.0.2.2", "ar pool.example. 300 AAAA 16 octets"];
    assert_eq!(
        additional("example", Rtype::HTTPS),
        ["ar example. 300 A 192.0.2.1", pool[0], pool[1]]
    );
    assert_eq!(additional("alias.example", Rtype::HTTPS), pool);
    assert_eq!(additional("_dns.example", Rtype::SVCB), pool);
    for (name, rtype) in [
        ("none.example", Rtype::HTTPS),
        ("away.example", Rtype::SVCB),
        ("x.wild.example", Rtype::HTTPS),
    ] {
        assert!(additional(name, rtype).is_empty(), "{name}");
    }
}

#[test]
fn rfc9460_4_1_an_alias_brings_the_bindings_of_its_target_and_their_addresses() {
    let zones = example(
        "alias HTTPS 0 pool\nalias SVCB 0 pool\n\
         pool HTTPS 1 . alpn=h2\npool HTTPS 2 other\npool A 192.0.2.2\n\
         other A 192.0.2.3\n\
         bare HTTPS 0 only\nonly HTTPS 1 other\n\
         again HTTPS 0 alias\nitself HTTPS 0 itself\nitself A 192.0.2.4\n\
         to-wild HTTPS 0 x.wild\n*.wild HTTPS 1 other\n\
         below HTTPS 0 www.child\nchild NS ns.child\nns.child A 192.0.2.5\n\
         way CNAME alias\n",
    );
    // Owner and type of each.
    let additional = |name: &str, rtype| {
        let lines = ask(&zones, name, rtype).into_iter();
        let lines = lines.filter_map(|line| Some(line.strip_prefix("ar ")?.to_owned()));
        let words = |line: String| line.split(' ').step_by(2).take(2).collect::<Vec<_>>().join(" ");
        lines.map(words).collect::<Vec<_>>()
    };
    let pool = ["pool.example. HTTPS", "pool.example. A"];
    let other = "other.example. A";
    let both = additional("alias.example", Rtype::HTTPS);
    assert_eq!(both, [pool[0], pool[1], other], "each once");
    assert_eq!(additional("way.example", Rtype::HTTPS), both, "at the end of a chain too");
    assert_eq!(additional("alias.example", Rtype::SVCB), [pool[1]], "it has no SVCB records");
    let bare = additional("bare.example", Rtype::HTTPS);
    assert_eq!(bare, ["only.example. HTTPS", other], "no address of its own");
    // One step: a resolver asks for the next anyway.
    assert_eq!(additional("again.example", Rtype::HTTPS).len(), 2);
    assert_eq!(additional("itself.example", Rtype::HTTPS), ["itself.example. A"]);
    for name in ["to-wild.example", "below.example"] {
        assert!(additional(name, Rtype::HTTPS).is_empty(), "{name}");
    }
    assert!(additional("alias.example", Rtype::ANY).is_empty());
}

#[test]
fn a_host_that_several_records_lead_to_goes_along_once() {
    let zones = example("@ MX 10 mail\n@ MX 20 mail\nmail A 192.0.2.1\n");
    let lines = ask(&zones, "example", Rtype::MX);
    assert_eq!(lines[2..], ["ar mail.example. 300 A 192.0.2.1"]);
}

#[test]
fn names_outside_the_zones_are_refused() {
    let zones = freeze(&[("a.example.", ""), ("b.example.", "")], &[]);
    for outside in ["example", ".", "c.example", "x.net", "xa.example", "x.c.example"] {
        assert_eq!(ask(&zones, outside, Rtype::A), ["REFUSED"], "{outside}");
    }
    assert_eq!(ask(&Zones::empty(), ".", Rtype::NS), ["REFUSED"]);
}

#[test]
fn a_root_zone_answers_for_everything() {
    let zones = freeze(&[(".", "net NS ns.net.\nns.net A 192.0.2.1\n")], &[]);
    assert_eq!(ask(&zones, "nope", Rtype::A), ["NXDOMAIN aa", "ns . 60 SOA ns.net."]);
    assert_eq!(
        ask(&zones, "x.net", Rtype::A),
        ["NOERROR ref", "ns net. 300 NS ns.net.", "glue ns.net. 300 A 192.0.2.1"]
    );
}

/// The example of RFC 4592 §2.2.1 and its questions.
#[test]
fn rfc4592_2_2_1_wildcards() {
    let zones = example(
        "*             TXT   wild\n*             MX    10 host1\nsub.*         TXT   below\n\
         host1         A     192.0.2.1\n_ssh._tcp.host1 SRV 0 0 22 host1\n\
         _ssh._tcp.host2 SRV 0 0 22 host1\nsubdel        NS    ns.example.com.\n",
    );
    let host1 = "ar host1.example. 300 A 192.0.2.1";
    let mx = "an ? 300 MX host1.example.";
    assert_eq!(ask(&zones, "host3.example", Rtype::MX), ["NOERROR aa", mx, host1]);
    assert_eq!(ask(&zones, "host3.example", Rtype::A), ["NOERROR aa", SOA]);
    assert_eq!(ask(&zones, "foo.bar.example", Rtype::TXT), ["NOERROR aa", "an ? 300 TXT wild"]);
    // host1 exists, sub.* exists, _tcp.host1 is an empty non-terminal, host2 is one, subdel is a cut
    assert_eq!(ask(&zones, "host1.example", Rtype::MX), ["NOERROR aa", SOA]);
    assert_eq!(ask(&zones, "sub.*.example", Rtype::MX), ["NOERROR aa", SOA]);
    assert_eq!(ask(&zones, "_telnet._tcp.host1.example", Rtype::SRV), ["NXDOMAIN aa", SOA]);
    assert_eq!(
        ask(&zones, "host.subdel.example", Rtype::A),
        ["NOERROR ref", "ns subdel.example. 300 NS ns.example.com."]
    );
    assert_eq!(ask(&zones, "ghost.*.example", Rtype::MX), ["NXDOMAIN aa", SOA]);
    assert_eq!(ask(&zones, "host2.example", Rtype::TXT), ["NOERROR aa", SOA]);
    assert_eq!(ask(&zones, "*.example", Rtype::TXT), ["NOERROR aa", "an ? 300 TXT wild"]);
}

#[test]
fn rfc4592_3_3_1_the_closest_encloser_is_found_by_name_not_by_type() {
    let zones = example("* A 192.0.2.1\na.b TXT x\n");
    assert_eq!(ask(&zones, "x.b.example", Rtype::A), ["NXDOMAIN aa", SOA]);
    assert_eq!(ask(&zones, "x.c.example", Rtype::A), ["NOERROR aa", "an ? 300 A 192.0.2.1"]);
}

#[test]
fn rfc4592_3_3_3_a_wildcard_cname_is_followed() {
    let zones = example("*.w CNAME www\nwww A 192.0.2.1\n");
    assert_eq!(
        ask(&zones, "x.y.w.example", Rtype::A),
        ["NOERROR aa", "an ? 300 CNAME www.example.", "an www.example. 300 A 192.0.2.1"]
    );
}

#[test]
fn rfc1034_4_2_1_referrals_with_glue() {
    let zones = example(
        "c NS ns1.c\nc NS sib\nc NS ns.net.\nns1.c A 192.0.2.1\nns1.c AAAA 2001:db8::1\n\
         sib A 192.0.2.2\n",
    );
    let referral = [
        "NOERROR ref",
        "ns c.example. 300 NS ns1.c.example. sib.example. ns.net.",
        "glue ns1.c.example. 300 A 192.0.2.1",
        "glue ns1.c.example. 300 AAAA 16 octets",
        "ar sib.example. 300 A 192.0.2.2",
    ];
    for name in ["c.example", "x.c.example", "ns1.c.example", "a.ns1.c.example"] {
        assert_eq!(ask(&zones, name, Rtype::A), referral, "{name}");
    }
    assert_eq!(ask(&zones, "c.example", Rtype::NS), referral);
    assert_eq!(ask(&zones, "c.example", Rtype::ANY), referral);
    // only the name at the cut has its DS here (RFC 4035 §3.1.4.1)
    assert_eq!(ask(&zones, "x.c.example", Rtype::DS), referral);
}

#[test]
fn rfc9471_glue_at_the_cut_itself_is_needed_too() {
    let zones = example("c NS c\nc A 192.0.2.1\n");
    assert_eq!(
        ask(&zones, "c.example", Rtype::A),
        ["NOERROR ref", "ns c.example. 300 NS c.example.", "glue c.example. 300 A 192.0.2.1"]
    );
}

#[test]
fn rfc4035_3_1_4_1_ds_is_answered_above_the_cut() {
    let hash = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let zones = example(&format!("c NS ns.net.\nc DS 1 13 2 {hash}\nd NS ns.net.\n"));
    assert_eq!(ask(&zones, "c.example", Rtype::DS), ["NOERROR aa", "an ? 300 DS 36 octets"]);
    assert_eq!(ask(&zones, "d.example", Rtype::DS), ["NOERROR aa", SOA]);
    assert_eq!(ask(&zones, "example", Rtype::DS), ["NOERROR aa", SOA]);
    // both sides of the cut are ours
    let parent = format!("c NS ns.net.\nc DS 1 13 2 {hash}\nd NS ns.net.\n");
    let zones = freeze(
        &[("example.", &parent), ("c.example.", "x A 192.0.2.1\n"), ("d.example.", "")],
        &[],
    );
    assert_eq!(ask(&zones, "c.example", Rtype::DS), ["NOERROR aa", "an ? 300 DS 36 octets"]);
    assert_eq!(ask(&zones, "d.example", Rtype::DS), ["NOERROR aa", SOA]);
    assert_eq!(ask(&zones, "x.c.example", Rtype::A), ["NOERROR aa", "an ? 300 A 192.0.2.1"]);
    assert_eq!(
        ask(&zones, "y.c.example", Rtype::A),
        ["NXDOMAIN aa", "ns c.example. 60 SOA ns.net."]
    );
    assert_eq!(ask(&zones, "c.example", Rtype::NS), ["NOERROR aa", "an ? 300 NS ns.net."]);
}

#[test]
fn the_most_specific_zone_answers_and_hides_what_its_parent_has_there() {
    let zones = freeze(
        &[
            ("example.", "c NS ns.c\nns.c A 192.0.2.9\n"),
            ("c.example.", "ns A 192.0.2.8\n"),
            ("y.x.example.", ""),
        ],
        &[],
    );
    assert_eq!(ask(&zones, "ns.c.example", Rtype::A), ["NOERROR aa", "an ? 300 A 192.0.2.8"]);
    // a zone of ours below makes the names above it exist, delegated or not
    assert_eq!(ask(&zones, "x.example", Rtype::A), ["NOERROR aa", SOA]);
    assert_eq!(ask(&zones, "z.x.example", Rtype::A), ["NXDOMAIN aa", SOA]);
}

#[test]
fn a_grandchild_zone_of_ours_below_a_foreign_child() {
    let zones = freeze(&[("example.", "c NS ns.net.\n"), ("g.x.c.example.", "")], &[]);
    for name in ["c.example", "x.c.example", "y.c.example"] {
        assert_eq!(ask(&zones, name, Rtype::A), ["NOERROR ref", "ns c.example. 300 NS ns.net."]);
    }
    let soa = "ns g.x.c.example. 60 SOA ns.net.";
    assert_eq!(ask(&zones, "g.x.c.example", Rtype::A), ["NOERROR aa", soa]);
    assert_eq!(ask(&zones, "g.x.c.example", Rtype::DS), ["NOERROR aa", soa]);
}

#[test]
fn rfc1034_3_6_2_cname_chains_inside_and_out() {
    let zones = freeze(
        &[
            (
                "example.",
                "a CNAME b\nb CNAME www.other.\nout CNAME x.net.\nc CNAME d.c2\nc2 NS ns.net.\n",
            ),
            ("other.", "www A 192.0.2.1\n"),
        ],
        &[],
    );
    let chain = ["NOERROR aa", "an ? 300 CNAME b.example.", "an b.example. 300 CNAME www.other."];
    let mut whole = chain.to_vec();
    whole.push("an www.other. 300 A 192.0.2.1");
    assert_eq!(ask(&zones, "a.example", Rtype::A), whole);
    let mut nodata = chain.to_vec();
    nodata.push("ns other. 60 SOA ns.net.");
    assert_eq!(ask(&zones, "a.example", Rtype::AAAA), nodata);
    assert_eq!(ask(&zones, "a.example", Rtype::CNAME), &chain[..2]);
    assert_eq!(ask(&zones, "a.example", Rtype::ANY), &chain[..2]);
    assert_eq!(ask(&zones, "out.example", Rtype::A), ["NOERROR aa", "an ? 300 CNAME x.net."]);
    // into a delegation: the first owner is still ours
    assert_eq!(
        ask(&zones, "c.example", Rtype::A),
        ["NOERROR aa ref", "an ? 300 CNAME d.c2.example.", "ns c2.example. 300 NS ns.net."]
    );
}

#[test]
fn rfc6604_3_the_code_is_the_last_names() {
    let zones = example("a CNAME b\nb CNAME gone\n");
    assert_eq!(
        ask(&zones, "a.example", Rtype::A),
        ["NXDOMAIN aa", "an ? 300 CNAME b.example.", "an b.example. 300 CNAME gone.example.", SOA]
    );
}

#[test]
fn cname_loops_end_with_what_was_gathered() {
    let zones = example("a CNAME b\nb CNAME c\nc CNAME b\ns CNAME S\n*.w CNAME x.w\n");
    assert_eq!(
        ask(&zones, "a.example", Rtype::A),
        [
            "NOERROR aa",
            "an ? 300 CNAME b.example.",
            "an b.example. 300 CNAME c.example.",
            "an c.example. 300 CNAME b.example."
        ]
    );
    assert_eq!(ask(&zones, "s.example", Rtype::A), ["NOERROR aa", "an ? 300 CNAME S.example."]);
    assert_eq!(
        ask(&zones, "q.w.example", Rtype::A),
        ["NOERROR aa", "an ? 300 CNAME x.w.example.", "an x.w.example. 300 CNAME x.w.example."]
    );
}

#[test]
fn chains_are_cut_at_the_bound() {
    let text: String = (0..30).map(|i| format!("c{i} CNAME c{}\n", i + 1)).collect();
    let zones = example(&text);
    assert_eq!(ask(&zones, "c0.example", Rtype::A).len(), 1 + MAX_CHAIN);
    // the bound leaves whole what just reaches it
    let start = format!("c{}.example", 31 - MAX_CHAIN);
    let found = ask(&zones, &start, Rtype::A);
    assert_eq!((found.len(), &*found[0]), (1 + MAX_CHAIN, "NXDOMAIN aa"));
}

#[test]
fn rfc6672_3_dname_redirects_what_is_below_but_not_itself() {
    let zones = freeze(
        &[("example.", "d 60 DNAME t.other.\nd A 192.0.2.1\n"), ("other.", "x.t A 192.0.2.2\n")],
        &[],
    );
    assert_eq!(
        ask(&zones, "x.d.example", Rtype::A),
        [
            "NOERROR aa",
            "an d.example. 60 DNAME t.other.",
            "an ? 60 CNAME made x.t.other.",
            "an x.t.other. 300 A 192.0.2.2"
        ]
    );
    assert_eq!(ask(&zones, "d.example", Rtype::A), ["NOERROR aa", "an ? 300 A 192.0.2.1"]);
    assert_eq!(ask(&zones, "d.example", Rtype::DNAME), ["NOERROR aa", "an ? 60 DNAME t.other."]);
    assert_eq!(
        ask(&zones, "a.b.d.example", Rtype::CNAME),
        ["NOERROR aa", "an d.example. 60 DNAME t.other.", "an ? 60 CNAME made a.b.t.other."]
    );
    assert_eq!(
        ask(&zones, "y.d.example", Rtype::A),
        [
            "NXDOMAIN aa",
            "an d.example. 60 DNAME t.other.",
            "an ? 60 CNAME made y.t.other.",
            "ns other. 60 SOA ns.net."
        ]
    );
}

#[test]
fn rfc6672_2_3_dname_at_the_apex() {
    let zones = freeze(&[("example.", "@ DNAME other.\n"), ("other.", "www A 192.0.2.1\n")], &[]);
    assert_eq!(
        ask(&zones, "www.example", Rtype::A),
        [
            "NOERROR aa",
            "an example. 300 DNAME other.",
            "an ? 300 CNAME made www.other.",
            "an www.other. 300 A 192.0.2.1"
        ]
    );
    assert_eq!(ask(&zones, "example", Rtype::A), ["NOERROR aa", SOA]);
}

#[test]
fn rfc6672_2_2_a_name_made_too_long_is_yxdomain() {
    let label = "a".repeat(63);
    let target = format!("{label}.{label}.{label}");
    let zones = example(&format!("d DNAME {target}.\n"));
    let fits = format!("{}.d.example", "b".repeat(61));
    let found = ask(&zones, &fits, Rtype::A);
    assert_eq!((found.len(), &*found[0]), (3, "NOERROR aa"));
    let too_long = format!("{}.d.example", "b".repeat(62));
    assert_eq!(
        ask(&zones, &too_long, Rtype::A),
        ["YXDOMAIN aa".to_owned(), format!("an d.example. 300 DNAME {target}.")]
    );
}

#[test]
fn dname_loops_are_bounded() {
    let zones = example("a DNAME b\nb DNAME a\ng DNAME g.g\n");
    assert_eq!(
        ask(&zones, "x.a.example", Rtype::A),
        [
            "NOERROR aa",
            "an a.example. 300 DNAME b.example.",
            "an ? 300 CNAME made x.b.example.",
            "an b.example. 300 DNAME a.example.",
            "an x.b.example. 300 CNAME made x.a.example."
        ]
    );
    // one that grows: the DNAME once, a CNAME per step
    assert_eq!(ask(&zones, "x.g.example", Rtype::A).len(), 2 + MAX_CHAIN);
}

#[test]
fn a_zone_of_ours_below_a_dname_is_served() {
    let zones =
        freeze(&[("example.", "d DNAME t.net.\n"), ("z.y.d.example.", "www A 192.0.2.1\n")], &[]);
    assert_eq!(ask(&zones, "www.z.y.d.example", Rtype::A), ["NOERROR aa", "an ? 300 A 192.0.2.1"]);
    for name in ["y.d.example", "q.y.d.example"] {
        let made = name.replace("d.example", "t.net.");
        assert_eq!(
            ask(&zones, name, Rtype::A),
            [
                "NOERROR aa".to_owned(),
                "an d.example. 300 DNAME t.net.".to_owned(),
                format!("an ? 300 CNAME made {made}")
            ]
        );
    }
}

#[test]
fn rfc8482_4_1_any_gets_the_smallest_rrset() {
    let zones = freeze(
        &[(
            "example.",
            "a TXT longer-than-an-address\na A 192.0.2.1\nb.c A 192.0.2.1\ngeo TXT x\n",
        )],
        &[service("geo.example", 1, &[Rtype::A]), service("only.example", 2, &[Rtype::AAAA])],
    );
    assert_eq!(ask(&zones, "a.example", Rtype::ANY), ["NOERROR aa", "an ? 300 A 192.0.2.1"]);
    assert_eq!(ask(&zones, "c.example", Rtype::ANY), ["NOERROR aa", SOA]);
    assert_eq!(ask(&zones, "geo.example", Rtype::ANY), ["NOERROR aa", "an ? 300 TXT x"]);
    assert_eq!(ask(&zones, "only.example", Rtype::ANY), ["NOERROR aa", "an ? AAAA service 2"]);
    assert_eq!(ask(&zones, "nope.example", Rtype::ANY), ["NXDOMAIN aa", SOA]);
    // RFC 6672 §3.2 step 3c and RFC 6604 §3: a DNAME leads every type on.
    let zones = example("d DNAME t\na.t A 192.0.2.1\n");
    let led = |name: &str| {
        let dname = "an d.example. 300 DNAME t.example.";
        [dname.to_owned(), format!("an ? 300 CNAME made {name}.t.example.")]
    };
    let [dname, cname] = led("a");
    let end = "an a.t.example. 300 A 192.0.2.1".to_owned();
    assert_eq!(ask(&zones, "a.d.example", Rtype::ANY), ["NOERROR aa".into(), dname, cname, end]);
    let [dname, cname] = led("b");
    assert_eq!(
        ask(&zones, "b.d.example", Rtype::ANY),
        ["NXDOMAIN aa".into(), dname, cname, SOA.to_owned()]
    );
}

#[test]
fn services_stand_where_records_would() {
    let zones = freeze(
        &[("example.", "www CNAME geo\ngeo TXT x\ndeep.er TXT x\n@ MX 10 geo\n*.s TXT w\n")],
        &[
            service("geo.example", 1, &[Rtype::A, Rtype::AAAA]),
            service("example", 2, &[Rtype::A]),
            service("*.s.example", 3, &[Rtype::A]),
            service("a.new.example", 4, &[Rtype::A]),
        ],
    );
    assert_eq!(ask(&zones, "geo.example", Rtype::A), ["NOERROR aa", "an ? A service 1"]);
    assert_eq!(ask(&zones, "geo.example", Rtype::TXT), ["NOERROR aa", "an ? 300 TXT x"]);
    assert_eq!(ask(&zones, "geo.example", Rtype::MX), ["NOERROR aa", SOA]);
    assert_eq!(
        ask(&zones, "www.example", Rtype::AAAA),
        ["NOERROR aa", "an ? 300 CNAME geo.example.", "an geo.example. AAAA service 1"]
    );
    assert_eq!(ask(&zones, "example", Rtype::A), ["NOERROR aa", "an ? A service 2"]);
    assert_eq!(ask(&zones, "x.y.s.example", Rtype::A), ["NOERROR aa", "an ? A service 3"]);
    assert_eq!(ask(&zones, "x.s.example", Rtype::TXT), ["NOERROR aa", "an ? 300 TXT w"]);
    assert_eq!(ask(&zones, "x.s.example", Rtype::AAAA), ["NOERROR aa", SOA]);
    assert_eq!(ask(&zones, "new.example", Rtype::A), ["NOERROR aa", SOA]);
    assert_eq!(
        ask(&zones, "example", Rtype::MX),
        [
            "NOERROR aa",
            "an ? 300 MX geo.example.",
            "ar geo.example. A service 1",
            "ar geo.example. AAAA service 1"
        ]
    );
}

#[test]
fn rfc7871_7_4_referrals_never_carry_a_services_addresses() {
    let zones = freeze(
        &[("example.", "c NS geo\nc NS ns\nns A 192.0.2.1\n")],
        &[service("geo.example", 1, &[Rtype::A])],
    );
    assert_eq!(
        ask(&zones, "c.example", Rtype::A),
        [
            "NOERROR ref",
            "ns c.example. 300 NS geo.example. ns.example.",
            "ar ns.example. 300 A 192.0.2.1"
        ]
    );
}

#[test]
fn rfc6672_2_3_a_chain_may_come_to_the_dnames_own_name() {
    let zones = example("d DNAME @\nd A 192.0.2.1\n");
    assert_eq!(
        ask(&zones, "d.d.example", Rtype::A),
        [
            "NOERROR aa",
            "an d.example. 300 DNAME example.",
            "an ? 300 CNAME made d.example.",
            "an d.example. 300 A 192.0.2.1"
        ]
    );
}

#[test]
fn a_zone_that_one_may_not_see_is_refused_and_ends_chains() {
    let zones = freeze(
        &[
            (
                "example.",
                "in CNAME a.in.secret.\ndown DNAME secret.\na A 192.0.2.1\n\
                 mail MX 1 a\nmail MX 2 a.in.secret.\n\
                 sub NS ns.sub\nsub NS a.in.secret.\nsub NS a\nns.sub A 192.0.2.3\n",
            ),
            ("secret.", "a.in A 192.0.2.2\n"),
        ],
        &[],
    );
    let secret = zones.zones().find(|zone| zone.apex().to_string() == "secret.").unwrap().id();
    let outsider = |name, rtype| ask_within(&zones, |zone| zone != secret, name, rtype);
    assert_eq!(outsider("a.example", Rtype::A), ["NOERROR aa", "an ? 300 A 192.0.2.1"]);
    assert_eq!(outsider("a.in.secret", Rtype::A), ["REFUSED"]);
    assert_eq!(outsider("nope.secret", Rtype::A), ["REFUSED"]);
    assert_eq!(outsider("in.example", Rtype::A), ["NOERROR aa", "an ? 300 CNAME a.in.secret."]);
    assert_eq!(outsider("a.in.down.example", Rtype::A).len(), 3, "DNAME, and the CNAME it makes");
    assert_eq!(ask(&zones, "in.example", Rtype::A).len(), 3);
    let along = |lines: Vec<String>| {
        let address = |line: &String| line.split_once(" A ").map(|(_, address)| address.to_owned());
        lines.iter().filter_map(address).collect::<Vec<_>>()
    };
    for (name, to_all, to_outsiders) in [
        ("mail.example", &["192.0.2.1", "192.0.2.2"][..], &["192.0.2.1"][..]),
        ("a.sub.example", &["192.0.2.3", "192.0.2.2", "192.0.2.1"], &["192.0.2.3", "192.0.2.1"]),
    ] {
        assert_eq!(along(ask(&zones, name, Rtype::MX)), to_all, "{name}");
        assert_eq!(along(outsider(name, Rtype::MX)), to_outsiders, "{name}");
    }
}

#[test]
fn a_parent_that_one_may_not_see_answers_no_ds() {
    let ds = "kid NS ns.kid\nkid DS 1 8 2 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n";
    let zones = freeze(&[("secret.", ds), ("kid.secret.", "a A 192.0.2.1\n")], &[]);
    let secret = zones.zones().find(|zone| zone.apex().to_string() == "secret.").unwrap().id();
    let answer = ask_within(&zones, |zone| zone != secret, "kid.secret", Rtype::DS);
    assert_eq!(answer.len(), 2, "NODATA of the child: {answer:?}");
    assert!(answer[1].starts_with("ns kid.secret."), "{answer:?}");
    assert!(ask(&zones, "kid.secret", Rtype::DS)[1].starts_with("an ?"));
}

#[test]
fn ds_is_the_parents_whoever_may_see_the_child() {
    let ds = "kid NS ns.kid\nkid DS 1 8 2 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n";
    let zones = freeze(&[("open.", ds), ("kid.open.", "a A 192.0.2.1\n")], &[]);
    let kid = zones.zones().find(|zone| zone.apex().to_string() == "kid.open.").unwrap().id();
    let outsider = |name, rtype| ask_within(&zones, |zone| zone != kid, name, rtype);
    assert!(outsider("kid.open", Rtype::DS)[1].starts_with("an ? 300 DS"));
    for (name, rtype) in
        [("kid.open", Rtype::A), ("a.kid.open", Rtype::DS), ("a.kid.open", Rtype::A)]
    {
        assert_eq!(outsider(name, rtype), ["REFUSED"], "{name} {rtype}");
    }
}

#[test]
fn glue_of_a_hidden_zone_stays_hidden() {
    let zones = freeze(
        &[
            ("open.", "cut NS ns.kid.cut\ncut NS ns.cut\nns.cut A 192.0.2.1\n"),
            ("kid.cut.open.", "ns A 10.0.0.1\n"),
        ],
        &[],
    );
    let kid = zones.zones().find(|zone| zone.apex().to_string() == "kid.cut.open.").unwrap().id();
    let answer = ask_within(&zones, |zone| zone != kid, "x.cut.open", Rtype::A);
    assert!(answer.iter().any(|line| line.contains("192.0.2.1")), "{answer:?}");
    assert!(!answer.iter().any(|line| line.contains("10.0.0.1")), "{answer:?}");
    let all = ask(&zones, "x.cut.open", Rtype::A);
    assert!(all.iter().any(|line| line.contains("10.0.0.1")), "{all:?}");
}
