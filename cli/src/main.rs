//! `geoip`: the one command line over GeoPing, dnsrouter and their certificates.
//!
//! | to find | look into |
//! |---|---|
//! | a command: its arguments, what it does, what it prints | `commands/` |
//! | flags that all commands share | `args` |
//! | the DNS client | `dns` |
//! | other products' configurations | `import` |
//! | mutual TLS with the context's credentials | `rpc`, `contexts` |
//! | asking every name server at once | `servers` |
//! | exit codes, and how errors are worded | `exit` |
//!
//! ```text
//!  words ──clap──▶ Args ──validate──▶ plan ──run──▶ network ──▶ text | JSON (pure) ──▶ stdout
//!                    │                                └─ one line of cause ──▶ stderr, exit 1
//!                    └─ usage error ──▶ stderr, exit 2
//! ```
#![allow(clippy::disallowed_methods, reason = "the command line is all shell")]

mod args;
mod commands;
mod contexts;
mod dns;
mod endpoint;
mod exit;
mod import;
mod output;
mod rpc;
mod servers;
mod surroundings;
mod times;
mod whole_file;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command, Invocation};
use commands::{
    completions, context, dev, dig, doctor, drain, explain, force, overrides, ping, pki, status,
    zone,
};
use exit::Exit;
use surroundings::Surroundings;

fn main() -> ExitCode {
    let Args { global, command } = Args::parse();
    let surroundings = match Surroundings::read() {
        Ok(surroundings) => surroundings,
        Err(error) => return exit::report(&error, false),
    };
    let invocation = Invocation { global, surroundings };
    match run(&invocation, command) {
        Ok(exit) => exit.into(),
        Err(error) => exit::report(&error, invocation.in_dev()),
    }
}

fn run(invocation: &Invocation, command: Command) -> anyhow::Result<Exit> {
    // One thread: children of `dev up` are bound to the thread that started them, and it must
    // live as long as the process.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit = match command {
        Command::Ping(args) => runtime.block_on(ping::run(invocation, args)),
        Command::Dig(args) => runtime.block_on(dig::run(invocation, args)),
        Command::Explain(args) => runtime.block_on(explain::run(invocation, args)),
        Command::Status(args) => runtime.block_on(status::run(invocation, args)),
        Command::Drain(args) => runtime.block_on(drain::run(invocation, args)),
        Command::Undrain(args) => runtime.block_on(drain::run_undrain(invocation, args)),
        Command::Force(args) => runtime.block_on(force::run(invocation, args)),
        Command::Unforce(args) => runtime.block_on(force::run_unforce(invocation, args)),
        Command::Overrides(args) => runtime.block_on(overrides::run(invocation, args)),
        Command::Context(args) => context::run(invocation, args),
        Command::Pki(args) => pki::run(invocation, args),
        Command::Zone(args) => zone::run(invocation, args),
        Command::Import(args) => commands::import::run(invocation, args),
        Command::Doctor(args) => runtime.block_on(doctor::run(invocation, args)),
        Command::Dev(args) => runtime.block_on(dev::run(invocation, args)),
        Command::Completions(args) => completions::run(&args),
    };
    // A look-up by the machine's resolver cannot be called off; nobody waits for it here.
    runtime.shutdown_background();
    exit
}
