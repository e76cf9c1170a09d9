//! Reads everything again when told to or when a file changed: all of it, or nothing.
//!
//! Two things are read, each all or nothing, and neither waits for the other: the trust files
//! (certificate, key, authority, revocation list), and the inputs (configuration, zones,
//! databases). A typo in a zone must not keep a revoked peer in.
//!
//! A rejected reload changes nothing: the plan before serves on, the log says where the mistake
//! is, `/metrics` counts it, and an alarm stays up until a reload succeeds.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use daemon::config::ConfigError;
use daemon::reload::{Trigger, Watch, WatchError};
use daemon::terminal::visible;
use daemon::tls::{Reloaded, Tls};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{Fixed, Probe};

use super::background;
use super::dynamic::Store;
use super::keeper::Shared;
use super::load::{Loaded, Loader};

/// A file that changes while it is read is read again, but not for ever.
const MAX_ROUNDS: usize = 5;

/// Up until a reload succeeds.
const REJECTED: &str = "the last reload was rejected; the configuration before it serves on";
/// Up until the files on disk can be used.
const TLS_REJECTED: &str = "the certificate files on disk were rejected; those before go on";

/// Where a configuration comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The file.
    pub file: PathBuf,
    /// Flags over it.
    pub flags: Vec<(String, String)>,
}

/// Owns what a reload needs.
pub struct Reloader {
    origin: Origin,
    /// Out while a reload runs on another thread.
    loader: Option<Loader>,
    /// One for the whole run: another one could miss what happens in between.
    watch: Watch,
    tls: Option<Arc<Tls>>,
    fixed: Fixed,
    store: Arc<Mutex<Store>>,
    settings: watch::Sender<Probe>,
    shared: Shared,
}

impl Reloader {
    /// Watches what `loaded` was read from.
    ///
    /// # Errors
    ///
    /// When the system cannot watch files.
    pub fn new(
        origin: Origin,
        loader: Loader,
        loaded: &Loaded,
        tls: Option<Arc<Tls>>,
        store: Arc<Mutex<Store>>,
        settings: watch::Sender<Probe>,
        shared: &Shared,
    ) -> Result<Self, WatchError> {
        let watch = Watch::new(watched(&loader, tls.as_deref()))?;
        let (fixed, shared) = (loaded.config.fixed(), shared.clone());
        Ok(Self { origin, loader: Some(loader), watch, tls, fixed, store, settings, shared })
    }

    /// Reloads until told to stop.
    pub async fn run(&mut self, stop: &CancellationToken) {
        // What changed between being read at start and being watched.
        if self.loader.as_ref().is_some_and(Loader::is_outdated) {
            self.reload_inputs().await;
        }
        loop {
            let trigger = tokio::select! {
                trigger = self.watch.changed() => trigger,
                () = stop.cancelled() => return,
            };
            tracing::info!(%trigger, "reloading");
            self.reload_tls();
            let only_tls = match (&trigger, &self.tls) {
                (Trigger::Files(changed), Some(tls)) => {
                    let files = tls.files();
                    changed.iter().all(|file| files.contains(file))
                }
                _ => false,
            };
            if !only_tls {
                self.reload_inputs().await;
            }
        }
    }

    fn reload_tls(&self) {
        let Some(tls) = &self.tls else { return };
        match tls.reload() {
            Ok(changed) => {
                if changed == Reloaded::Changed {
                    tracing::info!("certificate files replaced");
                }
                self.shared.clear_alarm(TLS_REJECTED);
            }
            Err(error) => {
                tracing::error!(%error, "certificate files rejected; the old ones go on");
                self.shared.raise_alarm(TLS_REJECTED);
            }
        }
    }

    async fn reload_inputs(&mut self) {
        let mut loaded = self.load().await;
        for _ in 0..MAX_ROUNDS {
            let Some(loader) = &self.loader else { break };
            // Also what a rejected configuration names: its mend may be in a new file.
            self.watch.set_files(watched(loader, self.tls.as_deref()));
            if !loader.is_outdated() {
                break;
            }
            loaded = self.load().await;
        }
        match loaded {
            Ok(loaded) => self.apply(loaded).await,
            Err(report) => self.rejected(&report),
        }
    }

    async fn load(&mut self) -> Result<Loaded, String> {
        let mut loader = self.loader.take().unwrap_or_default();
        loader.hold(self.store.lock().await.kept());
        let (origin, fixed) = (self.origin.clone(), self.fixed.clone());
        let loading = background::run("load", move || {
            let loaded = loader.load(&origin.file, &origin.flags).and_then(|loaded| {
                unchanged(&fixed, &loaded)?;
                Ok(loaded)
            });
            (loader, loaded)
        });
        match loading.await {
            Ok((mut loader, loaded)) => {
                loader.hold(HashMap::new());
                self.loader = Some(loader);
                loaded.map_err(|error| error.report())
            }
            Err(error) => Err(format!("reading: {error}")),
        }
    }

    /// From here on until it is published no update is carried out, so that none is lost.
    async fn apply(&self, mut loaded: Loaded) {
        for warning in &loaded.config.warnings {
            tracing::warn!("{}", visible(warning));
        }
        let mut store = Arc::clone(&self.store).lock_owned().await;
        let adopting = tokio::task::spawn_blocking(move || {
            let adopted = store.adopt(&mut loaded);
            (store, loaded, adopted)
        });
        let (mut store, loaded, adopted) = match adopting.await {
            Ok(done) => done,
            Err(panicked) => return self.rejected(&format!("adopting panicked: {panicked}")),
        };
        let published = match adopted {
            Ok(()) => store.publish_loaded(&loaded).await,
            Err(not_adopted) => Err(not_adopted),
        };
        match published {
            Ok(()) => {
                self.settings.send_replace(loaded.config.probe);
                self.shared.set_operators(loaded.config.operators.clone());
                metrics::counter!("dnsrouter_config_reloads_total", "result" => "applied")
                    .increment(1);
                self.shared.clear_alarm(REJECTED);
                tracing::info!("reloaded: {}", loaded.summary());
            }
            Err(not_adopted) => self.rejected(&not_adopted.to_string()),
        }
    }

    fn rejected(&self, report: &str) {
        metrics::counter!("dnsrouter_config_reloads_total", "result" => "rejected").increment(1);
        self.shared.raise_alarm(REJECTED);
        tracing::error!("reload rejected, the old configuration serves on:\n{report}");
    }
}

/// What is set up at start cannot change by a reload: that is a mistake to be told, not a change
/// to be half made.
fn unchanged(fixed: &Fixed, loaded: &Loaded) -> Result<(), ConfigError> {
    let now = loaded.config.fixed();
    let changed = fixed.differences(&now);
    if changed.is_empty() {
        return Ok(());
    }
    let message = format!("{} changed; it is set up at start", changed.join(", "));
    let help = Some("restart to use it, or put it back");
    Err(loaded.config.source.error(0..0, message, help).into())
}

/// Everything that a reload reads.
fn watched(loader: &Loader, tls: Option<&Tls>) -> Vec<PathBuf> {
    let trust = tls.map(Tls::files).unwrap_or_default();
    loader.files().chain(trust).collect()
}
