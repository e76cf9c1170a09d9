//! Logs to stderr, metrics to a registry that [`crate::admin`] renders.
//!
//! ```no_run
//! use daemon::{config::Log, telemetry};
//!
//! let metrics = telemetry::init(&Log::default())?;
//! tracing::info!(zone = "test-net.io", "loaded");
//! metrics::counter!("zone_loads_total", "result" => "ok").increment(1);
//! println!("{}", metrics.render());
//! # Ok::<(), telemetry::TelemetryError>(())
//! ```

pub use metrics_exporter_prometheus::PrometheusHandle;

use crate::config::Log;

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `[log] level` is not a level or a filter.
    #[error("[log] level '{level}': {cause}")]
    BadLevel {
        /// What the configuration says.
        level: String,
        /// What the parser says.
        cause: String,
    },
    /// A logger or a recorder is installed already; `init` was called twice.
    #[error("telemetry was started twice in this process")]
    Twice,
}

/// Starts logging and counting for the whole process. Call it once, first thing.
///
/// # Errors
///
/// A bad level, or a second call.
pub fn init(log: &Log) -> Result<PrometheusHandle, TelemetryError> {
    let _ = log;
    todo!()
}
