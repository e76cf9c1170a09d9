//! One way to say who a client is, as people write it.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;

use crate::networks::canonical;
use crate::{Continent, Country};

/// One entry of `clients` in a rule.
///
/// | written | whom it means |
/// |---|---|
/// | `all` | everyone |
/// | `DE`, `country:DE` | whom a database places in that country |
/// | `continent:EU` | whom one places in a country of that continent |
/// | `AS64496` | whose address an ASN database gives to that autonomous system |
/// | `192.0.2.0/24`, `2001:db8::/32` | whose address is in that network |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// Everyone.
    All,
    /// Everyone in a country.
    Country(Country),
    /// Everyone on a continent.
    Continent(Continent),
    /// Everyone in an autonomous system (RFC 6793: 32 bits).
    Asn(u32),
    /// Everyone in a network; no host bits are set, and an IPv4-mapped one is IPv4.
    Network(IpNet),
}

/// What is wrong with a selector's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// None of the forms.
    #[error(
        "{0:?} says nobody: \"DE\", \"continent:EU\", \"AS64496\", \"192.0.2.0/24\", \"2001:db8::/32\" or \"all\""
    )]
    Unknown(String),
    /// Two letters that no country has.
    #[error("{0:?} is no country: ISO 3166-1 alpha-2, such as \"DE\"")]
    Country(String),
    /// What databases call it otherwise, so that the rule would be for nobody.
    #[error("\"{0}\" is not what ISO 3166-1 calls it: the United Kingdom is \"GB\"")]
    UnitedKingdom(Country),
    /// A continent's code where a country's is expected.
    #[error("\"{0}\" is no country; the continent is \"continent:{0}\"")]
    Prefix(Continent),
    /// `continent:` and something else.
    #[error("{0:?} is no continent: one of AF, AN, AS, EU, NA, OC, SA")]
    Continent(String),
    /// `AS` and no number below 2³².
    #[error(
        "{0:?} is no autonomous system: \"AS\" and a number up to 4294967295, such as \"AS64496\""
    )]
    Asn(String),
    /// An address without a length.
    #[error("{0} is an address; as a network it is \"{0}/{1}\"")]
    Address(std::net::IpAddr, u8),
    /// A slash, but no network around it.
    #[error("{0:?} is no network: address/length, such as \"192.0.2.0/24\"")]
    Network(String),
    /// Bits behind the prefix length.
    #[error("{given} has bits set behind its length: the network is \"{meant}\"")]
    HostBits {
        /// As written.
        given: IpNet,
        /// Without those bits.
        meant: IpNet,
    },
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Selector, SelectorError> {
        if text.eq_ignore_ascii_case("all") {
            return Ok(Selector::All);
        }
        if let Some(code) = after(text, "continent:") {
            let continent = code.parse().map_err(|_| SelectorError::Continent(shown(code)))?;
            return Ok(Selector::Continent(continent));
        }
        if let Some(code) = after(text, "country:") {
            let known = code.parse().ok().filter(is_known);
            return known.map(Selector::Country).ok_or_else(|| SelectorError::Country(shown(code)));
        }
        if text.contains('/') {
            return network(text);
        }
        if let Ok(address) = text.parse::<std::net::IpAddr>() {
            return Err(SelectorError::Address(address, if address.is_ipv4() { 32 } else { 128 }));
        }
        if let Ok(country) = text.parse::<Country>() {
            return of_two_letters(country);
        }
        match after(text, "AS") {
            Some(number) if number.bytes().all(|digit| digit.is_ascii_digit()) => {
                let number = number.parse().map_err(|_| SelectorError::Asn(shown(text)))?;
                Ok(Selector::Asn(number))
            }
            _ => Err(SelectorError::Unknown(shown(text))),
        }
    }
}

/// A country; a continent's code that is no country's, or the European Union's code, under which
/// databases keep the few networks of no single country, is hardly meant as one.
fn of_two_letters(country: Country) -> Result<Selector, SelectorError> {
    let code = country.to_string();
    if code == "UK" {
        return Err(SelectorError::UnitedKingdom(country));
    }
    match code.parse::<Continent>() {
        Ok(continent @ (Continent::Europe | Continent::Oceania | Continent::Antarctica)) => {
            Err(SelectorError::Prefix(continent))
        }
        _ if is_known(&country) => Ok(Selector::Country(country)),
        _ => Err(SelectorError::Country(code)),
    }
}

fn network(text: &str) -> Result<Selector, SelectorError> {
    let given = text.parse::<IpNet>().map_err(|_| SelectorError::Network(shown(text)))?;
    let meant = given.trunc();
    if given != meant {
        return Err(SelectorError::HostBits { given, meant });
    }
    Ok(Selector::Network(canonical(meant)))
}

fn is_known(country: &Country) -> bool {
    country.continent().is_some()
}

/// What follows a prefix of either case.
fn after<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// As much of a mistake as is needed to find it.
fn shown(text: &str) -> String {
    const MAX_SHOWN: usize = 64;
    text.chars().take(MAX_SHOWN).collect()
}

/// As it may be written; countries without their prefix, where that is read back.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::All => f.write_str("all"),
            Selector::Country(country) if of_two_letters(*country).is_err() => {
                write!(f, "country:{country}")
            }
            Selector::Country(country) => country.fmt(f),
            Selector::Continent(continent) => write!(f, "continent:{continent}"),
            Selector::Asn(number) => write!(f, "AS{number}"),
            Selector::Network(network) => network.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_read_back() {
        for (text, canonical) in [
            ("all", "all"),
            ("ALL", "all"),
            ("DE", "DE"),
            ("de", "DE"),
            ("country:CH", "CH"),
            ("AS", "AS"), // American Samoa
            ("NA", "NA"), // Namibia
            ("country:EU", "country:EU"),
            ("country:UK", "country:UK"), // As a few databases have it
            ("continent:EU", "continent:EU"),
            ("Continent:na", "continent:NA"),
            ("AS64496", "AS64496"),
            ("as4294967295", "AS4294967295"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ] {
            let selector: Selector = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(selector.to_string(), canonical);
            assert_eq!(canonical.parse(), Ok(selector));
        }
    }

    #[test]
    fn mistakes_are_told_with_what_helps() {
        for (text, told) in [
            ("", "says nobody"),
            ("Germany", "says nobody"),
            ("ZZ", "is no country"),
            ("country:ZZ", "is no country"),
            ("country:", "is no country"),
            ("uk", "the United Kingdom is \"GB\""),
            ("EU", "the continent is \"continent:EU\""),
            ("oc", "the continent is \"continent:OC\""),
            ("continent:DE", "one of AF, AN"),
            ("AS4294967296", "up to 4294967295"),
            ("ASN64496", "says nobody"),
            ("AS-1", "says nobody"),
            ("192.0.2.1", "\"192.0.2.1/32\""),
            ("2001:db8::1", "\"2001:db8::1/128\""),
            ("192.0.2.1/24", "the network is \"192.0.2.0/24\""),
            ("192.0.2.0/33", "is no network"),
            ("€/€", "is no network"),
            ("contine\u{301}nt:", "says nobody"),
        ] {
            let error = text.parse::<Selector>().expect_err(text).to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
        let long = "x".repeat(10_000).parse::<Selector>().unwrap_err();
        assert!(long.to_string().len() < 300);
    }
}
