//! GeoPing's `Status` over mTLS: whoever answers must prove to be a GeoPing of the region the
//! target is supposed to be in.

use std::time::{Duration, Instant};

use daemon::grpc::{self, Endpoint, Timeouts};
use daemon::tls::Expect;
use pki::Program;
use proto::geoping::v1::geo_ping_client::GeoPingClient;
use proto::geoping::v1::{RegionRequest, ServerStatusReply, State};
use tonic::transport::Channel;

use crate::health::{Fault, Outcome};
use crate::monitor::Load;
use crate::target::HostPort;

use super::{Asked, NoReply, Prober, Seen, fault};

impl Prober {
    /// One ping, over the connection that was kept if there is one.
    pub(super) async fn ping(
        &self,
        at: &HostPort,
        region: &str,
        limit: Duration,
        kept: &mut Option<Channel>,
    ) -> Asked {
        if let Some(channel) = kept.take() {
            match self.call(channel, kept).await {
                // It never left: the kept connection was just ending. A new one will do.
                Err(status) if grpc::unsent(&status) => {}
                answer => return judged(answer, region),
            }
        }
        let tls = self.tls.as_ref().ok_or_else(no_identity)?;
        let endpoint = Endpoint { host: at.host.clone(), port: at.port };
        let expect = Expect::program(Program::Geoping).in_region(region);
        let timeouts = Timeouts { connect: limit, request: limit };
        let connected = grpc::connect(&endpoint, tls, &expect, &timeouts).await;
        let (channel, _) = connected.map_err(|error| fault::of_connecting(&error))?;
        judged(self.call(channel, kept).await, region)
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
}

pub(super) fn no_identity() -> NoReply {
    NoReply::Ours("mTLS needs this node's certificate, and it has none".into())
}

fn judged(answer: Result<(ServerStatusReply, Duration), tonic::Status>, region: &str) -> Asked {
    match answer {
        Ok((reply, rtt)) => Ok(judge(&reply, region, rtt)),
        Err(status) => Err(fault::of_status(&status)),
    }
}

/// What a reply says about its target.
fn judge(reply: &ServerStatusReply, region: &str, rtt: Duration) -> Seen {
    if reply.region.is_empty() {
        let detail = "its reply names no region: no GeoPing that is understood here";
        return Seen::failure(Fault::Version, detail);
    }
    if reply.region != region {
        let detail = format!("it says it is {:?}, not {region:?}", reply.region);
        return Seen::failure(Fault::Region, detail);
    }
    let draining = reply.draining || reply.state() == State::Draining;
    let outcome = match reply.state() {
        _ if draining => Outcome::Draining,
        State::Unavailable => Outcome::Failure(Fault::Unavailable),
        State::Degraded => Outcome::Degraded,
        // What speaks only the first four fields says how it is in a word.
        State::Unspecified if reply.status == "UNAVAILABLE" => Outcome::Failure(Fault::Unavailable),
        State::Unspecified if reply.status == "DEGRADED" => Outcome::Degraded,
        _ => Outcome::Success,
    };
    let detail = match outcome {
        Outcome::Success => String::new(),
        _ => format!("its status is {}: {}", reply.status, reply.detail),
    };
    Seen { outcome, rtt: Some(rtt), load: load(reply), detail }
}

fn load(reply: &ServerStatusReply) -> Option<Load> {
    let load = reply.load.as_ref()?;
    Some(Load {
        in_flight: load.in_flight,
        cpu: Load::share(load.cpu),
        rate: load.rate.map_or(0, per_second),
        capacity: u32::try_from(reply.capacity).unwrap_or(u32::MAX),
    })
}

/// Whole requests per second, at least 1 when idle, since 0 is "not stated"; so is what is no number,
/// or negative.
fn per_second(rate: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    let whole = rate.round() as u32;
    if rate >= 0.0 { whole.max(1) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdicts::WHOLE;
    use proto::geoping::v1 as wire;

    fn outcome(reply: &ServerStatusReply) -> Outcome {
        judge(reply, "r", Duration::ZERO).outcome
    }

    fn well() -> ServerStatusReply {
        ServerStatusReply {
            region: "r".into(),
            status: "OK".into(),
            state: State::Ok.into(),
            ..Default::default()
        }
    }

    #[test]
    fn what_a_reply_means() {
        let with = |state: State| ServerStatusReply { state: state.into(), ..well() };
        let unavailable = Outcome::Failure(Fault::Unavailable);
        assert_eq!(outcome(&well()), Outcome::Success);
        assert_eq!(outcome(&with(State::Degraded)), Outcome::Degraded);
        assert_eq!(outcome(&with(State::Unspecified)), Outcome::Success, "an old speaker");
        assert_eq!(outcome(&with(State::Unavailable)), unavailable);
        assert_eq!(outcome(&with(State::Draining)), Outcome::Draining);
        let word = |status: &str| {
            outcome(&ServerStatusReply { status: status.into(), ..with(State::Unspecified) })
        };
        assert_eq!([word("UNAVAILABLE"), word("DEGRADED")], [unavailable, Outcome::Degraded]);
    }

    #[test]
    fn the_wrong_region_and_no_region_are_faults_of_their_own() {
        let elsewhere = ServerStatusReply { region: "other".into(), ..well() };
        assert_eq!(outcome(&elsewhere), Outcome::Failure(Fault::Region));
        assert_eq!(outcome(&ServerStatusReply::default()), Outcome::Failure(Fault::Version));
    }

    #[test]
    fn how_busy_it_says_it_is() {
        assert_eq!(judge(&well(), "r", Duration::ZERO).load, None, "it does not say");
        let load = |cpu| {
            let load = Some(wire::Load { in_flight: 7, cpu, rate: Some(90.4) });
            let reply = ServerStatusReply { load, capacity: u64::MAX, ..well() };
            judge(&reply, "r", Duration::ZERO).load.unwrap()
        };
        assert_eq!(load(1.0), Load { in_flight: 7, cpu: WHOLE, rate: 90, capacity: u32::MAX });
        let cpu = [-1.0, 0.0, 0.5, 2.0, f64::INFINITY, f64::NAN].map(|cpu| load(cpu).cpu);
        assert_eq!(cpu, [0, 0, WHOLE / 2, WHOLE, WHOLE, 0]);
        let rates = [0.0, 0.4, 1e12, -1.0, f64::NAN].map(per_second);
        assert_eq!(rates, [1, 1, u32::MAX, 0, 0]);
    }
}
