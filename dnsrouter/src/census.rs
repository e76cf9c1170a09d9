//! How often clients of each network were answered: counts per /24 and /48, for those who plan.
//!
//! ```text
//!   answer ─▶ Recorder ─▶ ring ─▶ Reader ─▶ Tally ─▶ geo::Population ─▶ a file, people, `load`
//!   one thread's: a store          one task's: sorts, adds, forgets
//! ```
//!
//! | part | is | costs a query |
//! |---|---|---|
//! | [`Recorder`] | a thread's end of a [`ring()`] of its own | two stores |
//! | [`Reader`] | the other end | nothing |
//! | [`Tally`] | counts in bounded memory, with the error that this costs | nothing |
//!
//! A count is of answers that a service chose records for, and of the client that routing saw: the
//! prefix in the query's client subnet where that was used, else the resolver's own. No address is
//! kept, no name, and no time.
//!
//! **What strangers can do.** Whoever sends made-up client subnets is counted like anybody, and
//! nothing in a packet tells them apart. So three things bound what that does: an answer that the
//! rate limit holds back is not counted; each family of addresses has a memory of its own, so that
//! 2⁴⁸ made-up /48s crowd out no /24; and in one memory a flood of prefixes that come once takes the
//! same small number from each count, which [`Tally`] tells.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

pub use ring::{Reader, Recorder, ring};
pub use tally::{Figures, Settings, Tally};

pub mod ring;
pub mod tally;

/// A /24 of IPv4 or a /48 of IPv6, in the order of [`IpNet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix(u64);

impl Prefix {
    const V6: u64 = 1 << 48;
    /// The least of IPv6: above all of IPv4.
    const FIRST_V6: Self = Self(Self::V6);

    /// The prefix that holds an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(u64::from(v4.to_bits() >> 8)),
            IpAddr::V6(v6) => Self(Self::V6 | (v6.to_bits() >> 80) as u64),
        }
    }

    /// The same as a network.
    #[expect(clippy::cast_possible_truncation, reason = "24 bits")]
    pub fn net(self) -> IpNet {
        match self.0.checked_sub(Self::V6) {
            None => Ipv4Net::new_assert(Ipv4Addr::from_bits((self.0 as u32) << 8), 24).into(),
            Some(v6) => Ipv6Net::new_assert(Ipv6Addr::from_bits(u128::from(v6) << 80), 48).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_24_or_a_48_in_the_order_of_networks() {
        let of = |address: &str| Prefix::of(address.parse().unwrap());
        let cases = [
            ("0.0.0.1", "0.0.0.0/24"),
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("255.255.255.255", "255.255.255.0/24"),
            ("::1", "::/48"),
            ("2001:db8:1:2::3", "2001:db8:1::/48"),
            ("ffff:ffff:ffff:ffff::", "ffff:ffff:ffff::/48"),
        ];
        for (address, net) in cases {
            assert_eq!(of(address).net().to_string(), net, "{address}");
        }
        let all = cases.map(|(address, _)| of(address));
        assert!(all.is_sorted());
        assert!(all.map(Prefix::net).is_sorted());
    }
}
