//! geodns (github.com/abh/geodns): zones as JSON, in which a label may be meant for clients of a
//! country, a continent, a network or an ASN.
//!
//! | geodns | here |
//! |---|---|
//! | a label with records that are all answered | a master file |
//! | more records than `max_hosts`, or host names | `weighted`, `take` |
//! | `www.europe`, `www.de`, `www.[192.0.2.0]` | a `fence`: these records for those clients |
//! | `closest` | `nearest` within 5 % |
//! | `alias` | `alias` of a service, or copied records |
//! | `serial`, `ttl`, `contact`, `max_hosts` | SOA, TTLs, `take` |
//!
//! After its README ("Weighted records", "Zone format", "Zone targeting options").

mod hosts;
mod labels;
mod raw;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use dns::name::Name;

use super::zone::{Records, Zone};
use super::{Failure, Imported, route53};
use hosts::Hosts;
use raw::{RawZone, Rtype};

/// Of NS records that say nothing else.
const NS_TTL: u32 = 86_400;

/// Imports a zone's file, or all `*.json` of a folder; a file is called like its zone.
///
/// # Errors
/// Files that cannot be read or are no zones.
pub(crate) fn import(path: &Path) -> Result<Imported, Failure> {
    let (mut files, paths) = route53::documents(path)?;
    let mut imported = Imported::default();
    for path in paths {
        let file = files.read(&path)?;
        let name = files.name(file).to_owned();
        let wrong = |why: String| Failure::Unread(format!("{name}: {why}"));
        let apex =
            apex(&path).ok_or_else(|| wrong("its name is no zone's: NAME.json".to_owned()))?;
        let raw = RawZone::read(files.text(file)).map_err(wrong)?;
        let serial = raw.serial.or_else(|| files.modified(&path)).unwrap_or(1);
        zone(&apex, serial, &raw, &mut imported);
    }
    Ok(imported.settle())
}

fn apex(path: &Path) -> Option<Name> {
    let stem: PathBuf = path.file_stem()?.into();
    stem.to_str()?.parse().ok()
}

fn zone(apex: &Name, serial: u32, raw: &RawZone, imported: &mut Imported) {
    let mut records = Records::default();
    soa(apex, serial, raw, &mut records);
    for what in &raw.unknown {
        let why = "this zone option has no counterpart";
        imported.findings.left_out(apex.to_string(), what, why, "nothing, if it was for logs");
    }
    let mut hosts = Hosts { apex, raw, records: &mut records, imported };
    hosts.run();
    let text = records.text();
    imported.zones.push(Zone::new(apex.clone(), text));
}

/// As geodns makes it.
fn soa(apex: &Name, serial: u32, raw: &RawZone, records: &mut Records) {
    let first = raw.labels.get("").and_then(|label| label.records.get(&Rtype::Ns)?.first());
    let primary = first.map_or_else(|| absolute("ns", apex), |record| record.data.clone());
    let contact = match &raw.contact {
        Some(contact) => format!("{}.", contact.trim_end_matches('.').replacen('@', ".", 1)),
        None => absolute("hostmaster", apex),
    };
    let ttl = match raw.ttl.saturating_mul(10).min(3600) {
        0 => 600,
        ttl => ttl,
    };
    let data = format!("{primary} {contact} {serial} 5400 5400 1209600 3600");
    records.add(apex, ttl, "SOA", &data);
}

/// A name of the zone in text.
fn absolute(label: &str, apex: &Name) -> String {
    let apex = apex.to_string();
    format!("{label}.{}", apex.trim_start_matches('.'))
}
