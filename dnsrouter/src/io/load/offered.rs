//! A configuration that somebody only asks about: read and compiled like one that is to be served, with
//! the master files that were sent along.
//!
//! Whoever sends a configuration sends names of files, and this program may read more than they may. So
//! what is read from this machine is bounded, and none of its text can come back in a mistake:
//!
//! | a file | is read if |
//! |---|---|
//! | a zone's | it was sent; else if the served configuration names it as a zone's |
//! | a database, an authority | it is below the served configuration's folder, or beside a database of its |
//! | of keys and other secrets | never: traffic does not depend on them |

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use daemon::config::{ConfigError, Problem};
use zonefiles::Given;

use super::{KeptTable, Loader, fingerprints, service_nodes, zones};
use crate::compile::{self, Compiled};
use crate::config::Config;
use crate::mould::Mould;
use crate::plan::{Generation, Inputs};

/// What was sent.
#[derive(Debug, Default)]
pub struct Offered {
    /// What mistakes name the configuration.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Master files, as the configuration names them, or from its folder on.
    pub files: Given,
}

/// What it would be.
pub struct Examined {
    /// To be served by nobody: what traffic does not depend on is the present's.
    pub inputs: Inputs,
    /// What is allowed but should be known, in words.
    pub notes: Vec<String>,
}

/// What a loader lets others use: what it read last, without a mistake.
#[derive(Default)]
pub(super) struct Lent {
    table: Option<KeptTable>,
    zones: HashSet<PathBuf>,
    databases: Vec<PathBuf>,
}

impl Lent {
    pub(super) fn new(config: &Config, table: Option<KeptTable>) -> Self {
        let databases = config.geo.databases.iter().chain(&config.geo.asns);
        Self {
            table,
            zones: config.zones.iter().map(|zone| zone.file.clone()).collect(),
            databases: databases.map(|(file, _)| file.clone()).collect(),
        }
    }
}

/// Reads configurations that are not to be served.
#[derive(Clone)]
pub struct Examiner {
    lent: Arc<Mutex<Lent>>,
    folder: PathBuf,
    flags: Vec<(String, String)>,
    state_dir: Option<PathBuf>,
}

impl Loader {
    /// Reads others beside those that this one reads, as if they stood in the place of `file`, with
    /// the state that is kept in `state_dir`.
    pub fn examiner(
        &self,
        file: &Path,
        flags: &[(String, String)],
        state_dir: Option<PathBuf>,
    ) -> Examiner {
        let folder = file.parent().unwrap_or(Path::new("")).to_owned();
        Examiner { lent: Arc::clone(&self.lent), folder, flags: flags.to_vec(), state_dir }
    }
}

impl Examiner {
    /// Reads and compiles what was sent.
    ///
    /// # Errors
    ///
    /// As [`Loader::load`], and files that may not be read.
    pub fn examine(&self, offered: Offered, present: &Inputs) -> Result<Examined, ConfigError> {
        let Offered { name, text, files } = offered;
        let files = files.into_iter().map(|(path, text)| (self.folder.join(path), text)).collect();
        let mut loader = Loader { given: Arc::new(files), ..Loader::default() };
        let mut config = Config::offered(&name, &text, &self.flags, &self.folder)?;
        ConfigError::check(self.forbidden(&config, &mut loader))?;
        let mut notes = Vec::new();
        if config.state_dir != self.state_dir {
            notes.push(
                "[state] dir is another; what is kept is looked for in the present one".into(),
            );
            config.state_dir.clone_from(&self.state_dir);
        }
        let mut problems = Vec::new();
        loader.authorities(&mut config, &mut problems);
        let (zones, _) = loader.zones(&mut config, &mut problems);
        let table = loader.table(&config, &mut problems);
        let ids = compile::ids(&config, Some(&present.services));
        let nodes = if problems.is_empty() { service_nodes(&config, &ids) } else { Vec::new() };
        let mould = Mould::new(zones, |_| false, nodes, [0; 2], 0);
        let mould = mould.map_err(|errors| {
            problems.extend(errors.iter().map(|error| zones::problem(&config, error)));
        });
        ConfigError::check(problems)?;
        let (Some((table, description)), Ok(mould)) = (table, mould) else {
            return Err(config.source.error(0..0, "no table of places, or no zones", None).into());
        };
        let written = fingerprints(&config);
        let source =
            compile::Source { config: &config, ids: &ids, written: &written, table, description };
        let Inputs { services, geo, .. } = present.clone();
        let Compiled { services, geo } = compile::recompile(&Compiled { services, geo }, &source);
        let (generation, zones) = (Generation::default(), Arc::clone(mould.frozen()));
        let inputs = Inputs { generation, zones, services, geo, ..present.clone() };
        notes.append(&mut config.warnings);
        Ok(Examined { inputs, notes })
    }

    /// Takes over what may be used of what is served, and says which files may not be read.
    fn forbidden(&self, config: &Config, loader: &mut Loader) -> Vec<Problem> {
        let lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        loader.table.clone_from(&lent.table);
        let beside = lent.databases.iter().filter_map(|file| file.parent());
        let folder = if self.folder.as_os_str().is_empty() { Path::new(".") } else { &self.folder };
        let roots = beside.chain([folder]).filter_map(|folder| folder.canonicalize().ok());
        let roots: Vec<PathBuf> = roots.collect();
        // What is not there is told by whoever wants to read it.
        let outside = |file: &Path| {
            file.canonicalize().is_ok_and(|real| !roots.iter().any(|root| real.starts_with(root)))
        };
        let problem = |file: &Path, span: &Range<usize>, why: &str, help: &str| {
            let message = format!("{}: {why}", file.display());
            config.source.error(span.clone(), message, Some(help))
        };
        let unsent = config.zones.iter().filter(|zone| {
            !loader.given.contains_key(&zone.file) && !lent.zones.contains(&zone.file)
        });
        let unsent = unsent.map(|zone| {
            let why = "it was not sent along, and the served configuration does not name it";
            problem(&zone.file, &zone.span, why, "put it where the configuration says")
        });
        let read = config.geo.databases.iter().chain(&config.geo.asns).chain(&config.authorities);
        let strange = read.filter(|(file, _)| outside(file)).map(|(file, span)| {
            let why = "only files below the served configuration's folder, or beside its databases, \
                       are read for somebody who asks";
            problem(file, span, why, "put it there, on the name server")
        });
        unsent.chain(strange).collect()
    }
}
