//! Database files in MaxMind's format, as several vendors fill them.
//!
//! The format says how a record is stored, not what is in it. Built in are:
//!
//! | vendor's schema | country | coordinates |
//! |---|---|---|
//! | MaxMind and those who follow it | `country.iso_code`, else `registered_country.iso_code` | `location.latitude`, `location.longitude` |
//! | flat, as DB-IP's and others' | `country_code`, else `country` | `latitude`, `longitude` |
//!
//! Any other is described by a [`Mapping`]; files of autonomous systems are for [`load_asns`]. A record may lack any of it; what a record says
//! beyond that is not looked at.
//!
//! Search trees come in two kinds. One of version 4 holds IPv4 addresses. One of version 6 holds
//! IPv6 addresses, and IPv4 ones under `::/96`; other prefixes that embed IPv4 addresses
//! (`::ffff:0:0/96`, 6to4, Teredo) may point into that same subtree, and are then not walked
//! again.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::time::SystemTime;

use maxminddb::{LookupResult, MaxMindDbError, Reader, Within, WithinOptions};
use serde::Deserialize;

use crate::{Layer, PlaceId, Source, TableBuilder};
use record::Record;

pub use asn::{LoadedAsns, load_asns};

mod asn;
mod record;
#[cfg(test)]
mod tests;
mod tree;
#[cfg(test)]
mod writer;

/// The largest file that is read: larger ones hold more than places, and a server should not
/// lose its memory to a wrong file name. It also keeps place numbers below 2²⁹.
pub const MAX_BYTES: usize = 1 << 30;

/// Which fields of a record hold what, for files of an unknown schema. What is absent is looked
/// for in the built-in schemas.
///
/// Deserialises from `{ country = "geo.iso", latitude = "geo.lat", longitude = "geo.lon" }`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mapping {
    /// Where a record has its two-letter country code.
    pub country: Option<FieldPath>,
    /// Where a record has its latitude in degrees, as a number or as text.
    pub latitude: Option<FieldPath>,
    /// Where a record has its longitude in degrees.
    pub longitude: Option<FieldPath>,
}

/// The names that lead from a record's top to a field, joined by dots: `location.latitude`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct FieldPath(String);

impl FieldPath {
    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }
}

impl TryFrom<String> for FieldPath {
    type Error = MmdbError;

    fn try_from(path: String) -> Result<FieldPath, MmdbError> {
        if path.split('.').any(str::is_empty) {
            return Err(MmdbError::FieldPath(path));
        }
        Ok(FieldPath(path))
    }
}

/// What a file held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The networks that got a place.
    pub records: usize,
    /// The distinct places among them.
    pub places: usize,
    /// The version of the search tree, 4 or 6. One of version 6 can hold IPv4 networks too.
    pub ip_version: u16,
    /// When its maker built it.
    pub build_epoch: SystemTime,
    /// What its maker calls it, such as `GeoLite2-City`.
    pub database_type: String,
}

/// Why a file was not loaded. The builder is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum MmdbError {
    /// The file is damaged, cut short, or of another format.
    #[error("not a sound MaxMind database: {0}: fetch it again")]
    Damaged(#[from] MaxMindDbError),
    /// The search tree is no tree.
    #[error("not a sound MaxMind database: several ways lead to node {0}: fetch it again")]
    NoTree(usize),
    /// The file is larger than [`MAX_BYTES`].
    #[error(
        "the file has {0} bytes, and at most {MAX_BYTES} are read: use the vendor's city or country edition"
    )]
    TooLarge(usize),
    /// Sound, but without a country or coordinates where they were looked for.
    #[error(
        "no record of this {database_type:?} database has a usable country or coordinates; its fields are {}: \
         say in the mapping which to use",
        if found.is_empty() { "none".to_owned() } else { found.join(", ") }
    )]
    NoUsableField {
        /// What the file's maker calls it.
        database_type: String,
        /// The fields of its first records, as dotted paths.
        found: Vec<String>,
    },
    /// Sound, but without numbers of autonomous systems.
    #[error(
        "no record of this {database_type:?} database has an autonomous system's number; its fields are {}: \
         an ASN database has autonomous_system_number or asn",
        if found.is_empty() { "none".to_owned() } else { found.join(", ") }
    )]
    NoAsn {
        /// What the file's maker calls it.
        database_type: String,
        /// The fields of its first records, as dotted paths.
        found: Vec<String>,
    },
    /// A mapping's path has an empty name in it.
    #[error("{0:?} is no path to a field: names joined by dots, such as location.latitude")]
    FieldPath(String),
}

/// Adds a database file behind those added before.
///
/// The whole tree is walked and every record decoded, so a file that loads is sound where it
/// matters. Its work is bounded by its size.
pub fn load(
    bytes: impl AsRef<[u8]>,
    mapping: &Mapping,
    into: &mut TableBuilder,
) -> Result<Loaded, MmdbError> {
    let reader = open(bytes.as_ref())?;
    let metadata = reader.metadata();
    let mut walk = Walk::new(mapping);
    walk.networks(&reader)?;
    if walk.layer.is_empty() {
        let database_type = metadata.database_type.clone();
        return Err(MmdbError::NoUsableField { database_type, found: walk.found() });
    }
    let loaded = Loaded {
        records: walk.layer.len(),
        places: walk.layer.places().len(),
        ip_version: metadata.ip_version,
        build_epoch: metadata.build_time()?,
        database_type: metadata.database_type.clone(),
    };
    into.database(walk.layer);
    Ok(loaded)
}

/// A reader of a file that can be walked.
fn open(bytes: &[u8]) -> Result<Reader<&[u8]>, MmdbError> {
    if bytes.len() > MAX_BYTES {
        return Err(MmdbError::TooLarge(bytes.len()));
    }
    let reader = Reader::from_source(bytes)?;
    match tree::shared_node(bytes, reader.metadata()) {
        Some(node) => Err(MmdbError::NoTree(node)),
        None => Ok(reader),
    }
}

/// All networks of a file, each once.
fn networks<'r>(reader: &'r Reader<&[u8]>) -> Result<Within<'r, &'r [u8]>, MmdbError> {
    let mut options = WithinOptions::default();
    if !has_v4_subtree(reader)? {
        // Without that subtree nothing can be its alias, but the reader would still take
        // whatever leads to the same record as `::` does for one.
        options = options.include_aliased_networks();
    }
    Ok(reader.networks(options)?)
}

/// One pass over a file.
struct Walk<'m> {
    mapping: &'m Mapping,
    layer: Layer,
    /// By offset in the file's data section: networks share records, and decoding is dear.
    decoded: HashMap<usize, Option<PlaceId>>,
    fields: BTreeSet<String>,
}

impl Walk<'_> {
    fn new(mapping: &Mapping) -> Walk<'_> {
        Walk {
            mapping,
            layer: Layer::new(Source::Database),
            decoded: HashMap::new(),
            fields: BTreeSet::new(),
        }
    }

    fn networks(&mut self, reader: &Reader<&[u8]>) -> Result<(), MmdbError> {
        for network in networks(reader)? {
            let network = network?;
            let Some(place) = self.place(&network)? else { continue };
            let prefix = network.network()?;
            match prefix.network() {
                IpAddr::V4(start) => self.layer.insert_v4(start.into(), prefix.prefix(), place),
                IpAddr::V6(start) => self.layer.insert_v6(start.into(), prefix.prefix(), place),
            }
        }
        Ok(())
    }

    fn place(&mut self, network: &LookupResult<'_, &[u8]>) -> Result<Option<PlaceId>, MmdbError> {
        let Some(offset) = network.offset() else { return Ok(None) };
        if let Some(&known) = self.decoded.get(&offset) {
            return Ok(known);
        }
        let record: Record<'_> = network.decode()?.unwrap_or_default();
        let place = record.place(self.mapping);
        if self.layer.is_empty() {
            record.list_fields(&mut self.fields);
        }
        // A place that is nowhere (an unassigned code, say) must not hide what others know.
        let known = place.point().map(|_| self.layer.intern(place));
        self.decoded.insert(offset, known);
        Ok(known)
    }

    fn found(self) -> Vec<String> {
        self.fields.into_iter().collect()
    }
}

fn has_v4_subtree(reader: &Reader<&[u8]>) -> Result<bool, MmdbError> {
    if reader.metadata().ip_version == 4 {
        return Ok(true);
    }
    let first = reader.lookup(IpAddr::V4(Ipv4Addr::UNSPECIFIED))?.network()?;
    Ok(first.is_ipv4())
}
