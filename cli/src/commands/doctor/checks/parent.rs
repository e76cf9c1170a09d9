//! What the parent says: that there is a delegation, the same everywhere, and signed only if the
//! zone is.

use std::collections::BTreeSet;

use super::super::finding::Finding;
use super::super::observed::{Delegation, KeyId, NoDelegation, Observed, Parent, Probe, listed};
use crate::dns::text;

/// The parent delegates the zone.
pub(super) fn delegation(observed: &Observed) -> Vec<Finding> {
    const CHECK: &str = "delegation";
    let zone = &observed.zone;
    let asked = match &observed.parent {
        Parent::None => return vec![Finding::ok(CHECK, "the root is delegated by nobody")],
        Parent::Unknown(why) => {
            return vec![Finding::fail(
                CHECK,
                format!("the servers of the parent zone were not found: {why}"),
                "name one with --parent, or where to begin with --root or --resolver",
            )];
        }
        Parent::Asked(asked) => asked,
    };
    let mut findings = Vec::new();
    for (host, said) in asked {
        findings.extend(match said {
            Ok(delegation) if delegation.hidden => Some(Finding::warn(
                CHECK,
                format!("{host} serves {zone} too: what the parent zone says is hidden behind it"),
                "compare the NS and their addresses in the parent's file with the zone's by hand",
            )),
            Ok(_) => None,
            Err(NoDelegation::Trouble(trouble)) => {
                let says = format!("the parent's server {host} says nothing: {trouble}");
                let todo = "ask who runs the parent; resolvers use its other servers meanwhile";
                // With another one that answers the zone is found all the same.
                Some(match observed.parent.ns() {
                    Some(_) => Finding::warn(CHECK, says, todo),
                    None => Finding::fail(CHECK, says, "is it the right address? see --parent"),
                })
            }
            Err(NoDelegation::Code(code)) => Some(Finding::fail(
                CHECK,
                format!("the parent's server {host} answers {}", text::response_code(*code)),
                "it does not serve the parent zone: ask who runs the parent",
            )),
            Err(NoDelegation::Denied(code)) => Some(Finding::fail(
                CHECK,
                format!("{host} knows no delegation of {zone}: {}", text::response_code(*code)),
                format!("add the NS records of {zone} to the parent zone"),
            )),
        });
    }
    if let Some(names) = observed.parent.ns().filter(|_| findings.is_empty()) {
        let hosts = listed(observed.parent.delegations().map(|(host, _)| host));
        findings.push(Finding::ok(CHECK, format!("to {} (says {hosts})", listed(names))));
    }
    findings
}

/// All of the parent's servers say the same.
pub(super) fn agreement(observed: &Observed) -> Vec<Finding> {
    const CHECK: &str = "parents";
    let visible: Vec<_> =
        observed.parent.delegations().filter(|(_, delegation)| !delegation.hidden).collect();
    let [(first, reference), others @ ..] = visible.as_slice() else { return Vec::new() };
    if others.is_empty() {
        return Vec::new();
    }
    let differs = |other: &Delegation| {
        (&other.ns, &other.glue, &other.ds) != (&reference.ns, &reference.glue, &reference.ds)
    };
    let findings: Vec<Finding> = others
        .iter()
        .filter(|(_, delegation)| differs(delegation))
        .map(|(host, delegation)| {
            Finding::fail(
                CHECK,
                format!(
                    "{host} gives {}, and {first} gives {}",
                    shown(delegation),
                    shown(reference)
                ),
                "the parent's servers have different versions: ask who runs them, or wait",
            )
        })
        .collect();
    match findings.is_empty() {
        true => vec![Finding::ok(CHECK, format!("all {} give the same", visible.len()))],
        false => findings,
    }
}

fn shown(delegation: &Delegation) -> String {
    let glue =
        delegation.glue.iter().map(|(name, addresses)| format!("{name} at {}", listed(addresses)));
    let glue: Vec<String> = glue.collect();
    match (glue.is_empty(), delegation.ds.as_deref()) {
        (true, Some([]) | None) => listed(&delegation.ns),
        (false, Some([]) | None) => {
            format!("{} (glue: {})", listed(&delegation.ns), glue.join("; "))
        }
        (_, Some(ds)) => {
            format!("{} (glue: {}; {} DS)", listed(&delegation.ns), glue.join("; "), ds.len())
        }
    }
}

/// A DS record at the parent promises signatures (RFC 4035 §5.2): without them every validating
/// resolver says SERVFAIL.
pub(super) fn signing(observed: &Observed) -> Vec<Finding> {
    const CHECK: &str = "dnssec";
    let promised: Vec<&Vec<KeyId>> = observed
        .parent
        .delegations()
        .filter_map(|(_, delegation)| delegation.ds.as_ref())
        .collect();
    if promised.is_empty() {
        return Vec::new();
    }
    let ds: BTreeSet<KeyId> = promised.into_iter().flatten().copied().collect();
    let tags = listed(ds.iter().map(|ds| ds.tag));
    let mut findings = Vec::new();
    let asked = || observed.probes.iter().filter_map(|probe| Some((probe, probe.keys.as_ref()?)));
    let unsigned: Vec<&Probe> =
        asked().filter(|(_, keys)| keys.is_empty()).map(|(probe, _)| probe).collect();
    if !ds.is_empty() && !unsigned.is_empty() {
        findings.push(Finding::fail(
            CHECK,
            format!("the parent has a DS (key {tags}), and unsigned is {}", listed(&unsigned)),
            "remove the DS from the parent, or sign the zone: validating resolvers answer \
             SERVFAIL for all of it",
        ));
    }
    for (probe, keys) in asked().filter(|(_, keys)| !keys.is_empty()) {
        if !ds.is_empty() && !keys.iter().any(|key| ds.contains(key)) {
            let have = listed(keys.iter().map(|key| key.tag));
            findings.push(Finding::fail(
                CHECK,
                format!("the parent's DS is for key {tags}, and {probe} has key {have}"),
                "give the parent the DS of a key that the zone has",
            ));
        }
    }
    if !findings.is_empty() || asked().next().is_none() {
        return findings;
    }
    let signed = asked().any(|(_, keys)| !keys.is_empty());
    vec![match (ds.is_empty(), signed) {
        (true, true) => Finding::warn(
            CHECK,
            "the zone has keys, and the parent no DS: nobody validates it",
            "give the parent the DS of the key that signs the keys",
        ),
        (true, false) => Finding::ok(CHECK, "unsigned, and the parent has no DS"),
        (false, _) => {
            Finding::ok(CHECK, format!("the parent's DS is for a key of the zone ({tags})"))
        }
    }]
}
