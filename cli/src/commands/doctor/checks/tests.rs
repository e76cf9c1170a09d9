use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use dns::name::Name;
use hickory_proto::op::ResponseCode;

use super::super::detour::server;
use super::super::finding::Level;
use super::super::observed::{
    Answer, Delegation, Host, KeyId, NoDelegation, Observed, Parent, Probe, Resolved, Server,
    Trouble,
};
use super::delegation;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(text: &str) -> SocketAddr {
    server(text).unwrap()
}

const GOOD: Answer = Answer {
    code: ResponseCode::NoError,
    authoritative: true,
    recursion: false,
    edns: true,
    serial: Some(7),
};

fn probe(host: &str, address: &str) -> Probe {
    Probe {
        names: vec![name(host)],
        at: at(address),
        udp: Ok(GOOD),
        plain: None,
        tcp: Ok(GOOD),
        ns: Some(names()),
        keys: Some(Vec::new()),
    }
}

fn names() -> BTreeSet<Name> {
    [name("ns1.a.example"), name("ns2.a.example")].into()
}

fn server_of(host: &str, address: &str) -> Server {
    let addresses: BTreeSet<IpAddr> = [ip(address)].into();
    Server { name: name(host), glue: addresses.clone(), resolved: Resolved::Addresses(addresses) }
}

fn said() -> Delegation {
    let glue: BTreeMap<Name, BTreeSet<IpAddr>> = [
        (name("ns1.a.example"), [ip("192.0.2.1")].into()),
        (name("ns2.a.example"), [ip("198.51.100.1")].into()),
    ]
    .into();
    Delegation { ns: names(), glue, ds: Some(Vec::new()), hidden: false }
}

fn host(address: &str) -> Host {
    Host { name: Some(name("p.example")), at: at(address) }
}

/// Everything as it should be, with two servers of the parent.
fn right() -> Observed {
    Observed {
        zone: name("a.example"),
        parent: Parent::Asked(vec![
            (host("203.0.113.1"), Ok(said())),
            (host("203.0.113.2"), Ok(said())),
        ]),
        servers: vec![
            server_of("ns1.a.example", "192.0.2.1"),
            server_of("ns2.a.example", "198.51.100.1"),
        ],
        probes: vec![probe("ns1.a.example", "192.0.2.1"), probe("ns2.a.example", "198.51.100.1")],
    }
}

/// What is not as it should be, as `level check: says`.
fn wrong(observed: &Observed) -> Vec<String> {
    let section = delegation(observed);
    let bad = section.findings.iter().filter(|finding| finding.level != Level::Ok);
    bad.map(|finding| format!("{:?} {}: {}", finding.level, finding.check, finding.says)).collect()
}

/// The one thing that is wrong after a change to what is right.
fn only(change: impl FnOnce(&mut Observed)) -> String {
    let mut observed = right();
    change(&mut observed);
    let mut wrong = wrong(&observed);
    assert_eq!(wrong.len(), 1, "{wrong:#?}");
    wrong.remove(0)
}

fn parent_says(observed: &mut Observed, which: usize) -> &mut Result<Delegation, NoDelegation> {
    match &mut observed.parent {
        Parent::Asked(asked) => &mut asked[which].1,
        _ => panic!("it was asked"),
    }
}

#[test]
fn nothing_is_wrong_with_what_is_right() {
    assert_eq!(wrong(&right()), [""; 0]);
    assert_eq!(delegation(&right()).findings.len(), 13, "every check says something");
}

#[test]
fn parents_that_are_silent_wrong_or_of_two_minds() {
    let silent = only(|seen| {
        *parent_says(seen, 0) = Err(NoDelegation::Trouble(Trouble::Silent));
    });
    let told = "delegation: the parent's server p.example. (203.0.113.1) says nothing: no answer";
    assert_eq!(silent, format!("Warn {told}"));
    let refused =
        only(|seen| *parent_says(seen, 0) = Err(NoDelegation::Code(ResponseCode::Refused)));
    assert!(refused.starts_with("Fail delegation: ") && refused.ends_with("REFUSED"), "{refused}");
    let denied =
        only(|seen| *parent_says(seen, 1) = Err(NoDelegation::Denied(ResponseCode::NXDomain)));
    assert!(denied.starts_with("Fail delegation: ") && denied.ends_with("NXDOMAIN"), "{denied}");
    let two_minds = only(|seen| {
        if let Ok(said) = parent_says(seen, 1) {
            said.glue.clear();
        }
    });
    assert!(two_minds.starts_with("Fail parents: p.example. (203.0.113.2) gives "), "{two_minds}");

    let mut hidden = right();
    for which in [0, 1] {
        if let Ok(said) = parent_says(&mut hidden, which) {
            (said.hidden, said.glue) = (true, BTreeMap::new());
        }
    }
    hidden.servers.iter_mut().for_each(|server| server.glue.clear());
    let told = wrong(&hidden);
    assert_eq!(told.len(), 2, "of each server of the parent, and no glue is missed: {told:#?}");
    assert!(told.iter().all(|told| told.starts_with("Warn delegation: ")), "{told:#?}");

    let mut unknown = right();
    unknown.parent = Parent::Unknown("nobody".to_owned());
    assert_eq!(
        wrong(&unknown),
        ["Fail delegation: the servers of the parent zone were not found: nobody"]
    );
    let mut root = right();
    (root.zone, root.parent) = (Name::root(), Parent::None);
    assert_eq!(wrong(&root), [""; 0]);
}

#[test]
fn names_that_are_no_hosts() {
    let alias = only(|seen| seen.servers[0].resolved = Resolved::Alias(name("b.example")));
    assert_eq!(alias, "Fail names: ns1.a.example. is an alias (CNAME) of b.example.");
    let nothing = only(|seen| seen.servers[0].resolved = Resolved::Nothing);
    assert_eq!(nothing, "Fail names: ns1.a.example. has no address");
    let unknown = only(|seen| seen.servers[0].resolved = Resolved::Unknown("why".to_owned()));
    assert_eq!(unknown, "Fail names: the addresses of ns1.a.example. cannot be found: why");
}

#[test]
fn glue_that_lacks_an_address() {
    let lacks = only(|seen| {
        let both = [ip("192.0.2.1"), ip("2001:db8::1")].into();
        seen.servers[0].resolved = Resolved::Addresses(both);
    });
    let told = "Fail glue: the parent does not know that ns1.a.example. is at 2001:db8::1 too";
    assert_eq!(lacks, told);
}

#[test]
fn servers_that_list_others() {
    let differs = only(|seen| {
        seen.probes[1].ns = Some([name("NS1.a.example"), name("ns2.a.example")].into());
        seen.probes[0].ns = Some([name("ns1.a.example"), name("ns2.A.example")].into());
        seen.probes[1].keys = None;
        seen.probes[0].udp = Err(Trouble::Closed);
        seen.probes[0].plain = Some(Ok(GOOD));
    });
    assert!(differs.starts_with("Fail edns: "), "case is no difference: {differs}");
    let mut seen = right();
    seen.probes[1].ns = Some([name("ns1.a.example")].into());
    let told = "Fail ns: ns2.a.example. (198.51.100.1) lists ns1.a.example., and ns1.a.example. \
                (192.0.2.1) lists ns1.a.example., ns2.a.example.";
    assert_eq!(wrong(&seen), [told]);
}

#[test]
fn addresses_that_are_dead_deaf_or_out_of_reach() {
    let dead = only(|seen| {
        let probe = &mut seen.probes[0];
        (probe.udp, probe.tcp) = (Err(Trouble::Silent), Err(Trouble::Silent));
        probe.plain = Some(Err(Trouble::Silent));
        (probe.ns, probe.keys) = (None, None);
    });
    assert_eq!(dead, "Fail answers: ns1.a.example. (192.0.2.1): no answer");
    let tcp_only = only(|seen| {
        seen.probes[0].udp = Err(Trouble::Silent);
        seen.probes[0].plain = Some(Err(Trouble::Silent));
    });
    assert!(tcp_only.contains("answers over TCP only"), "{tcp_only}");
    let deaf = only(|seen| seen.probes[0].tcp = Err(Trouble::Silent));
    assert_eq!(deaf, "Fail tcp: ns1.a.example. (192.0.2.1) does not answer over TCP: no answer");
    let unreachable = only(|seen| {
        let probe = &mut seen.probes[0];
        (probe.udp, probe.tcp) = (Err(Trouble::NoRoute), Err(Trouble::NoRoute));
        (probe.ns, probe.keys) = (None, None);
    });
    assert!(unreachable.starts_with("Warn answers: "), "{unreachable}");
}

#[test]
fn answers_that_are_no_answers() {
    let lame = |answer: Answer| {
        only(|seen| {
            let probe = &mut seen.probes[0];
            (probe.udp, probe.tcp, probe.ns, probe.keys) = (Ok(answer), Ok(answer), None, None);
        })
    };
    let refused = Answer { code: ResponseCode::Refused, authoritative: false, ..GOOD };
    assert!(lame(refused).ends_with("is lame: it answers REFUSED"));
    let cached = Answer { authoritative: false, ..GOOD };
    assert!(lame(cached).ends_with("is lame: it answers without authority"));
    let empty = Answer { serial: None, ..GOOD };
    assert!(lame(empty).ends_with("is lame: it has no SOA of the zone"));
}

#[test]
fn edns_that_is_dropped_refused_or_ignored() {
    let ignored = only(|seen| seen.probes[0].udp = Ok(Answer { edns: false, ..GOOD }));
    assert_eq!(ignored, "Warn edns: ns1.a.example. (192.0.2.1) ignores EDNS");
    let dropped = only(|seen| {
        seen.probes[0].udp = Err(Trouble::Silent);
        seen.probes[0].plain = Some(Ok(Answer { edns: false, ..GOOD }));
    });
    assert!(dropped.starts_with("Fail edns: ") && dropped.ends_with("with it: no answer"));
}

#[test]
fn keys_and_promises() {
    let key = |tag| KeyId { tag, algorithm: 13 };
    let mut seen = right();
    for which in [0, 1] {
        if let Ok(said) = parent_says(&mut seen, which) {
            said.ds = Some(vec![key(1)]);
        }
    }
    let unsigned = "Fail dnssec: the parent has a DS (key 1), and unsigned is ns1.a.example. \
                    (192.0.2.1), ns2.a.example. (198.51.100.1)";
    assert_eq!(wrong(&seen), [unsigned]);
    seen.probes[0].keys = Some(vec![key(1), key(2)]);
    seen.probes[1].keys = Some(vec![key(3)]);
    let other = "Fail dnssec: the parent's DS is for key 1, and ns2.a.example. (198.51.100.1) has \
                 key 3";
    assert_eq!(wrong(&seen), [other]);
    seen.probes[1].keys = Some(vec![key(1)]);
    assert_eq!(wrong(&seen), [""; 0]);
    let unpromised = only(|seen| seen.probes[0].keys = Some(vec![key(1)]));
    assert!(unpromised.starts_with("Warn dnssec: the zone has keys"), "{unpromised}");
}

#[test]
fn servers_at_one_place() {
    let one_address = only(|seen| {
        seen.probes.truncate(1);
        seen.probes[0].names = names().into_iter().collect();
    });
    assert_eq!(one_address, "Warn spread: all servers are at one address: 192.0.2.1");
    let one_network = only(|seen| seen.probes[1].at = at("192.0.2.254"));
    assert_eq!(one_network, "Warn spread: all servers are in one network: 192.0.2.0/24");
    let one_v6 = only(|seen| {
        seen.probes[0].at = at("2001:db8:1::1");
        seen.probes[1].at = at("2001:db8:1:2::1");
    });
    assert_eq!(one_v6, "Warn spread: all servers are in one network: 2001:db8:1::/48");
}
