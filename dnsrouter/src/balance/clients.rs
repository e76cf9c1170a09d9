//! How many clients are where: a guess, fitted to what is measured.
//!
//! The demand by place is a guess; what each endpoint serves is measured. An endpoint that serves more
//! than the clients who were answered with it should make tells that there are more clients at those
//! very places: their number is multiplied by a part of the ratio, again and again, until model and
//! measure agree (iterative proportional fitting: Deming and Stephan 1940).
//!
//! ```text
//!   guess      A ▂▂▂▂▂▂▂▂ B ▂▂▂▂▂▂▂▂         measured: A twice what it should serve, B half
//!   learnt     A ▄▄▄▄▄▄▄▄ B ▁▁▁▁▁▁▁▁         so there are more clients around A than was guessed
//! ```
//!
//! This is the integral part of the controller: at rest there is no error left, however wrong the
//! guess. The sum of all rates sets the scale at once. Right after a change of prices, when a small
//! error in *when* clients ask again looks like one in how many they are, little is learnt.

use std::time::Duration;

use super::answered::Answered;
use super::demand::Field;
use super::prices::Division;
use super::spill::{Interval, Seen};

/// All rates together are believed over this time: long enough for pings of a few seconds' interval,
/// short enough for a crowd.
const SCALE_OVER: Duration = Duration::from_secs(10);
/// Differences between model and measure are learnt over this time.
const LEARN_OVER: Duration = Duration::from_secs(30);
/// A correction by less is not worth a pass: over [`LEARN_OVER`], an error of 0.3 %.
const LEAST_LEARNT: f64 = 1e-4;
/// No interval believes in more than this factor.
const MOST_LEARNT: f64 = 1.25;
/// No place has more or fewer clients than the guess by this factor: what it cannot explain is not
/// explained by clients.
const MOST_WRONG: f32 = 32.0;
/// An endpoint that should serve less than this share says little about places.
const LEAST_SERVED: f64 = 0.002;
/// Nothing is learnt while this part of all clients still has another answer than it would get now.
const MOST_UNDERWAY: f64 = 0.25;

/// The clients of one service.
#[derive(Debug, Default)]
pub struct Clients {
    /// By point: the share of all clients that is believed to be there.
    mass: Vec<f32>,
    /// Requests per second of all clients; `None` before the first measure.
    total: Option<f64>,
    answered: Answered,
}

impl Clients {
    /// Begins with the guess, anew when it is of other points than before.
    pub fn settle(&mut self, field: &Field) {
        if self.mass.len() != field.mass().len() {
            self.mass = field.mass().to_vec();
        }
    }

    /// The points are others from now on; the guess begins anew.
    pub fn forget_places(&mut self) {
        self.mass.clear();
    }

    /// The same for other endpoints: by endpoint, which of the present ones it is.
    #[must_use]
    pub fn rearranged(mut self, from: &[Option<usize>]) -> Self {
        self.answered.rearrange(from);
        self
    }

    /// By point: the share of all clients that is believed to be there.
    pub fn mass(&self) -> &[f32] {
        &self.mass
    }

    /// Requests per second of all clients; `None` while nobody measures.
    pub fn total(&self) -> Option<f64> {
        self.total
    }

    /// Each endpoint's share of all clients now, by the answers that they keep; `None` before the first.
    pub fn served(&self) -> Option<Vec<f64>> {
        self.answered.mean()
    }

    /// For `span`, answers go out in these shares; they are kept for `ttl`.
    pub fn answered(&mut self, shares: &[f64], span: Duration, ttl: Duration) {
        self.answered.push(shares, span, ttl);
    }

    /// Fits the number of clients, in all and by place, to what is measured; `now` is where they are
    /// sent at present. Returns whether any place changed.
    pub fn learn(
        &mut self,
        interval: &Interval<'_>,
        seen: &[Seen],
        served: &[f64],
        now: &Division,
    ) -> bool {
        let telling = || {
            let rates = seen.iter().zip(served).enumerate();
            rates.filter(|(_, (seen, _))| seen.is_open()).filter_map(|(e, (s, share))| {
                Some((e, s.rate.filter(|rate| rate.is_finite() && *rate >= 0.0)?, *share))
            })
        };
        let rates: f64 = telling().map(|(_, rate, _)| rate).sum();
        let shares: f64 = telling().map(|(_, _, share)| share).sum();
        if shares < LEAST_SERVED {
            return false;
        }
        let measured = rates / shares;
        let total = self.total.unwrap_or(measured);
        let total = total + (measured - total) * part(interval.span, SCALE_OVER);
        self.total = Some(total);
        if measured <= 0.0 {
            return false;
        }
        // How much of what is answered is not served yet.
        let underway: f64 =
            served.iter().zip(&now.load).map(|(then, now)| (then - now).abs()).sum::<f64>() / 2.0;
        let gain =
            part(interval.span, LEARN_OVER) * (1.0 - underway / MOST_UNDERWAY).clamp(0.0, 1.0);
        let mut factors = vec![1.0; seen.len()];
        for (e, rate, share) in telling().filter(|(_, _, share)| *share >= LEAST_SERVED) {
            let ratio = (rate / (share * measured)).max(f64::MIN_POSITIVE);
            factors[e] = ratio.powf(gain).clamp(1.0 / MOST_LEARNT, MOST_LEARNT);
        }
        let worth = factors.iter().any(|factor| (factor - 1.0).abs() > LEAST_LEARNT);
        if worth {
            self.correct(interval.field, &factors, now);
        }
        worth
    }

    fn correct(&mut self, field: &Field, factors: &[f64], now: &Division) {
        let mut sum = 0.0;
        let points = self.mass.iter_mut().zip(&now.endpoint).zip(field.mass());
        for ((mass, endpoint), guess) in points {
            let factor = factors.get(usize::from(*endpoint)).copied().unwrap_or(1.0);
            #[expect(clippy::cast_possible_truncation, reason = "a factor near 1")]
            let corrected = *mass * factor as f32;
            *mass = corrected.clamp(guess / MOST_WRONG, guess * MOST_WRONG);
            sum += f64::from(*mass);
        }
        #[expect(clippy::cast_possible_truncation, reason = "a factor near 1")]
        let whole = (1.0 / sum) as f32;
        self.mass.iter_mut().for_each(|mass| *mass *= whole);
        let factors: Vec<f64> = factors.iter().map(|factor| factor / sum).collect();
        self.answered.correct(&factors);
    }
}

/// The part of a difference that is made up in `span` by what follows over `over` (exponentially).
pub(super) fn part(span: Duration, over: Duration) -> f64 {
    1.0 - (-span.as_secs_f64() / over.as_secs_f64()).exp()
}
