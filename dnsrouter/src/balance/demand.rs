//! Where clients are, and how many: the demand that `load` divides among endpoints.
//!
//! ```text
//!   clients counted per place ─┐
//!                              ├─▶ cells of a grid, coarse enough ─▶ points ─▶ Field: km from each
//!   or the routed world's ─────┘    to be few                                  point to each location
//!   /24s and /48s per place
//! ```
//!
//! A point stands for clients at one place that see every endpoint alike, [`dither`] included; so no
//! point holds more than a small part of all: what is heavier becomes several points at one place,
//! each with dithers of its own. That is what lets a country that is one point of the map be divided.

use std::collections::BTreeMap;

use geo::{Country, Distances, Kilometres, Place, Point, Source, Table};
use ipnet::IpNet;

use super::dither;

/// Cells of the grid that clients are gathered in: some 200 km wide where people live, finer than
/// the distances that decide between regions.
const MAX_CELLS: usize = 2048;

/// No point holds more than one such part of the demand, so that dividing them is exact to that.
const PARTS: f64 = 2048.0;

/// Points of one demand: a pass over them for a dozen endpoints takes some 50 µs.
pub const MAX_POINTS: usize = MAX_CELLS + MAX_COUNTRIES + PARTS as usize;

/// Places that are only a country are no cells: each is as far from everything as its networks are on
/// average, as the query path sees it.
const MAX_COUNTRIES: usize = 256;

/// The finest grid, in degrees; also the place of what stands in one cell is its mean.
const FINEST: f64 = 0.5;

/// By how much the grid grows until its cells are few enough.
const COARSER: f64 = 1.4;

/// A /32 of IPv6 is what a provider gets for the asking, and says little about how many clients it
/// has; larger ones count no more.
const LARGEST_V6: u8 = 32;

/// Where clients are; frozen.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    points: Box<[(Place, f32)]>,
}

impl Demand {
    /// From counts of clients (or of anything that is in proportion to them) at places. What is not
    /// a positive number is left out. Empty where nothing is left.
    pub fn new<P: Into<Place>>(places: impl IntoIterator<Item = (P, f64)>) -> Self {
        let (mut points, mut countries) = (Vec::new(), BTreeMap::<Country, f64>::new());
        let places = places.into_iter().map(|(place, mass)| (place.into(), mass));
        let counted = |(_, mass): &(Place, f64)| mass.is_finite() && *mass > 0.0;
        for (place, mass) in places.filter(counted).filter(|(place, _)| place.is_somewhere()) {
            match (place.point, place.country) {
                (Some(point), _) => points.push((point, mass)),
                (None, Some(country)) => *countries.entry(country).or_default() += mass,
                (None, None) => {}
            }
        }
        let total: f64 = points.iter().map(|(_, mass)| mass).chain(countries.values()).sum();
        let mut size = FINEST;
        let cells = loop {
            let cells = gather(&points, size);
            if cells.len() <= MAX_CELLS {
                break cells;
            }
            size *= COARSER;
        };
        let cells = cells.into_iter().map(|(point, mass)| (Place::from(point), mass));
        let countries = countries.into_iter().map(|(country, mass)| (country.into(), mass));
        let mut points = Vec::with_capacity(cells.len() + countries.len());
        for (place, mass) in cells.chain(countries) {
            let share = mass / total;
            let parts = (share * PARTS).ceil().max(1.0);
            #[expect(clippy::cast_possible_truncation, reason = "a share, and at most PARTS")]
            let (part, parts) = ((share / parts) as f32, parts as usize);
            points.extend(std::iter::repeat_n((place, part), parts));
        }
        points.truncate(MAX_POINTS);
        Self { points: points.into() }
    }

    /// Of the routed world, as far as the table places it: each /24 counts as one client, and so
    /// does each /48; both families count alike in total, since there are far more of the latter.
    pub fn of_world(table: &Table) -> Self {
        let mut v4 = vec![0.0; table.places().len()];
        let mut v6 = v4.clone();
        for (prefix, place, source) in table.leaves() {
            if matches!(source, Source::Special | Source::None) {
                continue;
            }
            let counts = if prefix.addr().is_ipv4() { &mut v4 } else { &mut v6 };
            counts[place.index()] += mass(prefix);
        }
        let known = |counts: &[f64]| -> f64 {
            let placed = table.places().iter().zip(counts).filter(|(p, _)| p.is_somewhere());
            placed.map(|(_, count)| count).sum()
        };
        let [per_v4, per_v6] =
            [known(&v4), known(&v6)].map(|sum| if sum > 0.0 { 1.0 / sum } else { 0.0 });
        let places = table.places().iter().zip(v4.iter().zip(&v6));
        Self::new(places.map(|(place, (v4, v6))| (*place, v4 * per_v4 + v6 * per_v6)))
    }

    /// Places with their shares of all clients, which sum up to 1; a heavy place several times.
    pub fn points(&self) -> &[(Place, f32)] {
        &self.points
    }

    /// Whether nobody is anywhere.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

/// How many clients a leaf of a table counts as: its /24s, or its /48s.
pub fn mass(leaf: IpNet) -> f64 {
    let unit = match leaf {
        IpNet::V4(v4) => 24_i32 - i32::from(v4.prefix_len()),
        IpNet::V6(v6) => 48_i32 - i32::from(v6.prefix_len().max(LARGEST_V6)),
    };
    f64::from(unit.max(0)).exp2()
}

/// The mean place and the sum of each cell of a grid; cells narrow in degrees towards the equator,
/// so that they are about equally wide.
fn gather(places: &[(Point, f64)], size: f64) -> Vec<(Point, f64)> {
    let mut cells: BTreeMap<(i32, i32), [f64; 3]> = BTreeMap::new();
    for (point, mass) in places {
        let row = (point.lat() / size).floor();
        // The cosine of the row's middle; a cell at a pole is the whole row.
        let wide = size / ((row + 0.5) * size).to_radians().cos().max(0.01);
        #[expect(clippy::cast_possible_truncation, reason = "degrees over FINEST")]
        let key = (row as i32, (point.lon() / wide).floor() as i32);
        let [lat, lon, sum] = cells.entry(key).or_default();
        *lat += point.lat() * mass;
        *lon += point.lon() * mass;
        *sum += mass;
    }
    let mean = |[lat, lon, sum]: [f64; 3]| {
        let clamped = |degrees: f64, most: f64| (degrees / sum).clamp(-most, most);
        Some((Point::new(clamped(lat, 90.0), clamped(lon, 180.0)).ok()?, sum))
    };
    cells.into_values().filter_map(mean).collect()
}

/// What the demand's points see: their distances to every location, and how they dither. Shared by
/// all services; frozen.
#[derive(Debug)]
pub struct Field {
    mass: Box<[f32]>,
    /// By location: kilometres from each point.
    distances: Vec<Box<[f32]>>,
    /// By an endpoint's place in its service.
    dithers: Vec<Box<[f32]>>,
}

impl Field {
    /// For services of at most so many endpoints.
    pub fn new(demand: &Demand, locations: &[Point], endpoints: usize) -> Self {
        let all = Distances::new(locations);
        let row = |location: usize| -> Box<[f32]> {
            #[expect(clippy::cast_possible_truncation, reason = "metres do not matter")]
            let km = |(place, _): &(Place, f32)| {
                all.between(place, location).map_or(0.0, |Kilometres(km)| km as f32)
            };
            demand.points.iter().map(km).collect()
        };
        let dithers = (0..endpoints as u64)
            .map(|endpoint| (0..demand.points.len() as u64).map(|p| dither(p, endpoint)).collect());
        Self {
            mass: demand.points.iter().map(|(_, mass)| *mass).collect(),
            distances: (0..locations.len()).map(row).collect(),
            dithers: dithers.collect(),
        }
    }

    /// Each point's share of all clients, as given.
    pub fn mass(&self) -> &[f32] {
        &self.mass
    }

    /// For every point, what an endpoint at `location`, the service's `endpoint`-th, costs it in
    /// kilometres: its distance, and its dither.
    pub fn costs(&self, location: u8, endpoint: usize) -> impl Iterator<Item = f32> + '_ {
        let distances = self.distances[usize::from(location)].iter();
        distances.zip(&self.dithers[endpoint]).map(|(km, dither)| km + dither)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn at(lat: f64, lon: f64) -> Point {
        Point::new(lat, lon).unwrap()
    }

    #[test]
    fn a_whole_country_at_one_point_is_many_points() {
        let demand = Demand::new([(at(40.0, -100.0), 30.0), (at(50.0, 10.0), 70.0)]);
        assert!(demand.points().len() >= 2048 && demand.points().len() <= 2050);
        let heaviest = demand.points().iter().map(|(_, mass)| *mass).fold(0.0, f32::max);
        assert!(heaviest <= 1.0 / 2048.0, "{heaviest}");
        let lon = |place: &Place| place.point.unwrap().lon();
        let west: f32 = demand.points().iter().filter(|(p, _)| lon(p) < 0.0).map(|(_, m)| m).sum();
        assert!((west - 0.3).abs() < 1e-4, "{west}");
    }

    #[test]
    fn however_many_places_the_points_are_few_and_hold_everything() {
        let mut random = Random::from_seed(7);
        let mut uniform = |most: f64| (random.next() >> 11) as f64 / (1_u64 << 53) as f64 * most;
        let places: Vec<_> = (0..50_000)
            .map(|_| (at(uniform(180.0) - 90.0, uniform(360.0) - 180.0), uniform(10.0)))
            .chain([(at(90.0, 180.0), 5.0), (at(-90.0, -180.0), f64::NAN), (at(0.0, 0.0), -1.0)])
            .collect();
        let demand = Demand::new(places);
        assert!(demand.points().len() <= MAX_POINTS);
        assert!(demand.points().len() > 500, "and not too few: {}", demand.points().len());
        let sum: f64 = demand.points().iter().map(|(_, mass)| f64::from(*mass)).sum();
        assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        assert!(Demand::new::<Place>([]).is_empty());
    }

    #[test]
    fn the_world_counts_by_networks_of_a_client() {
        let mut table = geo::TableBuilder::new(geo::ScopeCap::default());
        let networks = [("198.51.0.0/20", 10.0), ("203.0.113.0/24", 50.0), ("2001:db8::/32", 10.0)];
        for (network, lat) in networks {
            table.network(network.parse().unwrap(), at(lat, 20.0).into()).unwrap();
        }
        let demand = Demand::of_world(&table.freeze());
        let at_50: f32 = demand
            .points()
            .iter()
            .filter(|(p, _)| p.point.unwrap().lat() > 40.0)
            .map(|(_, m)| m)
            .sum();
        // One of 17 /24s; all of IPv6 is elsewhere, and counts as much as all of IPv4.
        assert!((at_50 - 1.0 / 34.0).abs() < 1e-3, "{at_50}");
    }
}
