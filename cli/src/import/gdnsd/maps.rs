//! geoip's maps: places of clients to ordered lists of datacenters (gdnsd-plugin-geoip(8),
//! "CONFIGURATION - MAPS").
//!
//! A map looks at `nets` first, then at the deepest place of `map` that a client is in, then at the
//! default. As rules of which the first match counts: nets with the longest prefixes first,
//! countries, continents, all.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use geo::{Continent, Point};
use ipnet::IpNet;

use crate::import::files::Files;
use crate::import::service::{continent, country};
use crate::import::vscf::{self, Entry, Kind, Table, Value};
use crate::import::{Failure, Imported, networks};

/// Folder of databases and of files with nets.
const FOLDER: &str = "geoip";
/// Networks of one map; as many as dnsrouter takes in its configuration.
const MAX_NETS: usize = 100_000;

/// A list of datacenters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum List {
    /// By distance.
    Auto,
    These(Vec<String>),
}

/// A map.
#[derive(Debug, Clone)]
pub(super) struct Map {
    pub(super) points: BTreeMap<String, Point>,
    /// The first match counts; the last rule is for all.
    pub(super) rules: Vec<(Vec<String>, List)>,
}

/// By name.
pub(super) type Maps = BTreeMap<String, Map>;

pub(super) fn load(
    plugins: &Table,
    files: &mut Files,
    imported: &mut Imported,
) -> Result<Maps, Failure> {
    let Some(geoip) = plugins.table("geoip", files)? else { return Ok(Maps::new()) };
    let mut maps = Maps::new();
    let empty = Table::default();
    for entry in &geoip.table("maps", files)?.unwrap_or(&empty).entries {
        maps.insert(entry.key.clone(), map(entry, files, imported)?);
    }
    Ok(maps)
}

fn map(entry: &Entry, files: &mut Files, imported: &mut Imported) -> Result<Map, Failure> {
    let table = entry.value.table(files)?;
    let Some(datacenters) = table.get("datacenters") else {
        let message = format!("the map '{}' has no datacenters", entry.key);
        return Err(files.problem(entry.at, message, None));
    };
    let datacenters = datacenters.texts(files)?;
    let points = points(table, files)?;
    let automatic = !points.is_empty();
    differences(entry, table, points.len(), files, imported)?;
    // Before anything else is borrowed from the files: it may be one of its own.
    let nets = match table.get("nets") {
        Some(Value { kind: Kind::Text(name), .. }) => {
            vscf::read(&Path::new(FOLDER).join(name), files)?
        }
        Some(value) => value.clone(),
        None => Value { at: entry.at, kind: Kind::Table(Table::default()) },
    };
    let lists = Lists { datacenters: &datacenters, automatic, files };
    let mut places =
        Places { lists: &lists, imported, countries: Vec::new(), continents: Vec::new() };
    let mut default = match automatic {
        true => List::Auto,
        false => List::These(datacenters.clone()),
    };
    if let Some(value) = table.get("map")
        && let Some(own) = places.top(value.table(files)?)?
    {
        default = own;
    }
    let Places { countries, continents, .. } = places;
    let mut rules = Vec::new();
    for (nets, list) in networks::rules(lists.nets(&nets)?) {
        rules.push((nets.iter().map(IpNet::to_string).collect(), list));
    }
    rules.extend(together(countries));
    rules.extend(together(continents));
    rules.push((vec!["all".to_owned()], default));
    Ok(Map { points, rules })
}

/// What is different here, whatever the map says.
fn differences(
    entry: &Entry,
    table: &Table,
    points: usize,
    files: &Files,
    imported: &mut Imported,
) -> Result<(), Failure> {
    let at = files.place(entry.at);
    if let Some(database) = table.text("geoip2_db", files)? {
        let database = format!("{FOLDER}/{database}");
        if !imported.settings.databases.contains(&database) {
            imported.settings.databases.push(database);
        }
        let what = "geoip2_db";
        let why = "without [geo] database the built-in country database is used";
        let instead = "name the same file in [geo] database to have the same places";
        imported.findings.note(at.clone(), what, why, instead);
    }
    if table.flag("ignore_ecs", files)? == Some(true) {
        let why = "client subnets are always looked at";
        let instead = "nothing: answers only become better for clients of far resolvers";
        imported.findings.changed(at.clone(), "ignore_ecs = true", why, instead);
    }
    let limit: usize = table.number("auto_dc_limit", files)?.unwrap_or(3);
    if limit != 0 && limit < points {
        let what = format!("auto_dc_limit = {limit}");
        let why = "when the nearest are all down, the next nearest are answered";
        imported.findings.changed(at, &what, why, "nothing, or write a fence");
    }
    Ok(())
}

/// `auto_dc_coords`.
fn points(table: &Table, files: &Files) -> Result<BTreeMap<String, Point>, Failure> {
    let mut points = BTreeMap::new();
    let Some(coordinates) = table.table("auto_dc_coords", files)? else { return Ok(points) };
    for entry in &coordinates.entries {
        let [latitude, longitude] = entry.value.list() else {
            let help = Some("[ 50.1, 8.7 ]");
            return Err(files.problem(entry.at, "a latitude and a longitude are expected", help));
        };
        let point = Point::new(latitude.number(files)?, longitude.number(files)?);
        let point = point.map_err(|error| files.problem(entry.at, error.to_string(), None))?;
        points.insert(entry.key.clone(), point);
    }
    Ok(points)
}

/// What lists of datacenters may be.
struct Lists<'a> {
    datacenters: &'a [String],
    automatic: bool,
    files: &'a Files,
}

impl Lists<'_> {
    fn list(&self, value: &Value) -> Result<List, Failure> {
        let names = value.texts(self.files)?;
        if names == ["auto"] && self.automatic {
            return Ok(List::Auto);
        }
        match names.iter().find(|name| !self.datacenters.contains(name)) {
            Some(name) => {
                let message = format!("'{name}' is none of the map's datacenters");
                Err(self.files.problem(value.at, message, None))
            }
            None => Ok(List::These(names)),
        }
    }

    fn nets(&self, value: &Value) -> Result<Vec<(IpNet, List)>, Failure> {
        let table = value.table(self.files)?;
        if table.entries.len() > MAX_NETS {
            let message = format!("{} nets; at most {MAX_NETS} are taken", table.entries.len());
            return Err(self.files.problem(value.at, message, None));
        }
        let net = |entry: &Entry| {
            let net = entry.key.parse().ok().map(native);
            let net = net.filter(|net: &IpNet| net.addr() == net.network());
            let help = Some("address/length without bits past the length, e.g. 192.0.2.0/24");
            let message = || format!("'{}' is no network", entry.key);
            let net = net.ok_or_else(|| self.files.problem(entry.at, message(), help))?;
            Ok((net, self.list(&entry.value)?))
        };
        table.entries.iter().map(net).collect()
    }
}

/// gdnsd has IPv4 networks as `::/96` too.
fn native(net: IpNet) -> IpNet {
    match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 && v6.network().segments()[..6] == [0; 6] => {
            let [.., a, b, c, d] = v6.network().octets();
            let v4 = IpAddr::V4(Ipv4Addr::new(a, b, c, d));
            // The length fits: it is from 96 to 128.
            IpNet::new(v4, v6.prefix_len() - 96).unwrap_or(net)
        }
        other => other,
    }
}

/// `map`, level by level.
struct Places<'a> {
    lists: &'a Lists<'a>,
    imported: &'a mut Imported,
    countries: Vec<(String, List)>,
    continents: Vec<(String, List)>,
}

impl Places<'_> {
    /// Continents; gives the default if there is one.
    fn top(&mut self, table: &Table) -> Result<Option<List>, Failure> {
        let mut default = None;
        for entry in &table.entries {
            if entry.key == "default" {
                default = Some(self.lists.list(&entry.value)?);
                continue;
            }
            let Ok(key) = entry.key.parse::<Continent>() else {
                self.too_fine(entry, "no continent of MaxMind's databases");
                continue;
            };
            let own = match &entry.value.kind {
                Kind::Table(table) => self.countries(table)?,
                _ => Some(self.lists.list(&entry.value)?),
            };
            self.continents.extend(own.map(|own| (continent(key), own)));
        }
        Ok(default)
    }

    /// Countries of a continent; gives its default.
    fn countries(&mut self, table: &Table) -> Result<Option<List>, Failure> {
        let mut default = None;
        for entry in &table.entries {
            let country = entry.key.parse::<geo::Country>().ok().and_then(country);
            match (&country, &entry.value.kind) {
                _ if entry.key == "default" => default = Some(self.lists.list(&entry.value)?),
                (None, _) => self.too_fine(entry, "no country (ISO 3166-1)"),
                (Some(country), Kind::Table(inner)) => {
                    for entry in &inner.entries {
                        match entry.key.as_str() {
                            "default" => {
                                let list = self.lists.list(&entry.value)?;
                                self.countries.push((country.clone(), list));
                            }
                            _ => self.too_fine(entry, "a subdivision or a city"),
                        }
                    }
                }
                (Some(country), _) => {
                    let list = self.lists.list(&entry.value)?;
                    self.countries.push((country.clone(), list));
                }
            }
        }
        Ok(default)
    }

    fn too_fine(&mut self, entry: &Entry, why: &str) {
        let at = self.lists.files.place(entry.at);
        let what = format!("'{}' of the map", entry.key);
        let why =
            format!("it is {why}; clients are told apart by continent, country, ASN and network");
        let instead = "add the networks of that place to the rule; or give the datacenters locations \
                       and go by distance";
        self.imported.findings.left_out(at, &what, &why, instead);
    }
}

/// Places that exclude each other and have the same list are one rule.
fn together(places: Vec<(String, List)>) -> Vec<(Vec<String>, List)> {
    let mut rules: Vec<(Vec<String>, List)> = Vec::new();
    for (place, list) in places {
        match rules.iter_mut().find(|(_, known)| *known == list) {
            Some((places, _)) => places.push(place),
            None => rules.push((vec![place], list)),
        }
    }
    rules
}
