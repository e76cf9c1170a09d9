//! `geoip drain` and `geoip undrain`: clients go elsewhere, little by little, and come back.

use std::time::{Duration, SystemTime};

use proto::dnsrouter::v1 as wire;

use super::overrides::{Change, ChangeFlags, change};
use crate::args::Invocation;
use crate::exit::Exit;
use crate::times::{parse_span, parse_time, unix_ms};

const EXAMPLES: &str = "\
Examples:
  geoip drain europe-west3                        at once, until it is lifted
  geoip drain europe-west3 --over 10m --why \"new disks\"
  geoip drain europe-west3 --at 2026-12-01T14:00Z --over 30m --for 2h
  geoip drain geo.test-net.io/europe-west3        of one service only
  geoip undrain europe-west3

While a drain is on its way the share of clients that go elsewhere rises evenly, and nobody who has
gone comes back. When nothing else is left of a service the drained region is used all the same.

Exit codes: 0 success, 1 refused, 2 usage error, 3 a name server cannot be reached.";

/// Have clients go elsewhere, all at once or little by little
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// REGION, SERVICE, SERVICE/REGION or SERVICE/REGION/ADDRESS
    subject: String,
    /// How long until all have gone [default: at once]
    #[arg(long, value_name = "DURATION", value_parser = parse_span)]
    over: Option<Duration>,
    /// When it begins, in UTC, as 2026-12-01T14:00Z; TTLs fall before [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<SystemTime>,
    /// How long it lasts from its beginning [default: until it is lifted]
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_span)]
    lasts: Option<Duration>,
    /// The reason, for whoever looks
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    why: String,
    #[command(flatten)]
    change: ChangeFlags,
}

/// End a drain
#[derive(Debug, clap::Args)]
pub(crate) struct UndrainArgs {
    /// As it was drained: REGION, SERVICE, SERVICE/REGION or SERVICE/REGION/ADDRESS
    subject: String,
    #[command(flatten)]
    change: ChangeFlags,
}

pub(crate) async fn run(invocation: &Invocation, args: Args) -> anyhow::Result<Exit> {
    let request = wire::DrainRequest {
        subject: args.subject,
        from_unix_ms: args.at.map_or(0, unix_ms),
        over_ms: args.over.map_or(0, whole_ms),
        for_ms: args.lasts.map_or(0, whole_ms),
        why: args.why,
        force_last: args.change.yes,
        check_only: false,
    };
    change(invocation, Change::Said, args.change, move |mut control, check_only| {
        let request = wire::DrainRequest { check_only, ..request.clone() };
        async move { control.drain(request).await }
    })
    .await
}

pub(crate) async fn run_undrain(
    invocation: &Invocation,
    args: UndrainArgs,
) -> anyhow::Result<Exit> {
    lift(invocation, args.subject, true, args.change).await
}

/// Ends a drain or a force.
pub(super) async fn lift(
    invocation: &Invocation,
    subject: String,
    drain: bool,
    flags: ChangeFlags,
) -> anyhow::Result<Exit> {
    change(invocation, Change::Lifted, flags, move |mut control, check_only| {
        let request = wire::LiftRequest { subject: subject.clone(), drain, check_only };
        async move { control.lift(request).await }
    })
    .await
}

pub(super) fn whole_ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
