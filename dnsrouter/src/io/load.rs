//! Reads the configuration and every file it names, and compiles them: all or nothing.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use daemon::config::{ConfigError, Problem};
use daemon::places::Places;
use dns::name::{LowerName, Name};
use dns::rr::Rtype;
use dns::zone::{ServiceId, ServiceNode, ZoneData, Zones};
use geo::{Lists, Table};
use zonefiles::Given;

use crate::compile::{self, Compiled};
use crate::config::Config;
use crate::guard::Guard;
use crate::history::Written;
use crate::mould::Mould;
use crate::plan::{self, Generation, Inputs};
use crate::service::Alias;
use crate::updates::Updates;

use super::dynamic::Kept;
use offered::Lent;

pub use offered::{Examined, Examiner, Offered};
pub use zones::Dynamic;
pub(crate) use zones::outdated;

mod authorities;
mod guard;
mod keys;
mod offered;
mod targets;
mod zones;

/// Names of one zone that an update takes 0.1 s of, at 0.25 to 0.5 µs each. Names without records
/// count too, so that a zone within its limit of records can have more.
const MANY_NAMES: usize = 200_000;

/// Everything that was read, checked and compiled.
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    zones: Arc<Zones>,
    services: Arc<plan::Services>,
    geo: Arc<plan::Geo>,
    updates: Arc<Updates>,
    written: Arc<Written>,
    fingerprint: u64,
    guard: Arc<Guard>,
    mould: Option<Mould>,
    dynamic: Vec<Dynamic>,
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
            written: Arc::clone(&self.written),
            fingerprint: self.fingerprint,
            guard: Arc::clone(&self.guard),
        }
    }

    /// The zones that updates may change.
    pub fn dynamic(&self) -> &[Dynamic] {
        &self.dynamic
    }

    /// What was frozen, for whoever changes it; none if there are no such zones.
    pub fn mould(&self) -> Option<&Mould> {
        self.mould.as_ref()
    }

    /// Takes these zones in the place of those that were read.
    ///
    /// # Errors
    ///
    /// What goes wrong between them and the services; nothing changed.
    pub fn recast(
        &mut self,
        zones: impl IntoIterator<Item = Arc<ZoneData>>,
    ) -> Result<(), ConfigError> {
        let Some(mut mould) = self.mould.clone() else { return Ok(()) };
        for zone in zones {
            let next = mould.next(zone).map_err(|errors| ConfigError {
                errors: errors.iter().map(|error| zones::problem(&self.config, error)).collect(),
            })?;
            mould.take(next);
        }
        self.zones = Arc::clone(mould.frozen());
        self.fingerprint = mould.fingerprint();
        self.mould = Some(mould);
        Ok(())
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
    table: Option<KeptTable>,
    /// What others may use of it, who read beside this one.
    lent: Arc<Mutex<Lent>>,
    /// Master files that are taken in the place of those on disk.
    given: Arc<Given>,
    /// What was compiled last, whether or not it was taken.
    compiled: Option<Compiled>,
    kept: guard::Kept,
    /// Zones that updates have changed, as they are in memory; others are read from their journals.
    held: HashMap<Name, Kept>,
    /// What the last load looked at, each as it was just before it was read.
    read: Vec<(PathBuf, Option<Stamp>)>,
}

/// A table, what it was made from, and that in words.
type KeptTable = (Arc<TableKey>, Arc<Table>, String);

/// What a table was made from; equal keys, equal tables.
struct TableKey {
    files: Vec<(PathBuf, Stamp)>,
    config: Places,
    lists: Lists,
}

impl TableKey {
    fn same_as(&self, other: &Self) -> bool {
        self.files == other.files && self.config.same_as(&other.config) && self.lists == other.lists
    }
}

/// Tells a replaced or changed file from the same one. The time of the last change of anything about it
/// (ctime) is the kernel's: nobody can set it back, as copying with all attributes does with the others.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: Option<SystemTime>,
    /// Seconds and nanoseconds since 1970.
    changed: (i64, i64),
}

impl Stamp {
    /// Whether a later change must have another stamp. Clocks of file systems have ticks, of up to two
    /// seconds: what changed within the last of them may change once more in the same one.
    fn is_settled(&self, now: SystemTime) -> bool {
        const TICK: Duration = Duration::from_secs(2);
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(self.changed.0).is_ok_and(|at| Duration::from_secs(at) + TICK < now)
    }
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
        self.authorities(&mut config, &mut problems);
        let (zones, dynamic) = self.zones(&mut config, &mut problems);
        let table = self.table(&config, &mut problems);
        let prints = fingerprints(&config);
        let rest = fingerprint(&config, &prints, table.as_ref().map(|(table, _)| &**table));
        let before = self.compiled.as_ref();
        let ids = compile::ids(&config, before.map(|before| &*before.services));
        // With a zone missing, services in it would be reported as outside every zone.
        let nodes = if problems.is_empty() { service_nodes(&config, &ids) } else { Vec::new() };
        let changing: HashSet<&Name> = dynamic.iter().map(|about| &about.zone).collect();
        let can_change = |zone: &Name| changing.contains(zone);
        let mould = Mould::new(zones, can_change, nodes, self.hash_key(), rest);
        let mould = mould.map_err(|errors| {
            problems.extend(errors.iter().map(|error| zones::problem(&config, error)));
        });
        let (zones, fingerprint) = match &mould {
            Ok(mould) => (Arc::clone(mould.frozen()), mould.fingerprint()),
            Err(()) => (Arc::new(Zones::empty()), 0),
        };
        let guard = self.guard(&mut config, &zones, &mut problems);
        ConfigError::check(problems)?;
        // Without a table or a guard there was a problem.
        let (Some((table, description)), Some(guard)) = (table, guard) else {
            return Err(config.source.error(0..0, "no table of places, or no guard", None).into());
        };
        let table_fingerprint = table.fingerprint();
        let source =
            compile::Source { config: &config, ids: &ids, written: &prints, table, description };
        let compiled = match &self.compiled {
            Some(before) => compile::recompile(before, &source),
            None => compile::compile(&source),
        };
        let Compiled { services, geo } = self.compiled.insert(compiled).clone();
        *self.lent.lock().unwrap_or_else(PoisonError::into_inner) =
            Lent::new(&config, self.table.clone());
        let written = Written::new(
            config.source.text(),
            daemon::config::environment(),
            flags,
            table_fingerprint,
        );
        let written = Arc::new(written);
        let guard = Arc::new(guard);
        let permissions = config.zones.iter().filter_map(|zone| {
            let permission = zone.update.as_ref()?;
            Some((zone.name.clone(), permission.clone()))
        });
        let updates = Arc::new(Updates::new(keys, permissions));
        for Dynamic { zone, .. } in &dynamic {
            let frozen = zones.zone_at(&LowerName::from(zone));
            let names = frozen.map_or(0, |zone| zone.frozen_names());
            if names > MANY_NAMES {
                config.warnings.push(format!(
                    "zone {zone}: {names} names: each update freezes all of them anew, which can \
                     take more than 0.1 s from about {MANY_NAMES} on"
                ));
            }
        }
        let missing = targets::missing(&config, &zones);
        config.warnings.extend(missing);
        // Without zones that can change, nobody needs any record a second time.
        let mould = mould.ok().filter(|_| !dynamic.is_empty());
        Ok(Loaded {
            config,
            zones,
            services,
            geo,
            updates,
            written,
            fingerprint,
            guard,
            mould,
            dynamic,
        })
    }

    /// What later loads take zones from that updates have changed, before their journals.
    pub fn hold(&mut self, zones: HashMap<Name, Kept>) {
        self.held = zones;
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

    fn hash_key(&mut self) -> [u64; 2] {
        *self.hash_key.get_or_insert_with(|| {
            let random = || getrandom::u64().unwrap_or(0);
            [random(), random()]
        })
    }

    fn table(
        &mut self,
        config: &Config,
        problems: &mut Vec<Problem>,
    ) -> Option<(Arc<Table>, String)> {
        let paths = config.geo.databases.iter().chain(&config.geo.asns).map(|(path, _)| path);
        for path in paths.clone() {
            self.read.push((path.clone(), stamp(path).ok()));
        }
        let stamps = paths.map(|path| stamp(path).map(|stamp| (path.clone(), stamp)));
        let key = stamps.collect::<io::Result<Vec<_>>>().ok().map(|files| {
            let (config, lists) = (config.geo.clone(), config.lists.clone());
            Arc::new(TableKey { files, config, lists })
        });
        if let (Some(key), Some((kept, table, description))) = (&key, &self.table)
            && key.same_as(kept)
        {
            return Some((Arc::clone(table), description.clone()));
        }
        let now = SystemTime::now();
        match config.geo.load(config.lists.clone(), &config.source) {
            Ok((table, description)) => {
                let table = Arc::new(table);
                let is_settled =
                    |key: &Arc<TableKey>| key.files.iter().all(|(_, stamp)| stamp.is_settled(now));
                let key = key.filter(is_settled);
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

fn stamp(path: &Path) -> io::Result<Stamp> {
    let meta = fs::metadata(path)?;
    Ok(Stamp {
        device: meta.dev(),
        inode: meta.ino(),
        size: meta.len(),
        modified: meta.modified().ok(),
        changed: (meta.ctime(), meta.ctime_nsec()),
    })
}

/// Where services and their aliases stand.
fn service_nodes(config: &Config, ids: &[ServiceId]) -> Vec<ServiceNode> {
    let node =
        |at: usize, name: &Name, types| ServiceNode { name: name.clone(), id: ids[at], types };
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

/// The inputs of another time: services of what the history kept, in the zones of `present`.
/// Takes as long as reading the databases when the places of then were others.
///
/// # Errors
///
/// What this version does not understand any more, or a database that is gone.
pub fn again(written: &Written, folder: &Path, present: &Inputs) -> Result<Inputs, ConfigError> {
    let config = Config::again(written, folder)?;
    let geo = &present.geo;
    let (table, description) =
        if geo.table.fingerprint() == written.geo && *geo.table.lists() == config.lists {
            (Arc::clone(&geo.table), geo.description.clone())
        } else {
            let (table, description) = config.geo.load(config.lists.clone(), &config.source)?;
            (Arc::new(table), description)
        };
    let (ids, prints) = (compile::ids(&config, None), fingerprints(&config));
    let source =
        compile::Source { config: &config, ids: &ids, written: &prints, table, description };
    let Compiled { services, geo } = compile::compile(&source);
    Ok(Inputs { services, geo, written: Arc::new(written.clone()), ..present.clone() })
}

/// Of each service.
fn fingerprints(config: &Config) -> Vec<u128> {
    config.services.iter().map(|(service, _)| service.fingerprint()).collect()
}

/// Of everything people wrote but zones; hash keys and file names leave no trace in it.
fn fingerprint(config: &Config, services: &[u128], table: Option<&Table>) -> u64 {
    use std::hash::Hasher;
    let mut hasher = siphasher::sip::SipHasher13::new();
    hasher.write_u64(table.map_or(0, Table::fingerprint));
    services.iter().for_each(|service| hasher.write(&service.to_le_bytes()));
    for (alias, _) in &config.aliases {
        hasher.write(format!("{alias:?}").as_bytes());
    }
    hasher.write(format!("{:?}", config.locations).as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, FileTimes};
    use std::os::unix::fs::symlink;

    const DAY: Duration = Duration::from_secs(86_400);

    /// Of the same size, and from the same time as far as anybody can set it.
    fn write(path: &Path, text: &str) -> Stamp {
        fs::write(path, text).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        file.set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + DAY)).unwrap();
        stamp(path).unwrap()
    }

    #[test]
    fn a_file_that_was_replaced_has_another_stamp_however_alike_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other, link] = ["one", "other", "link"].map(|name| folder.path().join(name));
        let first = write(&one, "first");
        assert_eq!(stamp(&one).unwrap(), first);
        let second = write(&other, "other");
        assert_eq!((first.size, first.modified), (second.size, second.modified));
        symlink(&one, &link).unwrap();
        assert_eq!(stamp(&link).unwrap(), first, "what it leads to counts");
        fs::remove_file(&link).unwrap();
        symlink(&other, &link).unwrap();
        assert_ne!(stamp(&link).unwrap(), first);
        fs::rename(&other, &one).unwrap();
        assert_ne!(stamp(&one).unwrap(), first);
    }

    #[test]
    fn what_has_just_changed_is_read_once_more() {
        let folder = tempfile::tempdir().unwrap();
        let stamp = write(&folder.path().join("one"), "one");
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(stamp.changed.0 as u64);
        let after = |seconds| stamp.is_settled(changed + Duration::from_secs(seconds));
        assert_eq!([0, 1, 2, 3].map(after), [false, false, false, true]);
        assert!(!stamp.is_settled(SystemTime::UNIX_EPOCH), "a clock that was set back");
    }
}
