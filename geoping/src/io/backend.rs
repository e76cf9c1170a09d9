//! Asks the service beside this node, again and again, and tells what the state machine makes of
//! the answers.
//!
//! ```text
//!  watch<Checks> (config, reload) ─▶ follow ──ask──▶ backend
//!                                      │ finding
//!                                      ▼
//!                               backend::Machine ──▶ watch<Condition> (replies, health, metrics)
//! ```

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use daemon::grpc::{self, Timeouts};
use daemon::tls::{Credentials as _, Expect, Tls};
use http::Response;
use http::uri::PathAndQuery;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::backend::{Condition, Health, Machine, Policy};
use crate::check::{self, Check, Checks, Origin};
use crate::pings;

/// The most of a response's head that is read, in bytes: a health answer has a handful of
/// headers, and a backend must not make its watcher grow. The least hyper allows.
const MAX_HEAD: usize = 8 * 1024;

/// The largest health reply read, in bytes: one number.
const MAX_HEALTH_REPLY: usize = 1024;

/// Asks as `checks` says, and tells the condition to `told`, until `checks` has no sender any
/// more. When `checks` changes, the condition stands until the first new finding. Without a check
/// the condition is well.
///
/// # Errors
///
/// None; the type suits the supervisor.
pub async fn follow(
    mut checks: watch::Receiver<Checks>,
    tls: Option<Arc<Tls>>,
    told: watch::Sender<Condition>,
) -> Result<(), Infallible> {
    loop {
        let Checks { check, policy, .. } = checks.borrow_and_update().clone();
        let asking = async {
            match check {
                Some(check) => ask_for_ever(&check, policy, tls.as_ref(), &told).await,
                None => {
                    tell(&told, Condition::ok());
                    std::future::pending().await
                }
            }
        };
        tokio::select! {
            changed = checks.changed() => if changed.is_err() { return Ok(()) },
            never = asking => match never {},
        }
    }
}

async fn ask_for_ever(
    check: &Check,
    policy: Policy,
    tls: Option<&Arc<Tls>>,
    told: &watch::Sender<Condition>,
) -> Infallible {
    let before = told.borrow().clone();
    let mut machine = Machine::new(policy, before, Instant::now().into_std());
    loop {
        tokio::time::sleep_until(machine.due().into()).await;
        let begun = Instant::now();
        let finding = ask(check, policy.timeout, tls).await;
        let ended = Instant::now();
        metrics::counter!(pings::BACKEND_CHECKS, "result" => word(finding.health)).increment(1);
        metrics::histogram!(pings::BACKEND_CHECK_SECONDS).record(ended - begun);
        let health = machine.condition().health;
        if machine.observe(finding, ended.into_std(), jitter()) {
            let Condition { health: now, detail } = machine.condition();
            if *now != health {
                tracing::warn!(%check, from = word(health), to = word(*now), detail, "backend");
            }
            tell(told, machine.condition().clone());
        }
    }
}

/// One check, over within `timeout`.
pub async fn ask(check: &Check, timeout: Duration, tls: Option<&Arc<Tls>>) -> Condition {
    let asked = async {
        match check {
            Check::Grpc(origin, service) => ask_grpc(origin, service, timeout, tls).await,
            Check::Tcp(origin) => connect(origin).await.map(|_| Condition::ok()),
            Check::Http(origin, path) => ask_http(origin, path, tls).await,
        }
    };
    match tokio::time::timeout(timeout, asked).await {
        Ok(Ok(finding)) => finding,
        Ok(Err(why)) => Condition::unavailable(format!("{check}: {why}")),
        Err(_) => Condition::unavailable(format!("{check}: no answer within {timeout:?}")),
    }
}

async fn ask_grpc(
    origin: &Origin,
    service: &str,
    timeout: Duration,
    tls: Option<&Arc<Tls>>,
) -> Result<Condition, String> {
    let channel = match origin.secure {
        true => secure_channel(origin, timeout, needed(tls)?).await?,
        false => Endpoint::from_shared(format!("http://{}", origin.authority()))
            .map_err(|error| grpc::explain(&error))?
            .connect()
            .await
            .map_err(|error| grpc::explain(&error))?,
    };
    let mut client = HealthClient::new(channel).max_decoding_message_size(MAX_HEALTH_REPLY);
    let request = HealthCheckRequest { service: service.to_owned() };
    Ok(match client.check(request).await {
        Ok(reply) => check::grpc_answer(reply.get_ref().status),
        Err(refusal) => check::grpc_refusal(refusal.code(), refusal.message(), service),
    })
}

async fn secure_channel(
    origin: &Origin,
    timeout: Duration,
    tls: &Arc<Tls>,
) -> Result<Channel, String> {
    let endpoint = format!("https://{}", origin.authority());
    let endpoint = endpoint.parse::<grpc::Endpoint>().map_err(|error| error.to_string())?;
    let timeouts = Timeouts { connect: timeout, request: timeout };
    let connected = grpc::connect(&endpoint, tls, &Expect::default(), &timeouts).await;
    connected.map(|(channel, _)| channel).map_err(|error| error.to_string())
}

async fn ask_http(
    origin: &Origin,
    path: &PathAndQuery,
    tls: Option<&Arc<Tls>>,
) -> Result<Condition, String> {
    let (response, _driver) = request(origin, path, tls).await?;
    Ok(check::http_answer(response.status()))
}

/// Sends a `GET` and reads the head of the answer. Its body comes for as long as the driver lives:
/// dropping that ends the connection, also when the request is given up.
pub(super) async fn request(
    origin: &Origin,
    path: &PathAndQuery,
    tls: Option<&Arc<Tls>>,
) -> Result<(Response<Incoming>, JoinSet<hyper::Result<()>>), String> {
    let stream = connect(origin).await?;
    if !origin.secure {
        return get(stream, origin, path).await;
    }
    let mut config = (*needed(tls)?.client_config(&Expect::default())).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(origin.host.clone()).map_err(|error| error.to_string())?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await.map_err(|error| grpc::explain(&error))?;
    get(stream, origin, path).await
}

async fn get(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    origin: &Origin,
    path: &PathAndQuery,
) -> Result<(Response<Incoming>, JoinSet<hyper::Result<()>>), String> {
    let request = http::Request::get(path.as_str())
        .header(http::header::HOST, origin.authority())
        .header(http::header::USER_AGENT, concat!("geoping/", env!("CARGO_PKG_VERSION")))
        .header(http::header::CONNECTION, "close")
        .body(http_body_util::Empty::<&[u8]>::new())
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| grpc::explain(&error))?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| grpc::explain(&error))?;
    Ok((response, driver))
}

async fn connect(origin: &Origin) -> Result<TcpStream, String> {
    let connected = TcpStream::connect((origin.host.as_str(), origin.port)).await;
    let stream = connected.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => error.to_string(),
    })?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    Ok(stream)
}

fn needed(tls: Option<&Arc<Tls>>) -> Result<&Arc<Tls>, String> {
    tls.ok_or_else(|| "https needs this node's certificate, and it has none".to_owned())
}

/// Tells `condition`, waking receivers only if it is news, and shows it as a metric.
fn tell(told: &watch::Sender<Condition>, condition: Condition) {
    for health in [Health::Ok, Health::Degraded, Health::Unavailable] {
        let present = if health == condition.health { 1.0 } else { 0.0 };
        metrics::gauge!(pings::BACKEND_STATE, "state" => word(health)).set(present);
    }
    told.send_if_modified(|before| {
        let news = *before != condition;
        *before = condition;
        news
    });
}

/// The label of a health.
fn word(health: Health) -> &'static str {
    match health {
        Health::Ok => "ok",
        Health::Degraded => "degraded",
        Health::Unavailable => "unavailable",
    }
}

/// Uniform in 0..1. Where the system has no randomness to give, checks keep an even pace.
fn jitter() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}
