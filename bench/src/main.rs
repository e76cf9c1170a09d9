//! Name servers side by side on this machine's loopback. `make bench`, `make bench-short`.
#![expect(clippy::disallowed_methods, reason = "IO shell")]

use std::net::{Ipv4Addr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bench::cores::Cores;
use bench::machine::Machine;
use bench::rounds::{Plan, run};
use bench::scene::{SCENES, SHORT, Scene};
use bench::{echo, report, results};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Sub>,
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

#[derive(Subcommand)]
enum Sub {
    /// The limit of UDP sockets: sends back on 127.0.0.1 whatever comes, as replies.
    Echo {
        /// The port.
        port: u16,
    },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Sub::Echo { port }) = arguments.command {
        return Ok(echo::serve(&UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?)?);
    }
    let plan = Plan { rounds: arguments.rounds, time: Duration::from_secs(arguments.seconds) };
    let machine = Machine::look();
    let cores = Cores::find()?;
    println!("{machine}\n");
    if cfg!(debug_assertions) {
        eprintln!("built without optimisation: these figures are not dnsrouter's\n");
    }
    let mut outcomes = Vec::new();
    for scene in chosen(&arguments)? {
        let outcome = run(scene, plan, cores).with_context(|| format!("scene {}", scene.name))?;
        println!("\n{}", report::scene(&outcome, plan));
        outcomes.push(outcome);
    }
    println!("{}", report::goals(&outcomes));
    if let Some(file) = &arguments.results {
        let text = results::text(&outcomes, plan, &machine, "make bench");
        results::write(file, &text).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

fn chosen(arguments: &Arguments) -> Result<Vec<Scene>> {
    let Arguments { short, scenes: names, .. } = arguments;
    if let Some(name) = names.iter().find(|name| SCENES.iter().all(|it| it.name != **name)) {
        bail!("no scene {name:?}: there are {}", SCENES.map(|scene| scene.name).join(", "));
    }
    let named = |scene: &Scene| names.is_empty() || names.iter().any(|name| name == scene.name);
    Ok(if *short { vec![SHORT] } else { SCENES.into_iter().filter(named).collect() })
}
