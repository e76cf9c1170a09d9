//! Calls over mutual TLS with credentials from flags or the context.

use std::error::Error as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use daemon::grpc::{self, ConnectError, Endpoint, Timeouts};
use daemon::tls::{self, Caller, Expect};
use rustls::ClientConfig;
use tokio::time::timeout;
use tonic::transport::Channel;

use crate::contexts::Context;
use crate::endpoint::HostPort;
use crate::exit::{one_line, usage};

/// Who we are, as flags say it.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct CredentialFlags {
    /// Certificate to show (PEM) [default: the context's]
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// Its private key (PEM) [default: the context's]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Certificate of the authority the server must be issued by (PEM) [default: the context's]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

/// The authority to trust, and the certificate and key to present, if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pair: Option<(PathBuf, PathBuf)>,
    ca: PathBuf,
}

impl CredentialFlags {
    /// Flags win over the context, file by file.
    ///
    /// # Errors
    /// A usage error that names the flags to give.
    pub(crate) fn resolve(self, context: &Context) -> anyhow::Result<Credentials> {
        let or = |flag: Option<PathBuf>, other: &Option<PathBuf>| flag.or_else(|| other.clone());
        let cert = or(self.cert, &context.cert);
        let key = or(self.key, &context.key);
        let ca = or(self.ca, &context.ca);
        match (cert, key, ca) {
            (Some(cert), Some(key), Some(ca)) => Ok(Credentials { pair: Some((cert, key)), ca }),
            // Nothing to present: the server says what it thinks of that.
            (None, None, Some(ca)) => Ok(Credentials { pair: None, ca }),
            (cert, key, ca) => {
                let missing =
                    [(cert.is_none(), "--cert"), (key.is_none(), "--key"), (ca.is_none(), "--ca")];
                let missing: Vec<&str> =
                    missing.into_iter().filter_map(|(none, flag)| none.then_some(flag)).collect();
                usage(format!(
                    "no credentials: give {} FILE, or choose a context that has them \
                     (`geoip context`; `geoip dev up` makes one)",
                    missing.join(", ")
                ))
            }
        }
    }
}

impl Credentials {
    pub(crate) fn new(cert: &Path, key: &Path, ca: &Path) -> Self {
        Self { pair: Some((cert.into(), key.into())), ca: ca.into() }
    }

    /// Certificate and key, if any, and the authority.
    pub(crate) fn into_files(self) -> (Option<(PathBuf, PathBuf)>, PathBuf) {
        (self.pair, self.ca)
    }

    /// Reads the files. What they are worth the server decides: it says so, and its log does.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub(crate) fn load(&self) -> anyhow::Result<Arc<Caller>> {
        let pair = self.pair.as_ref().map(|(cert, key)| (cert.as_path(), key.as_path()));
        Caller::load(&self.ca, pair, tls::system_clock()).context("our credentials")
    }
}

/// How far a call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    Handshake,
    Call,
}

impl Phase {
    fn words(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Handshake => "in the TLS handshake",
            Self::Call => "no reply to the call",
        }
    }
}

/// Our credentials, and whether they were asked for: that is when a handshake begins.
struct Asked {
    tls: Arc<Caller>,
    asked: AtomicBool,
}

impl Asked {
    fn phase(&self) -> Phase {
        match self.asked.load(Ordering::Relaxed) {
            true => Phase::Handshake,
            false => Phase::Connecting,
        }
    }
}

impl tls::Credentials for Asked {
    fn client_config(&self, expect: &Expect) -> Arc<ClientConfig> {
        self.asked.store(true, Ordering::Relaxed);
        self.tls.client_config(expect)
    }
}

/// Why a call got no answer, in words that name the cause. The place is for the caller to add.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoAnswer(String);

impl NoAnswer {
    /// The cause without the place, which the caller tells.
    fn of(error: &ConnectError) -> Self {
        Self(match error {
            ConnectError::Resolve { cause, .. } => format!("the name has no address: {cause}"),
            ConnectError::Refused { .. } => "connection refused: nothing listens there".to_owned(),
            ConnectError::Unreachable { cause, .. } => one_line(&format!("unreachable: {cause}")),
            ConnectError::TimedOut { after, .. } => return Self::timed_out(*after, None),
            // The alert comes only to those who presented none.
            ConnectError::Tls { words, .. } if words.contains("certificate_required") => {
                one_line(&format!("TLS: {words}; give --cert and --key"))
            }
            ConnectError::Tls { words, .. } => one_line(&format!("TLS: {words}")),
            ConnectError::Closed { .. } => {
                "it closed the connection during the handshake; does it speak TLS?".to_owned()
            }
            ConnectError::Http2 { cause, .. } => {
                one_line(&format!("no HTTP/2: {}", grpc::explain(cause)))
            }
        })
    }

    /// In that phase, if it is known.
    pub(crate) fn timed_out(after: Duration, phase: Option<Phase>) -> Self {
        let after = humantime::format_duration(after);
        Self(match phase {
            Some(phase) => format!("timed out after {after}, {}", phase.words()),
            None => format!("timed out after {after}"),
        })
    }
}

/// Connects to an address and waits for the handshake, for at most `patience`.
///
/// # Errors
/// The cause in words.
pub(crate) async fn connect(
    to: &HostPort,
    tls: &Arc<Caller>,
    expect: &Expect,
    patience: Duration,
) -> Result<Channel, NoAnswer> {
    let endpoint = Endpoint { host: to.host().to_owned(), port: to.port() };
    let timeouts = Timeouts { connect: patience, request: patience };
    let tls = Arc::new(Asked { tls: Arc::clone(tls), asked: AtomicBool::new(false) });
    // Its own time-outs are for each part of the way; this one is for all of it.
    match timeout(patience, grpc::connect(&endpoint, &tls, expect, &timeouts)).await {
        Ok(Ok((channel, _peer))) => Ok(channel),
        Ok(Err(ConnectError::TimedOut { .. })) | Err(_) => {
            Err(NoAnswer::timed_out(patience, Some(tls.phase())))
        }
        Ok(Err(error)) => Err(NoAnswer::of(&error)),
    }
}

/// Causes of causes that are looked at.
const MAX_DEPTH: usize = 16;

/// The cause of a failed call. A channel that connects anew fails inside the call: what happened
/// then is at the bottom of the status.
pub(crate) fn cause(status: &tonic::Status, patience: Duration) -> NoAnswer {
    let chain = std::iter::successors(status.source(), |error| (*error).source());
    if let Some(connecting) = chain.take(MAX_DEPTH).find_map(|error| error.downcast_ref()) {
        return NoAnswer::of(connecting);
    }
    match status.code() {
        tonic::Code::PermissionDenied | tonic::Code::Unauthenticated => {
            NoAnswer(format!("permission denied: {}", one_line(status.message())))
        }
        tonic::Code::DeadlineExceeded | tonic::Code::Cancelled => {
            NoAnswer::timed_out(patience, Some(Phase::Call))
        }
        tonic::Code::Unimplemented => {
            NoAnswer("the server answers, but does not offer this service".to_owned())
        }
        _ => NoAnswer(one_line(&grpc::explain(status))),
    }
}

/// The socket address as the endpoint it is.
pub(crate) fn at(address: SocketAddr) -> HostPort {
    HostPort::new(address.ip().to_string(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_context_and_gaps_are_named() {
        let context = Context {
            cert: Some("/c/cert".into()),
            key: Some("/c/key".into()),
            ..Context::default()
        };
        let flags = CredentialFlags { key: Some("/f/key".into()), ..CredentialFlags::default() };
        let error = flags.clone().resolve(&context).unwrap_err().to_string();
        assert!(error.starts_with("no credentials: give --ca FILE, or"), "{error}");
        let whole = CredentialFlags { ca: Some("/f/ca".into()), ..flags };
        let expected =
            Credentials::new(Path::new("/c/cert"), Path::new("/f/key"), Path::new("/f/ca"));
        assert_eq!(whole.resolve(&context).unwrap(), expected);
    }

    #[test]
    fn a_denied_call_says_what_the_server_said() {
        let denied = tonic::Status::permission_denied("user/dev may not\ncall this");
        assert_eq!(
            cause(&denied, Duration::from_secs(1)).to_string(),
            "permission denied: user/dev may not call this"
        );
        let late = tonic::Status::deadline_exceeded("x");
        assert_eq!(
            cause(&late, Duration::from_secs(5)).to_string(),
            "timed out after 5s, no reply to the call"
        );
    }
}
