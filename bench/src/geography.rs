//! A world of 13 regions, the same for every server: which country's clients go to which region.
//!
//! dnsrouter reckons it from distances. The others cannot, without a city database: they are given
//! what comes out, country by country, as their own maps.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ::tests::mmdb;
use geo::regions::{self, Region};
use geo::{
    Continent, Country, Distances, Kilometres, Place, Point, ScopeCap, TableBuilder, builtin,
};
use ipnet::{IpNet, Ipv4Net};

use crate::generator::{A, AAAA, Expected, Workload, query};
use crate::scatter;

/// What is asked for.
pub const NAME: &str = "geo.test-net.io";

/// On every continent that people live on.
pub const REGIONS: [&str; 13] = [
    "us-central1",
    "us-east1",
    "europe-southwest1",
    "europe-west1",
    "europe-west3",
    "europe-north1",
    "asia-southeast1",
    "asia-northeast1",
    "asia-south1",
    "australia-southeast1",
    "southamerica-east1",
    "africa-south1",
    "me-west1",
];

/// Regions, and networks with their countries.
pub struct World {
    regions: Vec<&'static Region>,
    networks: Vec<(Ipv4Net, Country)>,
    rankings: BTreeMap<Country, Vec<usize>>,
}

impl World {
    /// From the country database that is compiled in.
    ///
    /// # Panics
    ///
    /// When a region is not in the list of regions.
    pub fn new() -> Self {
        let region = |name| regions::find(name).expect("the regions are in the list");
        let regions: Vec<_> = REGIONS.into_iter().map(region).collect();
        let mut builder = TableBuilder::new(ScopeCap::default());
        builtin::load(&mut builder);
        let table = builder.freeze();
        let networks: Vec<(Ipv4Net, Country)> = table
            .routed()
            .filter_map(|routed| match routed.prefix {
                IpNet::V4(network) => Some((network, table.place(routed.place).country?)),
                IpNet::V6(_) => None,
            })
            .filter(|(_, country)| country.continent().is_some())
            .collect();
        let countries: BTreeSet<Country> = networks.iter().map(|(_, country)| *country).collect();
        let points: Vec<Point> = regions.iter().map(|region| region.point).collect();
        let distances = Distances::new(&points);
        let ranking = |country: Country| Some((country, ranking(country, &distances)?));
        let rankings = countries.into_iter().filter_map(ranking).collect();
        Self { regions, networks, rankings }
    }

    /// The regions' names, in an order of their own.
    pub fn regions(&self) -> impl ExactSizeIterator<Item = &'static str> {
        self.regions.iter().map(|region| region.name)
    }

    /// Where a region is reached.
    pub fn addresses(region: usize) -> (Ipv4Addr, Ipv6Addr) {
        let host = region as u8 + 1;
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host.into());
        (Ipv4Addr::new(203, 0, 113, host), v6)
    }

    /// Every country that has networks, with its continent and its regions, nearest first.
    pub fn countries(&self) -> impl Iterator<Item = (Continent, Country, &[usize])> {
        self.rankings
            .iter()
            .filter_map(|(country, ranking)| Some((country.continent()?, *country, &ranking[..])))
    }

    /// Its networks as a country database in MaxMind's form.
    pub fn database(&self) -> Vec<u8> {
        let place = |(network, country): &(Ipv4Net, Country)| {
            let continent = country.continent()?.code().to_owned();
            let country = country.to_string();
            Some(mmdb::Place { network: *network, continent, country, location: None })
        };
        mmdb::city(&self.networks.iter().filter_map(place).collect::<Vec<_>>())
    }

    /// A and AAAA in turn, for clients in so many different /24s all over the world.
    ///
    /// # Panics
    ///
    /// When there are not so many.
    pub fn workload(&self, subnets: usize) -> Workload {
        let mut workload = Workload::default();
        let mut seen = HashSet::new();
        for turn in 0.. {
            if seen.len() == subnets {
                break;
            }
            assert!(turn < 100 * subnets as u64, "no {subnets} client subnets in the database");
            let (network, country) = self.networks[pick(turn, self.networks.len())];
            let host = scatter(!turn) as u32 & u32::from(network.hostmask());
            let [a, b, c, _] = (u32::from(network.network()) | host).to_be_bytes();
            if network.prefix_len() > 24 || !seen.insert([a, b, c]) {
                continue;
            }
            let (v4, v6) = World::addresses(self.rankings[&country][0]);
            for (rtype, address) in [(A, IpAddr::V4(v4)), (AAAA, IpAddr::V6(v6))] {
                let query = query(NAME, rtype, Some([a, b, c]));
                workload.ask(&query, Expected::addresses([address]));
            }
        }
        workload
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

fn pick(turn: u64, among: usize) -> usize {
    (scatter(turn) % among as u64) as usize
}

/// The regions by their distance from where the country's networks are.
fn ranking(country: Country, distances: &Distances) -> Option<Vec<usize>> {
    let distances: Vec<Kilometres> = distances.from(&Place::from(country))?.collect();
    let mut ranking: Vec<usize> = (0..distances.len()).collect();
    ranking.sort_by(|a, b| distances[*a].0.total_cmp(&distances[*b].0));
    Some(ranking)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_go_to_the_region_that_is_nearest() {
        let world = World::new();
        let nearest = |country: &str| {
            let ranking = &world.rankings[&country.parse().unwrap()];
            world.regions().nth(ranking[0]).unwrap()
        };
        assert_eq!(nearest("DE"), "europe-west3");
        assert_eq!(nearest("SG"), "asia-southeast1");
        assert_eq!(nearest("ZA"), "africa-south1");
        assert_eq!(nearest("FI"), "europe-north1");
    }

    #[test]
    fn all_regions_are_asked_for_in_both_families() {
        let world = World::new();
        let workload = world.workload(5000);
        assert_eq!(workload.len(), 10_000);
        let answers: BTreeSet<IpAddr> = (0..10_000)
            .flat_map(|query| workload.get(query).1.unwrap().addresses.clone())
            .collect();
        for (region, name) in world.regions().enumerate() {
            let (v4, v6) = World::addresses(region);
            assert!(answers.contains(&v4.into()) && answers.contains(&v6.into()), "{name}");
        }
    }
}
