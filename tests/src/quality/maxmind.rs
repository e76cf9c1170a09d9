//! The same databases in MaxMind's schema, for servers that read no other.

use geo::Country;

use super::database::{Database, Record};
use crate::mmdb::{Field, Writer};

/// Which product of MaxMind's a file looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// Countries and coordinates.
    City,
    /// Countries.
    Country,
}

/// One file of both families.
///
/// Coordinates are as exact as they were. What has neither a country nor, in a file of cities,
/// coordinates is left out: there is nothing to say.
pub fn file(product: Product, databases: [&Database; 2]) -> Vec<u8> {
    let mut writer = Writer::v6();
    for database in databases {
        let write = |record: &Record| with_fields(product, record, |fields| writer.record(fields));
        let written: Vec<_> = database.records.iter().map(write).collect();
        for network in &database.networks {
            let Some(record) = written[network.record as usize] else { continue };
            writer.insert(database.family.network(network.first, network.len), record);
        }
    }
    writer.finish(match product {
        Product::City => "GeoIP2-City",
        Product::Country => "GeoIP2-Country",
    })
}

/// What `then` makes of a record's fields; none: it says nothing.
fn with_fields<R>(
    product: Product,
    record: &Record,
    then: impl FnOnce(&Field<'_>) -> R,
) -> Option<R> {
    let country = record.country.map(|country| country.to_string());
    let continent = record.country.and_then(Country::continent);
    let mut fields = Vec::new();
    if let Some(continent) = continent {
        fields.push(("continent", Field::Map(vec![("code", Field::Text(continent.code()))])));
    }
    if let Some(country) = &country {
        fields.push(("country", Field::Map(vec![("iso_code", Field::Text(country))])));
    }
    if let (Product::City, Some([latitude, longitude])) = (product, record.point) {
        let point = [("latitude", latitude), ("longitude", longitude)];
        let point = point.map(|(name, degrees)| (name, Field::Double(degrees)));
        fields.push(("location", Field::Map(point.to_vec())));
    }
    (!fields.is_empty()).then(|| then(&Field::Map(fields)))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use maxminddb::{Reader, geoip2};

    use super::super::block::Family;
    use super::super::database::Network;
    use super::*;

    #[test]
    fn files_are_read_as_maxminds() {
        let record = |country: &str, point| Record { country: country.parse().ok(), point };
        let records = vec![
            record("DE", Some([50.115_52, 8.684_17])),
            record("US", None),
            record("", Some([-33.0, 151.0])),
            record("", None),
        ];
        let network = |first: u128, record| Network { first: first << 8, len: 24, record };
        let networks = (0..4).map(|at| network(at, at as u32)).collect();
        let v4 = Database { family: Family::V4, networks, records: records.clone() };
        let network = Network { first: 0x2001_0db8 << 96, len: 32, record: 0 };
        let v6 = Database { family: Family::V6, networks: vec![network], records };

        let reader = Reader::from_source(file(Product::City, [&v4, &v6])).unwrap();
        assert_eq!(reader.metadata().database_type, "GeoIP2-City");
        let city = |address: &str| {
            let address: IpAddr = address.parse().unwrap();
            let found = reader.lookup(address).unwrap();
            found.decode::<geoip2::City<'_>>().unwrap().map(|city| {
                let location = &city.location;
                let point = location.latitude.zip(location.longitude);
                (city.continent.code, city.country.iso_code, point)
            })
        };
        let frankfurt = Some((Some("EU"), Some("DE"), Some((50.115_52, 8.684_17))));
        assert_eq!(city("0.0.0.1"), frankfurt);
        assert_eq!(city("2001:db8:77::"), frankfurt);
        assert_eq!(city("0.0.1.1"), Some((Some("NA"), Some("US"), None)));
        assert_eq!(city("0.0.2.1"), Some((None, None, Some((-33.0, 151.0)))));
        assert_eq!(city("0.0.3.1"), None);

        let reader = Reader::from_source(file(Product::Country, [&v4, &v6])).unwrap();
        assert_eq!(reader.metadata().database_type, "GeoIP2-Country");
        let found = reader.lookup("2001:db8::".parse().unwrap()).unwrap();
        let country = found.decode::<geoip2::City<'_>>().unwrap().unwrap();
        assert_eq!(country.country.iso_code, Some("DE"));
        assert_eq!(country.location.latitude, None);
    }
}
