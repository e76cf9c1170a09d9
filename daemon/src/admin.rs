//! `/metrics`, `/livez` and `/readyz` over plain HTTP, for the loopback.
//!
//! | path | status | body |
//! |---|---|---|
//! | `/livez` | 200 while the process answers at all | `ok` |
//! | `/readyz` | 200 or 503 | `ready`, or each unmet condition and its reason |
//! | `/metrics` | 200 | Prometheus' text form |
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use daemon::{admin::{self, Readiness}, telemetry::PrometheusHandle};
//! # async fn run(listener: tokio::net::TcpListener, metrics: PrometheusHandle,
//! #              stop: daemon::shutdown::CancellationToken) -> std::io::Result<()> {
//! let readiness = Readiness::new();
//! let zones = readiness.condition("zones");           // not ready until told so
//! zones.set_ready();
//! zones.set_unready("the zone file has errors");
//! admin::serve(listener, readiness, metrics, String::new, stop.cancelled_owned()).await?;
//! # Ok(()) }
//! ```

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use axum::serve::Listener;
use http::{StatusCode, header};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::bounded::Bounded;
use crate::shutdown::CancellationToken;
use crate::telemetry::PrometheusHandle;

/// Connections at once; a scraper, a prober and a few people.
const MAX_CONNECTIONS: usize = 64;

/// How long a connection lasts: long enough to send all metrics, short enough that whoever holds
/// them all open is soon gone.
const LIFETIME: Duration = Duration::from_secs(10);

/// How long answers under way may take after a shutdown.
const GRACE: Duration = Duration::from_secs(1);

/// How often histograms are folded, so that they do not grow while nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Prometheus' text form, version 0.0.4.
const TEXT_FORM: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What must be true before traffic may come: named conditions, all of which must hold.
#[derive(Debug, Default)]
pub struct Readiness {
    state: Mutex<Conditions>,
}

#[derive(Debug, Default)]
struct Conditions {
    /// Each condition's reason for not holding.
    unmet: BTreeMap<&'static str, String>,
    draining: bool,
}

/// One named condition; begins unready.
#[derive(Clone, Debug)]
pub struct Condition {
    name: &'static str,
    readiness: Arc<Readiness>,
}

impl Readiness {
    /// Without conditions: ready.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Adds a condition, not yet met.
    pub fn condition(self: &Arc<Self>, name: &'static str) -> Condition {
        self.lock().unmet.insert(name, "not yet".to_owned());
        Condition { name, readiness: Arc::clone(self) }
    }

    /// Every unmet condition with its reason; empty when ready.
    pub fn unmet(&self) -> Vec<(&'static str, String)> {
        let state = self.lock();
        let draining = state.draining.then(|| ("draining", "the program is leaving".to_owned()));
        let unmet = state.unmet.iter().map(|(&name, reason)| (name, reason.clone()));
        draining.into_iter().chain(unmet).collect()
    }

    /// Says "draining" from now on, whatever the conditions say.
    pub fn drain(&self) {
        self.lock().draining = true;
    }

    fn lock(&self) -> MutexGuard<'_, Conditions> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Condition {
    /// The condition holds.
    pub fn set_ready(&self) {
        self.readiness.lock().unmet.remove(self.name);
    }

    /// The condition does not hold; `reason` is shown by `/readyz`.
    pub fn set_unready(&self, reason: impl Into<String>) {
        self.readiness.lock().unmet.insert(self.name, reason.into());
    }
}

/// Serves until `shutdown`. `extra` renders metrics kept outside the registry (such as
/// per-thread counters), in Prometheus' text form, and is called at each scrape.
///
/// # Errors
///
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    readiness: Arc<Readiness>,
    metrics: PrometheusHandle,
    extra: impl Fn() -> String + Clone + Send + Sync + 'static,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    if let Ok(address) = listener.local_addr()
        && !address.ip().is_loopback()
    {
        tracing::warn!(%address, "not the loopback: everybody who gets here may read the metrics");
    }
    let cut = CancellationToken::new();
    let _cut_when_done = cut.clone().drop_guard();
    let leaving = CancellationToken::new();
    let app = router(readiness, metrics.clone(), extra);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let serving = axum::serve(Limited { listener, places, cut }, app).with_graceful_shutdown({
        let leaving = leaving.clone();
        async move {
            shutdown.await;
            leaving.cancel();
        }
    });
    let upkeep = async {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            metrics.run_upkeep();
        }
    };
    tokio::select! {
        served = serving => served,
        () = upkeep => Ok(()),
        () = async { leaving.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}

fn router(
    readiness: Arc<Readiness>,
    metrics: PrometheusHandle,
    extra: impl Fn() -> String + Clone + Send + Sync + 'static,
) -> Router {
    let render = move || async move {
        let mut text = metrics.render();
        text.push_str(&extra());
        ([(header::CONTENT_TYPE, TEXT_FORM)], text)
    };
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(readiness)
        .route("/metrics", get(render))
}

async fn readyz(State(readiness): State<Arc<Readiness>>) -> (StatusCode, String) {
    let unmet = readiness.unmet();
    if unmet.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let lines = unmet.iter().map(|(name, reason)| format!("{name}: {reason}\n"));
    (StatusCode::SERVICE_UNAVAILABLE, lines.collect())
}

/// A listener with so many connections at once, each for so long.
struct Limited {
    listener: TcpListener,
    places: Arc<Semaphore>,
    cut: CancellationToken,
}

impl Listener for Limited {
    type Io = Bounded<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        // axum's own accept retries after errors, with a pause when files run out.
        let (socket, address) = Listener::accept(&mut self.listener).await;
        (Bounded::new(socket, LIFETIME, self.cut.clone(), place), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test binds and connects to the loopback")]

    use super::*;
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    struct Served {
        address: SocketAddr,
        readiness: Arc<Readiness>,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<io::Result<()>>,
    }

    async fn served() -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::counter!("zone_loads_total").increment(3);
        });
        let (readiness, stop) = (Readiness::new(), CancellationToken::new());
        let extra = || "dns_queries_total 7\n".to_owned();
        let task = tokio::spawn(serve(
            listener,
            readiness.clone(),
            recorder.handle(),
            extra,
            stop.clone().cancelled_owned(),
        ));
        Served { address, readiness, stop, task }
    }

    #[tokio::test]
    async fn readiness_is_all_conditions_with_reasons() {
        let Served { address, readiness, .. } = served().await;
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 200 "));
        let (zones, geo) = (readiness.condition("zones"), readiness.condition("geo"));
        zones.set_ready();
        geo.set_unready("the database is damaged");
        let answer = ask(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\ngeo: the database is damaged\n"), "{answer}");
        geo.set_ready();
        assert!(ask(address, "/readyz").await.ends_with("\r\n\r\nready\n"));
        readiness.drain();
        zones.set_ready();
        let answer = ask(address, "/readyz").await;
        assert!(answer.ends_with("draining: the program is leaving\n"), "{answer}");
        assert!(ask(address, "/livez").await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test]
    async fn metrics_are_both_kinds_and_nothing_else_is_served() {
        let Served { address, .. } = served().await;
        let answer = ask(address, "/metrics").await;
        assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
        assert!(answer.contains("zone_loads_total 3\n"), "{answer}");
        assert!(answer.ends_with("dns_queries_total 7\n"), "{answer}");
        for path in ["/", "/metrics/", "/../metrics", "/debug"] {
            assert!(ask(address, path).await.starts_with("HTTP/1.1 404 "), "{path}");
        }
    }

    #[tokio::test]
    async fn a_silent_client_does_not_delay_the_end() {
        let Served { address, stop, task, .. } = served().await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        silent.write_all(b"GET /livez HT").await.unwrap();
        ask(address, "/livez").await;
        stop.cancel();
        tokio::time::timeout(LIFETIME, task).await.unwrap().unwrap().unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(LIFETIME, silent.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "its connection is cut too");
    }
}
