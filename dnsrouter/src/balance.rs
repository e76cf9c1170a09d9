//! What load-aware steps go by, reckoned once per interval from what pings report.
//!
//! | step | what is reckoned per endpoint | where |
//! |---|---|---|
//! | `fair` | a weight: its share of the demand when all used endpoints are equally fast | [`fair`] |
//! | `load` | a price in kilometres, by which it seems farther away the fuller it is | [`spill`], [`prices`] |
//! | | where clients are, and what they were answered | [`guess`], [`demand`], [`clients`], [`answered`] |
//!
//! # The idea of `load`
//!
//! A region at its capacity should keep the clients who would lose most by leaving, and send away
//! those who hardly would: the ones for whom the next region is about as near. Give each endpoint a
//! *price*, a number of kilometres, and answer every client with the endpoint that is cheapest for
//! it, distance and price together:
//!
//! ```text
//!   km to A ─┐                       ┌─ km to B
//!            ▼   A is full           ▼
//!    A ────────────────────┊──────────────── B      prices 0: all go to the nearest
//!            A + 400 km    ┊
//!    A ──────────────┊─────┴──────────────── B      price 400 at A: those left of the border stay,
//!                                                   those who lose less than 400 km go
//! ```
//!
//! Prices that bring every endpoint to its capacity and no further, and are 0 where there is room
//! left, are the dual solution of the transport problem "least total distance under capacities"
//! (Hitchcock 1941; Bertsekas 1998, "Network Optimization", ch. 5): no other assignment of clients that
//! respects the capacities is shorter in total. One number per endpoint is the whole solution, so a
//! query needs no more than an addition per endpoint.
//!
//! Each client also sees each endpoint a little nearer or farther than it is ([`dither`]), always
//! alike. Nobody notices [`DITHER`] kilometres; but a whole country at one point of the map can now
//! be divided between two regions, and so can clients between two endpoints of one region.

pub mod answered;
pub mod clients;
pub mod demand;
pub mod fair;
pub mod fleet;
pub mod guess;
mod matrix;
pub mod prices;
pub mod seen;
pub mod spill;

use crate::policy::mix;

/// The most by which a client sees an endpoint nearer or farther than it is, in kilometres: half a
/// millisecond of light in glass there and back, and more than what a city database knows.
pub const DITHER: f32 = 50.0;

/// What is added to the distance between a client and an endpoint, from −[`DITHER`] to [`DITHER`]
/// kilometres. `stick` is the client's own number, the same for every address of its scope and at
/// all times; `endpoint` is the endpoint's. So a price that moves moves only those clients who are
/// at the border.
pub fn dither(stick: u64, endpoint: u64) -> f32 {
    let bits = mix(stick ^ mix(endpoint));
    #[expect(clippy::cast_precision_loss, reason = "24 bits fit")]
    let uniform = (bits >> 40) as f32 / (1_u32 << 24) as f32;
    DITHER * (2.0 * uniform - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dither_is_uniform_and_different_for_each_client_and_endpoint() {
        let all: Vec<f32> =
            (0..1000).flat_map(|client| (0..10).map(move |e| dither(client, e))).collect();
        assert!(all.iter().all(|d| (-DITHER..=DITHER).contains(d)));
        let mean = all.iter().sum::<f32>() / 10_000.0;
        let spread = all.iter().map(|d| (d - mean).powi(2)).sum::<f32>() / 10_000.0;
        // Of 10,000 uniform draws: a mean within four standard errors, and a variance of D²/3.
        assert!(mean.abs() < 4.0 * DITHER / 3_f32.sqrt() / 100.0, "{mean}");
        assert!((spread / (DITHER * DITHER / 3.0) - 1.0).abs() < 0.05, "{spread}");
        let nearer = (0..1000).filter(|client| dither(*client, 1) < dither(*client, 2)).count();
        assert!((430..570).contains(&nearer), "{nearer}");
    }
}
