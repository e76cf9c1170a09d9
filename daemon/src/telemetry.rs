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

use std::io::IsTerminal;

pub use metrics_exporter_prometheus::PrometheusHandle;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::{Log, LogFormat};

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

/// Upper bounds of the buckets of every metric whose name ends in `_seconds`: from a ping on one
/// machine to one around the world that needed a second try.
const SECONDS: [f64; 14] =
    [0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Starts logging and counting for the whole process. Call it once, first thing.
///
/// # Errors
///
/// A bad level, or a second call.
pub fn init(log: &Log) -> Result<PrometheusHandle, TelemetryError> {
    let filter = filter(&log.level)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    }
    .map_err(|_| TelemetryError::Twice)?;
    // Histograms, which can be summed over nodes; without buckets they would be summaries.
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|_| TelemetryError::Twice)
}

/// Reads a level or a filter; for `--check`, without starting anything.
///
/// # Errors
///
/// [`TelemetryError::BadLevel`].
pub fn check(log: &Log) -> Result<(), TelemetryError> {
    filter(&log.level).map(|_| ())
}

fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let bad = |cause: String| TelemetryError::BadLevel { level: level.to_owned(), cause };
    // A bare word that is no level would parse as the name of a module and silence all others.
    let bare = !level.contains(['=', ',', ':']);
    if level.is_empty() || bare && level.parse::<LevelFilter>().is_err() {
        return Err(bad("expected error, warn, info, debug, trace, off or a filter".to_owned()));
    }
    EnvFilter::builder().parse(level).map_err(|e| bad(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_filters_are_told_from_typing_errors() {
        let check_level = |level: &str| check(&Log { level: level.to_owned(), ..Log::default() });
        for good in ["error", "warn", "info", "debug", "trace", "off", "info,daemon::tls=debug"] {
            assert!(check_level(good).is_ok(), "{good}");
        }
        for bad in ["", "inof", "info,daemon=lout", "verbose"] {
            let error = check_level(bad).expect_err(bad).to_string();
            assert!(error.starts_with(&format!("[log] level '{bad}': ")), "{error}");
        }
    }
}
