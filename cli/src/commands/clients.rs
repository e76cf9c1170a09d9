//! `geoip clients`: how often clients of which networks the name servers answered.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use geo::Population;
use proto::dnsrouter::v1 as wire;
use proto::dnsrouter::v1::control_client::ControlClient;
use serde::Serialize;
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::args::Invocation;
use crate::exit::{Exit, one_line};
use crate::output::{self, Format};
use crate::servers::{Outcome, Said, ServerFlags, exit};
use crate::whole_file;

/// The text of as many prefixes as there may be, and some.
const MAX_TEXT: usize = 128 << 20;

/// How long one name server may take to send that.
const LONG_PATIENCE: Duration = Duration::from_secs(120);

/// Others than its owner have no business with a file of clients.
const MODE: u32 = 0o600;

const EXAMPLES: &str = "\
Examples:
  geoip clients                                  how many there are, and the largest of them
  geoip clients --top 50 --output json | jq '.[].largest[] | select(.country == \"DE\")'
  geoip clients --export clients.txt             all of them, of all name servers together

Exit codes: 0 success, 1 refused, 2 usage error, 3 a name server cannot be reached.";

/// Show how often clients of each network were answered
///
/// Name servers count answers per /24 and /48 where their configuration says so. Counts fade: an
/// answer loses half of its weight in each half-life.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// How many prefixes to name, those with most answers
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=1000))]
    top: u32,
    /// Write all counts to this file, lines "PREFIX COUNT" in order; those of several name servers
    /// are added up
    #[arg(long, value_name = "FILE", conflicts_with = "top")]
    export: Option<PathBuf>,
    #[command(flatten)]
    servers: ServerFlags,
}

pub(crate) async fn run(invocation: &Invocation, args: Args) -> anyhow::Result<Exit> {
    let servers = args.servers.resolve(invocation)?;
    if let Some(file) = args.export {
        let said = servers.ask_all_within(LONG_PATIENCE, fetch).await;
        return export(&said, &file);
    }
    let largest = args.top;
    let said = servers
        .ask_all(move |mut control| async move {
            control.clients(wire::ClientsRequest { largest }).await
        })
        .await;
    output::print(&match invocation.format() {
        Format::Text => text(&said),
        Format::Json => output::pretty(&said.iter().map(object).collect::<Vec<_>>())?,
    })?;
    Ok(exit(&said))
}

/// One name server's counts.
async fn fetch(mut control: ControlClient<Channel>) -> Result<Response<Population>, Status> {
    let mut parts = control.export_clients(wire::ExportClientsRequest {}).await?.into_inner();
    let mut octets = Vec::new();
    while let Some(part) = parts.message().await? {
        if octets.len() + part.text.len() > MAX_TEXT {
            return Err(Status::internal("it sends more than any name server counts"));
        }
        octets.extend(part.text);
    }
    let text = String::from_utf8(octets).map_err(|_| Status::internal("it sends no text"))?;
    let population = Population::parse(&text)
        .map_err(|error| Status::internal(format!("line {}: {error}", error.line)))?;
    Ok(Response::new(population))
}

/// Writes the sum of what was sent. With one name server missing it is a picture all the same, and the
/// exit code says that it is not whole.
fn export(said: &[Said<Population>], file: &std::path::Path) -> anyhow::Result<Exit> {
    let mut out = String::new();
    silent(said, &mut out);
    let answers = said.iter().filter_map(|one| match &one.outcome {
        Outcome::Answer(population) => Some((one.server.to_string(), population)),
        _ => None,
    });
    let (names, populations): (Vec<_>, Vec<_>) = answers.unzip();
    if !names.is_empty() {
        let sum = Population::new(populations.into_iter().flat_map(Population::iter))
            .context("all together")?;
        let mut text = String::new();
        sum.write(&mut text, &format!("answers of {} by client prefix", names.join(", ")))?;
        whole_file::write(file, text.as_bytes(), MODE)
            .with_context(|| format!("writing {}", file.display()))?;
        let _ = writeln!(
            out,
            "{} prefixes, {} answers: {}",
            sum.len(),
            sum.total(),
            one_line(&file.display().to_string())
        );
    }
    output::print(&out)?;
    Ok(exit(said))
}

/// For people: how much is counted, then the largest of it, then who did not say.
fn text(said: &[Said<wire::ClientsReply>]) -> String {
    let answers = || {
        said.iter().filter_map(|one| match &one.outcome {
            Outcome::Answer(answer) => Some(answer),
            _ => None,
        })
    };
    let families = answers().flat_map(|answer| {
        let named = ["IPv4", "IPv6"].into_iter().zip(&answer.families);
        named.map(|(name, family)| {
            [
                one_line(&answer.node),
                name.to_owned(),
                format!("{} of {}", family.prefixes, family.most),
                format!("{:.0}", family.answers),
                format!("{:.1}", family.short),
                family.evicted.to_string(),
            ]
        })
    });
    let families: Vec<_> = families.collect();
    let largest: Vec<_> = answers().flat_map(rows).collect();
    let mut out = String::new();
    if !families.is_empty() {
        let header = ["NODE", "FAMILY", "PREFIXES", "ANSWERS", "SHORT BY", "EVICTED"];
        out.push_str(&output::table(&header, families));
    }
    if !largest.is_empty() {
        let header = ["NODE", "PREFIX", "ANSWERS", "SHARE", "COUNTRY", "PLACE"];
        let _ = write!(out, "\n{}", output::table(&header, largest));
    }
    for answer in answers().filter(|answer| !answer.kept) {
        let node = one_line(&answer.node);
        let _ = writeln!(out, "note {node}: no [state] dir: a restart forgets them");
    }
    silent(said, &mut out);
    out
}

fn rows(answer: &wire::ClientsReply) -> impl Iterator<Item = [String; 6]> + '_ {
    let all: f64 = answer.families.iter().map(|family| family.answers).sum();
    answer.largest.iter().map(move |counted| {
        let place = counted.point.as_ref();
        [
            one_line(&answer.node),
            one_line(&counted.prefix),
            counted.count.to_string(),
            format!("{:.1} %", 100.0 * counted.count as f64 / all.max(1.0)),
            if counted.country.is_empty() { "-".to_owned() } else { one_line(&counted.country) },
            place.map_or("-".to_owned(), |p| format!("{:.2}, {:.2}", p.latitude, p.longitude)),
        ]
    })
}

fn silent<T>(said: &[Said<T>], out: &mut String) {
    for one in said {
        let server = &one.server;
        let _ = match &one.outcome {
            Outcome::Answer(_) => Ok(()),
            Outcome::Refusal(_, cause) => writeln!(out, "REFUSED {server}: {cause}"),
            Outcome::Nothing(cause) => writeln!(out, "UNREACHABLE {server}: {}", one_line(cause)),
        };
    }
}

#[derive(Debug, Default, Serialize)]
struct Object<'a> {
    server: String,
    node: Option<&'a str>,
    error: Option<&'a str>,
    half_life_ms: Option<u64>,
    kept: Option<bool>,
    families: Vec<FamilyObject>,
    largest: Vec<PrefixObject<'a>>,
}

#[derive(Debug, Serialize)]
struct FamilyObject {
    prefixes: u64,
    most: u64,
    answers: f64,
    short: f64,
    evicted: u64,
}

#[derive(Debug, Serialize)]
struct PrefixObject<'a> {
    prefix: &'a str,
    count: u64,
    country: Option<&'a str>,
    latitude: Option<f64>,
    longitude: Option<f64>,
}

/// For programs: the wire form, with unknowns as null.
fn object(said: &Said<wire::ClientsReply>) -> Object<'_> {
    let server = said.server.to_string();
    let answer = match &said.outcome {
        Outcome::Answer(answer) => answer,
        Outcome::Refusal(_, cause) | Outcome::Nothing(cause) => {
            return Object { server, error: Some(cause), ..Object::default() };
        }
    };
    let families = answer.families.iter().map(|family| {
        let wire::ClientFamily { prefixes, most, answers, short, evicted } = *family;
        FamilyObject { prefixes, most, answers, short, evicted }
    });
    let largest = answer.largest.iter().map(|counted| PrefixObject {
        prefix: &counted.prefix,
        count: counted.count,
        country: Some(counted.country.as_str()).filter(|country| !country.is_empty()),
        latitude: counted.point.as_ref().map(|point| point.latitude),
        longitude: counted.point.as_ref().map(|point| point.longitude),
    });
    Object {
        server,
        node: Some(&answer.node),
        error: None,
        half_life_ms: Some(answer.half_life_ms),
        kept: Some(answer.kept),
        families: families.collect(),
        largest: largest.collect(),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;
    use crate::endpoint::HostPort;

    fn said<T>(outcome: Outcome<T>) -> Said<T> {
        Said { server: HostPort::new("127.0.0.21", 7443), outcome }
    }

    fn reply() -> wire::ClientsReply {
        let prefix = |prefix: &str, count, country: &str| wire::ClientPrefix {
            prefix: prefix.into(),
            count,
            country: country.into(),
            point: None,
        };
        let german = wire::Point { latitude: 51.2, longitude: 10.4 };
        wire::ClientsReply {
            node: "ns1".into(),
            families: vec![
                wire::ClientFamily {
                    prefixes: 2,
                    most: 500_000,
                    answers: 1300.4,
                    short: 0.0,
                    evicted: 0,
                },
                wire::ClientFamily {
                    prefixes: 1,
                    most: 500_000,
                    answers: 40.0,
                    short: 2.25,
                    evicted: 9,
                },
            ],
            largest: vec![
                wire::ClientPrefix { point: Some(german), ..prefix("192.0.2.0/24", 1234, "DE") },
                prefix("2001:db8::/48", 40, ""),
            ],
            half_life_ms: 86_400_000,
            kept: false,
        }
    }

    #[test]
    fn people_see_how_much_is_counted_and_the_largest_of_it() {
        let all = [
            said(Outcome::Answer(reply())),
            said(Outcome::Refusal(Code::FailedPrecondition, "it does not count".into())),
        ];
        assert_eq!(
            text(&all),
            "\
NODE  FAMILY  PREFIXES     ANSWERS  SHORT BY  EVICTED
ns1   IPv4    2 of 500000  1300     0.0       0
ns1   IPv6    1 of 500000  40       2.2       9

NODE  PREFIX         ANSWERS  SHARE   COUNTRY  PLACE
ns1   192.0.2.0/24   1234     92.1 %  DE       51.20, 10.40
ns1   2001:db8::/48  40       3.0 %   -        -
note ns1: no [state] dir: a restart forgets them
REFUSED 127.0.0.21:7443: it does not count
"
        );
        assert_eq!(exit(&all), Exit::Failed);
    }

    #[test]
    fn programs_see_unknowns_as_null() {
        let json = serde_json::to_value(object(&said(Outcome::Answer(reply())))).unwrap();
        assert_eq!(json["largest"][0]["latitude"], 51.2);
        assert!(json["largest"][1]["country"].is_null() && json["error"].is_null());
        assert_eq!(json["families"][1]["short"], 2.25);
        let json = serde_json::to_value(object(&said(Outcome::Nothing("down".into())))).unwrap();
        assert!(json["node"].is_null() && json["error"] == "down");
    }

    #[test]
    fn an_export_is_the_sum_of_all_that_answer() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clients.txt");
        let population = |text: &str| said(Outcome::Answer(Population::parse(text).unwrap()));
        let all = [
            population("192.0.2.0/24 3\n2001:db8::/48 1\n"),
            population("192.0.2.0/24 4\n198.51.100.0/24 1\n"),
        ];
        assert_eq!(export(&all, &file).unwrap(), Exit::Ok);
        let written = std::fs::read_to_string(&file).unwrap();
        let (header, lines) = written.split_once('\n').unwrap();
        assert!(header.starts_with("# answers of 127.0.0.21:7443, "), "{header}");
        assert_eq!(lines, "192.0.2.0/24 7\n198.51.100.0/24 1\n2001:db8::/48 1\n");
        let none = [said(Outcome::Nothing("down".into()))];
        let other = folder.path().join("other");
        assert_eq!(export(&none, &other).unwrap(), Exit::Unreachable);
        assert!(!other.exists());
    }
}
