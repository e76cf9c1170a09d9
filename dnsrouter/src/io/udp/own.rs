//! Which senders are ourselves.

use std::net::SocketAddr;
use std::sync::Arc;

/// The addresses this node answers DNS at. A query that seems to come from one of them is forged:
/// its answer would go to ourselves, and between two such servers for ever.
#[derive(Debug, Clone)]
pub struct Own(Arc<[SocketAddr]>);

impl Own {
    /// Of everything that is bound.
    pub fn new(bound: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self(bound.into_iter().collect())
    }

    /// Whether `peer`, who asked at `local`, is ourselves. On a wildcard address all of the
    /// machine's are ours; of these the one that was asked and the loopback are known here.
    pub(super) fn is(&self, peer: SocketAddr, local: SocketAddr) -> bool {
        self.0.iter().any(|own| {
            own.port() == peer.port()
                && own.is_ipv4() == peer.is_ipv4()
                && (own.ip() == peer.ip()
                    || own.ip().is_unspecified()
                        && (peer.ip() == local.ip() || peer.ip().is_loopback()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_addresses_are_what_is_bound() {
        let own = |bound: &[&str], peer: &str, local: &str| {
            let bound = bound.iter().map(|text| text.parse().unwrap());
            Own::new(bound).is(peer.parse().unwrap(), local.parse().unwrap())
        };
        let both = ["192.0.2.1:53", "[2001:db8::1]:53"];
        assert!(own(&both, "192.0.2.1:53", "192.0.2.1:53"));
        assert!(own(&both, "[2001:db8::1]:53", "[2001:db8::1]:53"));
        assert!(own(&["192.0.2.1:53", "192.0.2.2:5300"], "192.0.2.2:5300", "192.0.2.1:53"));
        assert!(!own(&both, "192.0.2.1:1053", "192.0.2.1:53"), "a client of the same machine");
        assert!(!own(&both, "192.0.2.2:53", "192.0.2.1:53"), "a resolver that asks from port 53");
        let any = ["0.0.0.0:53", "[::]:53"];
        assert!(own(&any, "192.0.2.1:53", "192.0.2.1:53"));
        assert!(own(&any, "127.0.0.9:53", "127.0.0.1:53"));
        assert!(own(&any, "[::1]:53", "[2001:db8::1]:53"));
        assert!(!own(&any, "192.0.2.2:53", "192.0.2.1:53"));
        assert!(!own(&["0.0.0.0:53"], "[::1]:53", "[::1]:53"), "another family is not bound");
    }
}
