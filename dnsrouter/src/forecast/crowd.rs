//! Who asks: clients that were recorded, or the routed world, each where two tables place it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use geo::{PlaceId, Population, Source, Table};
use ipnet::IpNet;

use super::pieces::{Piece, pieces};
use crate::balance::demand::mass;
use crate::client::Asker;
use crate::plan::Geo;

/// Prefixes of the routed world that are asked one by one, where routes look at prefixes: any share of
/// all clients is then known to about a thousandth.
pub const SAMPLES: usize = 1 << 17;

/// Clients at one place of each table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// In the table of what is, and of what would be.
    pub places: [PlaceId; 2],
    /// Their share of all.
    pub weight: f64,
}

/// A client that stands for others of its kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The first address of its prefix.
    pub address: IpAddr,
    /// Of all.
    pub weight: f64,
}

/// Who asks; weights sum up to 1, unless nobody does.
#[derive(Debug, Clone, PartialEq)]
pub struct Crowd {
    cells: Box<[Cell]>,
    samples: Box<[Sample]>,
    recorded: bool,
}

impl Crowd {
    /// The clients that were seen, by how often.
    pub fn recorded(population: &Population, before: &Geo, after: &Geo) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let part = |count: u64| count as f64 / population.total() as f64;
        let samples: Box<[Sample]> = population
            .iter()
            .map(|(prefix, count)| Sample { address: prefix.network(), weight: part(count) })
            .collect();
        let place = |geo: &Geo, sample: &Sample| asker(geo, sample.address).hit.place;
        let cells = samples.iter().map(|sample| {
            let before_place = place(before, sample);
            let same = std::ptr::eq(before, after);
            let after_place = if same { before_place } else { place(after, sample) };
            ([before_place, after_place], sample.weight)
        });
        Self { cells: gathered(cells), samples, recorded: true }
    }

    /// The routed world of what is: each /24 is one client, and so is each /48; both families count
    /// alike in total. `sampled` also takes some of them, evenly, for routes that look at prefixes.
    pub fn world(before: &Table, after: &Table, sampled: bool) -> Self {
        let masses = masses(before, after);
        let mut totals = [0.0; 2];
        for (_, mass) in &masses {
            totals = [totals[0] + mass[0], totals[1] + mass[1]];
        }
        let families = totals.iter().filter(|total| **total > 0.0).count().max(1) as f64;
        let part = |family: usize, mass: f64| match totals[family] > 0.0 {
            true => mass / totals[family] / families,
            false => 0.0,
        };
        let cell = |(places, mass): ([PlaceId; 2], [f64; 2])| Cell {
            places,
            weight: part(0, mass[0]) + part(1, mass[1]),
        };
        let cells = masses.into_iter().map(cell).collect();
        let weight = |piece: &Piece| part(family(piece.prefix), mass_of(piece));
        let mut samples = Vec::new();
        if sampled {
            let mut sum = 0.0;
            for piece in routed(before, before) {
                let (begin, weight) = (sum, weight(&piece));
                sum += weight;
                // Marks at even distances, each where it falls.
                while samples.len() < SAMPLES {
                    let mark = (samples.len() as f64 + 0.5) / SAMPLES as f64;
                    if mark >= sum {
                        break;
                    }
                    samples.push(block(piece.prefix, (mark - begin) / weight, before));
                }
            }
        }
        let weight = 1.0 / samples.len().max(1) as f64;
        let samples = samples.into_iter().map(|address| Sample { address, weight }).collect();
        Self { cells, samples, recorded: false }
    }

    /// In the order of places.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// One by one: all that were recorded, or what was taken of the routed world.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Whether they are clients that were seen.
    pub fn is_recorded(&self) -> bool {
        self.recorded
    }
}

/// Whoever asks for a client's own prefix, as `explain` has it.
pub(super) fn asker(geo: &Geo, address: IpAddr) -> Asker {
    Asker::of_query(geo, address, Some((address, 1)))
}

/// What the routed leaves of each pair of places weigh, by family; in the order of places.
fn masses(before: &Table, after: &Table) -> Vec<([PlaceId; 2], [f64; 2])> {
    if std::ptr::eq(before, after) {
        // Millions of leaves: nothing is looked up.
        let mut masses = vec![[0.0; 2]; before.places().len()];
        for piece in routed(before, after) {
            masses[piece.places[0].index()][family(piece.prefix)] += mass_of(&piece);
        }
        let all = before.place_ids().map(|id| [id; 2]).zip(masses);
        return all.filter(|(_, mass)| *mass != [0.0; 2]).collect();
    }
    let mut masses: HashMap<[PlaceId; 2], [f64; 2]> = HashMap::new();
    for piece in routed(before, after) {
        masses.entry(piece.places).or_default()[family(piece.prefix)] += mass_of(&piece);
    }
    let mut all: Vec<_> = masses.into_iter().collect();
    all.sort_unstable_by_key(|(places, _)| *places);
    all
}

fn gathered(all: impl Iterator<Item = ([PlaceId; 2], f64)>) -> Box<[Cell]> {
    let mut weights: HashMap<[PlaceId; 2], f64> = HashMap::new();
    for (places, weight) in all {
        *weights.entry(places).or_default() += weight;
    }
    let mut cells: Vec<Cell> =
        weights.into_iter().map(|(places, weight)| Cell { places, weight }).collect();
    cells.sort_unstable_by_key(|cell| cell.places);
    cells.into()
}

fn routed<'t>(first: &'t Table, second: &'t Table) -> impl Iterator<Item = Piece> + 't {
    pieces(first, second).filter(|piece| !matches!(piece.source, Source::Special | Source::None))
}

fn family(prefix: IpNet) -> usize {
    usize::from(prefix.addr().is_ipv6())
}

/// Its part of what its leaf weighs.
fn mass_of(piece: &Piece) -> f64 {
    let halvings = i32::from(piece.prefix.prefix_len()) - i32::from(piece.leaf.prefix_len());
    mass(piece.leaf) * f64::from(-halvings).exp2()
}

/// The block of the cap's size that is so far into a prefix, 0 to 1.
fn block(prefix: IpNet, part: f64, table: &Table) -> IpAddr {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 2^64")]
    let into = |blocks: f64| (blocks * part.clamp(0.0, 1.0)).min(blocks - 1.0).max(0.0) as u128;
    let blocks = |cap: u8| f64::from(cap.saturating_sub(prefix.prefix_len())).exp2();
    match prefix {
        IpNet::V4(v4) => {
            let cap = table.cap().v4().max(v4.prefix_len());
            #[expect(clippy::cast_possible_truncation, reason = "at most 2^32 blocks")]
            let at = (into(blocks(cap)) << (32 - cap)) as u32;
            Ipv4Addr::from_bits(v4.network().to_bits().saturating_add(at)).into()
        }
        IpNet::V6(v6) => {
            let cap = table.cap().v6().max(v6.prefix_len());
            let at = into(blocks(cap)).checked_shl(u32::from(128 - cap)).unwrap_or(0);
            Ipv6Addr::from_bits(v6.network().to_bits().saturating_add(at)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use geo::{Place, Point, ScopeCap, TableBuilder};

    use super::*;

    fn table(networks: &[(&str, f64)]) -> Table {
        let mut builder = TableBuilder::new(ScopeCap::default());
        for (network, latitude) in networks {
            let place = Place::from(Point::new(*latitude, 1.0).unwrap());
            builder.network(network.parse().unwrap(), place).unwrap();
        }
        builder.freeze()
    }

    fn weight_at(crowd: &Crowd, table: &Table, side: usize, latitude: f64) -> f64 {
        let there = |cell: &&Cell| {
            let point = table.place(cell.places[side]).point();
            point.is_some_and(|point| point.lat() == latitude)
        };
        crowd.cells().iter().filter(there).map(|cell| cell.weight).sum()
    }

    #[test]
    fn each_24_and_each_48_is_a_client_and_families_weigh_alike() {
        let one =
            table(&[("198.51.0.0/20", 10.0), ("203.0.113.0/24", 50.0), ("2001:db8::/32", 20.0)]);
        let crowd = Crowd::world(&one, &one, true);
        assert!((weight_at(&crowd, &one, 0, 10.0) - 16.0 / 34.0).abs() < 1e-12);
        assert!((weight_at(&crowd, &one, 0, 50.0) - 1.0 / 34.0).abs() < 1e-12);
        assert!((weight_at(&crowd, &one, 0, 20.0) - 0.5).abs() < 1e-12);
        assert_eq!(crowd.samples().len(), SAMPLES);
        let of = |network: &str| {
            let network: IpNet = network.parse().unwrap();
            let inside = crowd.samples().iter().filter(|sample| network.contains(&sample.address));
            inside.map(|sample| sample.weight).sum::<f64>()
        };
        assert!((of("198.51.0.0/20") - 16.0 / 34.0).abs() < 1e-4);
        // Spread evenly inside.
        assert!((of("198.51.4.0/24") - 1.0 / 34.0).abs() < 1e-4);
        assert!((of("2001:db8:8000::/33") - 0.25).abs() < 1e-4);
    }

    #[test]
    fn another_table_divides_what_one_has_together() {
        let one = table(&[("198.51.0.0/20", 10.0), ("2001:db8::/20", 20.0)]);
        let other = table(&[("198.51.0.0/22", 30.0), ("2001:db8::/24", 40.0)]);
        let crowd = Crowd::world(&one, &other, false);
        assert!((weight_at(&crowd, &one, 0, 10.0) - 0.5).abs() < 1e-12);
        assert!((weight_at(&crowd, &other, 1, 30.0) - 0.125).abs() < 1e-12);
        assert!(
            (weight_at(&crowd, &other, 1, 40.0) - 1.0 / 32.0).abs() < 1e-12,
            "a 16th of a half"
        );
        let sum: f64 = crowd.cells().iter().map(|cell| cell.weight).sum();
        assert!((sum - 1.0).abs() < 1e-12);
    }
}
