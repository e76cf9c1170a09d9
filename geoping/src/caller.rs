//! Who a caller seems to be: the address it is seen from, the place of that address, and the
//! name in its certificate.
//!
//! The address is that of the connection's other end, after every NAT on the way; a header that
//! claims another is not looked at. The place comes from the same table the name servers use, so
//! `geoip ping` shows where DNS believes the caller to be.

use std::net::{IpAddr, SocketAddr};

use geo::{Country, Point, Table};
use pki::Identity;

/// What is told a caller about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Caller {
    /// The connection's other end; absent when the server does not say (a Unix socket).
    pub address: Option<SocketAddr>,
    /// Where that address is.
    pub place: CallerPlace,
    /// The URI SAN of its certificate; absent when the server asks for none.
    pub identity: Option<Identity>,
}

/// Where an address is, as far as the table knows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CallerPlace {
    /// The country; absent: unknown.
    pub country: Option<Country>,
    /// Its coordinates, or those of its country's middle; absent: unknown.
    pub point: Option<Point>,
}

/// Where `table` has `address`. An IPv4 address in IPv6 clothing is looked up as what it is.
pub fn place_of(table: &Table, address: IpAddr) -> CallerPlace {
    let hit = table.lookup_source(address);
    let place = table.place(hit.place);
    CallerPlace { country: place.country, point: place.point() }
}
