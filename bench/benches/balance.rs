//! What an interval of the controllers of `load` costs: 200 services of 12 endpoints, over 4,000
//! points of demand.

use std::time::Duration;

use bench::services::REGIONS;
use divan::{Bencher, black_box};
use dnsrouter::balance::demand::{Demand, Field};
use dnsrouter::balance::prices::Room;
use dnsrouter::balance::spill::{Condition, Interval, Seen, Spill};
use dnsrouter::random::Random;
use geo::Point;

fn main() {
    let (points, endpoints) = (field().mass().len(), REGIONS.len());
    println!("{SERVICES} services of {endpoints} endpoints over {points} points of demand");
    divan::main();
}

const SERVICES: usize = 200;
const LOCATIONS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
const SECOND: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(60);
/// Requests per second of each service.
const TOTAL: f64 = 50_000.0;

/// Nearly all clients in 40 places, the rest anywhere between the polar circles.
fn field() -> Field {
    let mut random = Random::from_seed(1);
    let mut uniform = |from: f64, to: f64| {
        from + (random.next() >> 11) as f64 / (1_u64 << 53) as f64 * (to - from)
    };
    let mut places = Vec::new();
    for i in 0..20_000 {
        let point = Point::new(uniform(-66.0, 66.0), uniform(-180.0, 180.0)).expect("on earth");
        places.push((point, if i < 40 { 20_000.0 } else { 1.0 }));
    }
    let points = REGIONS.map(|name| geo::regions::find(name).expect("built in").point);
    Field::new(&Demand::new(places), &points, REGIONS.len())
}

/// Services in full use, which serve what they are sent.
struct Fleet {
    services: Vec<Spill>,
    room: Room,
    capacities: Vec<f64>,
    served: Vec<f64>,
}

impl Fleet {
    /// Four fifths of all capacity in use; two in five regions of their nearest clients' share.
    fn new(field: &Field) -> Self {
        let services = (0..SERVICES).map(|_| Spill::new(REGIONS.len())).collect();
        let mut fleet = Self {
            services,
            room: Room::default(),
            capacities: (0..REGIONS.len())
                .map(|r| TOTAL / 12.0 * if r % 5 < 2 { 0.8 } else { 1.6 })
                .collect(),
            served: vec![TOTAL / 12.0; REGIONS.len()],
        };
        for _ in 0..200 {
            fleet.interval(field, None);
        }
        fleet
    }

    fn interval(&mut self, field: &Field, dead: Option<usize>) -> usize {
        let seen: Vec<Seen> = (0..REGIONS.len())
            .map(|r| Seen {
                capacity: Some(self.capacities[r]),
                rate: Some(self.served[r]),
                condition: if dead == Some(r) { Condition::Gone } else { Condition::Well },
                round_trip: Some(Duration::from_millis(50)),
            })
            .collect();
        let interval = Interval { field, span: SECOND };
        let mut passes = 0;
        for service in &mut self.services {
            passes += service.step(&interval, &LOCATIONS, &seen, TTL, &mut self.room);
        }
        for (served, load) in self.served.iter_mut().zip(&self.room.division.load) {
            *served = load * TOTAL;
        }
        passes
    }
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn all_services_at_rest(bencher: Bencher<'_, '_>) {
    let field = field();
    let mut fleet = Fleet::new(&field);
    bencher.bench_local(|| black_box(fleet.interval(&field, None)));
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn a_region_of_all_services_dies(bencher: Bencher<'_, '_>) {
    let field = field();
    bencher
        .with_inputs(|| Fleet::new(&field))
        .bench_local_values(|mut fleet| black_box(fleet.interval(&field, Some(4))));
}
