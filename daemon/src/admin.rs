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
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::telemetry::PrometheusHandle;

/// What must be true before traffic may come: named conditions, all of which must hold.
#[derive(Debug, Default)]
pub struct Readiness {
    _todo: (),
}

/// One named condition; begins unready.
#[derive(Clone, Debug)]
pub struct Condition {
    _todo: (),
}

impl Readiness {
    /// Without conditions: ready.
    pub fn new() -> Arc<Self> {
        todo!()
    }

    /// Adds a condition, not yet met.
    pub fn condition(self: &Arc<Self>, name: &'static str) -> Condition {
        let _ = name;
        todo!()
    }

    /// Every unmet condition with its reason; empty when ready.
    pub fn unmet(&self) -> Vec<(&'static str, String)> {
        todo!()
    }

    /// Says "draining" from now on, whatever the conditions say.
    pub fn drain(&self) {
        todo!()
    }
}

impl Condition {
    /// The condition holds.
    pub fn set_ready(&self) {
        todo!()
    }

    /// The condition does not hold; `reason` is shown by `/readyz`.
    pub fn set_unready(&self, reason: impl Into<String>) {
        let _ = reason.into();
        todo!()
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
    let _ = (listener, readiness, metrics, extra, shutdown);
    todo!()
}
