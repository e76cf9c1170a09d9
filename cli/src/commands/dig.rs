//! `geoip dig`: one DNS question, the whole answer.

mod object;
mod options;
mod plus;
mod print;
mod request;

use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use anyhow::Context as _;
use hickory_proto::op::ResponseCode;

use crate::args::Invocation;
use crate::dns::Question;
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
  geoip dig geo.test-net.io --why                        and which region was chosen, and why
  geoip dig @192.0.2.53 version.bind TXT CH --nsid       who answers there

Understood after a plus, as dig does: +[no]short +[no]tcp +[no]ignore +[no]recurse +[no]ad +[no]cd
+[no]dnssec +nsid +[no]cookie[=HEX] +keepalive +[no]edns[=N] +ednsopt=CODE[:HEX] +subnet=PREFIX
+bufsize=N +time=SECONDS +tries=N +why. Without @SERVER and --dns, the context's name servers are
asked, else those of /etc/resolv.conf.

Exit codes: 0 an answer came, whatever it says, 1 none came, 2 usage error.";

/// Ask a name server one question and show the whole answer
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The question in dig's words, in any order
    #[arg(
        help = "[@SERVER[:PORT]] NAME [TYPE] [CLASS] [+OPTION]…, in any order",
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
    /// Class: IN, CH, HS, …
    #[arg(short, long, value_name = "CLASS")]
    class: Option<String>,
    /// Ask for the name of an address
    #[arg(short = 'x', value_name = "ADDR")]
    reverse: Option<IpAddr>,
    /// Client subnet to send (RFC 7871), as +subnet=
    #[arg(long, value_name = "PREFIX")]
    subnet: Option<String>,
    /// Ask over TCP at once
    #[arg(long)]
    tcp: bool,
    /// Ask a dnsrouter for the reason of its answer, and show it
    #[arg(long)]
    why: bool,
    /// Ask which server answers (RFC 5001)
    #[arg(long)]
    nsid: bool,
    /// Send a cookie, a fresh one or this (RFC 7873)
    #[arg(long, value_name = "HEX", num_args = 0..=1, require_equals = true)]
    cookie: Option<Option<String>>,
    /// Ask how long the connection may idle, with --tcp (RFC 7828)
    #[arg(long)]
    keepalive: bool,
    /// Want DNSSEC records (RFC 3225)
    #[arg(long = "do")]
    dnssec_ok: bool,
    /// UDP payload size to offer [default: 1232]
    #[arg(long, value_name = "OCTETS",
          value_parser = clap::value_parser!(u16).range(i64::from(plus::MIN_PAYLOAD)..))]
    bufsize: Option<u16>,
    /// Send no EDNS at all
    #[arg(long)]
    no_edns: bool,
    /// EDNS version to claim [default: 0]
    #[arg(long, value_name = "N")]
    edns_version: Option<u8>,
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
    let request = match args.raw().validate(random_cookie()?) {
        Ok(request) => request,
        Err(message) => return usage(message),
    };
    let servers = servers(invocation, &request.server, family).await?;
    let reply = first_reply(&servers, &request).await?;
    output::print(&match invocation.format() {
        Format::Json => output::pretty(&object::object(&reply, request.why))?,
        Format::Text => text(&reply, &request),
    })?;
    Ok(Exit::Ok)
}

impl Args {
    fn raw(self) -> Raw {
        let switches = [
            (self.short, "short"),
            (self.tcp, "tcp"),
            (self.why, "why"),
            (self.nsid, "nsid"),
            (self.keepalive, "keepalive"),
            (self.dnssec_ok, "do"),
            (self.no_edns, "noedns"),
        ];
        Raw {
            words: self.words,
            dns: self.dns,
            port: self.port,
            record_type: self.record_type,
            class: self.class,
            reverse: self.reverse,
            subnet: self.subnet,
            bufsize: self.bufsize,
            edns_version: self.edns_version,
            cookie: self.cookie,
            switches: switches.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect(),
        }
    }
}

fn random_cookie() -> anyhow::Result<[u8; 8]> {
    let mut cookie = [0; 8];
    getrandom::fill(&mut cookie).context("the operating system gave no random number")?;
    Ok(cookie)
}

fn text(reply: &Reply, request: &Request) -> String {
    let mut out = match request.short {
        true => print::short(&reply.message),
        false => {
            let command = format!("@{} {}", reply.server, request::echo(&request.question));
            print::full(&command, reply, SystemTime::now())
        }
    };
    if request.why {
        out.push_str(&print::why(&reply.message));
    }
    out
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
        match ask(server, &request.question, request.patience, request.way).await {
            Ok(reply) => return with_cookie(reply, request).await,
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

/// A server that wants its own cookie gives it along (RFC 7873 §5.3): asks once more with it.
async fn with_cookie(reply: Reply, request: &Request) -> anyhow::Result<Reply> {
    let offer = request.question.edns.as_ref();
    let ours = offer.and_then(|offer| {
        offer.options.iter().position(|(code, _)| *code == plus::COOKIE).map(|at| (at, offer))
    });
    let (Some((at, offer)), ResponseCode::BADCOOKIE) = (ours, reply.message.metadata.response_code)
    else {
        return Ok(reply);
    };
    let Some(cookie) = options::whole_cookie(&reply.message, &offer.options[at].1) else {
        return Ok(reply);
    };
    let mut offer = offer.clone();
    offer.options[at].1 = cookie;
    let question = Question { edns: Some(offer), ..request.question.clone() };
    Ok(ask(reply.server, &question, request.patience, request.way).await?)
}
