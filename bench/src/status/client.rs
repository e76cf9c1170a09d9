//! The generator's side of TLS: it shows its papers and believes any server. It has started that server
//! itself, and what it does not compute it need not be faster than.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tests::authority::Papers;
use tokio::io;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Tickets that are kept for resumption. Of one name no more than 8 are, so each source has its own.
const TICKETS: usize = 256;

/// Who calls.
#[derive(Clone)]
pub(super) struct Client {
    connector: TlsConnector,
}

impl Client {
    /// With these papers; one that resumes offers each time what tickets it has.
    ///
    /// # Panics
    ///
    /// When the papers cannot be read.
    pub(super) fn new(papers: &Papers, resumes: bool) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let schemes = provider.signature_verification_algorithms.supported_schemes();
        let chain = CertificateDer::pem_file_iter(&papers.certificate).and_then(Iterator::collect);
        let key = PrivateKeyDer::from_pem_file(&papers.key).expect("papers are PEM");
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider speaks TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Believing(schemes)))
            .with_client_auth_cert(chain.expect("papers are PEM"), key)
            .expect("the key is the certificate's");
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = match resumes {
            true => Resumption::in_memory_sessions(TICKETS),
            false => Resumption::disabled(),
        };
        Self { connector: TlsConnector::from(Arc::new(config)) }
    }

    /// A connection from `source`, whose port the system chooses. A client that resumes does so with
    /// what earlier connections from the same address were given.
    ///
    /// # Errors
    ///
    /// Those of the system, and of the handshake.
    pub(super) async fn connect(
        &self,
        server: SocketAddr,
        source: SocketAddr,
    ) -> io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.set_nodelay(true)?;
        socket.bind(source)?;
        let stream = socket.connect(server).await?;
        // It is not sent, and compared with nothing.
        self.connector.connect(ServerName::from(source.ip()), stream).await
    }
}

#[derive(Debug)]
struct Believing(Vec<SignatureScheme>);

impl ServerCertVerifier for Believing {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
