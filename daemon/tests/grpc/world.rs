//! An authority in a folder, servers on port 0, clients good and bad, and what the server logs.

#![expect(clippy::disallowed_methods, reason = "binds and connects to the loopback")]

use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use daemon::config;
use daemon::grpc::{self, Authorise, Health, Limits, ServeError, Timeouts};
use daemon::shutdown::CancellationToken;
use daemon::tls::{Credentials as _, Expect, Peer, TimeProvider, Tls};
use hyper_util::rt::TokioIo;
use pki::folder::Target;
use pki::{Extra, Folder, Identity, Program, Role, TrustDomain};
use proto::geoping::v1::geo_ping_client::GeoPingClient;
use proto::geoping::v1::geo_ping_server::{GeoPing, GeoPingServer};
use proto::geoping::v1::{RegionRequest, ServerStatusReply};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use rustls::ClientConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

pub(crate) const DAY: u64 = 24 * 3600;
pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const SERVICE: &str = "geoping.v1.GeoPing";

/// Long enough for the slowest machine; passing tests do not wait for it.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Longer than any test takes: what ends sooner did not end for this.
pub(crate) const NEVER: Duration = Duration::from_secs(600);

/// A clock that stands where it is put.
#[derive(Debug)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::SeqCst))))
    }
}

pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(crate) struct World {
    dir: TempDir,
    pub(crate) folder: Folder,
    /// The server's.
    pub(crate) clock: Arc<Clock>,
    /// The clients'.
    pub(crate) client_clock: Arc<Clock>,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder =
            Folder::create(&dir.path().join("pki"), &"test-net.io".parse().unwrap(), at(START));
        Self {
            folder: folder.unwrap(),
            dir,
            clock: Arc::new(Clock(AtomicU64::new(START))),
            client_clock: Arc::new(Clock(AtomicU64::new(START))),
        }
    }

    pub(crate) fn ours(&self) -> &TrustDomain {
        self.folder.trust_domain()
    }

    pub(crate) fn set_clocks(&self, seconds: u64) {
        self.clock.set(seconds);
        self.client_clock.set(seconds);
    }

    pub(crate) fn target(&self, name: &str) -> Target {
        Target::named(self.dir.path(), name)
    }

    pub(crate) fn config(&self, name: &str) -> config::Tls {
        let Target { cert, key } = self.target(name);
        let (ca, crl) = (self.folder.ca_cert(), Some(self.folder.ca_crl()));
        config::Tls { cert, key, ca, crl, renew: None }
    }

    /// Issues at START for a day, into NAME.crt and NAME.key.
    pub(crate) fn issue(&self, name: &str, identity: &Identity) -> config::Tls {
        let target = self.target(name);
        self.folder.issue(identity, &Extra::default(), None, &target, at(START)).unwrap();
        self.config(name)
    }

    pub(crate) fn user(&self, name: &str) -> Identity {
        Identity::user(self.ours(), name).unwrap()
    }

    /// A client that may call.
    pub(crate) fn client(&self, name: &str) -> Arc<Tls> {
        let config = self.issue(name, &self.user(name));
        Tls::load(&config, Some(self.ours()), self.client_clock.clone()).unwrap()
    }

    /// A certificate with whatever in it, signed by our authority, in the hands of a client that
    /// otherwise behaves.
    pub(crate) fn odd_client(
        &self,
        tls: &Tls,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Arc<ClientConfig> {
        let read = |path| std::fs::read_to_string(path).unwrap();
        let key = KeyPair::from_pem(&read(self.folder.ca_key())).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&read(self.folder.ca_cert()), key).unwrap();
        let mut params = CertificateParams::default();
        params.not_before = at(START - 60).into();
        params.not_after = at(START + DAY).into();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![uri("spiffe://test-net.io/user/ada")];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &issuer).unwrap();
        presenting(tls, cert.der().clone(), &key.serialize_pem())
    }

    pub(crate) async fn serve(&self, limits: Limits) -> Server {
        let name = "server";
        let node = Identity::node(self.ours(), "us-central1", Program::Geoping, name).unwrap();
        let config = self.issue(name, &node);
        let tls = Tls::load(&config, Some(self.ours()), self.clock.clone()).unwrap();
        Server::start(tls, limits).await
    }
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// What `tls` does as a client, but with another certificate.
pub(crate) fn presenting(
    tls: &Tls,
    cert: CertificateDer<'static>,
    key_pem: &str,
) -> Arc<ClientConfig> {
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let certified = rustls::sign::CertifiedKey::from_der(vec![cert], key, &provider).unwrap();
    let mut config = ClientConfig::clone(&tls.client_config(&Expect::default()));
    config.client_auth_cert_resolver =
        Arc::new(rustls::sign::SingleCertAndKey::from(Arc::new(certified)));
    Arc::new(config)
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Arc<Tls>,
    pub(crate) health: Health,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), ServeError>>,
    /// How often the handler ran.
    pub(crate) calls: Arc<AtomicU32>,
    /// Lets one call for the region "slow" end.
    pub(crate) release: Arc<Notify>,
}

struct Pings {
    calls: Arc<AtomicU32>,
    release: Arc<Notify>,
}

#[tonic::async_trait]
impl GeoPing for Pings {
    async fn status(
        &self,
        request: Request<RegionRequest>,
    ) -> Result<Response<ServerStatusReply>, Status> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let peer = request.extensions().get::<Peer>().cloned();
        if request.into_inner().region == "slow" {
            self.release.notified().await;
        }
        let caller = peer.and_then(|peer| peer.identity.ok()).map(|who| who.to_string());
        let caller = caller.ok_or_else(|| Status::internal("nobody got in"))?;
        Ok(Response::new(ServerStatusReply { region: caller, ..Default::default() }))
    }
}

impl Server {
    pub(crate) async fn start(tls: Arc<Tls>, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (calls, release) = (Arc::default(), Arc::new(Notify::new()));
        let pings = Pings { calls: Arc::clone(&calls), release: Arc::clone(&release) };
        let (health, health_service) = Health::new();
        health.set_serving(SERVICE).await;
        let routes =
            tonic::service::Routes::new(GeoPingServer::new(pings)).add_service(health_service);
        let authorise = Authorise::new(tls.trust_domain().clone())
            .allow("/geoping.v1.GeoPing/Status", |who| !matches!(who.role, Role::Member(_)))
            .allow_health();
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let (tls, health) = (tls.clone(), health.clone());
            let shutdown = stop.clone().cancelled_owned();
            async move {
                grpc::serve(listener, tls, routes, &limits, authorise, Some(health), shutdown).await
            }
        });
        Self { address, tls, health, stop, task, calls, release }
    }

    pub(crate) fn endpoint(&self) -> grpc::Endpoint {
        format!("https://{}", self.address).parse().unwrap()
    }

    pub(crate) async fn connect(
        &self,
        client: &Arc<Tls>,
    ) -> Result<GeoPingClient<Channel>, grpc::ConnectError> {
        let expect = Expect::program(Program::Geoping);
        let timeouts = Timeouts { connect: SOON, request: NEVER };
        let (channel, _) = grpc::connect(&self.endpoint(), client, &expect, &timeouts).await?;
        Ok(GeoPingClient::new(channel))
    }

    /// A new connection, one call: the proof that others are served.
    pub(crate) async fn canary(&self, client: &Arc<Tls>) {
        let call = async {
            let mut pings = self.connect(client).await.expect("the canary connects");
            ping(&mut pings, "").await.expect("the canary is answered")
        };
        let answer =
            tokio::time::timeout(SOON, call).await.expect("the canary is answered in time");
        assert_eq!(answer, client.identity().to_string());
    }

    /// A TLS connection without HTTP/2 on it yet, and its own address.
    pub(crate) async fn raw(
        &self,
        config: Arc<ClientConfig>,
    ) -> (TlsStream<TcpStream>, SocketAddr) {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let own = socket.local_addr().unwrap();
        let name = ServerName::IpAddress(self.address.ip().into());
        let stream = TlsConnector::from(config).connect(name, socket).await;
        (stream.expect("the client accepts the server"), own)
    }

    /// A channel that presents what `config` presents.
    pub(crate) async fn channel(&self, config: Arc<ClientConfig>) -> Channel {
        let (stream, _) = self.raw(config).await;
        let mut once = Some(stream);
        let connector = tower::service_fn(move |_: http::Uri| {
            let stream = once.take().map(TokioIo::new);
            async move { stream.ok_or_else(|| std::io::Error::other("connected once already")) }
        });
        let endpoint = tonic::transport::Endpoint::from_static("https://server");
        endpoint.connect_with_connector(connector).await.unwrap()
    }
}

/// One call; whom the server takes the caller for.
pub(crate) async fn ping(
    client: &mut GeoPingClient<Channel>,
    region: &str,
) -> Result<String, Status> {
    let answer = client.status(RegionRequest { region: region.to_owned() }).await?;
    Ok(answer.into_inner().region)
}

/// Waits until `done` says so.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(SOON, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// `future`, in time.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// What this thread's tasks log at `warn` and above, while it lives.
pub(crate) struct Logs {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Logs {
    pub(crate) fn capture() -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&text);
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .with_writer(move || Sink(Arc::clone(&sink)))
            .finish();
        Self { text, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// The lines so far, and forgets them.
    pub(crate) fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.text.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    /// Waits for a line, then gives all.
    pub(crate) async fn lines(&self, what: &str) -> Vec<String> {
        until(what, || !self.text.lock().unwrap().is_empty()).await;
        self.take()
    }
}
