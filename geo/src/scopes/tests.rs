//! Scopes against a naive model: every block of a small world, view by view.

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;
use crate::table::tests::{NAMES, UNIT_BITS, World, world};
use crate::{FenceRule, LensRule, Point, Who, Within};

const LOCATIONS: u8 = 5;

/// What a client's answer can depend on, said at length.
#[derive(Clone, Debug, PartialEq)]
enum View {
    Special,
    /// Behind the fence there is nothing: what its rule answers.
    Refused(Option<u8>),
    /// Through each lens, the locations that are left, group by group.
    Seen(Vec<Vec<Vec<u8>>>),
}

proptest! {
    #[test]
    fn scopes_are_as_wide_as_views_are_alike(class in class()) {
        let (table, scopes) = (class.world.table(), class.scopes());
        let views = class.views(&table);
        let unknown = class.view(&table, PlaceId::UNKNOWN, Source::None);
        for unit in 0..class.world.units() {
            let address = class.world.address(unit);
            let slot = table.lookup_subnet(address).slot;
            let scope = scopes.scope(&table, address, slot);
            prop_assert_eq!(scope, scopes.scope(&table, address, Slot::default()));
            prop_assert_eq!(scope, class.widest(&views, &unknown, unit), "{}", class.world.address(unit));
        }
        prop_assert!(scopes.count(&table) <= table.len());
    }

    #[test]
    fn a_merged_class_is_never_finer_than_the_leaves(class in class()) {
        let (table, scopes) = (class.world.table(), class.scopes());
        for (leaf, _, _) in table.leaves() {
            let scope = |address| {
                scopes.scope(&table, address, table.lookup_subnet(address).slot)
            };
            prop_assert!(scope(leaf.network()) <= leaf.prefix_len());
            prop_assert_eq!(scope(leaf.network()), scope(leaf.broadcast()));
        }
    }
}

#[test]
fn a_service_in_one_location_has_one_scope_but_for_special_blocks() {
    let mut builder = crate::TableBuilder::new(crate::ScopeCap::default());
    crate::builtin::load(&mut builder);
    let table = builder.freeze();
    let points = [Point::new(1.0, 2.0).unwrap(), Point::new(50.0, 8.0).unwrap()];
    let lens = Lens::build(&table, &points, &LensRule::default());
    let special = table.leaves().filter(|leaf| leaf.2 == Source::Special);
    let one = Scopes::build(&table, &[&lens], None, 0b10);
    let two = Scopes::build(&table, &[&lens], None, 0b11);
    // Each cuts at most one sibling off for each of its bits.
    let most: usize = special.map(|leaf| 1 + usize::from(leaf.0.prefix_len())).sum();
    assert!(one.count(&table) <= most, "{} of {most}", one.count(&table));
    assert!(one.count(&table) < two.count(&table) && two.count(&table) < table.len() / 2);
    for (prefix, _, source) in table.leaves() {
        if source == Source::Special {
            assert_eq!(two.scope(&table, prefix.network(), Slot::default()), prefix.prefix_len());
        }
    }
}

/// A class over a small world: rules by country, so that views differ as places do.
#[derive(Clone, Debug)]
struct Class {
    world: World,
    lenses: Vec<LensRule>,
    fence: Option<FenceRule>,
    mask: Mask,
}

impl Class {
    fn built(&self, table: &Table) -> (Vec<Lens>, Option<Fence>) {
        let points: Vec<Point> =
            (0..LOCATIONS).map(|i| Point::new(f64::from(i) * 10.0, 0.0).unwrap()).collect();
        let lenses = self.lenses.iter().map(|rule| Lens::build(table, &points, rule)).collect();
        (lenses, self.fence.as_ref().map(|rule| Fence::build(table, rule)))
    }

    fn scopes(&self) -> Scopes {
        let table = self.world.table();
        let (lenses, fence) = self.built(&table);
        let lenses: Vec<&Lens> = lenses.iter().collect();
        Scopes::build(&table, &lenses, fence.as_ref(), self.mask)
    }

    fn view(&self, table: &Table, place: PlaceId, source: Source) -> View {
        if source == Source::Special {
            return View::Special;
        }
        let (lenses, fence) = self.built(table);
        let (allowed, rule) = fence.map_or((Mask::MAX, None), |fence| fence.allowed(place));
        let left = |location: &u8| self.mask & allowed & 1 << location != 0;
        if !(0..LOCATIONS).any(|location| left(&location)) {
            return View::Refused(rule);
        }
        let seen = |lens: &Lens| -> Vec<Vec<u8>> {
            let row = lens.row(place);
            let mut groups: Vec<Vec<u8>> = Vec::new();
            for (position, &location) in row.order.iter().enumerate() {
                if row.groups & 1 << position != 0 {
                    groups.push(Vec::new());
                }
                groups.last_mut().unwrap().push(location);
            }
            groups.iter_mut().for_each(|group| group.retain(left));
            groups.retain(|group| !group.is_empty());
            groups
        };
        // Without a lens only which locations are left can matter.
        let unranked = vec![(0..LOCATIONS).filter(left).collect()];
        View::Seen(std::iter::once(unranked).chain(lenses.iter().map(seen)).collect())
    }

    fn views(&self, table: &Table) -> Vec<View> {
        let view = |unit| {
            let hit = table.lookup_subnet(self.world.address(unit));
            self.view(table, hit.place, hit.source)
        };
        (0..self.world.units()).map(view).collect()
    }

    /// The shortest prefix around a unit in which all views are equal. All around the world is
    /// unknown.
    fn widest(&self, views: &[View], unknown: &View, unit: u32) -> u8 {
        let view = &views[unit as usize];
        if views.iter().all(|other| other == unknown) {
            return 0;
        }
        let alike = |len: &u8| {
            let around: IpNet = self.world.prefix(unit, *len);
            let inside = |unit: &u32| around.contains(&self.world.address(*unit));
            (0..self.world.units()).filter(inside).all(|other| &views[other as usize] == view)
        };
        let len = (0..=UNIT_BITS).find(alike).expect("a unit is like itself");
        self.world.base.prefix_len() + len
    }
}

fn class() -> impl Strategy<Value = Class> {
    let who =
        || prop::sample::select(&NAMES[..]).prop_map(|name| Who::Country(name.parse().unwrap()));
    let whos = move || prop::collection::vec(prop_oneof![4 => who(), 1 => Just(Who::All)], 1..3);
    let order = prop::collection::vec(0..LOCATIONS, 0..4);
    let within = prop::option::of(prop::sample::select(vec![
        Within::Percent(0),
        Within::Percent(60),
        Within::Kilometres(1500),
    ]));
    let lens = (prop::collection::vec((whos(), order), 0..4), within)
        .prop_map(|(prefer, within)| LensRule { prefer, within, bias: Vec::new() });
    let masks = || (0..1_u128 << LOCATIONS).prop_map(|mask| mask);
    let fence =
        prop::collection::vec((whos(), masks()), 0..3).prop_map(|rules| FenceRule { rules });
    (world(), prop::collection::vec(lens, 0..3), prop::option::of(fence), masks())
        .prop_map(|(world, lenses, fence, mask)| Class { world, lenses, fence, mask })
}
