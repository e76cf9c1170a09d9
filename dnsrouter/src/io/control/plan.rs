//! `Plan`: who would move, computed beside the answers and never in their way.
//!
//! ```text
//!   pieces ─▶ Asked (bounded) ─▶ a thread of its own, of low priority ─▶ channel ─▶ replies
//!                                  examine, carry, Crowd, Forecaster      └ full or closed: it waits,
//!                                                                           or stops
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use dns::name::Name;
use geo::Population;
use proto::dnsrouter::v1 as wire;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::forecast::{Crowd, Forecaster, Pair, Totals, carried, loads, pairs, without};
use crate::io::background;
use crate::io::load::{Examiner, Offered};
use crate::monitor::unix_ms;
use crate::overrides::Overrides;
use crate::plan::{Location, Services, Snapshot};
use crate::policy::Policy;
use crate::service::Step;

use super::Service;
use asked::Asked;

mod asked;
mod told;

/// From the call to the last piece: as long as others are refused for it.
const MAX_GATHER: Duration = Duration::from_secs(30);
/// From the last piece to the last reply.
const MAX_TIME: Duration = Duration::from_secs(60);
/// Replies that wait for a slow caller; more make the computing wait.
const WAITING: usize = 16;
/// Notes of one reply: what is worth knowing is not told two hundred times.
const MAX_NOTES: usize = 20;

/// What it takes to plan.
#[derive(Clone)]
pub struct Planner {
    examiner: Examiner,
    /// One at a time: each may hold another table of places.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Planner {
    /// That reads other configurations so.
    pub fn new(examiner: Examiner) -> Self {
        Self { examiner, turn: Arc::default() }
    }
}

type Told = Result<wire::PlanReply, Status>;
/// What `Plan` answers with.
pub(super) type Replies = ReceiverStream<Told>;

impl Service {
    pub(super) async fn take_plan(
        &self,
        request: Request<Streaming<wire::PlanPart>>,
    ) -> Result<Response<Replies>, Status> {
        let turn = Arc::clone(&self.planner.turn).try_lock_owned().map_err(|_| {
            Status::resource_exhausted("another plan is being computed here; ask again later")
        })?;
        let asked = tokio::time::timeout(MAX_GATHER, Asked::gather(request.into_inner()));
        let asked = asked.await.map_err(|_| {
            let seconds = MAX_GATHER.as_secs();
            let words = format!("the question was not complete within {seconds} s; ask again");
            Status::deadline_exceeded(words)
        })??;
        let (tell, told) = mpsc::channel(WAITING);
        let at = SystemTime::now();
        let work = Work {
            present: Arc::clone(&self.shared.plan.load()),
            overrides: Arc::clone(self.shared.overrides().overrides()),
            examiner: self.planner.examiner.clone(),
            node: self.node.clone(),
            at,
            until: Instant::now() + MAX_TIME,
            tell,
        };
        let begun = background::spawn("plan", move || {
            if let Err(status) = work.run(asked) {
                // Whoever went away needs no reason.
                let _ = work.tell.blocking_send(Err(status));
            }
            drop(turn);
        });
        begun.map_err(|error| Status::unavailable(format!("no thread for it: {error}")))?;
        Ok(Response::new(ReceiverStream::new(told)))
    }
}

/// One question, on its thread.
struct Work {
    present: Arc<Snapshot>,
    overrides: Arc<Overrides>,
    examiner: Examiner,
    node: String,
    at: SystemTime,
    until: Instant,
    tell: mpsc::Sender<Told>,
}

/// What would be served, and what people would have written for it.
struct Next {
    snapshot: Snapshot,
    /// Services that are written otherwise than now.
    changed: HashSet<Name>,
    notes: Vec<String>,
}

impl Work {
    fn run(&self, asked: Asked) -> Result<(), Status> {
        let Asked { without, services, countries, offered, population } = asked;
        let next = match offered {
            None => self.as_is(),
            Some(offered) => match self.examine(offered)? {
                Ok(next) => next,
                Err(report) => return self.tell(wire::plan_reply::Reply::Invalid(report)),
            },
        };
        let Next { snapshot, changed, mut notes } = next;
        let after = self.with_regions_gone(snapshot, &without, &mut notes)?;
        let before = &*self.present;
        let chosen = chosen(before, &after, &services)?;
        let crowd = self.crowd(before, &after, population.as_ref(), &chosen);
        if crowd.cells().is_empty() {
            let words = "nobody is known: the databases place no network";
            return Err(Status::failed_precondition(words));
        }
        notes.extend(blind(&chosen, &after, &without));
        if chosen.iter().any(|pair| pair.after.is_some_and(|policy| policy.dynamic().is_some())) {
            notes.push(
                "load and fair count with the prices and weights of now; both would follow within \
                 seconds, so that regions end up less full than told"
                    .into(),
            );
        }
        notes.truncate(MAX_NOTES);
        let head = wire::PlanHead {
            node: self.node.clone(),
            generation: before.inputs.generation.0,
            geo: before.inputs.geo.description.clone(),
            prefixes: population.as_ref().map_or(0, Population::len) as u64,
            clients: population.as_ref().map_or(0, Population::total),
            notes,
        };
        self.tell(wire::plan_reply::Reply::Head(head))?;
        let mut totals = Totals::default();
        let now = unix_ms(self.at) / 1000;
        let mut forecaster = Forecaster::new(before, &after, &crowd, now);
        for pair in chosen {
            let outcomes = forecaster.service(pair, &|| self.goes_on());
            let outcomes = outcomes.map_err(|_| too_late())?;
            if let (Some(first), Some(_), Some(_)) = (outcomes.first(), pair.before, pair.after) {
                totals.add(first);
            }
            for outcome in &outcomes {
                let loads = loads(pair, before, &after, outcome);
                let change = change(pair, &changed);
                let service = told::service(pair.name, change, outcome, &loads, countries);
                self.tell(wire::plan_reply::Reply::Service(service))?;
            }
        }
        let services = totals.services();
        match totals.outcome() {
            Some(outcome) => {
                let total = told::total(services, &outcome, countries);
                self.tell(wire::plan_reply::Reply::Total(total))
            }
            None => Ok(()),
        }
    }

    fn as_is(&self) -> Next {
        let Snapshot { inputs, health } = &*self.present;
        let snapshot = Snapshot { inputs: inputs.clone(), health: Arc::clone(health) };
        Next { snapshot, changed: HashSet::new(), notes: Vec::new() }
    }

    /// What a configuration would be served as; or what is wrong with it.
    fn examine(&self, offered: Offered) -> Result<Result<Next, String>, Status> {
        let present = &self.present.inputs;
        let examined = match self.examiner.examine(offered, present) {
            Ok(examined) => examined,
            Err(error) => return Ok(Err(error.report())),
        };
        if !self.goes_on() {
            return Err(too_late());
        }
        let inputs = examined.inputs;
        let changed = changed(&present.services, &inputs.services);
        let health = carried(&self.present, &self.overrides, &inputs.services, self.at);
        let snapshot = Snapshot { inputs, health: Arc::new(health) };
        Ok(Ok(Next { snapshot, changed, notes: examined.notes }))
    }

    fn with_regions_gone(
        &self,
        snapshot: Snapshot,
        regions: &[String],
        notes: &mut Vec<String>,
    ) -> Result<Snapshot, Status> {
        if regions.is_empty() {
            return Ok(snapshot);
        }
        let Snapshot { inputs, health } = snapshot;
        let locations = &inputs.services.locations;
        let position = |locations: &[Location], region: &String| {
            locations.iter().position(|location| location.region == *region)
        };
        let mut gone = Vec::with_capacity(regions.len());
        for region in regions {
            match position(locations, region) {
                Some(at) => gone.extend(u8::try_from(at)),
                None if position(&self.present.inputs.services.locations, region).is_some() => {
                    notes.push(format!("{region} is in no service of the other configuration"));
                }
                None => {
                    let known: Vec<&str> =
                        locations.iter().map(|location| location.region.as_str()).collect();
                    return Err(Status::invalid_argument(format!(
                        "no service is in region {region:?}; there are {}",
                        known.join(", ")
                    )));
                }
            }
        }
        let health = Arc::new(without(&health, &inputs.services, &gone));
        Ok(Snapshot { inputs, health })
    }

    fn crowd(
        &self,
        before: &Snapshot,
        after: &Snapshot,
        population: Option<&Population>,
        chosen: &[Pair<'_>],
    ) -> Crowd {
        let (one, other) = (&before.inputs.geo, &after.inputs.geo);
        match population {
            Some(population) => Crowd::recorded(population, one, other),
            None => {
                let sees = |policy: Option<&Policy>, snapshot: &Snapshot| {
                    policy.is_some_and(|policy| policy.looks(&snapshot.health).prefix)
                };
                let by_prefix =
                    |pair: &Pair<'_>| sees(pair.before, before) || sees(pair.after, after);
                Crowd::world(&one.table, &other.table, chosen.iter().any(by_prefix))
            }
        }
    }

    fn goes_on(&self) -> bool {
        Instant::now() < self.until && !self.tell.is_closed()
    }

    fn tell(&self, reply: wire::plan_reply::Reply) -> Result<(), Status> {
        if !self.goes_on() {
            return Err(too_late());
        }
        let reply = wire::PlanReply { reply: Some(reply) };
        self.tell.blocking_send(Ok(reply)).map_err(|_| Status::cancelled("nobody waits for it"))
    }
}

fn too_late() -> Status {
    let seconds = MAX_TIME.as_secs();
    Status::deadline_exceeded(format!(
        "it takes longer than {seconds} s; ask for some services only, or for fewer clients"
    ))
}

/// Services of both that are written otherwise.
fn changed(before: &Services, after: &Services) -> HashSet<Name> {
    fn written(services: &Services) -> HashMap<&Name, u128> {
        let names = services.services.iter().map(|(name, _)| name);
        names.zip(services.written.iter().copied()).collect()
    }
    let before = written(before);
    let others = written(after);
    let others = others
        .iter()
        .filter(|(name, written)| before.get(**name).is_some_and(|known| known != *written));
    others.map(|(name, _)| (*name).clone()).collect()
}

/// Of those that are asked for, each; of none all.
fn chosen<'a>(
    before: &'a Snapshot,
    after: &'a Snapshot,
    names: &[Name],
) -> Result<Vec<Pair<'a>>, Status> {
    let all = pairs(before, after);
    if names.is_empty() {
        return Ok(all);
    }
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|pair| pair.name == *name)) {
        return Err(Status::not_found(format!("{unknown} is no service, neither now nor then")));
    }
    Ok(all.into_iter().filter(|pair| names.contains(pair.name)).collect())
}

fn change(pair: Pair<'_>, changed: &HashSet<Name>) -> &'static str {
    match (pair.before, pair.after) {
        (None, _) => "added",
        (_, None) => "removed",
        _ if changed.contains(pair.name) => "changed",
        _ => "same",
    }
}

/// Services that look at no health go on sending clients to regions that are gone.
fn blind(chosen: &[Pair<'_>], after: &Snapshot, gone: &[String]) -> Option<String> {
    let locations = &after.inputs.services.locations;
    let is_there = |policy: &&Policy| {
        (0..policy.endpoints()).any(|endpoint| {
            gone.contains(&locations[usize::from(policy.location(endpoint))].region)
        })
    };
    let filters = |policy: &Policy| policy.steps().any(|s| matches!(s, Step::Healthy { .. }));
    let blind = chosen.iter().filter(|pair| {
        pair.after.as_ref().is_some_and(|policy| is_there(policy) && !filters(policy))
    });
    let names: Vec<String> = blind.map(|pair| pair.name.to_string()).collect();
    let first = names.first()?;
    Some(match names.len() {
        1 => format!("{first} has no step healthy: it goes on sending clients to what is down"),
        many => format!(
            "{first} and {} more have no step healthy: they go on sending clients to what is down",
            many - 1
        ),
    })
}
