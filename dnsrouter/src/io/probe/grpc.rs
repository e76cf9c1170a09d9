//! grpc.health.v1: over mTLS within our trust domain, or in plaintext where the URL says so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::grpc::{self, Endpoint, PlainError, Timeouts};
use daemon::tls::Expect;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::health::{Fault, Outcome};
use crate::target::Grpc;

use super::geoping::no_identity;
use super::{Asked, NoReply, Prober, Seen, fault};

/// The largest health reply read, in bytes: one number.
const MAX_REPLY: usize = 1024;

impl Prober {
    /// One check, over the connection that was kept if there is one.
    pub(super) async fn ask_grpc(
        &self,
        check: &Grpc,
        region: &str,
        limit: Duration,
        kept: &mut Option<Channel>,
    ) -> Asked {
        if let Some(channel) = kept.take() {
            match call(check, channel, kept).await {
                // It never left: the kept connection was just ending. A new one will do.
                Err(status) if grpc::unsent(&status) => {}
                answer => return judged(check, answer),
            }
        }
        let channel = match check.secure {
            true => self.secure(check, region, limit).await?,
            false => plain(check, limit).await?,
        };
        judged(check, call(check, channel, kept).await)
    }

    /// Anybody in our trust domain, but not from another region.
    async fn secure(
        &self,
        check: &Grpc,
        region: &str,
        limit: Duration,
    ) -> Result<Channel, NoReply> {
        let tls = self.tls.as_ref().ok_or_else(no_identity)?;
        let endpoint = Endpoint { host: check.at.host.clone(), port: check.at.port };
        let timeouts = Timeouts { connect: limit, request: limit };
        let connected = grpc::connect(&endpoint, tls, &Expect::default(), &timeouts).await;
        let (channel, peer) = connected.map_err(|error| fault::of_connecting(&error))?;
        let identity: Arc<_> = peer.identity();
        match identity.region() {
            Some(other) if other != region => {
                let words = format!("its certificate is of {other:?}, not {region:?}");
                Err(NoReply::Theirs(Fault::Region, words))
            }
            _ => Ok(channel),
        }
    }
}

async fn plain(check: &Grpc, limit: Duration) -> Result<Channel, NoReply> {
    let connected = grpc::connect_plain(&check.at.host, check.at.port, limit).await;
    connected.map_err(|error| match error {
        PlainError::Dial(error) => fault::of_dialling(&error),
        PlainError::Http2(error) => NoReply::Theirs(Fault::Version, grpc::explain(&error)),
    })
}

async fn call(
    check: &Grpc,
    channel: Channel,
    kept: &mut Option<Channel>,
) -> Result<(i32, Duration), tonic::Status> {
    let started = Instant::now();
    let mut client = HealthClient::new(channel.clone()).max_decoding_message_size(MAX_REPLY);
    let request = HealthCheckRequest { service: check.service.clone() };
    let reply = client.check(request).await?;
    *kept = Some(channel);
    Ok((reply.get_ref().status, started.elapsed()))
}

fn judged(check: &Grpc, answer: Result<(i32, Duration), tonic::Status>) -> Asked {
    match answer {
        Ok((status, rtt)) => Ok(judge(status, rtt)),
        Err(status) if status.code() == Code::NotFound => {
            let words = format!("it knows no health of service {:?}", check.service);
            Err(NoReply::Theirs(Fault::Version, words))
        }
        Err(status) => Err(fault::of_status(&status)),
    }
}

/// What a `ServingStatus` says.
fn judge(status: i32, rtt: Duration) -> Seen {
    let (outcome, detail) = match ServingStatus::try_from(status) {
        Ok(ServingStatus::Serving) => (Outcome::Success, String::new()),
        Ok(ServingStatus::Unknown) => {
            (Outcome::Degraded, "it says UNKNOWN of its own health".to_owned())
        }
        Ok(other) => {
            (Outcome::Failure(Fault::Unavailable), format!("it says {}", other.as_str_name()))
        }
        Err(_) => {
            (Outcome::Failure(Fault::Version), format!("it says {status}, which means nothing"))
        }
    };
    Seen { outcome, rtt: Some(rtt), load: None, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_serving_status_means() {
        let outcome = |status| judge(status, Duration::ZERO).outcome;
        assert_eq!(outcome(1), Outcome::Success);
        assert_eq!(outcome(0), Outcome::Degraded);
        assert_eq!([2, 3].map(outcome), [Outcome::Failure(Fault::Unavailable); 2]);
        assert_eq!([4, -1].map(outcome), [Outcome::Failure(Fault::Version); 2]);
    }
}
