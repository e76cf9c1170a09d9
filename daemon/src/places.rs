//! `[geo]` and `[[region]]`: where addresses and regions are, alike in every program.
//!
//! ```no_run
//! # use daemon::{config::{ConfigError, Problem, Source}, places::{Geo, Places, Region, Regions}};
//! # fn run(geo: &Geo, regions: &[Region], source: &Source) -> Result<(), ConfigError> {
//! let mut problems = Vec::new();
//! let regions = Regions::check(regions, source, &mut problems);
//! let places = Places::check(geo, &regions, "/etc/geoping".as_ref(), source, &mut problems);
//! ConfigError::check(problems)?;
//! let (table, description) = places.load(geo::Lists::default(), source)?;      // seconds for a city database
//! println!("{} leaves, by {description}", table.len());
//! # Ok(()) }
//! ```

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use geo::{Country, Lists, Place, Point, ScopeCap, Table, TableBuilder};
use ipnet::IpNet;
use serde::Deserialize;
use toml::Spanned;

use crate::config::{ConfigError, Problem, Source};
use crate::files;

/// Explicit networks written in a configuration itself: a generated file a hundred times too
/// large is refused.
pub const MAX_NETWORKS: usize = 100_000;
/// The largest database that is read, in bytes.
pub const MAX_DATABASE: u64 = geo::mmdb::MAX_BYTES as u64;

/// `[geo]`, as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Geo {
    /// mmdb files, the first that knows an address wins; none: the built-in country database.
    #[serde(default)]
    pub database: Vec<Spanned<PathBuf>>,
    /// mmdb files that say to which autonomous system an address belongs; each adds to the others.
    #[serde(default)]
    pub asn: Vec<Spanned<PathBuf>>,
    /// Names of the fields of a database that is none of the known kinds.
    #[serde(default)]
    pub mapping: geo::mmdb::Mapping,
    /// The finest IPv4 scope; default 24.
    pub scope_v4: Option<Spanned<u8>>,
    /// The finest IPv6 scope; default 48.
    pub scope_v6: Option<Spanned<u8>>,
    /// Explicit networks; looked at before any database.
    #[serde(default)]
    pub networks: BTreeMap<Spanned<String>, Network>,
}

/// Where an explicit network is: exactly one of the three.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// At the location of a region.
    pub region: Option<Spanned<String>>,
    /// In a country (ISO 3166-1 alpha-2), at its centre.
    pub country: Option<Spanned<String>>,
    /// At a point: latitude, longitude in degrees.
    pub location: Option<Spanned<[f64; 2]>>,
}

/// `[[region]]`, as it is written: one that is not built in, or is elsewhere.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// As others name it.
    pub name: Spanned<String>,
    /// Latitude, longitude in degrees.
    pub location: Spanned<[f64; 2]>,
}

/// Where regions are: as the configuration says, else as the built-in table does.
#[derive(Debug, Clone, Default)]
pub struct Regions(HashMap<String, Point>);

/// `[geo]` without mistakes, as far as the configuration can tell.
#[derive(Debug, Clone)]
pub struct Places {
    /// mmdb files with where each is written; empty: the built-in country database.
    pub databases: Vec<(PathBuf, Range<usize>)>,
    /// mmdb files of autonomous systems, with where each is written.
    pub asns: Vec<(PathBuf, Range<usize>)>,
    /// Field names of unusual databases.
    pub mapping: geo::mmdb::Mapping,
    /// The finest scopes.
    pub cap: ScopeCap,
    /// Explicit networks.
    pub networks: Vec<(IpNet, Place)>,
}

impl Regions {
    /// Takes in `[[region]]`; mistakes go to `problems`.
    pub fn check(regions: &[Region], source: &Source, problems: &mut Vec<Problem>) -> Self {
        let mut known = HashMap::new();
        for region in regions {
            let name = region.name.get_ref();
            let Some(point) = point(&region.location, source, problems) else { continue };
            if known.insert(name.clone(), point).is_some() {
                let message = format!("region '{name}' is defined twice");
                problems.push(source.error(
                    region.name.span(),
                    message,
                    Some("keep one of the two"),
                ));
            }
        }
        Self(known)
    }

    /// Where a region is. An unknown one is a problem; `otherwise` says what else would help.
    pub fn find(
        &self,
        name: &Spanned<String>,
        otherwise: &str,
        source: &Source,
        problems: &mut Vec<Problem>,
    ) -> Option<Point> {
        let key = name.get_ref();
        let known = self.0.get(key).copied();
        let point = known.or_else(|| geo::regions::find(key).map(|region| region.point));
        if point.is_none() {
            let help = match geo::regions::nearest_names(key).first() {
                Some(first) => format!("did you mean '{first}'? else {otherwise}"),
                None => otherwise.to_owned(),
            };
            let message = format!("nobody knows where region '{key}' is");
            problems.push(source.error(name.span(), message, Some(&help)));
        }
        point
    }
}

impl Places {
    /// Checks `[geo]`; relative paths count from `folder`. Mistakes go to `problems`.
    pub fn check(
        raw: &Geo,
        regions: &Regions,
        folder: &Path,
        source: &Source,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let usual = ScopeCap::default();
        let v4 = scope(raw.scope_v4.as_ref(), usual.v4(), 32, source, problems);
        let v6 = scope(raw.scope_v6.as_ref(), usual.v6(), 64, source, problems);
        if raw.networks.len() > MAX_NETWORKS {
            let message = format!("{} networks; the limit is {MAX_NETWORKS}", raw.networks.len());
            let help = Some("put so many into an mmdb file and name it in geo.database");
            problems.push(source.error(0..0, message, help));
        }
        let mut networks = Vec::with_capacity(raw.networks.len());
        let mut seen = HashSet::new();
        for (prefix, at) in &raw.networks {
            let Some((net, place)) = network(prefix, at, regions, source, problems) else {
                continue;
            };
            if !seen.insert(net) {
                let message = format!("network {net} is placed twice");
                problems.push(source.error(prefix.span(), message, Some("keep one of the two")));
            }
            networks.push((net, place));
        }
        let files = |raw: &[Spanned<PathBuf>]| {
            raw.iter().map(|file| (folder.join(file.get_ref()), file.span())).collect()
        };
        Self {
            databases: files(&raw.database),
            asns: files(&raw.asn),
            mapping: raw.mapping.clone(),
            cap: ScopeCap::new(v4, v6).unwrap_or(usual),
            networks,
        }
    }

    /// Whether both say the same, wherever in the file they say it.
    pub fn same_as(&self, other: &Self) -> bool {
        let files = |files: &[(PathBuf, Range<usize>)]| -> Vec<PathBuf> {
            files.iter().map(|(file, _)| file.clone()).collect()
        };
        files(&self.databases) == files(&other.databases)
            && files(&self.asns) == files(&other.asns)
            && self.mapping == other.mapping
            && self.cap == other.cap
            && self.networks == other.networks
    }

    /// Reads the databases and builds the table, which tells apart who is in which of the lists
    /// (of clients that rules name; a program without rules has none); says in words what it was made from. Takes up to
    /// seconds and holds a whole database in memory meanwhile: call it where blocking is allowed.
    ///
    /// # Errors
    ///
    /// Databases that cannot be read or understood, at the place where `source` names them.
    pub fn load(&self, lists: Lists, source: &Source) -> Result<(Table, String), ConfigError> {
        let mut builder = TableBuilder::with_lists(self.cap, lists);
        let mut problems = Vec::new();
        let mut made_from = Vec::new();
        let mut read =
            |file: &Path, span: &Range<usize>, described: Result<String, String>| match described {
                Ok(described) => made_from.push(described),
                Err(why) => {
                    let message = format!("{}: {why}", file.display());
                    problems.push(source.error(span.clone(), message, None));
                }
            };
        for (file, span) in &self.databases {
            read(file, span, self.read(file, &mut builder));
        }
        for (file, span) in &self.asns {
            read(file, span, read_asns(file, &mut builder));
        }
        for (network, place) in &self.networks {
            if let Err(error) = builder.network(*network, *place) {
                problems.push(source.error(0..0, error.to_string(), None));
            }
        }
        ConfigError::check(problems)?;
        if self.databases.is_empty() {
            geo::builtin::load(&mut builder);
            made_from.push("the built-in country database".to_owned());
        }
        Ok((builder.freeze(), made_from.join(", ")))
    }

    fn read(&self, file: &Path, into: &mut TableBuilder) -> Result<String, String> {
        let bytes = read_whole(file)?;
        let loaded =
            geo::mmdb::load(bytes, &self.mapping, into).map_err(|error| error.to_string())?;
        Ok(made(file, &loaded.database_type, loaded.records, loaded.build_epoch))
    }
}

/// What a table was made from, in words.
fn made(file: &Path, kind: &str, records: usize, built: SystemTime) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
    // Before 1970 is before there were databases.
    let built = built.max(SystemTime::UNIX_EPOCH);
    let built = humantime::format_rfc3339_seconds(built).to_string();
    let date = built.split('T').next().unwrap_or_default();
    format!("{name} ({kind}, {records} networks, built {date})")
}

fn read_asns(file: &Path, into: &mut TableBuilder) -> Result<String, String> {
    let bytes = read_whole(file)?;
    let loaded = geo::mmdb::load_asns(bytes, into).map_err(|error| error.to_string())?;
    let missing: Vec<_> = loaded.missing.iter().map(|number| format!("AS{number}")).collect();
    let made = made(file, &loaded.database_type, loaded.records, loaded.build_epoch);
    Ok(match missing.is_empty() {
        true => made,
        false => format!("{made}, nobody in {}", missing.join(" ")),
    })
}

/// The whole file: never mapped, since others replace it while it is in use.
fn read_whole(file: &Path) -> Result<Vec<u8>, String> {
    let content = files::read(file, MAX_DATABASE).map_err(|error| error.to_string())?;
    Ok(content.octets)
}

fn network(
    prefix: &Spanned<String>,
    at: &Network,
    regions: &Regions,
    source: &Source,
    problems: &mut Vec<Problem>,
) -> Option<(IpNet, Place)> {
    let net = prefix.get_ref().parse::<IpNet>().ok();
    let Some(net) = net.filter(|net| net.addr() == net.network()) else {
        let message = format!("'{}' is not a network", prefix.get_ref());
        let help = Some("address/length without bits past the length, e.g. \"192.0.2.0/24\"");
        problems.push(source.error(prefix.span(), message, help));
        return None;
    };
    let place = match (&at.region, &at.country, &at.location) {
        (Some(name), None, None) => {
            let otherwise = "add a [[region]] with its name and location";
            regions.find(name, otherwise, source, problems)?.into()
        }
        (None, Some(code), None) => country(code, source, problems)?.into(),
        (None, None, Some(location)) => point(location, source, problems)?.into(),
        _ => {
            let help = "{ region = \"…\" } or { country = \"DE\" } or { location = [50.1, 8.7] }";
            let message = "a network is at exactly one place";
            problems.push(source.error(prefix.span(), message, Some(help)));
            return None;
        }
    };
    Some((net, place))
}

fn country(
    code: &Spanned<String>,
    source: &Source,
    problems: &mut Vec<Problem>,
) -> Option<Country> {
    let country = code.get_ref().parse::<Country>().ok();
    let known = country.filter(|country| country.center().is_some());
    if known.is_none() {
        let message = format!("'{}' is no country", code.get_ref());
        problems.push(source.error(code.span(), message, Some("ISO 3166-1 alpha-2, e.g. \"DE\"")));
    }
    known
}

/// A point from `[latitude, longitude]`; a mistake goes to `problems`.
pub fn point(
    location: &Spanned<[f64; 2]>,
    source: &Source,
    problems: &mut Vec<Problem>,
) -> Option<Point> {
    let [latitude, longitude] = *location.get_ref();
    match Point::new(latitude, longitude) {
        Ok(point) => Some(point),
        Err(error) => {
            let help = Some("[latitude, longitude] in degrees, e.g. [50.11, 8.68]");
            problems.push(source.error(location.span(), error.to_string(), help));
            None
        }
    }
}

fn scope(
    given: Option<&Spanned<u8>>,
    usual: u8,
    most: u8,
    source: &Source,
    problems: &mut Vec<Problem>,
) -> u8 {
    let Some(given) = given else { return usual };
    if !(1..=most).contains(given.get_ref()) {
        let message = format!("a prefix length from 1 to {most}");
        problems.push(source.error(given.span(), message, None));
        return usual;
    }
    *given.get_ref()
}
