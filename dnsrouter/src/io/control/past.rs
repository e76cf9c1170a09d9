//! Decisions of another time: the plan, the verdicts and the overrides of then, and the code of now.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tonic::Status;

use crate::health::Now;
use crate::history::Unknown;
use crate::io::history::Missing;
use crate::io::load;
use crate::monitor::Monitor;
use crate::overrides::Overrides;
use crate::overrides::bound::Bound;
use crate::plan::{Generation, Snapshot};

use super::{Past, Service};

/// Said of every other time.
const NOT_KEPT: &str = "what pings told from moment to moment (round trips, load, warming up) is not \
                        in the history; steps that look at it decide as if it were not known";

impl Service {
    /// Everything as it was at `at`, and what of it is not known.
    pub(super) async fn as_it_was(
        &self,
        at: SystemTime,
    ) -> Result<(Arc<Snapshot>, SystemTime, Vec<String>), Status> {
        if at > SystemTime::now() {
            return Err(Status::out_of_range("that is still to come; leave --at out for now"));
        }
        let Some(past) = self.past.clone() else {
            let words = "this node has no [state] dir, so it keeps no history";
            return Err(Status::failed_precondition(words));
        };
        let present = Arc::clone(&self.shared.plan.load());
        // To be held until it is done, whether the caller waits for it or not.
        let turn = Arc::clone(&past.turn).lock_owned().await;
        let looking = tokio::task::spawn_blocking(move || {
            let found = past.look(at, &present);
            drop(turn);
            found
        });
        let (snapshot, notes) =
            looking.await.map_err(|_| Status::internal("looking back ended with a fault"))??;
        Ok((Arc::new(snapshot), at, notes))
    }
}

impl Past {
    fn look(&self, at: SystemTime, present: &Snapshot) -> Result<(Snapshot, Vec<String>), Status> {
        let moment = self.reader.moment(at).map_err(|missing| match missing {
            Missing::Unknown(unknown @ Unknown::Empty) => Status::not_found(unknown.to_string()),
            Missing::Unknown(unknown) => Status::out_of_range(unknown.to_string()),
            Missing::Disk(error) => Status::internal(format!("the history: {error}")),
        })?;
        let mut notes = vec![NOT_KEPT.to_owned()];
        let same_plan = *moment.plan == *present.inputs.written;
        let inputs = if same_plan {
            present.inputs.clone()
        } else {
            let inputs = load::again(&moment.plan, &self.folder, &present.inputs);
            let inputs = inputs.map_err(|error| {
                let words = format!("the plan of then cannot be made again: {}", error.report());
                Status::internal(words)
            })?;
            notes.push("services, endpoints and regions are those of then, not of now".into());
            // Other inputs than those that are served have no number.
            crate::plan::Inputs { generation: Generation::default(), ..inputs }
        };
        if inputs.geo.table.fingerprint() != moment.plan.geo {
            notes.push(
                "the address table is the present one: databases have changed since, and clients \
                 may have been elsewhere then"
                    .into(),
            );
        }
        let services = &inputs.services;
        let mut monitor = Monitor::default();
        let now = Now { wall: at, uptime: Duration::ZERO };
        monitor.retarget(services, &moment.verdicts, now);
        let overrides = Overrides::restored(moment.overrides);
        let overrides = overrides.map_err(|error| Status::internal(error.to_string()))?;
        let bound = Bound::new(Arc::new(overrides), services);
        monitor.set_stances(bound.stances(at));
        let health = Arc::new(monitor.health());
        Ok((Snapshot { inputs, health }, notes))
    }
}
