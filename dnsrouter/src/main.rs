//! The authoritative name server. This file is a table of contents; see the library.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use dnsrouter::io::run;

/// An authoritative DNS server that answers with near, healthy, weighted regions.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Load everything, say what was found, and stop
    #[arg(long)]
    check: bool,
    /// Set one key over the file and the environment, e.g. listen.dns='["127.0.0.1:5300"]'
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// When serving, write the bound addresses to this file as JSON
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// End when the process that started this one ends
    #[arg(long, hide = true)]
    die_with_parent: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.die_with_parent
        && let Err(error) = daemon::ready::die_with_parent()
    {
        eprintln!("dnsrouter: cannot follow the parent process: {error}");
    }
    if arguments.check {
        return run::check(&arguments.config, &arguments.set);
    }
    run::serve(arguments.config, arguments.set, arguments.ready_file)
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
