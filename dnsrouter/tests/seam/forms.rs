//! Services that answer more than addresses: host names, MX, SRV, TXT, service bindings, and
//! second names.

use std::net::IpAddr;

use dns::edns::WHY;
use dns::resolve::MAX_CHAIN;
use dnsrouter::answer::Transport;
use dnsrouter::plan::Snapshot;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::EdnsOption;

use crate::site;
use crate::world::{CONFIG, ZONE, addresses, ask, down, published, query, scope};

const SERVICES: &str = r#"
[[service]]
name = "test-net.io"
alias = "geo.test-net.io"
[[service]]
name = "host.test-net.io"
ttl = 30
route = ["healthy", "nearest"]
[[service.endpoint]]
region = "us-central1"
cname = "geo.test-net.io."
ping = "https://203.0.113.10:443"
[[service.endpoint]]
region = "europe-west3"
cname = "www.test-net.io"
ping = "https://203.0.113.20:443"
[[service.endpoint]]
region = "asia-southeast1"
cname = "elsewhere.example.net."
ping = "https://203.0.113.30:443"
[[service]]
name = "*.loop.test-net.io"
ttl = 30
route = ["nearest"]
endpoint = [{ region = "us-central1", cname = "again.loop.test-net.io." }]
[[service]]
name = "_grpc._tcp.test-net.io"
ttl = 30
route = ["healthy", "nearest"]
[[service.endpoint]]
region = "us-central1"
srv = ["0 5 443 us.test-net.io.", "0 5 444 us.test-net.io."]
mx = ["10 mail-us.test-net.io."]
txt = ["region us", '"two" "strings"']
[[service.endpoint]]
region = "europe-west3"
srv = ["0 5 443 eu.test-net.io."]
ping = "https://203.0.113.20:443"
[[service]]
name = "back.test-net.io"
ttl = 30
route = ["nearest"]
endpoint = [{ region = "us-central1", cname = "into.test-net.io." }]
[[service]]
name = "through.test-net.io"
ttl = 30
route = ["nearest"]
endpoint = [{ region = "us-central1", cname = "mail.down.test-net.io." }]
[[service]]
name = "shared.test-net.io"
ttl = 30
route = ["nearest", { take = 2 }]
[[service.endpoint]]
region = "us-central1"
mx = ["10 mail.test-net.io."]
txt = ["one", "two"]
[[service.endpoint]]
region = "europe-west3"
mx = ["10 mail.test-net.io.", "20 mail.test-net.io."]
txt = ["two"]
[[service]]
name = "bound.test-net.io"
ttl = 30
route = ["healthy", "nearest"]
https = "1 . alpn=h2 port=8443 ech=AAAA"
svcb = "1 . alpn=h2"
[[service.endpoint]]
region = "us-central1"
addresses = ["203.0.113.10", "2001:db8:ffff::10"]
[[service.endpoint]]
region = "europe-west3"
addresses = ["203.0.113.20"]
ping = "https://203.0.113.20:443"
"#;

const US: &str = "4.0.0.0";
const EUROPE: &str = "141.2.0.0";
const ASIA: &str = "137.132.0.0";

fn config() -> String {
    format!("{CONFIG}{SERVICES}")
}

fn get(snapshot: &Snapshot, name: &str, rtype: RecordType, client: &str) -> Message {
    let subnet = Some((client.parse::<IpAddr>().unwrap(), 16));
    ask(snapshot, &query(name, rtype, subnet), Transport::Udp, 1)
}

fn records(message: &Message) -> Vec<String> {
    let record = |r: &hickory_proto::rr::Record| {
        format!("{} {} {} {}", r.name, r.ttl, r.record_type(), r.data)
    };
    message.answers.iter().map(record).collect()
}

#[test]
fn a_host_name_is_followed_through_our_own_zones() {
    let published = published(&config());
    let snapshot = published.load();
    let near = get(&snapshot, "host.test-net.io.", RecordType::A, US);
    assert_eq!(
        records(&near),
        ["host.test-net.io. 30 CNAME geo.test-net.io.", "geo.test-net.io. 60 A 203.0.113.10"]
    );
    assert!(near.metadata.authoritative && scope(&near) > 0);
    let through_static = get(&snapshot, "host.test-net.io.", RecordType::AAAA, EUROPE);
    assert_eq!(
        records(&through_static),
        [
            "host.test-net.io. 30 CNAME www.test-net.io.",
            "www.test-net.io. 300 CNAME geo.test-net.io.",
            "geo.test-net.io. 60 AAAA 2001:db8:ffff::20"
        ]
    );
    let foreign = get(&snapshot, "host.test-net.io.", RecordType::A, ASIA);
    assert_eq!(records(&foreign), ["host.test-net.io. 30 CNAME elsewhere.example.net."]);
    assert_eq!(foreign.response_code, ResponseCode::NoError);
    for itself in [RecordType::CNAME, RecordType::ANY] {
        let only = get(&snapshot, "host.test-net.io.", itself, US);
        assert_eq!(records(&only), ["host.test-net.io. 30 CNAME geo.test-net.io."]);
    }
    let nodata = get(&snapshot, "host.test-net.io.", RecordType::MX, US);
    assert_eq!(records(&nodata), ["host.test-net.io. 30 CNAME geo.test-net.io."]);
    assert_eq!(nodata.authorities.len(), 1, "the target has no MX: its SOA");
}

#[test]
fn a_host_name_follows_the_health_of_its_endpoint() {
    let published = published(&config());
    down(&published, &["203.0.113.10"]);
    let moved = get(&published.load(), "host.test-net.io.", RecordType::CNAME, US);
    assert_eq!(moved.answers.len(), 1);
    assert_ne!(records(&moved)[0], "host.test-net.io. 30 CNAME geo.test-net.io.");
}

#[test]
fn a_loop_of_host_names_ends_with_what_was_gathered() {
    let published = published(&config());
    let snapshot = published.load();
    let looped = get(&snapshot, "x.loop.test-net.io.", RecordType::A, US);
    assert_eq!(records(&looped), ["x.loop.test-net.io. 30 CNAME again.loop.test-net.io."]);
    assert_eq!(looped.response_code, ResponseCode::NoError);
}

/// `h0` leads to `h1` and so on; the last of `count` to `end`.
fn chain(count: usize, end: &str) -> String {
    let link = |i: usize| {
        let next = if i + 1 == count { end.to_owned() } else { format!("h{}.test-net.io.", i + 1) };
        format!(
            "[[service]]\nname = \"h{i}.test-net.io\"\nttl = 30\nroute = [\"nearest\"]\n\
             endpoint = [{{ region = \"us-central1\", cname = \"{next}\" }}]\n"
        )
    };
    (0..count).map(link).collect()
}

/// Whatever leads on, as many names are visited as in a chain of CNAMEs in a zone.
#[test]
fn a_chain_of_host_names_has_the_bound_of_every_chain() {
    for (end, links) in [("geo.test-net.io.", 0), ("www.test-net.io.", 1)] {
        let services = chain(MAX_CHAIN + 2, end);
        let published = published(&format!("{CONFIG}{services}"));
        let snapshot = published.load();
        for start in 0..MAX_CHAIN + 2 {
            let name = format!("h{start}.test-net.io.");
            let reply = get(&snapshot, &name, RecordType::A, US);
            // Visited, if nothing bounds it: the host names, those behind them, and the addresses'.
            let names = MAX_CHAIN + 2 - start + links + 1;
            let cnames = reply.answers.iter().filter(|r| r.record_type() == RecordType::CNAME);
            assert_eq!(cnames.count(), (names - 1).min(MAX_CHAIN), "{name} to {end}");
            let arrives = names <= MAX_CHAIN;
            assert_eq!(addresses(&reply).is_empty(), !arrives, "{name} to {end}");
            assert_eq!(reply.response_code, ResponseCode::NoError);
        }
    }
    // What stands behind the bound is not looked at: that there is nothing is no answer.
    let published = published(&format!("{CONFIG}{}", chain(MAX_CHAIN, "none.test-net.io.")));
    let snapshot = published.load();
    let rcode = |name| get(&snapshot, name, RecordType::A, US).response_code;
    assert_eq!(rcode("h0.test-net.io."), ResponseCode::NoError);
    assert_eq!(rcode("h1.test-net.io."), ResponseCode::NXDomain);
}

#[test]
fn mx_srv_and_txt_are_chosen_each_by_itself() {
    let published = published(&config());
    let get = |rtype, client| get(&published.load(), "_grpc._tcp.test-net.io.", rtype, client);
    assert_eq!(
        records(&get(RecordType::SRV, US)),
        [
            "_grpc._tcp.test-net.io. 30 SRV 0 5 443 us.test-net.io.",
            "_grpc._tcp.test-net.io. 30 SRV 0 5 444 us.test-net.io."
        ]
    );
    let srv = get(RecordType::SRV, EUROPE);
    assert_eq!(records(&srv), ["_grpc._tcp.test-net.io. 30 SRV 0 5 443 eu.test-net.io."]);
    assert!(scope(&srv) > 0);
    let mx = get(RecordType::MX, EUROPE);
    assert_eq!(records(&mx), ["_grpc._tcp.test-net.io. 30 MX 10 mail-us.test-net.io."]);
    assert_eq!(scope(&mx), 0, "one endpoint has it: the client does not matter");
    let texts = get(RecordType::TXT, US);
    assert_eq!(texts.answers.len(), 2);
    assert!(records(&texts)[0].contains("region us"), "{:?}", records(&texts));
    let none = get(RecordType::A, US);
    assert_eq!((none.answers.len(), none.authorities.len(), scope(&none)), (0, 1, 0));
    down(&published, &["203.0.113.20"]);
    let spilled = get(RecordType::SRV, EUROPE);
    assert_eq!(spilled.answers.len(), 2, "the region that is up");
}

#[test]
fn bindings_hint_at_the_addresses_of_the_same_client() {
    let published = published(&config());
    let get = |rtype, client| get(&published.load(), "bound.test-net.io.", rtype, client);
    for client in [US, EUROPE, ASIA] {
        let a = addresses(&get(RecordType::A, client));
        let aaaa = addresses(&get(RecordType::AAAA, client));
        let https = get(RecordType::HTTPS, client);
        let [text] = &records(&https)[..] else { panic!("one binding: {https:?}") };
        let list =
            |all: &[IpAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        assert!(text.contains(&format!("ipv4hint={}", list(&a))), "{text} for {client}: {a:?}");
        assert!(text.contains(&format!("ipv6hint={}", list(&aaaa))), "{text}: {aaaa:?}");
        assert!(text.contains("alpn=h2") && text.contains("port=8443"), "{text}");
        assert_eq!(scope(&https), scope(&get(RecordType::A, client)), "as for A, the finer");
    }
    assert_eq!(get(RecordType::SVCB, US).answers.len(), 1);
    let other = ask(
        &published.load(),
        &query("geo.test-net.io.", RecordType::HTTPS, None),
        Transport::Udp,
        1,
    );
    assert!(other.answers.is_empty(), "no binding was configured there");
}

#[test]
fn an_alias_at_the_apex_is_the_service_itself() {
    let published = published(&config());
    let snapshot = published.load();
    for client in [US, EUROPE, ASIA, "8.8.8.0"] {
        for rtype in [RecordType::A, RecordType::AAAA] {
            let alias = get(&snapshot, "test-net.io.", rtype, client);
            let service = get(&snapshot, "geo.test-net.io.", rtype, client);
            assert_eq!(addresses(&alias), addresses(&service));
            assert_eq!(scope(&alias), scope(&service));
            assert_eq!(alias.answers[0].ttl, 60);
        }
    }
    for (rtype, answers) in [(RecordType::SOA, 1), (RecordType::MX, 1), (RecordType::NS, 1)] {
        assert_eq!(get(&snapshot, "test-net.io.", rtype, US).answers.len(), answers, "{rtype}");
    }
}

#[test]
fn whoever_asks_is_told_why() {
    let published = published(&config());
    let snapshot = published.load();
    let why = |name, wanted: bool| {
        let mut bytes = query(name, RecordType::A, Some((EUROPE.parse().unwrap(), 16)));
        if wanted {
            // The OPT record stands last: its one option of 10 octets gets another.
            let at = bytes.len() - 10 - 2;
            let length = u16::from_be_bytes([bytes[at], bytes[at + 1]]) + 4;
            bytes[at..at + 2].copy_from_slice(&length.to_be_bytes());
            bytes.extend(WHY.to_be_bytes());
            bytes.extend([0, 0]);
        }
        let reply = ask(&snapshot, &bytes, Transport::Udp, 1);
        let options = reply.edns.as_ref().unwrap().options().as_ref();
        options.iter().find_map(|(_, option)| match option {
            EdnsOption::Unknown(15, data) => {
                assert_eq!(data[..2], [0, 0], "INFO-CODE Other");
                Some(String::from_utf8(data[2..].to_vec()).unwrap())
            }
            _ => None,
        })
    };
    let text = why("geo.test-net.io.", true).expect("a reason");
    assert!(text.starts_with("europe-west3 ") && text.contains(" km from 141.2."), "{text}");
    assert!(text.contains("(DE); A 3 of 3 up; healthy nearest"), "{text}");
    assert_eq!(why("geo.test-net.io.", false), None, "only when asked");
    assert_eq!(why("mail.test-net.io.", true), None, "only for services");
    assert!(why("host.test-net.io.", true).is_some());
}

#[test]
fn what_a_service_cannot_be_is_said_with_its_place() {
    for (good, bad, says) in [
        (
            "alias = \"geo.test-net.io\"",
            "alias = \"nope.test-net.io\"",
            "no service here is called",
        ),
        ("alias = \"geo.test-net.io\"", "alias = \"host.test-net.io\"", "has no addresses"),
        ("alias = \"geo.test-net.io\"", "alias = \"geo.test-net.io\"\nttl = 1", "nothing else"),
        ("name = \"host.test-net.io\"", "name = \"www.test-net.io\"", "CNAME"),
        ("name = \"host.test-net.io\"", "name = \"mail.test-net.io\"", "A records beside it"),
        ("name = \"test-net.io\"\nalias", "name = \"mail.test-net.io\"\nalias", "has A records"),
        ("cname = \"www.test-net.io\"", "cname = \"www..io\"", "CNAME record"),
        ("cname = \"www.test-net.io\"", "mx = [\"1 a.\"]", "no other data"),
        ("\"0 5 443 eu.test-net.io.\"", "\"0 5 eu.test-net.io.\"", "SRV record"),
        ("\"10 mail-us.test-net.io.\"", "\"10\"", "MX record"),
        ("\"10 mail-us.test-net.io.\"", "\"10 us\"", "would be us., right below the root"),
        ("\"0 5 443 eu.test-net.io.\"", "\"0 5 443 eu\"", "write the full name, or \"eu.\""),
        ("cname = \"www.test-net.io\"", "cname = \"www\"", "would be www., right below the root"),
        ("\"0 5 444 us.test-net.io.\"", "\"0 5 443 US.test-net.io.\"", ""),
        ("srv = [\"0 5 443 eu.test-net.io.\"]\nping", "ping", "without records"),
        ("https = \"1 . ", "https = \"0 . ", ""),
        ("https = \"1 . ", "https = \"1 other.test-net.io. ", "the target is this name"),
        ("port=8443", "ipv4hint=192.0.2.1", "those of the client"),
        (
            "route = [\"healthy\", \"nearest\"]\n[[service.endpoint]]\nregion = \"us-central1\"\ncname",
            "route = [{ take = 2 }]\n[[service.endpoint]]\nregion = \"us-central1\"\ncname",
            "one CNAME",
        ),
    ] {
        let config = config();
        assert!(config.contains(good), "{good}");
        let loaded = site::load(&[site::NODE, &config.replacen(good, bad, 1)].concat(), ZONE);
        let Err(report) = loaded.map(|_| ()) else {
            assert!(says.is_empty(), "{bad} was taken");
            continue;
        };
        assert!(report.contains(says), "{bad}: {report}");
        assert!(report.contains("dnsrouter.toml:"), "a place: {report}");
    }
}

#[test]
fn nothing_is_said_twice() {
    let published = published(&config());
    let snapshot = published.load();
    let of = |name, rtype| records(&get(&snapshot, name, rtype, US));
    let loops = [
        "into.test-net.io. 300 CNAME back.test-net.io.",
        "back.test-net.io. 30 CNAME into.test-net.io.",
    ];
    assert_eq!(of("into.test-net.io.", RecordType::A), loops, "a loop through a service");
    assert_eq!(of("back.test-net.io.", RecordType::A), [loops[1], loops[0]]);
    assert_eq!(
        of("through.down.test-net.io.", RecordType::A),
        [
            "down.test-net.io. 300 DNAME CHRlc3QtbmV0AmlvAA==",
            "through.down.test-net.io. 300 CNAME through.test-net.io.",
            "through.test-net.io. 30 CNAME mail.down.test-net.io.",
            "mail.down.test-net.io. 300 CNAME mail.test-net.io.",
            "mail.test-net.io. 300 A 192.0.2.25"
        ],
        "one DNAME redirects twice and stands once (RFC 6672 §3.2)"
    );
    assert_eq!(of("shared.test-net.io.", RecordType::MX).len(), 2, "RFC 2181 §5");
    assert_eq!(of("shared.test-net.io.", RecordType::TXT).len(), 2);
}

#[test]
fn hosts_that_are_nowhere_in_our_zones_are_told_and_taken() {
    let warnings = |config: &str, zone: &str| -> Vec<String> {
        let config = [site::NODE, config].concat();
        let warnings = site::loaded(&config, zone).config.warnings;
        warnings.into_iter().filter(|line| line.contains("names nothing")).collect()
    };
    let of_srv = "service _grpc._tcp.test-net.io.: its";
    assert_eq!(
        warnings(&config(), ZONE),
        [
            format!(
                "{of_srv} MX target mail-us.test-net.io. names nothing in our zone test-net.io."
            ),
            format!("{of_srv} SRV target us.test-net.io. names nothing in our zone test-net.io."),
            format!("{of_srv} SRV target eu.test-net.io. names nothing in our zone test-net.io."),
        ]
    );
    // A top level domain by its whole name is somebody else's.
    let top = config().replace("10 mail-us.test-net.io.", "10 us.");
    assert_eq!(warnings(&top, ZONE).len(), 2);
    let there = "mail-us AAAA 2001:db8::1\nx.us TXT \"below it\"\neu NS ns.example.net.\n";
    assert_eq!(warnings(&config(), &format!("{ZONE}{there}")), [""; 0]);
}
