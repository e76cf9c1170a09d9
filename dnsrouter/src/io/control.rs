//! The control service: what people ask a name server over gRPC with mTLS.
//!
//! Generated types stop here; what they carry is decided in [`crate::explain`] and
//! [`super::keeper`].

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use daemon::uptime::go_duration;
use dns::name::{LowerName, Name};
use dns::rr::Rcode;
use geo::{Kilometres, Source};
use ipnet::IpNet;
use proto::dnsrouter::v1 as wire;
use proto::dnsrouter::v1::control_server::Control;
use tonic::{Request, Response, Status, Streaming};

use crate::explain::{self, Considered, Decision, Seen};
use crate::monitor::{Entry, unix_ms};
use crate::plan::Snapshot;
use crate::service::Form;
use crate::target::Target;
use crate::verdicts::WHOLE;

use super::census::Census;
use super::history::Reader;
use super::keeper::Shared;
use super::overrides::Store;

mod clients;
mod overrides;
mod past;
mod plan;

pub use plan::Planner;

/// Answers for one node.
pub struct Service {
    /// The plan and what is known of targets.
    pub shared: Shared,
    /// This node's name.
    pub node: String,
    /// Its region.
    pub region: String,
    /// When this process started.
    pub started: Instant,
    /// What people say against what is measured.
    pub overrides: Arc<tokio::sync::Mutex<Store>>,
    /// Whether that outlives this process.
    pub kept: bool,
    /// How often clients were answered; none: nobody counts.
    pub census: Option<Arc<Census>>,
    /// How it would be.
    pub planner: Planner,
    /// How it was; none: no history is kept.
    pub past: Option<Past>,
}

/// What it takes to go back in time.
#[derive(Clone)]
pub struct Past {
    reader: Reader,
    /// What relative paths of the configuration count from.
    folder: PathBuf,
    /// One at a time: each compiles a plan.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Past {
    /// From what is kept of a configuration in `folder`.
    pub fn new(reader: Reader, folder: PathBuf) -> Self {
        Self { reader, folder, turn: Arc::default() }
    }
}

#[tonic::async_trait]
impl Control for Service {
    type ExportClientsStream = clients::Parts;

    async fn explain(
        &self,
        request: Request<wire::ExplainRequest>,
    ) -> Result<Response<wire::ExplainReply>, Status> {
        let asked = request.into_inner();
        let name: Name = asked.name.parse().map_err(|error| {
            Status::invalid_argument(format!("{:?} is no domain name: {error}", asked.name))
        })?;
        let client = parse_client(&asked.client)?;
        let one;
        let forms: &[Form] = if asked.r#type.is_empty() {
            &Form::ALL
        } else {
            one = [parse_form(&asked.r#type)?];
            &one
        };
        let (snapshot, at, mut notes) = match asked.at_unix_ms {
            0 => (Arc::clone(&self.shared.plan.load()), SystemTime::now(), Vec::new()),
            ms => self.as_it_was(overrides::time(ms)?).await?,
        };
        let policy = match explain::find(&snapshot, &name) {
            Some(policy) => policy,
            None => {
                let present = self.shared.plan.load();
                let service = explain::lead(&present, &name, forms);
                let service = service.map_err(|rcode| no_service(&name, rcode))?;
                notes.push(format!("{name} leads to the service {service}, whose answer this is"));
                let missing = || Status::not_found(format!("there was no service {service} then"));
                explain::find(&snapshot, service).ok_or_else(missing)?
            }
        };
        let now = unix_ms(at) / 1000;
        let explained = explain::explain(&snapshot, policy, client, forms, now);
        let place = &explained.place;
        Ok(Response::new(wire::ExplainReply {
            name: name.to_string(),
            client: asked.client,
            place: Some(wire::Place {
                prefix: place.prefix.to_string(),
                source: source(place.source).into(),
                country: place.country.map(|c| c.to_string()).unwrap_or_default(),
                point: place.point.map(|p| wire::Point { latitude: p.lat(), longitude: p.lon() }),
            }),
            decisions: explained.decisions.into_iter().map(decision).collect(),
            generation: snapshot.inputs.generation.0,
            node: self.node.clone(),
            at_unix_ms: unix_ms(at),
            notes,
        }))
    }

    async fn drain(
        &self,
        request: Request<wire::DrainRequest>,
    ) -> Result<Response<wire::OverrideReply>, Status> {
        self.take_drain(request).await
    }

    async fn force(
        &self,
        request: Request<wire::ForceRequest>,
    ) -> Result<Response<wire::OverrideReply>, Status> {
        self.take_force(request).await
    }

    async fn lift(
        &self,
        request: Request<wire::LiftRequest>,
    ) -> Result<Response<wire::OverrideReply>, Status> {
        self.take_lift(request).await
    }

    async fn overrides(
        &self,
        _: Request<wire::OverridesRequest>,
    ) -> Result<Response<wire::OverridesReply>, Status> {
        let (node, overrides) = (self.node.clone(), self.list());
        Ok(Response::new(wire::OverridesReply { node, overrides, kept: self.kept }))
    }

    async fn clients(
        &self,
        request: Request<wire::ClientsRequest>,
    ) -> Result<Response<wire::ClientsReply>, Status> {
        self.tell_clients(request).await
    }

    async fn export_clients(
        &self,
        _: Request<wire::ExportClientsRequest>,
    ) -> Result<Response<Self::ExportClientsStream>, Status> {
        self.send_clients().await
    }

    type PlanStream = plan::Replies;

    async fn plan(
        &self,
        request: Request<Streaming<wire::PlanPart>>,
    ) -> Result<Response<Self::PlanStream>, Status> {
        self.take_plan(request).await
    }

    async fn status(
        &self,
        _: Request<wire::StatusRequest>,
    ) -> Result<Response<wire::StatusReply>, Status> {
        let snapshot = Arc::clone(&self.shared.plan.load());
        let inputs = &snapshot.inputs;
        Ok(Response::new(wire::StatusReply {
            node: self.node.clone(),
            region: self.region.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            uptime: go_duration(self.started.elapsed()),
            generation: inputs.generation.0,
            fingerprint: format!("{:016x}", inputs.fingerprint),
            targets: self.targets(),
            services: services(&snapshot),
            alarms: self.shared.alarms(),
            zones: inputs.zones.zones().len() as u64,
            names: inputs.zones.names().count() as u64,
            geo: inputs.geo.description.clone(),
            dynamic: dynamic_zones(&snapshot),
            overrides: self.list(),
            overrides_kept: self.kept,
        }))
    }
}

impl Service {
    fn targets(&self) -> Vec<wire::Target> {
        self.shared.gather(|monitor, range, all: &mut Vec<wire::Target>| {
            all.extend(monitor.some(range).map(|(known, entry)| target(known, entry)));
        })
    }
}

fn target(target: &Target, entry: &Entry) -> wire::Target {
    let machine = &entry.machine;
    let micros = |rtt: Option<Duration>| {
        rtt.map_or(0, |rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX))
    };
    wire::Target {
        address: target.check.to_string(),
        region: target.region.clone(),
        state: entry.state.word().into(),
        since_unix_ms: unix_ms(machine.since()),
        rtt_us: micros(entry.rtt),
        detail: entry.detail.clone(),
        successes: machine.successes(),
        failures: machine.failures(),
        check: target.check.kind().into(),
        fault: entry.fault.map(|fault| fault.word().into()).unwrap_or_default(),
        damped: machine.is_damped(),
        damped_until_unix_ms: machine.damped_until().map_or(0, unix_ms),
        held_back: entry.is_held,
        smoothed_rtt_us: micros(entry.smoothed),
        load: entry.load.map(|load| wire::TargetLoad {
            in_flight: load.in_flight,
            cpu: f64::from(load.cpu) / f64::from(WHOLE),
            rate: load.rate,
            capacity: load.capacity,
        }),
    }
}

fn dynamic_zones(snapshot: &Snapshot) -> Vec<wire::DynamicZone> {
    let inputs = &snapshot.inputs;
    let zone = |name: &Name| {
        let zone = inputs.zones.zone_at(&LowerName::from(name))?;
        Some(wire::DynamicZone { name: name.to_string(), serial: zone.serial() })
    };
    let mut names: Vec<&Name> = inputs.updates.zones().collect();
    names.sort();
    names.into_iter().filter_map(zone).collect()
}

fn services(snapshot: &Snapshot) -> Vec<wire::ServiceStatus> {
    let services = snapshot.inputs.services.services.iter();
    services
        .map(|(name, policy)| {
            let (healthy, endpoints) = policy.endpoints_usable(&snapshot.health);
            wire::ServiceStatus {
                name: name.to_string(),
                endpoints: u32::try_from(endpoints).unwrap_or(u32::MAX),
                healthy: u32::try_from(healthy).unwrap_or(u32::MAX),
                fail_open: policy.fails_open(&snapshot.inputs.geo, &snapshot.health),
            }
        })
        .collect()
}

/// An address, or a prefix as a client subnet would carry it. An IPv4-mapped one is a client that is
/// connected by IPv4.
fn parse_client(text: &str) -> Result<IpAddr, Status> {
    let prefix = text.parse::<IpNet>().map(|net| net.network());
    text.parse::<IpAddr>().or(prefix).map(|address| address.to_canonical()).map_err(|_| {
        let message = format!("{text:?} is neither an address nor a prefix, e.g. 192.0.2.0/24");
        Status::invalid_argument(message)
    })
}

/// Of a name that leads to no service: what is the matter with it.
fn no_service(name: &Name, rcode: Rcode) -> Status {
    Status::not_found(match rcode {
        Rcode::REFUSED => format!("{name} is in no zone of this server"),
        Rcode::NXDOMAIN => format!("{name} does not exist here, or a CNAME leads to what does not"),
        _ => format!(
            "{name} is no service here; what a zone file says of it is the same for everybody"
        ),
    })
}

fn parse_form(text: &str) -> Result<Form, Status> {
    let known = Form::ALL.into_iter().find(|form| form.to_string().eq_ignore_ascii_case(text));
    known.ok_or_else(|| {
        let forms = Form::ALL.map(|form| form.to_string()).join(", ");
        Status::invalid_argument(format!("type {text:?}: a route decides {forms}"))
    })
}

fn decision(decision: Decision) -> wire::Decision {
    wire::Decision {
        r#type: decision.form.to_string(),
        steps: decision.steps.into_iter().map(step).collect(),
        addresses: decision.records,
        ttl: decision.ttl,
        scope: decision.scope.into(),
        fail_open: decision.fail_open,
        note: match decision.outside {
            Some(outside) => format!("by its fence: {outside}"),
            None if decision.fail_open => {
                "too little is left: what is drained counts, or else everything as if it were up \
                 (fail open)"
                    .into()
            }
            None => String::new(),
        },
    }
}

fn step(seen: Seen) -> wire::Step {
    wire::Step {
        step: seen.step.to_string(),
        candidates: seen.candidates.into_iter().map(candidate).collect(),
    }
}

fn candidate(considered: Considered) -> wire::Candidate {
    wire::Candidate {
        region: considered.region,
        addresses: considered.records,
        kept: considered.kept,
        reason: considered.reason,
        kilometres: considered.distance.map_or(-1.0, |Kilometres(km)| km),
        weight: considered.weight,
        health: considered.health,
    }
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Network => "network",
        Source::Special => "special",
        Source::Database => "database",
        Source::BuiltIn => "built-in",
        Source::None => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_addresses_or_prefixes() {
        for (text, address) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.0/24", "192.0.2.0"),
            ("2001:db8::/48", "2001:db8::"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(parse_client(text).unwrap(), address.parse::<IpAddr>().unwrap());
        }
        assert_eq!(parse_client("here").unwrap_err().code(), tonic::Code::InvalidArgument);
    }
}
