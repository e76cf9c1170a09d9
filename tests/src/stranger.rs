//! A client that shows whatever papers it has and asks whoever answers: it hides no mistake of
//! its own from the server, as our own clients would.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use proto::dnsrouter::v1::control_client::ControlClient;
use proto::dnsrouter::v1::{PlanAsk, PlanPart, plan_part};
use proto::geoping::v1::geo_ping_client::GeoPingClient;
use proto::geoping::v1::{RegionRequest, ServerStatusReply};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::authority::Papers;

/// How long an answer may take; a refusal is an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Shows these papers, or none.
pub struct Stranger {
    tls: Arc<ClientConfig>,
}

/// How a server refuses.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// Before any call: the connection, with what was said of the cause.
    Connection(String),
    /// A call, with its code and message.
    Call(Code, String),
}

impl Stranger {
    /// Somebody with these papers, or none.
    ///
    /// # Panics
    ///
    /// When the papers cannot be read.
    pub fn new(papers: Option<&Papers>) -> Stranger {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(Arc::<CryptoProvider>::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider speaks TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trusting(algorithms)));
        let mut tls = match papers {
            None => builder.with_no_client_auth(),
            Some(papers) => {
                let chain = CertificateDer::pem_file_iter(&papers.certificate)
                    .and_then(Iterator::collect)
                    .expect("papers are PEM");
                let key = PrivateKeyDer::from_pem_file(&papers.key).expect("papers are PEM");
                builder.with_client_auth_cert(chain, key).expect("the key is the certificate's")
            }
        };
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Stranger { tls: Arc::new(tls) }
    }

    /// Calls `Status` once, over a connection of its own.
    pub fn ping(&self, server: SocketAddr) -> Result<ServerStatusReply, Refusal> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime starts").block_on(async {
            let endpoint = self.endpoint().timeout(TIMEOUT);
            let channel = self.connect(endpoint, server).await;
            let channel = channel.map_err(|e| Refusal::Connection(chain(&e)))?;
            let reply = GeoPingClient::new(channel).status(RegionRequest::default()).await;
            // With TLS 1.3 a client hears of a refusal when it first reads, which is in the call.
            reply.map(tonic::Response::into_inner).map_err(|status| match status.source() {
                Some(cause) => Refusal::Connection(chain(cause)),
                None => Refusal::Call(status.code(), status.message().to_owned()),
            })
        })
    }

    /// Begins to ask a name server for a plan, and stops in the middle of the question.
    ///
    /// # Panics
    ///
    /// When nobody listens there.
    pub fn begin_plan(&self, control: SocketAddr) -> BegunPlan {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime starts");
        let (parts, asked) = mpsc::channel(1);
        let ask = PlanPart { part: Some(plan_part::Part::Ask(PlanAsk::default())) };
        parts.blocking_send(ask).expect("there is room for one");
        let channel = runtime.block_on(self.connect(self.endpoint(), control));
        let channel = channel.expect("a name server listens");
        runtime.spawn(
            async move { ControlClient::new(channel).plan(ReceiverStream::new(asked)).await },
        );
        BegunPlan { _runtime: runtime, _parts: parts }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::from_static("https://stranger").connect_timeout(TIMEOUT)
    }

    async fn connect(
        &self,
        endpoint: Endpoint,
        server: SocketAddr,
    ) -> Result<Channel, tonic::transport::Error> {
        let tls = TlsConnector::from(Arc::clone(&self.tls));
        let connector = service_fn(move |_: Uri| {
            let tls = tls.clone();
            async move {
                let stream = TcpStream::connect(server).await?;
                let name = ServerName::from(server.ip());
                std::io::Result::Ok(TokioIo::new(tls.connect(name, stream).await?))
            }
        });
        endpoint.connect_with_connector(connector).await
    }
}

/// A question that goes on until this is dropped.
pub struct BegunPlan {
    _runtime: Runtime,
    _parts: mpsc::Sender<PlanPart>,
}

/// An error and its causes, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Believes any server: this client tests what servers believe.
#[derive(Debug)]
struct Trusting(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
