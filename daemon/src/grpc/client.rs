//! The calling end: connects, and says in words why not.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper_util::rt::TokioIo;
use pki::{Identity, IdentityError};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::Channel;

use super::explain::{is_identity, tls_error_in_words};
use crate::dial::{self, DialError};
use crate::tls::{Credentials, Expect};

/// How long a server may keep us waiting for its first bytes after the handshake. Ours send them
/// at once; one that does not is not refused for it.
const FIRST_BYTES: Duration = Duration::from_secs(1);

/// How often a silent server is asked whether it is there, and how long it may take.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest header list accepted from a server, in bytes.
const HEADER_LIST: u32 = 16 * 1024;

/// Where a server is: `https://host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// A name or an address (IPv6 without brackets).
    pub host: String,
    /// The port.
    pub port: u16,
}

/// How long a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For name resolution, TCP and the TLS handshake together.
    pub connect: Duration,
    /// For each RPC.
    pub request: Duration,
}

/// Who answers on a channel; follows its reconnections.
#[derive(Clone, Debug)]
pub struct PeerIdentity(Arc<ArcSwap<Answerer>>);

#[derive(Debug)]
struct Answerer {
    identity: Arc<Identity>,
    address: SocketAddr,
}

/// Why a client could not connect.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("cannot resolve {endpoint}: {cause}")]
    Resolve {
        /// Whom we wanted.
        endpoint: Endpoint,
        /// What the resolver says.
        cause: io::Error,
    },
    /// Nothing listens there.
    #[error("{endpoint} refuses the connection: nothing listens there")]
    Refused {
        /// Whom we wanted.
        endpoint: Endpoint,
    },
    /// The network does not lead there.
    #[error("cannot reach {endpoint}: {cause}")]
    Unreachable {
        /// Whom we wanted.
        endpoint: Endpoint,
        /// What the system says.
        cause: io::Error,
    },
    /// It took too long.
    #[error("{endpoint} did not answer within {after:?}")]
    TimedOut {
        /// Whom we wanted.
        endpoint: Endpoint,
        /// How long we waited.
        after: Duration,
    },
    /// The handshake failed, on their side ("the server says: …") or on ours ("the server's …").
    #[error("no trust between us and {endpoint}: {words}")]
    Tls {
        /// Whom we wanted.
        endpoint: Endpoint,
        /// What happened.
        words: String,
        /// Whether it is about who somebody is: their certificate or ours, not the handshake.
        is_identity: bool,
    },
    /// The connection ended during the handshake.
    #[error("{endpoint} closed the connection during the handshake; does it speak TLS?")]
    Closed {
        /// Whom we wanted.
        endpoint: Endpoint,
    },
    /// HTTP/2 did not start.
    #[error("no HTTP/2 with {endpoint}: {cause}")]
    Http2 {
        /// Whom we wanted.
        endpoint: Endpoint,
        /// What tonic says.
        cause: tonic::transport::Error,
    },
}

impl ConnectError {
    /// Whether this machine is to blame: it lacks descriptors, ports or memory, which says nothing
    /// about the server.
    pub fn is_ours(&self) -> bool {
        let (Self::Resolve { cause, .. } | Self::Unreachable { cause, .. }) = self else {
            return false;
        };
        dial::lacks_means(cause)
    }
}

/// The text is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an endpoint: {why}; expected https://HOST:PORT")]
pub struct EndpointError {
    text: String,
    why: &'static str,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), request: Duration::from_secs(10) }
    }
}

impl PeerIdentity {
    /// Who answered the latest handshake.
    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.0.load().identity)
    }

    /// From where.
    pub fn address(&self) -> SocketAddr {
        self.0.load().address
    }
}

/// Connects, checks who answers, and hands out a channel that reconnects by itself (with the
/// certificates of that moment, and the same expectation).
///
/// # Errors
///
/// [`ConnectError`] in words fit for a person.
pub async fn connect(
    endpoint: &Endpoint,
    tls: &Arc<impl Credentials>,
    expect: &Expect,
    timeouts: &Timeouts,
) -> Result<(Channel, PeerIdentity), ConnectError> {
    let dialer = Dialer {
        endpoint: endpoint.clone(),
        tls: tls.clone(),
        expect: expect.clone(),
        timeout: timeouts.connect,
    };
    // The first connection is made here, where its error is still whole.
    let (stream, answerer) = dialer.dial().await?;
    let peer = PeerIdentity(Arc::new(ArcSwap::from_pointee(answerer)));
    let first = Arc::new(Mutex::new(Some(stream)));
    let connector = {
        let peer = peer.clone();
        tower::service_fn(move |_: http::Uri| {
            let (dialer, peer, first) = (dialer.clone(), peer.clone(), Arc::clone(&first));
            async move {
                let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
                let stream = match first {
                    Some(stream) => stream,
                    None => {
                        let (stream, answerer) = dialer.dial().await?;
                        peer.0.store(Arc::new(answerer));
                        stream
                    }
                };
                Ok::<_, ConnectError>(TokioIo::new(stream))
            }
        })
    };
    let failed = |cause| ConnectError::Http2 { endpoint: endpoint.clone(), cause };
    let channel = tonic::transport::Endpoint::from_shared(endpoint.to_string())
        .map_err(failed)?
        .timeout(timeouts.request)
        .connect_timeout(timeouts.connect)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .http2_max_header_list_size(HEADER_LIST)
        .connect_with_connector(connector)
        .await
        .map_err(failed)?;
    Ok((channel, peer))
}

/// Everything it takes to connect again.
#[derive(Clone)]
struct Dialer {
    endpoint: Endpoint,
    tls: Arc<dyn Credentials>,
    expect: Expect,
    timeout: Duration,
}

type Stream = BufReader<TlsStream<TcpStream>>;

impl Dialer {
    async fn dial(&self) -> Result<(Stream, Answerer), ConnectError> {
        let timed_out =
            || ConnectError::TimedOut { endpoint: self.endpoint.clone(), after: self.timeout };
        let within = async {
            let (socket, address) = self.tcp().await?;
            self.handshake(socket, address).await
        };
        tokio::time::timeout(self.timeout, within).await.unwrap_or_else(|_| Err(timed_out()))
    }

    async fn tcp(&self) -> Result<(TcpStream, SocketAddr), ConnectError> {
        let endpoint = || self.endpoint.clone();
        dial::tcp(&self.endpoint.host, self.endpoint.port).await.map_err(|error| match error {
            DialError::Resolve(cause) => ConnectError::Resolve { endpoint: endpoint(), cause },
            DialError::Refused => ConnectError::Refused { endpoint: endpoint() },
            DialError::Unreachable(cause) => {
                ConnectError::Unreachable { endpoint: endpoint(), cause }
            }
        })
    }

    async fn handshake(
        &self,
        socket: TcpStream,
        address: SocketAddr,
    ) -> Result<(Stream, Answerer), ConnectError> {
        let connector = TlsConnector::from(self.tls.client_config(&self.expect));
        // The name is not sent and not compared; rustls wants one.
        let name = ServerName::IpAddress(address.ip().into());
        let stream = connector.connect(name, socket).await.map_err(|e| self.no_trust(&e))?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let identity = certificate
            .map_or(Err(IdentityError::NoUriSan), Identity::of_certificate)
            .map_err(|e| self.no_trust(&io::Error::other(e)))?;

        // In TLS 1.3 we are done before the server has seen our certificate. Its first bytes, or
        // its alert, tell what it thinks of it.
        let mut stream = BufReader::new(stream);
        match tokio::time::timeout(FIRST_BYTES, stream.fill_buf()).await {
            Ok(Err(error)) => return Err(self.no_trust(&error)),
            Ok(Ok([])) => return Err(ConnectError::Closed { endpoint: self.endpoint.clone() }),
            Ok(Ok(_)) | Err(_) => {}
        }
        Ok((stream, Answerer { identity: Arc::new(identity), address }))
    }

    fn no_trust(&self, error: &io::Error) -> ConnectError {
        let endpoint = self.endpoint.clone();
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match (tls, error.kind()) {
            (Some(tls), _) => ConnectError::Tls {
                endpoint,
                words: tls_error_in_words(tls),
                is_identity: is_identity(tls),
            },
            (
                None,
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe,
            ) => ConnectError::Closed { endpoint },
            (None, _) => {
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<IdentityError>());
                let is_identity = inner.is_some();
                ConnectError::Tls { endpoint, words: error.to_string(), is_identity }
            }
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let bad = |why| EndpointError { text: text.to_owned(), why };
        let rest = text.strip_prefix("https://").unwrap_or(text);
        if rest.contains("://") {
            return Err(bad("only https is spoken"));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.rsplit_once(':').ok_or_else(|| bad("it has no port"))?;
        let port = port.parse().ok().filter(|&port| port != 0).ok_or_else(|| bad("bad port"))?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(v6) => {
                v6.parse::<std::net::Ipv6Addr>().map_err(|_| bad("bad address"))?.to_string()
            }
            None => host.to_owned(),
        };
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
        if host.is_empty() || !host.bytes().all(allowed) {
            return Err(bad("bad host"));
        }
        if host.contains(':') && host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(bad("an IPv6 address stands in brackets"));
        }
        if host.contains(':') && !rest.starts_with('[') {
            return Err(bad("an IPv6 address stands in brackets"));
        }
        Ok(Self { host, port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "https://[{host}]:{port}")
        } else {
            write!(f, "https://{host}:{port}")
        }
    }
}

impl<'de> serde::Deserialize<'de> for Endpoint {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn what_this_machine_lacks_is_not_the_server_s_fault() {
        let endpoint: Endpoint = "https://192.0.2.1:443".parse().unwrap();
        let unreachable = |error: Errno| {
            let endpoint = endpoint.clone();
            ConnectError::Unreachable { endpoint, cause: error.into() }.is_ours()
        };
        assert!(unreachable(Errno::MFILE) && unreachable(Errno::ADDRNOTAVAIL));
        assert!(!unreachable(Errno::HOSTUNREACH) && !unreachable(Errno::NETUNREACH));
        assert!(!ConnectError::Refused { endpoint }.is_ours());
    }

    #[test]
    fn endpoints_parse_and_print() {
        for (text, printed) in [
            ("https://127.0.0.1:8443", "https://127.0.0.1:8443"),
            ("https://geo.test-net.io:443/", "https://geo.test-net.io:443"),
            ("geo.test-net.io:443", "https://geo.test-net.io:443"),
            ("https://[2001:db8::1]:443", "https://[2001:db8::1]:443"),
            ("[::1]:1", "https://[::1]:1"),
        ] {
            let endpoint: Endpoint = text.parse().unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(endpoint.to_string(), printed);
            assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
        }
        for bad in [
            "",
            ":",
            ":443",
            "host",
            "host:",
            "host:0",
            "host:65536",
            "host:x",
            "http://host:80",
            "ftp://host:21",
            "::1:443",
            "2001:db8::1:443",
            "[::1]",
            "[::1",
            "[host]:1",
            "a b:1",
            "host/path:1",
            "https://host:1/x",
            "user@host:1",
            "ho\nst:1",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad:?} was accepted");
        }
    }
}
