//! metafo and geoip: datacenters, each of which is an address, a list, another plugin's resource, or
//! a host name (gdnsd-plugin-metafo(8), "PER-DATACENTER RESOLUTION").

use std::collections::BTreeMap;
use std::net::IpAddr;

use geo::Point;

use super::maps::{List, Map};
use super::resources::{Inherited, Reader};
use crate::import::Failure;
use crate::import::choice::{Answer, Choice, Order, Place, PlaceRule};
use crate::import::service::Data;
use crate::import::vscf::{Entry, Kind, Table};

pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    plugin: &str,
    config: &Table,
    resource: &str,
    at: &str,
    depth: usize,
) -> Result<Option<Choice>, Failure> {
    // `resource/datacenter` is that datacenter alone.
    let (name, alone) = match resource.split_once('/') {
        Some((name, alone)) => (name, Some(alone)),
        None => (resource, None),
    };
    let resources = config.table("resources", reader.files)?;
    let Some(entry) = resources.and_then(|resources| resources.entry(name)) else {
        let what = format!("{plugin}!{resource}");
        let why = "the plugin's configuration has no such resource";
        reader.imported.findings.left_out(at, &what, why, "write the name's service yourself");
        return Ok(None);
    };
    let table = entry.value.table(reader.files)?;
    let inherited = Inherited::default().with(config, reader.files)?.with(table, reader.files)?;
    let Some(dcmap) = table.table("dcmap", reader.files)? else {
        return Err(reader.files.problem(entry.at, format!("'{name}' has no dcmap"), None));
    };
    let skip = table.flag("skip_first", reader.files)?;
    let skip = skip.or(config.flag("skip_first", reader.files)?) == Some(true);
    if let Some(alone) = alone {
        return match dcmap.entry(alone) {
            Some(entry) => datacenter(reader, entry, &inherited, depth),
            None => {
                let why = "the resource has no such datacenter";
                let instead = "write the name's service yourself";
                reader.imported.findings.left_out(at, resource, why, instead);
                Ok(None)
            }
        };
    }
    match plugin {
        "metafo" => metafo(reader, entry, table, dcmap, &inherited, skip, depth),
        _ => geoip(reader, entry, table, dcmap, &inherited, skip, depth),
    }
}

/// The first datacenter that is up.
fn metafo(
    reader: &mut Reader<'_, '_>,
    entry: &Entry,
    table: &Table,
    dcmap: &Table,
    inherited: &Inherited,
    skip: bool,
    depth: usize,
) -> Result<Option<Choice>, Failure> {
    let Some(order) = table.get("datacenters") else {
        let message = format!("'{}' has no datacenters", entry.key);
        return Err(reader.files.problem(entry.at, message, None));
    };
    let mut names = order.texts(reader.files)?;
    if skip && names.len() > 1 {
        names.remove(0);
    }
    let mut of = Vec::new();
    for name in names {
        let Some(entry) = dcmap.entry(&name) else {
            let message = format!("dcmap has no '{name}'");
            return Err(reader.files.problem(order.at, message, None));
        };
        let choice = datacenter(reader, entry, inherited, depth)?;
        of.extend(choice.map(|choice| (name, choice)));
    }
    Ok(match of.len() {
        0 => None,
        1 => of.pop().map(|(_, choice)| choice),
        _ => Some(Choice::Failover(of)),
    })
}

/// The first datacenter that is up, in an order that depends on the client.
fn geoip(
    reader: &mut Reader<'_, '_>,
    entry: &Entry,
    table: &Table,
    dcmap: &Table,
    inherited: &Inherited,
    skip: bool,
    depth: usize,
) -> Result<Option<Choice>, Failure> {
    let map = table.text("map", reader.files)?.unwrap_or_default();
    let Some(Map { points, rules }) = reader.resources.maps.get(map).cloned() else {
        let message = format!("'{}' has no map, or there is no map '{map}'", entry.key);
        return Err(reader.files.problem(entry.at, message, None));
    };
    let at = reader.files.place(entry.at);
    let mut of = Vec::new();
    let mut regions = BTreeMap::new();
    for entry in &dcmap.entries {
        let Some(choice) = datacenter(reader, entry, inherited, depth)? else { continue };
        let region = match points.get(&entry.key) {
            Some(point) => reader.imported.regions.at(&entry.key, *point),
            None => reader.imported.regions.named(&entry.key),
        };
        regions.insert(entry.key.clone(), region.clone());
        of.push((region, choice));
    }
    let mut place = Place { of, take: 1, ..Place::default() };
    for (clients, list) in rules {
        let order = match list {
            List::Auto => {
                if skip {
                    let what = "skip_first with automatic lists";
                    let why = "the nearest is always answered when it is up";
                    let instead = "leave datacenters out of this name's endpoints";
                    reader.imported.findings.changed(at.clone(), what, why, instead);
                }
                automatic(&points, &regions)
            }
            List::These(mut names) => {
                names.retain(|name| regions.contains_key(name));
                if skip && names.len() > 1 {
                    names.remove(0);
                }
                if names.is_empty() {
                    let what = format!("an empty list for {}", clients.join(", "));
                    let why = "clients that may have nothing are answered REFUSED, not NODATA";
                    let instead = "give them an address with refuse = [\"…\"] in that rule";
                    reader.imported.findings.changed(at.clone(), &what, why, instead);
                }
                Order::Only(names.iter().map(|name| regions[name].clone()).collect())
            }
        };
        place.rules.push(PlaceRule { clients, order });
    }
    Ok((!place.of.is_empty()).then_some(Choice::Place(place)))
}

/// Datacenters without coordinates are never chosen by distance.
fn automatic(points: &BTreeMap<String, Point>, regions: &BTreeMap<String, String>) -> Order {
    let near: Vec<String> = regions
        .iter()
        .filter(|(name, _)| points.contains_key(*name))
        .map(|(_, region)| region.clone())
        .collect();
    match near.len() == regions.len() {
        true => Order::Distance,
        false => Order::Near(near),
    }
}

fn datacenter(
    reader: &mut Reader<'_, '_>,
    entry: &Entry,
    inherited: &Inherited,
    depth: usize,
) -> Result<Option<Choice>, Failure> {
    let at = reader.files.place(entry.at);
    let value = &entry.value;
    match &value.kind {
        Kind::Text(text) => match text.split_once('!') {
            Some((plugin, resource)) => {
                let plugin = plugin.trim_start_matches('%');
                let plugin = match plugin {
                    "" => inherited.plugin.as_deref().unwrap_or("multifo"),
                    named => named,
                };
                reader.resource(plugin, resource, &at, depth + 1)
            }
            None if text.parse::<IpAddr>().is_ok() => {
                reader.multifo(value, inherited, &at).map(Some)
            }
            None => {
                let answer = Answer { data: Data::of_cname(reader.host(value)?), check: None };
                Ok(Some(Choice::One(answer)))
            }
        },
        Kind::Array(_) => reader.multifo(value, inherited, &at).map(Some),
        Kind::Table(table) => {
            let own = inherited.with(table, reader.files)?;
            let plugin = own.plugin.clone().unwrap_or_else(|| "multifo".to_owned());
            if plugin == "metafo" {
                return synthesized(reader, entry, table, &own, depth);
            }
            reader.plain(&plugin, entry, &own)
        }
    }
}

/// A metafo within a geoip, written in place.
fn synthesized(
    reader: &mut Reader<'_, '_>,
    entry: &Entry,
    table: &Table,
    own: &Inherited,
    depth: usize,
) -> Result<Option<Choice>, Failure> {
    let Some(dcmap) = table.table("dcmap", reader.files)? else {
        return Err(reader.files.problem(entry.at, "a metafo without dcmap", None));
    };
    if depth > 8 {
        return Err(reader.files.problem(
            entry.at,
            "metafos within metafos, over eight deep",
            None,
        ));
    }
    let skip = table.flag("skip_first", reader.files)? == Some(true);
    let own = Inherited { plugin: None, ..own.clone() };
    metafo(reader, entry, table, dcmap, &own, skip, depth + 1)
}
