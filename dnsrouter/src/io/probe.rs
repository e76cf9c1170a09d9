//! Pings every target over mTLS, each on its own clock, and reports what came back.
//!
//! One task per target and one kept connection each, however many services share it. A ping is
//! sent every `interval` plus a random part of `jitter`, counted from the start of the one before,
//! so a slow failure does not slow the next ping down. A task that panics is started again: what
//! it pinged would otherwise stay as it was last seen.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::grpc::{self, Endpoint, Timeouts};
use daemon::tls::{Expect, Tls};
use pki::Program;
use proto::geoping::v1::geo_ping_client::GeoPingClient;
use proto::geoping::v1::{RegionRequest, ServerStatusReply, State};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::config::Probe;
use crate::health::Outcome;
use crate::monitor::Report;
use crate::random::Random;
use crate::service::Target;

/// The first ping of a new target comes within this: a node that starts should know soon, but a
/// thousand targets should not be pinged in one instant.
const FIRST: Duration = Duration::from_millis(250);
/// A task that panicked pauses for so long: one that always does is a log line a second.
const RESTART: Duration = Duration::from_secs(1);
/// So many pings may go unreported before a verdict expires: on a busy machine some are late.
const UNREPORTED: u32 = 10;
/// However short the interval, a verdict is good for so long.
const LEAST_GOOD_FOR: Duration = Duration::from_secs(60);

/// What every probe task needs.
#[derive(Clone)]
pub struct Prober {
    /// Our identity and whom we trust.
    pub tls: Arc<Tls>,
    /// The region we ping from, for the target's statistics.
    pub region: String,
    /// Interval, time-out, jitter; followed when they change.
    pub settings: watch::Receiver<Probe>,
    /// Where reports go. Bounded: a slow reader slows probes down, it does not fill memory.
    pub reports: mpsc::Sender<(Target, Report)>,
}

impl Prober {
    /// Pings `targets`, whatever they are at the moment, until told to stop.
    ///
    /// # Errors
    ///
    /// None; it ends when stopped or when nobody publishes targets any more.
    pub async fn run(
        self,
        targets: watch::Receiver<Arc<[Target]>>,
        stop: CancellationToken,
    ) -> Result<(), std::convert::Infallible> {
        let probe = |target, pause| self.clone().probe(target, pause);
        // Dropped when told to stop, and its tasks with it.
        stop.run_until_cancelled(Probes::new(probe).follow(targets)).await;
        Ok(())
    }

    /// Pings one target, after a pause, as long as somebody takes the reports.
    async fn probe(mut self, target: Target, pause: Duration) {
        let mut random = Random::from_system();
        let mut kept = None;
        tokio::time::sleep(pause + random.up_to(FIRST)).await;
        loop {
            let settings = *self.settings.borrow_and_update();
            let started = Instant::now();
            if let Some(seen) = self.ping(&target, settings.timeout, &mut kept).await {
                if seen.outcome == Outcome::Failure {
                    // The next ping connects anew: a connection that went silent stays silent.
                    kept = None;
                }
                let report = Report {
                    outcome: seen.outcome,
                    rtt: seen.rtt,
                    detail: seen.detail,
                    good_for: good_for(&settings),
                };
                if self.reports.send((target.clone(), report)).await.is_err() {
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

    /// One ping; `None` when it says nothing about the target.
    async fn ping(
        &self,
        target: &Target,
        limit: Duration,
        kept: &mut Option<Channel>,
    ) -> Option<Seen> {
        let asked = tokio::time::timeout(limit, self.ask(target, limit, kept)).await;
        match asked {
            Ok(Ok((reply, rtt))) => Some(judge(&reply, target, rtt)),
            Ok(Err(NoReply::Theirs(why))) => Some(failure(why)),
            Ok(Err(NoReply::Ours(why))) => {
                metrics::counter!("dnsrouter_probe_own_failures_total").increment(1);
                tracing::warn!(
                    target = %target.ping, region = target.region, why,
                    "no ping could be made; that says nothing about the target"
                );
                None
            }
            Err(_) => {
                let limit = humantime::format_duration(limit);
                Some(failure(format!("no reply within {limit}")))
            }
        }
    }

    async fn ask(
        &self,
        target: &Target,
        limit: Duration,
        kept: &mut Option<Channel>,
    ) -> Result<(ServerStatusReply, Duration), NoReply> {
        if let Some(channel) = kept.take() {
            match self.call(channel, kept).await {
                // It never left: the kept connection was just ending. A new one will do.
                Err(status) if grpc::unsent(&status) => {}
                Err(status) => return Err(NoReply::Theirs(grpc::explain(&status))),
                Ok(reply) => return Ok(reply),
            }
        }
        let channel = self.connect(target, limit).await?;
        let reply = self.call(channel, kept).await;
        reply.map_err(|status| NoReply::Theirs(grpc::explain(&status)))
    }

    async fn call(
        &self,
        channel: Channel,
        kept: &mut Option<Channel>,
    ) -> Result<(ServerStatusReply, Duration), tonic::Status> {
        let started = Instant::now();
        let request = RegionRequest { region: self.region.clone() };
        let reply = GeoPingClient::new(channel.clone()).status(request).await?;
        *kept = Some(channel);
        Ok((reply.into_inner(), started.elapsed()))
    }

    /// Whoever answers must prove to be a GeoPing of the region the target is supposed to be in.
    async fn connect(&self, target: &Target, limit: Duration) -> Result<Channel, NoReply> {
        let endpoint = Endpoint { host: target.ping.host.clone(), port: target.ping.port };
        let expect = Expect::program(Program::Geoping).in_region(target.region.clone());
        let timeouts = Timeouts { connect: limit, request: limit };
        match grpc::connect(&endpoint, &self.tls, &expect, &timeouts).await {
            Ok((channel, _)) => Ok(channel),
            Err(error) if error.is_ours() => Err(NoReply::Ours(error.to_string())),
            Err(error) => Err(NoReply::Theirs(error.to_string())),
        }
    }
}

/// Why a ping has no reply, and whose fault that is.
enum NoReply {
    /// The target's, or the network's on the way to it.
    Theirs(String),
    /// This machine's: it could not even ask.
    Ours(String),
}

/// The tasks that ping, one per target, made by `probe` from a target and a pause before it starts.
struct Probes<F> {
    probe: F,
    tasks: JoinSet<()>,
    running: HashMap<Target, AbortHandle>,
    targets: HashMap<Id, Target>,
}

impl<F, P> Probes<F>
where
    F: Fn(Target, Duration) -> P,
    P: Future<Output = ()> + Send + 'static,
{
    fn new(probe: F) -> Self {
        let (running, targets) = (HashMap::new(), HashMap::new());
        Self { probe, tasks: JoinSet::new(), running, targets }
    }

    /// Ends when nobody publishes targets, or takes reports, any more.
    async fn follow(mut self, mut wanted: watch::Receiver<Arc<[Target]>>) {
        wanted.mark_changed();
        loop {
            tokio::select! {
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now = Arc::clone(&wanted.borrow_and_update());
                    self.retarget(&now);
                }
                Some(ended) = self.tasks.join_next_with_id() => match ended {
                    Ok((_, ())) => return,
                    Err(error) => self.restart(&error),
                },
            }
        }
    }

    fn retarget(&mut self, wanted: &[Target]) {
        let wanted: HashSet<&Target> = wanted.iter().collect();
        self.running.retain(|target, task| {
            let stays = wanted.contains(target);
            if !stays {
                self.targets.remove(&task.id());
                task.abort();
            }
            stays
        });
        for target in wanted {
            if !self.running.contains_key(target) {
                self.start(target.clone(), Duration::ZERO);
            }
        }
    }

    fn start(&mut self, target: Target, pause: Duration) {
        let task = self.tasks.spawn((self.probe)(target.clone(), pause));
        self.targets.insert(task.id(), target.clone());
        self.running.insert(target, task);
    }

    /// Of a task whose target was not taken away, this is a panic.
    fn restart(&mut self, error: &JoinError) {
        let Some(target) = self.targets.remove(&error.id()) else { return };
        metrics::counter!("dnsrouter_probe_panics_total").increment(1);
        tracing::error!(
            target = %target.ping, region = target.region, %error, pause = ?RESTART,
            "pinging a target failed by a defect of ours, restarting"
        );
        self.start(target, RESTART);
    }
}

/// One ping's result.
struct Seen {
    outcome: Outcome,
    rtt: Option<Duration>,
    detail: String,
}

/// How long a report is good for: the pings after it should have been reported by then.
fn good_for(settings: &Probe) -> Duration {
    let longest = settings.interval + settings.jitter + settings.timeout;
    longest.saturating_mul(UNREPORTED).max(LEAST_GOOD_FOR)
}

/// What a reply says about its target.
fn judge(reply: &ServerStatusReply, target: &Target, rtt: Duration) -> Seen {
    if reply.region != target.region {
        return failure(format!("it says it is {:?}, not {:?}", reply.region, target.region));
    }
    let draining = reply.draining || reply.state() == State::Draining;
    let outcome = match reply.state() {
        _ if draining => Outcome::Draining,
        State::Unavailable => Outcome::Failure,
        // What speaks only the first four fields says how it is in a word.
        State::Unspecified if reply.status == "UNAVAILABLE" => Outcome::Failure,
        _ => Outcome::Success,
    };
    let detail = match outcome {
        Outcome::Success => String::new(),
        _ => format!("its status is {}: {}", reply.status, reply.detail),
    };
    Seen { outcome, rtt: Some(rtt), detail }
}

fn failure(detail: String) -> Seen {
    Seen { outcome: Outcome::Failure, rtt: None, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Ping;

    /// Longer than it takes, shorter than anybody waits.
    const DEADLINE: Duration = Duration::from_secs(30);

    fn target(host: &str) -> Target {
        Target { ping: Ping { host: host.into(), port: 443 }, region: "r".into() }
    }

    #[tokio::test]
    async fn a_probe_that_panics_is_started_again_and_only_it() {
        let (started, mut starts) = mpsc::unbounded_channel();
        let probes = Probes::new(move |target: Target, pause| {
            let started = started.clone();
            async move {
                started.send((target.ping.host.clone(), pause)).unwrap();
                assert!(target.ping.host != "bad" || !pause.is_zero(), "a defect");
                std::future::pending::<()>().await;
            }
        });
        let (_publish, wanted) = watch::channel([target("bad"), target("good")].into());
        let following = tokio::spawn(probes.follow(wanted));
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(tokio::time::timeout(DEADLINE, starts.recv()).await.unwrap().unwrap());
        }
        seen.sort();
        let at_once = |host: &str| (host.to_owned(), Duration::ZERO);
        assert_eq!(seen, [at_once("bad"), ("bad".to_owned(), RESTART), at_once("good")]);
        assert!(!following.is_finished());
    }

    #[tokio::test]
    async fn a_target_that_goes_is_pinged_no_more_and_may_come_back() {
        // A probe that ends drops its part of the channel.
        let (started, mut starts) = mpsc::unbounded_channel();
        let probes = Probes::new(move |target: Target, _| {
            let (alive, dropped) = mpsc::channel::<()>(1);
            started.send((target.ping.host, dropped)).unwrap();
            async move {
                std::future::pending::<()>().await;
                drop(alive);
            }
        });
        let (publish, wanted) = watch::channel(Arc::from([target("a")]));
        let following = tokio::spawn(probes.follow(wanted));
        for round in 0..3 {
            let start = tokio::time::timeout(DEADLINE, starts.recv()).await.unwrap();
            let (host, mut a) = start.unwrap();
            assert_eq!(host, "a", "in round {round}");
            publish.send_replace(Arc::from([]));
            assert_eq!(tokio::time::timeout(DEADLINE, a.recv()).await, Ok(None));
            publish.send_replace(Arc::from([target("a")]));
        }
        drop(publish);
        tokio::time::timeout(DEADLINE, following).await.unwrap().unwrap();
    }

    #[test]
    fn a_report_outlasts_several_intervals() {
        let rise_and_fall = std::num::NonZeroU32::MIN;
        let settings = |interval| Probe {
            interval,
            timeout: Duration::from_secs(2),
            jitter: Duration::from_secs(1),
            thresholds: crate::health::Thresholds { rise: rise_and_fall, fall: rise_and_fall },
        };
        assert_eq!(good_for(&settings(Duration::from_secs(57))), Duration::from_secs(600));
        assert_eq!(good_for(&settings(Duration::from_millis(100))), LEAST_GOOD_FOR);
    }

    fn outcome(reply: &ServerStatusReply) -> Outcome {
        let ping = Ping { host: "h".into(), port: 1 };
        judge(reply, &Target { ping, region: "r".into() }, Duration::ZERO).outcome
    }

    #[test]
    fn what_a_reply_means() {
        let well = ServerStatusReply {
            region: "r".into(),
            status: "OK".into(),
            state: State::Ok.into(),
            ..Default::default()
        };
        let with = |state: State| ServerStatusReply { state: state.into(), ..well.clone() };
        assert_eq!(outcome(&well), Outcome::Success);
        assert_eq!(outcome(&with(State::Degraded)), Outcome::Success);
        assert_eq!(outcome(&with(State::Unspecified)), Outcome::Success, "an old speaker");
        assert_eq!(outcome(&with(State::Unavailable)), Outcome::Failure);
        assert_eq!(outcome(&with(State::Draining)), Outcome::Draining);
        let elsewhere = ServerStatusReply { region: "other".into(), ..well };
        assert_eq!(outcome(&elsewhere), Outcome::Failure, "a region fault is not health");
    }
}
