//! Checks every target, each on its own clock, and reports what came back.
//!
//! One task per target and one kept connection each (gRPC), however many services share it. A
//! check is made every `interval` plus a random part of `jitter`, counted from the start of the
//! one before, so a slow failure does not slow the next one down. A task that panics is started
//! again: what it checked would otherwise stay as it was last seen.
//!
//! | file | asks |
//! |---|---|
//! | `geoping` | GeoPing's `Status`: the usual way, which tells most |
//! | `grpc` | grpc.health.v1 |
//! | `https` | a `GET` over TLS; a TCP connection |

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use daemon::https::Trust;
use daemon::tls::Tls;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::config::Probe;
use crate::health::{Fault, Outcome};
use crate::monitor::{Load, Report};
use crate::random::Random;
use crate::target::{Check, Target, Targets};

use tasks::Probes;

mod fault;
mod geoping;
mod grpc;
mod https;
mod tasks;

/// The first check of a new target comes within this, unless it comes with many: a node that starts
/// should know soon, but a few hundred targets should not be asked in one instant.
const FIRST: Duration = Duration::from_millis(250);
/// So many checks may go unreported before a verdict expires: on a busy machine some are late.
const UNREPORTED: u32 = 10;
/// However short the interval, a verdict is good for so long.
const LEAST_GOOD_FOR: Duration = Duration::from_secs(60);

/// What every probe task needs.
#[derive(Clone)]
pub struct Prober {
    /// Our identity and whom we trust; none: nothing can be pinged.
    tls: Option<Arc<Tls>>,
    /// The region we ping from, for the target's statistics.
    region: String,
    /// Interval, time-out, jitter; followed when they change.
    settings: watch::Receiver<Probe>,
    /// Where reports go. Bounded: a slow reader slows probes down, it does not fill memory.
    reports: mpsc::Sender<(Arc<Target>, Report)>,
    /// Whom the system trusts, once somebody needs to know.
    system: Arc<OnceLock<Arc<Result<Trust, String>>>>,
}

/// What a check came to.
type Asked = Result<Seen, NoReply>;

/// One check's result.
struct Seen {
    outcome: Outcome,
    rtt: Option<Duration>,
    load: Option<Load>,
    detail: String,
}

/// Why a check has no reply, and whose fault that is.
enum NoReply {
    /// The target's, or the network's on the way to it.
    Theirs(Fault, String),
    /// This machine's: it could not even ask.
    Ours(String),
}

/// What one task keeps from check to check.
#[derive(Default)]
struct Kept {
    channel: Option<Channel>,
    trust: Option<Trust>,
}

impl Seen {
    fn failure(fault: Fault, detail: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failure(fault), rtt: None, load: None, detail: detail.into() }
    }
}

impl Prober {
    /// Reports to `reports` from `region`, with our identity if there is one.
    pub fn new(
        tls: Option<Arc<Tls>>,
        region: String,
        settings: watch::Receiver<Probe>,
        reports: mpsc::Sender<(Arc<Target>, Report)>,
    ) -> Self {
        Self { tls, region, settings, reports, system: Arc::default() }
    }

    /// Checks `targets`, whatever they are at the moment, until told to stop.
    ///
    /// # Errors
    ///
    /// None; it ends when stopped or when nobody publishes targets any more.
    pub async fn run(
        self,
        targets: watch::Receiver<Targets>,
        stop: CancellationToken,
    ) -> Result<(), std::convert::Infallible> {
        let probe = |target, pause| self.clone().probe(target, pause);
        // Dropped when told to stop, and its tasks with it.
        stop.run_until_cancelled(Probes::new(probe).follow(targets)).await;
        Ok(())
    }

    /// Checks one target, after a pause, as long as somebody takes the reports.
    async fn probe(mut self, target: Arc<Target>, pause: Duration) {
        let mut random = Random::from_system();
        let mut kept = Kept::default();
        tokio::time::sleep(pause + random.up_to(FIRST)).await;
        loop {
            let settings = *self.settings.borrow_and_update();
            let started = Instant::now();
            if let Some(seen) = self.check(&target, settings.timeout, &mut kept).await {
                if matches!(seen.outcome, Outcome::Failure(_)) {
                    // The next one connects anew: a connection that went silent stays silent.
                    kept.channel = None;
                }
                let report = Report {
                    outcome: seen.outcome,
                    rtt: seen.rtt,
                    load: seen.load,
                    detail: seen.detail,
                    good_for: good_for(&settings),
                };
                if self.reports.send((Arc::clone(&target), report)).await.is_err() {
                    return;
                }
            }
            let next = started + settings.interval + random.up_to(settings.jitter);
            tokio::select! {
                () = tokio::time::sleep_until(next.into()) => {}
                // A shorter interval counts from now on, not after the longer one.
                Ok(()) = self.settings.changed() => {}
            }
        }
    }

    /// One check; `None` when it says nothing about the target.
    async fn check(&self, target: &Target, limit: Duration, kept: &mut Kept) -> Option<Seen> {
        // This ends it. Limits of connections and calls are longer, or chance would decide which of
        // two timers words the failure.
        let asked = tokio::time::timeout(limit, self.ask(target, 2 * limit, kept)).await;
        let seen = match asked {
            Ok(Ok(seen)) => seen,
            Ok(Err(NoReply::Theirs(fault, why))) => Seen::failure(fault, why),
            Ok(Err(NoReply::Ours(why))) => {
                metrics::counter!("dnsrouter_probe_own_failures_total").increment(1);
                tracing::warn!(
                    target = %target.check, region = target.region, why,
                    "no check could be made; that says nothing about the target"
                );
                return None;
            }
            Err(_) => {
                let limit = humantime::format_duration(limit);
                Seen::failure(Fault::Timeout, format!("no reply within {limit}"))
            }
        };
        let (check, result) = (target.check.kind(), word(seen.outcome));
        metrics::counter!("dnsrouter_checks_total", "check" => check, "result" => result)
            .increment(1);
        Some(seen)
    }

    async fn ask(&self, target: &Target, limit: Duration, kept: &mut Kept) -> Asked {
        let (region, channel) = (&target.region, &mut kept.channel);
        match &target.check {
            Check::GeoPing(at) => self.ping(at, region, limit, channel).await,
            Check::Grpc(check) => self.ask_grpc(check, region, limit, channel).await,
            Check::Https(check) => self.ask_https(check, &mut kept.trust).await,
            Check::Tcp(at) => https::ask_tcp(at).await,
        }
    }
}

/// The label of an outcome.
fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "ok",
        Outcome::Degraded => "degraded",
        Outcome::Draining => "draining",
        Outcome::Failure(fault) => fault.word(),
    }
}

/// How long a report is good for: the checks after it should have been reported by then.
fn good_for(settings: &Probe) -> Duration {
    let longest = settings.interval + settings.jitter + settings.timeout;
    longest.saturating_mul(UNREPORTED).max(LEAST_GOOD_FOR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Rules, Thresholds};
    use crate::monitor::Settings;
    use std::num::NonZeroU32;

    #[test]
    fn a_report_outlasts_several_intervals() {
        let thresholds = Thresholds { rise: NonZeroU32::MIN, fall: NonZeroU32::MIN };
        let settings = |interval| Probe {
            interval,
            timeout: Duration::from_secs(2),
            jitter: Duration::from_secs(1),
            settings: Settings { rules: Rules { thresholds, damping: None }, removal: None },
        };
        assert_eq!(good_for(&settings(Duration::from_secs(57))), Duration::from_secs(600));
        assert_eq!(good_for(&settings(Duration::from_millis(100))), LEAST_GOOD_FOR);
    }
}
