//! Several name servers, each of which is asked by a part of the clients, hears the same loads late and
//! a little otherwise, and reckons as if it were alone.

use geo::Point;

use crate::population::{CITIES, Person};
use crate::scenes::{GRACE, REGIONS, SETTLED, crowd, evenly, worst};
use crate::world::{Ear, NOTICED, Servers, World, most, variation};

/// The name server that somebody's resolver asks.
type Asked = Box<dyn Fn(&Person) -> usize>;

/// Pings come every few seconds, and name servers are not in step.
fn ears(servers: usize) -> Vec<Ear> {
    let ear = |at: u32| Ear { late: at % 4, wrong: 0.02, phase: at };
    (0..servers as u32).map(ear).collect()
}

/// By how resolvers choose: one like another.
fn by_chance(servers: usize) -> impl Fn(&Person) -> usize {
    move |person| person.stick as usize % servers
}

/// The nearest one to their city, name servers standing in the first regions.
fn by_distance(servers: usize) -> impl Fn(&Person) -> usize {
    let standing: Vec<Point> = (0..servers)
        .map(|at| geo::regions::find(REGIONS[at % REGIONS.len()]).unwrap().point)
        .collect();
    let nearest = CITIES.map(|(lat, lon, _)| {
        let city = Point::new(lat, lon).unwrap();
        let km = |at: &usize| city.distance(&standing[*at]).0;
        (0..servers).min_by(|a, b| km(a).total_cmp(&km(b))).unwrap()
    });
    move |person| nearest[person.city]
}

/// One region dies and comes back: the highest use of another, how far uses went up and down, and how
/// far they had to.
fn dies(people: &[Person], dead: usize, servers: &Servers<'_>) -> (f64, f64, f64, World) {
    let mut world = World::with(people, &evenly(0.85), servers);
    world.interval = 2;
    world.run(SETTLED);
    world.kill(dead);
    world.run(SETTLED);
    world.revive(dead);
    world.run(SETTLED);
    let since = SETTLED as usize;
    let (mut ways, mut least) = (0.0, 0.0);
    for region in (0..REGIONS.len()).filter(|region| *region != dead) {
        let series = &world.regions[region].series[since..];
        ways += variation(series);
        least += 2.0 * (most(series) - series[0]);
    }
    (worst(&world, since, &[]), ways, least, world)
}

/// Regions whose death is told apart: one that all together cannot bear, one that they can.
const DEAD: [usize; 2] = [0, 5];

fn held(what: &str, of: &dyn Fn(usize) -> Asked, own: bool) {
    let people = crowd();
    println!("a region dies at 85 % use of all, {what}; highest use of another, in %");
    for dead in DEAD {
        let nearest = Servers { ears: &[], of: &|_| 0, guess: &|_, _| 1.0 };
        let (without, ..) = dies(&people, dead, &nearest);
        for count in [3, 8] {
            let name = REGIONS[dead];
            let (ears, of) = (ears(count), of(count));
            let guess = |server, person: &Person| match !own || of(person) == server {
                true => 1.0,
                false => 1e-3,
            };
            let servers = Servers { ears: &ears, of: &*of, guess: &guess };
            let (highest, ways, least, world) = dies(&people, dead, &servers);
            let all: f64 = world.regions.iter().map(|region| region.capacity).sum();
            let left = world.demand() / (all - world.regions[dead].capacity);
            let allowed = f64::max(1.0, left * (1.0 + GRACE));
            // Of a world of which two thirds and more are unknown, less is expected.
            let (off, swing, home) = if own { (1.06, 1.5, 0.15) } else { (1.0, 1.1, 0.03) };
            // Just before it comes back.
            let rest = 2 * SETTLED as usize..(2 * SETTLED + NOTICED) as usize;
            let at_rest = world.regions.iter().map(|region| most(&region.series[rest.clone()]));
            let at_rest = at_rest.fold(0.0, f64::max);
            println!(
                "{count} {name:20} fair {:6.1} | nearest {:6.1} | load {:6.1}, at rest {:6.1} {ways:4.2}/{least:4.2}",
                left * 100.0,
                without * 100.0,
                highest * 100.0,
                at_rest * 100.0
            );
            assert!(own || highest <= allowed, "{count} {name}: {highest}");
            assert!(at_rest <= allowed * off, "{count} {name}: {at_rest}");
            assert!(highest < (without + allowed) / 2.0, "{count} {name}: {highest}");
            assert!(ways <= least * swing + 0.1, "{count} {name}: no swinging: {ways} for {least}");
            let back = world.used();
            assert!(back.iter().all(|used| (used - 0.85).abs() < home), "{count} {name}: {back:?}");
        }
    }
}

#[test]
fn each_is_asked_by_any_part_of_the_clients() {
    held("resolvers ask any", &|count| Box::new(by_chance(count)), false);
}

#[test]
fn each_is_asked_by_those_around_it() {
    held("resolvers ask the nearest", &|count| Box::new(by_distance(count)), false);
}

/// Its own clients are all that a name server counts. So of all others it learns from loads alone, and a
/// death is dealt with worse, but far better than by distance: what goes too far comes back once, and
/// does not swing.
#[test]
fn each_counts_none_but_those_around_it() {
    held("and each knows of its own clients alone", &|count| Box::new(by_distance(count)), true);
}
