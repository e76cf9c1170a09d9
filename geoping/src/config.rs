//! `geoping.toml`: what is written, checked, and turned into types that cannot be wrong.
//!
//! ```toml
//! [node]
//! name         = "us-central1-a"
//! region       = "us-central1"          # of a cloud, or with a location of its own
//! trust_domain = "test-net.io"          # none: that of the certificate
//! capacity     = 5000                   # requests per second; none: not stated
//! version      = "2.4.1"                # of the service beside it; none: of geoping
//! location     = [41.26, -95.86]        # none: where the region is
//!
//! [listen]
//! grpc           = "0.0.0.0:8443"
//! admin          = "127.0.0.1:9154"
//! drain_wait     = "5s"                 # SIGTERM → DRAINING, NOT_SERVING … this long … GOAWAY
//! drain_deadline = "20s"                # what still runs after GOAWAY is ended then
//!
//! [backend]                             # exactly one of grpc, tcp, http; no section: always OK
//! grpc     = "http://127.0.0.1:50051"   # grpc.health.v1; or tcp = "host:port", http = "http://…/path"
//! service  = "shop.v1.Cart"             # with grpc: whose health; none: the whole server's
//! interval = "2s"
//! timeout  = "1s"
//! rise     = 2
//! fall     = 2
//!
//! [tls]
//! cert = "node.crt"
//! key  = "node.key"
//! ca   = "ca.crt"
//! crl  = "ca.crl"                       # none: revocation is not checked
//!
//! [geo]                                 # as in dnsrouter.toml
//! database = ["city.mmdb"]              # none: the built-in country database
//! [geo.networks]
//! "10.0.0.0/8" = { region = "us-central1" }
//!
//! [limits]                              # see `Limits` of the crate daemon
//! ```
//!
//! Paths count from the file's own folder. On SIGHUP and when a file changes, `[node] capacity`,
//! `[backend]`, `[geo]`, `[[region]]` and the contents of the `[tls]` files are read again, all or
//! nothing; a change of anything else is refused until the next start ([`Config::fixed_change`]).

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::config::{ConfigError, Loaded, Log, Problem, Source, Spanned, Tls};
use daemon::grpc::Limits;
use geo::{Country, Place, Point};
use ipnet::IpNet;
use pki::{Identity, Program, TrustDomain};

use crate::backend::Policy;
use crate::check::{Check, CheckError, Checks};

mod raw;

/// Explicit networks in one file: a generated file a hundred times too large is refused.
pub const MAX_NETWORKS: usize = 100_000;

/// Nobody waits longer for a node to leave: orchestrators kill after 30 s, patient ones after
/// some minutes.
pub const MAX_DRAIN: Duration = Duration::from_secs(3600);

/// Checks closer together than this are load, not observation.
pub const MIN_INTERVAL: Duration = Duration::from_millis(50);

/// A backend checked less often than this is not watched.
pub const MAX_INTERVAL: Duration = Duration::from_secs(3600);

/// A configuration without mistakes, as far as one file can tell.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node's name.
    pub node: String,
    /// The region it stands in.
    pub region: String,
    /// Whose certificates count; none: those of the trust domain of its own.
    pub trust_domain: Option<TrustDomain>,
    /// Of the service beside it; none: of this program.
    pub version: Option<String>,
    /// Where the region is.
    pub location: Point,
    /// Requests per second; none: not stated.
    pub capacity: Option<NonZeroU64>,
    /// Where it listens.
    pub listen: Listen,
    /// How it leaves.
    pub drain: Drain,
    /// How the backend is asked.
    pub checks: Checks,
    /// Where callers are.
    pub geo: GeoConfig,
    /// What the server endures.
    pub limits: Limits,
    /// Its mTLS identity.
    pub tls: Tls,
    /// Where that is written.
    pub tls_span: Range<usize>,
    /// What is logged and how.
    pub log: Log,
    /// What is allowed but should be known, in words.
    pub warnings: Vec<String>,
    /// The file, for mistakes that only other files show.
    pub source: Source,
}

/// `[listen]`, the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// gRPC with mTLS.
    pub grpc: SocketAddr,
    /// HTTP: metrics and probes.
    pub admin: Option<SocketAddr>,
}

/// `[listen]`, the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// From "leave me" to GOAWAY: as long as callers and name servers need to notice.
    pub wait: Duration,
    /// From GOAWAY to the end of what still runs.
    pub deadline: Duration,
}

/// `[geo]`.
#[derive(Clone, Debug)]
pub struct GeoConfig {
    /// mmdb files with where each is written; empty: the built-in country database.
    pub databases: Vec<(PathBuf, Range<usize>)>,
    /// Field names of unusual databases.
    pub mapping: geo::mmdb::Mapping,
    /// Explicit networks.
    pub networks: Vec<(IpNet, Place)>,
}

impl GeoConfig {
    /// Whether both say the same, wherever in the file they say it.
    pub fn same_as(&self, other: &GeoConfig) -> bool {
        let files = |config: &GeoConfig| -> Vec<PathBuf> {
            config.databases.iter().map(|(file, _)| file.clone()).collect()
        };
        files(self) == files(other)
            && self.mapping == other.mapping
            && self.networks == other.networks
    }
}

impl Default for Drain {
    fn default() -> Drain {
        Drain { wait: Duration::from_secs(5), deadline: Duration::from_secs(20) }
    }
}

impl Config {
    /// Reads `file`, with variables and flags (dotted key, value) over it, and checks it.
    ///
    /// # Errors
    ///
    /// Every mistake with its place; nothing was changed.
    pub fn load(
        file: &Path,
        env: impl IntoIterator<Item = (String, String)>,
        flags: &[(String, String)],
    ) -> Result<Config, ConfigError> {
        let loaded = daemon::config::load(file, env, flags)?;
        Config::check(loaded, file.parent().unwrap_or(Path::new("")))
    }

    /// As [`Config::load`], from text that is named `name` in errors; paths count from `folder`.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn parse(name: &str, text: &str, folder: &Path) -> Result<Config, ConfigError> {
        Config::check(daemon::config::parse(name, text, [], &[])?, folder)
    }

    fn check(loaded: Loaded<raw::Raw>, folder: &Path) -> Result<Config, ConfigError> {
        let Loaded { value: raw, source } = loaded;
        let mut checker = Checker {
            source: &source,
            folder,
            regions: HashMap::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        checker.learn_regions(&raw.region);
        let location = checker.location(&raw.node);
        checker.names(&raw.node);
        let listen = checker.listen(&raw.listen);
        let drain = checker.drain(&raw.listen);
        let checks = checker.checks(raw.backend.as_ref());
        let geo = checker.geo(&raw.geo);
        let tls_span = raw.tls.as_ref().map_or(0..0, Spanned::span);
        let tls = checker.tls(raw.tls, &raw.node);
        let log = checker.log(raw.log);
        let Checker { problems, warnings, .. } = checker;
        ConfigError::check(problems)?;
        // Each is absent only together with a problem, and there was none.
        let (Some(location), Some(tls)) = (location, tls) else {
            return Err(source.error(0..0, "the configuration is incomplete", None).into());
        };
        Ok(Config {
            node: raw.node.name.into_inner(),
            region: raw.node.region.into_inner(),
            trust_domain: raw.node.trust_domain,
            version: raw.node.version.map(Spanned::into_inner),
            location,
            capacity: NonZeroU64::new(raw.node.capacity),
            listen,
            drain,
            checks,
            geo,
            limits: Limits::default(),
            tls,
            tls_span,
            log,
            warnings,
            source,
        })
    }

    /// The first section of `new` that differs from this one and cannot change while serving.
    pub fn fixed_change(&self, new: &Config) -> Option<&'static str> {
        [
            ("[node] name", self.node != new.node),
            ("[node] region", self.region != new.region),
            ("[node] trust_domain", self.trust_domain != new.trust_domain),
            ("[node] version", self.version != new.version),
            ("[node] location", self.location != new.location),
            ("[listen] grpc or admin", self.listen != new.listen),
            ("[listen] drain_wait or drain_deadline", self.drain != new.drain),
            ("[limits]", self.limits != new.limits),
            ("[tls]", self.tls != new.tls),
            ("[log]", self.log != new.log),
        ]
        .into_iter()
        .find_map(|(section, changed)| changed.then_some(section))
    }
}

/// Walks the raw form, collecting mistakes instead of stopping at the first.
struct Checker<'a> {
    source: &'a Source,
    folder: &'a Path,
    regions: HashMap<String, Point>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Checker<'_> {
    fn error(&mut self, span: Range<usize>, message: impl Into<String>, help: Option<&str>) {
        self.problems.push(self.source.error(span, message, help));
    }

    fn learn_regions(&mut self, regions: &[raw::Region]) {
        for region in regions {
            let name = region.name.get_ref();
            let Some(point) = self.point(&region.location) else { continue };
            if self.regions.insert(name.clone(), point).is_some() {
                let message = format!("region '{name}' is defined twice");
                self.error(region.name.span(), message, Some("keep one of the two"));
            }
        }
    }

    fn point(&mut self, location: &Spanned<[f64; 2]>) -> Option<Point> {
        let point = Point::try_from(*location.get_ref());
        if let Err(error) = &point {
            let help = Some("[latitude, longitude] in degrees, e.g. [50.11, 8.68]");
            self.error(location.span(), error.to_string(), help);
        }
        point.ok()
    }

    /// Where a region is: as `[[region]]` says, else as the built-in table does.
    fn region(&mut self, name: &Spanned<String>, other_way: &str) -> Option<Point> {
        let key = name.get_ref();
        let written = self.regions.get(key).copied();
        let point = written.or_else(|| geo::regions::find(key).map(|region| region.point));
        if point.is_none() {
            let similar = geo::regions::nearest_names(key);
            let help = match similar.first() {
                Some(first) => format!("did you mean '{first}'? Else {other_way}"),
                None => other_way.to_owned(),
            };
            let message = format!("nobody knows where region '{key}' is");
            self.error(name.span(), message, Some(&help));
        }
        point
    }

    fn location(&mut self, node: &raw::Node) -> Option<Point> {
        match &node.location {
            Some(location) => self.point(location),
            None => self.region(
                &node.region,
                "give [node] a location = [latitude, longitude], or add a [[region]] with one",
            ),
        }
    }

    /// Names go into certificates and so must be such as identities carry.
    fn names(&mut self, node: &raw::Node) {
        let domain = node.trust_domain.clone();
        let any = || "example.com".parse().expect("a domain name");
        let domain = domain.unwrap_or_else(any);
        let fits = |region: &str, name: &str| {
            Identity::node(&domain, region, Program::Geoping, name).map(|_| ())
        };
        let help = Some("it must be such as the certificate's identity carries");
        if let Err(error) = fits("region", node.name.get_ref()) {
            self.error(node.name.span(), error.to_string(), help);
        }
        if let Err(error) = fits(node.region.get_ref(), "node") {
            self.error(node.region.span(), error.to_string(), help);
        }
        if let Some(version) = node.version.as_ref().filter(|text| text.get_ref().is_empty()) {
            self.error(version.span(), "the version is empty", Some("leave it out, or name it"));
        }
    }

    fn listen(&mut self, raw: &raw::Listen) -> Listen {
        if let Some(admin) = raw.admin {
            if admin == raw.grpc && admin.port() != 0 {
                let help = Some("metrics are plain HTTP and need a port of their own");
                self.error(0..0, format!("grpc and admin both listen on {admin}"), help);
            }
            if !admin.ip().is_loopback() {
                self.warnings.push(format!(
                    "[listen] admin = {admin} is not on the loopback: metrics are served to \
                     everybody who reaches it"
                ));
            }
        }
        Listen { grpc: raw.grpc, admin: raw.admin }
    }

    fn drain(&mut self, raw: &raw::Listen) -> Drain {
        let usual = Drain::default();
        let limits = (Duration::ZERO, MAX_DRAIN);
        Drain {
            wait: self.duration(raw.drain_wait.as_ref(), usual.wait, limits),
            deadline: self.duration(raw.drain_deadline.as_ref(), usual.deadline, limits),
        }
    }

    fn duration(
        &mut self,
        given: Option<&Spanned<raw::Time>>,
        usual: Duration,
        (least, most): (Duration, Duration),
    ) -> Duration {
        let Some(given) = given else { return usual };
        let raw::Time(duration) = *given.get_ref();
        if !(least..=most).contains(&duration) {
            let (least, most) =
                (humantime::format_duration(least), humantime::format_duration(most));
            self.error(given.span(), format!("must be between {least} and {most}"), None);
        }
        duration
    }

    fn checks(&mut self, section: Option<&Spanned<raw::Backend>>) -> Checks {
        let Some(section) = section else { return Checks::default() };
        let raw = section.get_ref();
        let one = "one of grpc = \"http://host:port\", tcp = \"host:port\" and http = \"http://host:port/path\"";
        let check = match (&raw.grpc, &raw.tcp, &raw.http) {
            (Some(url), None, None) => {
                let service = raw.service.as_ref().map(Spanned::get_ref).cloned();
                self.place(url, |url| Check::grpc(url, service.unwrap_or_default()))
            }
            (None, Some(address), None) => self.place(address, Check::tcp),
            (None, None, Some(url)) => self.place(url, Check::http),
            (None, None, None) => {
                self.error(section.span(), "[backend] does not say what to check", Some(one));
                None
            }
            _ => {
                self.error(section.span(), "[backend] is checked in one way only", Some(one));
                None
            }
        };
        if let (Some(service), None) = (&raw.service, &raw.grpc) {
            let help = Some("leave it out, or check by grpc");
            self.error(service.span(), "only grpc.health.v1 knows services by name", help);
        }
        Checks { check, policy: self.policy(raw) }
    }

    fn place(
        &mut self,
        text: &Spanned<String>,
        read: impl FnOnce(&str) -> Result<Check, CheckError>,
    ) -> Option<Check> {
        let check = read(text.get_ref());
        if let Err(error) = &check {
            self.error(text.span(), error.to_string(), None);
        }
        check.ok()
    }

    fn policy(&mut self, raw: &raw::Backend) -> Policy {
        let usual = Policy::default();
        let limits = (MIN_INTERVAL, MAX_INTERVAL);
        let interval = self.duration(raw.interval.as_ref(), usual.interval, limits);
        let timeout = match &raw.timeout {
            Some(_) => self.duration(raw.timeout.as_ref(), usual.timeout, limits),
            None => usual.timeout.min(interval),
        };
        if let Some(given) = raw.timeout.as_ref().filter(|_| timeout > interval) {
            let help = Some("lower timeout, or raise interval");
            self.error(given.span(), "a check may not outlast the interval to the next", help);
        }
        let rise = self.count(raw.rise.as_ref(), usual.rise);
        let fall = self.count(raw.fall.as_ref(), usual.fall);
        Policy { interval, timeout, rise, fall }
    }

    fn count(&mut self, given: Option<&Spanned<u32>>, usual: NonZeroU32) -> NonZeroU32 {
        let Some(given) = given else { return usual };
        NonZeroU32::new(*given.get_ref()).unwrap_or_else(|| {
            self.error(given.span(), "at least one check makes a verdict", None);
            usual
        })
    }

    fn geo(&mut self, raw: &raw::Geo) -> GeoConfig {
        if raw.networks.len() > MAX_NETWORKS {
            let message = format!("{} networks; the limit is {MAX_NETWORKS}", raw.networks.len());
            let help = Some("put so many into an mmdb file and name it in geo.database");
            self.error(0..0, message, help);
        }
        let mut networks: Vec<(IpNet, Place)> = Vec::with_capacity(raw.networks.len());
        let mut seen = HashSet::new();
        for (prefix, at) in &raw.networks {
            let Some((net, place)) = self.network(prefix, at) else { continue };
            if !seen.insert(net) {
                let message = format!("network {net} is placed twice");
                self.error(prefix.span(), message, Some("keep one of the two"));
            }
            networks.push((net, place));
        }
        let databases = raw.database.iter();
        let databases = databases.map(|file| (self.folder.join(file.get_ref()), file.span()));
        GeoConfig { databases: databases.collect(), mapping: raw.mapping.clone(), networks }
    }

    fn network(&mut self, prefix: &Spanned<String>, at: &raw::Network) -> Option<(IpNet, Place)> {
        let net = prefix.get_ref().parse::<IpNet>().ok();
        let Some(net) = net.filter(|net| net.addr() == net.network()) else {
            let message = format!("'{}' is not a network", prefix.get_ref());
            let help = Some("address/length without bits past the length, e.g. \"192.0.2.0/24\"");
            self.error(prefix.span(), message, help);
            return None;
        };
        let place = match (&at.region, &at.country, &at.location) {
            (Some(name), None, None) => {
                self.region(name, "add a [[region]] with its name and location")?.into()
            }
            (None, Some(country), None) => self.country(country)?.into(),
            (None, None, Some(location)) => self.point(location)?.into(),
            _ => {
                let help =
                    "{ region = \"…\" } or { country = \"DE\" } or { location = [50.1, 8.7] }";
                self.error(prefix.span(), "a network is at exactly one place", Some(help));
                return None;
            }
        };
        Some((net, place))
    }

    fn country(&mut self, code: &Spanned<String>) -> Option<Country> {
        let country = code.get_ref().parse::<Country>().ok();
        let known = country.filter(|country| country.center().is_some());
        if known.is_none() {
            let message = format!("'{}' is no country", code.get_ref());
            self.error(code.span(), message, Some("ISO 3166-1 alpha-2, e.g. \"DE\""));
        }
        known
    }

    fn log(&mut self, raw: Option<Spanned<Log>>) -> Log {
        let Some(raw) = raw else { return Log::default() };
        if let Err(error) = daemon::telemetry::check(raw.get_ref()) {
            self.error(raw.span(), error.to_string(), None);
        }
        raw.into_inner()
    }

    fn tls(&mut self, raw: Option<Spanned<Tls>>, node: &raw::Node) -> Option<Tls> {
        let Some(tls) = raw else {
            let help = Some("[tls] with cert, key and ca; `geoip pki` makes them");
            let message = "GeoPing is spoken over mutual TLS only, and there is no [tls]";
            self.error(node.name.span(), message, help);
            return None;
        };
        Some(tls.into_inner().relative_to(self.folder))
    }
}

#[cfg(test)]
mod tests;
