//! Who answers, for those who look for it: which of several servers, and what it runs.

use dns::name::LowerName;

/// What this server says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The server's name, for queries that ask for it by EDNS (NSID, RFC 5001).
    pub nsid: Option<Box<[u8]>>,
    /// Names of class CHAOS; none: such queries are refused.
    pub chaos: Option<Chaos>,
}

/// What the names of class CHAOS say, each at most 255 octets; none: that one is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chaos {
    /// `version.bind` and `version.server`.
    pub version: Option<String>,
    /// `hostname.bind` and `id.server` (RFC 4892).
    pub id: Option<String>,
}

impl Chaos {
    /// The text at a name, to be answered as TXT of class CHAOS with a TTL of 0.
    pub fn text(&self, name: &LowerName) -> Option<&str> {
        match name.wire() {
            b"\x07version\x04bind\x00" | b"\x07version\x06server\x00" => self.version.as_deref(),
            b"\x08hostname\x04bind\x00" | b"\x02id\x06server\x00" => self.id.as_deref(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dns::name::Name;

    #[test]
    fn four_names_and_no_others() {
        let chaos = Chaos { version: Some("dnsrouter 1".into()), id: Some("ns1".into()) };
        let text = |chaos: &Chaos, name: &str| {
            chaos.text(&LowerName::from(&name.parse::<Name>().unwrap())).map(str::to_owned)
        };
        for (name, expected) in [
            ("version.bind", Some("dnsrouter 1")),
            ("Version.BIND", Some("dnsrouter 1")),
            ("version.server", Some("dnsrouter 1")),
            ("hostname.bind", Some("ns1")),
            ("id.server", Some("ns1")),
            ("authors.bind", None),
            ("id.bind", None),
            ("bind", None),
            ("a.version.bind", None),
        ] {
            assert_eq!(text(&chaos, name).as_deref(), expected, "{name}");
        }
        let silent = Chaos { version: None, ..chaos };
        assert_eq!(text(&silent, "version.bind"), None);
        assert_eq!(text(&silent, "id.server").as_deref(), Some("ns1"));
    }
}
