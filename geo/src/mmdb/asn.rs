//! Autonomous systems from database files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::SystemTime;

use super::record::Record;
use super::{MmdbError, networks, open};
use crate::marks::Listed;
use crate::{ListSet, TableBuilder};

/// What a file of autonomous systems held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedAsns {
    /// The networks of systems that are in a list.
    pub records: usize,
    /// Systems that are in a list and not in the file: a typing mistake, or a file of the other
    /// address family.
    pub missing: BTreeSet<u32>,
    /// When its maker built it.
    pub build_epoch: SystemTime,
    /// What its maker calls it, such as `GeoLite2-ASN`.
    pub database_type: String,
}

/// Reads a database file of autonomous systems, of which only those that are in the builder's
/// [lists](TableBuilder::with_lists) are kept. Of several files each adds to the others.
///
/// The number is looked for in `autonomous_system_number`, at the top or in `traits`, and in
/// `asn`, as a number or as text with or without `AS`.
///
/// # Errors
///
/// A damaged file, or one in which no record has such a number. The builder is as it was before.
pub fn load_asns(
    bytes: impl AsRef<[u8]>,
    into: &mut TableBuilder,
) -> Result<LoadedAsns, MmdbError> {
    let reader = open(bytes.as_ref())?;
    let metadata = reader.metadata();
    let wanted = into.lists().by_asn();
    let mut systems = Systems::new(&wanted);
    let mut listed = Listed::default();
    for network in networks(&reader)? {
        let network = network?;
        let Some(offset) = network.offset() else { continue };
        let lists = match systems.decoded.get(&offset) {
            Some(&known) => known,
            None => systems.lists(offset, &network.decode()?.unwrap_or_default()),
        };
        if lists.is_empty() {
            continue;
        }
        let prefix = network.network()?;
        match prefix.network() {
            IpAddr::V4(start) => listed.v4.push((start.into(), prefix.prefix(), lists)),
            IpAddr::V6(start) => listed.v6.push((start.into(), prefix.prefix(), lists)),
        }
    }
    if !systems.any {
        let database_type = metadata.database_type.clone();
        let found = systems.fields.into_iter().collect();
        return Err(MmdbError::NoAsn { database_type, found });
    }
    let missing = wanted.keys().copied().filter(|number| !systems.seen.contains(number));
    let loaded = LoadedAsns {
        records: listed.v4.len() + listed.v6.len(),
        missing: missing.collect(),
        build_epoch: metadata.build_time()?,
        database_type: metadata.database_type.clone(),
    };
    into.asns(listed);
    Ok(loaded)
}

/// One pass over a file.
struct Systems<'w> {
    wanted: &'w BTreeMap<u32, ListSet>,
    /// By offset in the file's data section: networks share records, and decoding is dear.
    decoded: HashMap<usize, ListSet>,
    seen: BTreeSet<u32>,
    /// Any record has a number, wanted or not.
    any: bool,
    fields: BTreeSet<String>,
}

impl Systems<'_> {
    fn new(wanted: &BTreeMap<u32, ListSet>) -> Systems<'_> {
        Systems {
            wanted,
            decoded: HashMap::new(),
            seen: BTreeSet::new(),
            any: false,
            fields: BTreeSet::new(),
        }
    }

    fn lists(&mut self, offset: usize, record: &Record<'_>) -> ListSet {
        let number = record.asn();
        if !self.any {
            record.list_fields(&mut self.fields);
        }
        self.any |= number.is_some();
        let known = number.and_then(|number| Some((number, *self.wanted.get(&number)?)));
        self.seen.extend(known.map(|(number, _)| number));
        let lists = known.map_or(ListSet::NONE, |(_, lists)| lists);
        self.decoded.insert(offset, lists);
        lists
    }
}
