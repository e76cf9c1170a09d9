//! Reads what `[geo]` names into the table that places callers.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use daemon::config::{ConfigError, Source};
use geo::{ScopeCap, Table, TableBuilder};

use crate::config::GeoConfig;

/// The largest database read, in bytes: the fullest city databases sold are about an eighth of it.
pub const MAX_DATABASE: u64 = 1024 * 1024 * 1024;

/// Builds the table. Takes up to seconds and holds the whole database in memory meanwhile: call
/// it where blocking is allowed.
///
/// # Errors
///
/// A database that cannot be read or understood, at the place where `source` names it.
pub fn load(config: &GeoConfig, source: &Source) -> Result<Table, ConfigError> {
    let mut builder = TableBuilder::new(ScopeCap::default());
    for (network, place) in &config.networks {
        builder
            .network(*network, *place)
            .map_err(|error| source.error(0..0, error.to_string(), None))?;
    }
    for (file, span) in &config.databases {
        let loaded = read(file).and_then(|bytes| {
            geo::mmdb::load(bytes, &config.mapping, &mut builder).map_err(|error| error.to_string())
        });
        match loaded {
            Ok(loaded) => tracing::info!(
                file = %file.display(),
                records = loaded.records,
                places = loaded.places,
                "loaded a geo database"
            ),
            Err(why) => {
                let message = format!("{}: {why}", file.display());
                return Err(source.error(span.clone(), message, None).into());
            }
        }
    }
    if config.databases.is_empty() {
        geo::builtin::load(&mut builder);
    }
    Ok(builder.freeze())
}

/// The whole file: never mapped, since others replace it while it is in use.
fn read(file: &Path) -> Result<Vec<u8>, String> {
    let opened = File::open(file).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    opened.take(MAX_DATABASE + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    match bytes.len() as u64 > MAX_DATABASE {
        true => Err(format!("it is larger than {} MiB", MAX_DATABASE / 1024 / 1024)),
        false => Ok(bytes),
    }
}
