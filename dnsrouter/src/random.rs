//! Cheap random numbers for draws and jitter: a sequence from a seed, never for secrets.

use std::time::Duration;

use crate::policy::mix;

/// SplitMix64 (Steele et al. 2014): a counter through a mixer.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// Another sequence each time. Without the system's randomness it is always the same one,
    /// which spreads less but breaks nothing.
    pub fn from_system() -> Self {
        Self(getrandom::u64().unwrap_or(0))
    }

    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A duration from nothing up to `most`.
    pub fn up_to(&mut self, most: Duration) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "a fraction of a duration")]
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        most.mul_f64(share)
    }
}
