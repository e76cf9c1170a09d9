//! `geoip overrides`: what people said of regions, services and endpoints; and how the commands that
//! say it (`drain`, `force` and their opposites) say it to every name server.

use std::fmt::Write as _;
use std::future::Future;
use std::time::{Duration, SystemTime};

use proto::dnsrouter::v1 as wire;
use proto::dnsrouter::v1::control_client::ControlClient;
use serde::Serialize;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::args::Invocation;
use crate::endpoint::HostPort;
use crate::exit::{Exit, one_line};
use crate::output::{self, Format};
use crate::servers::{Outcome, Said, ServerFlags, Servers, exit};
use crate::times::{rounded, shown, unix_ms};

const EXAMPLES: &str = "\
Examples:
  geoip overrides
  geoip overrides --output json | jq '.[].overrides[] | select(.order == \"drain\")'

Exit codes: 0 success, 1 refused, 2 usage error, 3 a name server cannot be reached.";

/// List drains and forces of every name server
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    servers: ServerFlags,
}

pub(crate) async fn run(invocation: &Invocation, args: Args) -> anyhow::Result<Exit> {
    let servers = args.servers.resolve(invocation)?;
    let said = servers
        .ask_all(|mut control| async move { control.overrides(wire::OverridesRequest {}).await })
        .await;
    output::print(&match invocation.format() {
        Format::Text => list(&said, SystemTime::now()),
        Format::Json => output::pretty(&said.iter().map(listed).collect::<Vec<_>>())?,
    })?;
    Ok(exit(&said))
}

/// What `drain`, `undrain`, `force` and `unforce` have in common.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ChangeFlags {
    /// Do it also when a service has nothing usable left then
    #[arg(long)]
    pub(crate) yes: bool,
    /// Ask every name server whether it would, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    servers: ServerFlags,
}

/// Asks all first, and does it only if nobody says no: half of the name servers drained is worse
/// than none. `call` is given whether it is only a question.
pub(crate) async fn change<F>(
    invocation: &Invocation,
    kind: Change,
    flags: ChangeFlags,
    call: impl Fn(ControlClient<Channel>, bool) -> F + Clone + Send + 'static,
) -> anyhow::Result<Exit>
where
    F: Future<Output = Result<Response<wire::OverrideReply>, Status>> + Send,
{
    let mut servers: Servers = flags.servers.resolve(invocation)?;
    let question = call.clone();
    let mut said = servers.ask_all(move |control| question(control, true)).await;
    let asked = match (flags.dry_run, goes_on(&said)) {
        (true, _) => Asked::Only,
        (false, false) => Asked::InVain,
        (false, true) => Asked::AndDone,
    };
    if asked == Asked::AndDone {
        let willing = |server: &HostPort| {
            said.iter()
                .any(|one| one.server == *server && matches!(one.outcome, Outcome::Answer(_)))
        };
        servers.retain(willing);
        let done = servers.ask_all(move |control| call(control, false)).await;
        for one in done {
            if let Some(before) = said.iter_mut().find(|before| before.server == one.server) {
                *before = one;
            }
        }
    }
    output::print(&match invocation.format() {
        Format::Text => changed(&said, kind, asked, SystemTime::now()),
        Format::Json => output::pretty(&said.iter().map(change_object).collect::<Vec<_>>())?,
    })?;
    Ok(exit(&said))
}

/// What is done with an override.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is said.
    Said,
    /// It is ended.
    Lifted,
}

/// What became of the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// It was a dry run.
    Only,
    /// Somebody said no, or nobody yes.
    InVain,
    /// It was done.
    AndDone,
}

/// Somebody would do it, and nobody refuses but for want of it: what is lifted may be lifted
/// already on some.
fn goes_on(said: &[Said<wire::OverrideReply>]) -> bool {
    let refuses =
        |one: &Said<_>| matches!(one.outcome, Outcome::Refusal(code, _) if code != Code::NotFound);
    let does = |one: &Said<_>| matches!(one.outcome, Outcome::Answer(_));
    said.iter().any(does) && !said.iter().any(refuses)
}

/// For people: what changed where, then what should be known, then who did not.
fn changed(
    said: &[Said<wire::OverrideReply>],
    kind: Change,
    asked: Asked,
    now: SystemTime,
) -> String {
    let answers = || {
        said.iter().filter_map(|one| match &one.outcome {
            Outcome::Answer(answer) => Some(answer),
            _ => None,
        })
    };
    let rows: Vec<_> = answers()
        .filter_map(|answer| {
            let mut row = row(&answer.node, answer.r#override.as_ref()?, now);
            if (kind, asked) == (Change::Lifted, Asked::AndDone) {
                row[STATE] = "lifted".to_owned();
                row[UNTIL] = shown(unix_ms(now));
            }
            Some(row)
        })
        .collect();
    let mut out = if rows.is_empty() { String::new() } else { output::table(&HEADER, rows) };
    for answer in answers() {
        let node = one_line(&answer.node);
        if let Some(replaced) = &answer.replaced {
            let _ = writeln!(out, "note {node}: takes the place of {}", sentence(replaced));
        }
        for note in &answer.notes {
            let _ = writeln!(out, "note {node}: {}", one_line(note));
        }
    }
    for one in said {
        let server = &one.server;
        let _ = match &one.outcome {
            Outcome::Answer(_) => Ok(()),
            Outcome::Refusal(Code::FailedPrecondition, cause) => {
                writeln!(out, "REFUSED {server}: {cause}; --yes does it all the same")
            }
            Outcome::Refusal(_, cause) => writeln!(out, "REFUSED {server}: {cause}"),
            Outcome::Nothing(cause) => writeln!(out, "UNREACHABLE {server}: {}", one_line(cause)),
        };
    }
    out.push_str(match asked {
        Asked::Only => "a dry run: nothing was changed\n",
        Asked::InVain => "nothing was changed anywhere\n",
        Asked::AndDone => "",
    });
    out
}

fn sentence(one: &wire::Override) -> String {
    let why = match one.why.is_empty() {
        true => String::new(),
        false => format!(" ({})", one_line(&one.why)),
    };
    format!("{} by {}{why}", one_line(&one.order), one_line(&one.who))
}

const HEADER: [&str; 8] = ["NODE", "SUBJECT", "ORDER", "STATE", "SINCE", "UNTIL", "BY", "WHY"];

/// Columns of the table.
const STATE: usize = 3;
const UNTIL: usize = 5;

/// The table of overrides, which `geoip status` shows too.
pub(crate) fn table<'a>(
    all: impl Iterator<Item = (&'a str, &'a wire::Override)>,
    now: SystemTime,
) -> Option<String> {
    let rows: Vec<_> = all.map(|(node, one)| row(node, one, now)).collect();
    (!rows.is_empty()).then(|| output::table(&HEADER, rows))
}

fn row(node: &str, one: &wire::Override, now: SystemTime) -> [String; 8] {
    let until = match one.until_unix_ms {
        0 => "lifted".to_owned(),
        until => shown(until),
    };
    [
        one_line(node),
        one_line(&one.subject),
        one_line(&one.order),
        state(one, now),
        shown(one.from_unix_ms),
        until,
        one_line(one.who.rsplit_once("/user/").map_or(&*one.who, |(_, name)| name)),
        one_line(&one.why),
    ]
}

fn state(one: &wire::Override, now: SystemTime) -> String {
    if one.absent {
        return "nothing is called so".to_owned();
    }
    let ahead = one.from_unix_ms.saturating_sub(unix_ms(now));
    match one.order.as_str() {
        _ if one.announced => format!("begins in {}", rounded(Duration::from_millis(ahead))),
        "drain" if one.gone < 1.0 => format!("{:.0} % gone", (one.gone * 100.0).floor()),
        "drain" => "all gone".to_owned(),
        _ => "in force".to_owned(),
    }
}

fn list(said: &[Said<wire::OverridesReply>], now: SystemTime) -> String {
    let answers = || {
        said.iter().filter_map(|one| match &one.outcome {
            Outcome::Answer(answer) => Some(answer),
            _ => None,
        })
    };
    let rows = answers().flat_map(|a| a.overrides.iter().map(|one| (a.node.as_str(), one)));
    let mut out = table(rows, now).unwrap_or_else(|| "no overrides\n".to_owned());
    for answer in answers().filter(|answer| !answer.kept) {
        let _ = writeln!(
            out,
            "note {}: no [state] dir: a restart forgets them",
            one_line(&answer.node)
        );
    }
    for one in said {
        if let Outcome::Refusal(_, cause) | Outcome::Nothing(cause) = &one.outcome {
            let _ = writeln!(out, "UNREACHABLE {}: {}", one.server, one_line(cause));
        }
    }
    out
}

/// For programs: the wire form, with what is not as null.
#[derive(Debug, Serialize)]
pub(crate) struct OverrideObject<'a> {
    subject: &'a str,
    order: &'a str,
    announced: bool,
    gone: f64,
    who: &'a str,
    why: &'a str,
    made_unix_ms: u64,
    from_unix_ms: u64,
    over_ms: u64,
    until_unix_ms: Option<u64>,
    absent: bool,
}

pub(crate) fn object(one: &wire::Override) -> OverrideObject<'_> {
    OverrideObject {
        subject: &one.subject,
        order: &one.order,
        announced: one.announced,
        gone: one.gone,
        who: &one.who,
        why: &one.why,
        made_unix_ms: one.made_unix_ms,
        from_unix_ms: one.from_unix_ms,
        over_ms: one.over_ms,
        until_unix_ms: Some(one.until_unix_ms).filter(|until| *until > 0),
        absent: one.absent,
    }
}

#[derive(Debug, Serialize)]
struct ServerObject<'a, T> {
    server: String,
    node: Option<&'a str>,
    error: Option<&'a str>,
    #[serde(flatten)]
    answer: Option<T>,
}

#[derive(Debug, Serialize)]
struct ListObject<'a> {
    kept: bool,
    overrides: Vec<OverrideObject<'a>>,
}

#[derive(Debug, Serialize)]
struct ChangeObject<'a> {
    #[serde(rename = "override")]
    one: Option<OverrideObject<'a>>,
    replaced: Option<OverrideObject<'a>>,
    notes: &'a [String],
}

fn wrapped<'a, A, T>(
    said: &'a Said<A>,
    node: impl Fn(&'a A) -> &'a str,
    answer: impl Fn(&'a A) -> T,
) -> ServerObject<'a, T> {
    let server = said.server.to_string();
    match &said.outcome {
        Outcome::Answer(a) => {
            ServerObject { server, node: Some(node(a)), error: None, answer: Some(answer(a)) }
        }
        Outcome::Refusal(_, cause) | Outcome::Nothing(cause) => {
            ServerObject { server, node: None, error: Some(cause), answer: None }
        }
    }
}

fn listed(said: &Said<wire::OverridesReply>) -> ServerObject<'_, ListObject<'_>> {
    wrapped(
        said,
        |a| &a.node,
        |a| ListObject { kept: a.kept, overrides: a.overrides.iter().map(object).collect() },
    )
}

fn change_object(said: &Said<wire::OverrideReply>) -> ServerObject<'_, ChangeObject<'_>> {
    wrapped(
        said,
        |a| &a.node,
        |a| ChangeObject {
            one: a.r#override.as_ref().map(object),
            replaced: a.replaced.as_ref().map(object),
            notes: &a.notes,
        },
    )
}

#[cfg(test)]
mod tests;
