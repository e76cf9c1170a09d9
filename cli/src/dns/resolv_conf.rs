//! The machine's own resolvers, for a `dig` that was told no server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use daemon::files;

/// The standard DNS port.
pub(crate) const PORT: u16 = 53;

/// resolv.conf(5) allows three (MAXNS); more are ignored there too.
const MAX_NAME_SERVERS: usize = 3;

/// Octets of the file; more than any resolver library reads of it with sense.
const MAX_FILE: u64 = 64 * 1024;

/// The `nameserver` lines of /etc/resolv.conf; without any, the local host, as resolv.conf(5)
/// says.
pub(crate) fn system() -> Vec<SocketAddr> {
    let content = files::read(Path::new("/etc/resolv.conf"), MAX_FILE);
    let octets = content.map(|content| content.octets).unwrap_or_default();
    parse(&String::from_utf8_lossy(&octets))
}

fn parse(text: &str) -> Vec<SocketAddr> {
    let mut servers: Vec<SocketAddr> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("nameserver")).then(|| words.next()).flatten()
        })
        .filter_map(|address| address.parse::<IpAddr>().ok())
        .map(|address| SocketAddr::new(address, PORT))
        .take(MAX_NAME_SERVERS)
        .collect();
    if servers.is_empty() {
        servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT));
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_and_the_rest_is_skipped() {
        let text = "# nameserver 9.9.9.9\nsearch test-net.io\nnameserver 192.0.2.53\n\
                    nameserver\t2001:db8::53 \nnameserver nonsense\noptions edns0\n";
        let expected = ["192.0.2.53:53", "[2001:db8::53]:53"].map(|s| s.parse().unwrap());
        assert_eq!(parse(text), expected);
        assert_eq!(parse(""), ["127.0.0.1:53".parse().unwrap()]);
    }
}
