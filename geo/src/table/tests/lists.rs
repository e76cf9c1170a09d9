//! Lists against a naive model: every address of a small world, list by list.

use super::*;
use crate::marks::Listed;
use crate::{ListSet, MAX_LISTS, Selector, Who};

#[test]
fn a_place_is_another_where_it_is_in_another_list() {
    let (table, [office, partners]) =
        listed(&["192.0.0.0/16"], [&["192.0.2.0/24"], &["192.0.2.0/25", "192.0.3.0/24"]]);
    let at = |address: &str| {
        let hit = table.lookup_subnet(address.parse().unwrap());
        let name = name(table.place(hit.place));
        (name, hit.scope, office.holds(&table, hit.place), partners.holds(&table, hit.place))
    };
    assert_eq!(at("192.0.2.1"), ("US".into(), 24, true, false));
    assert_eq!(at("192.0.3.1"), ("US".into(), 24, false, true));
    assert_eq!(at("192.0.1.1"), ("US".into(), 23, false, false));
    assert_eq!(at("193.0.0.1"), ("?".into(), 8, false, false));
    // Finer than the cap: only who asks for itself is told apart, by all lists around it.
    let source = |address: &str| {
        let hit = table.lookup_source(address.parse().unwrap());
        (hit.scope, office.holds(&table, hit.place), partners.holds(&table, hit.place))
    };
    assert_eq!(source("192.0.2.1"), (25, true, true));
    assert_eq!(source("192.0.2.129"), (25, true, false));
    assert_eq!(table.places().len(), 5, "unknown, US, in either list, and in both");
}

#[test]
fn what_nobody_places_can_be_listed() {
    let (table, [list, _]) = listed(&[], [&["203.0.113.0/24"], &["2001:db8::/32"]]);
    let hit = table.lookup_subnet("203.0.113.9".parse().unwrap());
    assert_eq!((hit.scope, hit.source), (24, Source::None));
    assert!(list.holds(&table, hit.place) && !list.holds(&table, PlaceId::UNKNOWN));
    assert!(table.place(hit.place).is_unknown() && table.is_empty());
    assert_eq!(table.routed().count(), 0);
}

#[test]
fn a_private_network_in_a_list_is_one_that_clients_ask_from() {
    let (table, [list, _]) = listed(&[], [&["10.1.0.0/16"], &["0.0.0.0/0"]]);
    let hit = |address: &str| table.lookup_subnet(address.parse().unwrap());
    assert_eq!((hit("10.1.2.3").source, hit("10.1.2.3").scope), (Source::Network, 16));
    assert!(list.holds(&table, hit("10.1.2.3").place));
    assert_eq!(hit("10.2.0.1").source, Source::Special, "a wider network means no block in it");
    assert_eq!(hit("192.168.0.1").source, Source::Special);
}

#[test]
fn what_is_too_much_is_refused() {
    let selector = |i: usize| Selector::Asn(i as u32);
    let rules: Vec<Vec<Selector>> = (0..=MAX_LISTS).map(|i| vec![selector(i)]).collect();
    let slices = |rules: &[Vec<Selector>]| Lists::new(rules.iter().map(Vec::as_slice));
    assert_eq!(slices(&rules), Err(crate::ListsError::TooMany(MAX_LISTS + 1)));
    let twice = [&rules[..MAX_LISTS], &rules[..1]].concat();
    let full = slices(&twice).unwrap();
    assert_eq!(full.len(), MAX_LISTS, "equal lists are one");
    let table = TableBuilder::with_lists(ScopeCap::default(), full).freeze();
    assert_eq!(table.lists().len(), MAX_LISTS, "a table takes as many as are allowed");
    let long: Vec<Selector> = (0..=crate::MAX_LISTED).map(selector).collect();
    assert_eq!(slices(&[long]), Err(crate::ListsError::TooLong(crate::MAX_LISTED + 1)));
}

#[test]
fn equal_rules_make_equal_lists_in_any_order() {
    let read = |texts: &[&str]| -> Vec<Selector> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    };
    let (a, b) = (read(&["AS64496", "192.0.2.0/24", "DE"]), read(&["198.51.100.0/24"]));
    let again = read(&["all", "192.0.2.0/24", "AS64496", "192.0.2.0/24"]);
    let lists = Lists::new([&a[..], &b, &read(&["DE"])]).unwrap();
    assert_eq!(lists, Lists::new([&b[..], &again]).unwrap());
    assert_eq!(lists.len(), 2);
    assert_eq!(lists.asns(), [64496].into());
    let who = lists.who(&a).unwrap();
    assert_eq!(who[0], Who::Country("DE".parse().unwrap()));
    assert_eq!(lists.who(&again).unwrap(), [Who::All, who[1]]);
    assert_eq!(lists.who(&read(&["AS64497"])), None);
}

proptest! {
    #[test]
    fn every_address_is_in_its_lists(world in listed_world()) {
        let table = world.table();
        let (subnets, sources) = world.model();
        for unit in 0..world.places.units() {
            let address = world.places.address(unit);
            let subnet = table.lookup_subnet(address);
            let source = table.lookup_source(address);
            let found = |hit: Hit| (table.lists_of(hit.place), name(table.place(hit.place)), hit.source);
            prop_assert_eq!(found(subnet), subnets[unit as usize].clone(), "subnet {}", address);
            if address.to_canonical() == address {
                prop_assert_eq!(found(source), sources[unit as usize].clone(), "source {}", address);
            }
        }
    }

    #[test]
    fn a_hit_holds_in_its_scope_and_no_wider(world in listed_world()) {
        let table = world.table();
        for (prefix, place, source) in table.leaves() {
            let scope = prefix.prefix_len();
            let leaf = Hit { place, source, scope, slot: Slot::default() };
            prop_assert_eq!(table.lookup_subnet(prefix.network()), leaf);
            prop_assert_eq!(table.lookup_subnet(prefix.broadcast()), leaf);
            if let Some(other) = sibling(prefix) {
                prop_assert_ne!(table.lookup_subnet(other.network()), leaf);
            }
        }
    }

    #[test]
    fn the_order_of_rules_and_files_means_nothing(world in listed_world(), seed in any::<u64>()) {
        let mut shuffled = world.clone();
        shuffle(&mut shuffled.lists, seed);
        shuffled.lists.iter_mut().for_each(|list| shuffle(list, seed));
        shuffle(&mut shuffled.systems, seed);
        let (table, shuffled) = (world.table(), shuffled.table());
        prop_assert_eq!(table.fingerprint(), shuffled.fingerprint());
        prop_assert_eq!(table.lists(), shuffled.lists());
    }
}

/// A table with some networks in the US, and who is in each of two lists.
fn listed(placed: &[&str], lists: [&[&str]; 2]) -> (Table, [Who; 2]) {
    let rules = lists
        .map(|texts| -> Vec<Selector> { texts.iter().map(|text| text.parse().unwrap()).collect() });
    let lists = Lists::new(rules.iter().map(Vec::as_slice)).unwrap();
    let who = rules.each_ref().map(|rule| lists.who(rule).unwrap()[0]);
    let mut builder = TableBuilder::with_lists(ScopeCap::default(), lists);
    let leaves: Vec<_> = placed.iter().map(|prefix| (prefix, "US")).collect();
    builder.database(database(&leaves));
    (builder.freeze(), who)
}

/// A world with lists of networks, and prefixes of an autonomous system that is in the first list.
#[derive(Clone, Debug)]
struct ListedWorld {
    places: World,
    lists: Vec<Vec<IpNet>>,
    systems: Vec<IpNet>,
}

/// What a look-up should find: its lists, its place and who says so.
type Found = (ListSet, String, Source);

impl ListedWorld {
    /// Each list's selectors; the first has the autonomous system as well.
    fn rules(&self) -> Vec<Vec<Selector>> {
        let networks = |list: &Vec<IpNet>| list.iter().copied().map(Selector::Network).collect();
        let mut rules: Vec<Vec<Selector>> = self.lists.iter().map(networks).collect();
        rules.push(vec![Selector::Asn(64496)]);
        rules
    }

    fn table(&self) -> Table {
        let rules = self.rules();
        let lists = Lists::new(rules.iter().map(Vec::as_slice)).unwrap();
        let mut builder = self.places.builder(lists);
        let set = builder.lists().by_asn()[&64496];
        let mut systems = Listed::default();
        self.systems.iter().for_each(|&prefix| systems.push(prefix, set));
        builder.asns(systems);
        builder.freeze()
    }

    fn model(&self) -> (Vec<Found>, Vec<Found>) {
        let cap = self.places.cap_of(self.places.base.network());
        let claims = |net: &&IpNet| {
            net.prefix_len() <= cap && self.places.special.iter().any(|block| block.contains(*net))
        };
        let claimed = self.lists.iter().flatten().filter(claims).copied().collect();
        let (subnets, sources) = World { claimed, ..self.places.clone() }.model();
        let rules = self.rules();
        let lists = Lists::new(rules.iter().map(Vec::as_slice)).unwrap();
        let set = |rule: &[Selector]| match lists.who(rule).unwrap()[..] {
            [Who::List(list)] => ListSet::of(list),
            _ => ListSet::NONE,
        };
        let named = |unit: u32, most: u8| {
            let address = self.places.address(unit);
            let holds = |list: &&Vec<IpNet>| {
                list.iter().any(|net| net.prefix_len() <= most && net.contains(&address))
            };
            let named = self.lists.iter().zip(&rules).filter(|(list, _)| holds(list));
            named.fold(ListSet::NONE, |all, (_, rule)| all.union(set(rule)))
        };
        let system = |unit: u32| {
            let below =
                (self.places.base.prefix_len() + UNIT_BITS).saturating_sub(cap).min(UNIT_BITS);
            let first = unit >> below << below;
            let block = first..first + (1 << below);
            let in_system = |unit: &u32| {
                self.systems.iter().any(|net| net.contains(&self.places.address(*unit)))
            };
            let most = block.clone().filter(in_system).count() * 2 > block.len();
            if most { set(&rules[self.lists.len()]) } else { ListSet::NONE }
        };
        let found = |(unit, (name, source)): (u32, Seen), most: u8| {
            (named(unit, most).union(system(unit)), name, source)
        };
        let subnets = (0..).zip(subnets).map(|seen| found(seen, cap)).collect();
        (subnets, (0..).zip(sources).map(|seen| found(seen, u8::MAX)).collect())
    }
}

fn listed_world() -> impl Strategy<Value = ListedWorld> {
    let prefix = (any::<u32>(), 0..=UNIT_BITS);
    let prefixes = || prop::collection::vec(prefix.clone(), 1..4);
    (world(), prop::collection::vec(prefixes(), 0..4), prefixes()).prop_map(
        |(places, lists, systems)| {
            let of = |prefixes: Vec<(u32, u8)>| -> Vec<IpNet> {
                let prefix = |(unit, len)| places.prefix(unit % places.units(), len);
                prefixes.into_iter().map(prefix).collect()
            };
            let lists = lists.into_iter().map(of).collect();
            let systems = of(systems);
            ListedWorld { places, lists, systems }
        },
    )
}
