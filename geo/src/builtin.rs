//! The country database that is compiled in: no file needed, countries only.
//!
//! The data is the IPFire location database (CC BY-SA 4.0), as the `tor-geoip-db` crate packs
//! it: per family, ascending starts of ranges and the two letters of each range's country.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use ipnet::{Ipv4Subnets, Ipv6Subnets};

use crate::{Country, Layer, Place, Source, TableBuilder};

/// Adds the built-in database behind those added before: as the last one, it fills their gaps.
pub fn load(into: &mut TableBuilder) {
    let mut layer = Layer::new(Source::BuiltIn);
    for (first, last, country) in ranges(tor_geoip_db::ipv4s(), tor_geoip_db::ipv4c(), u32::MAX) {
        for net in Ipv4Subnets::new(Ipv4Addr::from(first), Ipv4Addr::from(last), 0) {
            layer.insert(net.into(), Place::from(country));
        }
    }
    for (first, last, country) in ranges(tor_geoip_db::ipv6s(), tor_geoip_db::ipv6c(), u128::MAX) {
        for net in Ipv6Subnets::new(Ipv6Addr::from(first), Ipv6Addr::from(last), 0) {
            layer.insert(net.into(), Place::from(country));
        }
    }
    into.database(layer);
}

/// The ranges of which the country is known: first address, last address, country.
fn ranges<K: Copy + std::ops::Sub<Output = K> + From<u8>>(
    starts: &'static [K],
    codes: &'static [Option<NonZeroU16>],
    end: K,
) -> impl Iterator<Item = (K, K, Country)> {
    let lasts = starts.iter().skip(1).map(move |&next| next - K::from(1)).chain([end]);
    starts.iter().zip(lasts).zip(codes).filter_map(|((&first, last), code)| {
        // The letters in the order of the bytes: the data is little-endian, wherever it runs.
        let country = Country::new(code.as_ref()?.get().to_le_bytes())?;
        country.center()?;
        Some((first, last, country))
    })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::{ScopeCap, Table};

    #[test]
    fn well_known_networks_are_in_their_countries() {
        let table = table();
        let known = [
            ("193.0.6.139", "NL"),           // RIPE NCC, Amsterdam
            ("2001:67c:2e8::1", "NL"),       // the same
            ("129.132.19.216", "CH"),        // ETH Zürich
            ("2001:67c:10ec::1", "CH"),      // the same
            ("202.12.29.205", "AU"),         // APNIC, Brisbane
            ("2001:dc0:2001:11::194", "AU"), // the same
            ("133.11.0.1", "JP"),            // University of Tokyo
            ("200.160.2.3", "BR"),           // NIC.br, São Paulo
            ("2001:12ff::10", "BR"),         // the same
            ("18.9.22.69", "US"),            // MIT
        ];
        for (address, country) in known {
            let hit = table.lookup_subnet(address.parse::<IpAddr>().unwrap());
            let place = table.place(hit.place);
            assert_eq!(place.country, country.parse().ok(), "{address}");
            assert_eq!(hit.source, Source::BuiltIn);
            assert!(place.point.is_none() && place.point().is_some(), "countries have centres");
        }
        let source = |address: &str| table.lookup_subnet(address.parse().unwrap()).source;
        assert_eq!(source("10.0.0.1"), Source::Special);
        assert_eq!(source("fd00::1"), Source::Special);
        assert_eq!(source("240.0.0.1"), Source::None);
    }

    #[test]
    fn agrees_with_the_packed_ranges() {
        let table = TableBuilder::new(ScopeCap::new(32, 64).expect("within limits"));
        let table = filled(table);
        let (starts, codes) = (tor_geoip_db::ipv4s(), tor_geoip_db::ipv4c());
        for (&start, code) in starts.iter().zip(codes) {
            let hit = table.lookup_subnet(IpAddr::V4(start.into()));
            let letters = code.and_then(|code| Country::new(code.get().to_le_bytes()));
            let expected = letters.filter(|country| country.center().is_some());
            assert_eq!(table.place(hit.place).country, expected, "{}", Ipv4Addr::from(start));
        }
    }

    fn table() -> Table {
        filled(TableBuilder::new(ScopeCap::default()))
    }

    fn filled(mut builder: TableBuilder) -> Table {
        load(&mut builder);
        builder.freeze()
    }
}
