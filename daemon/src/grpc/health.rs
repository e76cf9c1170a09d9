//! What the server says of itself over `grpc.health.v1`.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::sync::Mutex;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health as HealthRpc, HealthServer};
use tonic_health::server::HealthReporter;

/// The whole server, in the health protocol.
const WHOLE: &str = "";

/// The server's `grpc.health.v1` state.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    services: BTreeSet<&'static str>,
    /// Once leaving, nothing serves again.
    draining: bool,
}

impl Health {
    /// A health state (`""` is not serving until told so) and the service that tells it.
    pub fn new() -> (Self, HealthServer<impl HealthRpc>) {
        let (reporter, service) = tonic_health::server::health_reporter();
        // A new reporter says that the whole server serves. Nobody else has it yet, so its lock
        // is free and the first poll is the last.
        let unset = reporter.set_service_status(WHOLE, ServingStatus::NotServing);
        let polled = pin!(unset).poll(&mut Context::from_waker(Waker::noop()));
        debug_assert_eq!(polled, Poll::Ready(()));
        (Self { reporter, state: Arc::default() }, service)
    }

    /// `service` (such as `geoping.v1.GeoPing`) and the whole server `""` serve.
    pub async fn set_serving(&self, service: &'static str) {
        let mut state = self.state.lock().await;
        state.services.insert(service);
        if !state.draining {
            self.reporter.set_service_status(service, ServingStatus::Serving).await;
            self.reporter.set_service_status(WHOLE, ServingStatus::Serving).await;
        }
    }

    /// `service` does not serve; nor does the whole server.
    pub async fn set_not_serving(&self, service: &'static str) {
        let mut state = self.state.lock().await;
        state.services.insert(service);
        self.reporter.set_service_status(service, ServingStatus::NotServing).await;
        self.reporter.set_service_status(WHOLE, ServingStatus::NotServing).await;
    }

    /// Nothing serves from now on.
    pub(super) async fn drain(&self) {
        let mut state = self.state.lock().await;
        state.draining = true;
        for service in state.services.iter().copied().chain([WHOLE]) {
            self.reporter.set_service_status(service, ServingStatus::NotServing).await;
        }
    }
}
