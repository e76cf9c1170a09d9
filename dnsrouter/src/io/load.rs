//! Reads the configuration and every file it names, and compiles them: all or nothing.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use daemon::config::{ConfigError, Problem};
use daemon::places::Places;
use dns::name::Name;
use dns::rr::Rtype;
use dns::zone::{ServiceId, ServiceNode, Zones};
use geo::{Ranking, Table};
use zonefiles::MasterFile;

use crate::config::{Config, SecretSource};
use crate::guard::Guard;
use crate::keyfile::KeyFile;
use crate::plan::{self, Generation, Inputs, Location};
use crate::policy::{Policy, TargetId};
use crate::service::{Alias, Target};
use crate::updates::{Key, Updates};

/// A key's file is a few lines.
const MAX_KEY_FILE: u64 = 64 << 10;
/// Half of HMAC-SHA256's output: shorter secrets are warned of (RFC 2104 §3 wants the whole).
const SHORT_SECRET: usize = 16;

mod guard;

/// Everything that was read, checked and compiled.
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    zones: Arc<Zones>,
    services: Arc<plan::Services>,
    geo: Arc<plan::Geo>,
    updates: Arc<Updates>,
    fingerprint: u64,
    guard: Arc<Guard>,
}

impl Loaded {
    /// The inputs of a plan.
    pub fn inputs(&self, generation: Generation) -> Inputs {
        Inputs {
            generation,
            zones: Arc::clone(&self.zones),
            services: Arc::clone(&self.services),
            geo: Arc::clone(&self.geo),
            updates: Arc::clone(&self.updates),
            fingerprint: self.fingerprint,
            guard: Arc::clone(&self.guard),
        }
    }

    /// One line for people.
    pub fn summary(&self) -> String {
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        format!(
            "{}, {}, {}, {}, {}; places by {}",
            count(self.zones.zones().len(), "zone"),
            count(self.zones.names().count(), "name"),
            count(self.services.services.len(), "service"),
            count(self.services.locations.len(), "region"),
            count(self.services.targets.len(), "target"),
            self.geo.description,
        )
    }
}

/// Loads, and keeps what a later load can use again: a city database takes a second.
#[derive(Default)]
pub struct Loader {
    /// Keys the hash table of names, so that nobody can choose names that collide. One per
    /// process.
    hash_key: Option<[u64; 2]>,
    table: Option<(TableKey, Arc<Table>, String)>,
    kept: guard::Kept,
    /// What the last load looked at, each as it was just before it was read.
    read: Vec<(PathBuf, Option<Stamp>)>,
}

/// What a table was made from; equal keys, equal tables.
struct TableKey {
    files: Vec<(PathBuf, Stamp)>,
    config: Places,
}

impl TableKey {
    fn same_as(&self, other: &Self) -> bool {
        self.files == other.files && self.config.same_as(&other.config)
    }
}

/// Tells a replaced file from the same one.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: Option<SystemTime>,
}

impl Loader {
    /// Reads `file` and everything it names.
    ///
    /// # Errors
    ///
    /// Every mistake with file, line and column; nothing was changed.
    pub fn load(&mut self, file: &Path, flags: &[(String, String)]) -> Result<Loaded, ConfigError> {
        self.read.clear();
        self.about_to_read(file);
        let mut config = Config::load(file, flags)?;
        let mut problems = Vec::new();
        let keys = self.keys(&mut config, &mut problems);
        let zones = self.zones(&config, &mut problems);
        let table = self.table(&config, &mut problems);
        let guard = self.guard(&config, &zones, &mut problems);
        ConfigError::check(problems)?;
        // Without a table or a guard there was a problem.
        let (Some((table, description)), Some(guard)) = (table, guard) else {
            return Err(config.source.error(0..0, "no table of places, or no guard", None).into());
        };
        let services = Arc::new(compile(&config));
        let points: Vec<_> = services.locations.iter().map(|location| location.point).collect();
        let geo = plan::Geo {
            ranking: Ranking::build(&table, &points),
            cap: config.geo.cap,
            table,
            description,
        };
        let fingerprint = fingerprint(&zones, &config, &geo.table);
        let (zones, geo) = (Arc::new(zones), Arc::new(geo));
        let guard = Arc::new(guard);
        let dynamic = config.zones.iter().filter_map(|zone| {
            let permission = zone.update.as_ref()?;
            Some((zone.name.clone(), permission.clone()))
        });
        let updates = Arc::new(Updates::new(keys, dynamic));
        Ok(Loaded { config, zones, services, geo, updates, fingerprint, guard })
    }

    /// Every file that the last load looked at, also when it failed: to be watched.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.read.iter().map(|(file, _)| file.clone())
    }

    /// Whether any of them is another now than just before it was read.
    pub fn is_outdated(&self) -> bool {
        self.read.iter().any(|(file, before)| stamp(file).ok() != *before)
    }

    fn about_to_read(&mut self, file: &Path) {
        self.read.push((file.to_owned(), stamp(file).ok()));
    }

    fn zones(&mut self, config: &Config, problems: &mut Vec<Problem>) -> Zones {
        let mut data = Vec::with_capacity(config.zones.len());
        for zone in &config.zones {
            self.about_to_read(&zone.file);
            match MasterFile::open(&zone.file) {
                Ok(file) => match file.parse(&zone.name, &mut |path| self.about_to_read(path)) {
                    Ok(read) => {
                        for warning in &read.loaded.warnings {
                            tracing::warn!(place = %warning.position, "{}", warning.message);
                        }
                        data.push(read.loaded.zone);
                    }
                    Err(wrong) => problems.extend(wrong),
                },
                Err(unreadable) => {
                    let message = format!("{}: {unreadable}", zone.file.display());
                    problems.push(config.source.error(zone.span.clone(), message, None));
                }
            }
        }
        let nodes = service_nodes(config);
        let key = *self.hash_key.get_or_insert_with(|| {
            let random = || getrandom::u64().unwrap_or(0);
            [random(), random()]
        });
        // With a zone missing, services in it would be reported as outside every zone.
        let nodes = if problems.is_empty() { &nodes[..] } else { &[] };
        Zones::freeze(&data, nodes, key).unwrap_or_else(|errors| {
            for error in errors {
                let services = config.services.iter().map(|(service, at)| (&service.name, at));
                let aliases = config.aliases.iter().map(|(alias, at)| (&alias.name, at));
                let named = services.chain(aliases).find(|(name, _)| **name == error.name);
                let span = named.map_or(0..0, |(_, span)| span.clone());
                let message = format!("{}: {}", error.name, error.fault);
                problems.push(config.source.error(span, message, error.fault.help()));
            }
            Zones::empty()
        })
    }

    /// The keys, with their secrets from the files that hold them.
    fn keys(&mut self, config: &mut Config, problems: &mut Vec<Problem>) -> Vec<Key> {
        let mut warnings = Vec::new();
        let mut keys = Vec::with_capacity(config.keys.len());
        for key in &config.keys {
            let read = match &key.secret {
                SecretSource::Given(secret) => {
                    Ok(KeyFile { name: None, algorithm: None, secret: secret.clone() })
                }
                SecretSource::File(path) => {
                    self.about_to_read(path);
                    read_key(path, &mut warnings)
                }
            };
            match read.and_then(|file| key.complete(file)) {
                Ok(key) => {
                    if key.secret.len() < SHORT_SECRET {
                        warnings.push(format!(
                            "key {}: a secret of {} octets can be guessed; use {SHORT_SECRET} or more",
                            key.name,
                            key.secret.len()
                        ));
                    }
                    keys.push(key);
                }
                Err(message) => {
                    problems.push(config.source.error(key.span.clone(), message, None));
                }
            }
        }
        config.warnings.append(&mut warnings);
        keys
    }

    fn table(
        &mut self,
        config: &Config,
        problems: &mut Vec<Problem>,
    ) -> Option<(Arc<Table>, String)> {
        let paths = config.geo.databases.iter().map(|(path, _)| path);
        for path in paths.clone() {
            self.read.push((path.clone(), stamp(path).ok()));
        }
        let stamps = paths.map(|path| stamp(path).map(|stamp| (path.clone(), stamp)));
        let key = stamps
            .collect::<io::Result<Vec<_>>>()
            .ok()
            .map(|files| TableKey { files, config: config.geo.clone() });
        if let (Some(key), Some((kept, table, description))) = (&key, &self.table)
            && key.same_as(kept)
        {
            return Some((Arc::clone(table), description.clone()));
        }
        match config.geo.load(&config.source) {
            Ok((table, description)) => {
                let table = Arc::new(table);
                self.table = key.map(|key| (key, Arc::clone(&table), description.clone()));
                Some((table, description))
            }
            Err(error) => {
                problems.extend(error.errors);
                None
            }
        }
    }
}

/// Reads the file of a key; its text is shown nowhere.
fn read_key(path: &Path, warnings: &mut Vec<String>) -> Result<KeyFile, String> {
    let of_file = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut file = fs::File::open(path).map_err(|error| of_file(&error))?;
    let meta = file.metadata().map_err(|error| of_file(&error))?;
    if meta.len() > MAX_KEY_FILE {
        return Err(of_file(&format_args!("{} bytes; the limit is {MAX_KEY_FILE}", meta.len())));
    }
    if meta.mode() & 0o007 != 0 {
        warnings.push(format!(
            "{}: everybody on this machine can read or write this key; chmod 600",
            path.display()
        ));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|error| of_file(&error))?;
    KeyFile::parse(&text).map_err(|error| of_file(&error))
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let meta = fs::metadata(path)?;
    Ok(Stamp { inode: meta.ino(), size: meta.len(), modified: meta.modified().ok() })
}

/// Where services and their aliases stand.
fn service_nodes(config: &Config) -> Vec<ServiceNode> {
    let node = |at: usize, name: &Name, types| {
        let id = ServiceId(u32::try_from(at).unwrap_or(u32::MAX));
        ServiceNode { name: name.clone(), id, types }
    };
    let services = config.services.iter().enumerate();
    let services = services.map(|(at, (service, _))| node(at, &service.name, service.types()));
    let aliases = config.aliases.iter().map(|(Alias { name, service }, _)| {
        let types = config.services[*service].0.types();
        node(*service, name, types.into_iter().filter(|rtype| is_aliased(*rtype)).collect())
    });
    services.chain(aliases).collect()
}

/// What an alias answers: where to connect, and nothing else.
fn is_aliased(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::A | Rtype::AAAA | Rtype::HTTPS | Rtype::SVCB)
}

/// Services against the locations and targets they use.
fn compile(config: &Config) -> plan::Services {
    let locations: Box<[Location]> = config
        .locations
        .iter()
        .map(|(region, point)| Location { region: region.clone(), point: *point })
        .collect();
    let index: HashMap<&str, u8> =
        (0..).zip(&locations).map(|(i, location)| (location.region.as_str(), i)).collect();
    let mut targets: Vec<Target> = Vec::new();
    let mut ids: HashMap<Target, TargetId> = HashMap::new();
    let services = config.services.iter().map(|(service, _)| {
        let mut id = |target: &Target| {
            *ids.entry(target.clone()).or_insert_with(|| {
                targets.push(target.clone());
                TargetId(u32::try_from(targets.len() - 1).unwrap_or(u32::MAX))
            })
        };
        (service.name.clone(), Policy::compile(service, |region| index[region], &mut id))
    });
    let services = services.collect();
    let aliases = config.aliases.iter().map(|(Alias { name, service }, _)| {
        (name.clone(), ServiceId(u32::try_from(*service).unwrap_or(u32::MAX)))
    });
    let aliases = aliases.collect();
    plan::Services { services, aliases, locations, targets: targets.into() }
}

/// Of everything people wrote; hash keys and file names leave no trace in it.
fn fingerprint(zones: &Zones, config: &Config, table: &Table) -> u64 {
    use std::hash::Hasher;
    let mut hasher = siphasher::sip::SipHasher13::new();
    hasher.write_u64(zones.fingerprint());
    hasher.write_u64(table.fingerprint());
    for (service, _) in &config.services {
        hasher.write(format!("{service:?}").as_bytes());
    }
    for (alias, _) in &config.aliases {
        hasher.write(format!("{alias:?}").as_bytes());
    }
    hasher.write(format!("{:?}", config.locations).as_bytes());
    hasher.finish()
}
