//! Damping of targets that flap: BGP's route flap damping (RFC 2439), for addresses.
//!
//! # The idea
//!
//! Each fall costs a target points, and points halve with every half-life (§4.4.4: exponential
//! decay, so that one number stands for the whole history). Above `suppress` the target is damped:
//! it may get worse but not better, until its points have decayed to `reuse`. Two limits instead
//! of one, because a target near a single limit would flap in and out of damping.
//!
//! ```text
//!  points     fall   fall   fall
//!  2000 ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄/╲┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ suppress
//!              /╲    /╲   /   ╲╲
//!             /  ╲_ /   ╲/       ╲╲__
//!   750 ┄┄┄┄┄/┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄╲___┄┄┄┄┄ reuse
//!                         │  damped       │
//! ```
//!
//! RFC 2439 leaves the figures to the operator. Routers use 1000 points a flap, 2000 and 750, and
//! a half-life of 15 minutes, which was found to punish paths for one event heard many times (RFC
//! 7196). A target here is heard once, from itself, so the points stay and the half-life is 2
//! minutes: the third fall within about two minutes damps, and some 3 to 4 quiet minutes end it.

use std::time::Duration;

/// Points of going down (RFC 2439's withdrawal).
pub const FELL: f64 = 1000.0;
/// Points of becoming degraded (its change of attributes): half a fall.
pub const DEGRADED: f64 = 500.0;

/// How much flapping is too much, and how soon it is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damping {
    /// Points halve in this time. Longer remembers slower flapping.
    pub half_life: Duration,
    /// From so many points on a target is damped.
    pub suppress: u32,
    /// Below so many it is free again; less than `suppress`.
    pub reuse: u32,
    /// However much it flapped, a target that is quiet is free again after this.
    pub longest: Duration,
}

impl Default for Damping {
    fn default() -> Self {
        Self {
            half_life: Duration::from_secs(120),
            suppress: 2000,
            reuse: 750,
            longest: Duration::from_secs(600),
        }
    }
}

impl Damping {
    /// The most points: what decays to `reuse` within `longest` (§4.8.3's ceiling).
    pub fn ceiling(&self) -> f64 {
        let half_lives = self.longest.as_secs_f64() / self.half_life.as_secs_f64();
        f64::from(self.reuse) * half_lives.min(64.0).exp2()
    }
}

/// The points of one target; times count from the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Penalty {
    points: f64,
    at: Duration,
}

impl Penalty {
    /// What is left of them at `now`.
    pub fn points(&self, damping: &Damping, now: Duration) -> f64 {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.points * (-passed / damping.half_life.as_secs_f64()).exp2()
    }

    /// When so few are left that a target is free again, if it does not fall before.
    pub fn until(&self, damping: &Damping) -> Duration {
        let half_lives = (self.points / f64::from(damping.reuse)).log2().clamp(0.0, 64.0);
        self.at.saturating_add(damping.half_life.mul_f64(half_lives))
    }

    /// Adds points.
    pub fn add(&mut self, points: f64, damping: &Damping, now: Duration) {
        let sum = self.points(damping, now) + points;
        *self = Self { points: sum.min(damping.ceiling()), at: now.max(self.at) };
    }
}
