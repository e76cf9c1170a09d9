//! What is asked about: a /24 of IPv4, a /48 of IPv6.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// An address family. Its blocks are numbered by the bits of their prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// The prefix length of a block.
    pub fn block_len(self) -> u8 {
        match self {
            Family::V4 => 24,
            Family::V6 => 48,
        }
    }

    /// The bits of an address.
    pub fn bits(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }

    /// The bits of an address behind those of its block.
    pub fn host_bits(self) -> u8 {
        self.bits() - self.block_len()
    }

    /// The block of an address.
    pub fn block_of(self, address: u128) -> u64 {
        (address >> self.host_bits()) as u64
    }

    /// The first address of a block.
    pub fn first_address(self, block: u64) -> u128 {
        u128::from(block) << self.host_bits()
    }

    /// A network from its first address.
    pub fn network(self, first: u128, len: u8) -> IpNet {
        match self {
            Family::V4 => Ipv4Net::new_assert(Ipv4Addr::from_bits(first as u32), len).into(),
            Family::V6 => Ipv6Net::new_assert(Ipv6Addr::from_bits(first), len).into(),
        }
    }

    /// A block as a resolver sends it.
    pub fn subnet(self, block: u64) -> IpNet {
        self.network(self.first_address(block), self.block_len())
    }

    /// The last block of the scope around a block. A scope beyond a block's length holds as much as
    /// was asked about (RFC 7871 §7.2.1).
    pub fn last_in_scope(self, block: u64, scope: u8) -> u64 {
        let within = self.block_len().saturating_sub(scope);
        block | ((1 << within) - 1)
    }
}

/// `IPv4`, `IPv6`
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_networks_and_scopes_hold_blocks() {
        let address = u128::from(Ipv4Addr::new(192, 0, 2, 77).to_bits());
        let block = Family::V4.block_of(address);
        assert_eq!(Family::V4.subnet(block).to_string(), "192.0.2.0/24");
        assert_eq!(Family::V4.last_in_scope(block, 24), block);
        assert_eq!(Family::V4.last_in_scope(block, 28), block);
        assert_eq!(Family::V4.last_in_scope(block, 23), block | 1);
        assert_eq!(Family::V4.last_in_scope(block, 0), (1 << 24) - 1);
        let address: Ipv6Addr = "2001:db8:1:2::3".parse().unwrap();
        let block = Family::V6.block_of(address.to_bits());
        assert_eq!(Family::V6.subnet(block).to_string(), "2001:db8:1::/48");
        assert_eq!(Family::V6.last_in_scope(block, 32), block | 0xffff);
    }
}
