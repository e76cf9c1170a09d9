//! The names of the servers: the same on both sides, with addresses, and with the right glue.

use std::collections::BTreeSet;

use dns::name::Name;

use super::super::finding::Finding;
use super::super::observed::{Observed, Probe, Resolved, Server, listed};

/// Parent and zone list the same servers (RFC 1034 §4.2.2).
pub(super) fn same_set(observed: &Observed) -> Vec<Finding> {
    const CHECK: &str = "ns";
    let said: Vec<(&Probe, &BTreeSet<Name>)> =
        observed.probes.iter().filter_map(|probe| Some((probe, probe.ns.as_ref()?))).collect();
    let [(first, reference), others @ ..] = said.as_slice() else { return Vec::new() };
    let mut findings = Vec::new();
    for (probe, names) in others.iter().filter(|(_, names)| names != reference) {
        findings.push(Finding::fail(
            CHECK,
            format!("{probe} lists {}, and {first} lists {}", listed(*names), listed(*reference)),
            "the servers have different versions of the zone: check transfers and reloads",
        ));
    }
    let zone: BTreeSet<&Name> = said.iter().flat_map(|(_, names)| *names).collect();
    let Some(parent) = observed.parent.ns() else { return findings };
    for name in parent.iter().filter(|name| !zone.contains(name)) {
        findings.push(Finding::fail(
            CHECK,
            format!("the parent delegates to {name}, which the zone does not list"),
            format!("add it to the NS of {}, or have it removed from the parent", observed.zone),
        ));
    }
    for name in zone.iter().filter(|name| !parent.contains(name)) {
        findings.push(Finding::fail(
            CHECK,
            format!("the zone lists {name}, to which the parent does not delegate"),
            format!("have it added at the parent, or remove it from the NS of {}", observed.zone),
        ));
    }
    match findings.is_empty() {
        true => vec![Finding::ok(CHECK, "the parent and every server list the same")],
        false => findings,
    }
}

/// Every name is a host's (RFC 2181 §10.3).
pub(super) fn addresses(observed: &Observed) -> Vec<Finding> {
    const CHECK: &str = "names";
    let wrong = observed.servers.iter().filter_map(|server| {
        let Server { name, resolved, .. } = server;
        Some(match resolved {
            Resolved::Addresses(_) => return None,
            Resolved::Alias(target) => Finding::fail(
                CHECK,
                format!("{name} is an alias (CNAME) of {target}"),
                "name the host itself in the NS: resolvers follow no alias here",
            ),
            Resolved::Nothing => Finding::fail(
                CHECK,
                format!("{name} has no address"),
                "add its A or AAAA record, or take it out of the NS",
            ),
            Resolved::Unknown(why) => Finding::fail(
                CHECK,
                format!("the addresses of {name} cannot be found: {why}"),
                "is its zone served? resolvers cannot find it either, unless glue helps them",
            ),
        })
    });
    let wrong: Vec<Finding> = wrong.collect();
    match (wrong.is_empty(), observed.servers.as_slice()) {
        (false, _) => wrong,
        (true, []) => Vec::new(),
        (true, servers) => {
            let told = listed(servers.iter().map(|server| match &server.resolved {
                Resolved::Addresses(addresses) => {
                    format!("{} at {}", server.name, listed(addresses))
                }
                _ => server.name.to_string(),
            }));
            vec![Finding::ok(CHECK, told)]
        }
    }
}

/// Names inside the zone have glue, and all glue is what the names' own zones say (RFC 9471,
/// RFC 1034 §4.2.1).
pub(super) fn glue(observed: &Observed) -> Vec<Finding> {
    const CHECK: &str = "glue";
    let mut visible = observed.parent.delegations().filter(|(_, said)| !said.hidden);
    let Some(delegated) = observed.parent.ns().filter(|_| visible.next().is_some()) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let mut right = Vec::new();
    for Server { name, glue, resolved, .. } in &observed.servers {
        let inside = name.is_subdomain_of(&observed.zone);
        // A name that nobody knows has been told as such.
        let unknown = *resolved == Resolved::Nothing;
        if !delegated.contains(name) || (glue.is_empty() && (!inside || unknown)) {
            continue;
        }
        if glue.is_empty() {
            findings.push(Finding::fail(
                CHECK,
                format!("the parent has no address of {name}, which is inside the zone"),
                "have its A or AAAA records added at the parent: the way to it begins there",
            ));
            continue;
        }
        let Resolved::Addresses(addresses) = resolved else { continue };
        let (wrong, missing) = (glue - addresses, addresses - glue);
        if !wrong.is_empty() {
            findings.push(Finding::fail(
                CHECK,
                format!(
                    "the parent says {name} is at {}, and its zone says {}",
                    listed(&wrong),
                    listed(addresses)
                ),
                "have the glue corrected at the parent, or the address in the zone",
            ));
        } else if !missing.is_empty() {
            findings.push(Finding::fail(
                CHECK,
                format!("the parent does not know that {name} is at {} too", listed(&missing)),
                "have the address added at the parent, or removed from the zone",
            ));
        } else {
            right.push(name);
        }
    }
    if findings.is_empty() {
        findings.push(match right.is_empty() {
            true => Finding::ok(CHECK, "none needed: no server's name is inside the zone"),
            false => Finding::ok(CHECK, format!("right for {}", listed(right))),
        });
    }
    findings
}
