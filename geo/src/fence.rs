//! For each place, the locations that its clients may be answered with: data residency.

use crate::who::FirstMatch;
use crate::{Mask, PlaceId, Table, Who};

/// Who may be answered with which locations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FenceRule {
    /// The first entry that is for a place counts; places that none is for are not fenced. At
    /// most [`MAX_RULES`](crate::MAX_RULES) entries.
    pub rules: Vec<(Vec<Who>, Mask)>,
}

/// A [`FenceRule`], decided for every place of a table.
#[derive(Debug)]
pub struct Fence {
    of_place: Box<[u8]>,
    allowed: Box<[Mask]>,
}

/// In place of a rule's number.
const NO_RULE: u8 = u8::MAX;

impl Fence {
    /// Finds the rule of every place.
    ///
    /// # Panics
    ///
    /// If there are more rules than [`MAX_RULES`](crate::MAX_RULES): configuration is checked
    /// before.
    pub fn build(table: &Table, rule: &FenceRule) -> Fence {
        let mut matches = FirstMatch::new(table, rule.rules.iter().map(|(who, _)| &**who));
        let of_place = table.place_ids().map(|id| matches.of(id).unwrap_or(NO_RULE));
        Fence {
            of_place: of_place.collect(),
            allowed: rule.rules.iter().map(|&(_, allowed)| allowed).collect(),
        }
    }

    /// The locations that clients of a place may be answered with, and the rule that says so;
    /// without one, all.
    ///
    /// # Panics
    ///
    /// If the place is not of the table that the fence was built for, but of a larger one.
    #[inline]
    pub fn allowed(&self, place: PlaceId) -> (Mask, Option<u8>) {
        match self.of_place[place.index()] {
            NO_RULE => (Mask::MAX, None),
            rule => (self.allowed[usize::from(rule)], Some(rule)),
        }
    }

    /// The memory that it holds, in bytes: one for each place.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Fence>() + size_of_val(&*self.of_place) + size_of_val(&*self.allowed)
    }
}
