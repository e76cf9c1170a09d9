//! `geoip import`: other products' configurations as ours, with a list of what differs.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use daemon::terminal::visible;
use serde::Serialize;

use crate::args::Invocation;
use crate::exit::{Exit, printable};
use crate::import::findings::{Finding, Kind};
use crate::import::{Failure, Imported, document, gdnsd, geodns, route53};
use crate::output::{self, Format};
use crate::whole_file;

const EXAMPLES: &str = "\
Examples:
  geoip import gdnsd /etc/gdnsd --out imported       dnsrouter.toml and master files
  geoip import route53 export/ --out imported        *.json of `aws route53 list-…`
  geoip import geodns dns/example.com.json           shown, nothing is written
  geoip import gdnsd /etc/gdnsd --json | jq '.findings[] | select(.kind == \"left_out\")'
  dnsrouter --config imported/dnsrouter.toml --check

What is told: \"left out\" is not in the result; \"changed\" is in it, and some answers can be others;
a \"note\" is for you to fill in or to know. docs/importing.md says what becomes of what.

Exit codes: 0 everything was carried over (there may be notes), 1 nothing was imported, 2 usage error,
4 imported, and something was left out or changed.";

/// Permissions of what is written.
const MODE: u32 = 0o644;

/// Turn the configuration of gdnsd, Route 53 or geodns into zones and services
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    product: Product,
}

#[derive(Debug, Subcommand)]
enum Product {
    /// gdnsd 3: the folder with `config` and `zones/`, or the configuration file
    #[command(after_help = EXAMPLES)]
    Gdnsd(From),
    /// Amazon Route 53: JSON of list-resource-record-sets, and list-hosted-zones, list-health-checks,
    /// list-cidr-blocks beside it; a file or a folder
    #[command(after_help = EXAMPLES)]
    Route53(From),
    /// geodns: a zone's JSON, or a folder of them
    #[command(after_help = EXAMPLES)]
    Geodns(From),
}

#[derive(Debug, clap::Args)]
struct From {
    /// What to import
    path: PathBuf,
    /// Write into this folder instead of showing; files that are there are never replaced
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(invocation: &Invocation, args: Args) -> anyhow::Result<Exit> {
    type Import = fn(&Path) -> Result<Imported, Failure>;
    let (name, import, from): (_, Import, _) = match args.product {
        Product::Gdnsd(from) => ("gdnsd", gdnsd::import, from),
        Product::Route53(from) => ("Route 53", route53::import, from),
        Product::Geodns(from) => ("geodns", geodns::import, from),
    };
    let imported = match import(&from.path) {
        Ok(imported) => imported,
        // With the line it stands in, which is more than one line.
        Err(Failure::Input(error)) => {
            eprint!("{}", error.report());
            return Ok(Exit::Failed);
        }
        Err(failure) => return Err(failure.into()),
    };
    let files = document::files(&imported, name);
    if let Some(folder) = &from.out {
        write(folder, &files)?;
    }
    let text = match invocation.format() {
        Format::Text => text(&imported, &files, from.out.as_deref()),
        Format::Json => output::pretty(&Object::of(&imported, &files))?,
    };
    output::print(&text)?;
    Ok(if imported.findings.is_faithful() { Exit::Ok } else { Exit::Differs })
}

/// All or nothing, as far as one look before can tell.
fn write(folder: &Path, files: &[(String, String)]) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (name, _) in files {
        let path = folder.join(name);
        if path.symlink_metadata().is_ok() {
            anyhow::bail!("{}: is there already; name another folder", path.display());
        }
    }
    for (name, text) in files {
        let path = folder.join(name);
        whole_file::write(&path, text.as_bytes(), MODE)
            .with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn text(imported: &Imported, files: &[(String, String)], out: Option<&Path>) -> String {
    let mut text = String::new();
    for (name, content) in files {
        text += &match out {
            Some(folder) => {
                format!("wrote {}\n", visible(&folder.join(name).display().to_string()))
            }
            None => format!("# ==> {name}\n{}\n", printable_lines(content)),
        };
    }
    let findings = &imported.findings;
    if !findings.list().is_empty() {
        text.push('\n');
    }
    // What is missing first.
    for kind in [Kind::LeftOut, Kind::Changed, Kind::Note] {
        for finding in findings.list().iter().filter(|finding| finding.kind == kind) {
            text += &shown(finding);
        }
    }
    if findings.dropped > 0 {
        text += &format!("and {} more\n", findings.dropped);
    }
    let [left, changed, notes] =
        [Kind::LeftOut, Kind::Changed, Kind::Note].map(|k| findings.count(k));
    text + &format!(
        "{}, {}: {left} left out, {changed} changed, {notes} to note\n",
        count(imported.zones.len(), "zone"),
        count(imported.services.len(), "service"),
    )
}

fn shown(finding: &Finding) -> String {
    let Finding { kind, at, what, why, instead } = finding;
    let [at, what, why, instead] = [at, what, why, instead].map(|text| visible(text).to_string());
    format!("{}: {at}: {what}\n  why: {why}\n  do:  {instead}\n", kind.word())
}

fn printable_lines(text: &str) -> String {
    text.lines().map(|line| printable(line) + "\n").collect()
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// For programs.
#[derive(Debug, Serialize)]
struct Object<'a> {
    zones: usize,
    services: usize,
    files: Vec<File<'a>>,
    findings: &'a [Finding],
    /// Findings beyond those listed.
    more_findings: usize,
}

#[derive(Debug, Serialize)]
struct File<'a> {
    name: &'a str,
    text: &'a str,
}

impl<'a> Object<'a> {
    fn of(imported: &'a Imported, files: &'a [(String, String)]) -> Self {
        Self {
            zones: imported.zones.len(),
            services: imported.services.len(),
            files: files.iter().map(|(name, text)| File { name, text }).collect(),
            findings: imported.findings.list(),
            more_findings: imported.findings.dropped,
        }
    }
}
