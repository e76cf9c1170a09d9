//! The program: everything read, then bound, then run until it is asked to leave.
//!
//! ```text
//!  load ──▶ Prepared ──bind──▶ Bound ──start──▶ Running ──wait──▶ left in order
//!  files        nothing bound     ports           parts under one supervisor
//!
//!  SIGTERM ─▶ DRAINING, NOT_SERVING, /readyz 503 ── drain_wait ──▶ GOAWAY ── drain_deadline ──▶ end
//!  SIGUSR1 ─▶ DRAINING, NOT_SERVING, /readyz 503     and serves on, until
//!  SIGUSR2 ─▶ all that taken back
//! ```
//!
//! Two signals instead of one that toggles: sent twice, each still means what it says.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use daemon::admin::{self, Readiness};
use daemon::config::{ConfigError, Renew};
use daemon::grpc::{self, Authorise, Limits, ServeError};
use daemon::reload::WatchError;
use daemon::shutdown::CancellationToken;
use daemon::supervise::{Exhausted, Intensity, Supervisor};
use daemon::telemetry::PrometheusHandle;
use daemon::tls::{self, Tls};
use pki::{Identity, Program, Role, TrustDomain};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, watch};
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use super::certificate::Certificate;
use super::reload::Reload;
use super::{backend, cpu, health, requests};
use crate::backend::Condition;
use crate::check::Checks;
use crate::config::Config;
use crate::load::Load;
use crate::pings;
use crate::service::{Facts, MAX_REQUEST, Service};

/// What the parts may take to end once the last call has; they only have to notice.
const SLACK: Duration = Duration::from_secs(1);

/// Where a configuration comes from, to read it again.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The file.
    pub file: PathBuf,
    /// Dotted keys and values of the command line.
    pub flags: Vec<(String, String)>,
}

/// Everything read and checked; no port is bound yet.
#[derive(Debug)]
pub struct Prepared {
    config: Config,
    tls: Arc<Tls>,
    service: Service,
    checks: watch::Sender<Checks>,
    told: watch::Sender<Condition>,
}

/// Bound, and answering nobody yet.
#[derive(Debug)]
pub struct Bound {
    prepared: Prepared,
    grpc: TcpListener,
    admin: Option<TcpListener>,
}

/// Serving.
#[derive(Debug)]
pub struct Running {
    supervisor: Supervisor,
    /// For leaving, from the signal to the last part's end.
    grace: Duration,
}

/// Why nothing could be started. The system is to blame.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No handler for a signal.
    #[error("cannot handle signals: {0}")]
    Signals(#[from] io::Error),
    /// No notice of changed files.
    #[error(transparent)]
    Watch(#[from] WatchError),
}

/// Why the gRPC server ended by itself; it is started anew.
#[derive(Debug, thiserror::Error)]
enum GrpcError {
    /// The socket cannot be listened on once more.
    #[error("cannot go on listening: {0}")]
    Listen(#[from] io::Error),
    /// It failed while serving.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Where a [`Bound`] program is reached; the ports are those the system chose where the
/// configuration says 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Addresses {
    /// gRPC with mTLS.
    pub grpc: SocketAddr,
    /// HTTP.
    pub admin: Option<SocketAddr>,
}

impl Origin {
    /// Reads and checks the configuration, not what it names.
    ///
    /// # Errors
    ///
    /// Every mistake with its place.
    pub fn config(&self) -> Result<Config, ConfigError> {
        Config::load(&self.file, daemon::config::environment(), &self.flags)
    }
}

impl Prepared {
    /// Reads what `config` names: certificates and databases.
    ///
    /// # Errors
    ///
    /// The file at fault, at the place of the configuration that names it.
    pub fn load(config: Config) -> Result<Prepared, ConfigError> {
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let loaded = Tls::load(&config.tls, config.trust_domain.as_ref(), tls::system_clock());
        let tls = loaded.map_err(|error| {
            config.source.error(config.tls_span.clone(), error.to_string(), None)
        })?;
        for warning in tls.warnings() {
            tracing::warn!("{warning}");
        }
        warn_of_another_name(&config, &tls.identity());
        let facts = facts(&config)?;
        let start = match &config.checks.check {
            Some(_) => Condition::unchecked(),
            None => Condition::ok(),
        };
        let (told, condition) = watch::channel(start);
        let version = config.version.as_deref().unwrap_or(env!("CARGO_PKG_VERSION"));
        let service = Service::builder(&config.region, version)
            .node(&config.node)
            .location(config.location)
            .backend(condition)
            .build()
            .map_err(|error| config.source.error(0..0, error.to_string(), None))?;
        service.set_facts(facts);
        let checks = watch::Sender::new(config.checks.clone());
        Ok(Prepared { config, tls, service, checks, told })
    }

    /// Binds the ports.
    ///
    /// # Errors
    ///
    /// The system's, with the address; nothing stays bound.
    pub fn bind(self) -> io::Result<Bound> {
        let grpc = bind(self.config.listen.grpc)?;
        let admin = self.config.listen.admin.map(bind).transpose()?;
        Ok(Bound { prepared: self, grpc, admin })
    }
}

impl Bound {
    /// Where the program is reached.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn addresses(&self) -> io::Result<Addresses> {
        let admin = self.admin.as_ref().map(TcpListener::local_addr).transpose()?;
        Ok(Addresses { grpc: self.grpc.local_addr()?, admin })
    }

    /// The service, to drain or to look at.
    pub fn service(&self) -> &Service {
        &self.prepared.service
    }

    /// Starts to serve; from now on every signal means what the [module](self) says. Leaves in
    /// order when `stop` is cancelled. Reloads come from `origin`.
    ///
    /// # Errors
    ///
    /// The system grants no signal handlers, or no file notifications; nothing serves.
    pub fn start(
        self,
        origin: Origin,
        metrics: PrometheusHandle,
        stop: CancellationToken,
    ) -> Result<Running, StartError> {
        pings::describe();
        let Bound { prepared, grpc, admin } = self;
        let Prepared { config, tls, service, checks, told } = prepared;
        let (limits, renew) = (config.limits.clone(), config.tls.renew.clone());
        let grace = limits.drain_wait + limits.drain_deadline + SLACK;
        let signals = Signals::new()?;
        let (asked, checks_too) = (checks.subscribe(), checks.subscribe());
        let readiness = Readiness::new();
        let certificate = Certificate::new(Arc::clone(&tls), readiness.condition("certificate"));
        certificate.look();
        let reload = Reload::new(
            origin,
            config,
            Arc::clone(&tls),
            service.clone(),
            checks,
            certificate.clone(),
        )?;
        let supervisor = Supervisor::new(Intensity::default(), stop.clone());
        let mut tasks = Tasks { supervisor, stop, served: CancellationToken::new() };

        let reporter = HealthReporter::new();
        let routes = routes(&service, &reporter);
        tasks.serve_grpc(grpc, routes, &tls, limits);
        if let Some(admin) = admin {
            let service = service.clone();
            let extra = move || pings::exposition(&service);
            tasks.serve_admin(admin, Arc::clone(&readiness), metrics, extra);
        }
        tasks.watch_backend(asked, Arc::clone(&tls), told);
        tasks.tell_health(service.clone(), reporter);
        tasks.sample_cpu(service.load().clone());
        tasks.count_requests(checks_too, Arc::clone(&tls), service.load().clone());
        tasks.look_at_certificate(certificate);
        tasks.renew(tls, renew);
        tasks.drain(signals, service, readiness);
        tasks.reload(reload);
        Ok(Running { supervisor: tasks.supervisor, grace })
    }
}

impl Running {
    /// Until the program has left in order.
    ///
    /// # Errors
    ///
    /// A part failed too often.
    pub async fn wait(self) -> Result<(), Exhausted> {
        self.supervisor.wait(self.grace).await
    }
}

/// The long-running parts, each made anew when it fails.
struct Tasks {
    supervisor: Supervisor,
    /// Cancelled when it is time to go.
    stop: CancellationToken,
    /// Cancelled when the last call has ended, and with it every other part.
    served: CancellationToken,
}

impl Tasks {
    fn serve_grpc(
        &mut self,
        listener: TcpListener,
        routes: Routes,
        tls: &Arc<Tls>,
        limits: Limits,
    ) {
        let (tls, stop, served) = (Arc::clone(tls), self.stop.clone(), self.served.clone());
        self.supervisor.spawn("grpc", move || {
            let (tls, routes, stop) = (Arc::clone(&tls), routes.clone(), stop.clone());
            let (listener, limits, served) = (again(&listener), limits.clone(), served.clone());
            async move {
                let authorise = authorise(tls.trust_domain());
                let shutdown = stop.cancelled_owned();
                // Health is told by `health::follow`, which knows of drains that end as well.
                grpc::serve(listener?, tls, routes, &limits, authorise, None, shutdown).await?;
                served.cancel();
                Ok::<(), GrpcError>(())
            }
        });
    }

    /// Ends after the last call has: an operator can watch a drain to its end.
    fn serve_admin(
        &mut self,
        listener: TcpListener,
        readiness: Arc<Readiness>,
        metrics: PrometheusHandle,
        extra: impl Fn() -> String + Clone + Send + Sync + 'static,
    ) {
        let served = self.served.clone();
        self.supervisor.spawn("admin", move || {
            let (readiness, metrics, extra) =
                (Arc::clone(&readiness), metrics.clone(), extra.clone());
            let (listener, served) = (again(&listener), served.clone());
            async move {
                admin::serve(listener?, readiness, metrics, extra, served.cancelled_owned()).await
            }
        });
    }

    fn watch_backend(
        &mut self,
        checks: watch::Receiver<Checks>,
        tls: Arc<Tls>,
        told: watch::Sender<Condition>,
    ) {
        self.until_served("backend", move || {
            backend::follow(checks.clone(), Some(Arc::clone(&tls)), told.clone())
        });
    }

    fn tell_health(&mut self, service: Service, reporter: HealthReporter) {
        self.until_served("health", move || health::follow(service.clone(), reporter.clone()));
    }

    fn sample_cpu(&mut self, load: Load) {
        self.until_served("cpu", move || cpu::sample(load.clone(), cpu::PROC_STAT.as_ref()));
    }

    /// The requests of the service beside this program do not come through its own server.
    fn count_requests(&mut self, checks: watch::Receiver<Checks>, tls: Arc<Tls>, load: Load) {
        self.until_served("requests", move || {
            requests::follow(checks.clone(), Some(Arc::clone(&tls)), load.clone())
        });
    }

    fn look_at_certificate(&mut self, certificate: Certificate) {
        self.until_served("certificate", move || certificate.clone().follow());
    }

    fn renew(&mut self, tls: Arc<Tls>, renew: Option<Renew>) {
        let served = self.served.clone();
        self.until_served("renewal", move || {
            let shutdown = served.clone().cancelled_owned();
            let renewing = daemon::renewal::run(Arc::clone(&tls), renew.clone(), shutdown);
            async move {
                renewing.await;
                Ok::<(), Infallible>(())
            }
        });
    }

    fn reload(&mut self, reload: Reload) {
        let reload = Arc::new(Mutex::new(reload));
        self.until_served("reload", move || {
            let reload = Arc::clone(&reload);
            async move { reload.lock().await.run().await }
        });
    }

    /// Says DRAINING on SIGUSR1, takes it back on SIGUSR2, and says it for good once it is time to
    /// go; the gRPC server keeps `drain_wait` and `drain_deadline` itself.
    fn drain(&mut self, signals: Signals, service: Service, readiness: Arc<Readiness>) {
        let stop = self.stop.clone();
        let signals = Arc::new(Mutex::new(signals));
        let in_service = readiness.condition("in service");
        in_service.set_ready();
        self.until_served("drain", move || {
            let (service, readiness, stop) =
                (service.clone(), Arc::clone(&readiness), stop.clone());
            let (signals, in_service) = (Arc::clone(&signals), in_service.clone());
            async move {
                signals.lock().await.drain_until(&stop, &service, &in_service).await;
                daemon::ready::leaving();
                service.drain();
                readiness.drain();
                Ok::<(), Infallible>(())
            }
        });
    }

    /// Runs what `factory` makes until it is done, or the last call has ended.
    fn until_served<F, Fut, E>(&mut self, name: &'static str, mut factory: F)
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display + Send + 'static,
    {
        let served = self.served.clone();
        self.supervisor.spawn(name, move || {
            let task = served.clone().run_until_cancelled_owned(factory());
            async move { task.await.unwrap_or(Ok(())) }
        });
    }
}

/// SIGUSR1 and SIGUSR2.
#[derive(Debug)]
struct Signals {
    away: Signal,
    back: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        let away = signal(SignalKind::user_defined1())?;
        Ok(Signals { away, back: signal(SignalKind::user_defined2())? })
    }

    /// Follows the signals until `stop` is cancelled.
    async fn drain_until(
        &mut self,
        stop: &CancellationToken,
        service: &Service,
        in_service: &admin::Condition,
    ) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = self.away.recv() => {
                    tracing::info!("draining on SIGUSR1, until SIGUSR2");
                    service.drain();
                    in_service.set_unready("draining on SIGUSR1");
                }
                _ = self.back.recv() => {
                    tracing::info!("back in service on SIGUSR2");
                    service.resume();
                    in_service.set_ready();
                }
            }
        }
    }
}

/// GeoPing, health and reflection, with every call counted as load.
fn routes(service: &Service, reporter: &HealthReporter) -> Routes {
    let health = HealthService::from_health_reporter(reporter.clone());
    let health = HealthServer::new(health).max_decoding_message_size(MAX_REQUEST);
    let routes = Routes::new(service.clone().into_server()).add_service(health);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("compiled descriptors decode");
    let routes = routes.add_service(reflection);
    routes.into_axum_router().layer(service.load().layer()).into()
}

/// Who may call what: everybody of our trust domain may ask how we are, people may look around.
fn authorise(ours: &TrustDomain) -> Authorise {
    let anybody = |_: &Identity| true;
    let people = |caller: &Identity| matches!(caller.role, Role::User(_));
    Authorise::new(ours.clone())
        .allow("/geoping.v1.GeoPing/Status", anybody)
        .allow("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", people)
        .allow_health()
}

/// A certificate may name a node otherwise than the configuration does; callers would believe
/// neither.
fn warn_of_another_name(config: &Config, identity: &Identity) {
    let ours =
        Identity::node(&identity.trust_domain, &config.region, Program::Geoping, &config.node);
    if ours.as_ref() != Ok(identity) {
        tracing::warn!(
            certificate = %identity, node = config.node, region = config.region,
            "the certificate names another node than [node] does"
        );
    }
}

/// What replies tell of a configuration that may change while serving.
pub(super) fn facts(config: &Config) -> Result<Facts, ConfigError> {
    let (table, _) = config.geo.load(geo::Lists::default(), &config.source)?;
    Ok(Facts { capacity: config.capacity, places: Some(Arc::new(table)) })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

/// The same socket once more, for a task that begins anew.
fn again(listener: &TcpListener) -> io::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::from_std(listener.try_clone()?)
}
