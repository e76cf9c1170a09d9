//! Blocks that are nowhere: the same private, shared, loopback and link-local addresses are in
//! use all over the world (RFC 6890), so no database can place them.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{Layer, Place, Source};

/// The blocks. None is finer than a usual cap, so usually none shares a leaf with others.
pub(crate) const BLOCKS: [IpNet; 10] = [
    v4([0, 0, 0, 0], 8),      // this network
    v4([10, 0, 0, 0], 8),     // private
    v4([100, 64, 0, 0], 10),  // shared by the customers of a carrier
    v4([127, 0, 0, 0], 8),    // loopback
    v4([169, 254, 0, 0], 16), // link-local
    v4([172, 16, 0, 0], 12),  // private
    v4([192, 168, 0, 0], 16), // private
    // Loopback, unspecified and IPv4-mapped ones: nothing here is routed.
    v6(0, 48),
    v6(0xfc00, 7),  // unique local
    v6(0xfe80, 10), // link-local
];

/// The blocks as a layer of a table.
pub(crate) fn layer(blocks: &[IpNet]) -> Layer {
    let mut layer = Layer::new(Source::Special);
    blocks.iter().for_each(|block| layer.insert(*block, Place::UNKNOWN));
    layer
}

const fn v4([a, b, c, d]: [u8; 4], len: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), len))
}

const fn v6(first: u16, len: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0), len))
}
