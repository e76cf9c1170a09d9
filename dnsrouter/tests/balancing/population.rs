//! A made-up population of the earth: cities with a number of clients each.

use dnsrouter::random::Random;
use geo::Point;

/// A uniform number from 0 to 1.
pub(crate) fn uniform(random: &mut Random) -> f64 {
    (random.next() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Agglomerations: latitude, longitude, millions of people who are on the net.
pub(crate) const CITIES: [(f64, f64, f64); 36] = [
    (40.7, -74.0, 19.0),
    (34.1, -118.2, 13.0),
    (41.9, -87.6, 9.0),
    (32.8, -96.8, 7.0),
    (29.8, -95.4, 7.0),
    (47.6, -122.3, 4.0),
    (33.7, -84.4, 6.0),
    (25.8, -80.2, 6.0),
    (43.7, -79.4, 6.0),
    (19.4, -99.1, 16.0),
    (4.7, -74.1, 8.0),
    (-23.5, -46.6, 18.0),
    (-34.6, -58.4, 12.0),
    (51.5, -0.1, 13.0),
    (48.9, 2.4, 11.0),
    (50.1, 8.7, 6.0),
    (52.5, 13.4, 5.0),
    (40.4, -3.7, 6.0),
    (45.5, 9.2, 6.0),
    (52.2, 21.0, 4.0),
    (59.3, 18.1, 2.0),
    (41.0, 29.0, 12.0),
    (55.8, 37.6, 14.0),
    (30.0, 31.2, 12.0),
    (6.5, 3.4, 9.0),
    (-26.2, 28.0, 7.0),
    (25.2, 55.3, 4.0),
    (28.6, 77.2, 17.0),
    (19.1, 72.9, 14.0),
    (1.3, 103.8, 5.0),
    (-6.2, 106.8, 17.0),
    (14.6, 121.0, 12.0),
    (22.3, 114.2, 12.0),
    (35.7, 139.7, 30.0),
    (37.6, 127.0, 20.0),
    (-33.9, 151.2, 5.0),
];

/// A client: where it is, and its number for dithers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Person {
    /// Where it is.
    pub(crate) point: Point,
    /// Position of its city in [`CITIES`].
    pub(crate) city: usize,
    /// For dithers.
    pub(crate) stick: u64,
}

/// So many clients, spread over the cities by their size and within some 300 km around each.
pub(crate) fn people(count: usize, seed: u64) -> Vec<Person> {
    let mut random = Random::from_seed(seed);
    let total: f64 = CITIES.iter().map(|(_, _, millions)| millions).sum();
    let mut people = Vec::with_capacity(count);
    for _ in 0..count {
        let mut draw = uniform(&mut random) * total;
        let city = CITIES.iter().position(|(_, _, millions)| {
            draw -= millions;
            draw < 0.0
        });
        let city = city.unwrap_or(CITIES.len() - 1);
        let (lat, lon, _) = CITIES[city];
        let mut near = |middle: f64| {
            let three: f64 = (0..3).map(|_| uniform(&mut random) - 0.5).sum();
            middle + 3.0 * three
        };
        let point = Point::new(near(lat), near(lon)).unwrap();
        people.push(Person { point, city, stick: random.next() });
    }
    people
}
