//! `dnsrouter.toml`: what is written, checked, and turned into types that cannot be wrong.
//!
//! The raw forms (`raw`) mirror the file; `Config::check` looks at everything that needs no
//! other file and points at the place of each mistake, all of them in one report. Zone files and
//! databases are read by [`crate::io::load`].

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use daemon::config::{ConfigError, Loaded, Log, Problem, Source, Spanned};
use daemon::places::{Places, Regions};
use dns::name::Name;
use geo::{Lists, MAX_LOCATIONS, Point};
use ipnet::IpNet;
use pki::TrustDomain;

use crate::census;
use crate::history::Written;
use crate::operators::Operators;
use crate::service::{Alias, Service};
use crate::updates::Permission;

mod check;
mod clients;
mod control;
mod doubts;
pub mod guard;
mod listen;
mod probe;
mod raw;
mod route;
mod service;
mod update;

pub use update::{KeyConfig, SecretSource};

pub use listen::{Listen, MAX_PROXIES, TCP_CONNECTIONS, TCP_IDLE, TCP_SHARE, Tcp};
pub use probe::Probe;

/// Services of one node: a generated file a hundred times too large is refused, not served.
pub const MAX_SERVICES: usize = 20_000;
/// Zones of one node.
pub const MAX_ZONES: usize = 20_000;
/// The longest TTL (RFC 2181 §8).
pub const MAX_TTL: u32 = i32::MAX as u32;

/// A configuration without mistakes, as far as one file can tell.
pub struct Config {
    /// This node's name.
    pub node: String,
    /// The region it stands in.
    pub region: String,
    /// Whose certificates count; none: those of our own certificate's.
    pub trust_domain: Option<TrustDomain>,
    /// Where it keeps what must outlive it; none: memory only.
    pub state_dir: Option<PathBuf>,
    /// Where that is written.
    pub state_span: Range<usize>,
    /// Where it listens.
    pub listen: Listen,
    /// Its mTLS identity, and where it is written.
    pub tls: Option<(daemon::config::Tls, Range<usize>)>,
    /// Where addresses are.
    pub geo: Places,
    /// Of clients, that routes name by network or autonomous system.
    pub lists: Lists,
    /// How targets are pinged.
    pub probe: Probe,
    /// Who may ask, how much, and who answers.
    pub guard: guard::Guard,
    /// Who may change what counts.
    pub operators: Operators,
    /// How answers are counted by the client's prefix; none: they are not.
    pub clients: Option<census::Settings>,
    /// Zones and their files.
    pub zones: Vec<ZoneConfig>,
    /// Keys that sign messages.
    pub keys: Vec<KeyConfig>,
    /// Services, with where each name is written.
    pub services: Vec<(Service, Range<usize>)>,
    /// Second names of services, with where each is written.
    pub aliases: Vec<(Alias, Range<usize>)>,
    /// Files with authorities that checks trust, and where they are named.
    pub authorities: Vec<(PathBuf, Range<usize>)>,
    /// Where every region in use is, in the order of first use: the order for clients whose place
    /// is unknown.
    pub locations: Vec<(String, Point)>,
    /// What is logged and how.
    pub log: Log,
    /// What is allowed but should be known, in words.
    pub warnings: Vec<String>,
    /// The file, for mistakes that only other files show.
    pub source: Source,
}

/// What is set up at start, and stays.
#[derive(Debug, Clone, PartialEq)]
pub struct Fixed {
    node: (String, String, Option<TrustDomain>),
    state_dir: Option<PathBuf>,
    listen: Listen,
    tls: Option<daemon::config::Tls>,
    clients: Option<census::Settings>,
    log: Log,
}

impl Fixed {
    /// The sections in which two differ.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let differs = [
            ("[node]", self.node != other.node),
            ("[state]", self.state_dir != other.state_dir),
            ("[listen]", self.listen != other.listen),
            ("[tls]", self.tls != other.tls),
            ("[clients]", self.clients != other.clients),
            ("[log]", self.log != other.log),
        ];
        differs.into_iter().filter_map(|(section, differs)| differs.then_some(section)).collect()
    }
}

/// `[[zone]]`.
#[derive(Debug, Clone)]
pub struct ZoneConfig {
    /// The apex.
    pub name: Name,
    /// Its master file.
    pub file: PathBuf,
    /// Where the file is named.
    pub span: Range<usize>,
    /// Who may ask about it; none: everybody.
    pub allow: Option<Vec<IpNet>>,
    /// Who may change it; none: nobody, and it is what the file says.
    pub update: Option<Permission>,
}

impl Config {
    /// Reads `file`, with variables and flags over it, and checks it.
    ///
    /// # Errors
    ///
    /// Every mistake with its place; nothing was changed.
    pub fn load(file: &Path, flags: &[(String, String)]) -> Result<Self, ConfigError> {
        let loaded = daemon::config::load(file, daemon::config::environment(), flags)?;
        Self::check(loaded, file.parent().unwrap_or(Path::new("")))
    }

    /// The same from a text that somebody sent, which they call `name`, as if it stood in `folder`.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn offered(
        name: &str,
        text: &str,
        flags: &[(String, String)],
        folder: &Path,
    ) -> Result<Self, ConfigError> {
        let loaded = daemon::config::parse(name, text, daemon::config::environment(), flags)?;
        Self::check(loaded, folder)
    }

    /// The same from what the history kept of one, which counted from `folder` then.
    ///
    /// # Errors
    ///
    /// What this version does not understand any more.
    pub fn again(written: &Written, folder: &Path) -> Result<Self, ConfigError> {
        let Written { text, environment, flags, .. } = written;
        let loaded = daemon::config::parse("history", text, environment.iter().cloned(), flags)?;
        Self::check(loaded, folder)
    }

    /// Checks what was read. Relative paths count from `folder`, the configuration's own.
    ///
    /// # Errors
    ///
    /// Every mistake with its place.
    fn check(loaded: Loaded<raw::Raw>, folder: &Path) -> Result<Self, ConfigError> {
        let Loaded { value: raw, source } = loaded;
        let mut problems = Vec::new();
        let regions = Regions::check(&raw.region, &source, &mut problems);
        let geo = Places::check(&raw.geo, &regions, folder, &source, &mut problems);
        let mut checker = Checker {
            regions,
            problems,
            warnings: Vec::new(),
            locations: Vec::new(),
            authorities: Vec::new(),
            has_tls: raw.tls.is_some(),
            has_asns: !raw.geo.asn.is_empty(),
            source: &source,
            folder,
        };
        checker.unbuilt(&raw);
        let listen = checker.listen(&raw.listen);
        let guard = checker.guard(&raw);
        let operators = checker.operators(&raw.control);
        let probe = checker.probe(&raw.probe);
        let clients = checker.recording(raw.clients.as_ref(), raw.state.is_some());
        let keys = checker.keys(&raw.key);
        let zones = checker.zones(&raw);
        let services = checker.services(&raw.service);
        let aliases = checker.aliases(&raw.service, &services);
        let lists = checker.lists(&services);
        checker.limits(services.len() + aliases.len());
        let log = checker.log(raw.log);
        let tls = raw.tls.map(|tls| (tls.span(), tls.into_inner().relative_to(folder)));
        let tls = tls.map(|(span, tls)| (tls, span));
        if raw.state.is_none() {
            checker.warnings.push(
                "no [state] dir: verdicts, drains and forces are kept in memory only and lost with this \
                 process; there is no history"
                    .into(),
            );
        }
        let Checker { problems, warnings, locations, authorities, .. } = checker;
        ConfigError::check(problems)?;
        Ok(Self {
            node: raw.node.name.into_inner(),
            region: raw.node.region.into_inner(),
            trust_domain: raw.node.trust_domain,
            state_span: raw.state.as_ref().map_or(0..0, |state| state.dir.span()),
            state_dir: raw.state.map(|state| folder.join(state.dir.into_inner())),
            listen,
            tls,
            geo,
            lists,
            probe,
            guard,
            operators,
            clients,
            zones,
            keys,
            services,
            aliases,
            authorities,
            locations,
            log,
            warnings,
            source,
        })
    }

    /// What a reload cannot change.
    pub fn fixed(&self) -> Fixed {
        Fixed {
            node: (self.node.clone(), self.region.clone(), self.trust_domain.clone()),
            state_dir: self.state_dir.clone(),
            listen: self.listen.clone(),
            tls: self.tls.as_ref().map(|(tls, _)| tls.clone()),
            clients: self.clients,
            log: self.log.clone(),
        }
    }
}

/// Walks the raw form, collecting mistakes instead of stopping at the first.
struct Checker<'a> {
    regions: Regions,
    problems: Vec<Problem>,
    warnings: Vec<String>,
    locations: Vec<(String, Point)>,
    authorities: Vec<(PathBuf, Range<usize>)>,
    has_tls: bool,
    has_asns: bool,
    source: &'a Source,
    folder: &'a Path,
}

impl Checker<'_> {
    fn error(&mut self, span: Range<usize>, message: impl Into<String>, help: Option<&str>) {
        self.problems.push(self.source.error(span, message, help));
    }

    /// What the shape of the file provides for and this version does not do yet is said, never
    /// silently ignored.
    fn unbuilt(&mut self, raw: &raw::Raw) {
        for (listener, what) in [
            (&raw.listen.tls, "DNS over TLS"),
            (&raw.listen.quic, "DNS over QUIC"),
            (&raw.listen.https, "DNS over HTTPS"),
        ] {
            if let Some(listener) = listener.as_ref().filter(|list| !list.get_ref().is_empty()) {
                let message = format!("{what} is not served by this version");
                self.error(listener.span(), message, Some("leave the list empty"));
            }
        }
        for zone in &raw.zone {
            if let Some(dnssec) = zone.dnssec.as_ref().filter(|dnssec| *dnssec.get_ref()) {
                let help = Some("set dnssec = false; a signed zone must not be served unsigned");
                self.error(dnssec.span(), "this version does not sign answers", help);
            }
        }
        if let Some(cluster) = raw.cluster.as_ref().map(Spanned::get_ref) {
            self.warnings.push(format!(
                "[cluster]: this version shares no verdicts; with {} voter regions and {} seeds \
                 given, each node still acts on its own verdicts",
                cluster.voters.len(),
                cluster.join.len(),
            ));
        }
        if let Some(directory) = raw.directory.as_ref().map(Spanned::get_ref) {
            self.warnings.push(format!(
                "[directory]: this version takes services from this file only, none from {}",
                directory.endpoint,
            ));
        }
    }

    fn use_location(&mut self, region: &str, point: Point) {
        if !self.locations.iter().any(|(known, _)| known == region) {
            self.locations.push((region.to_owned(), point));
        }
    }

    fn zones(&mut self, raw: &raw::Raw) -> Vec<ZoneConfig> {
        let mut seen = HashSet::new();
        let mut zones = Vec::with_capacity(raw.zone.len());
        if raw.zone.len() > MAX_ZONES {
            self.error(0..0, format!("{} zones; the limit is {MAX_ZONES}", raw.zone.len()), None);
        }
        // Also keys with mistakes: each is told once.
        let keys: HashSet<Name> =
            raw.key.iter().filter_map(|key| key.name.get_ref().parse().ok()).collect();
        for zone in &raw.zone {
            let Some(name) = self.name(&zone.name) else { continue };
            if !seen.insert(name.lower().to_vec()) {
                self.error(zone.name.span(), format!("zone {name} is listed twice"), None);
            }
            let file = self.folder.join(zone.file.get_ref());
            let allow = self.allowed(zone.allow.as_ref());
            let update = zone.update.as_ref();
            let update =
                update.map(|update| self.update(&name, update, &keys, raw.state.is_some()));
            zones.push(ZoneConfig { name, file, span: zone.file.span(), allow, update });
        }
        zones
    }

    /// An absolute domain name; the dot at the end may be left out.
    fn name(&mut self, text: &Spanned<String>) -> Option<Name> {
        match text.get_ref().parse::<Name>() {
            Ok(name) => Some(name),
            Err(error) => {
                let message = format!("{:?} is no domain name: {error}", text.get_ref());
                self.error(text.span(), message, None);
                None
            }
        }
    }

    fn log(&mut self, raw: Option<Spanned<Log>>) -> Log {
        let Some(raw) = raw else { return Log::default() };
        if let Err(error) = daemon::telemetry::check(raw.get_ref()) {
            self.error(raw.span(), error.to_string(), None);
        }
        raw.into_inner()
    }

    fn limits(&mut self, services: usize) {
        if services > MAX_SERVICES {
            self.error(0..0, format!("{services} services; the limit is {MAX_SERVICES}"), None);
        }
        if self.locations.len() > MAX_LOCATIONS {
            let message =
                format!("{} regions in use; the limit is {MAX_LOCATIONS}", self.locations.len());
            self.error(0..0, message, None);
        }
    }
}
