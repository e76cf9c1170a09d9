//! Reads everything again when told to or when a file changed: all of it, or nothing.
//!
//! A rejected reload changes nothing: the plan before serves on, the log says where the mistake
//! is, `/metrics` counts it, and an alarm stays up until a reload succeeds.

use std::path::PathBuf;
use std::sync::Arc;

use daemon::reload::{Trigger, Watch, WatchError};
use daemon::tls::{Reloaded, Tls};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{Listen, Probe};
use crate::plan::Generation;

use super::keeper::{Apply, Shared};
use super::load::{Loaded, Loader};

/// Owns what a reload needs.
pub struct Reloader {
    file: PathBuf,
    flags: Vec<(String, String)>,
    /// Out while a reload runs on another thread.
    loader: Option<Loader>,
    watch: Watch,
    /// What `watch` watches; only another list needs another watch, which could miss a change.
    files: Vec<PathBuf>,
    tls: Option<Arc<Tls>>,
    listen: Listen,
    inputs: mpsc::Sender<Apply>,
    settings: watch::Sender<Probe>,
    shared: Shared,
}

impl Reloader {
    /// Watches what `loaded` was read from.
    ///
    /// # Errors
    ///
    /// When the system cannot watch files.
    #[expect(clippy::too_many_arguments, reason = "one call, each a different thing")]
    pub fn new(
        file: PathBuf,
        flags: Vec<(String, String)>,
        loader: Loader,
        loaded: &Loaded,
        tls: Option<Arc<Tls>>,
        inputs: mpsc::Sender<Apply>,
        settings: watch::Sender<Probe>,
        shared: &Shared,
    ) -> Result<Self, WatchError> {
        let files = files(loaded, tls.as_deref());
        let watch = Watch::new(files.clone())?;
        let listen = loaded.config.listen.clone();
        let shared = shared.clone();
        let loader = Some(loader);
        Ok(Self { file, flags, loader, watch, files, tls, listen, inputs, settings, shared })
    }

    /// Reloads until told to stop.
    ///
    /// # Errors
    ///
    /// When files cannot be watched any more.
    pub async fn run(&mut self, stop: &CancellationToken) -> Result<(), WatchError> {
        loop {
            let trigger = tokio::select! {
                trigger = self.watch.changed() => trigger,
                () = stop.cancelled() => return Ok(()),
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
                self.reload_inputs().await?;
            }
        }
    }

    fn reload_tls(&self) {
        let Some(tls) = &self.tls else { return };
        match tls.reload() {
            Ok(Reloaded::Changed) => tracing::info!("certificate files replaced"),
            Ok(Reloaded::Unchanged) => {}
            Err(error) => tracing::error!(%error, "certificate files rejected; the old ones go on"),
        }
    }

    async fn reload_inputs(&mut self) -> Result<(), WatchError> {
        let mut loader = self.loader.take().unwrap_or_default();
        let (file, flags) = (self.file.clone(), self.flags.clone());
        let loading = tokio::task::spawn_blocking(move || {
            let loaded = loader.load(&file, &flags);
            (loader, loaded)
        });
        let loaded = match loading.await {
            Ok((loader, loaded)) => {
                self.loader = Some(loader);
                loaded.map_err(|error| error.report())
            }
            Err(panicked) => Err(format!("reading panicked: {panicked}")),
        };
        match loaded {
            Ok(loaded) => self.apply(loaded).await,
            Err(report) => {
                self.rejected(&report);
                Ok(())
            }
        }
    }

    async fn apply(&mut self, loaded: Loaded) -> Result<(), WatchError> {
        if loaded.config.listen != self.listen {
            tracing::warn!("[listen] changed; sockets are bound at start, so restart to use it");
        }
        for warning in &loaded.config.warnings {
            tracing::warn!("{warning}");
        }
        let files = files(&loaded, self.tls.as_deref());
        if files != self.files {
            self.watch = Watch::new(files.clone())?;
            self.files = files;
        }
        let Generation(applied) = self.shared.plan.load().inputs.generation;
        let (done, applied_or_refused) = oneshot::channel();
        let inputs = loaded.inputs(Generation(applied + 1));
        let thresholds = loaded.config.probe.thresholds;
        let probe = loaded.config.probe;
        let sent = self.inputs.send(Apply { inputs, thresholds, done }).await;
        match (sent, applied_or_refused.await) {
            (Ok(()), Ok(Ok(()))) => {
                self.settings.send_replace(probe);
                metrics::counter!("dnsrouter_config_reloads_total", "result" => "applied")
                    .increment(1);
                self.shared.clear_alarm(ALARM);
                tracing::info!("reloaded: {}", loaded.summary());
            }
            (Ok(()), Ok(Err(refused))) => self.rejected(&refused.to_string()),
            _ => self.rejected("the plan's keeper is gone"),
        }
        Ok(())
    }

    fn rejected(&self, report: &str) {
        metrics::counter!("dnsrouter_config_reloads_total", "result" => "rejected").increment(1);
        self.shared.raise_alarm(ALARM);
        tracing::error!("reload rejected, the old configuration serves on:\n{report}");
    }
}

const ALARM: &str = "the last reload was rejected; the configuration before it serves on";

/// Everything that a reload reads.
fn files(loaded: &Loaded, tls: Option<&Tls>) -> Vec<PathBuf> {
    let mut files = loaded.files.clone();
    files.extend(tls.map(Tls::files).unwrap_or_default());
    files
}
