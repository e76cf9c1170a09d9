//! Amazon Route 53: what `aws route53 list-resource-record-sets` prints, and beside it, where they
//! are wanted, the outputs of `list-hosted-zones` (or `get-hosted-zone`), `list-health-checks` and
//! `list-cidr-blocks`.
//!
//! | Route 53 | here |
//! |---|---|
//! | simple records | a master file |
//! | Weighted | `weighted` |
//! | Latency | `nearest`, the regions being Amazon's |
//! | Geolocation, IP-based | `nearest` with `prefer`, and a `fence` |
//! | Geoproximity with bias | `nearest` with `bias` |
//! | Failover | `failover` with tiers |
//! | Multivalue answer | `healthy`, `take = 8` |
//! | an alias to records of the zone | what those records are; within a policy they are put in its place |
//! | an alias to something of Amazon's | a CNAME |
//! | health checks | `check`, `[probe]` |
//!
//! After the Route 53 API reference (ResourceRecordSet) and the developer guide ("Choosing a routing
//! policy", "How Amazon Route 53 chooses records when health checking is configured").

mod health;
mod raw;
#[cfg(test)]
mod tests;
mod text;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use dns::name::Name;

use super::choice::MAX_FOLLOWED;
use super::files::Files;
use super::service::{Body, Service};
use super::zone::{Records, Zone};
use super::{Failure, Imported};
use health::Checks;
use raw::{CidrBlock, Document, RecordSet};
use tree::Tree;

/// What Amazon's own answers to aliases have.
const ALIAS_TTL: u32 = 60;

/// The records of a hosted zone, by name and type.
type Sets = BTreeMap<Name, BTreeMap<String, Vec<RecordSet>>>;

/// Imports a file, or all `*.json` of a folder.
///
/// # Errors
/// Files that cannot be read or are no output of these commands.
pub(crate) fn import(path: &Path) -> Result<Imported, Failure> {
    let (mut files, paths) = documents(path)?;
    let mut hosted = Vec::new();
    let mut pages = Vec::new();
    let mut checks = Checks::default();
    let mut blocks: Vec<CidrBlock> = Vec::new();
    let mut imported = Imported::default();
    for path in paths {
        let file = files.read(&path)?;
        let document = Document::read(files.text(file))
            .map_err(|why| Failure::Unread(format!("{}: {why}", files.name(file))))?;
        let name = files.name(file).to_owned();
        if document.is_cut() {
            let what = "the rest of the list";
            let why = "this is one page of several";
            let instead = "export without --max-items, or put all pages into one folder";
            imported.findings.left_out(name.clone(), what, why, instead);
        }
        hosted.extend(document.hosted_zones.into_iter().chain(document.hosted_zone));
        checks.add(document.health_checks);
        blocks.extend(document.cidr_blocks);
        if let Some(sets) = document.resource_record_sets {
            pages.push((name, sets));
        }
    }
    if pages.is_empty() {
        let why = "no output of `aws route53 list-resource-record-sets` in it";
        return Err(Failure::Unread(format!("{}: {why}", path.display())));
    }
    let apexes: Vec<Name> = hosted.iter().filter_map(|zone| text::name(&zone.name).ok()).collect();
    let zones = zones(pages, apexes, &mut imported)?;
    collections(&zones, &mut imported);
    for (apex, sets) in zones {
        zone(&apex, &sets, &mut checks, &blocks, &mut imported);
        let private = |zone: &&raw::HostedZone| {
            zone.is_private() && text::name(&zone.name).ok().as_ref() == Some(&apex)
        };
        if hosted.iter().any(|zone| private(&zone)) {
            let what = "its being private";
            let why = "networks of a VPC are not known here";
            let instead = "name them in the zone's allow = [\"10.0.0.0/8\"]";
            imported.findings.changed(apex.to_string(), what, why, instead);
        }
    }
    Ok(imported.settle())
}

/// What `list-cidr-blocks` prints does not say of which collection it is.
fn collections(zones: &BTreeMap<Name, Sets>, imported: &mut Imported) {
    let sets = zones.values().flat_map(BTreeMap::values).flat_map(BTreeMap::values).flatten();
    let named: BTreeSet<&str> = sets
        .filter_map(|set| Some(set.cidr_routing_config.as_ref()?.collection_id.as_str()))
        .collect();
    if named.len() > 1 {
        let what = format!("{} collections of networks", named.len());
        let why = "lists of networks do not say of which collection they are, so locations of the \
                   same name are one";
        let instead = "import the zones of one collection at a time, or compare the rules";
        imported.findings.changed("CidrRoutingConfig", &what, why, instead);
    }
}

/// The files that `path` means.
pub(super) fn documents(path: &Path) -> Result<(Files, Vec<PathBuf>), Failure> {
    if path.is_dir() {
        let files = Files::below(path)?;
        let mut paths = files.in_folder(Path::new(""))?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        if paths.is_empty() {
            return Err(Failure::Unread(format!("{}: there is no *.json in it", path.display())));
        }
        return Ok((files, paths));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let files = Files::below(folder.unwrap_or(Path::new(".")))?;
    Ok((files, path.file_name().map(PathBuf::from).into_iter().collect()))
}

/// Which records belong to which zone: a file is of the zone whose SOA is in it, a further page of
/// the longest zone that all its names are in.
fn zones(
    pages: Vec<(String, Vec<RecordSet>)>,
    mut apexes: Vec<Name>,
    imported: &mut Imported,
) -> Result<BTreeMap<Name, Sets>, Failure> {
    let mut named = Vec::new();
    for (file, sets) in pages {
        let mut list = Vec::with_capacity(sets.len());
        for set in sets {
            match text::name(&set.name) {
                Ok(name) => list.push((name, set)),
                Err(why) => {
                    let instead = "write it yourself";
                    imported.findings.left_out(set.at(), "the record", &why, instead);
                }
            }
        }
        let own = list.iter().find(|(_, set)| set.rtype == "SOA").map(|(name, _)| name.clone());
        apexes.extend(own.clone());
        named.push((file, own, list));
    }
    let mut zones: BTreeMap<Name, Sets> = BTreeMap::new();
    for (file, own, list) in named {
        let holds = |apex: &&Name| list.iter().all(|(name, _)| name.is_subdomain_of(apex));
        let longest = apexes.iter().filter(holds).max_by_key(|apex| apex.label_count());
        let Some(apex) = own.or_else(|| longest.cloned()) else {
            let why = "nothing says which zone these records are of: there is no SOA among them; add \
                       the output of `aws route53 list-hosted-zones`";
            return Err(Failure::Unread(format!("{file}: {why}")));
        };
        let sets = zones.entry(apex).or_default();
        for (name, set) in list {
            sets.entry(name).or_default().entry(set.rtype.clone()).or_default().push(set);
        }
    }
    Ok(zones)
}

fn zone(
    apex: &Name,
    sets: &Sets,
    checks: &mut Checks,
    blocks: &[CidrBlock],
    imported: &mut Imported,
) {
    let mut records = Records::default();
    let mut aliases = Vec::new();
    // The SOA first, and the apex before what is below it: names are in canonical order.
    for (name, types) in sets {
        let mut policies = BTreeSet::new();
        for (rtype, list) in types {
            if list.iter().any(RecordSet::has_policy) {
                policies.insert(rtype.clone());
                continue;
            }
            for set in list {
                set.unknown(&mut imported.findings);
                if let Some(target) = &set.alias_target {
                    aliases.push((name, set, target));
                }
                if let Some(id) = &set.health_check_id {
                    let what = format!("the health check {id}");
                    let why =
                        "the record is the only one of its name and type, and so always answered";
                    imported.findings.note(set.at(), &what, why, "nothing");
                }
                for value in set.values() {
                    records.add(name, set.ttl(), rtype, &text::escapes(value));
                }
            }
        }
        if policies.is_empty() {
            continue;
        }
        let at = format!("{name} {}", policies.iter().cloned().collect::<Vec<_>>().join(" "));
        let ttl = tree::ttl(types, &policies);
        let ttls: BTreeSet<u32> =
            policies.iter().flat_map(|rtype| &types[rtype]).filter_map(|set| set.ttl).collect();
        if ttls.len() > 1 {
            let what = format!("TTLs of {ttls:?}");
            imported.findings.changed(&at, &what, "a service has one: the shortest", "nothing");
        }
        let mut tree = Tree { sets, checks, blocks, imported, room: MAX_FOLLOWED };
        if let Some(choice) = tree.choice(name, &policies, 0) {
            imported.serve(name.clone(), choice, (ttl, None), &at);
        }
    }
    for (name, set, target) in aliases {
        alias(apex, sets, name, set, target, &mut records, imported);
    }
    let what = "NS records and SOA";
    let why = "they still name Amazon's servers";
    let instead = "name your own, here and at the parent, when you move";
    imported.findings.note(apex.to_string(), what, why, instead);
    let text = format!("$ORIGIN .\n{}", records.text());
    imported.zones.push(Zone::new(apex.clone(), text));
}

/// An alias that is the only one of its name and type.
fn alias(
    apex: &Name,
    sets: &Sets,
    name: &Name,
    set: &RecordSet,
    target: &raw::AliasTarget,
    records: &mut Records,
    imported: &mut Imported,
) {
    let at = set.at();
    let to = match text::name(&target.dns_name) {
        Ok(to) => to,
        Err(why) => {
            imported.findings.left_out(at, "the alias", &why, "write its records yourself");
            return;
        }
    };
    if let Some(types) = sets.get(&to) {
        let list = types.get(&set.rtype).map(Vec::as_slice).unwrap_or_default();
        if let [one] = list
            && !one.has_policy()
            && one.alias_target.is_none()
        {
            let ttl = one.ttl();
            one.values().for_each(|v| records.add(name, ttl, &set.rtype, &text::escapes(v)));
            let what = format!("the alias to {to}");
            let why = "its records were copied";
            imported.findings.note(at, &what, why, "change both from now on");
            return;
        }
        let known = imported.services.iter().any(|service| service.name == *name);
        if !known && ["A", "AAAA"].contains(&set.rtype.as_str()) {
            let body = Body::Alias(to.clone());
            imported.services.push(Service { name: name.clone(), body });
        } else if !known {
            let what = format!("the alias to {to}");
            let why = "an alias answers addresses, not other types";
            imported.findings.left_out(at, &what, why, "write a service of its own");
        }
        return;
    }
    let alone = sets.get(name).is_none_or(|types| {
        types.values().flatten().all(|set| {
            set.alias_target.as_ref().is_some_and(|other| other.dns_name == target.dns_name)
        })
    });
    if name == apex || !alone {
        let what = format!("the alias to {to}");
        let why = "what Amazon has behind that name is unknown, and a CNAME cannot stand beside \
                   other records or at a zone's apex";
        let instead = "give its addresses, or make the name one that has nothing else";
        imported.findings.left_out(at, &what, why, instead);
        return;
    }
    // A and AAAA are the same CNAME: settling does not mind, a set has each record once.
    let what = format!("the alias to {to}");
    let why = "it is a CNAME now";
    imported.findings.note(at, &what, why, "nothing: clients follow it");
    records.add(name, ALIAS_TTL, "CNAME", &to.to_string());
}
