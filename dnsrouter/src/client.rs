//! Who is asking, and how wide an answer to them is good.
//!
//! A resolver that sends a client subnet (RFC 7871) asks for somebody in that prefix; any other
//! asks for itself, and its own address is the best guess of where its clients are.
//!
//! | query carries | located by | scope returned |
//! |---|---|---|
//! | no subnet | the resolver's address | none |
//! | a subnet | the subnet | what the answer depends on ([`crate::policy`]) |
//! | SOURCE /0: "do not use my address" | the resolver's address | /0 (§7.1.3, §7.3.1) |
//! | a private or loopback subnet, in no explicit network | the resolver's address | that block |
//!
//! The last line deserves its reason. A private address says nothing about a place, so it is
//! ignored; but a scope of /0 would let the resolver reuse the answer, which was made for *its*
//! place, for every client in the world. The scope of the special block is both true (every address
//! in it gets this answer) and harmless.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use geo::{Hit, ScopeCap, Source};

use crate::plan::Geo;
use crate::policy::{Client, Family, Policy, subnet_draw};

/// Who is asking, looked up.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// The address that was looked up: of the subnet, or of the resolver.
    pub address: IpAddr,
    /// What the address table knows of it.
    pub hit: Hit,
    basis: Basis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Basis {
    /// The client subnet; its scope is the answer's.
    Subnet,
    /// The resolver itself; the scope is this, whatever the answer.
    Resolver { scope: u8 },
}

impl Asker {
    /// Looks up who a query is asked for. `subnet` is the option's address and SOURCE length.
    pub fn of_query(geo: &Geo, resolver: IpAddr, subnet: Option<(IpAddr, u8)>) -> Self {
        let scope = match subnet {
            None | Some((_, 0)) => 0,
            Some((address, _)) => {
                let hit = geo.table.lookup_subnet(address);
                match special_block(address) {
                    Some(block) if hit.source != Source::Network => block.max(hit.scope),
                    _ => return Self { address, hit, basis: Basis::Subnet },
                }
            }
        };
        let address = resolver.to_canonical();
        let hit = geo.table.lookup_source(address);
        Self { address, hit, basis: Basis::Resolver { scope } }
    }

    /// As a service's route sees it. `fresh` is a new random number for each query and `now` the
    /// time in seconds, of which draws for subnets use the slot of one TTL: an answer for a subnet
    /// must be the same for every address inside its scope, for as long as it may be cached.
    pub fn client<'a>(&self, geo: &'a Geo, policy: &Policy, now: u64, fresh: u64) -> Client<'a> {
        let cap = cap_of(geo.cap, self.address);
        let draw = match self.basis {
            Basis::Resolver { .. } => fresh,
            Basis::Subnet => {
                let slot = now / u64::from(policy.ttl().max(1));
                subnet_draw(policy.key(), truncate(self.address, cap), slot)
            }
        };
        Client { order: geo.ranking.order(self.hit.place), leaf: self.hit.scope, cap, draw }
    }

    /// The scope to return with an answer of this policy.
    pub fn scope(&self, policy: &Policy, family: Family, client: &Client<'_>) -> u8 {
        match self.basis {
            Basis::Subnet => policy.scope(family, client),
            Basis::Resolver { scope } => scope,
        }
    }
}

fn cap_of(cap: ScopeCap, address: IpAddr) -> u8 {
    if address.is_ipv4() { cap.v4() } else { cap.v6() }
}

/// The address with only its first `length` bits.
pub fn truncate(address: IpAddr, length: u8) -> IpAddr {
    let cut = |bits: u32| bits.saturating_sub(u32::from(length));
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(cut(32)).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(cut(128)).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

/// The length of the block of private, shared, loopback or link-local addresses that holds this
/// one (RFC 6890), if any does.
fn special_block(address: IpAddr) -> Option<u8> {
    match address {
        IpAddr::V4(v4) => match v4.octets() {
            [0 | 10 | 127, ..] => Some(8),
            [172, 16..=31, ..] => Some(12),
            [192, 168, ..] | [169, 254, ..] => Some(16),
            [100, 64..=127, ..] => Some(10),
            _ => None,
        },
        IpAddr::V6(v6) => match v6.segments() {
            [0xfc00..=0xfdff, ..] => Some(7),
            [0xfe80..=0xfebf, ..] => Some(10),
            // ::1 and its neighbours, v4-mapped ones among them: nothing here is routed.
            [0, 0, 0, ..] => Some(48),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation() {
        let cut = |address: &str, length| truncate(address.parse().unwrap(), length).to_string();
        assert_eq!(cut("203.0.113.77", 24), "203.0.113.0");
        assert_eq!(cut("203.0.113.77", 32), "203.0.113.77");
        assert_eq!(cut("203.0.113.77", 0), "0.0.0.0");
        assert_eq!(cut("2001:db8:1:2::3", 48), "2001:db8:1::");
        assert_eq!(cut("2001:db8::", 0), "::");
    }

    #[test]
    fn special_blocks() {
        let block = |address: &str| special_block(address.parse().unwrap());
        assert_eq!(block("10.9.8.7"), Some(8));
        assert_eq!(block("172.31.0.1"), Some(12));
        assert_eq!(block("172.32.0.1"), None);
        assert_eq!(block("192.168.1.1"), Some(16));
        assert_eq!(block("100.100.0.1"), Some(10));
        assert_eq!(block("8.8.8.8"), None);
        assert_eq!(block("fd00::1"), Some(7));
        assert_eq!(block("fe80::1"), Some(10));
        assert_eq!(block("::1"), Some(48));
        assert_eq!(block("2001:db8::1"), None);
    }
}
