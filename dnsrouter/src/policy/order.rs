//! Weak orders of candidates: groups, the best first, undecided inside.

use arrayvec::ArrayVec;

use crate::service::MAX_ENDPOINTS;

/// One endpoint under consideration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Index into the service's endpoints.
    pub endpoint: u8,
    /// Its group; lower is better, equal is undecided.
    pub group: u8,
}

/// The candidates of one choice: a weak order, best group first.
pub type Candidates = ArrayVec<Candidate, MAX_ENDPOINTS>;

/// Splits each group by a key, lower ones first; what has equal keys stays together.
pub(super) fn rank_by<K: Ord>(candidates: &mut Candidates, key: impl Fn(&Candidate) -> K) {
    candidates.sort_unstable_by_key(|c| (c.group, key(c), c.endpoint));
    regroup(candidates, |a, b| a.group == b.group && key(a) == key(b));
}

/// Numbers the groups of a sorted list anew; neighbours that are not `same` begin a new group.
pub(super) fn regroup(candidates: &mut Candidates, same: impl Fn(&Candidate, &Candidate) -> bool) {
    let mut group = 0;
    let mut previous: Option<Candidate> = None;
    for candidate in candidates {
        let original = *candidate;
        if previous.is_some_and(|previous| !same(&previous, &original)) {
            group += 1;
        }
        previous = Some(original);
        candidate.group = group;
    }
}
