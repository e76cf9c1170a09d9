//! The command line.

use std::path::PathBuf;

use clap::Parser;
use geoping::io::program::Origin;

/// Answers which region this is and how it is: GeoPing, beside a service.
///
/// SIGTERM drains and leaves; SIGUSR1 drains and stays, SIGUSR2 takes that back; SIGHUP reloads.
/// Exit status: 0 left in order, 64 the configuration is wrong, 70 a part failed too often,
/// 1 anything else.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// The configuration, geoping.toml.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,

    /// Load everything the configuration names, say whether it is right, and stop.
    #[arg(long)]
    pub(crate) check: bool,

    /// Lay a value over the file: --set listen.grpc=127.0.0.1:0. May be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,

    /// When ready, write the bound addresses there as JSON.
    #[arg(long, value_name = "PATH")]
    pub(crate) ready_file: Option<PathBuf>,

    /// Leave when the process that started this one ends; for tests and trials.
    #[arg(long, hide = true)]
    pub(crate) die_with_parent: bool,
}

impl Args {
    /// Where the configuration comes from.
    pub(crate) fn origin(&self) -> Origin {
        Origin { file: self.config.clone(), flags: self.set.clone() }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, such as node.capacity=5000".to_owned()),
    }
}
