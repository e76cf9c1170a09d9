//! `geoip doctor`: whether the world finds a zone, and finds the same everywhere.
//!
//! ```text
//!  zone ──▶ walk: the parent's servers ──▶ observe: ask everybody ──▶ Observed
//!                                                                        │ pure
//!                                report ◀── print ◀── Section ◀── checks ┘
//! ```
//!
//! A run is a list of sections, each with its findings; what else there is to check about a
//! system becomes a further section.

mod checks;
mod config;
mod detour;
mod finding;
mod observe;
mod observed;
mod print;
mod reach;
mod view;
mod walk;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dns::name::Name;

use crate::args::Invocation;
use crate::commands::ping::parse_wait;
use crate::dns::exchange::Patience;
use crate::dns::{ours, parse_name, resolv_conf};
use crate::exit::{Exit, usage};
use crate::output::{self, Format};
use detour::{Detour, Detours, server};
use reach::Reach;
use walk::{Finder, Start};

/// Zones of one run.
const MAX_ZONES: usize = 10_000;

/// Tries over UDP: one packet may be lost, two seldom are.
const TRIES: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  geoip doctor test-net.io                      as resolvers find it
  geoip doctor --config dnsrouter.toml          every zone of this server, and this server too
  geoip doctor test-net.io --server 192.0.2.60  a server too that is not delegated to (yet)
  geoip doctor test-net.io --root 198.41.0.4    from the root down, asking no resolver
  geoip doctor geo.lab --parent 127.0.0.1:5300 --connect-to 192.0.2.53=127.0.0.1:5301
                                                a rehearsal on one machine

Looked at: the parent's NS, glue and DS; every server's answers over UDP and TCP, IPv4 and IPv6, its
authority, NS, serial, EDNS and recursion; the servers' names, and how far apart they are. For each
thing that is wrong it says what to do.

Exit codes: 0 nothing fails (there may be warnings), 1 something does, 2 usage error.";

/// Check the delegation of zones: parent, glue, and what every name server answers
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Zones to check [default: those of --config]
    #[arg(value_name = "ZONE")]
    zones: Vec<String>,
    /// A dnsrouter's configuration: its zones, and its own addresses as --server
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A name server to check beside those that are delegated to; may be repeated
    #[arg(long = "server", value_name = "ADDR[:PORT]", value_parser = server)]
    servers: Vec<SocketAddr>,
    /// Ask this server of the parent zone for the delegation
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = server, conflicts_with = "roots")]
    parent: Option<SocketAddr>,
    /// Walk down from this root server; may be repeated
    #[arg(long = "root", value_name = "ADDR[:PORT]", value_parser = server)]
    roots: Vec<SocketAddr>,
    /// Resolver to ask for the parent and for other zones' names; may be repeated [default: those
    /// of /etc/resolv.conf]
    #[arg(long = "resolver", value_name = "ADDR[:PORT]", value_parser = server)]
    resolvers: Vec<SocketAddr>,
    /// Whenever FROM would be asked, ask TO; what is checked stays FROM; may be repeated
    #[arg(long = "connect-to", value_name = "FROM=TO")]
    detours: Vec<Detour>,
    /// How long to wait for each answer
    #[arg(short = 'W', long, value_name = "TIMEOUT", default_value = "2s", value_parser = parse_wait)]
    timeout: Duration,
}

pub(crate) async fn run(invocation: &Invocation, args: Args) -> anyhow::Result<Exit> {
    let own = args.config.as_deref().map(config::load).transpose()?;
    let zones = match (args.zones.as_slice(), &own) {
        ([], Some(own)) => own.zones.clone(),
        (given, _) => match names(given) {
            Ok(zones) => zones,
            Err(message) => return usage(message),
        },
    };
    if zones.is_empty() {
        return usage("no zone to check: geoip doctor ZONE, or --config with a [[zone]]");
    }
    if zones.len() > MAX_ZONES {
        return usage(format!("{} zones: at most {MAX_ZONES} at once", zones.len()));
    }
    let servers = match args.servers.is_empty() {
        true => own.map(|own| own.servers).unwrap_or_default(),
        false => args.servers,
    };
    let detours = match Detours::new(&args.detours) {
        Ok(detours) => detours,
        Err(message) => return usage(message),
    };
    let patience = Patience { per_try: args.timeout, tries: TRIES };
    let start = match (args.parent, args.roots.is_empty()) {
        (Some(parent), _) => Start::Parent(parent),
        (None, false) => Start::Roots(args.roots),
        (None, true) => Start::Resolvers,
    };
    let resolvers = match args.resolvers.is_empty() {
        true => resolv_conf::system(),
        false => args.resolvers,
    };
    let mut sections = Vec::new();
    for zone in &zones {
        let reach = Arc::new(Reach::new(detours.clone(), patience));
        let finder = Finder { reach, start: start.clone(), resolvers: resolvers.clone() };
        let observed = observe::observe(zone, &finder, &servers).await;
        let section = checks::delegation(&observed);
        // A zone can take a while: each is told when it is done.
        if invocation.format() == Format::Text {
            output::print(&print::text(&section))?;
        }
        sections.push(section);
    }
    if invocation.format() == Format::Json {
        output::print(&output::pretty(&print::object(&sections))?)?;
    }
    Ok(if finding::all_well(&sections) { Exit::Ok } else { Exit::Failed })
}

fn names(given: &[String]) -> Result<Vec<Name>, String> {
    given.iter().map(|text| parse_name(text).map(|name| ours(&name))).collect()
}
