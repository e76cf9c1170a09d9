//! Lists on their way into a table: which of them hold an address.
//!
//! ```text
//! list 0      |---------------|
//! list 1            |---------------|             gather: all lists that hold an address
//! marks       |  0  |  0, 1   |  1  |   none
//!
//! places      |    A    |    B    |    unknown    attach: the same place in other lists is
//! both        | A 0 |A01|B01|B| ? 1 |   unknown           another place
//! ```
//!
//! A mark is a [`Value`] whose place is the number of a set of lists; no list is [`Value::NONE`].

use std::collections::HashMap;
use std::hash::Hash;

use ipnet::IpNet;

use crate::runs::{Election, Key, Leaf, Runs, Value};
use crate::{ListSet, PlaceId, Source};

/// Prefixes with the lists that they are in.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) v4: Vec<(u32, u8, ListSet)>,
    pub(crate) v6: Vec<(u128, u8, ListSet)>,
}

impl Listed {
    pub(crate) fn push(&mut self, network: IpNet, lists: ListSet) {
        match network {
            IpNet::V4(net) => self.v4.push((net.addr().into(), net.prefix_len(), lists)),
            IpNet::V6(net) => self.v6.push((net.addr().into(), net.prefix_len(), lists)),
        }
    }
}

/// Sets of lists, and places in them, while a table is built.
pub(crate) struct Marker {
    sets: Numbers<ListSet>,
    /// How many places there were; those in lists are numbered behind them.
    unlisted: u32,
    listed: Numbers<(PlaceId, ListSet)>,
}

impl Marker {
    /// For so many places.
    pub(crate) fn new(places: usize) -> Marker {
        Marker {
            sets: Numbers::new([ListSet::NONE]),
            unlisted: places as u32,
            listed: Numbers::new([]),
        }
    }

    /// What each number means by now: a place as it was numbered before, and its lists.
    pub(crate) fn into_places(self) -> Vec<(PlaceId, ListSet)> {
        let unlisted = (0..self.unlisted).map(|place| (PlaceId(place), ListSet::NONE));
        unlisted.chain(self.listed.items).collect()
    }

    /// The marks of prefixes that may nest and meet.
    pub(crate) fn gather<K: Key>(&mut self, prefixes: &[(K, u8, ListSet)]) -> Runs<K> {
        let mut marks = Runs::flatten(Vec::new());
        let all = prefixes.iter().fold(ListSet::NONE, |all, prefix| all.union(prefix.2));
        for list in all.iter() {
            let value = self.mark(ListSet::of(list));
            let within = prefixes.iter().filter(|prefix| prefix.2.contains(list));
            let leaves = within.map(|&(start, len, _)| Leaf { start, len, value });
            marks = self.union(marks, Runs::flatten(leaves.collect()));
        }
        marks
    }

    /// The marks of both.
    pub(crate) fn union<K: Key>(&mut self, a: Runs<K>, b: Runs<K>) -> Runs<K> {
        a.zip(b, |a, b| match (a, b) {
            (Value::NONE, only) | (only, Value::NONE) => only,
            _ => self.mark(self.set(a).union(self.set(b))),
        })
    }

    /// Cuts marks to blocks of a prefix length: each gets the mark, or none, that covers most of
    /// it; at a tie none, else the set of lists that is the least.
    pub(crate) fn collapse<K: Key>(&self, mut marks: Runs<K>, cap: u8) -> Runs<K> {
        if marks.knows_nothing() {
            return marks;
        }
        // Numbers grow as sets came; ties shall not depend on that.
        let mut sorted: Vec<u32> = (0..self.sets.items.len() as u32).collect();
        sorted.sort_unstable_by_key(|&set| self.sets.items[set as usize]);
        let mut ranks = vec![0; sorted.len()];
        (0..).zip(&sorted).for_each(|(rank, &set)| ranks[set as usize] = rank);
        // Nothing counts like something here, other than among places.
        let rank = |mark: Value| PlaceId(ranks[mark.place().index()]);
        marks.replace(&mut |mark| Value::new(rank(mark), Source::Database));
        let mut marks = marks.collapse(cap, Election::Number);
        let set = |ranked: Value| PlaceId(sorted[ranked.place().index()]);
        marks.replace(&mut |ranked| Value::new(set(ranked), Source::None));
        marks
    }

    /// The places, each in the lists of its mark. An address without a mark keeps its place.
    pub(crate) fn attach<K: Key>(&mut self, places: Runs<K>, marks: Runs<K>) -> Runs<K> {
        places.zip(marks, |place, mark| match mark {
            Value::NONE => place,
            _ => self.put(place, self.set(mark)),
        })
    }

    /// Networks finer than the cap over the rest of the table: where one has a place or a mark,
    /// its own place, or else the table's, in the lists of both. None everywhere else.
    pub(crate) fn attach_fine<K: Key>(
        &mut self,
        networks: Runs<K>,
        marks: Runs<K>,
        table: &Runs<K>,
    ) -> Runs<K> {
        if networks.knows_nothing() && marks.knows_nothing() {
            return networks;
        }
        let mut own = Numbers::new([(Value::NONE, Value::NONE)]);
        let fine = networks
            .zip(marks, |network, mark| Value::new(PlaceId(own.of((network, mark))), Source::None));
        let mut fine = fine.zip(table.clone(), |fine, around| {
            let (network, mark) = own.items[fine.place().index()];
            let (place, lists) = self.parts(around);
            let place = match (network, mark) {
                (Value::NONE, Value::NONE) => return Value::NONE,
                (Value::NONE, _) => Value::new(place, around.source()),
                (network, _) => network,
            };
            self.put(place, lists.union(self.set(mark)))
        });
        fine.shrink();
        fine
    }

    /// A place in no list yet, in these.
    fn put(&mut self, place: Value, lists: ListSet) -> Value {
        if lists.is_empty() {
            return place;
        }
        let number = self.unlisted + self.listed.of((place.place(), lists));
        Value::new(PlaceId(number), place.source())
    }

    /// What a place is, and which lists it was put in.
    fn parts(&self, place: Value) -> (PlaceId, ListSet) {
        match place.place().0.checked_sub(self.unlisted) {
            Some(listed) => self.listed.items[listed as usize],
            None => (place.place(), ListSet::NONE),
        }
    }

    fn mark(&mut self, lists: ListSet) -> Value {
        Value::new(PlaceId(self.sets.of(lists)), Source::None)
    }

    fn set(&self, mark: Value) -> ListSet {
        self.sets.items[mark.place().index()]
    }
}

/// Distinct items, numbered in the order in which they came.
struct Numbers<T> {
    items: Vec<T>,
    numbers: HashMap<T, u32>,
}

impl<T: Copy + Eq + Hash> Numbers<T> {
    fn new(first: impl Into<Vec<T>>) -> Numbers<T> {
        let items = first.into();
        let numbers = items.iter().copied().zip(0..).collect();
        Numbers { items, numbers }
    }

    fn of(&mut self, item: T) -> u32 {
        *self.numbers.entry(item).or_insert_with(|| {
            self.items.push(item);
            self.items.len() as u32 - 1
        })
    }
}
