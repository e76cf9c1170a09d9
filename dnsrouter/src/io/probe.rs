//! Pings every target over mTLS, each on its own clock, and reports what came back.
//!
//! One task per target and one kept connection each, however many services share it. A ping is
//! sent every `interval` plus a random part of `jitter`, counted from the start of the one before,
//! so a slow failure does not slow the next ping down.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use std::sync::Arc;

use daemon::grpc::{self, Endpoint, Timeouts};
use daemon::tls::{Expect, Tls};
use pki::Program;
use proto::geoping::v1::geo_ping_client::GeoPingClient;
use proto::geoping::v1::{RegionRequest, ServerStatusReply, State};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Channel;

use crate::config::Probe;
use crate::health::Outcome;
use crate::monitor::Report;
use crate::random::Random;
use crate::service::Target;

/// The first ping of a new target comes within this: a node that starts should know soon, but a
/// thousand targets should not be pinged in one instant.
const FIRST: Duration = Duration::from_millis(250);

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
        mut targets: watch::Receiver<Arc<[Target]>>,
        stop: CancellationToken,
    ) -> Result<(), std::convert::Infallible> {
        let mut running: HashMap<Target, DropGuard> = HashMap::new();
        loop {
            let wanted = Arc::clone(&targets.borrow_and_update());
            running.retain(|target, _| wanted.contains(target));
            for target in wanted.iter() {
                if !running.contains_key(target) {
                    let end = stop.child_token();
                    let probe = self.clone().probe(target.clone());
                    tokio::spawn(end.clone().run_until_cancelled_owned(probe));
                    running.insert(target.clone(), end.drop_guard());
                }
            }
            tokio::select! {
                changed = targets.changed() => if changed.is_err() { return Ok(()) },
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    async fn probe(mut self, target: Target) {
        let mut random = Random::from_system();
        let mut kept = None;
        tokio::time::sleep(random.up_to(FIRST)).await;
        loop {
            let settings = *self.settings.borrow_and_update();
            let started = Instant::now();
            let report = self.ping(&target, settings.timeout, &mut kept).await;
            if report.outcome == Outcome::Failure {
                // The next ping connects anew: a connection that went silent stays silent.
                kept = None;
            }
            if self.reports.send((target.clone(), report)).await.is_err() {
                return;
            }
            let next = started + settings.interval + random.up_to(settings.jitter);
            tokio::select! {
                () = tokio::time::sleep_until(next.into()) => {}
                // A shorter interval counts from now on, not after the longer one.
                Ok(()) = self.settings.changed() => {}
            }
        }
    }

    async fn ping(&self, target: &Target, limit: Duration, kept: &mut Option<Channel>) -> Report {
        let asked = tokio::time::timeout(limit, self.ask(target, limit, kept)).await;
        match asked {
            Ok(Ok((reply, rtt))) => judge(&reply, target, rtt),
            Ok(Err(why)) => failure(why),
            Err(_) => failure(format!("no reply within {}", humantime::format_duration(limit))),
        }
    }

    async fn ask(
        &self,
        target: &Target,
        limit: Duration,
        kept: &mut Option<Channel>,
    ) -> Result<(ServerStatusReply, Duration), String> {
        let channel = match kept.take() {
            Some(channel) => channel,
            None => self.connect(target, limit).await?,
        };
        let started = Instant::now();
        let request = RegionRequest { region: self.region.clone() };
        let reply = GeoPingClient::new(channel.clone()).status(request).await;
        let reply = reply.map_err(|status| grpc::explain(&status))?;
        *kept = Some(channel);
        Ok((reply.into_inner(), started.elapsed()))
    }

    /// Whoever answers must prove to be a GeoPing of the region the target is supposed to be in.
    async fn connect(&self, target: &Target, limit: Duration) -> Result<Channel, String> {
        let endpoint = Endpoint { host: target.ping.host.clone(), port: target.ping.port };
        let expect = Expect::program(Program::Geoping).in_region(target.region.clone());
        let timeouts = Timeouts { connect: limit, request: limit };
        let connected = grpc::connect(&endpoint, &self.tls, &expect, &timeouts).await;
        connected.map(|(channel, _)| channel).map_err(|error| error.to_string())
    }
}

/// What a reply says about its target.
fn judge(reply: &ServerStatusReply, target: &Target, rtt: Duration) -> Report {
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
    Report { outcome, rtt: Some(rtt), detail }
}

fn failure(detail: String) -> Report {
    Report { outcome: Outcome::Failure, rtt: None, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Ping;

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
