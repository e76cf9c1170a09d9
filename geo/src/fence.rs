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

    /// The locations of each rule.
    pub fn masks(&self) -> impl Iterator<Item = Mask> + Clone + '_ {
        self.allowed.iter().copied()
    }

    /// The memory that it holds, in bytes: one for each place.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Fence>() + size_of_val(&*self.of_place) + size_of_val(&*self.allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Continent, Country, ScopeCap, Selector, TableBuilder};

    #[test]
    fn the_first_rule_counts_and_who_matches_none_is_not_fenced() {
        let country = |code: &str| code.parse::<Country>().unwrap();
        let clients: Vec<Selector> = vec!["192.0.2.0/25".parse().unwrap(), "CN".parse().unwrap()];
        let lists = crate::Lists::new([&clients[..]]).unwrap();
        let listed = lists.who(&clients).unwrap();
        let mut builder = TableBuilder::with_lists(ScopeCap::new(25, 48).unwrap(), lists);
        for (network, code) in
            [("192.0.2.0/24", "DE"), ("198.51.100.0/24", "CH"), ("203.0.113.0/24", "CN")]
        {
            builder.network(network.parse().unwrap(), country(code).into()).unwrap();
        }
        let table = builder.freeze();
        let rules = vec![
            (listed, 0),
            (vec![Who::Country(country("CH"))], 0b01),
            (vec![Who::Continent(Continent::Europe), Who::Country(country("CH"))], 0b11),
        ];
        let fence = Fence::build(&table, &FenceRule { rules: rules.clone() });
        let allowed =
            |address: &str| fence.allowed(table.lookup_subnet(address.parse().unwrap()).place);
        assert_eq!(allowed("192.0.2.1"), (0, Some(0)));
        assert_eq!(allowed("203.0.113.1"), (0, Some(0)));
        assert_eq!(allowed("198.51.100.1"), (0b01, Some(1)));
        assert_eq!(allowed("192.0.2.129"), (0b11, Some(2)));
        assert_eq!(allowed("8.8.8.8"), (Mask::MAX, None));
        let everyone = [rules, vec![(vec![Who::All], 0b10)]].concat();
        let fence = Fence::build(&table, &FenceRule { rules: everyone });
        assert_eq!(fence.allowed(PlaceId::UNKNOWN), (0b10, Some(3)));
        let empty = Fence::build(&table, &FenceRule::default());
        assert!(table.place_ids().all(|place| empty.allowed(place) == (Mask::MAX, None)));
    }

    #[test]
    fn as_many_rules_as_fit() {
        let table = TableBuilder::new(ScopeCap::default()).freeze();
        let nobody = (vec![Who::Country("AQ".parse().unwrap())], 0);
        let mut rules = vec![nobody; crate::MAX_RULES - 1];
        rules.push((vec![Who::All], 0b1));
        let fence = Fence::build(&table, &FenceRule { rules });
        assert_eq!(fence.allowed(PlaceId::UNKNOWN), (0b1, Some(254)));
    }
}
