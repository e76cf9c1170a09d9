//! `geoip dig`: one DNS question, the whole answer.

mod print;
mod request;

use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use anyhow::Context as _;

use crate::args::Invocation;
use crate::dns::exchange::{Reply, ask};
use crate::dns::lookup::{Family, Resolver, WITHIN};
use crate::dns::resolv_conf;
use crate::exit::{Exit, usage};
use crate::output::{self, Format};
use request::{Raw, Request, Server};

const EXAMPLES: &str = "\
Examples:
  geoip dig geo.test-net.io                              ask the context's name server
  geoip dig @127.0.0.21:5300 geo.test-net.io AAAA
  geoip dig geo.test-net.io +subnet=128.135.0.0/24       as a client in Chicago would be answered
  geoip dig @192.0.2.53 -p 5300 test-net.io SOA +tcp +norecurse
  geoip dig -x 192.0.2.1 --short

Understood after a plus: +subnet=PREFIX +[no]short +[no]tcp +[no]recurse +[no]dnssec +bufsize=N
+time=SECONDS +tries=N. Without @SERVER and --dns, the context's name servers are asked, else
those of /etc/resolv.conf.";

/// Ask a name server one question and show the whole answer
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The question in dig's words, in any order
    #[arg(
        help = "[@SERVER[:PORT]] NAME [TYPE] [+OPTION]…, in any order",
        value_name = "WORD",
        required_unless_present = "reverse"
    )]
    words: Vec<String>,
    /// Name server to ask, as @SERVER
    #[arg(long, value_name = "ADDR:PORT")]
    dns: Option<SocketAddr>,
    /// Port of the name server
    #[arg(short, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Record type
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    record_type: Option<String>,
    /// Ask for the name of an address
    #[arg(short = 'x', value_name = "ADDR")]
    reverse: Option<IpAddr>,
    /// Client subnet to send (RFC 7871), as +subnet=
    #[arg(long, value_name = "PREFIX")]
    subnet: Option<String>,
    /// Ask over TCP at once
    #[arg(long)]
    tcp: bool,
    /// Print the data of the answer only
    #[arg(long)]
    short: bool,
    /// Reach the server over IPv4 only
    #[arg(short = '4', conflicts_with = "v6")]
    v4: bool,
    /// Reach the server over IPv6 only
    #[arg(short = '6')]
    v6: bool,
}

pub(crate) async fn run(invocation: &Invocation, args: Args) -> anyhow::Result<Exit> {
    let family = match (args.v4, args.v6) {
        (true, _) => Family::V4,
        (_, true) => Family::V6,
        _ => Family::Any,
    };
    let raw = Raw {
        words: args.words,
        dns: args.dns,
        port: args.port,
        record_type: args.record_type,
        reverse: args.reverse,
        subnet: args.subnet,
        tcp: args.tcp,
        short: args.short,
    };
    let request = match raw.validate() {
        Ok(request) => request,
        Err(message) => return usage(message),
    };
    let servers = servers(invocation, &request.server, family).await?;
    let reply = first_reply(&servers, &request).await?;
    output::print(&match (invocation.format(), request.short) {
        (Format::Json, _) => output::pretty(&print::object(&reply))?,
        (Format::Text, true) => print::short(&reply.message),
        (Format::Text, false) => {
            let command = format!("@{} {}", reply.server, request::echo(&request.question));
            print::full(&command, &reply, SystemTime::now())
        }
    })?;
    Ok(Exit::Ok)
}

/// The servers to ask in turn, at least one.
async fn servers(
    invocation: &Invocation,
    server: &Server,
    family: Family,
) -> anyhow::Result<Vec<SocketAddr>> {
    let mut servers = match server {
        Server::Address(address) => vec![*address],
        Server::Host { host, port } => {
            let found = Resolver::System.addresses(host, family, WITHIN).await;
            let found = found.with_context(|| format!("name server {host}"))?;
            found.into_iter().map(|address| SocketAddr::new(address, *port)).collect()
        }
        Server::Default { port } => {
            let mut servers = invocation.context()?.dns;
            if servers.is_empty() {
                servers = resolv_conf::system();
            }
            if let Some(port) = port {
                servers.iter_mut().for_each(|server| server.set_port(*port));
            }
            servers
        }
    };
    servers.retain(|server| family.admits(server.ip()));
    match servers.is_empty() {
        true => usage("no name server of that address family: leave -4 and -6 out"),
        false => Ok(servers),
    }
}

/// Any answer ends the search, whatever it says; the error is that of the last server.
async fn first_reply(servers: &[SocketAddr], request: &Request) -> anyhow::Result<Reply> {
    let mut last = anyhow::anyhow!("no name server to ask");
    for &server in servers {
        match ask(server, &request.question, request.patience, request.tcp).await {
            Ok(reply) => return Ok(reply),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}
