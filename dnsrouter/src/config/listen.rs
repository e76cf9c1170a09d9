//! `[listen]`: where the node is reached.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use daemon::config::Spanned;
use ipnet::IpNet;

use super::{Checker, raw};

/// Networks whose peers are proxies: each new connection is compared with all of them.
pub const MAX_PROXIES: usize = 256;

/// Connections over TCP, where nothing is said of them.
pub const TCP_CONNECTIONS: usize = 4096;
/// Each has a socket, and up to 64 KiB while a message comes.
const MAX_TCP_CONNECTIONS: usize = 1 << 20;
/// One client has at most this part of them, where nothing is said: a large resolver or several
/// behind one NAT have room, and one alone cannot take it all.
pub const TCP_SHARE: usize = 4;
/// RFC 7766 §6.2.3: "of the order of a few seconds".
pub const TCP_IDLE: Duration = Duration::from_secs(10);

/// Longer, and clients would notice.
const MAX_NAP: Duration = Duration::from_millis(1);

/// `[listen.tcp]`; RFC 9210 §4.2 wants these to be the operator's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcp {
    /// At a time; for one more the idlest is closed.
    pub connections: usize,
    /// Of them, those of one client (an IPv4 address or an IPv6 /56); more are closed at once.
    pub per_client: usize,
    /// How long one may be silent while there is room.
    pub idle: Duration,
}

impl Default for Tcp {
    fn default() -> Self {
        let connections = TCP_CONNECTIONS;
        Self { connections, per_client: connections / TCP_SHARE, idle: TCP_IDLE }
    }
}

/// `[listen]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// UDP and TCP.
    pub dns: Vec<SocketAddr>,
    /// UDP threads per address; none: one per processor.
    pub threads: Option<NonZeroUsize>,
    /// How long a UDP thread waits for more queries while they come densely; 0: not at all.
    pub nap: Duration,
    /// Whose connections begin with a PROXY header, version 2.
    pub proxy: Arc<[IpNet]>,
    /// How many may be connected, and for how long.
    pub tcp: Tcp,
    /// gRPC with mTLS.
    pub control: Option<SocketAddr>,
    /// HTTP.
    pub admin: Option<SocketAddr>,
}

impl Checker<'_> {
    pub(super) fn listen(&mut self, raw: &raw::Listen) -> Listen {
        if raw.dns.get_ref().is_empty() {
            self.error(
                raw.dns.span(),
                "no address to serve DNS on",
                Some("dns = [\"0.0.0.0:53\"]"),
            );
        }
        let mut seen = HashSet::new();
        for address in raw.dns.get_ref() {
            if address.port() != 0 && !seen.insert(address) {
                let message = format!("{address} is listed twice");
                self.error(raw.dns.span(), message, None);
            }
        }
        if let Some(control) = &raw.control
            && !self.has_tls
        {
            let help = Some("add [tls], or leave control out");
            self.error(
                control.span(),
                "the control service is mTLS only, and there is no [tls]",
                help,
            );
        }
        let threads = raw.threads.as_ref().and_then(|threads| {
            let threads_given = NonZeroUsize::new(*threads.get_ref()).filter(|n| n.get() <= 256);
            if threads_given.is_none() {
                self.error(threads.span(), "from 1 to 256 threads per address", None);
            }
            threads_given
        });
        Listen {
            dns: raw.dns.get_ref().clone(),
            threads,
            nap: raw.nap.as_ref().map_or(Duration::ZERO, |nap| self.nap(nap)),
            proxy: self.proxies(raw.proxy.as_ref()),
            tcp: self.tcp(&raw.tcp),
            control: raw.control.as_ref().map(|control| *control.get_ref()),
            admin: raw.admin,
        }
    }

    fn nap(&mut self, text: &Spanned<String>) -> Duration {
        match humantime::parse_duration(text.get_ref()) {
            Ok(nap) if nap <= MAX_NAP => return nap,
            Ok(_) => self.error(text.span(), "a nap of at most 1ms: queries wait for it", None),
            Err(error) => {
                self.error(text.span(), error.to_string(), Some("a duration such as \"20us\""));
            }
        }
        Duration::ZERO
    }

    fn tcp(&mut self, raw: &raw::Tcp) -> Tcp {
        let usual = Tcp::default();
        let connections = self
            .connections(raw.connections.as_ref(), MAX_TCP_CONNECTIONS)
            .unwrap_or(usual.connections);
        let share = (connections / TCP_SHARE).max(1);
        let per_client = self.connections(raw.per_client.as_ref(), connections).unwrap_or(share);
        let idle = raw.idle.as_ref().map_or(usual.idle, |idle| self.duration(idle));
        Tcp { connections, per_client, idle }
    }

    fn connections(&mut self, given: Option<&Spanned<usize>>, most: usize) -> Option<usize> {
        let given = given?;
        let is_good = (1..=most).contains(given.get_ref());
        if !is_good {
            self.error(given.span(), format!("from 1 to {most} connections"), None);
        }
        is_good.then(|| *given.get_ref())
    }

    fn proxies(&mut self, networks: Option<&Spanned<Vec<Spanned<String>>>>) -> Arc<[IpNet]> {
        let Some(networks) = networks else { return [].into() };
        let count = networks.get_ref().len();
        if count > MAX_PROXIES {
            let message = format!("{count} networks of proxies; the limit is {MAX_PROXIES}");
            self.error(networks.span(), message, None);
        }
        let networks = networks.get_ref().iter().filter_map(|text| {
            let network = text.get_ref().parse::<IpNet>().ok();
            let network = network.filter(|network| network.addr() == network.network());
            let network = network.map(geo::canonical);
            if network.is_none() {
                let message = format!("'{}' is not a network", text.get_ref());
                let help = "address/length without bits past the length, e.g. \"10.0.0.0/8\"";
                self.error(text.span(), message, Some(help));
            }
            network
        });
        networks.collect()
    }
}
