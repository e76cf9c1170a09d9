//! Reckons what load-aware steps go by, once a second, beside the keeper, who publishes it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::balance::fleet::Fleet;
use crate::balance::guess::Basis;
use crate::plan::Generation;
use crate::verdicts::Shares;

use super::census::Census;
use super::keeper::Shared;

/// From one interval to the next: a region's death must be dealt with in a small part of a TTL.
const INTERVAL: Duration = Duration::from_secs(1);

/// From one look at the counts of clients to the next: they change within hours.
const LOOK: Duration = Duration::from_secs(600);

/// What was reckoned.
#[derive(Debug)]
pub struct Reckoned {
    /// For the services of this plan.
    pub generation: Generation,
    /// By `Policy::dynamic`.
    pub shares: Arc<[Shares]>,
}

/// Reckons for the plan of `shared` and tells the keeper what changed, until told to stop. `census`
/// knows how often clients were answered, if anybody counts.
pub async fn run(
    shared: Shared,
    census: Option<Arc<Census>>,
    keeper: mpsc::Sender<Reckoned>,
    stop: CancellationToken,
) {
    let mut fleet = Fleet::default();
    let mut told: Option<Reckoned> = None;
    let mut last = Instant::now();
    let mut looked: Option<Instant> = None;
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        let snapshot = Arc::clone(&shared.plan.load());
        if !Fleet::is_needed(&snapshot.inputs.services) {
            continue;
        }
        let generation = snapshot.inputs.generation;
        let began = Instant::now();
        let span = began.duration_since(std::mem::replace(&mut last, began));
        let due = looked.is_none_or(|at| began.duration_since(at) >= LOOK);
        let census = census.clone().filter(|_| due);
        if due {
            looked = Some(began);
        }
        // Thousands of distances: no work for a thread that others wait for.
        let reckoned = tokio::task::spawn_blocking(move || {
            // More than fit a population are not counted.
            if let Some(Ok(clients)) = census.map(|census| census.population()) {
                fleet.recorded(clients);
            }
            let shares = fleet.interval(&snapshot.inputs, &snapshot.health, span);
            (fleet, shares)
        });
        let Ok((kept, shares)) = reckoned.await else {
            tracing::error!("the load was not reckoned, by a defect of ours; beginning anew");
            fleet = Fleet::default();
            looked = None;
            continue;
        };
        fleet = kept;
        let recorded = fleet.basis() == Some(Basis::Recorded);
        metrics::gauge!("dnsrouter_balance_recorded").set(f64::from(u8::from(recorded)));
        metrics::histogram!("dnsrouter_balance_seconds").record(began.elapsed());
        let same = |told: &Reckoned| told.generation == generation && told.shares == shares;
        if told.as_ref().is_some_and(same) {
            continue;
        }
        told = Some(Reckoned { generation, shares: Arc::clone(&shares) });
        if keeper.send(Reckoned { generation, shares }).await.is_err() {
            return;
        }
    }
}
