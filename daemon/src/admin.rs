//! `/metrics`, `/livez` and `/readyz` over plain HTTP, for the loopback.
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

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::telemetry::PrometheusHandle;

/// What must be true before traffic may come: named conditions, all of which must hold.
#[derive(Debug, Default)]
pub struct Readiness {
    state: Mutex<Conditions>,
}

#[derive(Debug, Default)]
struct Conditions {
    draining: bool,
    /// By the number that their [`Condition`] holds; `None` is met.
    conditions: Vec<(&'static str, Option<String>)>,
}

/// One named condition; begins unready.
#[derive(Clone, Debug)]
pub struct Condition {
    of: Arc<Readiness>,
    number: usize,
}

impl Readiness {
    /// Without conditions: ready.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Adds a condition, not yet met.
    pub fn condition(self: &Arc<Self>, name: &'static str) -> Condition {
        let mut state = self.lock();
        state.conditions.push((name, Some("starting".to_owned())));
        Condition { of: Arc::clone(self), number: state.conditions.len() - 1 }
    }

    /// Every unmet condition with its reason; empty when ready.
    pub fn unmet(&self) -> Vec<(&'static str, String)> {
        let state = self.lock();
        let draining = state.draining.then(|| ("draining", "told to stop".to_owned()));
        let unmet = state.conditions.iter();
        let unmet = unmet.filter_map(|(name, why)| Some((*name, why.clone()?)));
        draining.into_iter().chain(unmet).collect()
    }

    /// Says "draining" from now on, whatever the conditions say.
    pub fn drain(&self) {
        self.lock().draining = true;
    }

    fn lock(&self) -> MutexGuard<'_, Conditions> {
        // Every change is one assignment: there is no half of it to be afraid of.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Condition {
    /// The condition holds.
    pub fn set_ready(&self) {
        self.of.lock().conditions[self.number].1 = None;
    }

    /// The condition does not hold; `reason` is shown by `/readyz`.
    pub fn set_unready(&self, reason: impl Into<String>) {
        self.of.lock().conditions[self.number].1 = Some(reason.into());
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
) -> std::io::Result<()> {
    if let Ok(address) = listener.local_addr()
        && !address.ip().is_loopback()
    {
        tracing::warn!(%address, "the admin listener is not on the loopback; it asks nobody who they are");
    }
    let render = move || {
        metrics.run_upkeep();
        let text = metrics.render() + &extra();
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
    };
    let routes = Router::new()
        .route("/metrics", get(move || async move { render() }))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(readiness);
    axum::serve(listener, routes).with_graceful_shutdown(shutdown).await
}

async fn readyz(State(readiness): State<Arc<Readiness>>) -> impl IntoResponse {
    let unmet = readiness.unmet();
    if unmet.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let lines = unmet.iter().map(|(name, why)| format!("{name}: {why}\n"));
    (StatusCode::SERVICE_UNAVAILABLE, lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_every_condition_and_not_draining() {
        let readiness = Readiness::new();
        assert!(readiness.unmet().is_empty());
        let (zones, geo) = (readiness.condition("zones"), readiness.condition("geo"));
        zones.set_ready();
        assert_eq!(readiness.unmet(), [("geo", "starting".to_owned())]);
        geo.set_ready();
        assert!(readiness.unmet().is_empty());
        zones.set_unready("the zone file has errors");
        assert_eq!(readiness.unmet(), [("zones", "the zone file has errors".to_owned())]);
        zones.set_ready();
        readiness.drain();
        assert_eq!(readiness.unmet()[0].0, "draining");
    }
}
