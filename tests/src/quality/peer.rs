//! gdnsd with the same regions: by distance where its database has coordinates, else by the best map of
//! countries there is.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use geo::Country;

use super::questions::address;
use super::{REGIONS, coordinates};
use crate::gdnsd::{self, Gdnsd};
use crate::scratch::Scratch;

/// The zone that its services are in.
pub const ZONE: &str = "test-net.io";

/// Its configuration, in the making.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    maps: String,
    resources: String,
    zone: String,
}

impl Peer {
    /// A service in the first so many regions, answered by distance: gdnsd's city auto mode.
    pub fn by_distance(&mut self, service: &str, database: &Path, count: usize) {
        let mut coords = String::new();
        for (region, [latitude, longitude]) in REGIONS.iter().zip(coordinates(count)) {
            let _ = write!(coords, "{region} => [ {latitude}, {longitude} ] ");
        }
        self.service(service, database, count, &format!("auto_dc_coords => {{ {coords}}}"));
    }

    /// A service in the first so many regions, answered by the client's country.
    pub fn by_country(
        &mut self,
        service: &str,
        database: &Path,
        count: usize,
        orders: &BTreeMap<Country, Vec<u8>>,
    ) {
        let mut continents: BTreeMap<&str, String> = BTreeMap::new();
        for (country, order) in orders {
            let Some(continent) = country.continent() else { continue };
            let order: Vec<&str> = order.iter().map(|at| REGIONS[usize::from(*at)]).collect();
            let countries = continents.entry(continent.code()).or_default();
            let _ = write!(countries, "{country} => [ {} ] ", order.join(", "));
        }
        let mut map = String::new();
        for (continent, countries) in continents {
            let _ = write!(map, "{continent} => {{ {countries}}} ");
        }
        self.service(service, database, count, &format!("map => {{ {map}}}"));
    }

    fn service(&mut self, service: &str, database: &Path, count: usize, map: &str) {
        let regions = REGIONS[..count].join(", ");
        let _ = writeln!(
            self.maps,
            "{service} => {{ geoip2_db => {database:?}, datacenters => [ {regions} ], {map} }}"
        );
        let mut datacentres = String::new();
        for (at, region) in REGIONS[..count].iter().enumerate() {
            let _ = write!(datacentres, "{region} => {} ", address(at));
        }
        let _ = writeln!(
            self.resources,
            "{service} => {{ map => {service}, dcmap => {{ {datacentres}}} }}"
        );
        let _ = writeln!(self.zone, "{service} 60 DYNA geoip!{service}");
    }

    /// Starts gdnsd with all that, and waits until it has read its databases.
    pub fn start(&self, scratch: &Scratch) -> Gdnsd {
        let Peer { maps, resources, zone } = self;
        let config = format!(
            "{}\nplugins => {{ geoip => {{\nmaps => {{\n{maps}}}\nresources => {{\n{resources}}}\n}} }}\n",
            gdnsd::OPTIONS
        );
        let zone = format!(
            "@ 300 SOA ns1 hostmaster 1 7200 900 1209600 60\n@ 300 NS ns1\n\
             ns1 300 A 203.0.113.53\n{zone}"
        );
        Gdnsd::start(scratch, ZONE, |folder| {
            write(folder.join("config"), &config);
            write(folder.join("zones").join(ZONE), &zone);
        })
    }
}

fn write(file: PathBuf, text: &str) {
    let folder = file.parent().expect("a file in a folder");
    std::fs::create_dir_all(folder).expect("the scratch folder can be written");
    std::fs::write(file, text).expect("the scratch folder can be written");
}
