//! Reads the certificates, then the configuration and what it names again, without losing a call.
//!
//! ```text
//!  SIGHUP, file changed ─▶ certificates ─▶ config ─▶ databases ─▶ swap facts, swap checks
//!                          (used at once)    │           │
//!                             └──────────────┴───────────┴──▶ refused: the rest stays as it was
//! ```
//!
//! Certificates come first, and what is right about them is used whatever comes after: who was
//! revoked must not get in for as long as there is a typing error in the configuration. They are
//! all or nothing in themselves, and so is the rest, which waits for them.

use std::path::PathBuf;
use std::sync::Arc;

use daemon::config::ConfigError;
use daemon::reload::{Trigger, Watch, WatchError};
use daemon::tls::{Reloaded, Tls, TlsError};
use tokio::sync::watch;

use super::certificate::Certificate;
use super::program::Origin;
use crate::check::Checks;
use crate::config::Config;
use crate::pings;
use crate::service::{Facts, Service};

/// Why a reload was refused. The configuration and the databases are as they were; so are the
/// certificates with [`Refused::Tls`], otherwise they are up to date.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The new configuration, or a database it names, is wrong.
    #[error("{}", .0.report())]
    Config(#[from] ConfigError),
    /// The certificates are wrong.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// Something else than what can change has changed.
    #[error("{0} has changed, which takes a restart; nothing of the new configuration is used")]
    Fixed(&'static str),
    /// Reading ended without a result.
    #[error("reading the databases panicked: {0}")]
    Panicked(String),
}

/// What a running program needs to read its configuration again.
#[derive(Debug)]
pub struct Reload {
    origin: Origin,
    current: Config,
    tls: Arc<Tls>,
    service: Service,
    checks: watch::Sender<Checks>,
    certificate: Certificate,
    watch: Watch,
}

impl Reload {
    /// Starts out from what is being served: `current`, read from `origin`. From now on a SIGHUP
    /// is noticed, and acted on by [`Reload::run`]. `certificate` is looked at after each.
    ///
    /// # Errors
    ///
    /// The files cannot be watched.
    pub fn new(
        origin: Origin,
        current: Config,
        tls: Arc<Tls>,
        service: Service,
        checks: watch::Sender<Checks>,
        certificate: Certificate,
    ) -> Result<Reload, WatchError> {
        let watch = Watch::new(files(&origin, &tls, &current))?;
        Ok(Reload { origin, current, tls, service, checks, certificate, watch })
    }

    /// Reloads whenever there is reason to, until dropped.
    ///
    /// # Errors
    ///
    /// The files cannot be watched.
    pub async fn run(&mut self) -> Result<(), WatchError> {
        loop {
            let trigger = self.watch.changed().await;
            let watched = files(&self.origin, &self.tls, &self.current);
            let result = self.apply(&trigger).await;
            let label = match result {
                Ok(()) => {
                    tracing::info!(%trigger, "reloaded");
                    "applied"
                }
                Err(refused) => {
                    tracing::error!(%trigger, "reload refused, the configuration stays as before: {refused}");
                    "refused"
                }
            };
            // Who sees the figure finds the reason in the log.
            metrics::counter!(pings::CONFIG_RELOADS, "result" => label).increment(1);
            let files = files(&self.origin, &self.tls, &self.current);
            if files != watched {
                self.watch = Watch::new(files)?;
            }
        }
    }

    /// Reads everything again that `trigger` may have changed and puts it to use.
    ///
    /// # Errors
    ///
    /// [`Refused`] says what stays as it was.
    pub async fn apply(&mut self, trigger: &Trigger) -> Result<(), Refused> {
        let certificates = self.tls.reload();
        self.certificate.look();
        if certificates? == Reloaded::Changed {
            tracing::info!(%trigger, "certificates and revocation list reloaded");
        }
        let new = self.origin.config()?;
        if let Some(section) = self.current.fixed_change(&new) {
            return Err(Refused::Fixed(section));
        }
        let places = match self.needs_places(&new, trigger) {
            true => Some(Arc::new(read_places(new.clone()).await?)),
            false => self.service.facts().places.clone(),
        };
        self.service.set_facts(Facts { capacity: new.capacity, places });
        self.checks.send_if_modified(|checks| {
            let changed = *checks != new.checks;
            checks.clone_from(&new.checks);
            changed
        });
        self.current = new;
        Ok(())
    }

    /// Building the table takes seconds of a processor: not for a new certificate.
    fn needs_places(&self, new: &Config, trigger: &Trigger) -> bool {
        let asked = match trigger {
            Trigger::Signal => true,
            Trigger::Files(files) => {
                new.geo.databases.iter().any(|(database, _)| files.contains(database))
            }
        };
        asked || !self.current.geo.same_as(&new.geo)
    }
}

/// All that is read, to be watched.
fn files(origin: &Origin, tls: &Tls, config: &Config) -> Vec<PathBuf> {
    let databases = config.geo.databases.iter().map(|(file, _)| file.clone());
    [origin.file.clone()].into_iter().chain(tls.files()).chain(databases).collect()
}

async fn read_places(config: Config) -> Result<geo::Table, Refused> {
    let reading =
        tokio::task::spawn_blocking(move || config.geo.load(geo::Lists::default(), &config.source));
    let read = reading.await.map_err(|error| Refused::Panicked(error.to_string()))?;
    Ok(read?.0)
}
