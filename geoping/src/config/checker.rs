//! From what is written to what cannot be wrong, one section after the other.

use std::num::{NonZeroU32, NonZeroU64};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use daemon::config::{ConfigError, Loaded, Log, Problem, Source, Spanned, Tls};
use daemon::grpc::Limits;
use daemon::places::{self, Places, Regions};
use geo::Point;
use pki::{Identity, Program};

use super::{Config, Listen, MAX_AGE, MAX_INTERVAL, MAX_TIME, MIN_INTERVAL, MIN_TIME, raw};
use crate::backend::Policy;
use crate::check::{Check, CheckError, Checks};
use crate::counter::{Counter, CounterError};
use crate::service::MAX_REQUEST;

/// Checks everything that needs no other file; relative paths count from `folder`.
///
/// # Errors
///
/// Every mistake with its place.
pub(super) fn check(loaded: Loaded<raw::Raw>, folder: &Path) -> Result<Config, ConfigError> {
    let Loaded { value: raw, source } = loaded;
    let mut problems = Vec::new();
    let regions = Regions::check(&raw.region, &source, &mut problems);
    let geo = Places::check(&raw.geo, &regions, folder, &source, &mut problems);
    let warnings = Vec::new();
    let mut checker = Checker { source: &source, folder, regions, problems, warnings };
    let location = checker.location(&raw.node);
    checker.names(&raw.node);
    let listen = checker.listen(&raw.listen);
    let limits = checker.limits(&raw.limits, &raw.listen);
    let checks = checker.checks(raw.backend.as_ref());
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
        checks,
        geo,
        limits,
        tls,
        tls_span,
        log,
        warnings,
        source,
    })
}

/// Walks the raw form, collecting mistakes instead of stopping at the first.
struct Checker<'a> {
    source: &'a Source,
    folder: &'a Path,
    regions: Regions,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Checker<'_> {
    fn error(&mut self, span: Range<usize>, message: impl Into<String>, help: Option<&str>) {
        self.problems.push(self.source.error(span, message, help));
    }

    fn location(&mut self, node: &raw::Node) -> Option<Point> {
        match &node.location {
            Some(location) => places::point(location, self.source, &mut self.problems),
            None => {
                let otherwise =
                    "give [node] a location = [latitude, longitude], or add a [[region]] with one";
                self.regions.find(&node.region, otherwise, self.source, &mut self.problems)
            }
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

    fn limits(&mut self, raw: &raw::Limits, listen: &raw::Listen) -> Limits {
        let usual = Limits { message: MAX_REQUEST, ..Limits::default() };
        let any = (MIN_TIME, MAX_TIME);
        let drain = (Duration::ZERO, MAX_TIME);
        Limits {
            connections: self.size(raw.connections.as_ref(), usual.connections),
            handshakes: self.size(raw.handshakes.as_ref(), usual.handshakes),
            handshake_timeout: self.duration(
                raw.handshake_timeout.as_ref(),
                usual.handshake_timeout,
                any,
            ),
            streams: self.count(raw.streams.as_ref(), usual.streams),
            request_timeout: self.duration(
                raw.request_timeout.as_ref(),
                usual.request_timeout,
                any,
            ),
            keepalive_interval: self.duration(
                raw.keepalive_interval.as_ref(),
                usual.keepalive_interval,
                any,
            ),
            keepalive_timeout: self.duration(
                raw.keepalive_timeout.as_ref(),
                usual.keepalive_timeout,
                any,
            ),
            connection_age: self.duration(
                raw.connection_age.as_ref(),
                usual.connection_age,
                (MIN_TIME, MAX_AGE),
            ),
            connection_grace: self.duration(
                raw.connection_grace.as_ref(),
                usual.connection_grace,
                any,
            ),
            drain_wait: self.duration(listen.drain_wait.as_ref(), usual.drain_wait, drain),
            drain_deadline: self.duration(
                listen.drain_deadline.as_ref(),
                usual.drain_deadline,
                drain,
            ),
            ..usual
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
        let counter = raw.requests.as_ref().and_then(|requests| self.counter(requests));
        Checks { check, policy: self.policy(raw), counter }
    }

    fn counter(&mut self, raw: &raw::Requests) -> Option<Counter> {
        let counter = Counter::new(raw.metrics.get_ref(), raw.counter.get_ref());
        if let Err(error) = &counter {
            let of_name = matches!(error, CounterError::Name(_));
            let span = if of_name { raw.counter.span() } else { raw.metrics.span() };
            self.error(span, error.to_string(), None);
        }
        counter.ok()
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
        let mut findings = |given: Option<&Spanned<u32>>, usual: NonZeroU32| {
            // A zero is an error already; it must not become a machine that never moves.
            NonZeroU32::new(self.count(given, usual.get())).unwrap_or(usual)
        };
        let rise = findings(raw.rise.as_ref(), usual.rise);
        let fall = findings(raw.fall.as_ref(), usual.fall);
        Policy { interval, timeout, rise, fall }
    }

    /// A number that makes sense from 1.
    fn count(&mut self, given: Option<&Spanned<u32>>, usual: u32) -> u32 {
        let Some(given) = given else { return usual };
        if *given.get_ref() == 0 {
            self.error(given.span(), "must be at least 1", None);
        }
        *given.get_ref()
    }

    fn size(&mut self, given: Option<&Spanned<u32>>, usual: usize) -> usize {
        given.map_or(usual, |given| self.count(Some(given), 1) as usize)
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
