//! Reads the service's own count of its requests, again and again, and tells their rate.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use daemon::tls::Tls;
use http_body_util::{BodyExt as _, Limited};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::backend::request;
use crate::check::Checks;
use crate::counter::{Counter, MAX_EXPOSITION};
use crate::load::Load;
use crate::rate::Meter;

/// How often the count is read: a few times within the rate's window.
pub const INTERVAL: Duration = Duration::from_secs(2);

/// A count that takes longer is not told: it would be of another time.
const LIMIT: Duration = Duration::from_secs(1);

/// Tells `load` the rate of the counter that `checks` name, until `checks` has no sender any more.
/// Where none is named, or it cannot be read, no rate is told: an old one would be believed.
///
/// # Errors
///
/// None; the type suits the supervisor.
pub async fn follow(
    mut checks: watch::Receiver<Checks>,
    tls: Option<Arc<Tls>>,
    load: Load,
) -> Result<(), Infallible> {
    loop {
        let counter = checks.borrow_and_update().counter.clone();
        load.tell_rate(None);
        let reading = async {
            match counter {
                Some(counter) => read_for_ever(&counter, tls.as_ref(), &load).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = checks.changed() => if changed.is_err() { return Ok(()) },
            never = reading => match never {},
        }
    }
}

async fn read_for_ever(counter: &Counter, tls: Option<&Arc<Tls>>, load: &Load) -> Infallible {
    let mut meter = Meter::default();
    let mut failing = false;
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let read = tokio::time::timeout(LIMIT, read(counter, tls)).await;
        let count = read.unwrap_or_else(|_| Err(format!("no answer within {LIMIT:?}")));
        match &count {
            Err(why) if !failing => {
                let (place, name) = (counter.origin.authority(), &counter.name);
                tracing::warn!(why, place, name, "the requests are not counted");
            }
            Ok(_) if failing => {
                tracing::info!(name = counter.name, "the requests are counted again");
            }
            _ => {}
        }
        failing = count.is_err();
        load.tell_rate(count.ok().and_then(|count| meter.rate(count, Instant::now().into_std())));
    }
}

async fn read(counter: &Counter, tls: Option<&Arc<Tls>>) -> Result<u64, String> {
    let (response, _driver) = request(&counter.origin, &counter.path, tls).await?;
    if !response.status().is_success() {
        return Err(format!("the metrics were answered with {}", response.status()));
    }
    let body = Limited::new(response.into_body(), MAX_EXPOSITION).collect().await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    let text = String::from_utf8_lossy(&body);
    counter.sum(&text).ok_or_else(|| format!("the metrics have no count '{}'", counter.name))
}
