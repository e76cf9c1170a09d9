//! The prefix table: from an address to its place, with the client-subnet scope in which the
//! answer holds.
//!
//! Built mutable, published frozen:
//!
//! ```text
//! Layer (mmdb file) ─┐
//! Layer (mmdb file) ─┼─▶ TableBuilder ──freeze──▶ Table ──lookup──▶ Hit { place, scope, source }
//! special blocks ────┤                                                    │
//! networks (config) ─┤                                    Place, and the ListSet that it is in
//! Lists (of rules) ──┘
//! ```

use std::hash::Hasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use siphasher::sip::SipHasher24;

use crate::partition::Partition;
use crate::runs::{Runs, Value};
use crate::{Country, ListSet, Lists, Place, PlaceId, Source};

pub use builder::TableBuilder;

mod builder;
#[cfg(test)]
pub(crate) mod tests;

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

pub(crate) fn key_v4(address: u32) -> u64 {
    u64::from(address) << 32
}

/// Without the lower half, which is beyond every cap.
pub(crate) fn key_v6(address: u128) -> u64 {
    (address >> 64) as u64
}

/// Where in its table something was found, for [`Scopes`](crate::Scopes) to go on from. The default
/// is nowhere.
#[derive(Clone, Copy, Debug)]
pub struct Slot(pub(crate) usize);

impl Default for Slot {
    fn default() -> Slot {
        Slot(usize::MAX)
    }
}

/// Where an address is, and for which addresses around it the same holds. Equal hits say the same;
/// where they were found is not compared.
#[derive(Clone, Copy, Debug)]
pub struct Hit {
    /// The place's number in the table.
    pub place: PlaceId,
    /// The prefix length of a network around the address in which every address gets this hit.
    pub scope: u8,
    /// Where the place was learnt.
    pub source: Source,
    /// Where the table has it.
    pub slot: Slot,
}

impl PartialEq for Hit {
    fn eq(&self, other: &Hit) -> bool {
        (self.place, self.scope, self.source) == (other.place, other.scope, other.source)
    }
}

impl Eq for Hit {}

impl Hit {
    fn new(value: Value, scope: u8, slot: Slot) -> Hit {
        Hit { place: value.place(), scope, source: value.source(), slot }
    }
}

/// A leaf of which something is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The leaf.
    pub prefix: IpNet,
    /// Where it is.
    pub place: PlaceId,
    /// Who says so.
    pub source: Source,
    /// How many blocks of the cap's size it holds: at the usual cap, /24s and /48s. That is what a
    /// leaf weighs in a mean over all of them.
    pub blocks: u64,
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
    lists: Lists,
    /// By place; empty if there are no lists.
    listed: Vec<ListSet>,
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
        let (value, scope, slot) = match address {
            IpAddr::V4(v4) => self.v4.lookup(key_v4(v4.into())),
            IpAddr::V6(v6) => self.v6.lookup(key_v6(v6.into())),
        };
        Hit::new(value, scope, Slot(slot))
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
            return Hit::new(value, scope, Slot::default());
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

    /// All places that a lookup can yield, by number; the first is [`Place::UNKNOWN`]. A place of
    /// which some addresses are in other lists than the rest is here more than once.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The numbers of all places.
    pub fn place_ids(&self) -> impl ExactSizeIterator<Item = PlaceId> + use<> {
        (0..self.places.len() as u32).map(PlaceId)
    }

    /// The lists that the addresses of a place are in.
    pub fn lists_of(&self, id: PlaceId) -> ListSet {
        self.listed.get(id.index()).copied().unwrap_or_default()
    }

    /// The lists that the table tells apart.
    pub fn lists(&self) -> &Lists {
        &self.lists
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
        self.places.iter().all(Place::is_unknown)
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

    /// The leaves of which something is known, from a network or a database: as good as all that
    /// is routed. In order, IPv4 first.
    pub fn routed(&self) -> impl Iterator<Item = Routed> + '_ {
        let routed = self.leaves().filter(|(_, _, source)| {
            matches!(source, Source::Network | Source::Database | Source::BuiltIn)
        });
        routed.map(|(prefix, place, source)| {
            let cap = if prefix.addr().is_ipv4() { self.cap.v4 } else { self.cap.v6 };
            let bits = u32::from(cap.saturating_sub(prefix.prefix_len()));
            let blocks = 1_u64.checked_shl(bits).unwrap_or(u64::MAX);
            Routed { prefix, place, source, blocks }
        })
    }

    /// The frozen leaves of IPv4 and IPv6.
    pub(crate) fn partitions(&self) -> (&Partition, &Partition) {
        (&self.v4, &self.v6)
    }

    /// The memory that the table holds, in bytes, without that of its lists' text.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Table>()
            + size_of_val(&*self.places)
            + size_of_val(&*self.listed)
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
        self.listed.iter().for_each(|lists| hasher.write_u64(lists.bits()));
        self.v4.hash(&mut hasher);
        self.v6.hash(&mut hasher);
        self.fine_v4.hash(&mut hasher);
        self.fine_v6.hash(&mut hasher);
        hasher.finish()
    }
}
