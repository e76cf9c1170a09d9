//! What was measured, in medians and in ratios of what was measured next to each other.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::entrant::Who;

/// What one server did in one round.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Processor time per answered query, in microseconds.
    pub cpu: f64,
    /// How much of it in user space, in microseconds.
    pub user: f64,
    /// Answers per second.
    pub rate: f64,
    /// Latencies: of half of the answers at most, of 99 in a hundred, of 999 in a thousand.
    pub latency: [Duration; 3],
    /// Queries without an answer.
    pub lost: u64,
    /// Wrong answers.
    pub wrong: u64,
    /// What others used of both cores meanwhile, of 1.
    pub others: f64,
    /// Seconds from the server's start to its first answer.
    pub started: f64,
    /// Octets that the server's processes have of the memory, what they share divided among those
    /// who share it (proportional set size).
    pub memory: f64,
    /// What of it came with each connection that rests; 0 where none does.
    pub resting: f64,
    /// Changes of its zone that were seen meanwhile.
    pub reloads: u64,
}

/// The samples of a scene: of each server one per round, in the order of the rounds.
#[derive(Clone, Debug, Default)]
pub struct Figures(pub BTreeMap<Who, Vec<Sample>>);

/// The middle one, and what the others lie between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The least.
    pub least: f64,
    /// The median; of an even count the lower of the two in the middle.
    pub median: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// Of some figures; none of none.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let median = *figures.get(figures.len().checked_sub(1)? / 2)?;
        Some(Self { least: *figures.first()?, median, most: *figures.last()? })
    }
}

impl Figures {
    /// A figure of a server over the rounds.
    pub fn spread(&self, who: Who, figure: impl Fn(&Sample) -> f64) -> Option<Spread> {
        Spread::of(self.0.get(&who)?.iter().map(figure))
    }

    /// How many times the other's a figure is, round by round: what a machine does to both in the
    /// same seconds cancels out.
    pub fn ratio(&self, who: Who, other: Who, figure: impl Fn(&Sample) -> f64) -> Option<Spread> {
        let pairs = self.0.get(&who)?.iter().zip(self.0.get(&other)?);
        Spread::of(pairs.map(|(ours, theirs)| figure(ours) / figure(theirs)))
    }

    /// By how much a figure is more than the other's, for each of so many, round by round.
    pub fn difference(
        &self,
        who: Who,
        other: Who,
        each: usize,
        figure: impl Fn(&Sample) -> f64,
    ) -> Option<Spread> {
        let pairs = self.0.get(&who)?.iter().zip(self.0.get(&other)?);
        Spread::of(pairs.map(|(ours, theirs)| (figure(ours) - figure(theirs)) / each as f64))
    }

    /// Of all rounds.
    pub fn sum(&self, who: Who, count: impl Fn(&Sample) -> u64) -> u64 {
        self.0.get(&who).into_iter().flatten().map(count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender::Product;

    const OURS: Who = Who::only(Product::Dnsrouter);
    const THEIRS: Who = Who::only(Product::Gdnsd);

    fn sample(cpu: f64) -> Sample {
        Sample { cpu, lost: 1, ..Sample::default() }
    }

    #[test]
    fn ratios_are_paired_by_round() {
        // The second round was slow for both.
        let rounds = |cpus: [f64; 3]| cpus.map(sample).to_vec();
        let figures = Figures(BTreeMap::from([
            (OURS, rounds([1.0, 4.0, 1.2])),
            (THEIRS, rounds([2.0, 8.0, 2.0])),
        ]));
        let cpu = |sample: &Sample| sample.cpu;
        let ratio = figures.ratio(OURS, THEIRS, cpu).unwrap();
        assert_eq!(ratio, Spread { least: 0.5, median: 0.5, most: 0.6 });
        let spread = figures.spread(OURS, cpu).unwrap();
        assert_eq!(spread, Spread { least: 1.0, median: 1.2, most: 4.0 });
        let difference = figures.difference(THEIRS, OURS, 2, cpu).unwrap();
        assert_eq!(difference, Spread { least: 0.4, median: 0.5, most: 2.0 });
        assert_eq!(figures.sum(THEIRS, |sample| sample.lost), 3);
        assert_eq!(figures.ratio(OURS, Who { case: "other", ..OURS }, cpu), None);
    }

    #[test]
    fn nothing_has_no_median() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([2.0, 1.0]).unwrap().median, 1.0);
    }
}
