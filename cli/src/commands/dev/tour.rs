//! The proof that it works: what clients around the world are answered, and who answers them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use daemon::tls::{Caller, Expect};
use hickory_proto::rr::{RData, RecordType};
use ipnet::{IpNet, Ipv4Net};
use pki::Program;
use proto::dnsrouter::v1::StatusRequest;
use proto::dnsrouter::v1::control_client::ControlClient;
use tokio::time::{Instant, sleep};

use super::layout::Layout;
use crate::commands::ping::Pinger;
use crate::dns::exchange::{Patience, Way, ask};
use crate::dns::{Question, client_subnet, parse_name};
use crate::output;
use crate::rpc;

/// A place with a block of addresses that is really used there. Universities keep theirs for
/// decades, so every country database has them right.
struct Client {
    city: &'static str,
    subnet: Ipv4Net,
}

/// University of Chicago, Goethe University Frankfurt, National University of Singapore.
const CLIENTS: [Client; 3] = [
    Client { city: "Chicago", subnet: net([128, 135, 0, 0]) },
    Client { city: "Frankfurt", subnet: net([141, 2, 0, 0]) },
    Client { city: "Singapore", subnet: net([137, 132, 0, 0]) },
];

const fn net(octets: [u8; 4]) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(a, b, c, d), 24)
}

/// For the probers to have seen every target: rise × interval, and time for slow machines.
const SEEN_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// For one ping or status.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits until every name server sees every target up.
///
/// # Errors
/// What is not up at the deadline.
pub(crate) async fn wait_until_seen(layout: &Layout, tls: &Arc<Caller>) -> Result<(), String> {
    let deadline = Instant::now() + SEEN_WITHIN;
    for site in &layout.sites {
        while let Err(cause) = all_up(site.dnsrouter.at("control"), tls).await {
            if Instant::now() >= deadline {
                return Err(format!("{}: {cause}", site.dnsrouter.name));
            }
            sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}

async fn all_up(control: SocketAddr, tls: &Arc<Caller>) -> Result<(), String> {
    let expect = Expect::program(Program::Dnsrouter);
    let to = rpc::at(control);
    let channel = rpc::connect(&to, tls, &expect, PATIENCE).await;
    let mut client = ControlClient::new(channel.map_err(|cause| cause.to_string())?);
    let status = client.status(StatusRequest {}).await;
    let status = status.map_err(|status| rpc::cause(&status, PATIENCE).to_string())?.into_inner();
    match status.targets.iter().find(|target| target.state != "up") {
        None => Ok(()),
        Some(target) => Err(format!("{} is {} {}", target.address, target.state, target.detail)),
    }
}

/// What one client got.
#[derive(Debug, Default)]
struct Stop {
    answer: String,
    scope: String,
    region: String,
    rtt: String,
    status: String,
}

/// Asks for each client and pings what it is answered.
///
/// # Errors
/// The first client that got no answer.
pub(crate) async fn take(layout: &Layout, tls: &Arc<Caller>) -> anyhow::Result<String> {
    let mut pinger = Pinger::new(tls.clone(), PATIENCE);
    let server = layout.sites[0].dnsrouter.at("dns");
    let mut rows = Vec::new();
    for client in &CLIENTS {
        let stop = visit(layout, server, client, &mut pinger).await;
        let stop = stop.map_err(|cause| anyhow::anyhow!("a client in {}: {cause}", client.city))?;
        rows.push([
            client.city.to_owned(),
            client.subnet.to_string(),
            stop.answer,
            stop.scope,
            stop.region,
            stop.rtt,
            stop.status,
        ]);
    }
    let header = ["A CLIENT IN", "WITH SUBNET", "IS ANSWERED", "SCOPE", "WHERE", "RTT", "STATUS"];
    Ok(output::table(&header, rows))
}

async fn visit(
    layout: &Layout,
    server: SocketAddr,
    client: &Client,
    pinger: &mut Pinger,
) -> Result<Stop, String> {
    let name = parse_name(&layout.service())?;
    let subnet = Some(IpNet::V4(client.subnet));
    let question = Question::new(name, RecordType::A).on_behalf_of(subnet);
    let reply = ask(server, &question, Patience::default(), Way::Either).await;
    let reply = reply.map_err(|error| error.to_string())?;
    let addresses: Vec<IpAddr> = reply
        .message
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            _ => None,
        })
        .collect();
    if addresses.is_empty() {
        return Err(format!("{server} answers {} without an address", layout.service()));
    }
    let answer = pinger.ping(&addresses, layout.ports.grpc).await?;
    let shown: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    Ok(Stop {
        answer: shown.join(" "),
        scope: client_subnet(&reply.message)
            .map(|subnet| format!("/{}", subnet.scope_prefix()))
            .unwrap_or_default(),
        region: answer.reply.region,
        rtt: format!("{:.3} ms", answer.rtt.as_secs_f64() * 1e3),
        status: answer.reply.status,
    })
}
