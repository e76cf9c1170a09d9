//! What answers cost: kilometres beyond the nearest region.

use super::answers::Run;
use super::world::{Routed, Stretch};

/// How much farther than the nearest each region is, from each place.
#[derive(Clone, Debug)]
pub struct Excess {
    regions: usize,
    /// In kilometres, place by place.
    kilometres: Vec<f32>,
}

/// Over all blocks of a family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// How many there are.
    pub blocks: f64,
    /// Kilometres beyond the nearest region, the mean.
    pub mean: f64,
    /// The share that is sent to the nearest; of a block in several places, as many of its addresses
    /// as are.
    pub nearest: f64,
    /// Whole kilometres beyond the nearest region that 99 % of the blocks are not sent.
    pub p99: f64,
}

/// The radius of the sphere with the volume of the earth (WGS 84), in kilometres.
const EARTH_RADIUS: f64 = 6371.0008;

/// Half way around is 20,015 km.
const FARTHEST: usize = 20_016;

impl Excess {
    /// Of places and regions, as latitude and longitude in degrees.
    pub fn new(places: &[[f64; 2]], regions: &[[f64; 2]]) -> Excess {
        let mut kilometres = Vec::with_capacity(places.len() * regions.len());
        let mut row = Vec::with_capacity(regions.len());
        for place in places {
            row.clear();
            row.extend(regions.iter().map(|region| distance(*place, *region)));
            let nearest = row.iter().copied().fold(f64::INFINITY, f64::min);
            kilometres.extend(row.iter().map(|far| (far - nearest) as f32));
        }
        Excess { regions: regions.len(), kilometres }
    }

    /// How much farther from a place each region is than the nearest.
    pub fn of(&self, place: u32) -> &[f32] {
        let first = place as usize * self.regions;
        &self.kilometres[first..first + self.regions]
    }

    /// What answers to all that is routed cost.
    ///
    /// # Panics
    ///
    /// When a routed block has no answer.
    pub fn judge(&self, routed: &Routed, answers: &[Run]) -> Figures {
        let mut tally = Tally::default();
        let mut ahead = answers;
        for stretch in &routed.stretches {
            let mut from = stretch.first;
            while from <= stretch.last() {
                let behind = ahead.iter().take_while(|run| run.last < from).count();
                ahead = &ahead[behind..];
                let run = ahead.first().filter(|run| run.first <= from);
                let run = run.unwrap_or_else(|| panic!("block {from:x} has no answer"));
                let last = run.last.min(stretch.last());
                tally.add((last - from + 1) as f64, self.cost(routed, stretch, run.region));
                from = last + 1;
            }
        }
        tally.figures()
    }

    /// The least that answers can cost: where a block is in several places, one answer is not the best
    /// for each.
    pub fn least(&self, routed: &Routed) -> Figures {
        let mut tally = Tally::default();
        for stretch in &routed.stretches {
            let regions = (0..).take(self.regions);
            let costs = regions.map(|region| self.cost(routed, stretch, region));
            let least = costs.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default();
            tally.add(stretch.blocks as f64, least);
        }
        tally.figures()
    }

    /// Of each block of a stretch: kilometres beyond the nearest, and the share for which it is.
    fn cost(&self, routed: &Routed, stretch: &Stretch, region: u8) -> (f64, f64) {
        let (mut sum, mut nearest) = (0.0, 0.0);
        for part in routed.parts(stretch) {
            let far = f64::from(self.of(part.place)[usize::from(region)]);
            sum += part.share * far;
            nearest += if far == 0.0 { part.share } else { 0.0 };
        }
        (sum, nearest)
    }
}

struct Tally {
    blocks: f64,
    sum: f64,
    nearest: f64,
    /// Blocks by whole kilometres.
    histogram: Vec<f64>,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally { blocks: 0.0, sum: 0.0, nearest: 0.0, histogram: vec![0.0; FARTHEST] }
    }
}

impl Tally {
    fn add(&mut self, blocks: f64, (kilometres, nearest): (f64, f64)) {
        self.blocks += blocks;
        self.sum += blocks * kilometres;
        self.nearest += blocks * nearest;
        self.histogram[kilometres as usize] += blocks;
    }

    fn figures(&self) -> Figures {
        let Tally { blocks, sum, nearest, histogram } = self;
        let mut seen = 0.0;
        let reached = |count: &f64| {
            seen += count;
            seen >= 0.99 * blocks
        };
        let p99 = histogram.iter().position(reached).unwrap_or(0) as f64;
        Figures { blocks: *blocks, mean: sum / blocks, nearest: nearest / blocks, p99 }
    }
}

/// Great-circle kilometres by the haversine formula.
pub(super) fn distance(from: [f64; 2], to: [f64; 2]) -> f64 {
    let [[lat_a, lon_a], [lat_b, lon_b]] = [from, to].map(|point| point.map(f64::to_radians));
    let half_sine = |a: f64, b: f64| ((a - b) / 2.0).sin().powi(2);
    let haversine = half_sine(lat_a, lat_b) + lat_a.cos() * lat_b.cos() * half_sine(lon_a, lon_b);
    2.0 * EARTH_RADIUS * haversine.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::super::block::Family;
    use super::super::database::{Database, Network, Record};
    use super::super::world::World;
    use super::*;

    /// A degree of a great circle.
    const DEGREE: f64 = EARTH_RADIUS * std::f64::consts::PI / 180.0;

    #[test]
    fn distances_are_great_circles() {
        for (a, b, degrees) in [
            ([0.0, 0.0], [0.0, 90.0], 90.0),
            ([0.0, 179.0], [0.0, -179.0], 2.0),
            ([90.0, 12.0], [-90.0, 77.0], 180.0),
            ([60.0, 0.0], [60.0, 180.0], 60.0),
        ] {
            assert!((distance(a, b) - degrees * DEGREE).abs() < 1e-6, "{a:?} {b:?}");
        }
    }

    /// 64 blocks at the first region, and one of which a quarter is at the second, a quarter between
    /// them, nearer to the first, and the rest unknown; answered with the first but for one block.
    #[test]
    fn blocks_count_by_number_and_parts_by_addresses() {
        let regions = [[0.0, 0.0], [0.0, 10.0]];
        let records = [[0.0, 0.0], [0.0, 10.0], [0.0, 4.0]];
        let records = records.map(|point| Record { country: None, point: Some(point) });
        let network = |(first, len, record)| Network { first, len, record };
        let networks = [(0, 18, 0), (64 << 8, 26, 1), ((64 << 8) + 64, 26, 2)].map(network);
        let v4 =
            Database { family: Family::V4, networks: networks.to_vec(), records: records.to_vec() };
        let v6 = Database { family: Family::V6, networks: vec![], records: vec![] };
        let world = World::new(&[v4, v6]);
        let excess = Excess::new(&world.places, &regions);
        let answers = [
            Run { first: 0, last: 62, region: 0 },
            Run { first: 63, last: 63, region: 1 },
            Run { first: 64, last: 70, region: 0 },
        ];
        let figures = excess.judge(&world.routed[0], &answers);
        assert_eq!(figures.blocks, 65.0);
        // Half of the addresses known of the last block are ten degrees too far.
        let sum = (10.0 + 5.0) * DEGREE;
        assert!((figures.mean - sum / 65.0).abs() < 1e-3, "{figures:?}");
        assert!((figures.nearest - 63.5 / 65.0).abs() < 1e-9, "{figures:?}");
        assert_eq!(figures.p99, (10.0 * DEGREE).floor());
        let least = excess.least(&world.routed[0]);
        assert!((least.mean - DEGREE / 65.0).abs() < 1e-3, "{least:?}");
    }

    #[test]
    #[should_panic(expected = "block 1 has no answer")]
    fn what_was_not_asked_about_is_not_judged() {
        let records = vec![Record { country: None, point: Some([0.0, 0.0]) }];
        let networks = vec![Network { first: 0, len: 23, record: 0 }];
        let v4 = Database { family: Family::V4, networks, records };
        let v6 = Database { family: Family::V6, networks: vec![], records: vec![] };
        let world = World::new(&[v4, v6]);
        let excess = Excess::new(&world.places, &[[0.0, 0.0]]);
        excess.judge(&world.routed[0], &[Run { first: 0, last: 0, region: 0 }]);
    }
}
