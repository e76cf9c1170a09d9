//! A zone of hosts, the same for every server, and what is asked of it.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::generator::{A, AAAA, Expected, Workload, query};
use crate::scatter;

/// The zone.
pub const ZONE: &str = "test-net.io";

/// Octets of a name in wire form, at most (RFC 1035 §2.3.4).
const MAX_NAME: usize = 255;
const ZONE_LABELS: usize = 2;
/// Labels of a name in the zone, at most: of one octet each, and their lengths. (127 would be those
/// of a name whose every label has one.)
pub const LABELS: usize = (MAX_NAME - (ZONE.len() + 2)) / 2 + ZONE_LABELS;

/// The beginning of its master file, without hosts.
const HEAD: &str = "\
$TTL 300
@ SOA ns1 hostmaster 2026010100 7200 900 1209600 60
@ NS ns1
@ NS ns2
@ MX 10 mail
ns1 A 192.0.2.53
ns2 A 192.0.2.54
mail A 192.0.2.25
";

/// How many hosts there are. Host `i` is `h<i>`, with an A record; each second has an AAAA record
/// too. There are no aliases: gdnsd leaves it to resolvers to follow them, so answers would differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hosts(pub usize);

impl Hosts {
    /// The master file.
    pub fn zone(self) -> String {
        let mut zone = HEAD.to_owned();
        for host in 0..self.0 {
            let (v4, v6) = addresses(host);
            let _ = writeln!(zone, "h{host} A {v4}");
            if let Some(v6) = v6 {
                let _ = writeln!(zone, "h{host} AAAA {v6}");
            }
        }
        zone
    }

    /// What resolvers ask for, in so many queries: of ten, seven for A, two for AAAA, of which one finds
    /// none; one for a name that is not there.
    pub fn mix(self, queries: usize) -> Workload {
        let mut workload = Workload::default();
        for turn in 0..queries {
            let host = (scatter(turn as u64) % self.0 as u64) as usize;
            let even = host - host % 2;
            let (v4, v6) = addresses(host);
            let (name, rtype, expected) = match turn % 10 {
                0..7 => (format!("h{host}"), A, Expected::addresses([v4.into()])),
                7 => (format!("h{even}"), AAAA, six(addresses(even).1)),
                8 => (format!("h{}", even + 1), AAAA, six(addresses(even + 1).1)),
                _ => (format!("n{host}"), if v6.is_some() { A } else { AAAA }, Expected::no_name()),
            };
            workload.ask(&query(&format!("{name}.{ZONE}"), rtype, None), expected);
        }
        workload
    }
}

impl Hosts {
    /// So many questions for addresses that are there.
    pub fn hits(self, queries: usize) -> Workload {
        let mut workload = Workload::default();
        for turn in 0..queries {
            let host = (scatter(turn as u64) % self.0 as u64) as usize;
            let expected = Expected::addresses([addresses(host).0.into()]);
            workload.ask(&query(&format!("h{host}.{ZONE}"), A, None), expected);
        }
        workload
    }

    /// What the hosts say: their labels in wire form, and their addresses.
    pub fn octets(self) -> usize {
        let of = |host: usize| {
            let label = 2 + host.checked_ilog10().unwrap_or(0) as usize + 1;
            label + 4 + addresses(host).1.map_or(0, |_| 16)
        };
        (0..self.0).map(of).sum()
    }
}

/// So many names that are not there, as a flood of random ones has them.
pub fn nowhere(queries: usize) -> Workload {
    let mut workload = Workload::default();
    for turn in 0..queries {
        let name = format!("{:012x}.{ZONE}", scatter(turn as u64) >> 16);
        workload.ask(&query(&name, A, None), Expected::no_name());
    }
    workload
}

/// The same, of as many labels as a name has room for in front of the zone's: [`LABELS`] with them.
pub fn deep(queries: usize) -> Workload {
    let mut workload = Workload::default();
    for turn in 0..queries {
        let mut name = String::with_capacity(MAX_NAME);
        for label in 0..LABELS - ZONE_LABELS {
            // A random letter each: what is not unlike others after so many is not random.
            let letter = scatter((turn * LABELS + label) as u64) % 26;
            name.push((b'a' + letter as u8) as char);
            name.push('.');
        }
        workload.ask(&query(&(name + ZONE), A, None), Expected::no_name());
    }
    workload
}

fn six(address: Option<Ipv6Addr>) -> Expected {
    address.map_or_else(Expected::no_data, |address| Expected::addresses([IpAddr::V6(address)]))
}

/// Of a host: unlike any other's, up to 16 million of them.
fn addresses(host: usize) -> (Ipv4Addr, Option<Ipv6Addr>) {
    let [.., a, b, c] = host.to_be_bytes();
    let six = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, a.into(), u16::from_be_bytes([b, c]));
    (Ipv4Addr::new(10, a, b, c), host.is_multiple_of(2).then_some(six))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use hickory_proto::op::Message;

    use super::*;

    #[test]
    fn what_is_asked_for_stands_in_the_zone() {
        let hosts = Hosts(100);
        let zone = hosts.zone();
        let mix = hosts.mix(1000);
        for turn in 0..mix.len() as u32 {
            let (query, expected) = mix.get(turn);
            let expected = expected.unwrap();
            let label = str::from_utf8(&query[13..13 + usize::from(query[12])]).unwrap();
            let owned = zone.lines().any(|line| line.starts_with(&format!("{label} ")));
            assert_eq!(owned, expected.rcode == 0, "{label}");
            for address in &expected.addresses {
                let line = |rtype: &str| format!("{label} {rtype} {address}");
                assert!(
                    zone.lines().any(|found| [line("A"), line("AAAA")].contains(&found.into()))
                );
            }
        }
    }

    #[test]
    fn a_mix_has_all_kinds_of_answers() {
        let mix = Hosts(100).mix(1000);
        let count = |wanted: fn(&Expected) -> bool| {
            (0..1000).filter(|turn| wanted(mix.get(*turn).1.unwrap())).count()
        };
        assert_eq!(count(|expected| expected.rcode == 3), 100);
        assert_eq!(count(|expected| expected.rcode == 0 && expected.addresses.is_empty()), 100);
        assert_eq!(count(|expected| expected.addresses.len() == 1), 800);
    }

    #[test]
    fn random_names_are_all_different() {
        for flood in [nowhere(10_000), deep(10_000)] {
            let names: HashSet<&[u8]> = (0..10_000).map(|n| flood.get(n).0).collect();
            assert_eq!(names.len(), 10_000);
        }
    }

    #[test]
    fn a_deep_name_is_as_long_as_names_get() {
        let deep = deep(1);
        let octets = deep.get(0).0;
        let message = Message::from_vec(octets).unwrap();
        assert_eq!(message.queries[0].name().num_labels() as usize, LABELS);
        // Beside it are the header, type and class, and the record of EDNS.
        assert_eq!(octets.len() - 12 - 4 - 11, MAX_NAME);
    }

    #[test]
    fn hits_are_there_and_data_are_what_the_zone_says() {
        let hosts = Hosts(12);
        let zone = hosts.zone();
        let hits = hosts.hits(100);
        for turn in 0..100 {
            let [address] = hits.get(turn).1.unwrap().addresses[..] else { panic!() };
            assert!(zone.lines().any(|line| line.ends_with(&format!(" A {address}"))));
        }
        // h0 to h9, h10 and h11, their IPv4 addresses, and six IPv6 addresses.
        assert_eq!(hosts.octets(), 10 * 3 + 2 * 4 + 12 * 4 + 6 * 16);
    }
}
