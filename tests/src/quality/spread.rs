//! A country as a few points: from them, anything is as far on average as from its networks.
//!
//! ```text
//!  blocks, with coordinates ─▶ masses, by country ─▶ 1, 2, … clusters, until their mean distance
//!                                                    to every target is that of all blocks ─▶ Piece, …
//! ```
//!
//! Clusters are those of Lloyd's algorithm ("Least squares quantization in PCM", 1982) on the sphere,
//! begun with one and split where most is far away: no draw decides, so that the same database
//! gives the same points.

use std::collections::{BTreeMap, HashMap};

use geo::Country;

use super::best::each_overlap;
use super::database::Database;
use super::figures::distance;
use super::world::World;

/// Points that stand for a country, at most.
pub const MAX_PIECES: usize = 16;

/// Mean distances are to differ by less, in kilometres.
const TOLERANCE: f64 = 1.0;

/// Points of the sphere that distances are compared at, beside cloud regions: anybody may have a
/// location anywhere.
const ANYWHERE: usize = 256;

/// Rounds of one clustering: it stands still after some ten.
const MAX_ROUNDS: usize = 64;

/// Coordinates are written with so many digits behind the point: to a kilometre.
const DIGITS: i32 = 2;

/// Of all blocks of a country, some that are close together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece {
    /// Latitude and longitude in degrees.
    pub point: [f64; 2],
    /// How many blocks, in any unit.
    pub share: f64,
}

/// How many blocks each country has at which coordinates; both families weigh alike. Which country a
/// network is in, `countries` says.
pub fn masses(world: &World, countries: &[Database; 2]) -> BTreeMap<Country, Vec<Piece>> {
    let mut by_place: HashMap<(Country, u32), f64> = HashMap::new();
    for (routed, countries) in world.routed.iter().zip(countries) {
        let all = routed.blocks() as f64;
        each_overlap(routed, countries, |place, blocks, country| {
            *by_place.entry((country, place)).or_default() += blocks / all;
        });
    }
    // In one order, so that sums are the same to the last bit.
    let by_place: BTreeMap<_, _> = by_place.into_iter().collect();
    let mut found: BTreeMap<Country, BTreeMap<[i64; 2], f64>> = BTreeMap::new();
    for ((country, place), blocks) in by_place {
        // Databases say four digits.
        let key = world.places[place as usize].map(|degrees| (degrees * 1e4).round() as i64);
        *found.entry(country).or_default().entry(key).or_default() += blocks;
    }
    let piece = |(key, share): ([i64; 2], f64)| Piece { point: key.map(|k| k as f64 / 1e4), share };
    let pieces = |(country, masses): (Country, BTreeMap<[i64; 2], f64>)| {
        (country, masses.into_iter().map(piece).collect())
    };
    found.into_iter().map(pieces).collect()
}

/// Where distances are compared: every city with a cloud region, and all over the earth.
pub fn targets() -> Vec<[f64; 2]> {
    let mut targets: Vec<[f64; 2]> =
        geo::regions::all().iter().map(|region| [region.point.lat(), region.point.lon()]).collect();
    targets.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    targets.dedup();
    // A Fibonacci lattice (González 2010): as even as it gets.
    let golden = (1.0 + 5_f64.sqrt()) / 2.0;
    targets.extend((0..ANYWHERE).map(|at| {
        let height = (2.0 * at as f64 + 1.0) / ANYWHERE as f64 - 1.0;
        let turn = (at as f64 / golden).fract();
        [height.asin().to_degrees(), 360.0 * turn - 180.0]
    }));
    targets
}

/// The few points for one country, the heaviest first, and by how many kilometres its mean distance to
/// a target is off at most.
pub fn fit(masses: &[Piece], targets: &[[f64; 2]]) -> (Vec<Piece>, f64) {
    let truth = means(masses, targets);
    let mut clusters = Clusters::new(masses);
    let mut best: Option<(Vec<Piece>, f64)> = None;
    for _ in 0..MAX_PIECES {
        if !clusters.split() {
            break;
        }
        let pieces = clusters.pieces();
        let means = means(&pieces, targets);
        let off = truth.iter().zip(&means).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        if best.as_ref().is_none_or(|(_, least)| off < *least) {
            best = Some((pieces, off));
        }
        if off < TOLERANCE {
            break;
        }
    }
    best.unwrap_or_default()
}

/// The mean distance to each target.
pub fn means(pieces: &[Piece], targets: &[[f64; 2]]) -> Vec<f64> {
    let all: f64 = pieces.iter().map(|piece| piece.share).sum();
    let mean = |target: &[f64; 2]| {
        let sum: f64 = pieces.iter().map(|p| p.share * distance(p.point, *target)).sum();
        sum / all
    };
    targets.iter().map(mean).collect()
}

struct Clusters<'m> {
    masses: &'m [Piece],
    units: Vec<[f64; 3]>,
    centres: Vec<[f64; 3]>,
    /// By mass: its centre, and the square of the chord to it.
    of: Vec<(usize, f64)>,
}

impl Clusters<'_> {
    fn new(masses: &[Piece]) -> Clusters<'_> {
        let units = masses.iter().map(|mass| unit(mass.point)).collect();
        let of = vec![(0, 4.0); masses.len()];
        Clusters { masses, units, centres: Vec::new(), of }
    }

    /// One more cluster, and all of them moved to where they belong; false: there is nothing to split.
    fn split(&mut self) -> bool {
        let far = |at: usize| self.masses[at].share * self.of[at].1;
        let farthest = (0..self.masses.len()).max_by(|a, b| far(*a).total_cmp(&far(*b)));
        let Some(begin) = farthest.filter(|at| far(*at) > 0.0) else { return false };
        self.centres.push(self.units[begin]);
        for _ in 0..MAX_ROUNDS {
            if !self.assign() {
                break;
            }
            self.centre();
        }
        true
    }

    /// Each mass to its nearest centre; whether any came to another.
    fn assign(&mut self) -> bool {
        let mut moved = false;
        for (unit, of) in self.units.iter().zip(&mut self.of) {
            let squares = self.centres.iter().map(|centre| square(unit, centre));
            let nearest = squares.enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
            let Some(nearest) = nearest else { continue };
            moved |= nearest.0 != of.0 || of.1 == 4.0;
            *of = nearest;
        }
        moved
    }

    fn centre(&mut self) {
        let mut sums = vec![[0.0; 3]; self.centres.len()];
        for ((mass, unit), (of, _)) in self.masses.iter().zip(&self.units).zip(&self.of) {
            sums[*of].iter_mut().zip(unit).for_each(|(sum, x)| *sum += mass.share * x);
        }
        for (centre, sum) in self.centres.iter_mut().zip(sums) {
            let length = square(&sum, &[0.0; 3]).sqrt();
            if length > 0.0 {
                *centre = sum.map(|x| x / length);
            }
        }
    }

    /// As they are written.
    fn pieces(&self) -> Vec<Piece> {
        let mut shares = vec![0.0; self.centres.len()];
        self.masses.iter().zip(&self.of).for_each(|(mass, (of, _))| shares[*of] += mass.share);
        let all: f64 = shares.iter().sum();
        let piece = |(centre, share): (&[f64; 3], f64)| Piece {
            point: degrees(centre).map(|degrees| rounded(degrees, DIGITS)),
            share: rounded(share / all, 4),
        };
        let mut pieces: Vec<Piece> = self.centres.iter().zip(shares).map(piece).collect();
        pieces.retain(|piece| piece.share > 0.0);
        pieces.sort_by(|a, b| b.share.total_cmp(&a.share));
        pieces
    }
}

fn rounded(number: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    // Adding zero turns −0 into 0.
    (number * scale).round() / scale + 0.0
}

fn unit([latitude, longitude]: [f64; 2]) -> [f64; 3] {
    let (sin_lat, cos_lat) = latitude.to_radians().sin_cos();
    let (sin_lon, cos_lon) = longitude.to_radians().sin_cos();
    [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat]
}

fn degrees([x, y, z]: &[f64; 3]) -> [f64; 2] {
    [z.clamp(-1.0, 1.0).asin().to_degrees(), y.atan2(*x).to_degrees()]
}

fn square(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(latitude: f64, longitude: f64, share: f64) -> Piece {
        Piece { point: [latitude, longitude], share }
    }

    #[test]
    fn two_cities_are_two_points_and_a_town_beside_one_is_none() {
        let masses =
            [piece(40.0, -74.0, 50.0), piece(34.0, -118.0, 30.0), piece(40.01, -74.01, 20.0)];
        let (pieces, off) = fit(&masses, &targets());
        assert_eq!(pieces, [piece(40.0, -74.0, 0.7), piece(34.0, -118.0, 0.3)]);
        assert!(off < TOLERANCE, "{off}");
        // In the middle of the two, one point would be off by half a continent.
        let there = [[40.0, -74.0]];
        assert!((means(&pieces, &there)[0] - means(&masses, &there)[0]).abs() < TOLERANCE);
    }

    #[test]
    fn a_land_without_end_has_as_many_points_as_allowed() {
        let row = |at: u32| piece(60.0, f64::from(at) * 0.9, 1.0);
        let masses: Vec<Piece> = (0..200).map(row).collect();
        let (pieces, off) = fit(&masses, &targets());
        assert!(pieces.len() <= MAX_PIECES && pieces.len() > 4, "{}", pieces.len());
        assert!(off < 30.0, "{off}");
        let all: f64 = pieces.iter().map(|piece| piece.share).sum();
        assert!((all - 1.0).abs() < 1e-3, "{all}");
        assert_eq!(fit(&masses, &targets()).0, pieces, "the same again");
        assert_eq!(fit(&[], &targets()).0, []);
    }
}
