//! `service_types`: how targets are checked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::import::files::{At, Files};
use crate::import::service::Check;
use crate::import::vscf::Table;
use crate::import::{Failure, Imported, Probe};

/// gdnsd.config(5): what a service type has unless it says otherwise.
const INTERVAL: u32 = 10;
const UP_THRESH: u32 = 20;
const DOWN_THRESH: u32 = 10;
/// Likewise, the longest.
const MAX_INTERVAL: u32 = 255;

/// A service type.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// Never checked, always up.
    Up,
    /// Always down.
    Down,
    /// Something listens on this port.
    Tcp(u16),
    /// Checked by something that has no counterpart.
    Unknown,
}

/// All of them, by name.
#[derive(Debug)]
pub(super) struct Checks {
    kinds: BTreeMap<String, (Kind, Option<Probe>, Option<At>)>,
    told: BTreeSet<String>,
}

impl Checks {
    pub(super) fn read(
        types: &Table,
        files: &Files,
        imported: &mut Imported,
    ) -> Result<Self, Failure> {
        let mut kinds = BTreeMap::new();
        kinds.insert("up".to_owned(), (Kind::Up, None, None));
        kinds.insert("down".to_owned(), (Kind::Down, None, None));
        for entry in &types.entries {
            let table = entry.value.table(files)?;
            let kind = kind(&entry.key, entry.at, table, files, imported)?;
            let interval =
                table.number("interval", files)?.unwrap_or(INTERVAL).clamp(1, MAX_INTERVAL);
            let probe = Probe {
                interval,
                timeout: table.number("timeout", files)?.unwrap_or(interval / 2).clamp(1, interval),
                rise: table.number("up_thresh", files)?.unwrap_or(UP_THRESH).max(1),
                fall: table.number("down_thresh", files)?.unwrap_or(DOWN_THRESH).max(1),
            };
            kinds.insert(entry.key.clone(), (kind, Some(probe), Some(entry.at)));
        }
        Ok(Self { kinds, told: BTreeSet::new() })
    }

    /// The check of an address that has these service types, all of which must be well.
    pub(super) fn of(
        &mut self,
        types: &[String],
        address: IpAddr,
        at: &str,
        files: &Files,
        imported: &mut Imported,
    ) -> Option<Check> {
        let mut ports = BTreeSet::new();
        for name in types {
            let Some((kind, probe, own)) = self.kinds.get(name).cloned() else {
                let what = format!("the service type '{name}'");
                let why = "it is not defined, and gdnsd would not start";
                imported.findings.left_out(at, &what, why, "define it, or write a check yourself");
                continue;
            };
            match kind {
                Kind::Tcp(port) => {
                    ports.insert(port);
                    rhythm(probe, own, files, imported);
                }
                Kind::Down => {
                    let what = format!("{address} being always down");
                    let why = "no endpoint is down by its configuration";
                    let instead = "leave the endpoint out, or use `geoip force down` for a while";
                    imported.findings.changed(at, &what, why, instead);
                }
                Kind::Up | Kind::Unknown => {}
            }
        }
        let port = *ports.first()?;
        if ports.len() > 1 && self.told.insert(types.join(" ")) {
            let what = format!("all but the first of the service types {}", types.join(", "));
            let why = "an endpoint has one check";
            let instead = "check what fails first, or run geoping beside the service and ping that";
            imported.findings.changed(at, &what, why, instead);
        }
        Some(Check::Tcp(SocketAddr::new(address, port)))
    }
}

fn rhythm(probe: Option<Probe>, own: Option<At>, files: &Files, imported: &mut Imported) {
    let (Some(probe), Some(own)) = (probe, own) else { return };
    let at = files.place(own);
    if imported.settings.probe.is_none() {
        let what = "ok_thresh: failures that are not in a row add up until then";
        let why = "a target goes down after `fall` failures in a row";
        let instead = "lower [probe] fall for targets that fail now and then";
        imported.findings.changed(at.clone(), what, why, instead);
    }
    imported.probe(probe, &at);
}

fn kind(
    name: &str,
    at: At,
    table: &Table,
    files: &Files,
    imported: &mut Imported,
) -> Result<Kind, Failure> {
    let Some(plugin) = table.text("plugin", files)? else {
        let message = format!("the service type '{name}' has no plugin");
        return Err(files.problem(at, message, None));
    };
    let place = files.place(at);
    let what = format!("the service type '{name}', by {plugin}");
    Ok(match plugin {
        "tcp_connect" => match table.number("port", files)? {
            Some(port) => Kind::Tcp(port),
            None => return Err(files.problem(at, "tcp_connect needs a port", None)),
        },
        "http_status" => {
            let port = table.number("port", files)?.unwrap_or(80);
            let why =
                "pages are checked over HTTPS only, so here it is checked that the port answers";
            let instead = "serve the page over HTTPS and use check = { https = \"…\" }, \
                           or run geoping beside the service";
            imported.findings.changed(place, &what, why, instead);
            Kind::Tcp(port)
        }
        "static" if table.text("state", files)?.is_some_and(|s| s.eq_ignore_ascii_case("down")) => {
            Kind::Down
        }
        "static" => Kind::Up,
        "null" => Kind::Down,
        _ => {
            let why = "this server runs no commands and reads no states from files";
            let instead = "run geoping beside the service, which can look at it, and set `ping`; \
                           until then its endpoints count as up";
            imported.findings.left_out(place, &what, why, instead);
            Kind::Unknown
        }
    })
}
