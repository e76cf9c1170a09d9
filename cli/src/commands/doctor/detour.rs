//! `--connect-to`: whom to ask instead of an address, as curl has it. What is checked, glue and
//! all, stays the address; only the packets go elsewhere. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::dns::resolv_conf::PORT;

/// More would be a whole internet.
const MAX_DETOURS: usize = 1000;

/// One `FROM=TO`; a port that is left out is 53.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Detour {
    from: SocketAddr,
    to: SocketAddr,
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Detours(BTreeMap<SocketAddr, SocketAddr>);

impl FromStr for Detour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = |(from, to): (&str, &str)| Some((server(from).ok()?, server(to).ok()?));
        match text.split_once('=').and_then(parse) {
            Some((from, to)) => Ok(Self { from, to }),
            None => Err("expected ADDR[:PORT]=ADDR[:PORT], as 192.0.2.53=127.0.0.1:5301".into()),
        }
    }
}

impl Detours {
    /// # Errors
    /// A sentence, when an address has two.
    pub(super) fn new(detours: &[Detour]) -> Result<Self, String> {
        if detours.len() > MAX_DETOURS {
            return Err(format!("--connect-to: at most {MAX_DETOURS}"));
        }
        let mut map = BTreeMap::new();
        for Detour { from, to } in detours {
            if map.insert(*from, *to).is_some() {
                return Err(format!("--connect-to: {} is given twice", shown(*from)));
            }
        }
        Ok(Self(map))
    }

    /// Where packets for `at` go.
    pub(super) fn to(&self, at: SocketAddr) -> SocketAddr {
        self.0.get(&at).copied().unwrap_or(at)
    }
}

/// `ADDR` or `ADDR:PORT`.
///
/// # Errors
/// A sentence that says what is expected.
pub(super) fn server(text: &str) -> Result<SocketAddr, String> {
    match (text.parse::<IpAddr>(), text.parse::<SocketAddr>()) {
        (Ok(address), _) => Ok(SocketAddr::new(address, PORT)),
        (_, Ok(socket)) => Ok(socket),
        _ => {
            Err("expected an address, with a port or without: 192.0.2.53, [2001:db8::53]:5300"
                .into())
        }
    }
}

/// As people write it: without the port that everybody means.
pub(super) fn shown(at: SocketAddr) -> String {
    match at.port() {
        PORT => at.ip().to_string(),
        _ => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_go_elsewhere_and_others_their_way() {
        let detours = ["192.0.2.53=127.0.0.1:5301", "[2001:db8::53]:54=[::1]:5302"];
        let detours = Detours::new(&detours.map(|text| text.parse().unwrap())).unwrap();
        let to = |text: &str| detours.to(server(text).unwrap()).to_string();
        assert_eq!(to("192.0.2.53"), "127.0.0.1:5301");
        assert_eq!(to("192.0.2.53:54"), "192.0.2.53:54");
        assert_eq!(to("[2001:db8::53]:54"), "[::1]:5302");
        assert_eq!(to("2001:db8::53"), "[2001:db8::53]:53");
    }

    #[test]
    fn mistakes_are_named() {
        for text in ["192.0.2.53", "ns1.example=127.0.0.1", "192.0.2.53=", "=127.0.0.1"] {
            assert!(text.parse::<Detour>().unwrap_err().starts_with("expected ADDR"), "{text}");
        }
        let twice = ["192.0.2.53=127.0.0.1:1", "192.0.2.53:53=127.0.0.1:2"];
        let told = Detours::new(&twice.map(|text| text.parse().unwrap())).unwrap_err();
        assert_eq!(told, "--connect-to: 192.0.2.53 is given twice");
        assert!(server("ns1").is_err());
    }
}
