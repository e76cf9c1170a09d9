//! `geoip ping`: which region answers, and how it is.

mod statistics;
pub(crate) mod text;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::tls::{Caller, Expect};
use ipnet::IpNet;
use pki::Program;
use proto::geoping::v1::RegionRequest;
use proto::geoping::v1::geo_ping_client::GeoPingClient;
use tokio::time::{MissedTickBehavior, timeout};
use tonic::transport::Channel;

use crate::args::Invocation;
use crate::contexts::Context;
use crate::dns::lookup::{Family, Resolver};
use crate::dns::parse_subnet;
use crate::endpoint::HostPort;
use crate::exit::{Exit, usage};
use crate::output::{self, Format};
use crate::rpc::{self, CredentialFlags, NoAnswer, Phase};
use statistics::Statistics;
use text::Answer;

/// Shortest interval: a hundred pings per second show what there is to see, and harm nobody.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// Longest waits that make sense on a command line.
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// Connections kept open from ping to ping. With more addresses than this they are made anew.
const MAX_CHANNELS: usize = 32;

const EXAMPLES: &str = "\
Examples:
  geoip ping -u geo.test-net.io:8443                      one answer, as JSON
  geoip ping -u geo.test-net.io:8443 -c 10 -i 200ms       a line per reply, then statistics
  geoip ping -u geo.test-net.io:8443 -c 3 --dns 127.0.0.21:5300 --subnet 141.2.0.0/16
  geoip ping -u 127.0.0.11:8443 --cert me.crt --key me.key --ca ca.crt -v

With --dns (or name servers in the context) the name is resolved anew for each ping; `--dns
system` uses the machine's resolver. Exit code 1: nothing answered.";

/// Ask a GeoPing which region it is in and how it is
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to ping
    #[arg(short = 'u', long, value_name = "HOST:PORT")]
    url: HostPort,
    /// Stop after this many pings; a line for each
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Time from one ping to the next: 0.5, 200ms, 2s [default: 1s with -c]
    #[arg(short, long, value_name = "INTERVAL", value_parser = parse_interval)]
    interval: Option<Duration>,
    /// How long to wait for the name's addresses, and for each address's answer
    #[arg(short = 'W', long, value_name = "TIMEOUT", default_value = "5s", value_parser = parse_wait)]
    timeout: Duration,
    /// Only the statistics at the end
    #[arg(short, long)]
    quiet: bool,
    /// Resolve the name by this DNS server, or by `system`; may be repeated
    #[arg(long, value_name = "ADDR:PORT")]
    dns: Vec<String>,
    /// Client subnet to send with the DNS question
    #[arg(long, value_name = "PREFIX", value_parser = parse_subnet)]
    subnet: Option<IpNet>,
    /// IPv4 only
    #[arg(short = '4', conflicts_with = "v6")]
    v4: bool,
    /// IPv6 only
    #[arg(short = '6')]
    v6: bool,
    #[command(flatten)]
    credentials: CredentialFlags,
}

/// Bare numbers are seconds, as ping(8) has them.
pub(crate) fn parse_wait(text: &str) -> Result<Duration, String> {
    let parsed = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    match parsed {
        Some(wait) if wait > Duration::ZERO && wait <= MAX_WAIT => Ok(wait),
        _ => Err("expected a time up to an hour, such as 0.5, 200ms or 2s".to_owned()),
    }
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    match parse_wait(text)? {
        short if short < MIN_INTERVAL => Err("at least 10ms".to_owned()),
        interval => Ok(interval),
    }
}

/// Validated: what to ping, through whom, how often.
struct Plan {
    target: HostPort,
    resolver: Resolver,
    family: Family,
    patience: Duration,
    /// `None`: one ping, printed as an object.
    series: Option<Series>,
    verbose: bool,
}

struct Series {
    count: Option<u64>,
    interval: Duration,
    quiet: bool,
    format: Format,
}

impl Args {
    fn validate(self, invocation: &Invocation, context: &Context) -> anyhow::Result<Plan> {
        let resolver = resolver(&self.dns, self.subnet, context)?;
        let series = (self.count.is_some() || self.interval.is_some()).then(|| Series {
            count: self.count,
            interval: self.interval.unwrap_or(Duration::from_secs(1)),
            quiet: self.quiet,
            format: invocation.format(),
        });
        if self.quiet && series.is_none() {
            return usage("-q leaves nothing to print of a single ping: add -c COUNT");
        }
        let family = match (self.v4, self.v6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        };
        Ok(Plan {
            target: self.url,
            resolver,
            family,
            patience: self.timeout,
            series,
            verbose: invocation.global.verbose,
        })
    }
}

fn resolver(
    flags: &[String],
    subnet: Option<IpNet>,
    context: &Context,
) -> anyhow::Result<Resolver> {
    let servers = match flags {
        [] => context.dns.clone(),
        [only] if only == "system" => Vec::new(),
        flags => {
            let mut servers = Vec::new();
            for flag in flags {
                match flag.parse::<SocketAddr>() {
                    Ok(server) => servers.push(server),
                    Err(_) => return usage(format!("--dns {flag}: expected ADDR:PORT or system")),
                }
            }
            servers
        }
    };
    match (servers.is_empty(), subnet) {
        (true, Some(_)) => usage("--subnet needs a DNS server to be sent to: add --dns ADDR:PORT"),
        (true, None) => Ok(Resolver::System),
        (false, subnet) => Ok(Resolver::Servers { servers, subnet }),
    }
}

pub(crate) async fn run(invocation: &Invocation, args: Args) -> anyhow::Result<Exit> {
    let context = invocation.context()?;
    let credentials = args.credentials.clone().resolve(&context)?;
    let plan = args.validate(invocation, &context)?;
    let mut pinger = Pinger::new(credentials.load()?, plan.patience);
    match &plan.series {
        None => once(&plan, &mut pinger).await,
        Some(series) => repeat(&plan, series, &mut pinger).await,
    }
}

async fn once(plan: &Plan, pinger: &mut Pinger) -> anyhow::Result<Exit> {
    let addresses = resolve(plan).await.map_err(|cause| blame(plan, &cause))?;
    let answer = pinger.ping(&addresses, plan.target.port()).await;
    let answer = answer.map_err(|cause| blame(plan, &cause))?;
    output::print(&output::pretty(&text::status(&answer.reply, plan.verbose))?)?;
    Ok(Exit::Ok)
}

/// An address that was given as one is in the cause already.
fn blame(plan: &Plan, cause: &str) -> anyhow::Error {
    match cause.starts_with(&plan.target.to_string()) {
        true => anyhow::anyhow!("{cause}"),
        false => anyhow::anyhow!("{}: {cause}", plan.target),
    }
}

async fn resolve(plan: &Plan) -> Result<Vec<IpAddr>, String> {
    plan.resolver
        .addresses(plan.target.host(), plan.family, plan.patience)
        .await
        .map_err(|error| error.to_string())
}

async fn repeat(plan: &Plan, series: &Series, pinger: &mut Pinger) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let mut statistics = Statistics::default();
    let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
    let mut ticks = tokio::time::interval(series.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known: Option<Vec<IpAddr>> = None;
    for seq in 1..=series.count.unwrap_or(u64::MAX) {
        tokio::select! {
            biased;
            _ = &mut stop => break,
            _ = ticks.tick() => {}
        }
        let outcome = tokio::select! {
            biased;
            _ = &mut stop => break,
            outcome = one_of_series(plan, pinger, &mut known) => outcome,
        };
        match &outcome {
            Ok(answer) => statistics.answered(answer.rtt, &answer.reply.region),
            Err(_) => statistics.lost(),
        }
        if !series.quiet {
            output::print(&line(seq, &outcome, series.format, plan.verbose)?)?;
        }
    }
    let elapsed = started.elapsed();
    output::print(&match series.format {
        Format::Text => text::summary(&plan.target, &statistics, elapsed),
        Format::Json => output::line(&text::summary_object(&plan.target, &statistics, elapsed))?,
    })?;
    Ok(if statistics.received() > 0 { Exit::Ok } else { Exit::Failed })
}

/// A name that the machine resolves is resolved once, as ping(8) does; a name server that was
/// named is asked each time, since its changing answers are what is looked at.
async fn one_of_series(
    plan: &Plan,
    pinger: &mut Pinger,
    known: &mut Option<Vec<IpAddr>>,
) -> Result<Answer, String> {
    let addresses = match (known.take(), &plan.resolver) {
        (Some(addresses), Resolver::System) => addresses,
        _ => resolve(plan).await?,
    };
    let outcome = pinger.ping(&addresses, plan.target.port()).await;
    *known = Some(addresses);
    outcome
}

fn line(
    seq: u64,
    outcome: &Result<Answer, String>,
    format: Format,
    verbose: bool,
) -> anyhow::Result<String> {
    match (format, outcome) {
        (Format::Text, Ok(answer)) => Ok(text::answer_line(seq, answer, verbose)),
        (Format::Text, Err(cause)) => Ok(text::lost_line(seq, cause)),
        (Format::Json, Ok(answer)) => output::line(&text::answer_object(seq, answer, verbose)),
        (Format::Json, Err(cause)) => output::line(&text::LostObject { seq, error: cause.clone() }),
    }
}

/// Pings addresses over connections that stay open, so that the time shown is that of the
/// question and its answer, not of a handshake.
pub(crate) struct Pinger {
    tls: Arc<Caller>,
    patience: Duration,
    channels: BTreeMap<SocketAddr, Channel>,
}

impl Pinger {
    pub(crate) fn new(tls: Arc<Caller>, patience: Duration) -> Self {
        Self { tls, patience, channels: BTreeMap::new() }
    }

    /// The first answer, asking the addresses in their order.
    ///
    /// # Errors
    /// The causes of all addresses, in one line.
    pub(crate) async fn ping(&mut self, addresses: &[IpAddr], port: u16) -> Result<Answer, String> {
        let mut causes = Vec::new();
        for &ip in addresses {
            let address = SocketAddr::new(ip, port);
            match self.ping_address(address).await {
                Ok(answer) => return Ok(answer),
                Err(cause) => causes.push(format!("{address}: {cause}")),
            }
        }
        Err(causes.join("; "))
    }

    async fn ping_address(&mut self, address: SocketAddr) -> Result<Answer, NoAnswer> {
        // A kept connection may have been closed meanwhile, by its age or a restart: that says
        // nothing about the server, a new one does.
        if let Some(kept) = self.channels.remove(&address)
            && let Ok(answer) = self.call(address, kept).await
        {
            return Ok(answer);
        }
        let expect = Expect::program(Program::Geoping);
        let to = rpc::at(address);
        let made = rpc::connect(&to, &self.tls, &expect, self.patience).await?;
        self.call(address, made).await
    }

    async fn call(&mut self, address: SocketAddr, channel: Channel) -> Result<Answer, NoAnswer> {
        let mut client = GeoPingClient::new(channel.clone());
        let started = Instant::now();
        let asked = timeout(self.patience, client.status(RegionRequest::default())).await;
        let rtt = started.elapsed();
        match asked {
            Err(_elapsed) => Err(NoAnswer::timed_out(self.patience, Some(Phase::Call))),
            Ok(Err(status)) => Err(rpc::cause(&status, self.patience)),
            Ok(Ok(reply)) => {
                if self.channels.len() < MAX_CHANNELS {
                    self.channels.insert(address, channel);
                }
                Ok(Answer { reply: reply.into_inner(), address, rtt })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_have_a_unit() {
        assert_eq!(parse_wait("2"), Ok(Duration::from_secs(2)));
        assert_eq!(parse_wait("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_wait("300ms"), Ok(Duration::from_millis(300)));
        for bad in ["0", "-1", "NaN", "inf", "2h", "soon", ""] {
            assert!(parse_wait(bad).is_err(), "{bad}");
        }
        assert!(parse_interval("0.001").is_err());
        assert_eq!(parse_interval("10ms"), Ok(MIN_INTERVAL));
    }

    #[test]
    fn name_servers_come_from_flags_then_the_context_then_the_machine() {
        let context =
            Context { dns: vec!["127.0.0.21:5300".parse().unwrap()], ..Context::default() };
        let servers = |list: &[&str]| Resolver::Servers {
            servers: list.iter().map(|server| server.parse().unwrap()).collect(),
            subnet: None,
        };
        let flags = ["192.0.2.53:53".to_owned(), "192.0.2.54:53".to_owned()];
        let from_flags = resolver(&flags, None, &context).unwrap();
        assert_eq!(from_flags, servers(&["192.0.2.53:53", "192.0.2.54:53"]));
        assert_eq!(resolver(&[], None, &context).unwrap(), servers(&["127.0.0.21:5300"]));
        let system = ["system".to_owned()];
        assert_eq!(resolver(&system, None, &context).unwrap(), Resolver::System);
        assert_eq!(resolver(&[], None, &Context::default()).unwrap(), Resolver::System);
        let subnet = parse_subnet("192.0.2.0/24").unwrap();
        assert!(resolver(&[], Some(subnet), &Context::default()).is_err());
        assert!(resolver(&["ns1".to_owned()], None, &context).is_err());
    }
}
