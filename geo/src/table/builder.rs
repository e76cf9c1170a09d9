//! From databases, networks and lists to a frozen table.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::{ScopeCap, Table, TableError, key_v4, key_v6};
use crate::layer::Layer;
use crate::marks::{Listed, Marker};
use crate::partition::Partition;
use crate::runs::{Election, Key, Leaf, Runs, Value};
use crate::{ListSet, Lists, Place, PlaceId, Source, special};

/// Collects databases and networks, then freezes them into a [`Table`].
#[derive(Debug)]
pub struct TableBuilder {
    cap: ScopeCap,
    databases: Vec<Layer>,
    special: Layer,
    networks: BTreeMap<IpNet, Place>,
    lists: Lists,
    asns: Vec<Listed>,
}

impl TableBuilder {
    /// An empty builder: frozen as it is, its table tells only special blocks from the rest.
    pub fn new(cap: ScopeCap) -> TableBuilder {
        TableBuilder::with_lists(cap, Lists::default())
    }

    /// An empty builder of a table that tells apart who is in which list.
    ///
    /// A list's networks split leaves; those that are finer than the cap serve only queries
    /// without a client subnet, see [`Table::lookup_source`]. Inside a special block, a network
    /// that is no wider than the block takes its addresses out of it: who names a private network
    /// means the clients that ask from there.
    pub fn with_lists(cap: ScopeCap, lists: Lists) -> TableBuilder {
        TableBuilder {
            cap,
            databases: Vec::new(),
            special: special::layer(&special::BLOCKS),
            networks: BTreeMap::new(),
            lists,
            asns: Vec::new(),
        }
    }

    /// With other blocks than the special ones, for tests of all else.
    #[cfg(test)]
    pub(crate) fn special(mut self, blocks: &[IpNet]) -> TableBuilder {
        self.special = special::layer(blocks);
        self
    }

    /// The lists that the table will tell apart.
    pub fn lists(&self) -> &Lists {
        &self.lists
    }

    /// Adds a database behind those added before: it counts only where none of them has data.
    pub fn database(&mut self, layer: Layer) {
        self.databases.push(layer);
    }

    /// Adds prefixes of autonomous systems; of several layers each adds to the others.
    pub(crate) fn asns(&mut self, layer: Listed) {
        self.asns.push(layer);
    }

    /// Places a network explicitly; its host bits are ignored.
    ///
    /// Networks win over every database and over the special blocks, the longest prefix wins
    /// among networks, and the order of the calls means nothing. One that is finer than the cap
    /// serves only queries without a client subnet, see [`Table::lookup_source`].
    pub fn network(&mut self, prefix: IpNet, place: Place) -> Result<(), TableError> {
        let prefix = prefix.trunc();
        if self.networks.contains_key(&prefix) {
            return Err(TableError::SameNetwork(prefix));
        }
        self.networks.insert(prefix, place);
        Ok(())
    }

    /// Resolves precedence and publishes the result.
    ///
    /// Each block of the cap's size gets one place: the one that covers most of its known
    /// addresses, of several that cover as much the one with the lowest. Where only the country is
    /// known of the first known address, the place is in that country. Nothing known is no place,
    /// so any outvotes it; a block with special addresses and none that is known is special.
    pub fn freeze(self) -> Table {
        let claimed = self.claimed();
        let TableBuilder { cap, databases, special, networks: explicit, lists, asns } = self;
        let mut networks = Layer::new(Source::Network);
        explicit.into_iter().for_each(|(prefix, place)| networks.insert(prefix, place));

        let mut others: Vec<_> = [claimed, special].into_iter().chain(databases).collect();
        let places = canonical(others.iter().chain([&networks]));
        others.iter_mut().chain([&mut networks]).for_each(|layer| layer.renumber(&places));

        let mut listed = Listed::default();
        lists.networks().for_each(|(network, set)| listed.push(network, set));
        let (asns_v4, asns_v6) = asns.into_iter().map(|layer| (layer.v4, layer.v6)).unzip();
        let (others_v4, others_v6) = others.into_iter().map(Layer::into_leaves).unzip();
        let mut marker = Marker::new(places.len());
        // One family after the other: the runs of a city database take hundreds of megabytes.
        let v4 =
            Family { networks: networks.v4, others: others_v4, listed: listed.v4, asns: asns_v4 };
        let (v4, fine_v4) = v4.resolve(cap.v4, &places, &mut marker);
        let v4 = Partition::new(&v4.map(key_v4), cap.v4);
        let v6 =
            Family { networks: networks.v6, others: others_v6, listed: listed.v6, asns: asns_v6 };
        let (v6, fine_v6) = v6.resolve(cap.v6, &places, &mut marker);
        // The cap is at most 64, so the lower half of each start is zero.
        let v6 = Partition::new(&v6.map(key_v6), cap.v6);
        let mut table = Table {
            cap,
            places: Vec::new(),
            lists,
            listed: Vec::new(),
            v4,
            v6,
            fine_v4,
            fine_v6,
            leaves: 0,
            fingerprint: 0,
        };
        table.number_places(&places, &marker.into_places());
        table.leaves = table.leaves().count();
        table.fingerprint = table.hash_content();
        table
    }

    /// The lists' networks inside special blocks, as places of which nothing is known.
    fn claimed(&self) -> Layer {
        let mut claimed = Layer::new(Source::Network);
        let special = || {
            let v4 =
                self.special.v4.iter().map(|leaf| (u128::from(leaf.start) << 96, leaf.len, true));
            v4.chain(self.special.v6.iter().map(|leaf| (leaf.start, leaf.len, false)))
        };
        for (network, _) in self.lists.networks() {
            let (start, cap, is_v4) = match network {
                IpNet::V4(net) => (u128::from(u32::from(net.addr())) << 96, self.cap.v4, true),
                IpNet::V6(net) => (net.addr().into(), self.cap.v6, false),
            };
            let len = network.prefix_len();
            let inside = special().any(|(block, block_len, block_is_v4)| {
                let differ = (start ^ block) & !u128::host_mask(block_len);
                block_is_v4 == is_v4 && block_len <= len && differ == 0
            });
            if inside && len <= cap {
                claimed.insert(network, Place::UNKNOWN);
            }
        }
        claimed
    }
}

/// All that is known of one address family.
struct Family<K: Copy> {
    networks: Vec<Leaf<K>>,
    /// In the order of precedence.
    others: Vec<Vec<Leaf<K>>>,
    listed: Vec<(K, u8, ListSet)>,
    asns: Vec<Vec<(K, u8, ListSet)>>,
}

impl<K: Key> Family<K> {
    /// The places cut to the cap, and what is finer, each in its lists.
    fn resolve(self, cap: u8, known: &[Place], marker: &mut Marker) -> (Runs<K>, Runs<K>) {
        let (networks, fine) = self.networks.into_iter().partition(|leaf| leaf.len <= cap);
        let others = self.others.into_iter();
        let places = others
            .fold(Runs::flatten(networks), |runs, other| runs.overlay(Runs::flatten(other)))
            .collapse(cap, Election::Place(known));
        let (listed, fine_listed): (Vec<_>, Vec<_>) =
            self.listed.into_iter().partition(|&(_, len, _)| len <= cap);
        let mut marks = marker.gather(&listed);
        for layer in self.asns {
            let layer = marker.gather(&layer);
            let layer = marker.collapse(layer, cap);
            marks = marker.union(marks, layer);
        }
        let places = if marks.knows_nothing() { places } else { marker.attach(places, marks) };
        let fine_marks = marker.gather(&fine_listed);
        let fine = marker.attach_fine(Runs::flatten(fine), fine_marks, &places);
        (places, fine)
    }
}

/// All places once, in the order of their content: equal inputs get equal numbers in whatever
/// order they came. The unknown place sorts first.
fn canonical<'a>(layers: impl Iterator<Item = &'a Layer>) -> Vec<Place> {
    let mut places = vec![Place::UNKNOWN];
    layers.for_each(|layer| places.extend_from_slice(layer.places()));
    places.sort_unstable();
    places.dedup();
    places
}

impl Table {
    /// Forgets places that were covered, or outvoted in every block, and numbers the rest by their
    /// content and the lists they are in. `places` are sorted; `numbered` says what the numbers in
    /// the table mean until now.
    fn number_places(&mut self, places: &[Place], numbered: &[(PlaceId, ListSet)]) {
        let mut used = vec![false; numbered.len()];
        used[PlaceId::UNKNOWN.index()] = true;
        self.each_value(|value| {
            used[value.place().index()] = true;
            value
        });
        let mut kept: Vec<usize> = (0..numbered.len()).filter(|&place| used[place]).collect();
        kept.sort_unstable_by_key(|&place| numbered[place]);
        let mut numbers = vec![PlaceId::UNKNOWN; numbered.len()];
        for (number, &place) in (0..).zip(&kept) {
            numbers[place] = PlaceId(number);
        }
        let kept = kept.iter().map(|&place| numbered[place]);
        self.places = kept.clone().map(|(place, _)| places[place.index()]).collect();
        if !self.lists.is_empty() {
            self.listed = kept.map(|(_, lists)| lists).collect();
        }
        self.each_value(|value| Value::new(numbers[value.place().index()], value.source()));
    }
}
