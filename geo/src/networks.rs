//! Networks of a list, each with a mark: which of them is an address in?

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use crate::runs::{Leaf, Runs, Value};
use crate::{PlaceId, Source};

/// Networks with a mark each; of those that hold an address the longest decides, and of equal ones
/// the highest mark.
///
/// Unlike in a [`Table`](crate::Table) nothing is coarser than it was given, and there are no
/// scopes: this is for lists that people write, of who may do what. A look-up is one binary search
/// and allocates nothing.
///
/// ```
/// let inside = geo::Networks::new([("192.0.2.0/24".parse()?, 1), ("192.0.2.9/32".parse()?, 2)]);
/// assert_eq!(inside.find("192.0.2.8".parse()?), Some(1));
/// assert_eq!(inside.find("192.0.2.9".parse()?), Some(2));
/// assert_eq!(inside.find("192.0.3.0".parse()?), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks {
    v4: Runs<u32>,
    v6: Runs<u128>,
}

impl Networks {
    /// From networks in any order, which may nest; host bits are ignored.
    pub fn new(networks: impl IntoIterator<Item = (IpNet, u8)>) -> Networks {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (network, mark) in networks {
            // A mark takes a place's place in the run; its source only says that there is one.
            let value = Value::new(PlaceId(mark.into()), Source::Network);
            match canonical(network.trunc()) {
                IpNet::V4(net) => {
                    v4.push(Leaf { start: net.addr().into(), len: net.prefix_len(), value });
                }
                IpNet::V6(net) => {
                    v6.push(Leaf { start: net.addr().into(), len: net.prefix_len(), value });
                }
            }
        }
        Networks { v4: Runs::flatten(v4), v6: Runs::flatten(v6) }
    }

    /// The mark of the longest network that holds the address; none: none does. An IPv4-mapped
    /// IPv6 address is an IPv4 address.
    pub fn find(&self, address: IpAddr) -> Option<u8> {
        let (value, _) = match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.lookup(v4.into()),
            IpAddr::V6(v6) => self.v6.lookup(v6.into()),
        };
        (value != Value::NONE).then_some(value.place().0 as u8)
    }
}

/// An IPv4-mapped network as the IPv4 network that it is; any other as it came.
pub fn canonical(network: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    let IpAddr::V4(address) = network.addr().to_canonical() else { return network };
    let length = match network {
        IpNet::V4(_) => return network,
        IpNet::V6(v6) => v6.prefix_len().checked_sub(MAPPED),
    };
    let mapped = length.and_then(|length| Ipv4Net::new(address, length).ok());
    mapped.map_or(network, IpNet::V4)
}

impl Default for Networks {
    fn default() -> Networks {
        Networks::new([])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Few bits differ, so that networks nest and meet.
    fn address() -> impl Strategy<Value = IpAddr> {
        let octets = prop::array::uniform4(prop::sample::select(vec![0_u8, 1, 128, 255]));
        let v4 = octets.prop_map(|octets| IpAddr::V4(octets.into()));
        let words = prop::array::uniform8(prop::sample::select(vec![0_u16, 1, 0x8000, 0xffff]));
        let v6 = words.prop_map(|words| IpAddr::V6(words.into()).to_canonical());
        prop_oneof![v4, v6]
    }

    fn network() -> impl Strategy<Value = (IpNet, u8)> {
        (address(), 0_u8..=128, any::<u8>()).prop_map(|(address, len, mark)| {
            let longest = if address.is_ipv4() { 32 } else { 128 };
            (IpNet::new(address, len % (longest + 1)).unwrap(), mark)
        })
    }

    proptest! {
        #[test]
        fn the_longest_decides_and_of_equals_the_highest_mark(
            networks in prop::collection::vec(network(), 0..20),
            address in address(),
        ) {
            let holding = networks.iter().filter(|(network, _)| network.contains(&address));
            let expected = holding.map(|(network, mark)| (network.prefix_len(), *mark)).max();
            let found = Networks::new(networks.iter().copied()).find(address);
            prop_assert_eq!(found, expected.map(|(_, mark)| mark));
        }
    }

    #[test]
    fn mapped_addresses_are_ipv4() {
        let networks = Networks::new([("192.0.2.0/24".parse().unwrap(), 3)]);
        assert_eq!(networks.find("::ffff:192.0.2.1".parse().unwrap()), Some(3));
        assert_eq!(networks.find("::192.0.2.1".parse().unwrap()), None);
        let written = ["::ffff:192.0.2.0/120", "::ffff:198.51.100.7/128", "::/0"];
        let mapped = Networks::new(written.map(|text| (text.parse().unwrap(), 3)));
        for (address, found) in [
            ("192.0.2.1", Some(3)),
            ("::ffff:192.0.2.1", Some(3)),
            ("198.51.100.7", Some(3)),
            ("198.51.100.8", None),
            ("2001:db8::1", Some(3)),
        ] {
            assert_eq!(mapped.find(address.parse().unwrap()), found, "{address}");
        }
    }
}
