//! `geoip zone`: master files, before a name server sees them.

mod origin;
mod print;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use daemon::config::Problem;
use dns::name::Name;
use dns::rr::Rtype;
use dns::zone::{ZoneData, lint};
use zonefiles::{MasterFile, Texts};

use crate::args::Invocation;
use crate::exit::{Exit, usage};
use crate::output::{self, Format};

/// Files of one run; more are a pattern that matched too much.
const MAX_FILES: usize = 10_000;

const EXAMPLES: &str = "\
Examples:
  geoip zone check test-net.io.zone
  geoip zone check --origin test-net.io zones/current.txt
  geoip zone check --strict zones/*.zone
  geoip zone check --json zones/*.zone | jq '.[] | select(.ok | not) | .file'

A file is the zone that its SOA and $ORIGIN say in full; else the one its name says
(example.com.zone, db.example.com, example.com); --origin says it over both. $INCLUDE reaches files
in the zone file's own folder and below. What is refused here, dnsrouter refuses too.

Exit codes: 0 all files are good, 1 some are not (or, with --strict, have warnings), 2 usage error.";

/// Check master files: what a name server would refuse, and what is seldom meant
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read master files and everything they include, and show each mistake where it stands
    #[command(after_help = EXAMPLES)]
    Check {
        /// Master files (RFC 1035)
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The zone's name [default: what the file or its name says]
        #[arg(long, value_name = "NAME")]
        origin: Option<String>,
        /// Warnings make the exit code 1 too
        #[arg(long)]
        strict: bool,
    },
}

/// What was found out about one file.
#[derive(Debug)]
struct Checked {
    file: String,
    /// None: nobody says which zone it is.
    zone: Option<Name>,
    verdict: Verdict,
}

#[derive(Debug)]
enum Verdict {
    /// It was not read: why.
    Unread(String),
    Refused(Vec<Problem>),
    Good {
        summary: Summary,
        warnings: Vec<Problem>,
    },
}

/// What is in a good zone.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    records: usize,
    names: usize,
    delegations: usize,
    serial: u32,
}

impl Checked {
    fn warned(&self) -> bool {
        matches!(&self.verdict, Verdict::Good { warnings, .. } if !warnings.is_empty())
    }

    fn is_good(&self) -> bool {
        matches!(self.verdict, Verdict::Good { .. })
    }
}

pub(crate) fn run(invocation: &Invocation, args: Args) -> anyhow::Result<Exit> {
    let Action::Check { files, origin, strict } = args.action;
    if origin.is_some() && files.len() > 1 {
        return usage("--origin names one zone: give one FILE with it");
    }
    if files.len() > MAX_FILES {
        return usage(format!("{} files: at most {MAX_FILES} at once", files.len()));
    }
    let origin = match origin.map(|text| text.parse::<Name>().map_err(|error| (text, error))) {
        Some(Err((text, error))) => return usage(format!("--origin {text}: {error}")),
        Some(Ok(origin)) => Some(origin),
        None => None,
    };
    let mut all_good = true;
    let mut objects = Vec::new();
    for file in files {
        let checked = check(&file, origin.clone());
        all_good &= checked.is_good() && !(strict && checked.warned());
        // Many files can take a while: each is told when it is done.
        match invocation.format() {
            Format::Text => output::print(&print::text(&checked))?,
            Format::Json => objects.push(print::object(&checked)),
        }
    }
    if invocation.format() == Format::Json {
        output::print(&output::pretty(&objects)?)?;
    }
    Ok(if all_good { Exit::Ok } else { Exit::Failed })
}

fn check(path: &Path, origin: Option<Name>) -> Checked {
    let file = path.display().to_string();
    let opened = match MasterFile::open(path) {
        Ok(opened) => opened,
        Err(why) => return Checked { file, zone: None, verdict: Verdict::Unread(why) },
    };
    let zone = origin.or_else(|| opened.apex()).or_else(|| origin::of_file(path));
    let Some(zone) = zone else {
        let why = "neither the file nor its name says which zone it is: give --origin NAME";
        return Checked { file, zone: None, verdict: Verdict::Unread(why.to_owned()) };
    };
    let verdict = match opened.parse(&zone, &mut |_| {}) {
        Err(problems) => Verdict::Refused(problems),
        Ok(zonefiles::Read { loaded, mut texts }) => {
            let set_right = loaded.warnings.iter().map(|warning| {
                texts.problem(&warning.position, &warning.message, warning.help.as_deref())
            });
            let mut warnings: Vec<Problem> = set_right.collect();
            warnings.extend(doubts(&loaded.zone, &mut texts));
            warnings.sort_by(|a, b| (a.file(), a.position()).cmp(&(b.file(), b.position())));
            Verdict::Good { summary: summary(&loaded.zone), warnings }
        }
    };
    Checked { file, zone: Some(zone), verdict }
}

/// Every record of a file has a place, so nothing is left out here.
fn doubts(zone: &ZoneData, texts: &mut Texts) -> Vec<Problem> {
    lint(zone)
        .into_iter()
        .filter_map(|lint| {
            let message = format!("{}: {}", lint.name, lint.doubt);
            Some(texts.problem(&lint.position?, &message, Some(lint.doubt.help())))
        })
        .collect()
}

fn summary(zone: &ZoneData) -> Summary {
    let names: BTreeSet<&Name> = zone.records().iter().map(|record| &record.owner).collect();
    let cuts = zone.records().iter().filter(|record| record.rtype == Rtype::NS);
    let cuts = cuts.map(|record| &record.owner).filter(|owner| *owner != zone.apex());
    Summary {
        records: zone.records().len(),
        names: names.len(),
        delegations: cuts.collect::<BTreeSet<_>>().len(),
        serial: zone.serial(),
    }
}
