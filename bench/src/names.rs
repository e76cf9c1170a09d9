//! A zone of hosts, the same for every server, and what is asked of it.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::generator::{A, AAAA, Expected, Workload, query};
use crate::scatter;

/// The zone.
pub const ZONE: &str = "test-net.io";

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

/// So many names that are not there, as a flood of random ones has them.
pub fn nowhere(queries: usize) -> Workload {
    let mut workload = Workload::default();
    for turn in 0..queries {
        let name = format!("{:012x}.{ZONE}", scatter(turn as u64) >> 16);
        workload.ask(&query(&name, A, None), Expected::no_name());
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
        let flood = nowhere(10_000);
        let names: std::collections::HashSet<&[u8]> = (0..10_000).map(|n| flood.get(n).0).collect();
        assert_eq!(names.len(), 10_000);
    }
}
