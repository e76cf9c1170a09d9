//! From a configuration file to a serving node, and back to nothing in order.

use std::convert::Infallible;
use std::io::Write;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use daemon::admin::{self, Readiness};
use daemon::config::{self, ConfigError};
use daemon::grpc::{self, Authorise, Health, Limits};
use daemon::supervise::{EXIT_EXHAUSTED, Intensity, Supervisor};
use daemon::telemetry::{self, PrometheusHandle};
use daemon::terminal::visible;
use daemon::tls::{self, Tls};
use daemon::{renewal, shutdown};
use pki::{Identity, Program, Role};
use proto::dnsrouter::v1::control_server::ControlServer;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::answer::Worker;
use crate::config::Config;
use crate::counters::Registry;
use crate::plan::Generation;
use crate::target::Targets;

use super::census::{self, Census};
use super::deferred::{Deferred, Jobs};
use super::dynamic::Store;
use super::history::{self, Reader, Recorder};
use super::keeper::{Apply, Keeper, MAX_WAITING, Shared};
use super::load::{Loaded, Loader};
use super::overrides::{self, Said};
use super::probe::Prober;
use super::reload::{Origin, Reloader};
use super::sockets::{Passed, Sockets};
use super::{balance, control, descriptors, dynamic, keeper, state, tcp, udp};

/// How long running answers may take when the node is told to stop.
const GRACE: Duration = Duration::from_secs(5);
/// The system refused something (EX_OSERR of sysexits.h).
const EXIT_SYSTEM: u8 = 71;

/// Loads everything, says what was found, and binds nothing.
pub fn check(file: &Path, flags: &[(String, String)]) -> ExitCode {
    let loaded = Loader::default().load(file, flags).and_then(|loaded| {
        let tls = load_tls(&loaded.config)?;
        check_state(&loaded.config)?;
        Ok((loaded, tls))
    });
    match loaded {
        Ok((loaded, tls)) => {
            let mut out = std::io::stdout().lock();
            let name = file.display().to_string();
            let name = visible(&name);
            let _ = writeln!(out, "{name}: ok: {}", visible(&loaded.summary()));
            for warning in warnings(&loaded.config, tls.as_deref()) {
                let _ = writeln!(out, "{name}: note: {}", visible(warning));
            }
            ExitCode::SUCCESS
        }
        Err(error) => config::exit_invalid(&error),
    }
}

/// Serves until told to stop by SIGTERM or SIGINT.
pub fn serve(file: PathBuf, flags: Vec<(String, String)>, ready_file: Option<PathBuf>) -> ExitCode {
    // First of all, while there is one thread.
    let passed = Passed::from_environment();
    let mut loader = Loader::default();
    let loaded = match loader.load(&file, &flags) {
        Ok(loaded) => loaded,
        Err(error) => return config::exit_invalid(&error),
    };
    let tls = match load_tls(&loaded.config) {
        Ok(tls) => tls,
        Err(error) => return config::exit_invalid(&error),
    };
    let node =
        telemetry::init(&loaded.config.log).context("starting the log").and_then(|metrics| {
            let origin = Origin { file, flags };
            Node::start(&loaded, loader, tls, metrics, origin, &mut passed?, ready_file)
        });
    // Its zones are those of the first plan, which goes when a reload brings another.
    drop(loaded);
    match node.and_then(Node::wait) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "dnsrouter: {error:#}");
            ExitCode::from(EXIT_SYSTEM)
        }
    }
}

/// Makes nothing: a check leaves no trace.
fn check_state(config: &Config) -> Result<(), ConfigError> {
    let Some(dir) = &config.state_dir else { return Ok(()) };
    state::Folder::can_be_opened(dir).map_err(|error| {
        let help = Some("name a folder that the server's user may write to, or make");
        config.source.error(config.state_span.clone(), error.to_string(), help).into()
    })
}

/// What works and should not be so, of the configuration and what it names.
fn warnings<'a>(config: &'a Config, tls: Option<&'a Tls>) -> impl Iterator<Item = &'a String> {
    config.warnings.iter().chain(tls.map_or(&[][..], Tls::warnings))
}

fn load_tls(config: &Config) -> Result<Option<Arc<Tls>>, ConfigError> {
    let Some((files, span)) = &config.tls else { return Ok(None) };
    match Tls::load(files, config.trust_domain.as_ref(), tls::system_clock()) {
        Ok(tls) => Ok(Some(tls)),
        Err(error) => {
            let problem = config.source.error(span.clone(), error.to_string(), None);
            Err(ConfigError { errors: vec![problem] })
        }
    }
}

/// A running node.
struct Node {
    runtime: tokio::runtime::Runtime,
    tcp_runtime: tokio::runtime::Runtime,
    supervisor: Supervisor,
    ready_file: Option<PathBuf>,
}

impl Node {
    fn start(
        loaded: &Loaded,
        loader: Loader,
        tls: Option<Arc<Tls>>,
        metrics: PrometheusHandle,
        origin: Origin,
        passed: &mut Passed,
        ready_file: Option<PathBuf>,
    ) -> Result<Self> {
        for warning in warnings(&loaded.config, tls.as_deref()) {
            tracing::warn!("{}", visible(warning));
        }
        let limit = daemon::descriptors::raise_limit();
        let folder = loaded.config.state_dir.as_deref().map(state::Folder::open).transpose()?;
        let kept = folder.as_ref().map(state::Folder::read).unwrap_or_default();
        let sockets = Sockets::bind(&loaded.config.listen, passed)?;
        let addresses = sockets.addresses()?;
        let bound = sockets.udp.len() + sockets.tcp.len();
        let proxied = !loaded.config.listen.proxy.is_empty();
        let limits = descriptors::limits(limit, bound, proxied, loaded.config.listen.tcp);
        let connections = tcp::Connections::new(limits);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        // Strangers talk to this one: however busy they keep it, probes and control go on.
        let tcp_runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("dns-tcp")
            .enable_all()
            .build()?;
        let entered = runtime.enter();
        let stop = shutdown::on_signals()?;
        let mut node = Wiring {
            supervisor: Supervisor::new(Intensity::default(), stop.clone()),
            readiness: Readiness::new(),
            registry: Arc::new(Registry::default()),
            census: None,
            stop,
        };
        let generation = Generation(kept.generation.saturating_add(1));
        let now = SystemTime::now();
        let config = &loaded.config;
        let shared = Shared::new(loaded.inputs(generation), &kept.verdicts, now);
        shared.set_operators(config.operators.clone());
        let (speaking, said) = mpsc::channel(1);
        let overrides = overrides::Store::open(folder.clone(), speaking, shared.clone());
        let overrides = Arc::new(tokio::sync::Mutex::new(overrides));
        let (recorder, past) = node.history(folder.as_ref());
        let configuration = origin.file.parent().unwrap_or(Path::new("")).to_owned();
        let past = past.map(|reader| control::Past::new(reader, configuration));
        node.census(config, folder.as_ref());
        let Origin { file, flags } = &origin;
        let planner = control::Planner::new(loader.examiner(file, flags, config.state_dir.clone()));
        let (deferred, jobs) = Deferred::new();
        let (inputs, given) = mpsc::channel(1);
        let store = Store::new(loaded, inputs, shared.clone())?;
        let store = Arc::new(tokio::sync::Mutex::new(store));
        node.deferred(&shared, jobs, &store);
        node.dns(&sockets, config, &shared, &deferred, &connections, tcp_runtime.handle())?;
        let reloading = Reloading { loader, origin, store, given, said, recorder };
        node.keep_and_probe(loaded, folder, &shared, tls.clone(), reloading)?;
        node.overrides(&overrides);
        node.control(&sockets, config, &shared, tls.as_ref(), (overrides, past, planner))?;
        node.admin(&sockets, &shared, metrics)?;
        if let (Some(tls), Some((files, _))) = (tls, &config.tls) {
            node.renewal(tls, files.renew.clone());
        }
        drop(entered);
        announce(config, &loaded.summary(), &addresses, ready_file.as_deref())?;
        Ok(Self { runtime, tcp_runtime, supervisor: node.supervisor, ready_file })
    }

    fn wait(self) -> Result<ExitCode> {
        let ended = self.runtime.block_on(self.supervisor.wait(GRACE));
        daemon::ready::leaving();
        self.tcp_runtime.shutdown_timeout(Duration::ZERO);
        self.runtime.shutdown_timeout(GRACE);
        daemon::ready::withdraw(self.ready_file.as_deref());
        match ended {
            Ok(()) => {
                tracing::info!("stopped");
                Ok(ExitCode::SUCCESS)
            }
            Err(exhausted) => {
                tracing::error!(%exhausted, "giving up");
                Ok(ExitCode::from(EXIT_EXHAUSTED))
            }
        }
    }
}

/// What a reload goes through.
struct Reloading {
    loader: Loader,
    origin: Origin,
    store: Arc<tokio::sync::Mutex<Store>>,
    /// Plans for the keeper.
    given: mpsc::Receiver<Apply>,
    /// What people say, for the keeper.
    said: mpsc::Receiver<Said>,
    /// What the keeper says to the history.
    recorder: Recorder,
}

/// Puts tasks under the supervisor.
struct Wiring {
    supervisor: Supervisor,
    readiness: Arc<Readiness>,
    registry: Arc<Registry>,
    /// None: nobody counts clients.
    census: Option<Arc<Census>>,
    stop: CancellationToken,
}

impl Wiring {
    fn dns(
        &mut self,
        sockets: &Sockets,
        config: &Config,
        shared: &Shared,
        deferred: &Deferred,
        connections: &tcp::Connections,
        tcp_runtime: &tokio::runtime::Handle,
    ) -> Result<()> {
        let bound = sockets.udp.iter().map(UdpSocket::local_addr);
        let own = udp::Own::new(bound.collect::<std::io::Result<Vec<_>>>()?);
        for socket in &sockets.udp {
            let socket = Arc::new(socket.try_clone()?);
            let (plan, own) = (Arc::clone(&shared.plan), own.clone());
            let (registry, deferred) = (Arc::clone(&self.registry), deferred.clone());
            let (census, stop, nap) = (self.census.clone(), self.stop.clone(), config.listen.nap);
            self.supervisor.spawn("dns over udp", move || {
                let (socket, plan) = (Arc::clone(&socket), Arc::clone(&plan));
                let server = udp::Server::new(socket, plan, deferred.clone(), own.clone());
                let server = server.map(|server| server.napping(nap));
                udp::supervised(server, new_worker(&registry, census.as_deref()), stop.clone())
            });
        }
        for listener in &sockets.tcp {
            let listener = listener.try_clone()?;
            let (plan, proxies) = (Arc::clone(&shared.plan), Arc::clone(&config.listen.proxy));
            let (registry, deferred) = (Arc::clone(&self.registry), deferred.clone());
            let (runtime, stop) = (tcp_runtime.clone(), self.stop.clone());
            let (connections, census) = (connections.clone(), self.census.clone());
            self.supervisor.spawn("dns over tcp", move || {
                let (listener, stop) = (listener.try_clone(), stop.clone());
                let (connections, registry) = (connections.clone(), Arc::clone(&registry));
                let census = census.clone();
                let (plan, proxies) = (Arc::clone(&plan), Arc::clone(&proxies));
                let new_worker = move || new_worker(&registry, census.as_deref());
                let deferred = deferred.clone();
                let server = tcp::Server::new(connections, plan, deferred, proxies, new_worker);
                let serving = runtime.spawn(async move {
                    server.run(TcpListener::from_std(listener?)?, stop).await;
                    Ok(())
                });
                async move { serving.await.unwrap_or_else(|end| Err(std::io::Error::other(end))) }
            });
        }
        Ok(())
    }

    /// Updates, and what bears a signature.
    fn deferred(&mut self, shared: &Shared, jobs: Jobs, store: &Arc<tokio::sync::Mutex<Store>>) {
        let plan = Arc::clone(&shared.plan);
        let (server, updater) = dynamic::new(plan, &self.registry, Arc::clone(store));
        let server = Arc::new(tokio::sync::Mutex::new((server, jobs)));
        let stop = self.stop.clone();
        self.supervisor.spawn("signed messages", move || {
            dynamic::supervised(Arc::clone(&server), stop.clone())
        });
        let updater = Arc::new(tokio::sync::Mutex::new(updater));
        let stop = self.stop.clone();
        self.supervisor.spawn("updates", move || {
            let (updater, stop) = (Arc::clone(&updater), stop.clone());
            async move {
                updater.lock().await.run(&stop).await;
                Ok::<_, Infallible>(())
            }
        });
    }

    fn keep_and_probe(
        &mut self,
        loaded: &Loaded,
        folder: Option<state::Folder>,
        shared: &Shared,
        tls: Option<Arc<Tls>>,
        reloading: Reloading,
    ) -> Result<()> {
        let Reloading { loader, origin, store, given, said, recorder } = reloading;
        let (reports, reported) = mpsc::channel(MAX_WAITING);
        let (targets, wanted) = watch::channel(Targets::default());
        let (settings, probe_settings) = watch::channel(loaded.config.probe);
        let (disk, news) = watch::channel(());
        let (reckoning, reckoned) = mpsc::channel(1);
        let keeper = Keeper {
            shared: shared.clone(),
            settings: loaded.config.probe.settings,
            reports: reported,
            inputs: given,
            said,
            reckoned,
            recorder,
            targets,
            disk,
        };
        let keeper = Arc::new(tokio::sync::Mutex::new(keeper));
        let stop = self.stop.clone();
        self.supervisor.spawn("keeper", move || {
            let (keeper, stop) = (Arc::clone(&keeper), stop.clone());
            async move {
                keeper.lock().await.run(&stop).await;
                Ok::<_, Infallible>(())
            }
        });
        let (balanced, stop) = (shared.clone(), self.stop.clone());
        let census = self.census.clone();
        self.supervisor.spawn("balance", move || {
            let (shared, census) = (balanced.clone(), census.clone());
            let running = balance::run(shared, census, reckoning.clone(), stop.clone());
            async move {
                running.await;
                Ok::<_, Infallible>(())
            }
        });
        if let Some(folder) = folder {
            let stop = self.stop.clone();
            let of = shared.clone();
            let state: Arc<dyn Fn() -> state::State + Send + Sync> = Arc::new(move || of.state());
            self.supervisor.spawn("state to disk", move || {
                let (folder, news) = (folder.clone(), news.clone());
                let state = Arc::clone(&state);
                let kept = keeper::keep_on_disk(folder, state, news, stop.clone());
                async move {
                    kept.await;
                    Ok::<_, Infallible>(())
                }
            });
        }
        let region = loaded.config.region.clone();
        let prober = Prober::new(tls.clone(), region, probe_settings, reports);
        let stop = self.stop.clone();
        self.supervisor.spawn("prober", move || prober.clone().run(wanted.clone(), stop.clone()));
        let reloader = Reloader::new(origin, loader, loaded, tls, store, settings, shared)?;
        let reloader = Arc::new(tokio::sync::Mutex::new(reloader));
        let stop = self.stop.clone();
        self.supervisor.spawn("reloader", move || {
            let (reloader, stop) = (Arc::clone(&reloader), stop.clone());
            async move {
                reloader.lock().await.run(&stop).await;
                Ok::<_, Infallible>(())
            }
        });
        Ok(())
    }

    /// None without a folder.
    fn history(&mut self, folder: Option<&state::Folder>) -> (Recorder, Option<Reader>) {
        let Some(folder) = folder else { return (Recorder::default(), None) };
        let (recorder, writer, reader) = history::open(folder);
        let writer = Arc::new(tokio::sync::Mutex::new(writer));
        let stop = self.stop.clone();
        self.supervisor.spawn("history", move || {
            let (writer, stop) = (Arc::clone(&writer), stop.clone());
            async move {
                writer.lock().await.run(&stop).await;
                Ok::<_, Infallible>(())
            }
        });
        (recorder, Some(reader))
    }

    /// Counts clients, if that is wanted.
    fn census(&mut self, config: &Config, folder: Option<&state::Folder>) {
        let Some(settings) = config.clients else { return };
        let census = Arc::new(Census::open(settings, folder));
        self.census = Some(Arc::clone(&census));
        let (node, folder, stop) = (config.node.clone(), folder.cloned(), self.stop.clone());
        self.supervisor.spawn("client counts", move || {
            let (census, folder) = (Arc::clone(&census), folder.clone());
            let counting = census::run(census, node.clone(), folder, stop.clone());
            async move {
                counting.await;
                Ok::<_, Infallible>(())
            }
        });
    }

    fn overrides(&mut self, store: &Arc<tokio::sync::Mutex<overrides::Store>>) {
        let (store, stop) = (Arc::clone(store), self.stop.clone());
        self.supervisor.spawn("overrides", move || {
            let expiring = overrides::run(Arc::clone(&store), stop.clone());
            async move {
                expiring.await;
                Ok::<_, Infallible>(())
            }
        });
    }

    fn control(
        &mut self,
        sockets: &Sockets,
        config: &Config,
        shared: &Shared,
        tls: Option<&Arc<Tls>>,
        (overrides, past, planner): (
            Arc<tokio::sync::Mutex<overrides::Store>>,
            Option<control::Past>,
            control::Planner,
        ),
    ) -> Result<()> {
        let (Some(listener), Some(tls)) = (&sockets.control, tls) else { return Ok(()) };
        let listener = listener.try_clone()?;
        let (shared, tls, stop) = (shared.clone(), Arc::clone(tls), self.stop.clone());
        let (name, region) = (config.node.clone(), config.region.clone());
        let (kept, census) = (config.state_dir.is_some(), self.census.clone());
        let started = Instant::now();
        self.supervisor.spawn("control", move || {
            let service = control::Service {
                shared: shared.clone(),
                node: name.clone(),
                region: region.clone(),
                started,
                overrides: Arc::clone(&overrides),
                kept,
                census: census.clone(),
                past: past.clone(),
                planner: planner.clone(),
            };
            let operators = {
                let shared = shared.clone();
                move |who: &Identity| shared.operators().include(who)
            };
            let (listener, tls, stop) = (listener.try_clone(), Arc::clone(&tls), stop.clone());
            async move {
                let (health, health_service) = Health::new();
                let routes = tonic::service::Routes::new(ControlServer::new(service))
                    .add_service(health_service);
                health.set_serving("dnsrouter.v1.Control").await;
                let authorise = Authorise::new(tls.trust_domain().clone())
                    .allow("/dnsrouter.v1.Control/Explain", is_person_or_name_server)
                    .allow("/dnsrouter.v1.Control/Status", is_person_or_name_server)
                    .allow("/dnsrouter.v1.Control/Clients", is_person_or_name_server)
                    .allow("/dnsrouter.v1.Control/ExportClients", is_person_or_name_server)
                    .allow("/dnsrouter.v1.Control/Overrides", is_person_or_name_server)
                    .allow("/dnsrouter.v1.Control/Drain", operators.clone())
                    .allow("/dnsrouter.v1.Control/Force", operators.clone())
                    .allow("/dnsrouter.v1.Control/Lift", operators.clone())
                    .allow("/dnsrouter.v1.Control/Plan", operators)
                    .allow_health();
                let listener = TcpListener::from_std(listener?)?;
                let limits = Limits {
                    connections: descriptors::CONTROL,
                    drain_wait: Duration::ZERO,
                    drain_deadline: GRACE / 2,
                    ..Limits::default()
                };
                grpc::serve(
                    listener,
                    tls,
                    routes,
                    &limits,
                    authorise,
                    Some(health),
                    stop.cancelled(),
                )
                .await
                .map_err(anyhow::Error::from)
            }
        });
        Ok(())
    }

    fn admin(
        &mut self,
        sockets: &Sockets,
        shared: &Shared,
        metrics: PrometheusHandle,
    ) -> Result<()> {
        // Serving is decided before this: what is bound answers from a whole plan.
        self.readiness.condition("plan").set_ready();
        let Some(listener) = &sockets.admin else { return Ok(()) };
        let listener = listener.try_clone()?;
        let (readiness, registry) = (Arc::clone(&self.readiness), Arc::clone(&self.registry));
        let (shared, stop) = (shared.clone(), self.stop.clone());
        self.supervisor.spawn("admin", move || {
            let (listener, metrics) = (listener.try_clone(), metrics.clone());
            let (readiness, registry) = (Arc::clone(&readiness), Arc::clone(&registry));
            let (shared, stop) = (shared.clone(), stop.clone());
            async move {
                let listener = TcpListener::from_std(listener?)?;
                let extra = move || registry.render() + &shared.render();
                admin::serve(listener, readiness, metrics, extra, stop.cancelled_owned()).await
            }
        });
        Ok(())
    }

    fn renewal(&mut self, tls: Arc<Tls>, renew: Option<config::Renew>) {
        let stop = self.stop.clone();
        self.supervisor.spawn("certificate renewal", move || {
            let renewing =
                renewal::run(Arc::clone(&tls), renew.clone(), stop.clone().cancelled_owned());
            async move {
                renewing.await;
                Ok::<_, Infallible>(())
            }
        });
    }
}

/// A worker of a thread that answers.
fn new_worker(registry: &Registry, census: Option<&Census>) -> Worker {
    Worker::new(registry.worker()).recording(census.map(Census::recorder))
}

/// People look, and name servers ask each other; services and regions have no business here.
fn is_person_or_name_server(who: &Identity) -> bool {
    match &who.role {
        Role::User(_) => true,
        Role::Node { program, .. } => *program == Program::Dnsrouter,
        Role::Member(_) => false,
    }
}

/// Tells the log, the init system and whoever waits for the ready file.
fn announce(
    config: &Config,
    summary: &str,
    addresses: &serde_json::Value,
    ready_file: Option<&Path>,
) -> Result<()> {
    tracing::info!(node = config.node, region = config.region, %addresses, "serving: {summary}");
    daemon::ready::announce(ready_file, addresses)?;
    Ok(())
}
