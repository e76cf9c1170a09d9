//! `geoping`: arguments, configuration, telemetry, files, ports, tasks, and the way out.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use daemon::config::exit_invalid;
use daemon::supervise::EXIT_EXHAUSTED;
use daemon::telemetry::{self, PrometheusHandle};
use geoping::io::program::{Bound, Origin, Prepared};

use crate::args::Args;

mod args;

/// The system refused something, a port for example (EX_OSERR of sysexits.h).
const EXIT_SYSTEM: u8 = 71;

fn main() -> ExitCode {
    serve(&Args::parse()).unwrap_or_else(|error| {
        eprintln!("geoping: {error:#}");
        ExitCode::from(EXIT_SYSTEM)
    })
}

fn serve(args: &Args) -> anyhow::Result<ExitCode> {
    if args.die_with_parent {
        daemon::ready::die_with_parent().context("--die-with-parent")?;
    }
    let origin = args.origin();
    let config = match origin.config() {
        Ok(config) => config,
        Err(wrong) => return Ok(exit_invalid(&wrong)),
    };
    let metrics = telemetry::init(&config.log)?;
    let prepared = match Prepared::load(config) {
        Ok(prepared) => prepared,
        Err(wrong) => return Ok(exit_invalid(&wrong)),
    };
    if args.check {
        println!("{}: no mistakes", args.config.display());
        return Ok(ExitCode::SUCCESS);
    }
    let bound = prepared.bind()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(bound, origin, metrics, args))
}

async fn run(
    bound: Bound,
    origin: Origin,
    metrics: PrometheusHandle,
    args: &Args,
) -> anyhow::Result<ExitCode> {
    let stop = daemon::shutdown::on_signals().context("cannot handle signals")?;
    let addresses = bound.addresses()?;
    let running = bound.start(origin, metrics, stop)?;
    let admin = addresses.admin.map(tracing::field::display);
    tracing::info!(grpc = %addresses.grpc, admin, "ready");
    daemon::ready::announce(args.ready_file.as_deref(), &addresses)?;
    let ended = running.wait().await;
    daemon::ready::withdraw(args.ready_file.as_deref());
    let Err(exhausted) = ended else { return Ok(ExitCode::SUCCESS) };
    tracing::error!("{exhausted}");
    Ok(ExitCode::from(EXIT_EXHAUSTED))
}
