//! `geoip explain`: why a name server answers a client as it does.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use clap::ValueEnum;
use daemon::tls::Expect;
use ipnet::IpNet;
use pki::Program;
use proto::dnsrouter::v1 as wire;
use proto::dnsrouter::v1::control_client::ControlClient;
use serde::Serialize;
use tokio::time::timeout;

use crate::args::Invocation;
use crate::dns::{parse_name, parse_subnet};
use crate::endpoint::HostPort;
use crate::exit::{Exit, one_line, usage};
use crate::output::{self, Format};
use crate::rpc::{self, CredentialFlags, NoAnswer};
use crate::times::{parse_time, shown, unix_ms};

/// How long one name server may take: it computes what a query computes, so it needs little.
const PATIENCE: Duration = Duration::from_secs(5);

/// And for another time: then it may have to read databases and compile a plan.
const LONG_PATIENCE: Duration = Duration::from_secs(60);

const EXAMPLES: &str = "\
Examples:
  geoip explain --client 128.135.0.1 geo.test-net.io
  geoip explain --server 127.0.0.21:7443 --client 2001:db8::/48 geo.test-net.io --type AAAA
  geoip explain --client 141.2.0.1 geo.test-net.io --at 2026-12-01T14:00Z
  geoip explain --client 141.2.0.1 geo.test-net.io --output json | jq '.decisions[].steps'";

/// Show the whole decision for a client and a name, step by step
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Owner name of a service, or any name in the zones
    name: String,
    /// The client: an address, or a prefix as a client subnet carries it
    #[arg(long, value_name = "ADDR", value_parser = parse_subnet)]
    client: IpNet,
    /// Control endpoint of a dnsrouter [default: the context's, the first that answers]
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<HostPort>,
    /// As it was then, in UTC, as 2026-12-01T14:00Z, from the history that name servers with a state
    /// folder keep [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<SystemTime>,
    /// Explain only this record type [default: both]
    #[arg(long = "type", value_name = "TYPE", ignore_case = true)]
    record_type: Option<AddressType>,
    #[command(flatten)]
    credentials: CredentialFlags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AddressType {
    #[value(name = "A")]
    A,
    #[value(name = "AAAA")]
    Aaaa,
}

pub(crate) async fn run(invocation: &Invocation, args: Args) -> anyhow::Result<Exit> {
    let context = invocation.context()?;
    if let Err(message) = parse_name(&args.name) {
        return usage(message);
    }
    let servers = match args.server {
        Some(server) => vec![server],
        None => context.servers.clone(),
    };
    if servers.is_empty() {
        return usage("no server to ask: give --server HOST:PORT or choose a context");
    }
    let tls = args.credentials.resolve(&context)?.load()?;
    let request = wire::ExplainRequest {
        name: args.name,
        client: bare(args.client),
        r#type: match args.record_type {
            None => String::new(),
            Some(AddressType::A) => "A".to_owned(),
            Some(AddressType::Aaaa) => "AAAA".to_owned(),
        },
        at_unix_ms: args.at.map_or(0, unix_ms),
    };
    let past = args.at.is_some();
    let patience = if past { LONG_PATIENCE } else { PATIENCE };
    let mut last = anyhow::anyhow!("no server to ask");
    for server in servers {
        match timeout(patience, ask(&server, &tls, request.clone(), patience)).await {
            Ok(Ok(reply)) => {
                output::print(&match invocation.format() {
                    Format::Text => text(&reply, past),
                    Format::Json => output::pretty(&object(&reply))?,
                })?;
                return Ok(Exit::Ok);
            }
            Ok(Err(cause)) => last = anyhow::anyhow!("{server}: {cause}"),
            Err(_elapsed) => {
                last = anyhow::anyhow!("{server}: {}", NoAnswer::timed_out(patience, None));
            }
        }
    }
    Err(last)
}

/// An address that was given as one goes as one.
fn bare(client: IpNet) -> String {
    match client.prefix_len() == client.max_prefix_len() {
        true => client.addr().to_string(),
        false => client.to_string(),
    }
}

async fn ask(
    server: &HostPort,
    tls: &std::sync::Arc<daemon::tls::Caller>,
    request: wire::ExplainRequest,
    patience: Duration,
) -> Result<wire::ExplainReply, NoAnswer> {
    let expect = Expect::program(Program::Dnsrouter);
    let channel = rpc::connect(server, tls, &expect, patience).await?;
    let mut client = ControlClient::new(channel);
    match client.explain(request).await {
        Ok(reply) => Ok(reply.into_inner()),
        Err(status) => Err(rpc::cause(&status, patience)),
    }
}

/// For people: who, where, then each decision as a table of steps.
fn text(reply: &wire::ExplainReply, past: bool) -> String {
    let plan = match reply.generation {
        0 => format!("the plan of {}", shown(reply.at_unix_ms)),
        number => format!("plan {number}"),
    };
    let mut out = format!(
        "{} for {}, decided by {} ({plan})\n",
        one_line(&reply.name),
        one_line(&reply.client),
        one_line(&reply.node),
    );
    if past {
        let _ = writeln!(out, "as it was at {}", shown(reply.at_unix_ms));
    }
    for note in &reply.notes {
        let _ = writeln!(out, "note: {}", one_line(note));
    }
    let _ = writeln!(out, "place: {}", place(reply.place.as_ref()));
    for decision in &reply.decisions {
        out.push('\n');
        out.push_str(&decision_text(decision));
    }
    out
}

fn place(place: Option<&wire::Place>) -> String {
    let Some(place) = place else { return "unknown".to_owned() };
    let mut parts = Vec::new();
    if !place.country.is_empty() {
        parts.push(one_line(&place.country));
    }
    if let Some(point) = &place.point {
        parts.push(format!("{:.2}, {:.2}", point.latitude, point.longitude));
    }
    if parts.is_empty() {
        parts.push("unknown".to_owned());
    }
    let source = match place.source.as_str() {
        "" | "none" => "in no table".to_owned(),
        source => format!("from the {} table", one_line(source)),
    };
    let prefix = match place.prefix.as_str() {
        "" => String::new(),
        prefix => format!(", prefix {}", one_line(prefix)),
    };
    format!("{} ({source}{prefix})", parts.join(" at "))
}

fn decision_text(decision: &wire::Decision) -> String {
    let mut out = String::new();
    let answer = match decision.addresses.as_slice() {
        [] => "no address".to_owned(),
        addresses => addresses.iter().map(|a| one_line(a)).collect::<Vec<_>>().join(", "),
    };
    let _ = writeln!(
        out,
        "{}: {answer}   ttl {} s, scope /{}",
        one_line(&decision.r#type),
        decision.ttl,
        decision.scope
    );
    if decision.fail_open {
        out.push_str("   fail-open: too little was left\n");
    }
    if !decision.note.is_empty() {
        let _ = writeln!(out, "   {}", one_line(&decision.note));
    }
    let rows = decision.steps.iter().flat_map(rows).collect::<Vec<_>>();
    if !rows.is_empty() {
        let header = ["STEP", "", "REGION", "ADDRESSES", "DISTANCE", "HEALTH", "WEIGHT", "REASON"];
        out.push_str(&output::indent(&output::table(&header, rows), 2));
    }
    out
}

/// One row per candidate; the step's name only on its first.
fn rows(step: &wire::Step) -> Vec<[String; 8]> {
    let rows = step.candidates.iter().enumerate().map(|(index, candidate)| {
        let addresses: Vec<String> = candidate.addresses.iter().map(|a| one_line(a)).collect();
        [
            if index == 0 { one_line(&step.step) } else { String::new() },
            if candidate.kept { "✓" } else { "✗" }.to_owned(),
            one_line(&candidate.region),
            addresses.join(" "),
            distance(candidate.kilometres),
            one_line(&candidate.health),
            candidate.weight.to_string(),
            one_line(&candidate.reason),
        ]
    });
    rows.collect()
}

fn distance(kilometres: f64) -> String {
    match kilometres {
        unknown if unknown < 0.0 || !unknown.is_finite() => "-".to_owned(),
        known => format!("{known:.0} km"),
    }
}

#[derive(Debug, Serialize)]
struct Object<'a> {
    name: &'a str,
    client: &'a str,
    node: &'a str,
    generation: u64,
    at_unix_ms: u64,
    notes: &'a [String],
    place: Option<PlaceObject<'a>>,
    decisions: Vec<DecisionObject<'a>>,
}

#[derive(Debug, Serialize)]
struct PlaceObject<'a> {
    prefix: &'a str,
    source: &'a str,
    country: &'a str,
    latitude: Option<f64>,
    longitude: Option<f64>,
}

#[derive(Debug, Serialize)]
struct DecisionObject<'a> {
    #[serde(rename = "type")]
    record_type: &'a str,
    addresses: &'a [String],
    ttl: u32,
    scope: u32,
    fail_open: bool,
    note: &'a str,
    steps: Vec<StepObject<'a>>,
}

#[derive(Debug, Serialize)]
struct StepObject<'a> {
    step: &'a str,
    candidates: Vec<CandidateObject<'a>>,
}

#[derive(Debug, Serialize)]
struct CandidateObject<'a> {
    region: &'a str,
    addresses: &'a [String],
    kept: bool,
    reason: &'a str,
    kilometres: Option<f64>,
    weight: u32,
    health: &'a str,
}

/// For programs: the wire form, with unknowns as null.
fn object(reply: &wire::ExplainReply) -> Object<'_> {
    Object {
        name: &reply.name,
        client: &reply.client,
        node: &reply.node,
        generation: reply.generation,
        at_unix_ms: reply.at_unix_ms,
        notes: &reply.notes,
        place: reply.place.as_ref().map(|place| PlaceObject {
            prefix: &place.prefix,
            source: &place.source,
            country: &place.country,
            latitude: place.point.as_ref().map(|point| point.latitude),
            longitude: place.point.as_ref().map(|point| point.longitude),
        }),
        decisions: reply.decisions.iter().map(decision_object).collect(),
    }
}

fn decision_object(decision: &wire::Decision) -> DecisionObject<'_> {
    let steps = decision.steps.iter().map(|step| StepObject {
        step: &step.step,
        candidates: step
            .candidates
            .iter()
            .map(|found| CandidateObject {
                region: &found.region,
                addresses: &found.addresses,
                kept: found.kept,
                reason: &found.reason,
                kilometres: Some(found.kilometres).filter(|km| *km >= 0.0),
                weight: found.weight,
                health: &found.health,
            })
            .collect(),
    });
    DecisionObject {
        record_type: &decision.r#type,
        addresses: &decision.addresses,
        ttl: decision.ttl,
        scope: decision.scope,
        fail_open: decision.fail_open,
        note: &decision.note,
        steps: steps.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(region: &str, kept: bool, reason: &str, kilometres: f64) -> wire::Candidate {
        wire::Candidate {
            region: region.into(),
            addresses: vec!["127.0.0.11".into()],
            kept,
            reason: reason.into(),
            kilometres,
            weight: 100,
            health: if kept { "up" } else { "down" }.into(),
        }
    }

    fn reply() -> wire::ExplainReply {
        wire::ExplainReply {
            name: "geo.test-net.io.".into(),
            client: "128.135.0.1".into(),
            place: Some(wire::Place {
                prefix: "128.135.0.0/16".into(),
                source: "built-in".into(),
                country: "US".into(),
                point: Some(wire::Point { latitude: 39.5, longitude: -98.35 }),
            }),
            decisions: vec![wire::Decision {
                r#type: "A".into(),
                steps: vec![
                    wire::Step {
                        step: "healthy".into(),
                        candidates: vec![
                            candidate("us-central1", true, "up for 2m", 290.4),
                            candidate("europe-west3", false, "down: refused", -1.0),
                        ],
                    },
                    wire::Step {
                        step: "nearest".into(),
                        candidates: vec![candidate("us-central1", true, "290 km", 290.4)],
                    },
                ],
                addresses: vec!["127.0.0.11".into()],
                ttl: 60,
                scope: 16,
                fail_open: false,
                note: String::new(),
            }],
            generation: 7,
            node: "ns1".into(),
            at_unix_ms: 1_796_133_600_000,
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_decision_reads_from_place_to_answer() {
        assert_eq!(
            text(&reply(), false),
            "\
geo.test-net.io. for 128.135.0.1, decided by ns1 (plan 7)
place: US at 39.50, -98.35 (from the built-in table, prefix 128.135.0.0/16)

A: 127.0.0.11   ttl 60 s, scope /16
  STEP        REGION        ADDRESSES   DISTANCE  HEALTH  WEIGHT  REASON
  healthy  ✓  us-central1   127.0.0.11  290 km    up      100     up for 2m
           ✗  europe-west3  127.0.0.11  -         down    100     down: refused
  nearest  ✓  us-central1   127.0.0.11  290 km    up      100     290 km
"
        );
    }

    #[test]
    fn fail_open_and_notes_are_said() {
        let mut reply = reply();
        reply.place = None;
        reply.decisions[0].fail_open = true;
        reply.decisions[0].steps.clear();
        reply.decisions[0].addresses.clear();
        reply.decisions[0].note = "a static name".into();
        let text = text(&reply, false);
        assert!(text.contains("place: unknown\n"), "{text}");
        assert!(text.contains("A: no address   ttl 60 s"), "{text}");
        assert!(text.contains("   fail-open: too little was left"), "{text}");
        assert!(text.ends_with("   a static name\n"), "{text}");
    }

    #[test]
    fn the_present_has_notes_too() {
        let text = text(&wire::ExplainReply { notes: vec!["led".into()], ..reply() }, false);
        assert!(text.contains("\nnote: led\nplace:") && !text.contains("as it was"), "{text}");
    }

    #[test]
    fn another_time_is_said_with_what_is_not_known_of_it() {
        let reply = wire::ExplainReply { generation: 0, notes: vec!["gone".into()], ..reply() };
        assert!(text(&reply, true).starts_with(
            "geo.test-net.io. for 128.135.0.1, decided by ns1 (the plan of 2026-12-01T14:00:00Z)\n\
             as it was at 2026-12-01T14:00:00Z\nnote: gone\nplace:"
        ));
    }

    #[test]
    fn json_keeps_the_wire_form_with_unknowns_as_null() {
        let json = serde_json::to_value(object(&reply())).unwrap();
        let candidates = &json["decisions"][0]["steps"][0]["candidates"];
        assert_eq!(candidates[0]["kilometres"], 290.4);
        assert!(candidates[1]["kilometres"].is_null());
        assert_eq!(json["decisions"][0]["type"], "A");
        assert_eq!(json["place"]["country"], "US");
    }

    #[test]
    fn a_client_is_sent_as_it_was_given() {
        assert_eq!(bare(parse_subnet("128.135.0.1").unwrap()), "128.135.0.1");
        assert_eq!(bare(parse_subnet("128.135.0.1/24").unwrap()), "128.135.0.0/24");
    }
}
