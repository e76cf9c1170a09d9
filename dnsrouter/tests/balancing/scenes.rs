//! What happens to a world with the step `load`, beside the same world with `nearest`.

use std::time::Duration;

use dnsrouter::balance::spill::{Condition, HIGH, LOW_OF_TOO_LITTLE};

use crate::population::{CITIES, Person, people};
use crate::world::{TTL, World, most, variation};

pub(crate) const REGIONS: [&str; 6] = [
    "us-east1",
    "us-west1",
    "europe-west3",
    "asia-northeast1",
    "asia-south1",
    "southamerica-east1",
];
const EUROPE: usize = 2;
const INDIA: usize = 4;

/// Long enough for answers, measures and prices to settle.
pub(crate) const SETTLED: u32 = 5 * TTL;

/// What a region may be off its fair part by: up to the high water mark nothing is done, and answers
/// that were given before a death was dealt with are kept for a TTL.
pub(crate) const GRACE: f64 = HIGH - 1.0 + 0.01;

pub(crate) fn crowd() -> Vec<Person> {
    people(40_000, 1)
}

/// Every region at this use of its capacity when all are answered with the nearest.
pub(crate) fn evenly(used: f64) -> [(&'static str, f64); 6] {
    REGIONS.map(|name| (name, used))
}

fn truth(_: usize) -> f64 {
    1.0
}

/// Use of all capacity that is left.
fn fair(world: &World) -> f64 {
    let open = || world.regions.iter().filter(|region| region.condition != Condition::Gone);
    let demand: f64 = world.demand();
    demand / open().map(|region| region.capacity).sum::<f64>()
}

/// The highest use of any region but `without`, from second `since` on.
pub(crate) fn worst(world: &World, since: usize, without: &[usize]) -> f64 {
    let others = world.regions.iter().enumerate().filter(|(r, _)| !without.contains(r));
    others.map(|(_, region)| most(&region.series[since..])).fold(0.0, f64::max)
}

#[test]
fn a_region_dies_at_85_percent_and_comes_back() {
    let people = crowd();
    println!("one of six regions dies at 85 % use of all; highest use of another, in %");
    println!(
        "{:20} {:>8} | {:>8} {:>6} | {:>8} {:>6} {:>9}",
        "who dies", "all even", "nearest", "km", "load", "km", "variation"
    );
    for (dead, name) in REGIONS.iter().enumerate() {
        let run = |guess: Option<&dyn Fn(usize) -> f64>| {
            let mut world = World::new(&people, &evenly(0.85), guess);
            world.run(SETTLED);
            world.kill(dead);
            let fair = fair(&world);
            world.run(SETTLED);
            let (used, km) = (world.used(), *world.km.last().unwrap());
            world.revive(dead);
            world.run(SETTLED);
            (world, fair, used, km)
        };
        let (nearest, fair, _, km_nearest) = run(None);
        let (load, _, after, km) = run(Some(&truth));
        let since = SETTLED as usize;
        let highest = worst(&load, since, &[]);
        let all = || (0..REGIONS.len()).filter(|r| *r != dead);
        // Up to the highest use, and back again; more would be swinging.
        let (mut ways, mut least) = (0.0, 0.0);
        for region in all() {
            let series = &load.regions[region].series[since..];
            ways += variation(series);
            least += 2.0 * (most(series) - series[0]);
        }
        println!(
            "{name:20} {:8.1} | {:8.1} {km_nearest:6.0} | {:8.1} {km:6.0} {ways:4.2}/{least:4.2}",
            fair * 100.0,
            worst(&nearest, since, &[]) * 100.0,
            highest * 100.0,
        );
        assert!(highest <= f64::max(1.0, fair * (1.0 + GRACE)), "{highest}");
        if fair > 1.0 {
            // Nobody is above 100 % unless all are.
            let idle = 1.0 - LOW_OF_TOO_LITTLE + 0.01;
            assert!(all().all(|r| after[r] >= fair * (1.0 - idle)), "{after:?}");
        }
        assert!(ways <= least * 1.1 + 0.1, "no swinging: {ways} for {least}");
        let back = load.used();
        assert!(back.iter().all(|used| (used - 0.85).abs() < 0.02), "all are home again: {back:?}");
    }
}

/// Of a world's run with and without `load`: the highest use of a region at any time from `since` on.
fn compare(
    what: &str,
    since: u32,
    without: &[usize],
    make: impl Fn(Option<&dyn Fn(usize) -> f64>) -> World,
) -> (f64, World) {
    let (nearest, load) = (make(None), make(Some(&truth)));
    let [a, b] = [(&nearest, &[][..]), (&load, without)]
        .map(|(world, without)| worst(world, since as usize, without));
    println!("{what}: highest use with nearest {:.1} %, with load {:.1} %", a * 100.0, b * 100.0);
    (b, load)
}

#[test]
fn capacities_change_and_go_to_nothing() {
    let people = crowd();
    // Within a TTL the answers of before are gone, and within another those given on the way.
    let changed = SETTLED + 2 * TTL;
    let (highest, mut world) =
        compare("a region's capacity falls to a half", changed, &[], |guess| {
            let mut world = World::new(&people, &evenly(0.7), guess);
            world.run(SETTLED);
            let whole = world.regions[EUROPE].capacity;
            world.regions[EUROPE].capacity = whole / 2.0;
            world.run(SETTLED + TTL);
            world.regions[EUROPE].capacity = whole;
            world.run(2 * SETTLED);
            world
        });
    let of_others = worst(&world, 0, &[EUROPE]);
    assert!(of_others <= 1.0 && highest <= 1.0, "{of_others}, {highest}");
    assert!(world.prices().unwrap().iter().all(|price| *price == 0.0), "all is as before");
    let capacities: Vec<f64> = world.regions.iter().map(|region| region.capacity).collect();
    world.regions[EUROPE].capacity = 0.0;
    world.run(SETTLED);
    assert_eq!(world.used()[EUROPE], 0.0, "no capacity, no client");
    let fair = world.demand() / (capacities.iter().sum::<f64>() - capacities[EUROPE]);
    assert!(worst(&world, 0, &[EUROPE]) <= f64::max(fair * (1.0 + GRACE), 1.0));
    for region in &mut world.regions {
        region.capacity = 0.0;
    }
    world.run(SETTLED);
    let prices = world.prices().unwrap();
    assert!(
        prices.iter().all(|price| *price == 0.0),
        "where there is none at all, the nearest: {prices:?}"
    );
}

#[test]
fn all_die_and_come_back() {
    let people = crowd();
    let mut world = World::new(&people, &evenly(0.8), Some(&truth));
    world.run(SETTLED);
    for region in &mut world.regions {
        (region.alive, region.condition) = (false, Condition::Gone);
    }
    world.run(SETTLED);
    assert!(
        world.prices().unwrap().iter().all(|price| *price == 0.0),
        "the answer when all are up"
    );
    let back = world.regions[0].series.len();
    for region in &mut world.regions {
        (region.alive, region.condition) = (true, Condition::Well);
    }
    world.run(SETTLED);
    assert!(worst(&world, back, &[]) <= 1.0);
    assert!(world.used().iter().all(|used| (used - 0.8).abs() < 0.02), "{:?}", world.used());
}

#[test]
fn a_wrong_guess_of_where_clients_are_is_corrected() {
    let people = crowd();
    // Two regions have too much, whatever they were guessed to have.
    let used = [1.25, 0.6, 1.2, 0.5, 0.75, 0.5];
    let regions: Vec<_> = REGIONS.iter().copied().zip(used).collect();
    let near = |city: usize| {
        let (lat, lon, _) = CITIES[city];
        let at = geo::Point::new(lat, lon).unwrap();
        let km = |name: &str| at.distance(&geo::regions::find(name).unwrap().point).0;
        (0..REGIONS.len()).min_by(|a, b| km(REGIONS[*a]).total_cmp(&km(REGIONS[*b]))).unwrap()
    };
    let halved = |odd: usize| move |city: usize| if near(city) % 2 == odd { 2.0 } else { 0.5 };
    let guesses: [(&str, &dyn Fn(usize) -> f64); 3] = [
        ("right", &truth),
        ("even regions doubled, odd halved", &halved(0)),
        ("the reverse", &halved(1)),
    ];
    let mut least = None;
    for (what, guess) in guesses {
        let mut world = World::new(&people, &regions, Some(guess));
        world.run(4 * SETTLED);
        let since = 3 * SETTLED as usize;
        let (highest, km) = (worst(&world, since, &[]), *world.km.last().unwrap());
        let moved: f64 = world.regions.iter().map(|r| variation(&r.series[since..])).sum();
        println!(
            "guess {what}: highest use {:.1} %, {km:.0} km, variation {moved:.3}",
            highest * 100.0
        );
        assert!(highest <= 1.0, "{highest} with the guess {what}");
        assert!(moved <= 0.05, "at rest: {moved}");
        let least = *least.get_or_insert(km);
        assert!(km <= least * 1.02, "{km} km; with the right guess {least}");
    }
}

#[test]
fn a_region_that_dies_slowly_gets_no_spill() {
    let people = crowd();
    let begins = SETTLED as usize;
    let (_, world) = compare("Europe dies, and India is dying", SETTLED, &[INDIA], |guess| {
        let mut world = World::new(&people, &evenly(0.7), guess);
        world.run(SETTLED);
        // Its round trips rise for a minute, then its pings fail now and then.
        for second in 0..60 {
            world.regions[INDIA].round_trip = Some(Duration::from_millis(80 + 5 * second));
            world.second();
        }
        world.regions[INDIA].condition = Condition::Dying;
        world.kill(EUROPE);
        world.run(SETTLED);
        world
    });
    let india = &world.regions[INDIA].series;
    let held = most(&india[begins..]) / india[begins];
    println!("India serves at most {:.1} % of what it did when it began to die", held * 100.0);
    assert!(held <= 1.0 + GRACE, "{held}");
    let others = world.regions.iter().enumerate().filter(|(r, _)| ![INDIA, EUROPE].contains(r));
    let (capacity, rates) = others.fold((0.0, 0.0), |(capacity, rates), (_, region)| {
        (capacity + region.capacity, rates + region.capacity * region.series.last().unwrap())
    });
    assert!(worst(&world, begins, &[]) <= f64::max(rates / capacity * (1.0 + GRACE), 1.0));
    // The neighbour that dies for good takes nobody down with it.
    let mut world = world;
    world.kill(INDIA);
    let died = world.regions[0].series.len();
    world.run(SETTLED);
    assert!(worst(&world, died, &[]) <= fair(&world) * (1.0 + GRACE));
}

#[test]
fn a_day_s_wave_is_followed() {
    let people = crowd();
    // A day in two hours: twelve times as fast as clients live.
    let day = 7200_u32;
    let since = day / 4;
    let run = |guess: Option<&dyn Fn(usize) -> f64>| {
        let mut world = World::new(&people, &evenly(0.75), guess);
        world.interval = 4;
        for second in 0..since + day {
            if second % 10 == 0 {
                for (each, (_, lon, _)) in world.each.iter_mut().zip(CITIES) {
                    let hour = f64::from(second) / f64::from(day) + lon / 360.0;
                    *each = 1.0 + 0.5 * (hour * std::f64::consts::TAU).sin();
                }
            }
            world.second();
        }
        let highest = worst(&world, since as usize, &[]);
        let ways = world.regions.iter().map(|r| variation(&r.series[since as usize..])).sum();
        (highest, ways)
    };
    let ((nearest, wave), (highest, ways)): ((f64, f64), (f64, f64)) =
        (run(None), run(Some(&truth)));
    println!("a day's wave: highest use with nearest {nearest:.2}, with load {highest:.2}");
    println!("variation over the day, all regions: with nearest {wave:.2}, with load {ways:.2}");
    assert!(highest <= 1.0, "{highest}");
    // The wave itself goes up and down once; what is sent on shows in other regions once more.
    assert!(ways <= 2.0 * wave, "{ways}");
}

#[test]
fn a_country_at_one_point_is_divided_and_comes_home() {
    let place = geo::Point::new(39.8, -98.6).unwrap();
    let people: Vec<Person> =
        people(20_000, 2).into_iter().map(|person| Person { point: place, ..person }).collect();
    let mut world =
        World::new(&people, &[("us-central1", 0.5), ("europe-west3", 0.5)], Some(&truth));
    let whole = world.regions[0].capacity;
    world.regions[1].capacity = 2.0 * whole;
    world.run(SETTLED);
    assert_eq!(world.prices().unwrap()[..], [0.0, 0.0]);
    world.regions[0].capacity = whole / 4.0;
    world.run(2 * SETTLED);
    let used = world.used();
    println!("a country with twice its region's capacity: {used:.3?}, {:.0?}", world.prices());
    assert!(used[0] > 0.85 && used[0] <= 1.0, "as many stay as there is room for: {used:?}");
    let moved = variation(&world.regions[0].series[(2 * SETTLED) as usize..]);
    assert!(moved < 0.3, "{moved}");
    world.regions[0].capacity = whole;
    world.run(2 * SETTLED);
    assert!(world.used()[1] < 0.001 && world.prices().unwrap()[..] == [0.0, 0.0]);
}
