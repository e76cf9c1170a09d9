//! What is to be reached, and by which figure it is judged.

use std::fmt;

use crate::entrant::Who;
use crate::figures::{Figures, Sample, Spread};

/// A bound on a figure of a scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// The scene's name.
    pub scene: &'static str,
    /// Of whom.
    pub who: Who,
    /// Which figure.
    pub figure: Figure,
    /// Beside what.
    pub beside: Beside,
    /// Where it must be; none: it is told.
    pub bound: Option<Bound>,
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
    /// Queries without an answer, of all rounds.
    Lost,
    /// The server's memory.
    Memory,
    /// What of it came with each connection that rests.
    Resting,
    /// From start to first answer.
    Start,
    /// Changes of the zone that were seen in a turn.
    Reloads,
}

/// What a figure is told beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Nothing: as it is.
    Nothing,
    /// How many times the other's it is.
    Times(Who),
    /// How much more than the other's it is, divided by so many of what the word says.
    Over(Who, usize, &'static str),
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
    /// The figure of a sample, in its unit.
    pub fn of(self, sample: &Sample) -> f64 {
        match self {
            Figure::Cpu => sample.cpu,
            Figure::User => sample.user,
            Figure::Rate => sample.rate,
            Figure::P99 => sample.latency[1].as_secs_f64() * 1e6,
            Figure::Lost => sample.lost as f64,
            Figure::Memory => sample.memory,
            Figure::Resting => sample.resting,
            Figure::Start => sample.started,
            Figure::Reloads => sample.reloads as f64,
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Figure::Cpu | Figure::User | Figure::P99 => " µs",
            Figure::Rate => "/s",
            Figure::Memory | Figure::Resting => " octets",
            Figure::Start => " s",
            Figure::Lost | Figure::Reloads => "",
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Figure::Cpu => "CPU per query",
            Figure::User => "user space per query",
            Figure::Rate => "queries/s",
            Figure::P99 => "p99",
            Figure::Lost => "lost queries",
            Figure::Memory => "memory",
            Figure::Resting => "memory per idle connection",
            Figure::Start => "start",
            Figure::Reloads => "reloads in a turn",
        })
    }
}

impl Goal {
    /// What was measured of it; none where not all took part.
    pub fn measured(&self, figures: &Figures) -> Option<Spread> {
        let figure = |sample: &Sample| self.figure.of(sample);
        match self.beside {
            // One round that lost something is one too many, whatever the median.
            Beside::Nothing if self.figure == Figure::Lost => {
                figures.spread(self.who, figure)?;
                Spread::of([figures.sum(self.who, |sample| sample.lost) as f64])
            }
            Beside::Nothing => figures.spread(self.who, figure),
            Beside::Times(other) => figures.ratio(self.who, other, figure),
            Beside::Over(other, each, _) => figures.difference(self.who, other, each, figure),
        }
    }

    /// Whether a figure is within the bound; none where there is no bound.
    pub fn met(&self, measured: f64) -> Option<bool> {
        self.bound.map(|bound| match bound {
            Bound::Most(most) => measured <= most,
            Bound::Least(least) => measured >= least,
        })
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Goal { who, figure, .. } = self;
        write!(f, "{who}: {figure}")?;
        if let Beside::Over(other, _, each) = self.beside {
            write!(f, " beyond that of {other}, per {each}")?;
        }
        match self.bound {
            Some(Bound::Most(most)) => write!(f, " ≤ {}", figure_told(most))?,
            Some(Bound::Least(least)) => write!(f, " ≥ {}", figure_told(least))?,
            None => {}
        }
        match self.beside {
            Beside::Times(other) => write!(f, " × {other}"),
            Beside::Over(..) | Beside::Nothing if self.bound.is_some() => {
                f.write_str(figure.unit())
            }
            Beside::Over(..) | Beside::Nothing => match figure.unit().trim() {
                "" => Ok(()),
                unit => write!(f, ", {unit}"),
            },
        }
    }
}

/// With as many decimals as say something.
pub fn figure_told(figure: f64) -> String {
    if figure.abs() < 100.0 { format!("{figure:.2}") } else { format!("{figure:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender::Product::{Dnsrouter, Gdnsd};

    const OURS: Who = Who::only(Dnsrouter);

    fn goal(figure: Figure, beside: Beside, bound: Option<Bound>) -> Goal {
        Goal { scene: "geo", who: OURS, figure, beside, bound }
    }

    #[test]
    fn bounds_have_a_side() {
        let times = Beside::Times(Who::only(Gdnsd));
        let most = goal(Figure::Cpu, times, Some(Bound::Most(0.92)));
        assert_eq!([0.92, 0.93].map(|cpu| most.met(cpu)), [Some(true), Some(false)]);
        assert_eq!(most.to_string(), "dnsrouter: CPU per query ≤ 0.92 × gdnsd");
        let least = Goal { bound: Some(Bound::Least(1.0)), figure: Figure::Rate, ..most };
        assert_eq!([1.0, 0.99].map(|rate| least.met(rate)), [Some(true), Some(false)]);
        assert_eq!(goal(Figure::Rate, times, None).met(1.0), None);
        let told = goal(Figure::Resting, Beside::Nothing, None);
        assert_eq!(told.to_string(), "dnsrouter: memory per idle connection, octets");
    }

    #[test]
    fn what_is_more_is_divided() {
        let large = Who { case: "1M names", ..OURS };
        let beside = Beside::Over(OURS, 1000, "name");
        let each = Goal { who: large, ..goal(Figure::Memory, beside, Some(Bound::Most(170.0))) };
        assert_eq!(
            each.to_string(),
            "dnsrouter: 1M names: memory beyond that of dnsrouter, per name ≤ 170 octets"
        );
        let sample = |memory| vec![Sample { memory, ..Sample::default() }];
        let figures = Figures([(OURS, sample(1e6)), (large, sample(1.2e6))].into());
        assert_eq!(each.measured(&figures).unwrap().median, 200.0);
    }

    #[test]
    fn one_lost_query_in_one_round_is_not_forgotten() {
        let none = goal(Figure::Lost, Beside::Nothing, Some(Bound::Most(0.0)));
        let lost = |lost| Sample { lost, ..Sample::default() };
        let figures = Figures([(OURS, vec![lost(0), lost(0), lost(1)])].into());
        let measured = none.measured(&figures).unwrap();
        assert_eq!(none.met(measured.median), Some(false));
        assert_eq!(none.measured(&Figures::default()), None);
    }
}
