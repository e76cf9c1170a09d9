//! Picks: who comes first in each group, by a draw.
//!
//! # By inclusion
//!
//! Order inside an RRset means nothing to resolvers, so a weight is the share of answers that an
//! endpoint is *in*. For one of a group that is a weighted draw; for several, a second draw among
//! the rest would include heavy endpoints too seldom (with weights 3, 1, 1, 1 and two to be
//! drawn, the first would be in 80 % of the answers, not in all). So the group in which the cut
//! falls is sampled systematically:
//!
//! ```text
//!   to be drawn: 2, total weight 5      |---a---|-------b-------|---c---|---d---|   weights 1 2 1 1
//!   a ruler with a mark every 5/2            ^                   ^                  begins by the draw
//!   included: a, c
//! ```
//!
//! Nobody longer than the ruler's step can be missed, and such are taken first. Each other one is
//! hit in proportion to its length (Madow 1949); the order along the ruler is drawn as well, so that
//! neighbours in the configuration are not always taken apart (Goodman & Kish 1950).

use arrayvec::ArrayVec;

use super::hash::mix;
use super::order::{Candidate, Candidates, regroup};
use crate::service::MAX_ENDPOINTS;

/// What a pick knows of a candidate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weighed {
    /// Identity for draws.
    pub(super) id: u64,
    /// 0: only when nothing else is left.
    pub(super) weight: u32,
    /// Of its turns, so many in 65,535 are its own; in the others the next steps in.
    pub(super) share: u16,
}

/// A candidate with its draw.
#[derive(Debug, Clone, Copy)]
struct Drawn {
    candidate: Candidate,
    weight: u32,
    score: f64,
}

type AllDrawn = ArrayVec<Drawn, MAX_ENDPOINTS>;

/// Orders each group by a weighted draw. Of the first `cut` of all, those of a group that is cut
/// through are sampled by inclusion; 0: nothing is cut.
pub(super) fn weighted(
    candidates: &mut Candidates,
    draw: u64,
    cut: usize,
    weigh: impl Fn(&Candidate) -> Weighed,
) {
    let mut drawn: AllDrawn = candidates
        .iter()
        .map(|candidate| {
            let Weighed { id, weight, .. } = weigh(candidate);
            Drawn { candidate: *candidate, weight, score: weighted_score(draw, id, weight) }
        })
        .collect();
    drawn.sort_unstable_by(|a, b| {
        last_resort(a)
            .cmp(&last_resort(b))
            .then_with(|| b.score.total_cmp(&a.score))
            .then_with(|| a.candidate.endpoint.cmp(&b.candidate.endpoint))
    });
    let mut start = 0;
    for run in drawn.chunk_by_mut(|a, b| last_resort(a) == last_resort(b)) {
        let wanted = cut.saturating_sub(start);
        start += run.len();
        if wanted > 1 && wanted < run.len() {
            include(run, wanted, mix(draw ^ RULER));
        }
    }
    candidates.clear();
    candidates.extend(drawn.into_iter().map(|drawn| drawn.candidate));
    regroup(candidates, |_, _| false);
}

/// How probably [`weighted`] has each candidate among the first `first`, when it was told to cut
/// there or `first` is 1: in the order given.
pub(super) fn inclusion(
    candidates: &[Candidate],
    first: usize,
    weigh: impl Fn(&Candidate) -> Weighed,
) -> ArrayVec<f64, MAX_ENDPOINTS> {
    let mut runs: ArrayVec<(bool, u8), MAX_ENDPOINTS> = ArrayVec::new();
    let resort = |candidate: &Candidate| (weigh(candidate).weight == 0, candidate.group);
    runs.extend(candidates.iter().map(resort));
    let mut included: ArrayVec<f64, MAX_ENDPOINTS> = candidates.iter().map(|_| 0.0).collect();
    let (mut order, mut left) = (runs.clone(), first);
    order.sort_unstable();
    for run in order.chunk_by(|a, b| a == b) {
        let members = (0..candidates.len()).filter(|at| runs[*at] == run[0]);
        let weights = members.map(|at| (at, weigh(&candidates[at]).weight.max(1)));
        in_proportion(weights.collect(), left.min(run.len()), &mut included);
        left = left.saturating_sub(run.len());
    }
    included
}

/// `wanted` of some candidates, each with its weight: by their shares, and surely where that makes
/// 1 or more.
fn in_proportion(
    mut weights: ArrayVec<(usize, u32), MAX_ENDPOINTS>,
    mut wanted: usize,
    included: &mut [f64],
) {
    let mut total: u64 = weights.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let surely = |(_, weight): &(usize, u32), wanted: usize, total: u64| {
        u64::from(*weight) * wanted as u64 >= total
    };
    while let Some(at) = weights.iter().position(|one| wanted > 0 && surely(one, wanted, total)) {
        let (at, weight) = weights.swap_remove(at);
        included[at] = 1.0;
        total -= u64::from(weight);
        wanted -= 1;
    }
    for (at, weight) in weights {
        #[expect(clippy::cast_precision_loss, reason = "sums of 128 weights of 32 bits")]
        let share = wanted as f64 * f64::from(weight) / total as f64;
        included[at] = share;
    }
}

/// How probably [`round_robin`] has each candidate among the first `first`, if all step in when it
/// is their turn; none: some pass.
pub(super) fn turns(
    candidates: &[Candidate],
    first: usize,
    weigh: impl Fn(&Candidate) -> Weighed,
) -> Option<ArrayVec<f64, MAX_ENDPOINTS>> {
    let everybody = candidates.iter().all(|candidate| weigh(candidate).share == u16::MAX);
    let alike = |candidate: &Candidate| {
        let Weighed { id, weight, share } = weigh(candidate);
        Weighed { id, weight: weight.min(1), share }
    };
    everybody.then(|| inclusion(candidates, first, alike))
}

/// Gives each group's candidates their turn, as written, from the `turn`th on.
pub(super) fn round_robin(
    candidates: &mut Candidates,
    turn: u64,
    weigh: impl Fn(&Candidate) -> Weighed,
) {
    let resort = |c: &Candidate| (weigh(c).weight == 0, c.group);
    candidates.sort_unstable_by_key(|c| (resort(c), c.endpoint));
    for run in candidates.chunk_by_mut(|a, b| resort(a) == resort(b)) {
        #[expect(clippy::cast_possible_truncation, reason = "less than the run's length")]
        run.rotate_left((turn % run.len() as u64) as usize);
        let passes = |candidate: &Candidate| {
            let Weighed { id, share, .. } = weigh(candidate);
            #[expect(clippy::cast_possible_truncation, reason = "16 bits of a hash")]
            let draw = mix(turn ^ id) as u16;
            draw > share
        };
        if let Some(steps_in) = run.iter().position(|candidate| !passes(candidate)) {
            run[..=steps_in].rotate_right(1);
        }
    }
    regroup(candidates, |_, _| false);
}

/// Whether it is behind all others, and its group.
fn last_resort(drawn: &Drawn) -> (bool, u8) {
    (drawn.weight == 0, drawn.candidate.group)
}

/// The score of one endpoint in a weighted draw; the highest comes first.
///
/// `ln(u) / w` with `u` uniform in (0, 1) makes each endpoint come first with probability
/// w / Σw, and the rest follow as in a draw without replacement (Efraimidis & Spirakis 2006,
/// "Weighted random sampling with a reservoir"). With `u` a hash of client and endpoint it is also
/// weighted rendezvous hashing: a change of one endpoint moves only its own share.
fn weighted_score(draw: u64, endpoint: u64, weight: u32) -> f64 {
    let bits = mix(draw ^ endpoint);
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let uniform = ((bits >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    uniform.ln() / f64::from(weight.max(1))
}

/// Keeps the ruler's start apart from the scores of the same draw.
const RULER: u64 = 0x7275_6c65_7200_0001;

/// Brings `wanted` of a group to its front, each included with probability `wanted` × its share of
/// the weight, or surely if that is 1 or more; see the module docs. Weights of 0 count as 1: where
/// they are, they are all.
fn include(run: &mut [Drawn], wanted: usize, draw: u64) {
    let weight = |drawn: &Drawn| u64::from(drawn.weight.max(1));
    let mut total: u64 = run.iter().map(weight).sum();
    let mut wanted = wanted as u64;
    let mut included = [false; MAX_ENDPOINTS];
    // Whoever is taken surely shortens the ruler's step for the rest.
    while let Some(at) = (0..run.len())
        .find(|at| wanted > 0 && !included[*at] && weight(&run[*at]) * wanted >= total)
    {
        included[at] = true;
        total -= weight(&run[at]);
        wanted -= 1;
    }
    // Lengths are scaled by `wanted`, so that the ruler's step is `total`.
    let start = ((u128::from(draw) * u128::from(total)) >> 64) as u64;
    let marks_before = |x: u64| if x > start { (x - start - 1) / total + 1 } else { 0 };
    let mut end = 0;
    for (at, drawn) in run.iter().enumerate() {
        if wanted == 0 || included[at] {
            continue;
        }
        let begin = end;
        end += weight(drawn) * wanted;
        included[at] = marks_before(end) > marks_before(begin);
    }
    let mut front = 0;
    for at in 0..run.len() {
        if included[at] {
            run[front..=at].rotate_right(1);
            front += 1;
        }
    }
}
