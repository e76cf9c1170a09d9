//! `geoip status`: what every name server serves, sees and complains about.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use proto::dnsrouter::v1 as wire;
use serde::Serialize;

use super::overrides;
use crate::args::Invocation;
use crate::endpoint::HostPort;
use crate::exit::{Exit, one_line};
use crate::output::{self, Format};
use crate::servers::{Said, ServerFlags};

const EXAMPLES: &str = "\
Examples:
  geoip status
  geoip status --server 127.0.0.21:7443 --server 127.0.0.22:7443
  geoip status --output json | jq '.[].alarms'

Exit codes: 0 all well, 1 alarms, 2 usage error, 3 a name server cannot be reached.";

/// Ask every name server what it serves, what it sees of every target, and what is wrong
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    servers: ServerFlags,
}

/// What one name server said, or why it said nothing.
struct Node {
    server: HostPort,
    outcome: Result<wire::StatusReply, String>,
}

pub(crate) async fn run(invocation: &Invocation, args: Args) -> anyhow::Result<Exit> {
    let servers = args.servers.resolve(invocation)?;
    let said = servers
        .ask_all(|mut control| async move { control.status(wire::StatusRequest {}).await })
        .await;
    let nodes: Vec<Node> = said
        .into_iter()
        .map(|Said { server, outcome }| Node { server, outcome: outcome.answer() })
        .collect();
    output::print(&match invocation.format() {
        Format::Text => text(&nodes, SystemTime::now()),
        Format::Json => output::pretty(&nodes.iter().map(object).collect::<Vec<_>>())?,
    })?;
    Ok(exit(&nodes))
}

/// What cannot be seen is worse than what is seen to be wrong.
fn exit(nodes: &[Node]) -> Exit {
    if nodes.iter().any(|node| node.outcome.is_err()) {
        return Exit::Unreachable;
    }
    let alarmed = |node: &Node| node.outcome.as_ref().is_ok_and(|reply| !reply.alarms.is_empty());
    match nodes.iter().any(alarmed) {
        true => Exit::Failed,
        false => Exit::Ok,
    }
}

/// For people: the nodes in one table, each node's targets in another, alarms last, where the
/// eye ends.
fn text(nodes: &[Node], now: SystemTime) -> String {
    let header = ["NODE", "REGION", "SERVER", "VERSION", "UPTIME", "PLAN", "ZONES", "NAMES"];
    let mut out = output::table(&header, nodes.iter().map(node_row));
    let replies = || nodes.iter().filter_map(|node| node.outcome.as_ref().ok());
    let targets: Vec<_> = replies()
        .flat_map(|reply| reply.targets.iter().map(|target| target_row(&reply.node, target, now)))
        .collect();
    if !targets.is_empty() {
        let header = ["SEEN BY", "TARGET", "REGION", "STATE", "SINCE", "RTT", "DETAIL"];
        let _ = write!(out, "\n{}", output::table(&header, targets));
    }
    let services: Vec<_> = replies()
        .flat_map(|reply| reply.services.iter().map(|service| service_row(&reply.node, service)))
        .collect();
    if !services.is_empty() {
        let header = ["SERVED BY", "SERVICE", "HEALTHY", ""];
        let _ = write!(out, "\n{}", output::table(&header, services));
    }
    let said =
        replies().flat_map(|reply| reply.overrides.iter().map(|one| (reply.node.as_str(), one)));
    if let Some(table) = overrides::table(said, now) {
        let _ = write!(out, "\n{table}");
        for reply in replies().filter(|reply| !reply.overrides_kept && !reply.overrides.is_empty())
        {
            let node = one_line(&reply.node);
            let _ = writeln!(out, "note {node}: no [state] dir: a restart forgets them");
        }
    }
    let dynamic: Vec<_> = replies()
        .flat_map(|reply| reply.dynamic.iter().map(|zone| dynamic_row(&reply.node, zone)))
        .collect();
    if !dynamic.is_empty() {
        let header = ["CHANGED ON", "ZONE", "SERIAL"];
        let _ = write!(out, "\n{}", output::table(&header, dynamic));
    }
    out.push('\n');
    out.push_str(&alarms(nodes));
    out
}

fn alarms(nodes: &[Node]) -> String {
    let mut out = String::new();
    for node in nodes {
        match &node.outcome {
            Err(cause) => {
                let _ = writeln!(out, "UNREACHABLE {}: {}", node.server, one_line(cause));
            }
            Ok(reply) => {
                for alarm in &reply.alarms {
                    let _ = writeln!(out, "ALARM {}: {}", one_line(&reply.node), one_line(alarm));
                }
            }
        }
    }
    if out.is_empty() { "all is well\n".to_owned() } else { out }
}

fn node_row(node: &Node) -> [String; 8] {
    let server = node.server.to_string();
    match &node.outcome {
        Err(_) => ["-", "-", &server, "unreachable", "-", "-", "-", "-"].map(str::to_owned),
        Ok(reply) => [
            one_line(&reply.node),
            one_line(&reply.region),
            server,
            one_line(&reply.version),
            one_line(&reply.uptime),
            format!("{} {}", reply.generation, one_line(&reply.fingerprint)),
            reply.zones.to_string(),
            reply.names.to_string(),
        ],
    }
}

fn target_row(node: &str, target: &wire::Target, now: SystemTime) -> [String; 7] {
    [
        one_line(node),
        one_line(&target.address),
        one_line(&target.region),
        state(target, now),
        since(target.since_unix_ms, now),
        match target.rtt_us {
            0 => "-".to_owned(),
            micros => format!("{:.3} ms", micros as f64 / 1e3),
        },
        one_line(&target.detail),
    ]
}

/// `down (identity), damped for 2m 10s`: with what was wrong last, and what keeps it as it is.
fn state(target: &wire::Target, now: SystemTime) -> String {
    let mut words = one_line(&target.state);
    if !target.fault.is_empty() {
        let _ = write!(words, " ({})", one_line(&target.fault));
    }
    if target.damped {
        words.push_str(", damped");
        if let Some(left) = left(target.damped_until_unix_ms, now) {
            let _ = write!(words, " for {left}");
        }
    }
    if target.held_back {
        words.push_str(", held back");
    }
    words
}

/// Whole seconds from now, begun ones too; none where that is not known, or over.
fn left(unix_ms: u64, now: SystemTime) -> Option<humantime::FormattedDuration> {
    let then = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms))?;
    let left = then.duration_since(now).ok()?;
    let begun = u64::from(left.subsec_nanos() > 0);
    Some(humantime::format_duration(Duration::from_secs(left.as_secs() + begun)))
}

/// Whole seconds ago; clocks differ, so the future is "now".
fn since(unix_ms: u64, now: SystemTime) -> String {
    if unix_ms == 0 {
        return "-".to_owned();
    }
    let then = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms));
    let ago = then.and_then(|then| now.duration_since(then).ok()).unwrap_or_default();
    humantime::format_duration(Duration::from_secs(ago.as_secs())).to_string()
}

fn service_row(node: &str, service: &wire::ServiceStatus) -> [String; 4] {
    [
        one_line(node),
        one_line(&service.name),
        format!("{}/{}", service.healthy, service.endpoints),
        if service.fail_open { "fail-open" } else { "" }.to_owned(),
    ]
}

fn dynamic_row(node: &str, zone: &wire::DynamicZone) -> [String; 3] {
    [one_line(node), one_line(&zone.name), zone.serial.to_string()]
}

#[derive(Debug, Serialize)]
struct NodeObject<'a> {
    server: String,
    reachable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(flatten)]
    status: Option<StatusObject<'a>>,
}

#[derive(Debug, Serialize)]
struct StatusObject<'a> {
    node: &'a str,
    region: &'a str,
    version: &'a str,
    uptime: &'a str,
    generation: u64,
    fingerprint: &'a str,
    zones: u64,
    names: u64,
    geo: &'a str,
    targets: Vec<TargetObject<'a>>,
    services: Vec<ServiceObject<'a>>,
    dynamic: Vec<DynamicObject<'a>>,
    overrides: Vec<overrides::OverrideObject<'a>>,
    overrides_kept: bool,
    alarms: &'a [String],
}

#[derive(Debug, Serialize)]
struct DynamicObject<'a> {
    name: &'a str,
    serial: u32,
}

#[derive(Debug, Serialize)]
struct TargetObject<'a> {
    address: &'a str,
    region: &'a str,
    state: &'a str,
    since_unix_ms: u64,
    rtt_us: u64,
    detail: &'a str,
    successes: u32,
    failures: u32,
    check: &'a str,
    fault: &'a str,
    damped: bool,
    damped_until_unix_ms: u64,
    held_back: bool,
    smoothed_rtt_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<LoadObject>,
}

#[derive(Debug, Serialize)]
struct LoadObject {
    in_flight: u32,
    cpu: f64,
    rate: u32,
    capacity: u32,
}

#[derive(Debug, Serialize)]
struct ServiceObject<'a> {
    name: &'a str,
    endpoints: u32,
    healthy: u32,
    fail_open: bool,
}

fn object(node: &Node) -> NodeObject<'_> {
    NodeObject {
        server: node.server.to_string(),
        reachable: node.outcome.is_ok(),
        error: node.outcome.as_ref().err().map(String::as_str),
        status: node.outcome.as_ref().ok().map(status_object),
    }
}

fn status_object(reply: &wire::StatusReply) -> StatusObject<'_> {
    StatusObject {
        node: &reply.node,
        region: &reply.region,
        version: &reply.version,
        uptime: &reply.uptime,
        generation: reply.generation,
        fingerprint: &reply.fingerprint,
        zones: reply.zones,
        names: reply.names,
        geo: &reply.geo,
        targets: reply.targets.iter().map(target_object).collect(),
        services: reply
            .services
            .iter()
            .map(|service| ServiceObject {
                name: &service.name,
                endpoints: service.endpoints,
                healthy: service.healthy,
                fail_open: service.fail_open,
            })
            .collect(),
        dynamic: reply
            .dynamic
            .iter()
            .map(|zone| DynamicObject { name: &zone.name, serial: zone.serial })
            .collect(),
        overrides: reply.overrides.iter().map(overrides::object).collect(),
        overrides_kept: reply.overrides_kept,
        alarms: &reply.alarms,
    }
}

fn target_object(target: &wire::Target) -> TargetObject<'_> {
    TargetObject {
        address: &target.address,
        region: &target.region,
        state: &target.state,
        since_unix_ms: target.since_unix_ms,
        rtt_us: target.rtt_us,
        detail: &target.detail,
        successes: target.successes,
        failures: target.failures,
        check: &target.check,
        fault: &target.fault,
        damped: target.damped,
        damped_until_unix_ms: target.damped_until_unix_ms,
        held_back: target.held_back,
        smoothed_rtt_us: target.smoothed_rtt_us,
        load: target.load.as_ref().map(|load| LoadObject {
            in_flight: load.in_flight,
            cpu: load.cpu,
            rate: load.rate,
            capacity: load.capacity,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> Node {
        let reply = wire::StatusReply {
            node: "ns1".into(),
            region: "us-central1".into(),
            version: "0.1.0".into(),
            uptime: "1m2s".into(),
            generation: 7,
            fingerprint: "9f3c".into(),
            targets: vec![wire::Target {
                address: "127.0.0.12:8443".into(),
                region: "europe-west3".into(),
                state: "up".into(),
                since_unix_ms: 1_000_000,
                rtt_us: 1234,
                ..Default::default()
            }],
            services: vec![wire::ServiceStatus {
                name: "geo.test-net.io.".into(),
                endpoints: 3,
                healthy: 3,
                fail_open: false,
            }],
            zones: 1,
            names: 8,
            dynamic: vec![wire::DynamicZone { name: "dyn.test-net.io.".into(), serial: 42 }],
            ..Default::default()
        };
        Node { server: HostPort::new("127.0.0.21", 7443), outcome: Ok(reply) }
    }

    fn alarmed() -> Node {
        let mut node = well();
        if let Ok(reply) = &mut node.outcome {
            reply.alarms.push("geo.test-net.io. fails open".into());
        }
        node
    }

    fn gone() -> Node {
        let outcome = Err("connection refused".to_owned());
        Node { server: HostPort::new("127.0.0.22", 7443), outcome }
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst_node() {
        assert_eq!(exit(&[well()]), Exit::Ok);
        assert_eq!(exit(&[well(), alarmed()]), Exit::Failed);
        assert_eq!(exit(&[alarmed(), gone()]), Exit::Unreachable);
    }

    #[test]
    fn nodes_then_targets_then_what_is_wrong() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1125);
        assert_eq!(
            text(&[well(), gone()], now),
            "\
NODE  REGION       SERVER           VERSION      UPTIME  PLAN    ZONES  NAMES
ns1   us-central1  127.0.0.21:7443  0.1.0        1m2s    7 9f3c  1      8
-     -            127.0.0.22:7443  unreachable  -       -       -      -

SEEN BY  TARGET           REGION        STATE  SINCE  RTT       DETAIL
ns1      127.0.0.12:8443  europe-west3  up     2m 5s  1.234 ms

SERVED BY  SERVICE           HEALTHY
ns1        geo.test-net.io.  3/3

CHANGED ON  ZONE              SERIAL
ns1         dyn.test-net.io.  42

UNREACHABLE 127.0.0.22:7443: connection refused
"
        );
        assert!(text(&[well()], now).ends_with("\nall is well\n"));
        assert!(text(&[alarmed()], now).ends_with("\nALARM ns1: geo.test-net.io. fails open\n"));
    }

    #[test]
    fn a_state_says_what_was_wrong_and_what_keeps_it() {
        let target = wire::Target {
            state: "down".into(),
            fault: "identity".into(),
            damped: true,
            ..Default::default()
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        assert_eq!(state(&target, now), "down (identity), damped");
        let known = wire::Target { damped_until_unix_ms: 229_500, ..target };
        assert_eq!(state(&known, now), "down (identity), damped for 2m 10s");
        let held = wire::Target { state: "up".into(), held_back: true, ..Default::default() };
        assert_eq!(state(&held, now), "up, held back");
    }

    #[test]
    fn times_of_change_are_told_as_ages() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        assert_eq!(since(0, now), "-");
        assert_eq!(since(40_000, now), "1m");
        assert_eq!(since(200_000, now), "0s");
    }

    #[test]
    fn an_unreachable_node_is_an_object_too() {
        let json = serde_json::to_string(&object(&gone())).unwrap();
        assert_eq!(
            json,
            "{\"server\":\"127.0.0.22:7443\",\"reachable\":false,\"error\":\"connection refused\"}"
        );
    }
}
