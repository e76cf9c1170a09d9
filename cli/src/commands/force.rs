//! `geoip force` and `geoip unforce`: up or down, whatever is measured.

use std::time::Duration;

use clap::ValueEnum;
use proto::dnsrouter::v1 as wire;

use super::drain::{lift, whole_ms};
use super::overrides::{Change, ChangeFlags, change};
use crate::args::Invocation;
use crate::exit::Exit;
use crate::times::parse_span;

const EXAMPLES: &str = "\
Examples:
  geoip force down europe-west3 --for 1h --why \"bad release\"
  geoip force up geo.test-net.io/us-central1/203.0.113.10 --why \"only the checker is broken\"
  geoip unforce europe-west3

The narrowest subject counts: an endpoint before its service, a service before its region, all of them
before what is measured.

Exit codes: 0 success, 1 refused, 2 usage error, 3 a name server cannot be reached.";

/// Have something count as up or down, whatever is measured
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What it counts as
    state: Forced,
    /// REGION, SERVICE, SERVICE/REGION or SERVICE/REGION/ADDRESS
    subject: String,
    /// How long [default: until it is lifted]
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_span)]
    lasts: Option<Duration>,
    /// The reason, for whoever looks
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    why: String,
    #[command(flatten)]
    change: ChangeFlags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Forced {
    Up,
    Down,
}

/// End a force: what is measured counts again
#[derive(Debug, clap::Args)]
pub(crate) struct UnforceArgs {
    /// As it was forced: REGION, SERVICE, SERVICE/REGION or SERVICE/REGION/ADDRESS
    subject: String,
    #[command(flatten)]
    change: ChangeFlags,
}

pub(crate) async fn run(invocation: &Invocation, args: Args) -> anyhow::Result<Exit> {
    let request = wire::ForceRequest {
        subject: args.subject,
        up: args.state == Forced::Up,
        for_ms: args.lasts.map_or(0, whole_ms),
        why: args.why,
        force_last: args.change.yes,
        check_only: false,
    };
    change(invocation, Change::Said, args.change, move |mut control, check_only| {
        let request = wire::ForceRequest { check_only, ..request.clone() };
        async move { control.force(request).await }
    })
    .await
}

pub(crate) async fn run_unforce(
    invocation: &Invocation,
    args: UnforceArgs,
) -> anyhow::Result<Exit> {
    lift(invocation, args.subject, false, args.change).await
}
