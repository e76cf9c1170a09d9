//! The command line as typed. Each command's own arguments stand beside the command; here is
//! what is common to all. Validation happens once, in the commands, on the way from these raw
//! forms to what is then used.

use clap::{Parser, Subcommand};

use crate::commands::{
    clients, completions, context, dev, dig, doctor, drain, explain, force, import, overrides,
    ping, pki, plan, status, zone,
};
use crate::contexts::{Context, Contexts, DEV};
use crate::output::Format;
use crate::surroundings::Surroundings;

const EXAMPLES: &str = "\
Examples:
  geoip dev up                                   a whole system on this machine
  geoip ping -u geo.test-net.io:8443             which region answers, and how it is
  geoip ping -u geo.test-net.io:8443 -c 5        five times, with statistics
  geoip dig geo.test-net.io --subnet 128.135.0.0/24
  geoip explain --client 128.135.0.1 geo.test-net.io
  geoip plan --without europe-west3              who would move, before anything is applied
  geoip status                                   what the name servers see, and alarms
  geoip drain europe-west3 --over 10m            clients go elsewhere, little by little
  geoip clients                                  whose clients were answered how often
  geoip zone check test-net.io.zone              mistakes before a name server sees them
  geoip import gdnsd /etc/gdnsd --out imported   from another product, with what differs
  geoip doctor test-net.io                       whether the world finds the zone

Exit codes: 0 success, 1 failure or alarm, 2 usage error, 3 a name server is unreachable (status),
4 imported, and something was left out or changed (import).";

/// Ping, look into and run a geo-DNS and mTLS system.
///
/// Servers and credentials come from flags or from the current context (see `geoip context`);
/// `geoip dev up` writes a context of its own, so that nothing needs flags after it.
#[derive(Debug, Parser)]
#[command(name = "geoip", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes, before or after its name.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Use this context instead of the current one
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Output for people or for programs
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) output: Option<Format>,
    /// The same as --output json
    #[arg(long, global = true, conflicts_with = "output")]
    pub(crate) json: bool,
    /// Say more
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Ping(ping::Args),
    Dig(dig::Args),
    Explain(explain::Args),
    Plan(plan::Args),
    Status(status::Args),
    Drain(drain::Args),
    Undrain(drain::UndrainArgs),
    Force(force::Args),
    Unforce(force::UnforceArgs),
    Overrides(overrides::Args),
    Clients(clients::Args),
    Context(context::Args),
    Pki(pki::Args),
    Zone(zone::Args),
    Import(import::Args),
    Doctor(doctor::Args),
    Dev(dev::Args),
    Completions(completions::Args),
}

/// What every command is given beside its own arguments.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    pub(crate) global: Global,
    pub(crate) surroundings: Surroundings,
}

impl Invocation {
    /// The output format, text unless told otherwise.
    pub(crate) fn format(&self) -> Format {
        match self.global.json {
            true => Format::Json,
            false => self.global.output.unwrap_or_default(),
        }
    }

    /// Whether the chosen context is that of `geoip dev up`; not when that cannot be known.
    pub(crate) fn in_dev(&self) -> bool {
        let contexts = Contexts::load(&self.surroundings.contexts);
        let current = contexts.ok().and_then(|contexts| contexts.current);
        self.global.context.as_ref().or(current.as_ref()).is_some_and(|name| name == DEV)
    }

    /// The chosen context; an empty one if there is none.
    ///
    /// # Errors
    /// When the file cannot be read or `--context` names none of it.
    pub(crate) fn context(&self) -> anyhow::Result<Context> {
        let contexts = Contexts::load(&self.surroundings.contexts)?;
        match contexts.choose(self.global.context.as_deref()) {
            Ok(context) => Ok(context),
            Err(unknown) => crate::exit::usage(unknown.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Args::command().debug_assert();
    }
}
