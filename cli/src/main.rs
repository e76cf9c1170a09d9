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
    let exit = runtime.block_on(commands::run(invocation, command));
    // A look-up by the machine's resolver cannot be called off; nobody waits for it here.
    runtime.shutdown_background();
    exit
}
