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
