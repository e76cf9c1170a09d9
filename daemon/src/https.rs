//! One `GET` over TLS to a server that is not ours: whether it is up, as its public clients see it.
//!
//! Our own nodes know each other by one private authority and no host names ([`crate::tls`]).
//! Here it is the other way round: the server's certificate must name a host, and be issued by an
//! authority that the system, or one PEM file, trusts. We present none. It is the same TLS stack,
//! TLS 1.3 alone; each request is a connection of its own, so that a server which has stopped
//! accepting is found out; redirects are not followed.

use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use http_body::Body as _;
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::dial::{self, DialError};
use crate::grpc::tls_words;

/// The most of a response's head that is read, in bytes; the least hyper allows.
const MAX_HEAD: usize = 8 * 1024;

/// Whose certificates count.
#[derive(Clone, Debug)]
pub struct Trust(Arc<ClientConfig>);

/// There is nobody to trust.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not a PEM file with certificates.
    #[error("no certificate of an authority in it{0}")]
    Pem(String),
    /// The system's are not where they usually are.
    #[error("no certificates of authorities on this system: {0}")]
    System(String),
    /// The provider of cryptography cannot do TLS 1.3.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// What to get, from where.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Where to connect: a name or an address.
    pub host: &'a str,
    /// And the port.
    pub port: u16,
    /// Whose certificate it must be, and the `Host`: a name, or an address.
    pub name: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Who asks.
    pub user_agent: &'a str,
    /// Octets of the body that are read at most; what is beyond is not waited for.
    pub body: usize,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// As much of the body as was asked for.
    pub body: Vec<u8>,
    /// The body may be only a part: the connection ended before TLS or HTTP said that it was whole
    /// (RFC 8446 §6.1, RFC 9112 §8).
    pub is_cut: bool,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// No connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// No TLS.
    #[error("{words}")]
    Tls {
        /// What happened.
        words: String,
        /// Whether it is about who they are: their certificate, not the handshake.
        is_identity: bool,
    },
    /// The connection ended before there was a response.
    #[error("it closed the connection before it answered")]
    Closed,
    /// Something else than HTTP/1.1 came back, or what we asked is none.
    #[error("no HTTP: {0}")]
    Http(String),
}

impl Trust {
    /// The certificates of a PEM file.
    ///
    /// # Errors
    ///
    /// [`TrustError::Pem`].
    pub fn in_pem(pem: &[u8]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|e| TrustError::Pem(format!(": {e}")))?;
            roots.add(certificate).map_err(|e| TrustError::Pem(format!(": {e}")))?;
        }
        if roots.is_empty() {
            return Err(TrustError::Pem(String::new()));
        }
        Self::of(roots)
    }

    /// Those that the system trusts; reading them takes some milliseconds.
    ///
    /// # Errors
    ///
    /// [`TrustError::System`].
    pub fn in_system() -> Result<Self, TrustError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Old and odd ones among a hundred are usual, and no reason to trust none.
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why = found.errors.first().map_or("none found".to_owned(), ToString::to_string);
            return Err(TrustError::System(why));
        }
        Self::of(roots)
    }

    fn of(roots: RootCertStore) -> Result<Self, TrustError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TrustError::Setup)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed handshake would not look at the certificate.
        config.resumption = Resumption::disabled();
        Ok(Self(Arc::new(config)))
    }
}

/// Gets it. It is given up by dropping; there is no time-out of its own.
///
/// # Errors
///
/// [`GetError`]; any status is a response.
pub async fn get(trust: &Trust, request: &Request<'_>) -> Result<Response, GetError> {
    let asked = http::Request::get(request.path)
        .header(http::header::HOST, authority(request))
        .header(http::header::USER_AGENT, request.user_agent)
        .header(http::header::CONNECTION, "close")
        .body(http_body_util::Empty::<&[u8]>::new())
        .map_err(|error| GetError::Http(error.to_string()))?;
    let name = ServerName::try_from(request.name.to_owned())
        .map_err(|error| GetError::Http(error.to_string()))?;
    let (socket, _) = dial::tcp(request.host, request.port).await?;
    let connector = TlsConnector::from(Arc::clone(&trust.0));
    let stream = connector.connect(name, socket).await.map_err(|error| no_tls(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| no_http(&error))?;
    // Dropping the set ends the connection, also when this request is given up.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(asked).await.map_err(|error| no_http(&error))?;
    let status = response.status().as_u16();
    let (body, is_cut) = beginning(response.into_body(), request.body).await?;
    Ok(Response { status, body, is_cut })
}

/// The first octets, and whether the connection ended before the body was whole.
async fn beginning(
    mut body: hyper::body::Incoming,
    most: usize,
) -> Result<(Vec<u8>, bool), GetError> {
    let mut octets = Vec::new();
    while octets.len() < most {
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let Some(frame) = frame else { break };
        let frame = match frame.map_err(|error| no_http(&error)) {
            Ok(frame) => frame,
            Err(GetError::Closed) => return Ok((octets, true)),
            Err(error) => return Err(error),
        };
        if let Some(data) = frame.data_ref() {
            octets.extend_from_slice(&data[..data.len().min(most - octets.len())]);
        }
    }
    Ok((octets, false))
}

/// As the `Host` header has it: without the usual port.
fn authority(request: &Request<'_>) -> String {
    let name = match request.name.contains(':') {
        true => format!("[{}]", request.name),
        false => request.name.to_owned(),
    };
    if request.port == 443 { name } else { format!("{name}:{}", request.port) }
}

fn no_tls(error: &io::Error) -> GetError {
    match tls_words(error) {
        Some((words, is_identity)) => GetError::Tls { words, is_identity },
        None => GetError::Closed,
    }
}

fn no_http(error: &hyper::Error) -> GetError {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    if let Some((words, is_identity)) = io.and_then(tls_words) {
        return GetError::Tls { words, is_identity };
    }
    // The end of a connection without TLS' close_notify is an error of reading, and so is a reset.
    let is_cut = io.is_some_and(|io| {
        matches!(
            io.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
        )
    });
    if is_cut || error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return GetError::Closed;
    }
    GetError::Http(crate::grpc::explain(error))
}
