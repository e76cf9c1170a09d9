//! How fast targets may be taken out of the answers when very many seem to fail at once.
//!
//! # The idea
//!
//! One region dies now and then, and its clients should be elsewhere at once. Nearly everything
//! dying at once is, most of the time, something else: the network of the one who looks, a
//! certificate, a wrong release of the checks. Then taking everything out does the damage.
//!
//! So within any window, one region's targets may go whole, and beside that region a share of all
//! targets; what exceeds it is *held back*: it stays in the answers, suspected, until the window
//! has moved on.
//!
//! ```text
//!   went within the window:   A ██████████   B ███   C █
//!                             └ the largest  └─ the others together ≤ allowance
//! ```
//!
//! Which region is the free one need not be known beforehand: it is whichever lost most so far.
//! Another target of that region is always free, so a single region's death is never held up by
//! others' noise below the allowance; and 12 regions dying in any order end with one gone, and the
//! allowance.

use std::collections::VecDeque;
use std::time::Duration;

/// How much may go within a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Of all targets, in percent, beside one whole region.
    pub percent: u8,
    /// The window.
    pub per: Duration,
}

impl Default for Limit {
    fn default() -> Self {
        Self { percent: 20, per: Duration::from_secs(60) }
    }
}

/// So many may always go: in a small fleet a share is no number of targets, and `healthy` fails
/// open long before anything is emptied.
const LEAST: usize = 10;

impl Limit {
    /// How many of `all` targets may go within a window beside one region's.
    pub fn allowance(&self, all: usize) -> usize {
        (all * usize::from(self.percent)).div_ceil(100).max(LEAST)
    }
}

/// What went within the window. Regions are small numbers; times count from the start of the
/// process.
#[derive(Debug, Default)]
pub struct Removals {
    gone: VecDeque<(Duration, u16)>,
    per_region: Vec<usize>,
}

impl Removals {
    /// Whether a target of `region` may go now, out of `all`; if so, it counts as gone.
    pub fn may_go(&mut self, region: u16, all: usize, limit: &Limit, now: Duration) -> bool {
        self.forget(limit, now);
        let own = *self.count(region) + 1;
        let largest = self.per_region.iter().copied().max().unwrap_or(0).max(own);
        if self.gone.len() + 1 - largest > limit.allowance(all) {
            return false;
        }
        *self.count(region) += 1;
        self.gone.push_back((now, region));
        true
    }

    /// Regions have other numbers from now on; those without one are forgotten.
    pub fn renumber(&mut self, now: impl Fn(u16) -> Option<u16>) {
        let before = std::mem::take(self);
        for (at, region) in before.gone {
            let Some(region) = now(region) else { continue };
            *self.count(region) += 1;
            self.gone.push_back((at, region));
        }
    }

    fn count(&mut self, region: u16) -> &mut usize {
        let at = usize::from(region);
        if self.per_region.len() <= at {
            self.per_region.resize(at + 1, 0);
        }
        &mut self.per_region[at]
    }

    fn forget(&mut self, limit: &Limit, now: Duration) {
        while let Some((at, region)) = self.gone.front()
            && now.saturating_sub(*at) >= limit.per
        {
            self.per_region[usize::from(*region)] -= 1;
            self.gone.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: Limit = Limit { percent: 20, per: Duration::from_secs(60) };

    /// Which of these may go, in this order, at `second`.
    fn go(removals: &mut Removals, regions: &[u16], all: usize, second: u64) -> Vec<bool> {
        let now = Duration::from_secs(second);
        regions.iter().map(|region| removals.may_go(*region, all, &LIMIT, now)).collect()
    }

    fn count(removals: &mut Removals, regions: &[u16], all: usize, second: u64) -> usize {
        go(removals, regions, all, second).into_iter().filter(|may| *may).count()
    }

    #[test]
    fn a_single_region_s_death_is_never_held_up() {
        let mut removals = Removals::default();
        // Noise within the allowance of 240 out of 1200: 40 targets of each of five others.
        let noise: Vec<u16> = (0..200).map(|i| 1 + i % 5).collect();
        assert_eq!(count(&mut removals, &noise, 1200, 0), 200);
        assert_eq!(count(&mut removals, &[0; 500], 1200, 1), 500);
    }

    #[test]
    fn nine_tenths_at_once_lose_one_region_and_the_allowance() {
        let interleaved: Vec<u16> = (0..1080).map(|i| i % 12).collect();
        let mut sorted = interleaved.clone();
        sorted.sort_unstable();
        for order in [interleaved, sorted] {
            let mut removals = Removals::default();
            assert_eq!(count(&mut removals, &order, 1200, 0), 90 + 240);
            assert_eq!(count(&mut removals, &order, 1200, 60), 90 + 240, "the next window");
        }
    }

    #[test]
    fn small_fleets_are_not_limited() {
        let mut removals = Removals::default();
        assert_eq!(go(&mut removals, &[0, 1, 2, 3, 4, 5], 6, 0), [true; 6]);
    }

    #[test]
    fn a_reload_forgets_nothing_but_regions_that_went() {
        let mut removals = Removals::default();
        let two_and_one = [vec![0; 30], vec![1; 10]].concat();
        assert_eq!(count(&mut removals, &two_and_one, 50, 0), 40);
        assert_eq!(count(&mut removals, &[1], 50, 1), 0, "the allowance is spent");
        removals.renumber(|region| (region < 2).then_some(7 - region));
        assert_eq!(count(&mut removals, &[6, 7], 50, 2), 1, "7 is the free one");
        removals.renumber(|region| (region == 6).then_some(0));
        assert_eq!(count(&mut removals, &[0, 1], 50, 3), 2, "now 0 is");
    }

    proptest! {
        /// Within any window: what went, without the largest region's, is within the allowance.
        #[test]
        fn no_window_loses_more_than_it_may(
            flips in proptest::collection::vec((0..20_u64, 0..6_u16, 1..40_usize), 0..60),
        ) {
            let all = 400;
            let mut removals = Removals::default();
            let (mut now, mut gone) = (0, Vec::new());
            for (pause, region, many) in flips {
                now += pause;
                for _ in 0..many {
                    if go(&mut removals, &[region], all, now)[0] {
                        gone.push((now, region));
                    }
                }
                let window = || gone.iter().filter(|(at, _)| at + 60 > now);
                let of = |region| window().filter(|(_, r)| *r == region).count();
                let largest = (0..6).map(of).max().unwrap_or(0);
                prop_assert!(window().count() - largest <= LIMIT.allowance(all));
            }
        }
    }
}
