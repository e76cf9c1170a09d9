//! What dnsrouter is to reach beside the others, on whatever machine.

use std::fmt;

use crate::contender::Product;
use crate::figures::{Figures, Sample, Spread};

/// A bound on a figure of a scene.
pub struct Goal {
    /// The scene's name.
    pub scene: &'static str,
    /// Of whom.
    pub product: Product,
    /// Which figure.
    pub figure: Figure,
    /// Beside whom; none: as it is.
    pub against: Option<Product>,
    /// Where it must be.
    pub bound: Bound,
}

/// A figure of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Processor time per answered query.
    Cpu,
    /// How much of it in user space.
    User,
    /// Answers per second.
    Rate,
    /// The latency that one answer in a hundred exceeds.
    P99,
}

/// A bound, and everything beyond it is missed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// At most.
    Most(f64),
    /// At least.
    Least(f64),
}

impl Figure {
    /// The figure of a sample; microseconds, or answers per second.
    pub fn of(self, sample: &Sample) -> f64 {
        match self {
            Figure::Cpu => sample.cpu,
            Figure::User => sample.user,
            Figure::Rate => sample.rate,
            Figure::P99 => sample.latency[1].as_secs_f64() * 1e6,
        }
    }
}

use Product::{Dnsrouter, Echo, Gdnsd, Guarded, Knot, Napping, Nsd};

const fn cpu(scene: &'static str, product: Product, against: Product, most: f64) -> Goal {
    Goal { scene, product, figure: Figure::Cpu, against: Some(against), bound: Bound::Most(most) }
}

/// All.
pub const GOALS: [Goal; 12] = [
    cpu("geo", Dnsrouter, Gdnsd, 0.92),
    cpu("geo", Dnsrouter, Knot, 0.62),
    cpu("geo", Dnsrouter, Echo, 1.10),
    Goal {
        scene: "geo",
        product: Dnsrouter,
        figure: Figure::User,
        against: None,
        bound: Bound::Most(0.20),
    },
    Goal {
        scene: "geo",
        product: Dnsrouter,
        figure: Figure::Rate,
        against: Some(Gdnsd),
        bound: Bound::Least(1.0),
    },
    Goal {
        scene: "geo",
        product: Dnsrouter,
        figure: Figure::Rate,
        against: Some(Knot),
        bound: Bound::Least(1.0),
    },
    cpu("geo", Guarded, Gdnsd, 1.0),
    cpu("geo-100k", Dnsrouter, Gdnsd, 0.92),
    cpu("geo-100k", Napping, Gdnsd, 0.65),
    Goal {
        scene: "geo-half",
        product: Dnsrouter,
        figure: Figure::P99,
        against: Some(Gdnsd),
        bound: Bound::Most(1.0),
    },
    Goal {
        scene: "geo-half",
        product: Dnsrouter,
        figure: Figure::P99,
        against: Some(Knot),
        bound: Bound::Most(1.0),
    },
    cpu("static-1m", Dnsrouter, Nsd, 0.85),
];

impl Goal {
    /// What was measured of it; none where not all servers took part.
    pub fn measured(&self, figures: &Figures) -> Option<Spread> {
        let figure = |sample: &Sample| self.figure.of(sample);
        match self.against {
            Some(other) => figures.ratio(self.product, other, figure),
            None => figures.spread(self.product, figure),
        }
    }

    /// Whether a figure is within the bound.
    pub fn met(&self, measured: f64) -> bool {
        match self.bound {
            Bound::Most(most) => measured <= most,
            Bound::Least(least) => measured >= least,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figure = match self.figure {
            Figure::Cpu => "CPU per query",
            Figure::User => "user space per query",
            Figure::Rate => "queries/s",
            Figure::P99 => "p99",
        };
        write!(f, "{}: {figure}", self.product)?;
        let (sign, bound) = match self.bound {
            Bound::Most(most) => ('≤', most),
            Bound::Least(least) => ('≥', least),
        };
        match self.against {
            Some(other) => write!(f, " {sign} {bound:.2} × {other}"),
            None => write!(f, " {sign} {bound:.2} µs"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::SCENES;

    #[test]
    fn every_goal_is_measured_by_some_scene() {
        for goal in &GOALS {
            let scene = SCENES.iter().find(|scene| scene.name == goal.scene).expect("a scene");
            for product in [Some(goal.product), goal.against].into_iter().flatten() {
                assert!(scene.products.contains(&product), "{goal} in {}", scene.name);
            }
        }
    }

    #[test]
    fn bounds_have_a_side() {
        let most = cpu("geo", Dnsrouter, Gdnsd, 0.92);
        assert!(most.met(0.92) && !most.met(0.93));
        assert_eq!(most.to_string(), "dnsrouter: CPU per query ≤ 0.92 × gdnsd");
        let least = Goal { bound: Bound::Least(1.0), figure: Figure::Rate, ..most };
        assert!(least.met(1.0) && !least.met(0.99));
    }
}
