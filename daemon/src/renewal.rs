//! Gets a new certificate in time by running a command, then reloads.
//!
//! ```text
//!  0 ────────────────── at (0.66) ─────────── 5/6 ──── 1   of the certificate's lifetime
//!                        │ run the command,    │ warn
//!                        │ again with back-off │
//! ```
//!
//! ```no_run
//! # async fn run(tls: std::sync::Arc<daemon::tls::Tls>, config: &daemon::config::Tls,
//! #              stop: daemon::shutdown::CancellationToken) {
//! daemon::renewal::run(tls, config.renew.clone(), stop.cancelled_owned()).await;
//! # }
//! ```

mod command;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::config::Renew;
use crate::tls::{Reloaded, Tls};

/// How often the clock is looked at: it may be set, or the machine may sleep, so no sleep of ours
/// is longer. Certificates of minutes are looked at more often, up to the shortest.
const LONGEST_TICK: Duration = Duration::from_secs(60);
const SHORTEST_TICK: Duration = Duration::from_millis(200);

/// Pauses after a failed renewal: doubling from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Between two warnings about the same certificate.
const WARN_EVERY: Duration = Duration::from_secs(3600);

/// Runs until `shutdown`: renews at `renew.at` of the lifetime, with back-off when that fails,
/// and warns when less than a sixth of the lifetime is left (also without a `renew`).
pub async fn run(tls: Arc<Tls>, renew: Option<Renew>, shutdown: impl Future<Output = ()> + Send) {
    let mut shutdown = pin!(shutdown);
    let mut schedule = Schedule::default();
    loop {
        tls.observe();
        let mut pause = SHORTEST_TICK;
        if let Some(now) = tls.now() {
            let lifetime = Lifetime { from: tls.not_before(), until: tls.not_after() };
            pause = lifetime.tick();
            warn_when_late(&mut schedule, &lifetime, now);
            if let Some(renew) =
                renew.as_ref().filter(|renew| schedule.is_due(&lifetime, renew.at, now))
            {
                let renewed = tokio::select! {
                    renewed = renew_once(renew, &tls) => renewed,
                    () = &mut shutdown => return,
                };
                schedule.note(renewed, &lifetime, now);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = &mut shutdown => return,
        }
    }
}

/// When a certificate is valid.
struct Lifetime {
    from: SystemTime,
    until: SystemTime,
}

/// What was tried and said so far.
#[derive(Debug, Default)]
struct Schedule {
    failures: u32,
    /// Not before.
    next_try: Option<SystemTime>,
    warned: Option<SystemTime>,
}

impl Lifetime {
    fn length(&self) -> Duration {
        self.until.duration_since(self.from).unwrap_or_default()
    }

    fn left(&self, now: SystemTime) -> Duration {
        self.until.duration_since(now).unwrap_or_default()
    }

    fn tick(&self) -> Duration {
        (self.length() / 50).clamp(SHORTEST_TICK, LONGEST_TICK)
    }
}

impl Schedule {
    fn is_due(&self, lifetime: &Lifetime, at: f64, now: SystemTime) -> bool {
        let at = if at.is_nan() { 0.0 } else { at.clamp(0.0, 1.0) };
        let due = lifetime.from + lifetime.length().mul_f64(at);
        // A clock that was set back by days must not put the next try off for as long.
        let too_far = |next: SystemTime| next.duration_since(now).is_ok_and(|w| w > LONGEST_PAUSE);
        now >= due && self.next_try.is_none_or(|next| now >= next || too_far(next))
    }

    /// Notes how it went.
    fn note(&mut self, renewed: bool, lifetime: &Lifetime, now: SystemTime) {
        if renewed {
            *self = Self::default();
            return;
        }
        let first = FIRST_PAUSE.min(lifetime.tick());
        let pause = first.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.next_try = now.checked_add(pause);
    }

    /// Whether to warn now that less than a sixth is left.
    fn is_late(&mut self, lifetime: &Lifetime, now: SystemTime) -> Option<bool> {
        if lifetime.left(now) >= lifetime.length() / 6 {
            self.warned = None;
            return None;
        }
        let said =
            |warned: SystemTime| now.duration_since(warned).is_ok_and(|ago| ago < WARN_EVERY);
        let again = !self.warned.is_some_and(said);
        if again {
            self.warned = Some(now);
        }
        Some(again)
    }
}

fn warn_when_late(schedule: &mut Schedule, lifetime: &Lifetime, now: SystemTime) {
    let late = schedule.is_late(lifetime, now);
    metrics::gauge!("tls_certificate_expiring").set(if late.is_some() { 1.0 } else { 0.0 });
    if late == Some(true) {
        let left = humantime::format_duration(Duration::from_secs(lifetime.left(now).as_secs()));
        tracing::warn!(%left, "our certificate is about to expire and was not renewed");
    }
}

/// Runs the command and reloads; whether there is a new certificate.
async fn renew_once(renew: &Renew, tls: &Tls) -> bool {
    let before = tls.not_after();
    let outcome = match command::run(renew).await {
        Ok(()) => match tls.reload() {
            Ok(Reloaded::Changed) | Ok(Reloaded::Unchanged) if tls.not_after() > before => Ok(()),
            Ok(_) => Err("the command succeeded, but the certificate is the same".to_owned()),
            Err(error) => Err(format!("the command made unusable files: {error}")),
        },
        Err(why) => Err(why),
    };
    let result = if outcome.is_ok() { "ok" } else { "failed" };
    metrics::counter!("tls_renewals_total", "result" => result).increment(1);
    match outcome {
        Ok(()) => {
            let until = humantime::format_rfc3339_seconds(tls.not_after());
            tracing::info!(%until, "certificate renewed");
            true
        }
        Err(cause) => {
            tracing::error!(cause, "certificate not renewed, trying again later");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn lifetime() -> Lifetime {
        let from = SystemTime::UNIX_EPOCH + DAY * 20_000;
        Lifetime { from, until: from + DAY }
    }

    #[test]
    fn renewal_is_due_from_its_fraction_on() {
        let (schedule, lifetime) = (Schedule::default(), lifetime());
        let due =
            |fraction: f64| schedule.is_due(&lifetime, 0.66, lifetime.from + DAY.mul_f64(fraction));
        assert!(!due(0.0) && !due(0.65));
        assert!(due(0.67) && due(1.0) && due(5.0), "also when it is over already");
        assert!(!schedule.is_due(&lifetime, 0.66, SystemTime::UNIX_EPOCH), "a clock set back");
        for odd in [f64::NAN, f64::NEG_INFINITY, -1.0] {
            assert!(schedule.is_due(&lifetime, odd, lifetime.from), "{odd}");
        }
        assert!(!schedule.is_due(&lifetime, f64::INFINITY, lifetime.from));
    }

    #[test]
    fn failures_back_off_and_success_starts_over() {
        let (mut schedule, lifetime) = (Schedule::default(), lifetime());
        let now = lifetime.until;
        let mut pause_after = |renewed| {
            schedule.note(renewed, &lifetime, now);
            let due = |seconds: &u64| {
                schedule.is_due(&lifetime, 0.5, now + Duration::from_secs(*seconds))
            };
            (0..=3600).find(due)
        };
        let pauses: Vec<_> = (0..9).filter_map(|_| pause_after(false)).collect();
        assert_eq!(pauses, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(pause_after(true), Some(0));
        assert_eq!(pause_after(false), Some(30));
    }

    #[test]
    fn a_clock_set_back_does_not_put_the_next_try_off() {
        let (mut schedule, lifetime) = (Schedule::default(), lifetime());
        schedule.note(false, &lifetime, lifetime.until + DAY * 365);
        assert!(schedule.is_due(&lifetime, 0.5, lifetime.until));
    }

    #[test]
    fn short_lived_certificates_are_looked_at_more_often() {
        let tick = |seconds| {
            let from = SystemTime::UNIX_EPOCH;
            Lifetime { from, until: from + Duration::from_secs(seconds) }.tick()
        };
        assert_eq!(tick(24 * 3600), LONGEST_TICK);
        assert_eq!(tick(120), Duration::from_millis(2400));
        assert_eq!(tick(0), SHORTEST_TICK);
    }

    #[test]
    fn the_last_sixth_is_warned_of_hourly() {
        let (mut schedule, lifetime) = (Schedule::default(), lifetime());
        let hour = Duration::from_secs(3600);
        let mut late = |hours: u32| schedule.is_late(&lifetime, lifetime.from + hour * hours);
        assert_eq!(late(20), None, "a sixth of 24 hours is left");
        assert_eq!(late(21), Some(true));
        assert_eq!(late(21), Some(false));
        assert_eq!(late(22), Some(true));
        assert_eq!(late(30), Some(true), "over, too");
        assert_eq!(late(1), None, "renewed, or a clock set back");
        assert_eq!(late(23), Some(true));
    }
}
