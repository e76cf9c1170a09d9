//! What pings say of an endpoint, put together: one figure from several addresses and families.
//!
//! A and AAAA lead to the same servers, so what they say is the same said twice, and the larger counts;
//! several addresses of one family are several servers, and their figures add up. Where one of them does
//! not say, it is taken for as busy as the others.
//!
//! | what pings tell | counts as requests per second |
//! |---|---|
//! | a rate | the rate |
//! | else the share of processors in use | that share of the capacity |
//! | else requests in flight | their number: `capacity` is then the most at a time |

use std::time::Duration;

use crate::health::State;
use crate::plan::Services;
use crate::policy::Policy;
use crate::service::Form;
use crate::verdicts::{Health, Verdict, WHOLE};

use super::spill::{Condition, Seen};

/// What is known of one endpoint of a service.
pub fn look(policy: &Policy, endpoint: u8, services: &Services, health: &Health) -> Seen {
    let mut seen = Seen {
        capacity: policy.capacity(endpoint),
        rate: None,
        condition: Condition::Gone,
        round_trip: None,
    };
    let mut warm: f64 = 1.0;
    for form in Form::ALL {
        let of_form = Group::of(policy, form, endpoint, services, health);
        seen.condition = seen.condition.min(of_form.condition);
        if policy.capacity(endpoint).is_none() {
            seen.capacity = larger(seen.capacity, of_form.capacity());
        }
        if !policy.slow_start().is_zero() {
            warm = warm.min(of_form.warm());
        }
        seen.round_trip = seen.round_trip.max(of_form.round_trip());
    }
    for form in Form::ALL {
        let of_form = Group::of(policy, form, endpoint, services, health);
        seen.rate = larger(seen.rate, of_form.rate(seen.capacity));
    }
    seen.capacity = seen.capacity.map(|capacity| capacity * warm);
    seen
}

fn larger(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

/// What is known of the targets that speak for an endpoint's records of one form.
struct Group<'a> {
    condition: Condition,
    verdicts: Vec<&'a Verdict>,
}

impl<'a> Group<'a> {
    fn of(
        policy: &Policy,
        form: Form,
        endpoint: u8,
        services: &Services,
        health: &'a Health,
    ) -> Self {
        let records = policy.endpoint_records(form, endpoint);
        let mut condition = Condition::Gone;
        let mut targets: Vec<_> = Vec::new();
        for record in records {
            let location = policy.location(endpoint);
            let standing = health.endpoint_state(policy.id(), endpoint, location, record.target);
            let verdict = record.target.map(|target| health.verdict(target));
            let is_dying = standing.gone > 0
                || standing.state == State::Degraded
                || verdict.is_some_and(|verdict| verdict.suspected);
            condition = condition.min(match standing.state.is_usable() && standing.gone < WHOLE {
                false => Condition::Gone,
                true if is_dying => Condition::Dying,
                true => Condition::Well,
            });
            targets.extend(record.target.into_iter().flat_map(|target| services.behind(target)));
        }
        targets.sort_unstable();
        targets.dedup();
        let verdicts = targets.into_iter().map(|target| health.verdict(target)).collect();
        Self { condition, verdicts }
    }

    /// The sum of a figure over all, from those that tell it.
    fn sum(&self, figure: impl Fn(&Verdict) -> u32) -> Option<f64> {
        let told = self.verdicts.iter().filter(|verdict| verdict.told);
        let figures = told.map(|verdict| figure(verdict)).filter(|figure| *figure > 0);
        let (sum, count) = figures.fold((0.0, 0_u32), |(s, n), f| (s + f64::from(f), n + 1));
        #[expect(clippy::cast_precision_loss, reason = "at most 32 records")]
        let all = self.tellers() as f64;
        (count > 0).then(|| sum * all / f64::from(count))
    }

    /// Checks beside pings tell nothing, ever; a pair's ping speaks for both.
    fn tellers(&self) -> usize {
        self.verdicts.iter().filter(|verdict| verdict.told).count()
    }

    fn capacity(&self) -> Option<f64> {
        self.sum(|verdict| verdict.capacity)
    }

    fn rate(&self, capacity: Option<f64>) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "at most 32 records")]
        let mean = |sum: f64| sum / self.tellers() as f64;
        let busy = || Some(mean(self.sum(|verdict| verdict.load.into())?) / f64::from(WHOLE));
        let by_processors = || Some(busy()? * capacity?);
        let rate = self.sum(|verdict| verdict.rate).or_else(by_processors);
        rate.or_else(|| self.sum(|verdict| verdict.in_flight))
    }

    fn warm(&self) -> f64 {
        let least = self.verdicts.iter().map(|verdict| verdict.warm).min();
        f64::from(least.unwrap_or(WHOLE)) / f64::from(WHOLE)
    }

    fn round_trip(&self) -> Option<Duration> {
        self.verdicts.iter().filter_map(|verdict| verdict.round_trip()).max()
    }
}
