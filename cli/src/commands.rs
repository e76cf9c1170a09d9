//! One file per command: its arguments, their validation, what it does.

pub(crate) mod clients;
pub(crate) mod completions;
pub(crate) mod context;
pub(crate) mod dev;
pub(crate) mod dig;
pub(crate) mod doctor;
pub(crate) mod drain;
pub(crate) mod explain;
pub(crate) mod force;
pub(crate) mod import;
pub(crate) mod overrides;
pub(crate) mod ping;
pub(crate) mod pki;
pub(crate) mod plan;
pub(crate) mod status;
pub(crate) mod zone;

use crate::args::{Command, Invocation};
use crate::exit::Exit;

/// Carries out a command.
///
/// # Errors
///
/// What the command says; see [`crate::exit`].
pub(crate) async fn run(invocation: &Invocation, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Ping(args) => ping::run(invocation, args).await,
        Command::Dig(args) => dig::run(invocation, args).await,
        Command::Explain(args) => explain::run(invocation, args).await,
        Command::Plan(args) => plan::run(invocation, args).await,
        Command::Status(args) => status::run(invocation, args).await,
        Command::Drain(args) => drain::run(invocation, args).await,
        Command::Undrain(args) => drain::run_undrain(invocation, args).await,
        Command::Force(args) => force::run(invocation, args).await,
        Command::Unforce(args) => force::run_unforce(invocation, args).await,
        Command::Overrides(args) => overrides::run(invocation, args).await,
        Command::Clients(args) => clients::run(invocation, args).await,
        Command::Context(args) => context::run(invocation, args),
        Command::Pki(args) => pki::run(invocation, args),
        Command::Zone(args) => zone::run(invocation, args),
        Command::Import(args) => import::run(invocation, args),
        Command::Doctor(args) => doctor::run(invocation, args).await,
        Command::Dev(args) => dev::run(invocation, args).await,
        Command::Completions(args) => completions::run(&args),
    }
}
