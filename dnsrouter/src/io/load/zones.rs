//! Zones: from their master files, or, once updates have changed them, from where those are kept.

use std::path::Path;
use std::sync::Arc;

use daemon::config::Problem;
use dns::name::Name;
use dns::zone::{ZoneData, ZoneError};
use zonefiles::MasterFile;

use super::Loader;
use crate::config::{Config, ZoneConfig};
use crate::io::dynamic::{self, Kept, MAX_RECORDS};

/// What was set right in master files that is told one by one; `geoip zone check` shows the rest.
const MAX_NOTICES: usize = 50;

/// What was set right in master files, of all zones together: they may be many, and each load tells
/// them again.
#[derive(Default)]
struct Notices {
    told: Vec<String>,
    untold: usize,
}

impl Notices {
    fn add(&mut self, notice: impl FnOnce() -> String) {
        match self.told.len() < MAX_NOTICES {
            true => self.told.push(notice()),
            false => self.untold += 1,
        }
    }

    fn lines(self) -> impl Iterator<Item = String> {
        let Self { told, untold } = self;
        let rest = format!("{untold} more like these in zone files: see geoip zone check");
        told.into_iter().chain((untold > 0).then_some(rest))
    }
}

/// A zone that updates may change.
#[derive(Debug, Clone)]
pub struct Dynamic {
    /// Its apex.
    pub zone: Name,
    /// Whether updates have changed it: then its journal holds it, and its master file counts no
    /// more.
    pub updated: bool,
    /// Of the master file that it began with, or will begin with.
    pub origin: u64,
    /// Of the master file as it is.
    pub file: u64,
}

impl Loader {
    /// Every zone in the order of the configuration, and those that updates may change.
    pub(super) fn zones(
        &mut self,
        config: &mut Config,
        problems: &mut Vec<Problem>,
    ) -> (Vec<Arc<ZoneData>>, Vec<Dynamic>) {
        let (mut zones, mut dynamic) = (Vec::with_capacity(config.zones.len()), Vec::new());
        let mut warnings = Vec::new();
        let mut notices = Notices::default();
        for zone in &config.zones {
            let file = self.master_file(config, zone, &mut notices, problems);
            let Some(file) = file else { continue };
            let state = config.state_dir.as_deref();
            if zone.update.is_none() {
                if let Some(journal) = state.and_then(|state| dynamic::journal(state, &zone.name)) {
                    warnings.push(format!(
                        "zone {}: it has no update, so it is served from its file; the journal of \
                         earlier updates, {}, is left aside",
                        zone.name,
                        journal.display()
                    ));
                }
                zones.push(Arc::new(file));
                continue;
            }
            let kept = self.kept(state, &zone.name).unwrap_or_else(|message| {
                let help = "restore it from a backup; or remove it with its -wal and -shm to begin \
                            anew with the zone's file";
                problems.push(config.source.error(zone.span.clone(), message, Some(help)));
                None
            });
            let as_is = dynamic::fingerprint(&file);
            let about = Dynamic {
                zone: zone.name.clone(),
                updated: kept.is_some(),
                origin: kept.as_ref().map_or(as_is, |kept| kept.origin),
                file: as_is,
            };
            if about.origin != about.file {
                warnings.push(outdated(&zone.name));
            }
            let data = kept.map_or_else(|| Arc::new(file), |kept| kept.data);
            if data.records().len() > MAX_RECORDS {
                let message = format!(
                    "{} records; with update, {MAX_RECORDS} are the limit",
                    data.records().len()
                );
                problems.push(config.source.error(zone.span.clone(), message, None));
            }
            dynamic.push(about);
            zones.push(data);
        }
        config.warnings.append(&mut warnings);
        config.warnings.extend(notices.lines());
        (zones, dynamic)
    }

    /// What the zone's own file says.
    fn master_file(
        &mut self,
        config: &Config,
        zone: &ZoneConfig,
        notices: &mut Notices,
        problems: &mut Vec<Problem>,
    ) -> Option<ZoneData> {
        self.about_to_read(&zone.file);
        let given = MasterFile::given(&zone.file, &self.given);
        let file = match given.map_or_else(|| MasterFile::open(&zone.file), Ok) {
            Ok(file) => file,
            Err(unreadable) => {
                let message = format!("{}: {unreadable}", zone.file.display());
                problems.push(config.source.error(zone.span.clone(), message, None));
                return None;
            }
        };
        match file.parse(&zone.name, &mut |path| self.about_to_read(path)) {
            Ok(read) => {
                for warning in &read.loaded.warnings {
                    notices.add(|| format!("{}: {}", warning.position, warning.message));
                }
                Some(read.loaded.zone)
            }
            Err(wrong) => {
                problems.extend(wrong);
                None
            }
        }
    }

    /// What updates have made of the zone, if they have.
    fn kept(&self, state: Option<&Path>, zone: &Name) -> Result<Option<Kept>, String> {
        match (self.held.get(zone), state) {
            (Some(kept), _) => Ok(Some(kept.clone())),
            (None, Some(state)) => dynamic::kept(state, zone).map_err(|error| error.to_string()),
            (None, None) => Ok(None),
        }
    }
}

/// What a changed file of a zone means that updates have changed.
pub(crate) fn outdated(zone: &Name) -> String {
    format!(
        "zone {zone}: its file has changed and is not read, because updates have changed the zone \
         too and its journal holds it; bring the change in by an update, or begin anew with the file \
         by removing the journal while this server is stopped"
    )
}

/// A fault between zones and services, at the service it is about.
pub(super) fn problem(config: &Config, error: &ZoneError) -> Problem {
    let services = config.services.iter().map(|(service, at)| (&service.name, at));
    let aliases = config.aliases.iter().map(|(alias, at)| (&alias.name, at));
    let named = services.chain(aliases).find(|(name, _)| **name == error.name);
    let span = named.map_or(0..0, |(_, span)| span.clone());
    let message = format!("{}: {}", error.name, error.fault);
    config.source.error(span, message, error.fault.help())
}
