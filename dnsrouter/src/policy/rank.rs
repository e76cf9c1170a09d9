//! Ranks: which candidates are better than others, and which as good.

use super::MAX_LOCATIONS;
use super::order::{Candidate, Candidates, rank_by};

/// Nearest first: by the position of each candidate's location in the client's order.
pub(super) fn nearest(
    candidates: &mut Candidates,
    order: &[u8],
    location: impl Fn(&Candidate) -> u8,
) {
    let mut position = [u8::MAX; MAX_LOCATIONS];
    for (rank, location) in (0_u8..).zip(order) {
        position[usize::from(*location)] = rank;
    }
    rank_by(candidates, |candidate| position[usize::from(location(candidate))]);
}
