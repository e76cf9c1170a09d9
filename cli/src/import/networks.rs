//! Networks with the longest prefix deciding, as rules of which the first match decides.
//!
//! A rule has many networks, so rules for the same answer are one where that is possible. Where
//! networks nest it may not be:
//!
//! ```text
//!   10.0.0.0/8   → a               rules:  [10.1.1.0/24] → a
//!   10.1.0.0/16  → b                       [10.1.0.0/16] → b
//!   10.1.1.0/24  → a                       [10.0.0.0/8]  → a
//! ```

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;

use ipnet::IpNet;

/// Groups networks by value into rules, so that the first rule with a network that holds an address
/// is that of the longest prefix. Of equal networks the first stays.
pub(crate) fn rules<T: PartialEq>(
    networks: impl IntoIterator<Item = (IpNet, T)>,
) -> Vec<(Vec<IpNet>, T)> {
    let mut list: Vec<(IpNet, T)> = networks.into_iter().map(|(net, v)| (net.trunc(), v)).collect();
    // Stable, so that the first of equal ones is met first.
    list.sort_by_key(|(net, _)| (net.addr().is_ipv6(), Reverse(net.prefix_len())));
    let mut rules: Vec<(Vec<IpNet>, T)> = Vec::new();
    let mut placed: BTreeMap<IpNet, usize> = BTreeMap::new();
    for (net, value) in list {
        if placed.contains_key(&net) {
            continue;
        }
        // What lies inside is placed already, since it is longer, and must be asked before.
        let inside = placed
            .range((Bound::Included(least(net)), Bound::Unbounded))
            .take_while(|(other, _)| net.contains(&other.network()))
            .filter(|(other, _)| net.contains(*other))
            .map(|(_, rule)| *rule)
            .max();
        // A rule of the same value holds what is inside too, so it may be the very last of those.
        let from = inside.unwrap_or(0);
        let rule = (from..rules.len()).find(|rule| rules[*rule].1 == value);
        let rule = rule.unwrap_or_else(|| {
            rules.push((Vec::new(), value));
            rules.len() - 1
        });
        rules[rule].0.push(net);
        placed.insert(net, rule);
    }
    rules.iter_mut().for_each(|(nets, _)| nets.sort());
    rules
}

/// Sorts before everything inside of `net`.
fn least(net: IpNet) -> IpNet {
    IpNet::new(net.network(), 0).unwrap_or(net)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nested_networks_come_first() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let list = [
            (net("10.0.0.0/8"), 'a'),
            (net("10.1.0.0/16"), 'b'),
            (net("10.1.1.0/24"), 'a'),
            (net("192.0.2.0/24"), 'a'),
            (net("2001:db8::/32"), 'b'),
        ];
        let expected = [
            (vec![net("10.1.1.0/24"), net("192.0.2.0/24")], 'a'),
            (vec![net("10.1.0.0/16"), net("2001:db8::/32")], 'b'),
            (vec![net("10.0.0.0/8")], 'a'),
        ];
        assert_eq!(rules(list), expected);
    }

    proptest! {
        #[test]
        fn the_first_match_is_the_longest(
            list in prop::collection::vec((any::<u8>(), 0..9_u8, 0..3_u8), 0..40),
            asked in prop::collection::vec(any::<u8>(), 1..20),
        ) {
            let net = |bits: u8, length| {
                IpNet::new([bits, 0, 0, 0].into(), length).unwrap().trunc()
            };
            let mut distinct: Vec<(IpNet, u8)> = Vec::new();
            for (bits, length, value) in list {
                let net = net(bits, length);
                if !distinct.iter().any(|(known, _)| *known == net) {
                    distinct.push((net, value));
                }
            }
            let rules = rules(distinct.clone());
            for bits in asked {
                let address = IpAddr::from([bits, 0, 0, 0]);
                let longest = distinct
                    .iter()
                    .filter(|(net, _)| net.contains(&address))
                    .max_by_key(|(net, _)| net.prefix_len())
                    .map(|(_, value)| *value);
                let first = rules
                    .iter()
                    .find(|(nets, _)| nets.iter().any(|net| net.contains(&address)))
                    .map(|(_, value)| *value);
                prop_assert_eq!(first, longest);
            }
        }
    }
}
