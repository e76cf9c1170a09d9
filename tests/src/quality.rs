//! How good answers by place are: over all networks that a city database knows, how much farther
//! than to the nearest region clients are sent.
//!
//! ```text
//!  Database ──▶ World: stretches of alike /24s and /48s, with coordinates
//!                │
//!                ▼
//!              Walk ──questions──▶ a server, ours or another ──answers and scopes──▶ Run, Run, …
//!                                                                                      │
//!              Excess: kilometres beyond the nearest, place by place ──────▶ judge ◀───┘
//!                                                                              ▼
//!                                                                           Figures
//! ```
//!
//! The truth is what the database says, read by the reader of the format and measured by a formula of
//! this module: nothing of what is judged takes part. A question is what a resolver sends for a
//! client (RFC 7871 §11.1): a /24 or a /48. Where a database tells finer networks apart, the answer
//! for the block counts for each of its addresses.

pub mod answers;
pub mod best;
pub mod block;
pub mod database;
pub mod figures;
pub mod maxmind;
pub mod peer;
pub mod questions;
pub mod spread;
pub mod world;

/// The regions that clients are sent to: of three, six and twelve it is the first so many.
pub const REGIONS: [&str; 12] = [
    "us-central1",
    "europe-west3",
    "asia-southeast1",
    "southamerica-east1",
    "asia-northeast1",
    "us-east1",
    "us-west1",
    "europe-west1",
    "europe-north1",
    "asia-south1",
    "australia-southeast1",
    "africa-south1",
];

/// How many of them services are in.
pub const COUNTS: [usize; 3] = [3, 6, 12];

/// Latitude and longitude in degrees of the first so many [`REGIONS`].
///
/// # Panics
///
/// When one of them is not built in.
pub fn coordinates(count: usize) -> Vec<[f64; 2]> {
    let point = |name: &&str| {
        let region = geo::regions::find(name).unwrap_or_else(|| panic!("no region {name}"));
        [region.point.lat(), region.point.lon()]
    };
    REGIONS[..count].iter().map(point).collect()
}
