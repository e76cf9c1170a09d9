//! What was answered of late, and so what is being served now.
//!
//! A client keeps its answer for one TTL. If clients ask at even intervals, those who are served now
//! were answered at any moment of the last TTL, each as likely: what an endpoint serves is the *mean* of
//! what was sent to it over the last TTL.
//!
//! ```text
//!   answers to B   ───────────┐  prices change              served by B   ───────────╲
//!                             └───────────                                 one TTL    ╲─────────
//! ```
//!
//! A controller that compared what is measured now with what it decides now would see its own
//! decision undone for a whole TTL, and swing. Compared with this mean, only a wrong model shows.

use std::collections::VecDeque;
use std::time::Duration;

/// Pieces that a TTL is divided into, at most twice as many: finer ones would not show in the mean.
const PIECES: u32 = 32;

/// Each endpoint's share of the demand in answers over the last TTL.
#[derive(Debug, Default, Clone)]
pub struct Answered {
    /// Oldest first: for how long, and each endpoint's share then, integrated over it.
    pieces: VecDeque<(Duration, Box<[f64]>)>,
}

impl Answered {
    /// For `span`, answers went out in these shares; they are kept for `ttl`.
    pub fn push(&mut self, shares: &[f64], span: Duration, ttl: Duration) {
        let seconds = span.as_secs_f64();
        match self.pieces.back_mut() {
            Some((long, sums)) if *long + span <= ttl / PIECES => {
                *long += span;
                sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share * seconds);
            }
            _ => {
                let sums = shares.iter().map(|share| share * seconds).collect();
                self.pieces.push_back((span, sums));
            }
        }
        let mut all: Duration = self.pieces.iter().map(|(long, _)| *long).sum();
        while let Some((long, _)) = self.pieces.front()
            && all - *long >= ttl
        {
            all -= *long;
            self.pieces.pop_front();
        }
    }

    /// The mean shares; `None` before the first answer.
    pub fn mean(&self) -> Option<Vec<f64>> {
        let all: f64 = self.pieces.iter().map(|(long, _)| long.as_secs_f64()).sum();
        let (_, first) = self.pieces.front()?;
        let mut mean = vec![0.0; first.len()];
        for (_, sums) in &self.pieces {
            mean.iter_mut().zip(sums).for_each(|(mean, sum)| *mean += sum / all);
        }
        Some(mean)
    }

    /// The endpoints are others from now on: by endpoint, which of the present ones it is.
    pub fn rearrange(&mut self, from: &[Option<usize>]) {
        for (_, sums) in &mut self.pieces {
            let known = |at: &Option<usize>| at.and_then(|at| sums.get(at)).copied();
            *sums = from.iter().map(|at| known(at).unwrap_or(0.0)).collect();
        }
    }

    /// The clients that were sent to each endpoint turned out to be so many times as many.
    pub fn correct(&mut self, factors: &[f64]) {
        for (_, sums) in &mut self.pieces {
            sums.iter_mut().zip(factors).for_each(|(sum, factor)| *sum *= factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_served_follows_the_answers_evenly_within_one_ttl() {
        for ttl in [5, 60, 600] {
            let ttl = ttl * SECOND;
            let mut answered = Answered::default();
            assert_eq!(answered.mean(), None);
            for _ in 0..2 * ttl.as_secs() {
                answered.push(&[1.0, 0.0], SECOND, ttl);
            }
            for passed in 1..=2 * ttl.as_secs() {
                answered.push(&[0.0, 1.0], SECOND, ttl);
                let mean = answered.mean().unwrap();
                let expected = (passed as f64 / ttl.as_secs() as f64).min(1.0);
                assert!((mean[1] - expected).abs() < 1.5 / f64::from(PIECES), "{passed}: {mean:?}");
                assert!((mean[0] + mean[1] - 1.0).abs() < 1e-9);
                assert!(answered.pieces.len() <= 2 * PIECES as usize + 2);
            }
        }
    }
}
