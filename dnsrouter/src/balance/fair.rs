//! `fair`: shares of the demand by capacity, as players who bargain would agree on them.
//!
//! Let each server be a player who wants to answer fast. Together they must take the whole demand;
//! the Nash bargaining solution is the one division that wastes nothing, does not depend on units,
//! and treats equals equally. For servers that answer μ requests per second and queue the rest
//! (M/M/1), Grosu, Chronopoulos and Leung (2002, "Load balancing in distributed systems: an approach
//! using cooperative games", IPDPS) found it in closed form: **every server keeps the same spare
//! capacity**, and with it the same response time, 1 / spare:
//!
//! ```text
//!   μ        ████████████████│▒▒▒▒     ██████│▒▒▒▒      ▒▒▒        share █, spare ▒
//!            fast                      slow             too slow: its μ is no more than the
//!                                                       spare of the others, so it stays idle
//! ```
//!
//! The algorithm COOP: spare = (Σμ − Φ) / n; drop the slowest while its μ does not exceed the spare
//! of all who stay; share = μ − spare. In proportion to μ, which `weighted` with capacities as
//! weights would be, the slow ones would answer slower the slower they are.

/// The weights' scale: fine enough for one client in 65,000, and sums of 128 of them fit.
const SCALE: f64 = 65_535.0;

/// Each server's share of `demand`, both in requests per second, by COOP.
///
/// Where the demand is as much as all servers can do, nobody has anything to bargain for: all are
/// filled alike, in proportion to their capacity. A capacity that is not a positive number is none.
pub fn coop(capacities: &[f64], demand: f64) -> Vec<f64> {
    let able = |capacity: f64| if capacity.is_finite() { capacity.max(0.0) } else { 0.0 };
    let mut total: f64 = capacities.iter().map(|c| able(*c)).sum();
    let demand = if demand.is_finite() { demand.max(0.0) } else { 0.0 };
    if demand >= total {
        let filled = if total > 0.0 { demand / total } else { 0.0 };
        return capacities.iter().map(|c| able(*c) * filled).collect();
    }
    let mut staying: Vec<usize> = (0..capacities.len()).collect();
    staying.sort_by(|a, b| able(capacities[*b]).total_cmp(&able(capacities[*a])));
    let spare = loop {
        let Some(slowest) = staying.last() else { break 0.0 };
        #[expect(clippy::cast_precision_loss, reason = "at most 128 endpoints")]
        let spare = (total - demand) / staying.len() as f64;
        let slowest = able(capacities[*slowest]);
        // Without any demand the last one keeps all of it spare, and nobody is used.
        if slowest > spare || staying.len() == 1 {
            break spare;
        }
        total -= slowest;
        staying.pop();
    };
    let mut shares = vec![0.0; capacities.len()];
    for server in staying {
        shares[server] = (able(capacities[server]) - spare).max(0.0);
    }
    shares
}

/// Weights for a pick, in proportion to the shares of [`coop`]; 0 is "last resort".
///
/// `demand` is `None` where nobody knows it: then in proportion to the capacities. An endpoint that
/// states no capacity (`None`) counts as the mean of those that do; when none does, all are equal.
pub fn weights(capacities: &[Option<f64>], demand: Option<f64>) -> Box<[u32]> {
    let stated: Vec<f64> = capacities.iter().copied().flatten().collect();
    #[expect(clippy::cast_precision_loss, reason = "at most 128 endpoints")]
    let mean = match stated.len() {
        0 => 1.0,
        n => stated.iter().sum::<f64>() / n as f64,
    };
    let capacities: Vec<f64> = capacities.iter().map(|c| c.unwrap_or(mean)).collect();
    let shares = match demand.filter(|demand| *demand > 0.0 && !stated.is_empty()) {
        Some(demand) => coop(&capacities, demand),
        None => capacities,
    };
    let largest = shares.iter().copied().fold(0.0, f64::max);
    let scaled = |share: f64| if largest > 0.0 { share / largest * SCALE } else { 0.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to SCALE")]
    shares.iter().map(|share| scaled(*share).ceil() as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
    }

    #[test]
    fn worked_by_hand() {
        // Spare (10 + 5 + 1 − 8) / 3 = 2.67 > 1: the slowest goes; (15 − 8) / 2 = 3.5 < 5.
        assert_eq!(coop(&[5.0, 10.0, 1.0], 8.0), [1.5, 6.5, 0.0]);
        // Spare (16 − 14) / 3 = 0.67 < 1: all stay.
        let shares = coop(&[5.0, 10.0, 1.0], 14.0);
        assert!(close(shares[0], 13.0 / 3.0) && close(shares[2], 1.0 / 3.0), "{shares:?}");
        assert_eq!(coop(&[4.0, 2.0], 9.0), [6.0, 3.0], "more than all can do");
        assert_eq!(coop(&[4.0, 2.0], 0.0), [0.0, 0.0]);
        assert_eq!(coop(&[f64::NAN, -1.0, 0.0], 5.0), [0.0; 3]);
        assert_eq!(coop(&[], 5.0), [0.0; 0]);
    }

    #[test]
    fn weights_are_ratios_of_shares() {
        let of = |capacities: &[f64], demand| {
            let capacities: Vec<_> = capacities.iter().copied().map(Some).collect();
            weights(&capacities, demand).to_vec()
        };
        assert_eq!(of(&[5.0, 10.0, 1.0], Some(8.0)), [15_124, 65_535, 0]);
        assert_eq!(of(&[5.0, 10.0], None), [32_768, 65_535], "in proportion");
        assert_eq!(*weights(&[None, Some(10.0), Some(20.0)], None), [49_152, 32_768, 65_535]);
        assert_eq!(*weights(&[None, None], Some(3.0)), [65_535; 2]);
        assert_eq!(of(&[0.0, 0.0], Some(3.0)), [0, 0]);
    }

    proptest! {
        /// What Nash's solution is: all of the demand is taken, nobody above its capacity, all who
        /// are used have the same spare capacity, and who is not used has no more than that.
        #[test]
        fn used_servers_are_equally_fast(
            capacities in proptest::collection::vec(0.0..1e6_f64, 1..40),
            use_of_all in 0.001..0.999_f64,
        ) {
            let demand = capacities.iter().sum::<f64>() * use_of_all;
            let shares = coop(&capacities, demand);
            prop_assert!((shares.iter().sum::<f64>() - demand).abs() <= 1e-6 * (1.0 + demand));
            let spare: Vec<_> = capacities.iter().zip(&shares).map(|(c, s)| c - s).collect();
            let used = || spare.iter().zip(&shares).filter(|(_, s)| **s > 0.0).map(|(c, _)| *c);
            let (least, most) = (used().fold(f64::MAX, f64::min), used().fold(0.0, f64::max));
            prop_assert!(least >= 0.0);
            prop_assert!(most - least <= 1e-6 * (1.0 + most), "{least} {most}");
            for (capacity, _) in capacities.iter().zip(&shares).filter(|(_, s)| **s == 0.0) {
                prop_assert!(*capacity <= most * (1.0 + 1e-6) + 1e-6);
            }
        }

        /// The product of spare capacities, which Nash's solution maximises, falls when two who
        /// are used exchange some of their shares.
        #[test]
        fn no_exchange_is_better_for_both(
            capacities in proptest::collection::vec(1.0..1e4_f64, 2..10),
            use_of_all in 0.1..0.9_f64,
            part in 0.01..0.99_f64,
        ) {
            let demand = capacities.iter().sum::<f64>() * use_of_all;
            let shares = coop(&capacities, demand);
            let used: Vec<_> = (0..shares.len()).filter(|s| shares[*s] > 0.0).collect();
            let product = |shares: &[f64]| -> f64 {
                used.iter().map(|s| (capacities[*s] - shares[*s]).ln()).sum()
            };
            for (from, to) in used.iter().zip(used.iter().skip(1)) {
                let room = (capacities[*to] - shares[*to]).min(shares[*from]);
                let mut exchanged = shares.clone();
                exchanged[*from] -= room * part;
                exchanged[*to] += room * part;
                prop_assert!(product(&exchanged) <= product(&shares) + 1e-9);
            }
        }
    }
}
