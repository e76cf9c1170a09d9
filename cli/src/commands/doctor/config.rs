//! What `dnsrouter.toml` says about zones: their names, and where this server answers for them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use daemon::config::{self, Spanned};
use dns::name::Name;
use serde::Deserialize;

use crate::dns::{ours, parse_name};

/// The part of the file that matters here; the server itself checks the rest.
#[derive(Debug, Deserialize)]
struct Raw {
    listen: Listen,
    #[serde(default)]
    zone: Vec<Zone>,
}

#[derive(Debug, Deserialize)]
struct Listen {
    #[serde(default)]
    dns: Vec<SocketAddr>,
}

#[derive(Debug, Deserialize)]
struct Zone {
    name: Spanned<String>,
}

/// A server of ours, by its configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) zones: Vec<Name>,
    pub(super) servers: Vec<SocketAddr>,
}

/// # Errors
/// What is wrong with the file, with its place.
pub(super) fn load(file: &Path) -> anyhow::Result<Own> {
    let config::Loaded { value: Raw { listen, zone }, source } =
        config::load::<Raw>(file, config::environment(), &[])?;
    let mut zones = Vec::new();
    for zone in zone {
        match parse_name(zone.name.get_ref()) {
            Ok(name) => zones.push(ours(&name)),
            Err(why) => return Err(source.error(zone.name.span(), why, None).into()),
        }
    }
    let servers = listen.dns.into_iter().filter(|at| at.port() != 0).map(reachable);
    Ok(Own { zones, servers: servers.collect() })
}

/// Who listens everywhere listens on loopback too.
fn reachable(at: SocketAddr) -> SocketAddr {
    let ip = match at.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    SocketAddr::new(ip, at.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_and_addresses_are_read_and_the_rest_is_not_our_business() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("dnsrouter.toml");
        let text = "[node]\nname = \"ns1\"\n[listen]\ndns = [\"0.0.0.0:5300\", \"[::1]:53\"]\n\
                    admin = \"127.0.0.1:0\"\n[[zone]]\nname = \"a.example\"\nfile = \"a\"\n";
        std::fs::write(&file, text).unwrap();
        let own = load(&file).unwrap();
        assert_eq!(own.zones, ["a.example".parse::<Name>().unwrap()]);
        assert_eq!(own.servers, ["127.0.0.1:5300", "[::1]:53"].map(|s| s.parse().unwrap()));

        std::fs::write(&file, "[listen]\n[[zone]]\nname = \"a..b\"\n").unwrap();
        let told = load(&file).unwrap_err().to_string();
        assert!(told.contains("dnsrouter.toml:3:8: \"a..b\" is no domain name"), "{told}");
    }
}
