//! What must hold of a delegation, each as a function of what was seen. Pure.
//!
//! A check that finds nothing wrong says so in one line; what is wrong is said of each culprit,
//! once: a dead server is no slow one too.

mod names;
mod parent;
mod servers;

use super::finding::{Finding, Section};
use super::observed::Observed;

/// The checks, in the order they are told: from the parent down.
const CHECKS: [fn(&Observed) -> Vec<Finding>; 13] = [
    parent::delegation,
    parent::agreement,
    names::same_set,
    names::addresses,
    names::glue,
    servers::answers,
    servers::authority,
    servers::tcp,
    servers::edns,
    servers::recursion,
    servers::serial,
    parent::signing,
    servers::spread,
];

/// Everything there is to say about one zone.
pub(super) fn delegation(observed: &Observed) -> Section {
    let findings = CHECKS.iter().flat_map(|check| check(observed)).collect();
    Section { about: observed.zone.to_string(), findings }
}

#[cfg(test)]
mod tests;
