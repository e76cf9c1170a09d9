//! What is believed of where clients are before what regions serve tells better.
//!
//! | there are | the guess is | it changes |
//! |---|---|---|
//! | too few counts of clients | the routed world: every /24 is one client | with the databases |
//! | enough ([`ENOUGH`]) | what this node answered, of which the past fades | when it is off by [`WORTH`] |
//!
//! A changed guess begins the learning of [`super::clients`] anew, so it does not change for little, nor
//! to and fro: counts that were enough once are enough until half as many are left.

use geo::{Distances, Kilometres, Place, Point, Population, Source, Table};

use super::demand::Demand;

/// So many equally heavy prefixes make counts a better guess than the routed world: then the standard
/// error of any region's share is 1.6 % at most, where the world's guess is off by tens.
pub const ENOUGH: f64 = 1000.0;
/// A guess stays until this share of all clients is nearest to another region by the new one; two
/// standard errors of what is just [`ENOUGH`].
pub const WORTH: f64 = 0.03;

/// Where a guess comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The databases.
    World,
    /// Counts of clients.
    Recorded,
}

/// A demand, and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Guess {
    /// Where clients are.
    pub demand: Demand,
    /// Who says so.
    pub basis: Basis,
}

impl Guess {
    /// The best there is; `before` is what was used until now.
    pub fn new(table: &Table, recorded: Option<&Population>, before: Option<Basis>) -> Self {
        let enough = if before == Some(Basis::Recorded) { ENOUGH / 2.0 } else { ENOUGH };
        let recorded = recorded.map(|population| Placed::new(table, population));
        match recorded.filter(|placed| placed.effective >= enough) {
            Some(placed) => {
                Self { demand: Demand::new(placed.places(table)), basis: Basis::Recorded }
            }
            None => Self { demand: Demand::of_world(table), basis: Basis::World },
        }
    }

    /// Whether it is to take the place of `before`, for regions at these points.
    pub fn is_news(&self, before: &Self, regions: &[Point]) -> bool {
        match (before.basis, self.basis) {
            (Basis::Recorded, Basis::Recorded) => {
                let shares = [before, self].map(|guess| nearest(&guess.demand, regions));
                let [before, now] = shares;
                let moved: f64 = before.iter().zip(&now).map(|(a, b)| (a - b).abs()).sum();
                moved / 2.0 > WORTH
            }
            // The same database, read again, tells nothing new.
            (Basis::World, Basis::World) => self.demand != before.demand,
            _ => true,
        }
    }
}

/// Counts of clients whose place is known.
struct Placed {
    /// By the number of the place; 0 where nobody is.
    counts: Vec<f64>,
    /// How many equally heavy prefixes would tell as much: (Σ c)² / Σ c² (Kish 1965, "Survey Sampling").
    effective: f64,
}

impl Placed {
    fn new(table: &Table, population: &Population) -> Self {
        let mut counts = vec![0.0; table.places().len()];
        let (mut sum, mut squares) = (0.0, 0.0);
        for (prefix, count) in population.iter() {
            let hit = table.lookup_subnet(prefix.network());
            let known = table.place(hit.place).is_somewhere() && hit.source != Source::Special;
            if known {
                #[expect(clippy::cast_precision_loss, reason = "its share matters")]
                let count = count as f64;
                counts[hit.place.index()] += count;
                sum += count;
                squares += count * count;
            }
        }
        let effective = if squares > 0.0 { sum * sum / squares } else { 0.0 };
        Self { counts, effective }
    }

    fn places<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = (Place, f64)> + 'a {
        let places = table.places().iter().zip(&self.counts);
        places.map(|(place, count)| (*place, *count))
    }
}

/// By region: the share of clients that it is nearest to.
fn nearest(demand: &Demand, regions: &[Point]) -> Vec<f64> {
    let mut shares = vec![0.0; regions.len()];
    let distances = Distances::new(regions);
    for (place, mass) in demand.points() {
        let distances = distances.from(place).into_iter().flatten();
        let distances = distances.map(|Kilometres(km)| km).enumerate();
        if let Some((region, _)) = distances.min_by(|(_, a), (_, b)| a.total_cmp(b)) {
            shares[region] += f64::from(*mass);
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;

    use super::*;

    const REGIONS: [(f64, f64); 2] = [(10.0, 20.0), (50.0, 20.0)];

    fn at((lat, lon): (f64, f64)) -> Point {
        Point::new(lat, lon).unwrap()
    }

    /// 20.0.0.0/8 is south, 30.0.0.0/8 north, all else nowhere.
    fn table() -> Table {
        let mut table = geo::TableBuilder::new(geo::ScopeCap::default());
        for (network, place) in [("20.0.0.0/8", REGIONS[0]), ("30.0.0.0/8", REGIONS[1])] {
            table.network(network.parse().unwrap(), at(place).into()).unwrap();
        }
        table.freeze()
    }

    fn prefix(first: u8, n: u16) -> IpNet {
        let [second, third] = n.to_be_bytes();
        format!("{first}.{second}.{third}.0/24").parse().unwrap()
    }

    /// So many prefixes of each, with so many answers.
    fn recorded(prefixes: u16, south: u64, north: u64) -> Population {
        let of = |first, count| (0..prefixes).map(move |n| (prefix(first, n), count));
        Population::new(of(20, south).chain(of(30, north))).unwrap()
    }

    fn south(guess: &Guess) -> f64 {
        nearest(&guess.demand, &REGIONS.map(at))[0]
    }

    #[test]
    fn a_million_queries_of_a_few_prefixes_are_not_enough() {
        let table = table();
        let effective = |population: &Population| Placed::new(&table, population).effective;
        assert!((effective(&recorded(300, 1, 1)) - 600.0).abs() < 1e-9, "as many as there are");
        assert!((effective(&recorded(5, 1_000_000, 1_000_000)) - 10.0).abs() < 1e-9);
        assert!(effective(&Population::default()).abs() < 1e-9);
        let one_heavy = [
            (prefix(20, 0), 1000),
            (prefix(30, 0), 1),
            // Whose place is unknown.
            (prefix(40, 0), 1_000_000),
        ];
        let effective = effective(&Population::new(one_heavy).unwrap());
        assert!((1.0..1.01).contains(&effective), "{effective}");
    }

    #[test]
    fn counts_that_were_enough_stay_so_until_half_are_left() {
        let table = table();
        let basis =
            |prefixes, before| Guess::new(&table, Some(&recorded(prefixes, 3, 3)), before).basis;
        assert_eq!((basis(499, None), basis(501, None)), (Basis::World, Basis::Recorded));
        let before = Some(Basis::Recorded);
        assert_eq!((basis(249, before), basis(251, before)), (Basis::World, Basis::Recorded));
        assert_eq!(basis(251, Some(Basis::World)), Basis::World);
        let world = Guess::new(&table, None, None);
        assert!((south(&world) - 0.5).abs() < 0.01, "every /24 counts as one");
        let recorded = Guess::new(&table, Some(&recorded(1000, 1, 3)), None);
        assert!((south(&recorded) - 0.25).abs() < 1e-3, "here they count as often as they asked");
    }

    #[test]
    fn a_guess_changes_only_for_something() {
        let table = table();
        let of = |south, north| Guess::new(&table, Some(&recorded(1000, south, north)), None);
        let (regions, before) = (REGIONS.map(at), of(100, 100));
        // 52.4 % and 55.6 % south.
        assert!(!of(100, 91).is_news(&before, &regions));
        assert!(of(100, 80).is_news(&before, &regions));
        let world = Guess::new(&table, None, None);
        assert!(world.is_news(&before, &regions) && before.is_news(&world, &regions));
        assert!(!world.clone().is_news(&world, &regions));
    }
}
