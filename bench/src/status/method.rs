//! What is asked, and when the answer is right.

use std::sync::Arc;

use prost::Message;
use proto::geoping::v1::{RegionRequest, ServerStatusReply};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// A method of gRPC with what it is asked.
#[derive(Clone, Debug)]
pub(super) enum Method {
    /// `geoping.v1.GeoPing/Status`.
    Status {
        /// The region that is to answer.
        region: Arc<str>,
        /// Who asks, as it is to be told.
        caller: Arc<str>,
    },
    /// `grpc.health.v1.Health/Check` of the whole server.
    Check,
}

impl Method {
    pub(super) fn path(&self) -> &'static str {
        match self {
            Method::Status { .. } => "/geoping.v1.GeoPing/Status",
            Method::Check => "/grpc.health.v1.Health/Check",
        }
    }

    /// As a name server of the same region asks.
    pub(super) fn message(&self) -> Vec<u8> {
        match self {
            Method::Status { region, .. } => {
                RegionRequest { region: region.to_string() }.encode_to_vec()
            }
            Method::Check => HealthCheckRequest::default().encode_to_vec(),
        }
    }

    /// Whether the region says that it is well and who asked; whether a server says that it serves.
    pub(super) fn is_right(&self, reply: &[u8]) -> bool {
        match self {
            Method::Status { region, caller } => {
                ServerStatusReply::decode(reply).is_ok_and(|reply| {
                    let told = reply.caller.map(|caller| caller.identity).unwrap_or_default();
                    *reply.region == **region && reply.status == "OK" && *told == **caller
                })
            }
            Method::Check => HealthCheckResponse::decode(reply)
                .is_ok_and(|reply| reply.status() == ServingStatus::Serving),
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::geoping::v1::Caller;

    use super::*;

    #[test]
    fn a_reply_from_elsewhere_is_wrong() {
        let method = Method::Status { region: "r".into(), caller: "spiffe://t/user/a".into() };
        let reply = |region: &str, status: &str, identity: &str| {
            let caller = Some(Caller { identity: identity.into(), ..Caller::default() });
            let (region, status) = (region.into(), status.into());
            let reply = ServerStatusReply { region, status, caller, ..Default::default() };
            method.is_right(&reply.encode_to_vec())
        };
        assert!(reply("r", "OK", "spiffe://t/user/a"));
        assert!(!reply("s", "OK", "spiffe://t/user/a"));
        assert!(!reply("r", "DRAINING", "spiffe://t/user/a"));
        assert!(!reply("r", "OK", "spiffe://t/user/b"));
        assert!(!method.is_right(&[]) && !method.is_right(&[0xff]));
    }

    #[test]
    fn only_who_serves_is_well() {
        let reply = |status: ServingStatus| HealthCheckResponse { status: status.into() };
        let right = |status| Method::Check.is_right(&reply(status).encode_to_vec());
        assert!(right(ServingStatus::Serving));
        assert!(!right(ServingStatus::NotServing) && !Method::Check.is_right(&[]));
    }
}
