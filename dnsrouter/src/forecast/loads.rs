//! How full regions would be: what pings measure now, moved as the clients move.

use super::{Flow, Outcome, Pair, Whither};
use crate::balance::seen;
use crate::plan::Snapshot;
use crate::policy::Policy;

/// One region's requests per second of one service.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Which.
    pub region: String,
    /// What it is good for, as it would be; none: not known of all of its endpoints.
    pub capacity: Option<f64>,
    /// As measured; none: pings do not tell it of all of its endpoints.
    pub before: Option<f64>,
    /// As expected; none: some of those who would come are not measured.
    pub after: Option<f64>,
}

/// Of every region of `outcome`, in its order. A region's measured requests go where its clients go.
pub fn loads(pair: Pair<'_>, before: &Snapshot, after: &Snapshot, outcome: &Outcome) -> Vec<Load> {
    let rate = |whither: &Whither| match whither {
        Whither::Region(region) => total(pair.before, before, region, |seen| seen.rate),
        _ => None,
    };
    let shares = &outcome.shares;
    let share = |whither: &Whither| {
        shares.iter().find(|(known, _)| known == whither).map_or(0.0, |(_, share)| share[0])
    };
    let leaving = |whither: &Whither| -> f64 {
        outcome.flows.iter().filter(|flow| flow.from == *whither).map(|flow| flow.share).sum()
    };
    let coming = |flow: &Flow| {
        let from = share(&flow.from);
        Some(rate(&flow.from)? * flow.share / from).filter(|_| from > 0.0)
    };
    let regions = shares.iter().filter_map(|(whither, share)| match whither {
        Whither::Region(region) => Some((whither, region, share)),
        _ => None,
    });
    regions
        .map(|(whither, region, [there, then])| {
            let measured = rate(whither);
            let stays = match *there > 0.0 {
                true => measured.map(|rate| rate * (1.0 - leaving(whither) / there).max(0.0)),
                // Nobody is sent there now, so whoever comes does so for another reason.
                false => measured.or(Some(0.0)),
            };
            let mut flows = outcome.flows.iter().filter(|flow| flow.to == *whither);
            let comes = flows.try_fold(0.0, |sum, flow| Some(sum + coming(flow)?));
            let expected = stays.zip(comes).map(|(stays, comes)| stays + comes);
            Load {
                region: region.clone(),
                capacity: total(pair.after, after, region, |seen| seen.capacity),
                before: measured,
                after: if *then > 0.0 { expected } else { expected.or(Some(0.0)) },
            }
        })
        .collect()
}

/// The sum over a service's endpoints in a region; none: there are none, or one does not tell.
fn total(
    policy: Option<&Policy>,
    snapshot: &Snapshot,
    region: &str,
    figure: impl Fn(&crate::balance::spill::Seen) -> Option<f64>,
) -> Option<f64> {
    let (policy, services) = (policy?, &snapshot.inputs.services);
    let there = (0..policy.endpoints()).filter(|endpoint| {
        services.locations[usize::from(policy.location(*endpoint))].region == region
    });
    let figures = there.map(|e| figure(&seen::look(policy, e, services, &snapshot.health)));
    figures.reduce(|sum, next| Some(sum? + next?)).flatten()
}
