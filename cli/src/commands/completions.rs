//! `geoip completions SHELL`

use clap::CommandFactory;
use clap_complete::Shell;

use crate::exit::Exit;
use crate::output;

/// Print a completion script for a shell
///
/// For example: geoip completions bash > ~/.local/share/bash-completion/completions/geoip
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell to complete in
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    let mut command = crate::args::Args::command();
    clap_complete::generate(args.shell, &mut command, "geoip", &mut script);
    output::print(&String::from_utf8(script)?)?;
    Ok(Exit::Ok)
}
