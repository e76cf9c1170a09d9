//! Labels: a host and whom it is for (`www.europe` is `www`, for Europe).

use std::net::IpAddr;

use geo::{Continent, Country, Selector};
use ipnet::IpNet;

use super::raw::Targeting;
use crate::import::service;

/// Whom records are for, the smallest first: geodns looks in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Network(IpNet),
    Asn(u32),
    Country(Country),
    Continent(Continent),
    /// Everybody else.
    Global,
}

/// What a label is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    Host(&'a str, Target),
    /// For a subdivision or a group of them.
    TooFine,
}

impl Target {
    /// As in `clients`.
    pub(super) fn clients(self) -> String {
        match self {
            Self::Network(net) => net.to_string(),
            Self::Asn(asn) => format!("AS{asn}"),
            Self::Country(country) => Selector::Country(country).to_string(),
            Self::Continent(continent) => service::continent(continent),
            Self::Global => "all".to_owned(),
        }
    }

    /// What a region that answers only those is called.
    pub(super) fn region(self) -> String {
        format!("for-{}", self.clients().replace(':', "-"))
    }

    /// Whether clients of this one are clients of `other` too.
    pub(super) fn is_within(self, other: Self) -> bool {
        match (self, other) {
            (_, Self::Global) => true,
            (Self::Country(country), Self::Continent(continent)) => {
                country.continent() == Some(continent)
            }
            (Self::Network(inner), Self::Network(outer)) => outer.contains(&inner),
            _ => self == other,
        }
    }
}

/// Takes a label apart.
pub(super) fn meaning(label: &str, targeting: Targeting) -> Meaning<'_> {
    if targeting.ip
        && let Some((host, address)) = label.strip_suffix(']').and_then(|l| l.rsplit_once('['))
        && let Ok(address) = address.parse::<IpAddr>()
    {
        let host = host.strip_suffix('.').unwrap_or(host);
        return Meaning::Host(host, Target::Network(network(address)));
    }
    let (host, last) = label.rsplit_once('.').unwrap_or(("", label));
    let target = match last {
        "africa" => Some(Continent::Africa),
        "antarctica" => Some(Continent::Antarctica),
        "asia" => Some(Continent::Asia),
        "europe" => Some(Continent::Europe),
        "north-america" => Some(Continent::NorthAmerica),
        "oceania" => Some(Continent::Oceania),
        "south-america" => Some(Continent::SouthAmerica),
        _ => None,
    };
    if let Some(continent) = target.filter(|_| targeting.continent) {
        return Meaning::Host(host, Target::Continent(continent));
    }
    if targeting.country
        && let Ok(country) = last.parse::<Country>()
        && country.continent().is_some()
    {
        return Meaning::Host(host, Target::Country(country));
    }
    if targeting.asn
        && let Some(Ok(asn)) = last.strip_prefix("as").map(str::parse)
    {
        return Meaning::Host(host, Target::Asn(asn));
    }
    let fine = last.split_once('-').is_some_and(|(country, rest)| {
        ["us", "ru"].contains(&country) || country.len() == 2 && (1..=3).contains(&rest.len())
    });
    if targeting.region && fine && !host.is_empty() {
        return Meaning::TooFine;
    }
    Meaning::Host(label, Target::Global)
}

/// geodns looks for a client's address, then for the address of its /24 or /48.
fn network(address: IpAddr) -> IpNet {
    let whole = IpNet::from(address);
    let length = if address.is_ipv4() { 24 } else { 48 };
    let block = IpNet::new(address, length).map(|net| net.trunc());
    block.ok().filter(|block| block.addr() == address).unwrap_or(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_the_readme_and_of_its_tests() {
        let all = Targeting {
            global: true,
            country: true,
            continent: true,
            region: true,
            asn: true,
            ip: true,
        };
        let read = |label: &str| match meaning(label, all) {
            Meaning::Host(host, target) => format!("{host} {}", target.clients()),
            Meaning::TooFine => "too fine".to_owned(),
        };
        let cases = [
            ("www", "www all"),
            ("www.europe", "www continent:EU"),
            ("europe", " continent:EU"),
            ("bar.no", "bar NO"),
            ("bar.as15169", "bar AS15169"),
            ("bar.as", "bar AS"),
            ("bar.[1.0.0.255]", "bar 1.0.0.255/32"),
            ("bar.[192.0.2.0]", "bar 192.0.2.0/24"),
            ("bar.[2001:db8::]", "bar 2001:db8::/48"),
            ("bar.us-west", "too fine"),
            ("bar.us-ca", "too fine"),
            ("three.two.one", "three.two.one all"),
            ("", " all"),
            ("0-alias", "0-alias all"),
            ("us-west", "us-west all"),
        ];
        for (label, expected) in cases {
            assert_eq!(read(label), expected, "{label}");
        }
        let none = Targeting::default();
        assert_eq!(meaning("www.de", none), Meaning::Host("www.de", Target::Global));
    }

    #[test]
    fn smaller_targets_come_first() {
        let net = Target::Network("192.0.2.0/24".parse().unwrap());
        let de = Target::Country("DE".parse().unwrap());
        let eu = Target::Continent(Continent::Europe);
        let mut all = [Target::Global, eu, de, Target::Asn(1), net];
        all.sort();
        assert_eq!(all, [net, Target::Asn(1), de, eu, Target::Global]);
        assert!(de.is_within(eu) && eu.is_within(Target::Global) && !eu.is_within(de));
    }
}
