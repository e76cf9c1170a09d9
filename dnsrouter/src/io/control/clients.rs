//! How often clients of which networks were answered.

use std::pin::Pin;
use std::sync::Arc;

use geo::Table;
use ipnet::IpNet;
use proto::dnsrouter::v1 as wire;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use crate::census::Figures;
use crate::io::census::{Census, about, text};

use super::Service;

/// Prefixes that are named in one reply, which is to fit one message.
const MAX_NAMED: usize = 1000;
/// Octets of one part of an export, far below the limit of a message.
const PART: usize = 64 << 10;

/// The parts of an export.
pub(super) type Parts =
    Pin<Box<dyn Stream<Item = Result<wire::ExportClientsReply, Status>> + Send>>;

impl Service {
    pub(super) async fn tell_clients(
        &self,
        request: Request<wire::ClientsRequest>,
    ) -> Result<Response<wire::ClientsReply>, Status> {
        let census = self.census()?;
        let most = usize::try_from(request.into_inner().largest).unwrap_or(MAX_NAMED);
        let looking = tokio::task::spawn_blocking(move || census.look(most.min(MAX_NAMED)));
        let seen = looking.await.map_err(|_| fault())?;
        let snapshot = Arc::clone(&self.shared.plan.load());
        let table = &snapshot.inputs.geo.table;
        let half_life = seen.settings.half_life.as_millis();
        Ok(Response::new(wire::ClientsReply {
            node: self.node.clone(),
            families: seen.figures.map(family).into(),
            largest: seen.largest.into_iter().map(|counted| prefix(table, counted)).collect(),
            half_life_ms: u64::try_from(half_life).unwrap_or(u64::MAX),
            kept: self.kept,
        }))
    }

    pub(super) async fn send_clients(&self) -> Result<Response<Parts>, Status> {
        let census = self.census()?;
        let about = about(&self.node, census.settings());
        let writing = tokio::task::spawn_blocking(move || {
            census.population().map(|population| text(&population, &about))
        });
        let text = writing.await.map_err(|_| fault())?;
        let text = text.map_err(|many| Status::internal(many.to_string()))?;
        // Made when it is asked for: whoever is slow holds one copy of the text, and no more.
        let parts = (0..text.len()).step_by(PART).map(move |from| {
            let to = text.len().min(from + PART);
            Ok(wire::ExportClientsReply { text: text.as_bytes()[from..to].to_vec() })
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(parts))))
    }

    fn census(&self) -> Result<Arc<Census>, Status> {
        self.census.clone().ok_or_else(|| {
            Status::failed_precondition(
                "this node does not count its clients; [clients] record = true would",
            )
        })
    }
}

fn fault() -> Status {
    Status::internal("looking at the counts ended with a fault")
}

fn family(figures: Figures) -> wire::ClientFamily {
    let Figures { prefixes, most, answers, short, evicted } = figures;
    let (prefixes, most) = (prefixes as u64, most as u64);
    wire::ClientFamily { prefixes, most, answers, short, evicted }
}

/// With what the table knows of its place.
fn prefix(table: &Table, (prefix, count): (IpNet, u64)) -> wire::ClientPrefix {
    let place = table.place(table.lookup_subnet(prefix.network()).place);
    wire::ClientPrefix {
        prefix: prefix.to_string(),
        count,
        country: place.country.map(|country| country.to_string()).unwrap_or_default(),
        point: place.point().map(|p| wire::Point { latitude: p.lat(), longitude: p.lon() }),
    }
}
