//! The GeoPing service itself: answers `Status` from figures that others keep.
//!
//! ```text
//!  Builder ──build──▶ Service ──into_server──▶ GeoPingServer (mount it)
//!                       ▲ ▲ ▲
//!        watch<Condition>│ │ └─ drain(), resume(), set_facts()     (operator, reload)
//!   (checks, or yourself)  └─ Load                                 (layer, sampler)
//! ```
//!
//! A `Status` call takes no lock that anybody holds for long, waits for nothing and reads no
//! file: it may be called every second by everybody.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use daemon::tls::Peer;
use daemon::uptime::go_duration;
use geo::{Point, Table};
use pki::Identity;
use proto::geoping::v1;
use proto::geoping::v1::geo_ping_server::{GeoPing, GeoPingServer};
use tokio::sync::watch;

use crate::backend::Condition;
use crate::caller::{Caller, place_of};
use crate::io::SystemClock;
use crate::load::Load;
use crate::pings::{self, ClientRegions};
use crate::state::State;

/// The largest request taken, in bytes: a region's name and what later versions may add.
pub const MAX_REQUEST: usize = 4096;

/// Tells the time since which the service is up. Anything that returns instants serves:
/// `|| instant`, or the system's clock, which is the default.
pub trait Clock: Send + Sync + 'static {
    /// The present instant; never goes back.
    fn now(&self) -> Instant;
}

impl<F: Fn() -> Instant + Send + Sync + 'static> Clock for F {
    fn now(&self) -> Instant {
        self()
    }
}

/// Why a service cannot be built. The one who configures it is to blame; nothing was started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A name that callers see is empty.
    #[error("the {0} is empty; callers would not know who answered")]
    Empty(&'static str),
    /// The region is no cloud provider's and was given no location.
    #[error("region '{region}' is not a known cloud region and has no location{}", hint(.similar))]
    UnknownRegion {
        /// The name as given.
        region: String,
        /// Known names that look like it, best first.
        similar: Vec<String>,
    },
}

/// What is told in every reply and may change while serving; swapped as a whole.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Requests per second this region is good for; `None`: not stated.
    pub capacity: Option<NonZeroU64>,
    /// Where addresses are; `None`: callers are told no place.
    pub places: Option<Arc<Table>>,
}

/// The GeoPing service of one node. Clones are handles to the same service.
#[derive(Clone)]
pub struct Service {
    shared: Arc<Shared>,
}

struct Shared {
    names: Names,
    location: Point,
    clock: Arc<dyn Clock>,
    started: Instant,
    backend: watch::Receiver<Condition>,
    draining: watch::Sender<bool>,
    facts: ArcSwap<Facts>,
    load: Load,
    client_regions: ClientRegions,
}

#[derive(Clone, Debug)]
struct Names {
    node: String,
    region: String,
    version: String,
}

/// Gathers what a [`Service`] tells. Made by [`Service::builder`].
#[must_use = "a builder does nothing until it is built"]
pub struct Builder {
    names: Names,
    location: Option<Point>,
    clock: Arc<dyn Clock>,
    backend: Option<watch::Receiver<Condition>>,
    facts: Facts,
    load: Load,
}

impl Service {
    /// Begins a service in `region` of the program whose `version` this is: of the service that
    /// embeds it, so `env!("CARGO_PKG_VERSION")` at the place of the call.
    pub fn builder(region: impl Into<String>, version: impl Into<String>) -> Builder {
        let region = region.into();
        Builder {
            names: Names { node: region.clone(), region, version: version.into() },
            location: None,
            clock: Arc::new(SystemClock),
            backend: None,
            facts: Facts::default(),
            load: Load::new(),
        }
    }

    /// The tonic service to mount, with its size limit ([`MAX_REQUEST`]). May be called again:
    /// all answer for the same service.
    pub fn into_server(self) -> GeoPingServer<Service> {
        GeoPingServer::new(self).max_decoding_message_size(MAX_REQUEST)
    }

    /// Asks to be left from now on: replies say `DRAINING`. Idempotent.
    pub fn drain(&self) {
        self.set_draining(true);
    }

    /// Takes [`drain`](Service::drain) back. Idempotent.
    pub fn resume(&self) {
        self.set_draining(false);
    }

    /// Whether this node asks to be left; the receiver wakes at each change.
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.shared.draining.subscribe()
    }

    /// How the backend is; the receiver wakes at each change.
    pub fn backend(&self) -> watch::Receiver<Condition> {
        self.shared.backend.clone()
    }

    /// The state callers are told now.
    pub fn state(&self) -> State {
        State::of(self.shared.backend.borrow().health, *self.shared.draining.borrow())
    }

    /// The figures of load that replies tell, for the layer that counts and the task that samples.
    pub fn load(&self) -> &Load {
        &self.shared.load
    }

    /// The facts told at present.
    pub fn facts(&self) -> Arc<Facts> {
        self.shared.facts.load_full()
    }

    /// Swaps the facts as a whole; calls being answered end with the old ones.
    pub fn set_facts(&self, facts: Facts) {
        self.shared.facts.store(Arc::new(facts));
    }

    /// Since the service was built.
    pub fn uptime(&self) -> Duration {
        self.shared.clock.now().saturating_duration_since(self.shared.started)
    }

    /// What `caller` is told now.
    pub fn reply(&self, caller: &Caller) -> v1::ServerStatusReply {
        let Shared { names, location, backend, draining, facts, load, .. } = &*self.shared;
        let Condition { health, detail } = backend.borrow().clone();
        let draining = *draining.borrow();
        let state = State::of(health, draining);
        v1::ServerStatusReply {
            region: names.region.clone(),
            version: names.version.clone(),
            uptime: go_duration(self.uptime()),
            status: state.word().to_owned(),
            node: names.node.clone(),
            state: wire_state(state).into(),
            location: Some(wire_location(*location)),
            caller: Some(wire_caller(caller)),
            load: Some(v1::Load {
                in_flight: load.in_flight(),
                cpu: load.cpu(),
                rate: load.rate(self.shared.clock.now()),
            }),
            capacity: facts.load().capacity.map_or(0, NonZeroU64::get),
            draining,
            detail: if detail.is_empty() && draining { DRAIN_DETAIL.to_owned() } else { detail },
        }
    }

    fn set_draining(&self, wanted: bool) {
        self.shared.draining.send_if_modified(|now| std::mem::replace(now, wanted) != wanted);
    }

    fn caller(&self, peer: Option<&Peer>, address: Option<SocketAddr>) -> Caller {
        let address = peer.map(|peer| peer.address).or(address);
        let facts = self.shared.facts.load();
        let place = match (&facts.places, address) {
            (Some(table), Some(address)) => place_of(table, address.ip()),
            _ => Default::default(),
        };
        let identity = peer.and_then(|peer| peer.identity.as_ref().ok().cloned());
        Caller { address, place, identity }
    }

    fn count(&self, stated: &str, caller: Option<&Identity>, took: Duration) {
        let region = match stated {
            "" => caller.and_then(Identity::region).unwrap_or_default(),
            stated => stated,
        };
        let known = |name: &str| geo::regions::find(name).is_some();
        let region = self.shared.client_regions.label(region, known);
        let role = pings::role_label(caller);
        metrics::counter!(pings::REQUESTS, "caller_role" => role, "client_region" => region)
            .increment(1);
        metrics::histogram!(pings::SECONDS).record(took);
    }
}

/// What is told of a drain when nothing else is wrong.
const DRAIN_DETAIL: &str = "this node asks to be left";

#[tonic::async_trait]
impl GeoPing for Service {
    async fn status(
        &self,
        request: tonic::Request<v1::RegionRequest>,
    ) -> Result<tonic::Response<v1::ServerStatusReply>, tonic::Status> {
        let begun = self.shared.clock.now();
        self.shared.load.count_ping();
        let caller = self.caller(request.extensions().get::<Peer>(), request.remote_addr());
        let reply = self.reply(&caller);
        let took = self.shared.clock.now().saturating_duration_since(begun);
        self.count(&request.get_ref().region, caller.identity.as_ref(), took);
        Ok(tonic::Response::new(reply))
    }
}

impl Builder {
    /// This node's name, unique within its region; the region's own name unless said.
    pub fn node(mut self, name: impl Into<String>) -> Builder {
        self.names.node = name.into();
        self
    }

    /// Where the region is; needed unless a cloud provider has a region of that name.
    pub fn location(mut self, point: Point) -> Builder {
        self.location = Some(point);
        self
    }

    /// Requests per second this region is good for: load-aware routes weigh by it.
    pub fn capacity(mut self, requests_per_second: NonZeroU64) -> Builder {
        self.facts.capacity = Some(requests_per_second);
        self
    }

    /// Where callers are looked up; without it they are told no place.
    pub fn places(mut self, table: Arc<Table>) -> Builder {
        self.facts.places = Some(table);
        self
    }

    /// How the backend is, from [`crate::io::backend`] or from the service's own knowledge of
    /// itself (`watch::channel(Condition::ok())`); without it, always well. When the sender is
    /// gone the last condition stays.
    pub fn backend(mut self, condition: watch::Receiver<Condition>) -> Builder {
        self.backend = Some(condition);
        self
    }

    /// The figures of load to tell, when they are counted elsewhere already.
    pub fn load(mut self, load: Load) -> Builder {
        self.load = load;
        self
    }

    /// Another clock than the system's.
    pub fn clock(mut self, clock: impl Clock) -> Builder {
        self.clock = Arc::new(clock);
        self
    }

    /// The service, up from this moment.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when a name is empty, or nobody knows where the region is.
    pub fn build(self) -> Result<Service, BuildError> {
        let Builder { names, location, clock, backend, facts, load } = self;
        let told = [("node", &names.node), ("region", &names.region), ("version", &names.version)];
        if let Some((what, _)) = told.into_iter().find(|(_, name)| name.is_empty()) {
            return Err(BuildError::Empty(what));
        }
        let location = match location {
            Some(point) => point,
            None => known_location(&names.region)?,
        };
        let shared = Shared {
            names,
            location,
            started: clock.now(),
            clock,
            backend: backend.unwrap_or_else(|| watch::channel(Condition::ok()).1),
            draining: watch::Sender::new(false),
            facts: ArcSwap::from_pointee(facts),
            load,
            client_regions: ClientRegions::default(),
        };
        Ok(Service { shared: Arc::new(shared) })
    }
}

/// Where a cloud provider says its region is.
///
/// # Errors
///
/// [`BuildError::UnknownRegion`] with the names that look like it.
pub fn known_location(region: &str) -> Result<Point, BuildError> {
    match geo::regions::find(region) {
        Some(found) => Ok(found.point),
        None => Err(BuildError::UnknownRegion {
            region: region.to_owned(),
            similar: geo::regions::nearest_names(region).into_iter().map(Into::into).collect(),
        }),
    }
}

fn hint(similar: &[String]) -> String {
    match similar {
        [] => String::new(),
        [best, ..] => format!("; did you mean '{best}'?"),
    }
}

fn wire_state(state: State) -> v1::State {
    match state {
        State::Ok => v1::State::Ok,
        State::Degraded => v1::State::Degraded,
        State::Unavailable => v1::State::Unavailable,
        State::Draining => v1::State::Draining,
    }
}

fn wire_location(point: Point) -> v1::Location {
    v1::Location { latitude: point.lat(), longitude: point.lon() }
}

fn wire_caller(caller: &Caller) -> v1::Caller {
    v1::Caller {
        address: caller
            .address
            .map(|seen| seen.ip().to_canonical().to_string())
            .unwrap_or_default(),
        country: caller.place.country.map(|country| country.to_string()).unwrap_or_default(),
        location: caller.place.point.map(wire_location),
        identity: caller.identity.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Names { node, region, version } = &self.shared.names;
        f.debug_struct("Service")
            .field("node", node)
            .field("region", region)
            .field("version", version)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
