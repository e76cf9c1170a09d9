//! gdnsd 3.x: its configuration, its plugins' resources, and its zone files.
//!
//! | gdnsd | here |
//! |---|---|
//! | a zone file | a master file; `DYNA` and `DYNC` become services |
//! | `DYNA`'s TTL `MAX/MIN` | `ttl`, `ttl_min` |
//! | geoip: a map's datacenters | regions |
//! | geoip: `map`, `nets`, `default` | `nearest`'s `prefer`; lists that leave datacenters out also a `fence` |
//! | geoip: `auto_dc_coords` | the regions' locations and `nearest` |
//! | metafo, simplefo | `failover` with tiers |
//! | multifo | `healthy` with `min_healthy`, `take` |
//! | weighted | `weighted`, `take` |
//! | static | records |
//! | `service_types` of tcp_connect, http_status | `check`, `[probe]` |
//!
//! After gdnsd.config(5), gdnsd.zonefile(5) and the plugins' own manual pages.

mod checks;
mod maps;
mod meta;
mod options;
mod resources;
mod scan;
#[cfg(test)]
mod tests;
mod weighted;
mod zonefile;

use std::path::{Path, PathBuf};

use dns::name::Name;

use super::files::Files;
use super::vscf::{self, Table};
use super::{Failure, Imported};
use resources::Resources;

/// Name of the configuration file in its folder.
const CONFIG: &str = "config";
/// Folder of the zone files.
const ZONES: &str = "zones";

/// Imports a configuration folder, or the configuration file in it.
///
/// # Errors
/// Files that cannot be read, and what gdnsd itself would not take.
pub(crate) fn import(path: &Path) -> Result<Imported, Failure> {
    let (root, config) = match path.is_dir() {
        true => (path, PathBuf::from(CONFIG)),
        false => (
            path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")),
            path.file_name().map(PathBuf::from).unwrap_or_default(),
        ),
    };
    let mut files = Files::below(root)?;
    let has_zones = files.has_folder(Path::new(ZONES));
    // Both are optional to gdnsd; without either there is nothing to import.
    let top = match root.join(&config).exists() || !has_zones {
        true => Some(vscf::read(&config, &mut files)?),
        false => None,
    };
    let empty = Table::default();
    let top = top.as_ref().map(|top| top.table(&files)).transpose()?.cloned().unwrap_or_default();
    for entry in &top.entries {
        if !["options", "service_types", "plugins"].contains(&entry.key.as_str()) {
            let help = Some("the top of gdnsd's file has options, service_types and plugins");
            let message = format!("gdnsd knows no '{}' here", entry.key);
            return Err(files.problem(entry.at, message, help));
        }
    }
    let plugins = top.table("plugins", &files)?.unwrap_or(&empty).clone();
    let mut imported = Imported::default();
    let maps = maps::load(&plugins, &mut files, &mut imported)?;
    let defaults =
        options::options(top.table("options", &files)?.unwrap_or(&empty), &files, &mut imported)?;
    let types = top.table("service_types", &files)?.unwrap_or(&empty);
    let checks = checks::Checks::read(types, &files, &mut imported)?;
    let mut resources = Resources { plugins: &plugins, maps, checks };
    if has_zones {
        for path in files.in_folder(Path::new(ZONES))? {
            let Some(apex) = apex(&path) else {
                let what = "a zone";
                let why = "the file's name is no domain name";
                let at = path.display().to_string();
                imported.findings.left_out(at, what, why, "rename it to the zone's name");
                continue;
            };
            zonefile::import(&path, &apex, defaults, &mut files, &mut resources, &mut imported)?;
        }
    }
    Ok(imported.settle())
}

/// gdnsd(8), "FILES": the name is the zone's; `@` stands for `/`.
fn apex(path: &Path) -> Option<Name> {
    let name = path.file_name()?.to_str()?;
    match name {
        "ROOT_ZONE" => Some(Name::root()),
        name => name.replace('@', "/").parse().ok(),
    }
}
