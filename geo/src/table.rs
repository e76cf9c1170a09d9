//! The prefix table: from an address to its place, with the client-subnet scope in which the
//! answer holds.
//!
//! Built mutable, published frozen:
//!
//! ```text
//! Layer (mmdb file) ─┐
//! Layer (mmdb file) ─┼─▶ TableBuilder ──freeze──▶ Table ──lookup──▶ Hit { place, scope, source }
//! special blocks ────┤
//! networks (config) ─┘
//! ```

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use siphasher::sip::SipHasher24;

use crate::layer::Layer;
use crate::partition::Partition;
use crate::runs::{Key, Leaf, Runs, Value};
use crate::{Country, Place, PlaceId, Source, special};

#[cfg(test)]
mod tests;

/// The finest scope that answers are given for (RFC 7871 §11.3): finer ones flood caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeCap {
    v4: u8,
    v6: u8,
}

impl ScopeCap {
    /// Caps as prefix lengths: IPv4 at most 32, IPv6 at most 64, since what is finer than a
    /// /64 is one link, and nobody places the hosts of a link apart.
    pub fn new(v4: u8, v6: u8) -> Result<ScopeCap, TableError> {
        if v4 > 32 || v6 > 64 {
            return Err(TableError::CapTooFine { v4, v6 });
        }
        Ok(ScopeCap { v4, v6 })
    }

    /// The longest scope for IPv4.
    pub fn v4(self) -> u8 {
        self.v4
    }

    /// The longest scope for IPv6.
    pub fn v6(self) -> u8 {
        self.v6
    }
}

/// /24 and /48, as RFC 7871 §11.3 suggests.
impl Default for ScopeCap {
    fn default() -> ScopeCap {
        ScopeCap { v4: 24, v6: 48 }
    }
}

/// What was wrong with a builder's input. The builder is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A cap beyond what the table can tell apart.
    #[error("scope caps of /{v4} and /{v6} are too fine: at most /32 for IPv4 and /64 for IPv6")]
    CapTooFine {
        /// The IPv4 cap asked for.
        v4: u8,
        /// The IPv6 cap asked for.
        v6: u8,
    },
    /// The configuration places one network twice.
    #[error("network {0} is placed twice: keep one of the two")]
    SameNetwork(IpNet),
}

/// Collects databases and networks, then freezes them into a [`Table`].
#[derive(Debug)]
pub struct TableBuilder {
    cap: ScopeCap,
    databases: Vec<Layer>,
    special: Layer,
    networks: BTreeMap<IpNet, Place>,
}

impl TableBuilder {
    /// An empty builder: frozen as it is, its table tells only special blocks from the rest.
    pub fn new(cap: ScopeCap) -> TableBuilder {
        TableBuilder::with_special(cap, &special::BLOCKS)
    }

    /// With other blocks than the special ones, for tests of all else.
    pub(crate) fn with_special(cap: ScopeCap, blocks: &[IpNet]) -> TableBuilder {
        let special = special::layer(blocks);
        TableBuilder { cap, databases: Vec::new(), special, networks: BTreeMap::new() }
    }

    /// Adds a database behind those added before: it counts only where none of them has data.
    pub fn database(&mut self, layer: Layer) {
        self.databases.push(layer);
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
    /// addresses. Nothing known is no place, and nowhere is none, so any outvotes them; a block
    /// with special addresses and none that is known is special.
    pub fn freeze(self) -> Table {
        let TableBuilder { cap, databases, special, networks: explicit } = self;
        let mut networks = Layer::new(Source::Network);
        explicit.into_iter().for_each(|(prefix, place)| networks.insert(prefix, place));

        let mut others: Vec<_> = std::iter::once(special).chain(databases).collect();
        let places = canonical(others.iter().chain([&networks]));
        others.iter_mut().chain([&mut networks]).for_each(|layer| layer.renumber(&places));

        let (coarse_v4, fine_v4) = split(networks.v4, cap.v4);
        let (coarse_v6, fine_v6) = split(networks.v6, cap.v6);
        let (v4, v6): (Vec<_>, Vec<_>) = others.into_iter().map(Layer::into_leaves).unzip();
        // One family after the other: the runs of a city database take hundreds of megabytes.
        let v4 = Partition::new(&resolve(coarse_v4, v4, cap.v4).map(key_v4), cap.v4);
        // The cap is at most 64, so the lower half of each start is zero.
        let v6 = Partition::new(&resolve(coarse_v6, v6, cap.v6).map(|k| (k >> 64) as u64), cap.v6);
        let mut table = Table {
            cap,
            places,
            v4,
            v6,
            fine_v4: Runs::flatten(fine_v4),
            fine_v6: Runs::flatten(fine_v6),
            leaves: 0,
            fingerprint: 0,
        };
        table.drop_unused_places();
        table.leaves = table.leaves().count();
        table.fingerprint = table.hash_content();
        table
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

/// Separates the prefixes up to the cap from the finer ones.
fn split<K: Key>(leaves: Vec<Leaf<K>>, cap: u8) -> (Vec<Leaf<K>>, Vec<Leaf<K>>) {
    leaves.into_iter().partition(|leaf| leaf.len <= cap)
}

/// Networks over the others in their order, cut to the cap.
fn resolve<K: Key>(networks: Vec<Leaf<K>>, others: Vec<Vec<Leaf<K>>>, cap: u8) -> Runs<K> {
    others
        .into_iter()
        .fold(Runs::flatten(networks), |runs, other| runs.overlay(Runs::flatten(other)))
        .collapse(cap)
}

fn key_v4(address: u32) -> u64 {
    u64::from(address) << 32
}

/// Where an address is, and for which addresses around it the same holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The place's number in the table.
    pub place: PlaceId,
    /// The prefix length of a network around the address in which every address gets this hit.
    pub scope: u8,
    /// Where the place was learnt.
    pub source: Source,
}

impl Hit {
    fn new((value, scope): (Value, u8)) -> Hit {
        Hit { place: value.place(), scope, source: value.source() }
    }
}

/// The frozen table. Lookups take no lock and allocate nothing.
///
/// Conceptually a trie of disjoint leaves that covers both address families without a gap;
/// addresses of which nothing is known have leaves too, of [`PlaceId::UNKNOWN`], and special
/// blocks have others. Leaves of one place and source that could be joined are.
#[derive(Debug)]
pub struct Table {
    cap: ScopeCap,
    places: Vec<Place>,
    v4: Partition,
    v6: Partition,
    /// Explicit networks finer than the cap, for queries without a subnet.
    fine_v4: Runs<u32>,
    fine_v6: Runs<u128>,
    leaves: usize,
    fingerprint: u64,
}

impl Table {
    /// The place of a client subnet (RFC 7871): never finer than the cap.
    ///
    /// Every address inside `address/scope` yields the same hit. An IPv4-mapped address is an
    /// IPv6 address here, as the option's family says.
    #[inline]
    pub fn lookup_subnet(&self, address: IpAddr) -> Hit {
        Hit::new(match address {
            IpAddr::V4(v4) => self.v4.lookup(key_v4(v4.into())),
            IpAddr::V6(v6) => self.v6.lookup((u128::from(v6) >> 64) as u64),
        })
    }

    /// The place of a packet's source, for queries without a client subnet: also consults the
    /// explicit networks that are finer than the cap.
    ///
    /// An IPv4-mapped address is looked up as the IPv4 address it stands for, and the scope is
    /// then one of IPv4.
    #[inline]
    pub fn lookup_source(&self, address: IpAddr) -> Hit {
        let address = address.to_canonical();
        let (value, scope) = match address {
            IpAddr::V4(v4) => self.fine_v4.lookup(v4.into()),
            IpAddr::V6(v6) => self.fine_v6.lookup(v6.into()),
        };
        if value != Value::NONE {
            return Hit::new((value, scope));
        }
        let hit = self.lookup_subnet(address);
        Hit { scope: hit.scope.max(scope), ..hit }
    }

    /// The place with this number.
    ///
    /// # Panics
    ///
    /// If the number comes from a larger table.
    pub fn place(&self, id: PlaceId) -> &Place {
        &self.places[id.index()]
    }

    /// All places that a lookup can yield, by number; the first is [`Place::UNKNOWN`].
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The finest scopes that [`Table::lookup_subnet`] yields.
    pub fn cap(&self) -> ScopeCap {
        self.cap
    }

    /// The number of leaves, of both families.
    pub fn len(&self) -> usize {
        self.leaves
    }

    /// Whether no lookup finds a place.
    pub fn is_empty(&self) -> bool {
        self.places.len() == 1
    }

    /// The leaves that [`Table::lookup_subnet`] sees, in order, IPv4 first. They are disjoint
    /// and cover everything.
    pub fn leaves(&self) -> impl Iterator<Item = (IpNet, PlaceId, Source)> + '_ {
        let v4 = self.v4.leaves().map(|(start, len, value)| {
            (Ipv4Net::new_assert(Ipv4Addr::from((start >> 32) as u32), len).into(), value)
        });
        let v6 = self.v6.leaves().map(|(start, len, value)| {
            let start = Ipv6Addr::from(u128::from(start) << 64);
            (Ipv6Net::new_assert(start, len).into(), value)
        });
        v4.chain(v6).map(|(prefix, value): (IpNet, Value)| (prefix, value.place(), value.source()))
    }

    /// The memory that the table holds, in bytes.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Table>()
            + size_of_val(&*self.places)
            + self.v4.memory_bytes()
            + self.v6.memory_bytes()
            + size_of_val(self.fine_v4.as_slice())
            + size_of_val(self.fine_v6.as_slice())
    }

    /// A hash of all that lookups can yield. Equal on every node for equal content, in whatever
    /// order it was put in; it does not change with the program's version, and is no defence
    /// against forgery.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Forgets places that were covered, or outvoted in every block, and numbers the rest anew.
    fn drop_unused_places(&mut self) {
        let mut used = vec![false; self.places.len()];
        used[PlaceId::UNKNOWN.index()] = true;
        self.each_value(|value| {
            used[value.place().index()] = true;
            value
        });
        let mut numbers = Vec::with_capacity(used.len());
        let mut kept = Vec::new();
        for (place, used) in self.places.iter().zip(used) {
            numbers.push(PlaceId(kept.len() as u32));
            if used {
                kept.push(*place);
            }
        }
        kept.shrink_to_fit();
        self.places = kept;
        self.each_value(|value| Value::new(numbers[value.place().index()], value.source()));
    }

    fn each_value(&mut self, mut f: impl FnMut(Value) -> Value) {
        self.v4.replace(&mut f);
        self.v6.replace(&mut f);
        self.fine_v4.replace(&mut f);
        self.fine_v6.replace(&mut f);
    }

    fn hash_content(&self) -> u64 {
        let mut hasher = SipHasher24::new();
        hasher.write_u64(u64::from_le_bytes([self.cap.v4, self.cap.v6, 0, 0, 0, 0, 0, 0]));
        for place in &self.places {
            let [a, b] = place.country.map_or([0, 0], Country::bytes);
            hasher.write(&[a, b]);
            // No latitude is NaN: the pattern says that there is no point.
            let (lat, lon) = place.point.map_or((f64::NAN, f64::NAN), |p| (p.lat(), p.lon()));
            hasher.write(&lat.to_bits().to_le_bytes());
            hasher.write(&lon.to_bits().to_le_bytes());
        }
        self.v4.hash(&mut hasher);
        self.v6.hash(&mut hasher);
        self.fine_v4.hash(&mut hasher);
        self.fine_v6.hash(&mut hasher);
        hasher.finish()
    }
}
