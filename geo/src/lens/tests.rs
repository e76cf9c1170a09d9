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
