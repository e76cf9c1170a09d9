//! `geoip dev`: a whole system on this machine, and failures at will.

mod child;
mod claim;
mod control;
mod files;
mod fleet;
mod layout;
mod papers;
mod signals;
mod tour;
mod up;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use pki::TrustDomain;

use crate::args::Invocation;
use crate::exit::Exit;
use crate::output::{self, Format};
use control::{MemberState, MemberStatus, Reply, Request};

const EXAMPLES: &str = "\
Examples:
  geoip dev up                                three regions, until ^C
  geoip dev up --region us-east1 --region europe-west1 --port-base 18000
  geoip dev up --once                         show that it works, and end
  geoip dev kill us-central1                  as if the machine lost power; watch the answers move
  geoip dev revive us-central1
  geoip dev status";

/// Run a whole system on this machine: private CA, a GeoPing and a name server per region
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
    /// Where everything is kept [default: $XDG_STATE_HOME/geoip/dev]
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start it, show what it answers, and keep it until ^C
    ///
    /// Writes the context `dev` and makes it the current one while it runs, so that no command needs
    /// flags.
    Up(UpArgs),
    /// Kill the GeoPing of a region, as if its machine lost power
    Kill { region: String },
    /// Start a killed GeoPing again
    Revive { region: String },
    /// Show what runs
    Status,
}

#[derive(Debug, clap::Args)]
pub(crate) struct UpArgs {
    /// A cloud region; may be repeated [default: us-central1, europe-west3, asia-southeast1]
    #[arg(long = "region", value_name = "NAME")]
    regions: Vec<String>,
    /// The installation's name, which is also its zone
    #[arg(long, value_name = "NAME", default_value = "test-net.io")]
    trust_domain: TrustDomain,
    /// Take five ports from this one on instead of 8443, 5300, 7443, 9153 and 9154
    #[arg(long, value_name = "PORT")]
    port_base: Option<u16>,
    /// Where geoping and dnsrouter are [default: beside geoip]
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// End after having shown that it works
    #[arg(long)]
    once: bool,
}

pub(crate) async fn run(invocation: &Invocation, args: Args) -> anyhow::Result<Exit> {
    let dir = args.dir.unwrap_or_else(|| invocation.surroundings.dev.clone());
    let request = match args.action {
        Action::Up(up) => return up::run(invocation, &dir, up).await,
        Action::Kill { region } => Request::Kill { region },
        Action::Revive { region } => Request::Revive { region },
        Action::Status => Request::Status,
    };
    let reply = ask(&dir, &request).await?;
    output::print(&match (invocation.format(), &request) {
        (Format::Json, Request::Status) => output::pretty(&reply.members)?,
        (Format::Json, _) => output::pretty(&reply)?,
        (Format::Text, Request::Status) => table(&reply.members),
        (Format::Text, Request::Kill { .. }) => {
            format!("{}; `geoip status` shows who has noticed\n", reply.message)
        }
        (Format::Text, Request::Revive { .. }) => format!("{}\n", reply.message),
    })?;
    let died = |member: &MemberStatus| member.state == MemberState::Died;
    Ok(if reply.members.iter().any(died) { Exit::Failed } else { Exit::Ok })
}

async fn ask(dir: &Path, request: &Request) -> anyhow::Result<Reply> {
    // A relative --dir must name the same socket as the one `dev up` made absolute.
    let dir = std::path::absolute(dir)?;
    let reply = control::ask(&layout::socket(&dir), request).await?;
    match reply.ok {
        true => Ok(reply),
        false => Err(anyhow::anyhow!(reply.message)),
    }
}

/// What runs where.
fn table(members: &[MemberStatus]) -> String {
    let rows = members.iter().map(|member| {
        let state = match member.state {
            MemberState::Starting => "starting".to_owned(),
            MemberState::Running => "running".to_owned(),
            MemberState::Killed => "killed".to_owned(),
            MemberState::Died => format!("died: {}", member.detail),
        };
        [
            member.program.clone(),
            member.region.clone(),
            member.node.clone(),
            member.listens.join(", "),
            member.pid.map(|pid| pid.to_string()).unwrap_or_default(),
            state,
        ]
    });
    output::table(&["PROGRAM", "REGION", "NODE", "LISTENS", "PID", "STATE"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_where() {
        let members = [
            MemberStatus {
                program: "geoping".into(),
                region: "us-central1".into(),
                node: "us-central1-a".into(),
                listens: vec!["grpc 127.0.0.11:8443".into(), "admin 127.0.0.11:9154".into()],
                state: MemberState::Running,
                pid: Some(4711),
                detail: String::new(),
            },
            MemberStatus {
                program: "dnsrouter".into(),
                region: "us-central1".into(),
                node: "ns1".into(),
                listens: vec!["dns 127.0.0.21:5300".into()],
                state: MemberState::Died,
                pid: None,
                detail: "signal: 9 (SIGKILL)".into(),
            },
        ];
        assert_eq!(
            table(&members),
            "\
PROGRAM    REGION       NODE           LISTENS                                      PID   STATE
geoping    us-central1  us-central1-a  grpc 127.0.0.11:8443, admin 127.0.0.11:9154  4711  running
dnsrouter  us-central1  ns1            dns 127.0.0.21:5300                                died: signal: 9 (SIGKILL)
"
        );
    }
}
