//! A database's networks and what it says of them, as the reader of the format has them.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::path::Path;

use geo::Country;
use maxminddb::{Reader, WithinOptions};
use serde::Deserialize;

use super::block::Family;
use super::world::Routed;

/// What a database of flat records (DB-IP's and those alike) says of one family.
#[derive(Clone, Debug)]
pub struct Database {
    /// Of these addresses.
    pub family: Family,
    /// Ascending and disjoint.
    pub networks: Vec<Network>,
    /// Each as often as the file has it.
    pub records: Vec<Record>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// The first address.
    pub first: u128,
    /// The prefix length.
    pub len: u8,
    /// Position among the records.
    pub record: u32,
}

/// What is said of networks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record {
    /// The country, where it is two letters.
    pub country: Option<Country>,
    /// Latitude and longitude in degrees, where they are said. 0, 0 is what databases say when they do
    /// not know.
    pub point: Option<[f64; 2]>,
}

#[derive(Deserialize)]
struct Flat<'r> {
    #[serde(borrow)]
    country_code: Option<&'r str>,
    latitude: Option<f32>,
    longitude: Option<f32>,
}

/// Where unicast addresses are routed from (RFC 4291 §2.4), in each family.
const UNICAST: [&str; 2] = ["0.0.0.0/0", "2000::/3"];

/// Where IPv6 addresses hold IPv4 ones, which have a place of their own: Teredo (RFC 4380) and 6to4
/// (RFC 3056), by first address and length. They are no networks of anybody.
const EMBEDDING: [(u128, u8); 2] = [(0x2001_0000 << 96, 32), (0x2002 << 112, 16)];

impl Database {
    /// Reads the networks of one family.
    ///
    /// # Panics
    ///
    /// When the file is no sound database.
    pub fn read(file: &Path, family: Family) -> Database {
        let reader = Reader::open_readfile(file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let unicast = UNICAST[family as usize].parse().expect("a network");
        // What looks like an alias of IPv4 in a file without any is none.
        let options = WithinOptions::default().include_aliased_networks();
        let mut known: HashMap<usize, u32> = HashMap::new();
        let (mut networks, mut records) = (Vec::new(), Vec::new());
        for found in reader.within(unicast, options).expect("a family of the file") {
            let found = found.expect("a sound database");
            let Some(offset) = found.offset() else { continue };
            let record = *known.entry(offset).or_insert_with(|| {
                let flat: Option<Flat<'_>> = found.decode().expect("a flat record");
                records.push(Record::from(flat.expect("what has an offset has a record")));
                records.len() as u32 - 1
            });
            let network = found.network().expect("a network");
            let first = match network.network() {
                IpAddr::V4(first) => first.to_bits().into(),
                IpAddr::V6(first) => first.to_bits(),
            };
            let network = Network { first, len: network.prefix(), record };
            if family == Family::V4 || !EMBEDDING.iter().any(|block| network.is_in(*block)) {
                networks.push(network);
            }
        }
        let ascending = networks.is_sorted_by_key(|network: &Network| network.first);
        assert!(ascending, "the reader walks {} in order", file.display());
        Database { family, networks, records }
    }

    /// Only what the other database knows as well: networks cut to its.
    ///
    /// Databases of cities fill what nobody has been given with made-up places; registries' statistics
    /// do not.
    #[must_use]
    pub fn known_to(&self, other: &Database) -> Database {
        let family = self.family;
        let mut networks = Vec::with_capacity(self.networks.len());
        let mut ahead = &other.networks[..];
        for network in &self.networks {
            let behind = ahead.iter().take_while(|other| other.last(family) < network.first);
            ahead = &ahead[behind.count()..];
            let last = network.last(family);
            for other in ahead.iter().take_while(|other| other.first <= last) {
                // Of two prefixes that overlap, one holds the other.
                let (first, len) = (network.first.max(other.first), network.len.max(other.len));
                networks.push(Network { first, len, record: network.record });
            }
        }
        Database { family, networks, records: self.records.clone() }
    }

    /// Only the networks that blocks of `routed` are in, or that are in them.
    #[must_use]
    pub fn only(mut self, routed: &Routed) -> Database {
        let family = self.family;
        let mut stretches = routed.stretches.iter().peekable();
        self.networks.retain(|network| {
            let first = family.block_of(network.first);
            let last = family.block_of(network.last(family));
            while stretches.next_if(|stretch| stretch.last() < first).is_some() {}
            stretches.peek().is_some_and(|stretch| stretch.first <= last)
        });
        self
    }

    /// The blocks that are in several countries.
    pub fn divided(&self) -> BTreeSet<u64> {
        let family = self.family;
        let fine = self.networks.iter().filter(|network| network.len > family.block_len());
        let in_country = |network: &Network| {
            Some((family.block_of(network.first), self.record(network).country?))
        };
        let fine: Vec<_> = fine.filter_map(in_country).collect();
        let divided =
            fine.windows(2).filter(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1);
        divided.map(|pair| pair[0].0).collect()
    }

    /// What is said of a network.
    pub fn record(&self, network: &Network) -> &Record {
        &self.records[network.record as usize]
    }
}

impl Network {
    /// The last address.
    pub fn last(&self, family: Family) -> u128 {
        let host_bits = family.bits() - self.len;
        self.first | 1_u128.checked_shl(host_bits.into()).map_or(u128::MAX, |size| size - 1)
    }

    fn is_in(&self, (first, len): (u128, u8)) -> bool {
        self.len >= len && (self.first ^ first) >> (128 - len) == 0
    }
}

impl From<Flat<'_>> for Record {
    fn from(flat: Flat<'_>) -> Record {
        let point = flat.latitude.zip(flat.longitude).filter(|point| *point != (0.0, 0.0));
        Record {
            country: flat.country_code.and_then(|code| code.parse().ok()),
            point: point.map(|(latitude, longitude)| [latitude.into(), longitude.into()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::world::World;
    use super::*;

    fn database(networks: &[(u128, u8)]) -> Database {
        let network = |&(first, len): &(u128, u8)| Network { first: first << 8, len, record: 0 };
        let records = vec![Record { country: None, point: Some([1.0, 2.0]) }];
        Database { family: Family::V4, networks: networks.iter().map(network).collect(), records }
    }

    fn prefixes(database: &Database) -> Vec<(u128, u8)> {
        database.networks.iter().map(|network| (network.first >> 8, network.len)).collect()
    }

    #[test]
    fn what_both_know_is_cut_to_the_narrower() {
        let cities = database(&[(0, 20), (16, 24), (17, 24), (32, 22), (64, 24)]);
        let registries = database(&[(1, 24), (4, 22), (16, 20), (36, 22), (64, 24), (65, 24)]);
        let both = [(1, 24), (4, 22), (16, 24), (17, 24), (64, 24)];
        assert_eq!(prefixes(&cities.known_to(&registries)), both);
        assert_eq!(prefixes(&registries.known_to(&cities)), both);
    }

    #[test]
    fn only_what_is_asked_about_is_kept() {
        let all = database(&[(0, 20), (16, 24), (17, 24), (32, 22), (64, 24)]);
        let none = Database { family: Family::V6, networks: vec![], records: vec![] };
        let asked = database(&[(3, 24), (17, 24), (33, 24), (63, 24)]);
        let [routed, _] = World::new(&[asked, none]).routed;
        assert_eq!(prefixes(&all.only(&routed)), [(0, 20), (17, 24), (32, 22)]);
    }
}
