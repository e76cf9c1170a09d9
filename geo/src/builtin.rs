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
