//! A world of 13 regions, the same for every server: which country's clients go to which region.
//!
//! dnsrouter reckons it from distances. The others cannot, without a city database: they are given
//! what comes out, country by country, as their own maps.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ::tests::mmdb::{self, Field, Writer};
use geo::regions::{self, Region};
use geo::{
    Continent, Country, Distances, Kilometres, Place, Point, ScopeCap, TableBuilder, builtin,
};
use ipnet::{IpNet, Ipv4Net};

use crate::generator::{A, AAAA, Expected, Workload, query};
use crate::scatter;

/// The first service's.
pub const NAME: &str = "geo.test-net.io";

/// Where a world of any number of networks begins, and how many /24s it has room for: no block
/// between is private, shared or otherwise nowhere (RFC 6890).
const FIRST: u32 = 11 << 24;
const ROOM: usize = (100 - 11) << 16;

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

    /// The same regions, and so many networks one behind the other, each in another country than its
    /// neighbours.
    ///
    /// # Panics
    ///
    /// When there is no room for so many.
    pub fn spread(count: usize) -> Self {
        assert!(count <= ROOM, "{count} networks; there is room for {ROOM}");
        let world = Self::new();
        let countries: Vec<Country> = world.rankings.keys().copied().collect();
        // As large as they can be: the first begins at a multiple of a /8's.
        let bits = (ROOM / count.max(1)).max(1).ilog2().min(16);
        let mut country = 0;
        let mut networks = Vec::with_capacity(count);
        for at in 0..count {
            country = (country + 1 + pick(at as u64, countries.len() - 1)) % countries.len();
            let start = FIRST + ((at as u32) << bits << 8);
            let network = Ipv4Net::new_assert(Ipv4Addr::from(start), 24 - bits as u8);
            networks.push((network, countries[country]));
        }
        Self { networks, ..world }
    }

    /// The regions' names, in an order of their own.
    pub fn regions(&self) -> impl ExactSizeIterator<Item = &'static str> {
        self.regions.iter().map(|region| region.name)
    }

    /// A service's name: the first is [`NAME`].
    pub fn name(service: usize) -> String {
        let (label, zone) = NAME.split_once('.').unwrap_or((NAME, ""));
        if service == 0 { NAME.to_owned() } else { format!("{label}{service}.{zone}") }
    }

    /// Where a service is reached in a region.
    pub fn addresses(service: usize, region: usize) -> (Ipv4Addr, Ipv6Addr) {
        let ([.., high, low], host) = (service.to_be_bytes(), region as u8 + 1);
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, service as u16, host.into());
        (Ipv4Addr::new(10, high, low, host), v6)
    }

    /// Every country that has networks, with its continent and its regions, nearest first.
    pub fn countries(&self) -> impl Iterator<Item = (Continent, Country, &[usize])> {
        self.rankings
            .iter()
            .filter_map(|(country, ranking)| Some((country.continent()?, *country, &ranking[..])))
    }

    /// Its networks as a country database in MaxMind's form.
    pub fn database(&self) -> Vec<u8> {
        let mut writer = Writer::v4();
        let record = |country: Country| {
            let (continent, country) = (country.continent()?.code(), country.to_string());
            let code = |name, text| Field::Map(vec![(name, Field::Text(text))]);
            Some(writer.record(&Field::Map(vec![
                ("continent", code("code", continent)),
                ("country", code("iso_code", &country)),
            ])))
        };
        let records: Vec<Option<mmdb::Data>> = self.rankings.keys().copied().map(record).collect();
        let of: BTreeMap<&Country, Option<mmdb::Data>> =
            self.rankings.keys().zip(records).collect();
        for (network, country) in &self.networks {
            if let Some(record) = of.get(country).copied().flatten() {
                writer.insert(IpNet::V4(*network), record);
            }
        }
        writer.finish("GeoIP2-City")
    }

    /// A and AAAA in turn, each time of one of so many services, for clients in so many different
    /// /24s all over the world.
    ///
    /// # Panics
    ///
    /// When there are not so many.
    pub fn workload(&self, subnets: usize, services: usize) -> Workload {
        let mut workload = Workload::default();
        let mut seen = HashSet::new();
        for turn in 0.. {
            if seen.len() == subnets {
                break;
            }
            assert!(turn < 100 * subnets as u64, "no {subnets} client subnets in the database");
            let Some((subnet, region)) = self.client(turn) else { continue };
            if !seen.insert(subnet) {
                continue;
            }
            let service = pick(turn, services);
            let (name, (v4, v6)) = (World::name(service), World::addresses(service, region));
            for (rtype, address) in [(A, IpAddr::V4(v4)), (AAAA, IpAddr::V6(v6))] {
                let query = query(&name, rtype, Some(subnet));
                workload.ask(&query, Expected::addresses([address]));
            }
        }
        workload
    }

    /// A /24, and the region it is answered with; none where the turn finds a network that is finer.
    fn client(&self, turn: u64) -> Option<([u8; 3], usize)> {
        let (network, country) = self.networks[pick(turn, self.networks.len())];
        let host = scatter(!turn) as u32 & u32::from(network.hostmask());
        let [a, b, c, _] = (u32::from(network.network()) | host).to_be_bytes();
        (network.prefix_len() <= 24).then(|| ([a, b, c], self.rankings[&country][0]))
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
        let workload = world.workload(5000, 1);
        assert_eq!(workload.len(), 10_000);
        let answers: BTreeSet<IpAddr> = (0..10_000)
            .flat_map(|query| workload.get(query).1.unwrap().addresses.clone())
            .collect();
        for (region, name) in world.regions().enumerate() {
            let (v4, v6) = World::addresses(0, region);
            assert!(answers.contains(&v4.into()) && answers.contains(&v6.into()), "{name}");
        }
    }

    #[test]
    fn networks_are_as_many_as_told_and_elsewhere_than_their_neighbours() {
        for count in [1, 1000, 100_000] {
            let world = World::spread(count);
            assert_eq!(world.networks.len(), count);
            for pair in world.networks.windows(2) {
                let [(before, here), (after, there)] = pair else { panic!() };
                assert!(here != there && before.broadcast() < after.network(), "{pair:?}");
            }
            assert!(world.networks.iter().all(|(network, _)| network.trunc() == *network));
            let end = world.networks.last().map(|(network, _)| network.broadcast());
            assert!(end.is_none_or(|end| end < Ipv4Addr::new(100, 0, 0, 0)), "{end:?}");
        }
    }

    #[test]
    fn services_have_names_and_addresses_of_their_own() {
        let world = World::new();
        assert_eq!([World::name(0), World::name(7)], [NAME, "geo7.test-net.io"]);
        let addresses: HashSet<_> = (0..1000)
            .flat_map(|service| (0..13).map(move |region| World::addresses(service, region)))
            .collect();
        assert_eq!(addresses.len(), 13_000);
        let asked = world.workload(1000, 100);
        let names: HashSet<&[u8]> = (0..2000).map(|at| &asked.get(at).0[12..18]).collect();
        assert!(names.len() > 90, "{}", names.len());
    }
}
