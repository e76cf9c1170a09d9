//! What each address answers: at all, with authority, over TCP, with EDNS, the same serial, and
//! not all from one place.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hickory_proto::op::ResponseCode;

use super::super::finding::Finding;
use super::super::observed::{Answer, Observed, Probe, Trouble, listed};
use crate::dns::text;

/// Every address answers over UDP.
pub(super) fn answers(observed: &Observed) -> Vec<Finding> {
    const CHECK: &str = "answers";
    let wrong = |probe: &Probe| match (&probe.udp, &probe.plain) {
        (Ok(_), _) | (_, Some(Ok(_))) => None,
        _ if probe.is_out_of_reach() => Some(Finding::warn(
            CHECK,
            format!("{probe} was not asked: {}", Trouble::NoRoute),
            "run this from a machine that has IPv4 and IPv6",
        )),
        (Err(trouble), _) if probe.tcp.is_ok() => Some(Finding::fail(
            CHECK,
            format!("{probe} answers over TCP only; over UDP: {trouble}"),
            "let UDP through to port 53: every query comes that way first",
        )),
        (Err(trouble), _) => Some(Finding::fail(
            CHECK,
            format!("{probe}: {trouble}"),
            "start the server, let port 53 through, or take the address out of the delegation",
        )),
    };
    each(CHECK, &observed.probes, wrong, |probe| probe.answer().is_some(), "over UDP")
}

/// Every address that answers does so as the zone's server: the others are lame.
pub(super) fn authority(observed: &Observed) -> Vec<Finding> {
    const CHECK: &str = "authority";
    let wrong = |probe: &Probe| {
        let answer = probe.answer().filter(|answer| !answer.is_authoritative())?;
        let seen = match answer {
            Answer { code, .. } if *code != ResponseCode::NoError => {
                format!("answers {}", text::response_code(*code))
            }
            Answer { authoritative: false, .. } => "answers without authority".to_owned(),
            _ => "has no SOA of the zone".to_owned(),
        };
        Some(Finding::fail(
            CHECK,
            format!("{probe} is lame: it {seen}"),
            format!("load {} there, or take it out of the delegation", observed.zone),
        ))
    };
    each(CHECK, &observed.probes, wrong, Probe::is_authoritative, "with authority")
}

/// Every address that answers does so over TCP too (RFC 7766 §5).
pub(super) fn tcp(observed: &Observed) -> Vec<Finding> {
    const CHECK: &str = "tcp";
    let wrong = |probe: &Probe| {
        probe.answer()?;
        let trouble = probe.tcp.as_ref().err()?;
        Some(Finding::fail(
            CHECK,
            format!("{probe} does not answer over TCP: {trouble}"),
            "let TCP through to port 53: large and truncated answers need it",
        ))
    };
    each(CHECK, &observed.probes, wrong, |probe| probe.tcp.is_ok(), "over TCP")
}

/// Every address that answers understands EDNS (RFC 6891 §7).
pub(super) fn edns(observed: &Observed) -> Vec<Finding> {
    const CHECK: &str = "edns";
    let wrong = |probe: &Probe| {
        let without = probe
            .plain
            .iter()
            .any(|plain| matches!(plain, Ok(answer) if answer.code != ResponseCode::FormErr));
        let seen = match &probe.udp {
            Ok(answer) if without && answer.code != ResponseCode::ServFail => {
                format!("answers {}", text::response_code(answer.code))
            }
            Ok(answer) if !answer.edns => {
                return Some(Finding::warn(
                    CHECK,
                    format!("{probe} ignores EDNS"),
                    "no answer over 512 octets, and no DNSSEC, fits over UDP: renew the server",
                ));
            }
            Err(trouble) if without => trouble.to_string(),
            _ => return None,
        };
        Some(Finding::fail(
            CHECK,
            format!("{probe} answers queries without EDNS only; with it: {seen}"),
            "renew the server, or the firewall before it: resolvers send EDNS always",
        ))
    };
    let right = |probe: &Probe| probe.udp.as_ref().is_ok_and(|answer| answer.edns);
    each(CHECK, &observed.probes, wrong, right, "with EDNS")
}

/// No address offers recursion: who resolves for strangers is used in attacks (RFC 5358).
pub(super) fn recursion(observed: &Observed) -> Vec<Finding> {
    const CHECK: &str = "recursion";
    let wrong = |probe: &Probe| {
        let offers = probe.answer()?.recursion;
        offers.then(|| {
            Finding::warn(
                CHECK,
                format!("{probe} offers recursion"),
                "switch it off for strangers, or serve zones and resolve on different addresses",
            )
        })
    };
    let right = |probe: &Probe| probe.answer().is_some_and(|answer| !answer.recursion);
    each(CHECK, &observed.probes, wrong, right, "without offering recursion")
}

/// Every server has the same version of the zone.
pub(super) fn serial(observed: &Observed) -> Vec<Finding> {
    const CHECK: &str = "serial";
    let mut by_serial = BTreeMap::<u32, Vec<&Probe>>::new();
    for probe in &observed.probes {
        let answer = probe.answer().filter(|answer| answer.is_authoritative());
        if let Some(serial) = answer.and_then(|answer| answer.serial) {
            by_serial.entry(serial).or_default().push(probe);
        }
    }
    match by_serial.len() {
        0 => Vec::new(),
        1 => by_serial
            .keys()
            .map(|serial| Finding::ok(CHECK, format!("{serial} everywhere")))
            .collect(),
        _ => {
            let each = by_serial
                .iter()
                .map(|(serial, probes)| format!("{serial} at {}", listed(probes)))
                .collect::<Vec<_>>();
            vec![Finding::fail(
                CHECK,
                format!("versions differ: {}", each.join("; ")),
                "wait a moment and ask again; if it stays, check transfers and reloads",
            )]
        }
    }
}

/// The servers do not fail all at once (RFC 2182 §3).
pub(super) fn spread(observed: &Observed) -> Vec<Finding> {
    const CHECK: &str = "spread";
    let named = || observed.probes.iter().filter(|probe| !probe.names.is_empty());
    let names: BTreeSet<_> = named().flat_map(|probe| &probe.names).collect();
    let addresses: BTreeSet<IpAddr> = named().map(|probe| probe.at.ip()).collect();
    let networks: BTreeSet<String> = addresses.iter().copied().map(network).collect();
    let todo = "put a second server at another place and in another network";
    let says = match (names.len(), addresses.len(), networks.len()) {
        (0, ..) | (_, 0, _) => return Vec::new(),
        (1, 1, _) => "there is one server with one address".to_owned(),
        (_, 1, _) => format!("all servers are at one address: {}", listed(addresses)),
        (_, _, 1) => format!("all servers are in one network: {}", listed(networks)),
        (1, ..) => "there is one server".to_owned(),
        (servers, _, networks) => {
            let told = format!("{servers} servers in {networks} networks");
            return vec![Finding::ok(CHECK, told)];
        }
    };
    vec![Finding::warn(CHECK, says, todo)]
}

/// The /24 or /48 of an address: what usually shares a fate.
fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}

/// What is wrong with each, or one line about all that are right.
fn each(
    check: &'static str,
    probes: &[Probe],
    wrong: impl Fn(&Probe) -> Option<Finding>,
    right: impl Fn(&Probe) -> bool,
    how: &str,
) -> Vec<Finding> {
    let findings: Vec<Finding> = probes.iter().filter_map(wrong).collect();
    let right = probes.iter().filter(|probe| right(probe)).count();
    match (findings.is_empty(), right) {
        (false, _) => findings,
        (true, 0) => Vec::new(),
        (true, 1) => vec![Finding::ok(check, format!("the one address answers {how}"))],
        (true, many) => vec![Finding::ok(check, format!("all {many} addresses answer {how}"))],
    }
}
