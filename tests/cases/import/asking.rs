//! Questions with client subnets, and what may be said about their answers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hickory_proto::rr::RecordType;
use ipnet::{IpNet, Ipv4Net};
use tests::query::{Ask as Query, Reply};

use super::case::{Ask, Case, Share};

/// Questions of one share.
const DRAWS: u32 = 1000;

/// Standard deviations that a share may be off: once in some hundred million.
const DEVIATIONS: f64 = 6.0;

/// Asks `server` everything; all that is wrong is told at once.
pub(crate) fn all(case: &Case, server: SocketAddr, expected: fn(&Ask) -> &Vec<String>) {
    let mut wrong: Vec<String> = Vec::new();
    for ask in &case.ask {
        let reply = query(server, &ask.name, &ask.rtype, ask.subnet).expect();
        if let Some(why) = judge(ask, expected(ask), &reply) {
            wrong.push(format!(
                "{} {} for {}: {why}\n    {}",
                ask.name, ask.rtype, ask.subnet, ask.section
            ));
        }
    }
    for share in &case.share {
        wrong.extend(drawn(share, server));
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), case.name, wrong.join("\n"));
}

fn judge(ask: &Ask, expected: &[String], reply: &Reply) -> Option<String> {
    let rcode = reply.rcode().to_string();
    if rcode != ask.rcode {
        return Some(format!("{rcode}, not {}", ask.rcode));
    }
    let mut expected = expected.to_vec();
    expected.sort();
    let found = records(reply, &ask.rtype);
    let right = match ask.count {
        Some(count) => found.len() == count && found.iter().all(|one| expected.contains(one)),
        None => found == expected,
    };
    if !right {
        return Some(format!("{found:?}, not {expected:?}"));
    }
    let ttl = reply.message.answers.first().map(|record| record.ttl);
    match (ttl, ask.ttl) {
        (Some(ttl), Some(expected)) if ttl != expected => {
            Some(format!("TTL {ttl}, not {expected}"))
        }
        _ => None,
    }
}

/// What of a share is off.
fn drawn(share: &Share, server: SocketAddr) -> Option<String> {
    let mut counts = std::collections::BTreeMap::new();
    for draw in 0..DRAWS {
        let reply = query(server, &share.name, &share.rtype, nth(share.subnets, draw)).expect();
        for record in records(&reply, &share.rtype) {
            *counts.entry(record).or_insert(0_u32) += 1;
        }
    }
    let strangers: Vec<&String> =
        counts.keys().filter(|record| !share.shares.contains_key(*record)).collect();
    let draws = f64::from(DRAWS);
    let off = share.shares.iter().find_map(|(record, p)| {
        let found = f64::from(counts.get(record).copied().unwrap_or(0));
        let allowed = DEVIATIONS * (draws * p * (1.0 - p)).sqrt() + 0.5;
        ((found - draws * p).abs() > allowed).then(|| format!("{record} {found} times of {draws}"))
    });
    let why = match (strangers.first(), off) {
        (Some(stranger), _) => format!("{stranger} is among the answers"),
        (None, Some(off)) => off,
        (None, None) => return None,
    };
    Some(format!(
        "{} {}: {why}, not {:?}\n    {}",
        share.name, share.rtype, share.shares, share.section
    ))
}

fn query(server: SocketAddr, name: &str, rtype: &str, subnet: Ipv4Net) -> Query {
    let rtype: RecordType = rtype.parse().expect("a record type");
    Query::new(server, &format!("{name}."), rtype).subnet(IpNet::V4(subnet))
}

/// The `n`th /24 of a network, scattered over it.
fn nth(network: Ipv4Net, n: u32) -> Ipv4Net {
    let blocks = 1_u32 << (24 - network.prefix_len());
    // Odd, so that no block comes twice before all have come.
    let block = n.wrapping_mul(2_654_435_761) % blocks;
    let address = Ipv4Addr::from(u32::from(network.network()) + (block << 8));
    Ipv4Net::new(address, 24).expect("a prefix length")
}

/// The records of this type in the answer section, as texts, sorted.
fn records(reply: &Reply, rtype: &str) -> Vec<String> {
    let of = reply.message.answers.iter().filter(|r| r.record_type().to_string() == rtype);
    let mut texts: Vec<String> = of
        .map(|record| {
            let text = record.data.to_string();
            text.parse::<IpAddr>().map_or(text, |address| address.to_string())
        })
        .collect();
    texts.sort();
    texts
}
