//! One source's prefixes, on their way into a table.

use std::collections::HashMap;

use ipnet::IpNet;

use crate::runs::{Leaf, Value};
use crate::{Place, PlaceId, Source};

/// The prefixes of one database, each with its place.
///
/// Prefixes come in any order and may nest: the longest one that covers an address wins.
/// Loaders fill a layer of their own and hand it over whole, so a broken file leaves the
/// [`TableBuilder`](crate::TableBuilder) as it was.
#[derive(Debug)]
pub struct Layer {
    source: Source,
    pub(crate) v4: Vec<Leaf<u32>>,
    pub(crate) v6: Vec<Leaf<u128>>,
    places: Vec<Place>,
    numbers: HashMap<Place, PlaceId>,
}

impl Layer {
    /// An empty layer whose places come from this kind of source.
    pub fn new(source: Source) -> Layer {
        Layer { source, v4: vec![], v6: vec![], places: vec![], numbers: HashMap::new() }
    }

    /// Puts the addresses of a prefix (its host bits are ignored) into a place.
    ///
    /// An unknown place in a layer of networks says that nothing shall be known of them, and
    /// special ones are nowhere; a database that says so has nothing to say, and other sources
    /// fill the gap.
    pub fn insert(&mut self, prefix: IpNet, place: Place) {
        if place.is_unknown() && !matches!(self.source, Source::Network | Source::Special) {
            return;
        }
        let place = self.intern(place);
        match prefix.trunc() {
            IpNet::V4(net) => self.insert_v4(net.addr().into(), net.prefix_len(), place),
            IpNet::V6(net) => self.insert_v6(net.addr().into(), net.prefix_len(), place),
        }
    }

    /// The layer's own number of a place, for loaders that meet the same place many times.
    pub(crate) fn intern(&mut self, place: Place) -> PlaceId {
        *self.numbers.entry(place).or_insert_with(|| {
            let number = PlaceId(self.places.len() as u32);
            self.places.push(place);
            number
        })
    }

    pub(crate) fn insert_v4(&mut self, start: u32, len: u8, place: PlaceId) {
        self.v4.push(Leaf { start, len, value: Value::new(place, self.source) });
    }

    pub(crate) fn insert_v6(&mut self, start: u128, len: u8, place: PlaceId) {
        self.v6.push(Leaf { start, len, value: Value::new(place, self.source) });
    }

    pub(crate) fn into_leaves(self) -> (Vec<Leaf<u32>>, Vec<Leaf<u128>>) {
        (self.v4, self.v6)
    }

    /// The layer's places, each once.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// How many prefixes were inserted.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether nothing was inserted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Renumbers from the layer's own numbers to those of the table's sorted places, which
    /// contain all of the layer's.
    pub(crate) fn renumber(&mut self, sorted: &[Place]) {
        let number = |place| sorted.partition_point(|other| other < place) as u32;
        let numbers: Vec<PlaceId> = self.places.iter().map(number).map(PlaceId).collect();
        let renumbered = |value: Value| Value::new(numbers[value.place().index()], value.source());
        self.v4.iter_mut().for_each(|leaf| leaf.value = renumbered(leaf.value));
        self.v6.iter_mut().for_each(|leaf| leaf.value = renumbered(leaf.value));
    }
}
