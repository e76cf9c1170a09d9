//! The table against a naive model: addresses one by one, prefixes one by one.

use proptest::prelude::*;

use super::*;
use crate::{Layer, Point, special};

mod lists;

#[test]
fn networks_win_over_databases_and_cut_them() {
    let mut builder = TableBuilder::new(ScopeCap::default());
    builder.database(database(&[("192.0.0.0/16", "US")]));
    builder.network(net("192.0.2.0/24"), place("SG")).unwrap();
    let table = builder.freeze();
    assert_eq!(found(&table, "192.0.2.9"), ("SG".into(), 24, Source::Network));
    // What is around it falls into ever larger leaves.
    assert_eq!(found(&table, "192.0.3.9"), ("US".into(), 24, Source::Database));
    assert_eq!(found(&table, "192.0.1.9"), ("US".into(), 23, Source::Database));
    assert_eq!(found(&table, "192.0.128.9"), ("US".into(), 17, Source::Database));
    assert_eq!(found(&table, "193.0.0.1"), ("?".into(), 8, Source::None));
    assert_eq!(found(&table, "64.0.0.1"), ("?".into(), 3, Source::None));
    assert_eq!(found(&table, "2001:db8::1"), ("?".into(), 3, Source::None));
}

#[test]
fn the_longest_network_wins_in_any_order() {
    let networks = [("10.0.0.0/8", "US"), ("10.1.0.0/16", "DE"), ("10.1.2.0/24", "SG")];
    let freeze = |order: [usize; 3]| {
        let mut builder = TableBuilder::new(ScopeCap::default());
        for i in order {
            builder.network(net(networks[i].0), place(networks[i].1)).unwrap();
        }
        builder.freeze()
    };
    let table = freeze([0, 1, 2]);
    assert_eq!(found(&table, "10.1.2.3").0, "SG");
    assert_eq!(found(&table, "10.1.3.3").0, "DE");
    assert_eq!(found(&table, "10.2.0.1").0, "US");
    assert_eq!(freeze([2, 0, 1]).fingerprint(), table.fingerprint());
    assert_eq!(freeze([1, 2, 0]).fingerprint(), table.fingerprint());
}

#[test]
fn equal_neighbours_are_one_leaf() {
    let quarters = [
        ("10.0.0.0/10", "US"),
        ("10.64.0.0/10", "US"),
        ("10.128.0.0/10", "US"),
        ("10.192.0.0/10", "US"),
    ];
    let mut builder = TableBuilder::new(ScopeCap::default()).special(&[]);
    builder.database(database(&quarters));
    let table = builder.freeze();
    assert_eq!(found(&table, "10.77.0.1"), ("US".into(), 8, Source::Database));
    let known = table.leaves().filter(|leaf| leaf.2 != Source::None);
    assert_eq!(known.map(|leaf| leaf.0).collect::<Vec<_>>(), [net("10.0.0.0/8")]);
    assert_eq!(table.len(), table.leaves().count());
    assert_eq!(table.places().len(), 2);
}

#[test]
fn below_the_cap_most_known_addresses_decide_of_countries_the_first() {
    let mut builder = TableBuilder::new(ScopeCap::default());
    builder.database(database(&[
        ("192.0.2.0/26", "DE"),
        ("192.0.2.64/27", "FR"),
        ("192.0.2.96/27", "DE"),
        ("192.0.2.128/26", "FR"),
        ("192.0.2.192/28", "FR"),
        ("192.0.3.64/27", "DE"),
        ("192.0.3.96/27", "FR3"),
        ("192.0.3.128/26", "DE3"),
        ("192.0.3.192/26", "FR3"),
        ("192.0.4.0/26", "DE3"),
        ("192.0.4.64/26", "FR3"),
        ("192.0.4.192/26", "FR3"),
        ("198.51.100.7/32", "SG"),
        ("2001:db8:0:1::/64", "SG"),
        ("2001:db8:0:2::/63", "US"),
    ]));
    let table = builder.freeze();
    assert_eq!(found(&table, "192.0.2.129"), ("DE".into(), 24, Source::Database));
    assert_eq!(found(&table, "192.0.3.1"), ("DE3".into(), 24, Source::Database));
    assert_eq!(found(&table, "192.0.4.1"), ("FR3".into(), 24, Source::Database));
    assert_eq!(found(&table, "198.51.100.200"), ("SG".into(), 24, Source::Database));
    assert_eq!(found(&table, "2001:db8::1"), ("SG".into(), 48, Source::Database));
    assert!(table.places().iter().all(|known| *known != place("FR")), "not there");
}

#[test]
fn networks_finer_than_the_cap_serve_sources_only() {
    let mut builder = TableBuilder::new(ScopeCap::default());
    builder.database(database(&[("192.0.2.0/24", "US")]));
    builder.network(net("192.0.2.128/25"), place("SG")).unwrap();
    builder.network(net("192.0.2.129/32"), place("DE")).unwrap();
    builder.network(net("2001:db8::53/128"), place("FR")).unwrap();
    let table = builder.freeze();
    let source = |address: &str| {
        let hit = table.lookup_source(address.parse().unwrap());
        (name(table.place(hit.place)), hit.scope)
    };
    assert_eq!(found(&table, "192.0.2.129"), ("US".into(), 24, Source::Database));
    assert_eq!(source("192.0.2.129"), ("DE".into(), 32));
    assert_eq!(source("192.0.2.128"), ("SG".into(), 32));
    assert_eq!(source("192.0.2.200"), ("SG".into(), 26));
    assert_eq!(source("192.0.2.1"), ("US".into(), 25));
    assert_eq!(source("192.0.3.1"), ("?".into(), 24));
    assert_eq!(source("2001:db8::53"), ("FR".into(), 128));
    assert_eq!(source("::ffff:192.0.2.129"), ("DE".into(), 32));
    assert_eq!(found(&table, "2001:db8::53").0, "?");
}

#[test]
fn a_network_may_say_that_nothing_is_known() {
    let mut builder = TableBuilder::new(ScopeCap::default());
    builder.database(database(&[("10.0.0.0/8", "US")]));
    builder.network(net("10.1.0.0/16"), Place::UNKNOWN).unwrap();
    let table = builder.freeze();
    assert_eq!(found(&table, "10.1.0.1"), ("?".into(), 16, Source::Network));
}

#[test]
fn what_is_wrong_is_refused_and_changes_nothing() {
    assert_eq!(ScopeCap::new(33, 48), Err(TableError::CapTooFine { v4: 33, v6: 48 }));
    assert_eq!(ScopeCap::new(24, 65), Err(TableError::CapTooFine { v4: 24, v6: 65 }));
    let mut builder = TableBuilder::new(ScopeCap::default());
    builder.network(net("10.1.0.0/16"), place("US")).unwrap();
    let twice = builder.network(net("10.1.2.3/16"), place("DE"));
    assert_eq!(twice, Err(TableError::SameNetwork(net("10.1.0.0/16"))));
    assert_eq!(found(&builder.freeze(), "10.1.0.1").0, "US");
}

#[test]
fn special_blocks_are_leaves_of_their_own() {
    let table = TableBuilder::new(ScopeCap::default()).freeze();
    let special = table.leaves().filter(|leaf| leaf.2 == Source::Special);
    assert_eq!(special.map(|leaf| leaf.0).collect::<Vec<_>>(), special::BLOCKS);
    assert!(table.leaves().all(|leaf| leaf.1 == PlaceId::UNKNOWN));
    assert!(table.is_empty());
    let shared = [("192.168.255.255", true), ("192.169.0.0", false), ("100.128.0.0", false)];
    for (address, is_special) in shared {
        let hit = table.lookup_source(address.parse().unwrap());
        assert_eq!(hit.source == Source::Special, is_special, "{address}");
    }
}

#[test]
fn special_blocks_win_over_databases_and_networks_over_both() {
    let mut builder = TableBuilder::new(ScopeCap::default());
    builder.database(database(&[("10.0.0.0/7", "US"), ("fd00::/8", "US")]));
    builder.network(net("10.1.0.0/16"), place("SG")).unwrap();
    builder.network(net("10.2.0.128/25"), place("DE")).unwrap();
    let table = builder.freeze();
    assert_eq!(found(&table, "11.0.0.1"), ("US".into(), 8, Source::Database));
    assert_eq!(found(&table, "10.1.0.1"), ("SG".into(), 16, Source::Network));
    assert_eq!(found(&table, "10.0.0.1"), ("?".into(), 16, Source::Special));
    assert_eq!(found(&table, "10.128.0.1"), ("?".into(), 9, Source::Special));
    assert_eq!(found(&table, "fd00::1"), ("?".into(), 7, Source::Special));
    let source = |address: &str| table.lookup_source(address.parse().unwrap()).source;
    assert_eq!(source("10.2.0.129"), Source::Network);
    assert_eq!(source("10.2.0.1"), Source::Special);
}

#[test]
fn below_the_cap_what_is_known_outvotes_special_blocks() {
    let mut builder = TableBuilder::new(ScopeCap::new(8, 16).unwrap());
    builder.database(database(&[("192.0.2.0/24", "US")]));
    let table = builder.freeze();
    assert_eq!(found(&table, "192.168.0.1"), ("US".into(), 8, Source::Database));
    assert_eq!(found(&table, "172.16.0.1"), ("?".into(), 8, Source::Special));
    assert_eq!(found(&table, "172.0.0.1"), ("?".into(), 8, Source::Special));
    assert_eq!(found(&table, "::1"), ("?".into(), 16, Source::Special));
}

#[test]
fn without_any_leaf_there_is_one_per_family() {
    let table = TableBuilder::new(ScopeCap::default()).special(&[]).freeze();
    let leaves: Vec<_> = table.leaves().collect();
    let none = |prefix: &str| (net(prefix), PlaceId::UNKNOWN, Source::None);
    assert_eq!(leaves, [none("0.0.0.0/0"), none("::/0")]);
    assert!(table.is_empty());
}

proptest! {
    #[test]
    fn agrees_with_the_model(world in world()) {
        let table = world.table();
        let (subnets, sources) = world.model();
        for unit in 0..world.units() {
            let address = world.address(unit);
            let seen = |hit: Hit| (name(table.place(hit.place)), hit.source);
            prop_assert_eq!(seen(table.lookup_subnet(address)), subnets[unit as usize].clone());
            prop_assert_eq!(seen(table.lookup_source(address)), sources[unit as usize].clone());
        }
    }

    #[test]
    fn a_scope_is_provable(world in world(), far in any::<u128>()) {
        let table = world.table();
        let inside: Vec<IpAddr> = (0..world.units()).map(|unit| world.address(unit)).collect();
        for address in inside.iter().copied().chain([world.any_address(far)]) {
            for lookup in [Table::lookup_subnet, Table::lookup_source] {
                let hit = lookup(&table, address);
                let scope = IpNet::new(address, hit.scope).unwrap();
                let own = inside.iter().filter(|other| scope.contains(*other));
                for other in own.copied().chain([scope.network(), scope.broadcast(), within(scope, far)]) {
                    prop_assert_eq!(lookup(&table, other), hit, "{} in {}", other, scope);
                }
            }
        }
    }

    #[test]
    fn a_subnets_scope_is_as_wide_as_can_be(world in world(), far in any::<u128>()) {
        let table = world.table();
        let inside = (0..world.units()).map(|unit| world.address(unit));
        for address in inside.chain([world.any_address(far)]) {
            let hit = table.lookup_subnet(address);
            prop_assert!(hit.scope <= world.cap_of(address));
            // The other half of the block around it is another place, or several.
            let scope = IpNet::new(address, hit.scope).unwrap();
            if let Some(sibling) = sibling(scope) {
                let other = table.lookup_subnet(sibling.network());
                let same = (other.place, other.source) == (hit.place, hit.source);
                prop_assert!(!same || other.scope > hit.scope, "{} could be wider", scope);
            }
        }
    }

    #[test]
    fn leaves_tile_the_space(world in world()) {
        let table = world.table();
        let mut behind = None;
        for (prefix, place, source) in table.leaves() {
            let expected = match (behind, prefix) {
                (None, IpNet::V4(_)) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                (Some(IpNet::V4(last)), IpNet::V6(_)) => {
                    prop_assert_eq!(last.broadcast(), Ipv4Addr::BROADCAST);
                    IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                }
                (Some(IpNet::V4(last)), _) => IpAddr::V4((u32::from(last.broadcast()) + 1).into()),
                (Some(IpNet::V6(last)), _) => IpAddr::V6((u128::from(last.broadcast()) + 1).into()),
                (None, IpNet::V6(_)) => panic!("IPv4 comes first"),
            };
            prop_assert_eq!(prefix.network(), expected);
            let hit = table.lookup_subnet(prefix.network());
            prop_assert_eq!((hit.place, hit.scope, hit.source), (place, prefix.prefix_len(), source));
            behind = Some(prefix);
        }
        prop_assert_eq!(behind.unwrap().broadcast(), IpAddr::V6(u128::MAX.into()));
        prop_assert_eq!(table.len(), table.leaves().count());
    }

    #[test]
    fn the_fingerprint_is_of_the_content(world in world(), seed in any::<u64>()) {
        let table = world.table();
        let mut shuffled = world.clone();
        shuffled.databases.iter_mut().for_each(|database| shuffle(database, seed));
        shuffle(&mut shuffled.networks, seed);
        let shuffled = shuffled.table();
        prop_assert_eq!(shuffled.fingerprint(), table.fingerprint());
        prop_assert_eq!(shuffled.places(), table.places());

        let mut other = world.clone();
        let cap = world.cap_of(world.base.network());
        let finest = world.prefix(0, cap - world.base.prefix_len());
        other.networks.retain(|(prefix, _)| *prefix != finest);
        other.networks.push((finest, "AQ"));
        prop_assert_ne!(other.table().fingerprint(), table.fingerprint());
    }
}

/// A small piece of an address space in which every address, or block of addresses of one size,
/// can be visited: `base` in 2⁸ units.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) base: IpNet,
    pub(crate) cap: ScopeCap,
    databases: Vec<Vec<(IpNet, &'static str)>>,
    special: Vec<IpNet>,
    networks: Vec<(IpNet, &'static str)>,
    /// Networks of lists, no finer than the cap, inside special blocks.
    claimed: Vec<IpNet>,
}

/// How many bits below the base the units are.
pub(crate) const UNIT_BITS: u8 = 8;

pub(crate) const NAMES: [&str; 5] = ["DE", "FR", "SG", "US", "ZA"];
/// Countries, and places in them.
const PLACES: [&str; 7] = ["DE", "DE3", "DE4", "FR", "SG", "US", "US3"];

/// A place by its name, and who said so.
type Seen = (String, Source);

impl World {
    pub(crate) fn table(&self) -> Table {
        self.builder(Lists::default()).freeze()
    }

    fn builder(&self, lists: Lists) -> TableBuilder {
        let mut builder = TableBuilder::with_lists(self.cap, lists).special(&self.special);
        for leaves in &self.databases {
            builder.database(database(leaves));
        }
        for &(prefix, name) in &self.networks {
            builder.network(prefix, place(name)).unwrap();
        }
        builder
    }

    pub(crate) fn units(&self) -> u32 {
        1 << UNIT_BITS
    }

    pub(crate) fn address(&self, unit: u32) -> IpAddr {
        self.prefix(unit, UNIT_BITS).network()
    }

    /// The prefix around a unit that is `len` bits longer than the base.
    pub(crate) fn prefix(&self, unit: u32, len: u8) -> IpNet {
        let bits = |width: u8| u128::from(unit) << (width - self.base.prefix_len() - UNIT_BITS);
        let address = match self.base.network() {
            IpAddr::V4(base) => IpAddr::V4((u32::from(base) | bits(32) as u32).into()),
            IpAddr::V6(base) => IpAddr::V6((u128::from(base) | bits(128)).into()),
        };
        IpNet::new(address, self.base.prefix_len() + len).unwrap().trunc()
    }

    fn any_address(&self, bits: u128) -> IpAddr {
        match self.base {
            IpNet::V4(_) => IpAddr::V4((bits as u32).into()),
            IpNet::V6(_) => IpAddr::V6(bits.into()),
        }
    }

    fn cap_of(&self, address: IpAddr) -> u8 {
        if address.is_ipv4() { self.cap.v4 } else { self.cap.v6 }
    }

    /// What each unit's subnet and source lookups should find.
    fn model(&self) -> (Vec<Seen>, Vec<Seen>) {
        let cap = self.cap_of(self.base.network());
        let units = || 0..self.units();
        let coarse: Vec<_> =
            units().map(|unit| self.of_unit(unit, |net| net.prefix_len() <= cap)).collect();
        let below = (self.base.prefix_len() + UNIT_BITS).saturating_sub(cap).min(UNIT_BITS);
        let blocks: Vec<_> = coarse.chunks(1 << below).map(elected).collect();
        let subnets: Vec<_> = units().map(|unit| blocks[unit as usize >> below].clone()).collect();
        let sources = units().map(|unit| {
            let fine = self.of_unit(unit, |net| net.prefix_len() > cap);
            if fine.1 == Source::Network { fine } else { subnets[unit as usize].clone() }
        });
        let sources = sources.collect();
        (subnets, sources)
    }

    /// A single unit: the longest of the networks that `eligible` lets pass, else special if a
    /// special block holds it, else the first database's longest prefix.
    fn of_unit(&self, unit: u32, eligible: impl Fn(&IpNet) -> bool) -> Seen {
        let address = self.address(unit);
        let longest = |leaves: &[(IpNet, &'static str)], eligible: &dyn Fn(&IpNet) -> bool| {
            let covering = leaves.iter().filter(|(net, _)| net.contains(&address) && eligible(net));
            // Of equal prefixes, the place that sorts last.
            let best = covering.max_by_key(|(net, name)| (net.prefix_len(), *name));
            best.map(|leaf| leaf.1.to_owned())
        };
        if let Some(name) = longest(&self.networks, &eligible) {
            return (name, Source::Network);
        }
        if self.claimed.iter().any(|net| net.contains(&address) && eligible(net)) {
            return ("?".into(), Source::Network);
        }
        if self.special.iter().any(|block| block.contains(&address)) {
            return ("?".into(), Source::Special);
        }
        let database = self.databases.iter().find_map(|leaves| longest(leaves, &|_| true));
        database.map_or(("?".into(), Source::None), |name| (name, Source::Database))
    }
}

/// The most frequent known place of a block, that of the lowest address if several are; only of the first's
/// country, if no more is known of the first. Else special if any of it is.
fn elected(block: &[Seen]) -> Seen {
    let placed = |unit: &&Seen| matches!(unit.1, Source::Network | Source::Database);
    let country = |unit: &Seen| unit.0[..unit.0.len().min(2)].to_owned();
    let first = block.iter().find(placed).filter(|unit| unit.0.len() <= 2).map(country);
    let stands = |unit: &&Seen| first.as_ref().is_none_or(|first| country(unit) == *first);
    let known = || block.iter().filter(placed).filter(stands);
    let count = |name: &str| known().filter(|unit| unit.0 == name).count();
    let first = |name: &str| std::cmp::Reverse(known().position(|unit| unit.0 == name));
    let best = known().max_by_key(|unit| (count(&unit.0), first(&unit.0)));
    let special = || block.iter().find(|unit| unit.1 == Source::Special);
    best.or_else(special).cloned().unwrap_or(("?".into(), Source::None))
}

pub(crate) fn world() -> impl Strategy<Value = World> {
    let v4 = (any::<u32>(), 0..=22u8, 0..=10u8).prop_map(|(bits, len, cap)| {
        let base = IpNet::new(IpAddr::V4(bits.into()), len).unwrap().trunc();
        (base, ScopeCap::new(len + cap, 48).unwrap())
    });
    let v6 = (any::<u128>(), 0..=62u8, 0..=10u8).prop_map(|(bits, len, cap)| {
        let base = IpNet::new(IpAddr::V6(bits.into()), len).unwrap().trunc();
        (base, ScopeCap::new(24, (len + cap).min(64)).unwrap())
    });
    prop_oneof![v4, v6].prop_flat_map(|(base, cap)| {
        let leaf = (any::<u32>(), 0..=UNIT_BITS, prop::sample::select(&PLACES[..]));
        let leaves = prop::collection::vec(leaf, 0..16);
        let special = prop::collection::vec((any::<u32>(), 0..=UNIT_BITS), 0..4);
        (prop::collection::vec(leaves.clone(), 0..3), special, leaves).prop_map(
            move |(databases, special, networks)| {
                let mut world = World {
                    base,
                    cap,
                    databases: vec![],
                    special: vec![],
                    networks: vec![],
                    claimed: vec![],
                };
                let placed = |leaves: Vec<(u32, u8, &'static str)>| -> Vec<(IpNet, &'static str)> {
                    let prefix = |unit: u32, len| world.prefix(unit % world.units(), len);
                    leaves.into_iter().map(|(unit, len, name)| (prefix(unit, len), name)).collect()
                };
                let mut networks = placed(networks);
                networks.sort_unstable();
                networks.dedup_by_key(|network| network.0);
                let databases = databases.into_iter().map(placed).collect();
                let block = |(unit, len)| world.prefix(unit % world.units(), len);
                let special = special.into_iter().map(block).collect();
                world.networks = networks;
                world.special = special;
                world.databases = databases;
                world
            },
        )
    })
}

/// The other half of the prefix that is one bit shorter.
fn sibling(prefix: IpNet) -> Option<IpNet> {
    let parent = prefix.supernet()?;
    parent.subnets(prefix.prefix_len()).unwrap().find(|half| *half != prefix.trunc())
}

fn within(prefix: IpNet, bits: u128) -> IpAddr {
    match prefix.trunc() {
        IpNet::V4(net) => {
            (u32::from(net.addr()) | bits as u32 & u32::from(net.hostmask())).to_be_bytes().into()
        }
        IpNet::V6(net) => {
            (u128::from(net.addr()) | bits & u128::from(net.hostmask())).to_be_bytes().into()
        }
    }
}

/// Sorts by a hash that the seed picks.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed | 1;
    for i in (1..items.len()).rev() {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        items.swap(i, (state >> 33) as usize % (i + 1));
    }
}

fn database(leaves: &[(impl ToString, &str)]) -> Layer {
    let mut layer = Layer::new(Source::Database);
    leaves.iter().for_each(|(prefix, name)| layer.insert(net(&prefix.to_string()), place(name)));
    layer
}

fn found(table: &Table, address: &str) -> (String, u8, Source) {
    let hit = table.lookup_subnet(address.parse().unwrap());
    (name(table.place(hit.place)), hit.scope, hit.source)
}

fn name(place: &Place) -> String {
    let country = place.country.map_or("?".into(), |country| country.to_string());
    country + &place.point.map_or_else(String::new, |point| format!("{:.0}", point.lon()))
}

/// `US` is the country, and `US3` a place there.
fn place(name: &str) -> Place {
    let (country, longitude) = name.split_at(2);
    let point = longitude.parse().ok().map(|longitude| Point::new(1.0, longitude).unwrap());
    Place { country: Some(country.parse().unwrap()), point }
}

fn net(prefix: &str) -> IpNet {
    prefix.parse().unwrap()
}
