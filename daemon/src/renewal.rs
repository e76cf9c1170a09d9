//! Gets a new certificate in time by running a command, then reloads.
//!
//! ```no_run
//! # async fn run(tls: std::sync::Arc<daemon::tls::Tls>, config: &daemon::config::Tls,
//! #              stop: daemon::shutdown::CancellationToken) {
//! daemon::renewal::run(tls, config.renew.clone(), stop.cancelled_owned()).await;
//! # }
//! ```

use std::future::Future;
use std::sync::Arc;

use crate::config::Renew;
use crate::tls::Tls;

/// Runs until `shutdown`: renews at `renew.at` of the lifetime, with back-off when that fails,
/// and warns when less than a sixth of the lifetime is left (also without a `renew`).
pub async fn run(tls: Arc<Tls>, renew: Option<Renew>, shutdown: impl Future<Output = ()> + Send) {
    let _ = (tls, renew, shutdown);
    todo!()
}
