//! Checks beside GeoPing against real servers on loopback: what they report, and how faults are
//! told apart.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "servers on loopback")]

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use dnsrouter::config::Probe;
use dnsrouter::health::{Fault, Outcome, Rules, Thresholds};
use dnsrouter::io::probe::Prober;
use dnsrouter::monitor::{Report, Settings};
use dnsrouter::target::{Check, Grpc, HostPort, Numbering, Target, Targets, Watched};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

/// Longer than any of these takes, shorter than anybody waits.
const DEADLINE: Duration = Duration::from_secs(30);

/// A prober without papers of its own, as a node without `[tls]` has it.
struct Probing {
    reports: mpsc::Receiver<(Arc<Target>, Report)>,
    stop: CancellationToken,
    _settings: watch::Sender<Probe>,
    _targets: watch::Sender<Targets>,
}

impl Probing {
    fn of(check: Check, timeout: Duration) -> Self {
        let first = Target { check, region: "us-central1".into() };
        let watched = std::iter::once(Watched { first, second: None });
        let target = Numbering::new(Targets::default(), watched).finish(std::iter::empty());
        let one = NonZeroU32::MIN;
        let rules = Rules { thresholds: Thresholds { rise: one, fall: one }, damping: None };
        let (settings, followed) = watch::channel(Probe {
            interval: timeout,
            timeout,
            jitter: Duration::ZERO,
            settings: Settings { rules, removal: None },
        });
        let (report, reports) = mpsc::channel(1);
        let (targets, wanted) = watch::channel(target);
        let prober = Prober::new(None, "us-central1".into(), followed, report);
        let stop = CancellationToken::new();
        tokio::spawn(prober.run(wanted, stop.clone()));
        Self { reports, stop, _settings: settings, _targets: targets }
    }

    async fn next(&mut self) -> Report {
        tokio::time::timeout(DEADLINE, self.reports.recv()).await.unwrap().unwrap().1
    }

    /// The first of these outcomes that is another than `before`.
    async fn next_other(&mut self, before: Outcome) -> Outcome {
        loop {
            let report = self.next().await;
            if report.outcome != before {
                return report.outcome;
            }
        }
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn at(address: SocketAddr) -> HostPort {
    HostPort { host: address.ip().to_string(), port: address.port() }
}

fn grpc(address: SocketAddr, service: &str) -> Check {
    Check::Grpc(Grpc { at: at(address), secure: false, service: service.into() })
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A server of grpc.health.v1, at an address that it tells, until it is stopped.
fn health_server(listener: TcpListener, stop: CancellationToken) -> HealthReporter {
    let reporter = HealthReporter::new();
    let service = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let serving = Server::builder()
        .add_service(service)
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned());
    tokio::spawn(serving);
    reporter
}

const QUICK: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_connection_is_established_or_refused() {
    let (listener, address) = listen().await;
    let mut probing = Probing::of(Check::Tcp(at(address)), QUICK);
    let up = probing.next().await;
    assert_eq!((up.outcome, up.detail.as_str()), (Outcome::Success, ""));
    assert!(up.rtt.is_some() && up.load.is_none());
    drop(listener);
    assert_eq!(probing.next_other(Outcome::Success).await, Outcome::Failure(Fault::Refused));
    assert!(probing.next().await.detail.contains("nothing listens there"));
}

#[tokio::test]
async fn a_service_s_own_word_over_one_connection_counts() {
    let (listener, address) = listen().await;
    let stop = CancellationToken::new();
    let reporter = health_server(listener, stop.clone());
    reporter.set_service_status("shop", ServingStatus::Serving).await;
    let mut probing = Probing::of(grpc(address, "shop"), QUICK);
    assert_eq!(probing.next().await.outcome, Outcome::Success);
    reporter.set_service_status("shop", ServingStatus::NotServing).await;
    let down = probing.next_other(Outcome::Success).await;
    assert_eq!(down, Outcome::Failure(Fault::Unavailable));
    reporter.set_service_status("shop", ServingStatus::Unknown).await;
    assert_eq!(probing.next_other(down).await, Outcome::Degraded);
    stop.cancel();
    let gone = probing.next_other(Outcome::Degraded).await;
    assert!(matches!(gone, Outcome::Failure(Fault::Closed | Fault::Refused)), "{gone:?}");
}

#[tokio::test]
async fn who_does_not_know_the_service_or_grpc_speaks_another_version() {
    let (listener, address) = listen().await;
    let stop = CancellationToken::new();
    let _reporter = health_server(listener, stop.clone());
    let unknown = Probing::of(grpc(address, "nobody"), QUICK).next().await;
    assert_eq!(unknown.outcome, Outcome::Failure(Fault::Version));
    assert!(unknown.detail.contains("\"nobody\""), "{}", unknown.detail);
    stop.cancel();
}

#[tokio::test]
async fn silence_is_a_time_out() {
    // The system accepts, nobody answers.
    let (_listener, address) = listen().await;
    let silent = Probing::of(grpc(address, ""), QUICK).next().await;
    assert_eq!(silent.outcome, Outcome::Failure(Fault::Timeout));
    assert_eq!(silent.detail, "no reply within 500ms");
}

#[tokio::test]
async fn what_this_node_cannot_ask_says_nothing_about_anybody() {
    let (_listener, address) = listen().await;
    let mut probing = Probing::of(Check::GeoPing(at(address)), Duration::from_millis(20));
    let unsaid = tokio::time::timeout(QUICK, probing.reports.recv()).await;
    assert!(unsaid.is_err(), "no papers, no ping, no report");
}
