//! Name servers side by side on this machine's loopback, and GeoPing. `make bench`, `make bench-short`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Error, Result};
use bench::choice::Choice;
use bench::cores::Cores;
use bench::machine::{self, Machine};
use bench::rounds::{Plan, run};
use bench::yardstick::Yardstick;
use bench::{report, results};
use clap::Parser;

#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Yardstick>,
    /// dnsrouter, gdnsd and Knot on the geo mix alone: under three minutes, nothing is written.
    #[arg(long)]
    short: bool,
    /// These scenes alone.
    #[arg(long = "scene", value_name = "NAME")]
    scenes: Vec<String>,
    /// How often each server's turn comes.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How long a turn is, in seconds.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Where results are written to.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(command) = &arguments.command {
        return command.serve();
    }
    let plan = Plan { rounds: arguments.rounds, time: Duration::from_secs(arguments.seconds) };
    let machine = Machine::look();
    let cores = Cores::find()?;
    println!("{machine}\n");
    if cfg!(debug_assertions) {
        eprintln!("built without optimisation: these figures are not dnsrouter's\n");
    }
    let choice = Choice::of(&arguments.scenes, arguments.short).map_err(Error::msg)?;
    let mut outcomes = Vec::new();
    machine::allow_descriptors()?;
    for scene in choice.dns {
        let outcome = run(scene, plan, cores).with_context(|| format!("scene {}", scene.name))?;
        println!("\n{}", report::scene(&outcome, plan));
        outcomes.push(outcome);
    }
    println!("{}", report::goals(&outcomes));
    let mut sections = Vec::new();
    for scene in choice.status {
        sections.push(scene.measure(plan, cores).with_context(|| scene.name())?);
        sections.last().inspect(|section| println!("{section}"));
    }
    if let Some(file) = &arguments.results {
        let text = results::text(&outcomes, &sections, plan, &machine, "make bench");
        results::write(file, &text).with_context(|| file.display().to_string())?;
    }
    Ok(())
}
