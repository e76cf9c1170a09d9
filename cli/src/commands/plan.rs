//! `geoip plan`: who would move, before anything is applied.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use daemon::terminal::acts;
use daemon::tls::{Caller, Expect};
use pki::Program;
use proto::dnsrouter::v1 as wire;
use proto::dnsrouter::v1::control_client::ControlClient;
use proto::dnsrouter::v1::plan_reply::Reply;
use tokio::time::timeout;
use tonic::Code;

use crate::args::Invocation;
use crate::dns::parse_name;
use crate::endpoint::HostPort;
use crate::exit::{Exit, one_line, usage};
use crate::output::{self, Format};
use crate::rpc::{self, CredentialFlags, NoAnswer};

use parts::Parts;

mod object;
mod parts;
mod text;

/// To connect, and to send what is asked.
const PATIENCE: Duration = Duration::from_secs(30);
/// For all of it: a name server gives itself a minute to compute.
const LONG_PATIENCE: Duration = Duration::from_secs(100);

const EXAMPLES: &str = "\
Examples:
  geoip plan --without europe-west3
  geoip plan --without europe-west3,us-east1 --clients clients.txt
  geoip plan --config new.toml                   what another configuration would change
  geoip plan --config new.toml --service geo.test-net.io --output json | jq .total

The file of --clients has lines PREFIX COUNT, as `192.0.2.0/24 1234`; name servers can record it.
Configurations and their zone files are sent to the name server, which reads databases itself.";

/// Show who would move if regions were down or another configuration were served
///
/// A name server computes both, from its present verdicts, drains and prices, with the code that
/// answers. Nothing is applied.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// As if every endpoint of these regions were down
    #[arg(long, value_name = "REGION", value_delimiter = ',', required_unless_present = "config")]
    without: Vec<String>,
    /// As if this configuration were served, in the place of the name server's
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Who asks, as recorded [default: the routed world, each /24 and /48 alike]
    #[arg(long, value_name = "FILE")]
    clients: Option<PathBuf>,
    /// Only these services [default: all]
    #[arg(long = "service", value_name = "NAME", value_delimiter = ',')]
    services: Vec<String>,
    /// How many countries to show of each service, those with the most who move
    #[arg(long, value_name = "N", default_value_t = 10)]
    countries: u32,
    /// Control endpoint of a dnsrouter [default: the context's, the first that answers]
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<HostPort>,
    #[command(flatten)]
    credentials: CredentialFlags,
}

/// What one name server told.
#[derive(Debug, Default)]
struct Plan {
    head: wire::PlanHead,
    services: Vec<wire::PlanService>,
    total: Option<wire::PlanService>,
}

/// Why there is none.
enum Failure {
    /// Another name server may know.
    Server(NoAnswer),
    /// It is the question's fault.
    Question(String),
    /// The mistakes of the configuration that was sent.
    Invalid(String),
}

pub(crate) async fn run(invocation: &Invocation, args: Args) -> anyhow::Result<Exit> {
    let context = invocation.context()?;
    if let Some(Err(message)) =
        args.services.iter().map(|name| parse_name(name)).find(Result::is_err)
    {
        return usage(message);
    }
    let servers = match &args.server {
        Some(server) => vec![server.clone()],
        None => context.servers.clone(),
    };
    if servers.is_empty() {
        return usage("no server to ask: give --server HOST:PORT or choose a context");
    }
    let question = wire::PlanAsk {
        without: args.without.clone(),
        services: args.services.clone(),
        countries: args.countries,
        config_name: args
            .config
            .as_ref()
            .map(|file| file.display().to_string())
            .unwrap_or_default(),
        recorded: args.clients.is_some(),
    };
    let parts = Parts::read(question, args.config.as_deref(), args.clients.as_deref())?;
    let tls = args.credentials.clone().resolve(&context)?.load()?;
    let mut last = anyhow::anyhow!("no server to ask");
    for server in servers {
        let asked = timeout(LONG_PATIENCE, ask(&server, &tls, &parts)).await;
        let asked = asked.unwrap_or_else(|_elapsed| {
            Err(Failure::Server(NoAnswer::timed_out(LONG_PATIENCE, None)))
        });
        match asked {
            Ok(plan) => {
                output::print(&match invocation.format() {
                    Format::Text => text::of(&args, &plan),
                    Format::Json => output::pretty(&object::of(&args, &plan))?,
                })?;
                return Ok(Exit::Ok);
            }
            Err(Failure::Server(cause)) => last = anyhow::anyhow!("{server}: {cause}"),
            Err(Failure::Question(cause)) => return Err(anyhow::anyhow!("{server}: {cause}")),
            Err(Failure::Invalid(report)) => {
                eprint!("{}", report.replace(|c| c != '\n' && acts(c), "\u{fffd}"));
                return Ok(Exit::Failed);
            }
        }
    }
    Err(last)
}

async fn ask(server: &HostPort, tls: &Arc<Caller>, parts: &Parts) -> Result<Plan, Failure> {
    let expect = Expect::program(Program::Dnsrouter);
    let channel = rpc::connect(server, tls, &expect, PATIENCE).await.map_err(Failure::Server)?;
    let mut client = ControlClient::new(channel);
    let failed = |status: &tonic::Status| {
        let cause = rpc::cause(status, PATIENCE);
        match status.code() {
            // It is about what was asked, and the next would say the same.
            Code::InvalidArgument
            | Code::NotFound
            | Code::DeadlineExceeded
            | Code::FailedPrecondition => Failure::Question(one_line(status.message())),
            _ => Failure::Server(cause),
        }
    };
    let sent = tokio_stream::iter(parts.pieces());
    let mut replies = client.plan(sent).await.map_err(|status| failed(&status))?.into_inner();
    let mut plan = Plan::default();
    while let Some(wire::PlanReply { reply }) =
        replies.message().await.map_err(|status| failed(&status))?
    {
        match reply {
            Some(Reply::Head(head)) => plan.head = head,
            Some(Reply::Service(service)) => plan.services.push(service),
            Some(Reply::Total(total)) => plan.total = Some(total),
            Some(Reply::Invalid(report)) => return Err(Failure::Invalid(report)),
            // Of a newer name server, beside what this version knows.
            None => {}
        }
    }
    Ok(plan)
}
