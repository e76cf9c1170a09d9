//! The promises, against counts that forget nobody.

use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::random::Random;

const DAY: Duration = Duration::from_secs(86_400);

fn tally(most: usize) -> Tally {
    Tally::new(Settings { most, half_life: DAY })
}

fn v4(n: u32) -> Prefix {
    Prefix::of(IpAddr::V4((n << 8).into()))
}

fn v6(n: u64) -> Prefix {
    Prefix::of(IpAddr::V6((u128::from(n) << 80).into()))
}

fn count(tally: &Tally, prefix: Prefix) -> f64 {
    let kept = tally.v4.kept.iter().chain(&tally.v6.kept);
    kept.filter(|entry| entry.prefix == prefix).map(|entry| entry.count).sum()
}

#[test]
fn while_there_is_room_counts_are_exact_and_come_in_order() {
    let mut tally = tally(10);
    for _ in 0..3 {
        let mut records = vec![v6(7), v4(5), v4(9), v4(5), v6(0)];
        tally.add(&mut records, Duration::ZERO);
        assert!(records.is_empty());
    }
    let told: Vec<String> = tally.counts().map(|(net, count)| format!("{net} {count}")).collect();
    assert_eq!(told, ["0.0.5.0/24 6", "0.0.9.0/24 3", "::/48 3", "0:0:7::/48 3"]);
    let largest: Vec<String> = tally.largest(2).iter().map(|(net, _)| net.to_string()).collect();
    assert_eq!(largest, ["0.0.5.0/24", "0.0.9.0/24"]);
    assert_eq!(tally.largest(100).len(), 4);
    let [figures, _] = tally.figures();
    let expected = Figures { prefixes: 2, most: 5, answers: 9.0, short: 0.0, evicted: 0 };
    assert_eq!(figures, expected);
}

#[test]
fn the_past_fades_by_half_in_each_half_life_however_often_one_looks() {
    let (mut seldom, mut often) = (tally(10), tally(10));
    for tally in [&mut seldom, &mut often] {
        tally.add(&mut vec![v4(1); 1000], Duration::ZERO);
        tally.add(&mut vec![v4(2); 3], Duration::ZERO);
    }
    seldom.forget(2 * DAY);
    (0..2 * 86_400).for_each(|_| often.forget(Duration::from_secs(1)));
    for tally in [&seldom, &often] {
        assert!((count(tally, v4(1)) - 250.0).abs() < 1e-6);
        assert!((tally.figures()[0].answers - 1003.0 / 4.0).abs() < 1e-6);
        // Three quarters of an answer count as one, three eighths as none.
        let told = |tally: &Tally| tally.counts().map(|(_, count)| count).collect::<Vec<_>>();
        assert_eq!(told(tally), [250, 1]);
        let mut later = tally.clone();
        later.forget(DAY);
        assert_eq!((told(&later), later.figures()[0].prefixes), (vec![125], 1));
    }
}

#[test]
fn what_faded_goes_first_and_costs_the_others_nothing() {
    let mut tally = tally(200);
    tally.add(&mut (0..100).map(v4).collect(), Duration::ZERO);
    tally.add(&mut (100..200).map(v4).collect(), 20 * DAY);
    let [figures, _] = tally.figures();
    assert_eq!((figures.prefixes, figures.evicted), (100, 100));
    assert!(figures.short < 1e-5, "{figures:?}");
    assert!(tally.counts().all(|(_, count)| count == 1));
}

/// Clients whose numbers are as 1, 1/2, 1/3 …, and ten times as many made-up prefixes that come once.
#[test]
fn heavy_hitters_are_found_under_a_flood_of_random_subnets() {
    const ROOM: usize = 1000;
    const TRUE: u32 = 500;
    let mut random = Random::from_seed(4);
    let mut tally = tally(2 * ROOM);
    let mut truth = BTreeMap::new();
    let mut answers = 0_u32;
    for _ in 0..10 {
        let mut records = Vec::new();
        for client in 0..TRUE {
            // Between rounds the fractions add up.
            let count = 1000 / (client + 1) + u32::from(random.next().is_multiple_of(2));
            records.extend((0..count).map(|_| v4(client)));
            *truth.entry(v4(client)).or_insert(0) += count;
        }
        for _ in 0..10 * records.len() {
            let made_up = v4(random.next() as u32 >> 8);
            records.push(made_up);
            *truth.entry(made_up).or_insert(0) += 1;
        }
        answers += records.len() as u32;
        tally.add(&mut records, Duration::ZERO);
        assert!(tally.v4.kept.len() <= ROOM);
    }
    let [figures, _] = tally.figures();
    let bound = f64::from(answers) / (ROOM + 1) as f64;
    println!(
        "{answers} answers, {} prefixes, room for {ROOM}: short by {} of at most {bound:.0}",
        truth.len(),
        figures.short
    );
    assert!(figures.short <= bound);
    let heavy = truth.iter().filter(|(_, count)| f64::from(**count) > figures.short);
    let mut found = 0;
    for (prefix, truth) in heavy {
        let (told, truth) = (count(&tally, *prefix), f64::from(*truth));
        assert!(told > 0.0 && told <= truth && told >= truth - figures.short, "{told} of {truth}");
        found += 1;
    }
    assert!(found >= 10, "{found} are heavy");
    let first: Vec<IpNet> = tally.largest(10).iter().map(|(net, _)| *net).collect();
    assert_eq!(first, (0..10).map(|client| v4(client).net()).collect::<Vec<_>>());
}

#[test]
fn a_flood_of_one_family_leaves_the_other_exact() {
    let mut tally = tally(200);
    let mut random = Random::from_seed(5);
    for _ in 0..50 {
        let mut records: Vec<Prefix> = (0..90).map(v4).collect();
        records.extend((0..10_000).map(|_| v6(random.next() >> 16)));
        tally.add(&mut records, Duration::ZERO);
    }
    let [four, six] = tally.figures();
    assert_eq!((four.prefixes, four.short), (90, 0.0));
    assert!(tally.counts().take(90).all(|(_, count)| count == 50));
    assert!(six.short > 0.0 && six.prefixes <= 100, "{six:?}");
}

#[test]
fn what_was_kept_goes_on() {
    let mut before = tally(100);
    before.add(&mut (0..40).flat_map(|n| vec![v4(n); n as usize + 1]).collect(), Duration::ZERO);
    let mut after = tally(100);
    after.restore(before.counts());
    assert!(after.counts().eq(before.counts()));
    let nets = ["192.0.2.0/25", "192.0.2.128/25", "198.51.0.0/16", "2001:db8::/32"];
    let mut other = tally(100);
    other.restore(nets.map(|net| (net.parse().unwrap(), 3)));
    let told: Vec<String> = other.counts().map(|(net, count)| format!("{net} {count}")).collect();
    assert_eq!(told, ["192.0.2.0/24 6", "198.51.0.0/24 3", "2001:db8::/48 3"]);
    // There is less room than before.
    let mut smaller = tally(20);
    smaller.restore(before.counts());
    let [figures, _] = smaller.figures();
    assert_eq!((figures.prefixes, figures.short), (10, 30.0));
}

proptest! {
    #[test]
    fn no_count_is_too_large_or_too_small_by_more_than_is_told(
        room in 1_usize..20,
        batches in prop::collection::vec(
            (prop::collection::vec(0_u32..40, 0..60), 0_u64..200_000),
            0..20,
        ),
    ) {
        let mut tally = tally(2 * room);
        let mut truth = BTreeMap::<u32, f64>::new();
        for (clients, passed) in batches {
            let passed = Duration::from_secs(passed);
            let left = (-passed.as_secs_f64() / DAY.as_secs_f64()).exp2();
            truth.values_mut().for_each(|count| *count *= left);
            clients.iter().for_each(|client| *truth.entry(*client).or_default() += 1.0);
            tally.add(&mut clients.into_iter().map(v4).collect(), passed);
            let [figures, _] = tally.figures();
            prop_assert!(tally.v4.kept.len() <= room);
            let sum: f64 = truth.values().sum();
            prop_assert!((figures.answers - sum).abs() < 1e-6);
            prop_assert!(figures.short <= sum / (room + 1) as f64 + 1e-6);
            for (client, truth) in &truth {
                let told = count(&tally, v4(*client));
                prop_assert!(told <= truth + 1e-6, "{told} > {truth}");
                prop_assert!(told >= truth - figures.short - 1e-6, "{told} < {truth} - {figures:?}");
            }
        }
    }
}
