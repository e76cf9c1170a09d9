//! A `GET` over TLS, as public clients do it, and a plain TCP connection.

use std::sync::Arc;
use std::time::Instant;

use daemon::dial;
use daemon::https::{self, GetError, Request, Response, Trust};

use crate::health::{Fault, Outcome};
use crate::target::{HostPort, Https};

use super::{Asked, NoReply, Prober, Seen, fault};

/// Of a body, in octets: a health page is short, and what a check looks for stands near its top.
const MAX_BODY: usize = 64 << 10;

const USER_AGENT: &str = concat!("dnsrouter/", env!("CARGO_PKG_VERSION"));

impl Prober {
    /// One check. A connection each time: whether the server still accepts, and with which
    /// certificate, is part of the question.
    pub(super) async fn ask_https(&self, check: &Https, trust: &mut Option<Trust>) -> Asked {
        let trust = match trust {
            Some(trust) => trust,
            None => trust.insert(self.trust(check)?),
        };
        let request = Request {
            host: &check.at.host,
            port: check.at.port,
            name: &check.name,
            path: &check.path,
            user_agent: USER_AGENT,
            body: check.body.as_ref().map_or(0, |_| MAX_BODY),
        };
        let started = Instant::now();
        match https::get(trust, &request).await {
            Ok(response) => {
                let (outcome, detail) = judge(check, &response);
                Ok(Seen { outcome, rtt: Some(started.elapsed()), load: None, detail })
            }
            Err(GetError::Dial(error)) => Err(fault::of_dialling(&error)),
            Err(error) => {
                let fault = match error {
                    GetError::Tls { is_identity: true, .. } => Fault::Identity,
                    GetError::Tls { .. } => Fault::Tls,
                    GetError::Closed => Fault::Closed,
                    GetError::Http(_) | GetError::Dial(_) => Fault::Version,
                };
                Err(NoReply::Theirs(fault, error.to_string()))
            }
        }
    }

    fn trust(&self, check: &Https) -> Result<Trust, NoReply> {
        let ours = |error: &dyn std::fmt::Display| NoReply::Ours(error.to_string());
        match &check.ca {
            Some(ca) => Trust::in_pem(&ca.pem).map_err(|error| ours(&error)),
            // Read once: they are the same for every target.
            None => self
                .system
                .get_or_init(|| Arc::new(Trust::in_system().map_err(|error| error.to_string())))
                .as_ref()
                .clone()
                .map_err(|error| ours(&error)),
        }
    }
}

/// Whether a connection is established.
pub(super) async fn ask_tcp(at: &HostPort) -> Asked {
    let started = Instant::now();
    match dial::tcp(&at.host, at.port).await {
        Ok(_) => Ok(Seen {
            outcome: Outcome::Success,
            rtt: Some(started.elapsed()),
            load: None,
            detail: String::new(),
        }),
        Err(error) => Err(fault::of_dialling(&error)),
    }
}

fn judge(check: &Https, response: &Response) -> (Outcome, String) {
    let Response { status, body, is_cut } = response;
    if !check.statuses.contains(status) {
        return (Outcome::Failure(Fault::Status), format!("it answered {status}"));
    }
    let Some(wanted) = &check.body else { return (Outcome::Success, String::new()) };
    if body.windows(wanted.len()).any(|part| part == wanted.as_bytes()) {
        return (Outcome::Success, String::new());
    }
    let read = body.len();
    if *is_cut {
        let words = format!("it hung up in the middle of its body ({read} octets were read)");
        return (Outcome::Failure(Fault::Closed), words);
    }
    let words = format!("{wanted:?} is not in its body ({read} octets were read)");
    (Outcome::Failure(Fault::Body), words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(statuses: &[u16], wanted: Option<&str>, status: u16, body: &str) -> Outcome {
        let check = Https {
            at: HostPort { host: "h".into(), port: 443 },
            name: "h".into(),
            path: "/".into(),
            statuses: statuses.to_vec(),
            body: wanted.map(Into::into),
            ca: None,
        };
        let body = body.as_bytes().to_vec();
        let whole = judge(&check, &Response { status, body: body.clone(), is_cut: false }).0;
        let cut = judge(&check, &Response { status, body, is_cut: true }).0;
        match whole {
            // What was looked for may have come behind.
            Outcome::Failure(Fault::Body) => assert_eq!(cut, Outcome::Failure(Fault::Closed)),
            whole => assert_eq!(cut, whole),
        }
        whole
    }

    #[test]
    fn what_a_response_means() {
        assert_eq!(outcome(&[200, 204], None, 204, ""), Outcome::Success);
        assert_eq!(outcome(&[200], None, 302, ""), Outcome::Failure(Fault::Status));
        assert_eq!(outcome(&[200], Some("ok"), 200, "{\"db\":\"ok\"}"), Outcome::Success);
        for without in ["", "o", "k", "OK"] {
            let failed = Outcome::Failure(Fault::Body);
            assert_eq!(outcome(&[200], Some("ok"), 200, without), failed, "{without:?}");
        }
    }
}
