//! `grpc.health.v1` of this node: what it says follows the drain and the backend.
//!
//! | service name | SERVING while |
//! |---|---|
//! | `""`, `geoping.v1.GeoPing` | this node does not drain |
//! | `backend` | the backend is well or degraded |
//!
//! A dead backend does not make GeoPing itself NOT_SERVING: telling that the backend is dead is
//! its job, and who watches the region watches `backend` or the `Status` call.

use std::convert::Infallible;

use proto::geoping::v1::geo_ping_server::SERVICE_NAME;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::backend::Health;
use crate::service::Service;

/// The name under which the backend's health is told.
pub const BACKEND: &str = "backend";

/// Keeps `reporter` up to date with `service` until dropped.
///
/// # Errors
///
/// None; the type suits the supervisor.
pub async fn follow(service: Service, reporter: HealthReporter) -> Result<(), Infallible> {
    let (mut draining, mut backend) = (service.draining(), service.backend());
    let mut backend_told = true;
    loop {
        let ours = status(!*draining.borrow_and_update());
        let theirs = status(backend.borrow_and_update().health != Health::Unavailable);
        for (name, status) in [("", ours), (SERVICE_NAME, ours), (BACKEND, theirs)] {
            reporter.set_service_status(name, status).await;
        }
        // The drain's sender lives in `service`. That of the backend may be gone, for good: then
        // its last word stands, and must not keep this loop awake.
        tokio::select! {
            _ = draining.changed() => {}
            changed = backend.changed(), if backend_told => backend_told = changed.is_ok(),
        }
    }
}

fn status(serving: bool) -> ServingStatus {
    if serving { ServingStatus::Serving } else { ServingStatus::NotServing }
}
