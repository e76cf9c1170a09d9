//! Who a rule is for, decided by a place alone.

use std::collections::HashMap;

use crate::{Continent, Country, ListId, ListSet, PlaceId, Table};

/// Rules of one lens or fence: the number of the one that matched takes a byte, of which one value
/// says that none did.
pub const MAX_RULES: usize = u8::MAX as usize;

/// Some clients. Made of text by [`Selector`](crate::Selector) and [`Lists`](crate::Lists).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// Everyone, whether placed or not.
    All,
    /// Whose place is in a country.
    Country(Country),
    /// Whose place is in a country of a continent. Places without a country are on none.
    Continent(Continent),
    /// Whose address is in a list.
    List(ListId),
}

impl Who {
    /// Whether clients of a place of the table are meant.
    ///
    /// # Panics
    ///
    /// If the place is not of this table, but of a larger one.
    pub fn holds(self, table: &Table, place: PlaceId) -> bool {
        self.is(&Traits::of(table, place))
    }

    fn is(self, traits: &Traits) -> bool {
        match self {
            Who::All => true,
            Who::Country(country) => traits.country == Some(country),
            Who::Continent(on) => traits.country.and_then(Country::continent) == Some(on),
            Who::List(list) => traits.lists.contains(list),
        }
    }
}

/// All of a place that a rule can ask for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Traits {
    country: Option<Country>,
    lists: ListSet,
}

impl Traits {
    fn of(table: &Table, place: PlaceId) -> Traits {
        Traits { country: table.place(place).country, lists: table.lists_of(place) }
    }
}

/// Finds the first rule that is for a place, and remembers it: places are many, but what rules can
/// ask of them is little.
pub(crate) struct FirstMatch<'r> {
    table: &'r Table,
    rules: Vec<&'r [Who]>,
    known: HashMap<Traits, Option<u8>>,
}

impl<'r> FirstMatch<'r> {
    /// # Panics
    ///
    /// If there are more rules than [`MAX_RULES`]: configuration is checked before.
    pub(crate) fn new(table: &'r Table, rules: impl Iterator<Item = &'r [Who]>) -> FirstMatch<'r> {
        let rules: Vec<_> = rules.collect();
        assert!(rules.len() <= MAX_RULES, "too many rules");
        FirstMatch { table, rules, known: HashMap::new() }
    }

    pub(crate) fn of(&mut self, place: PlaceId) -> Option<u8> {
        if self.rules.is_empty() {
            return None;
        }
        let traits = Traits::of(self.table, place);
        *self.known.entry(traits).or_insert_with(|| {
            let first = self.rules.iter().position(|whos| whos.iter().any(|who| who.is(&traits)));
            first.map(|rule| rule as u8)
        })
    }
}
