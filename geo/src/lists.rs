//! Lists of networks and autonomous systems that rules name, collected before a table is built.
//!
//! ```text
//! clients of all rules ──▶ Lists ──▶ TableBuilder::with_lists ──▶ Table: a place is in lists {0, 3}
//!                            └─ who(clients) ──▶ [Country(DE), List(3)]
//! ```
//!
//! A table splits its leaves at the edges of lists and numbers places by the lists they are in,
//! so that a [`PlaceId`](crate::PlaceId) decides everything that a rule can ask.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::{Selector, Who};

/// Distinct lists of one table: a place's lists are the bits of one word.
pub const MAX_LISTS: usize = 64;

/// Networks and autonomous systems of all lists together: a generated configuration a hundred
/// times too large is refused.
pub const MAX_LISTED: usize = 100_000;

/// The number of a list among its [`Lists`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListId(u8);

impl ListId {
    /// As a position.
    pub fn index(self) -> usize {
        self.0.into()
    }
}

/// The networks and autonomous systems of one rule's `clients`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct List {
    networks: BTreeSet<IpNet>,
    asns: BTreeSet<u32>,
}

impl List {
    fn of(clients: &[Selector]) -> List {
        let mut list = List::default();
        for selector in clients {
            match *selector {
                Selector::Network(network) => _ = list.networks.insert(network),
                Selector::Asn(number) => _ = list.asns.insert(number),
                Selector::All | Selector::Country(_) | Selector::Continent(_) => {}
            }
        }
        list
    }

    fn len(&self) -> usize {
        self.networks.len() + self.asns.len()
    }
}

/// All lists of a configuration: each once, in the order of their content, so that equal
/// configurations number them alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists(Vec<List>);

/// Why lists were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListsError {
    /// More than [`MAX_LISTS`].
    #[error(
        "{0} different lists of networks and autonomous systems in `clients`, and at most {MAX_LISTS} fit: \
         use the same list where the same clients are meant"
    )]
    TooMany(usize),
    /// More than [`MAX_LISTED`].
    #[error(
        "{0} networks and autonomous systems in `clients`, and at most {MAX_LISTED} are taken: \
         name autonomous systems or countries instead of their networks"
    )]
    TooLong(usize),
}

impl Lists {
    /// Those of the `clients` of all rules.
    ///
    /// # Errors
    ///
    /// More than the limits allow.
    pub fn new<'s>(rules: impl IntoIterator<Item = &'s [Selector]>) -> Result<Lists, ListsError> {
        let distinct: BTreeSet<List> =
            rules.into_iter().map(List::of).filter(|list| list.len() > 0).collect();
        let total = distinct.iter().map(List::len).sum();
        if distinct.len() > MAX_LISTS {
            return Err(ListsError::TooMany(distinct.len()));
        }
        if total > MAX_LISTED {
            return Err(ListsError::TooLong(total));
        }
        Ok(Lists(distinct.into_iter().collect()))
    }

    /// The `clients` of one rule as a table of these lists tells them apart; of networks and
    /// autonomous systems, the one list that holds them. None: its list is not among these.
    pub fn who(&self, clients: &[Selector]) -> Option<Vec<Who>> {
        let list = List::of(clients);
        let mut who: Vec<Who> = clients
            .iter()
            .filter_map(|selector| match *selector {
                Selector::All => Some(Who::All),
                Selector::Country(country) => Some(Who::Country(country)),
                Selector::Continent(continent) => Some(Who::Continent(continent)),
                Selector::Network(_) | Selector::Asn(_) => None,
            })
            .collect();
        if list.len() > 0 {
            who.push(Who::List(ListId(self.0.binary_search(&list).ok()? as u8)));
        }
        Some(who)
    }

    /// How many lists there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no rule has any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The autonomous systems of all lists.
    pub fn asns(&self) -> BTreeSet<u32> {
        self.0.iter().flat_map(|list| list.asns.iter().copied()).collect()
    }

    /// The networks of each list, with its bit.
    pub(crate) fn networks(&self) -> impl Iterator<Item = (IpNet, ListSet)> + '_ {
        // The lists lead: there is no bit after the last one.
        let lists = self.0.iter().zip((0..).map(|list| ListSet::of(ListId(list))));
        lists.flat_map(|(list, set)| list.networks.iter().map(move |&network| (network, set)))
    }

    /// The lists of each autonomous system that is in any.
    pub(crate) fn by_asn(&self) -> BTreeMap<u32, ListSet> {
        let mut lists = BTreeMap::new();
        for (list, asns) in (0..).zip(self.0.iter().map(|list| &list.asns)) {
            for &number in asns {
                let set: &mut ListSet = lists.entry(number).or_default();
                *set = set.union(ListSet::of(ListId(list)));
            }
        }
        lists
    }
}

/// Which lists something is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListSet(u64);

impl ListSet {
    /// In none.
    pub const NONE: ListSet = ListSet(0);

    pub(crate) fn of(list: ListId) -> ListSet {
        ListSet(1 << list.0)
    }

    pub(crate) fn union(self, other: ListSet) -> ListSet {
        ListSet(self.0 | other.0)
    }

    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    /// Whether a list is among them.
    pub fn contains(self, list: ListId) -> bool {
        self.0 & ListSet::of(list).0 != 0
    }

    /// Whether none is.
    pub fn is_empty(self) -> bool {
        self == ListSet::NONE
    }

    /// Each of them, in ascending order.
    pub fn iter(self) -> impl Iterator<Item = ListId> {
        (0..MAX_LISTS as u8).map(ListId).filter(move |&list| self.contains(list))
    }
}
