//! Answers, explanations and a brute-force oracle agree.
//!
//! ```text
//!   scene ──TOML──▶ dnsrouter: answer(), explain() ──▶ what was answered ─┐
//!     │                                                                   ├─▶ agree?
//!     └──────────▶ naive: the database's record, haversine, each step ────┘
//! ```
//!
//! The oracle shares no code with routes, lenses or tables: it reads the database's own records and
//! goes through a route as its documentation says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agree;
mod naive;
mod record;
mod scene;
#[path = "../small/site.rs"]
mod site;

use agree::Server;
use record::Database;
use scene::Scene;

/// Triples of service, client and health that are compared; each is asked for one family.
const TRIPLES: u32 = 100_000;

#[test]
fn answers_explanations_and_the_oracle_agree() {
    let (scene, database) = (Scene::random(1), Database::open());
    let server = Server::new(&scene, &[]);
    let report = agree::compare(&scene, &database, &server, TRIPLES);
    println!("{report}");
    assert!(report.differences.is_empty(), "{}", report.differences.join("\n"));
    // Left out is what is in no record, in a country of no continent here, or equally near to two; for
    // `load`, which sees each endpoint up to 50 km nearer or farther, that is less than 100 km apart.
    assert!(report.left_out < TRIPLES / 3, "{} left out", report.left_out);

    // The comparison can fail: one state wrong is one bit of a mask.
    let noticed = agree::with_one_verdict_wrong(&scene, &database, &server);
    assert!(noticed > 0, "a wrong verdict is not noticed");

    // And one network elsewhere is one leaf.
    let noticed = agree::with_one_leaf_elsewhere(&scene, &database);
    assert!(noticed > 0, "a wrong leaf is not noticed");
}
