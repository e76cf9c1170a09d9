//! The lens against sorting by distance, one place at a time.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::{Place, ScopeCap, TableBuilder, regions};

#[test]
fn nearest_first_also_across_the_date_line() {
    let locations = ["us-central1", "europe-west3", "asia-southeast1", "australia-southeast1"];
    let points = locations.map(|name| regions::find(name).unwrap().point);
    let nearest = |lat, lon| {
        let (table, place) = table_of(&[(lat, lon)]);
        locations[usize::from(plain(&table, &points).row(place[0]).order[0])]
    };
    assert_eq!(nearest(48.9, 2.4), "europe-west3"); // Paris
    assert_eq!(nearest(21.3, -157.9), "us-central1"); // Honolulu
    assert_eq!(nearest(-18.1, 178.4), "australia-southeast1"); // Suva
    assert_eq!(nearest(-13.8, -171.8), "australia-southeast1"); // Apia, beyond 180°
    assert_eq!(nearest(35.7, 139.7), "asia-southeast1"); // Tokyo
}

#[test]
fn ties_and_the_unknown_keep_the_order_given() {
    let twin = Point::new(10.0, 10.0).unwrap();
    let far = Point::new(-40.0, 100.0).unwrap();
    let (table, place) = table_of(&[(11.0, 11.0)]);
    let lens = plain(&table, &[far, twin, twin]);
    assert_eq!(lens.row(place[0]).order, [1, 2, 0]);
    assert_eq!(lens.row(PlaceId::UNKNOWN).order, [0, 1, 2]);
    assert_eq!(lens.row(PlaceId::UNKNOWN).groups, 0b111);
    assert!(plain(&table, &[]).row(place[0]).order.is_empty());
}

proptest! {
    #[test]
    fn agrees_with_sorting_by_distance(
        places in prop::collection::vec(degrees(), 1..20),
        locations in prop::collection::vec(degrees(), 0..20),
    ) {
        let (table, ids) = table_of(&places);
        let locations: Vec<Point> =
            locations.into_iter().map(|(lat, lon)| Point::new(lat, lon).unwrap()).collect();
        let lens = plain(&table, &locations);
        for id in ids {
            let from = table.place(id).point().unwrap();
            let mut sorted: Vec<u8> = (0..locations.len() as u8).collect();
            sorted.sort_by(|&a, &b| {
                let distance = |i: u8| from.distance(&locations[usize::from(i)]).0;
                distance(a).total_cmp(&distance(b))
            });
            // Chord and arc may round differently where two are equally far to a millimetre.
            for (ranked, sorted) in lens.row(id).order.iter().zip(&sorted) {
                let distance = |i: &u8| from.distance(&locations[usize::from(*i)]).0;
                prop_assert!((distance(ranked) - distance(sorted)).abs() < 1e-3);
            }
            let mut all = lens.row(id).order.to_vec();
            all.sort_unstable();
            prop_assert_eq!(all, (0..locations.len() as u8).collect::<Vec<_>>());
        }
    }
}

fn degrees() -> impl Strategy<Value = (f64, f64)> {
    (-90.0..=90.0f64, -180.0..=180.0f64)
}

/// A table with one network per place, and the numbers of those places.
fn table_of(places: &[(f64, f64)]) -> (Table, Vec<PlaceId>) {
    let mut builder = TableBuilder::new(ScopeCap::default());
    for (i, &(lat, lon)) in places.iter().enumerate() {
        let place = Place::from(Point::new(lat, lon).unwrap());
        builder.network(format!("10.0.{i}.0/24").parse().unwrap(), place).unwrap();
    }
    let table = builder.freeze();
    let address = |i: usize| IpAddr::from([10, 0, i as u8, 1]);
    let ids = (0..places.len()).map(|i| table.lookup_subnet(address(i)).place).collect();
    (table, ids)
}

fn plain(table: &Table, locations: &[Point]) -> Lens {
    Lens::build(table, locations, &LensRule::default())
}

#[test]
fn bias_is_that_of_route_53() {
    let factor = |percent: i64| Bias::try_from(percent).unwrap().factor();
    assert!((factor(20) - 0.8).abs() < 1e-12);
    assert!((factor(-20) - 1.25).abs() < 1e-12);
    assert_eq!(factor(0), 1.0);
    assert!(factor(99) > 0.0 && factor(-99) < 101.0);
    for wrong in [100, -100, i64::MAX, i64::MIN] {
        assert_eq!(Bias::try_from(wrong), Err(BiasError(wrong)));
    }
}

#[test]
fn a_bias_moves_the_border_between_two_locations() {
    // On the equator, at 40° of the 100 between them: 40 to 60 is 0.67, so 0.6 makes the far one
    // the nearer.
    let locations = [at(0.0, 0.0), at(0.0, 100.0)];
    let (table, place) = table_of(&[(0.0, 40.0)]);
    let first = |bias: &[i64]| {
        let bias = bias.iter().map(|&percent| percent.try_into().unwrap()).collect();
        let rule = LensRule { bias, ..LensRule::default() };
        Lens::build(&table, &locations, &rule).row(place[0]).order[0]
    };
    assert_eq!(first(&[]), 0);
    assert_eq!(first(&[0, 30]), 0);
    assert_eq!(first(&[0, 40]), 1);
    assert_eq!(first(&[-40]), 1);
    assert_eq!(first(&[-30, 0]), 0);
}

#[test]
fn bands_begin_at_the_nearest_that_is_left() {
    let locations = [at(0.0, 10.0), at(0.0, 11.0), at(0.0, 20.0), at(0.0, 21.9), at(0.0, 24.0)];
    let (table, place) = table_of(&[(0.0, 0.0)]);
    let groups = |within: &str| {
        let rule = LensRule { within: Some(within.parse().unwrap()), ..LensRule::default() };
        let lens = Lens::build(&table, &locations, &rule);
        let row = lens.row(place[0]);
        row.iter_groups().map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    assert_eq!(groups("10 %"), [vec![0, 1], vec![2, 3], vec![4]]);
    assert_eq!(groups("21 %"), [vec![0, 1], vec![2, 3, 4]]);
    assert_eq!(groups("0 km"), [[0], [1], [2], [3], [4]]);
    assert_eq!(groups("112 km"), [vec![0, 1], vec![2], vec![3], vec![4]]);
    assert_eq!(groups("20016 km"), [[0, 1, 2, 3, 4]]);
}

#[test]
fn the_first_entry_for_a_place_is_preferred() {
    let country = |code: &str| Who::Country(code.parse().unwrap());
    let prefer = vec![
        (vec![country("DE"), country("FR")], vec![2, 0, 2]),
        (vec![Who::Continent(crate::Continent::Europe)], vec![1]),
        (vec![country("DE")], vec![3]),
    ];
    let rule = LensRule { prefer, within: "1000 %".parse().ok(), ..LensRule::default() };
    let mut builder = TableBuilder::new(ScopeCap::default());
    for (network, code) in
        [("192.0.2.0/24", "DE"), ("198.51.100.0/24", "IT"), ("203.0.113.0/24", "US")]
    {
        let country: crate::Country = code.parse().unwrap();
        builder.network(network.parse().unwrap(), country.into()).unwrap();
    }
    let table = builder.freeze();
    let locations = [at(0.0, 0.0), at(1.0, 0.0), at(-1.0, 0.0), at(2.0, 0.0)];
    let lens = Lens::build(&table, &locations, &rule);
    let row = |address: [u8; 4]| lens.row(table.lookup_subnet(IpAddr::from(address)).place);
    let german = row([192, 0, 2, 1]);
    assert_eq!((german.order, german.groups, german.matched), (&[2, 0, 3, 1][..], 0b111, Some(0)));
    let italian = row([198, 51, 100, 1]);
    assert_eq!((italian.order[0], italian.groups, italian.matched), (1, 0b11, Some(1)));
    let american = row([203, 0, 113, 1]);
    assert_eq!((american.groups, american.matched), (0b1, None));
    let unknown = row([1, 1, 1, 1]);
    assert_eq!((unknown.order, unknown.groups, unknown.matched), (&[0, 1, 2, 3][..], 0b1111, None));
    assert_eq!(lens.rows(), 4);
}

#[test]
fn as_many_locations_as_fit() {
    let locations: Vec<Point> = (0..MAX_LOCATIONS).map(|i| at(0.0, i as f64)).collect();
    let (table, place) = table_of(&[(0.0, -1.0)]);
    for (within, groups) in [(None, MAX_LOCATIONS), ("20016 km".parse().ok(), 1)] {
        let lens = Lens::build(&table, &locations, &LensRule { within, ..LensRule::default() });
        let row = lens.row(place[0]);
        assert!(row.order.iter().copied().eq(0..MAX_LOCATIONS as u8));
        assert_eq!(row.iter_groups().count(), groups);
        assert_eq!(row.iter_groups().map(<[u8]>::len).sum::<usize>(), MAX_LOCATIONS);
    }
}

proptest! {
    /// The rule read aloud, place by place, in kilometres.
    #[test]
    fn agrees_with_the_rule_read_aloud(
        places in prop::collection::vec(degrees(), 1..8),
        locations in prop::collection::vec(degrees(), 1..12),
        bias in prop::collection::vec(-99..=99_i64, 0..12),
        within in prop::option::of(prop_oneof![
            (0..200_u16).prop_map(Within::Percent),
            (0..9000_u16).prop_map(Within::Kilometres),
        ]),
        preferred in prop::collection::vec(0..12_u8, 0..4),
    ) {
        let (table, ids) = table_of(&places);
        let locations: Vec<Point> = locations.into_iter().map(|(lat, lon)| at(lat, lon)).collect();
        let preferred: Vec<u8> =
            preferred.into_iter().filter(|&at| usize::from(at) < locations.len()).collect();
        let bias: Vec<Bias> = bias.into_iter().map(|percent| percent.try_into().unwrap()).collect();
        let prefer = vec![(vec![Who::All], preferred.clone())];
        let rule = LensRule { bias: bias.clone(), within, prefer };
        let lens = Lens::build(&table, &locations, &rule);
        for id in ids {
            let from = table.place(id).point().unwrap();
            let far = |location: u8| {
                let percent = bias.get(usize::from(location)).map_or(0, |bias| bias.percent());
                let km = from.distance(&locations[usize::from(location)]).0;
                let rest = f64::from(100 - i16::from(percent).abs()) / 100.0;
                if percent < 0 { km / rest } else { km * rest }
            };
            let row = lens.row(id);
            let mut first = preferred.clone();
            let mut seen = std::collections::HashSet::new();
            first.retain(|&location| seen.insert(location));
            prop_assert_eq!(&row.order[..first.len()], &first);
            let mut all = row.order.to_vec();
            all.sort_unstable();
            prop_assert_eq!(all, (0..locations.len() as u8).collect::<Vec<_>>());
            let groups: Vec<&[u8]> = row.iter_groups().collect();
            prop_assert!(groups.iter().take(first.len()).all(|group| group.len() == 1));
            let mut behind = 0.0;
            for group in groups.into_iter().skip(first.len()) {
                let nearest = far(group[0]);
                let limit = match within {
                    None => nearest,
                    Some(Within::Percent(share)) => nearest * (1.0 + f64::from(share) / 100.0),
                    Some(Within::Kilometres(more)) => nearest + f64::from(more),
                };
                // A metre of grace, times what a bias makes of it: chord and arc round differently.
                const GRACE: f64 = 0.1;
                prop_assert!(nearest + GRACE >= behind);
                prop_assert!(group.is_sorted_by(|&a, &b| far(a) <= far(b) + GRACE));
                prop_assert!(group.iter().all(|&location| far(location) <= limit + GRACE));
                behind = if within.is_some() { limit - GRACE } else { nearest };
            }
        }
    }
}

fn at(lat: f64, lon: f64) -> Point {
    Point::new(lat, lon).unwrap()
}
