//! `geoip pki`: the private authority and what it issued.

mod copies;
mod find;
mod print;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use pki::folder::Target;
use pki::index::Entry;
use pki::{Extra, Folder, Identity, Program, Reason, TrustDomain};

use crate::args::Invocation;
use crate::exit::{Exit, usage};
use crate::output::{self, Format};
use copies::Missing;

const EXAMPLES: &str = "\
Examples:
  geoip pki init --dir pki --trust-domain test-net.io
  geoip pki issue --node dnsrouter/us-central1/ns1 --out /etc/dnsrouter
  geoip pki issue --user ada --lifetime 7d
  geoip pki renew --all --within 8h
  geoip pki revoke ada --reason key-compromise
  geoip pki show
  geoip pki show pki/ada.crt

A certificate carries exactly one identity, spiffe://TRUST-DOMAIN/…, and no rights: what its holder
may call is decided where it calls. Every node needs ca.crt and ca.crl too: `issue --out` puts
copies beside the certificate, and `renew` keeps them up to date. ca.key stays.";

/// Make a private authority; issue, renew, revoke and show certificates
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
    /// The authority's folder
    #[arg(long, global = true, value_name = "DIR", default_value = "pki")]
    dir: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make an authority; one that exists is never touched
    Init {
        /// The installation's name: lower-case, like a domain name
        #[arg(long, value_name = "NAME")]
        trust_domain: TrustDomain,
    },
    /// Issue a certificate and its key, NAME.crt and NAME.key
    Issue(Box<IssueArgs>),
    /// Renew certificates in their place: same identity, new key
    Renew(RenewArgs),
    /// Take a certificate back, by serial number, or all of a name; writes a new ca.crl
    Revoke {
        /// 32 hexadecimal digits, a file's NAME, or an identity
        #[arg(value_name = "SERIAL|NAME")]
        which: String,
        /// Why, for the list
        #[arg(long)]
        reason: Option<ReasonWord>,
    },
    /// Show what was issued, or one certificate
    Show {
        /// A certificate (PEM)
        file: Option<PathBuf>,
    },
}

#[derive(Debug, clap::Args)]
struct IssueArgs {
    #[command(flatten)]
    who: Who,
    /// Where NAME.crt and NAME.key go, and copies of ca.crt and ca.crl; made if missing [default:
    /// the authority's folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How long it is valid, for example 24h or 7d [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = parse_lifetime)]
    lifetime: Option<Duration>,
    /// A DNS name beside the identity, for clients that check host names; may be repeated
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
    /// An IP address beside the identity; may be repeated
    #[arg(long, value_name = "ADDR")]
    ip: Vec<IpAddr>,
}

/// Whom the certificate names: exactly one.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Who {
    /// A program on a node; PROGRAM is geoping, dnsrouter or directory
    #[arg(long, value_name = "PROGRAM/REGION/NAME")]
    node: Option<NodeName>,
    /// A person
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A member of the directory
    #[arg(long, value_name = "ID")]
    member: Option<String>,
    /// An identity in full
    #[arg(long, value_name = "spiffe://…")]
    identity: Option<Identity>,
}

#[derive(Debug, clap::Args)]
struct RenewArgs {
    /// A file's NAME, or a path to NAME.crt
    #[arg(value_name = "NAME|PATH", required_unless_present = "all", conflicts_with = "all")]
    which: Option<String>,
    /// All that end soon
    #[arg(long)]
    all: bool,
    /// With --all: what ends within this time
    #[arg(long, value_name = "TIME", default_value = "8h", value_parser = parse_lifetime,
          requires = "all")]
    within: Duration,
    /// How long the new ones are valid [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = parse_lifetime)]
    lifetime: Option<Duration>,
}

/// `PROGRAM/REGION/NAME`
#[derive(Debug, Clone)]
struct NodeName {
    program: Program,
    region: String,
    name: String,
}

/// RFC 5280's reasons, as words.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ReasonWord {
    KeyCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
    PrivilegeWithdrawn,
}

impl std::str::FromStr for NodeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split('/').collect();
        let [program, region, name] = words.as_slice() else {
            return Err("expected PROGRAM/REGION/NAME, such as geoping/us-central1/a".to_owned());
        };
        let program = [Program::Geoping, Program::Dnsrouter, Program::Directory]
            .into_iter()
            .find(|known| known.as_str() == *program)
            .ok_or_else(|| format!("\"{program}\" is none of geoping, dnsrouter, directory"))?;
        Ok(Self { program, region: (*region).to_owned(), name: (*name).to_owned() })
    }
}

impl From<ReasonWord> for Reason {
    fn from(word: ReasonWord) -> Self {
        match word {
            ReasonWord::KeyCompromise => Self::KeyCompromise,
            ReasonWord::AffiliationChanged => Self::AffiliationChanged,
            ReasonWord::Superseded => Self::Superseded,
            ReasonWord::CessationOfOperation => Self::CessationOfOperation,
            ReasonWord::PrivilegeWithdrawn => Self::PrivilegeWithdrawn,
        }
    }
}

fn parse_lifetime(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(lifetime) if !lifetime.is_zero() => Ok(lifetime),
        Ok(_) => Err("longer than nothing, please".to_owned()),
        Err(error) => Err(format!("{error}; expected a time such as 24h or 7d")),
    }
}

pub(crate) fn run(invocation: &Invocation, args: Args) -> anyhow::Result<Exit> {
    let now = SystemTime::now();
    let dir = std::path::absolute(&args.dir)?;
    let format = invocation.format();
    match args.action {
        Action::Init { trust_domain } => init(&dir, &trust_domain, format, now)?,
        Action::Issue(issue_args) => issue(&dir, *issue_args, format, now)?,
        Action::Renew(renew_args) => renew(&dir, &renew_args, format, now)?,
        Action::Revoke { which, reason } => {
            revoke(&dir, &which, reason.map(Reason::from), format, now)?;
        }
        Action::Show { file: Some(file) } => {
            let shown = print::Certificate::read(&file)?;
            output::print(&match format {
                Format::Text => shown.text(now),
                Format::Json => output::pretty(&shown)?,
            })?;
        }
        Action::Show { file: None } => {
            let folder = Folder::open(&dir)?;
            let entries = folder.list()?;
            output::print(&match format {
                Format::Text => print::list(&folder, &entries, now)?,
                Format::Json => output::pretty(&entries)?,
            })?;
        }
    }
    Ok(Exit::Ok)
}

fn init(dir: &Path, name: &TrustDomain, format: Format, now: SystemTime) -> anyhow::Result<()> {
    let folder = Folder::create(dir, name, now)?;
    output::print(&match format {
        Format::Text => print::authority(&folder)?,
        Format::Json => output::pretty(&print::AuthorityObject::of(&folder))?,
    })
}

fn issue(dir: &Path, args: IssueArgs, format: Format, now: SystemTime) -> anyhow::Result<()> {
    let folder = Folder::open(dir)?;
    let identity = match identity(args.who, folder.trust_domain()) {
        Ok(identity) => identity,
        Err(message) => return usage(message),
    };
    let out = match args.out {
        Some(out) => {
            let failed = || format!("{}: cannot make it", out.display());
            std::fs::create_dir_all(&out).with_context(failed)?;
            std::path::absolute(&out)?
        }
        None => dir.to_owned(),
    };
    let target = Target::named(&out, find::name(&identity));
    let extra = Extra { dns: args.dns, ip: args.ip };
    let entry = folder.issue(&identity, &extra, args.lifetime, &target, now)?;
    told("issued", &[entry], format, now)?;
    let written = copies::refresh(&folder, &out, Missing::Make)?;
    told_copies(&written, format)
}

fn identity(who: Who, ours: &TrustDomain) -> Result<Identity, String> {
    let made = match who {
        Who { node: Some(node), .. } => {
            Identity::node(ours, &node.region, node.program, &node.name)
        }
        Who { user: Some(name), .. } => Identity::user(ours, &name),
        Who { member: Some(id), .. } => Identity::member(ours, &id),
        Who { identity: Some(identity), .. } => Ok(identity),
        Who { .. } => return Err("whom is it for? --node, --user, --member or --identity".into()),
    };
    made.map_err(|error| error.to_string())
}

fn renew(dir: &Path, args: &RenewArgs, format: Format, now: SystemTime) -> anyhow::Result<()> {
    let folder = Folder::open(dir)?;
    let entries = folder.list()?;
    let targets = match &args.which {
        None => find::ending(&entries, args.within, now),
        Some(which) => match find::target(&entries, which) {
            Ok(target) => vec![target],
            Err(message) => return usage(message),
        },
    };
    let mut renewed = Vec::new();
    for target in &targets {
        renewed.push(folder.renew(target, args.lifetime, now)?);
    }
    if targets.is_empty() && format == Format::Text {
        let within = humantime::format_duration(args.within);
        return output::print(&format!("nothing to renew: no certificate ends within {within}\n"));
    }
    told("renewed", &renewed, format, now)?;
    let mut written = Vec::new();
    let beside: BTreeSet<&Path> =
        targets.iter().filter_map(|target| target.cert.parent()).collect();
    for dir in beside {
        written.extend(copies::refresh(&folder, dir, Missing::Leave)?);
    }
    told_copies(&written, format)
}

fn revoke(
    dir: &Path,
    which: &str,
    reason: Option<Reason>,
    format: Format,
    now: SystemTime,
) -> anyhow::Result<()> {
    let folder = Folder::open(dir)?;
    let serials = match find::revocable(&folder.list()?, which, now) {
        Ok(serials) => serials,
        Err(message) => anyhow::bail!(message),
    };
    let mut revoked = Vec::new();
    for serial in &serials {
        revoked.push(folder.revoke(serial, reason, now)?);
    }
    told("revoked", &revoked, format, now)?;
    match format {
        Format::Json => Ok(()),
        Format::Text => output::print(&format!(
            "copy {} to every node: it takes effect where the new list is read\n",
            folder.ca_crl().display()
        )),
    }
}

fn told(verb: &str, entries: &[Entry], format: Format, now: SystemTime) -> anyhow::Result<()> {
    output::print(&match format {
        Format::Json => output::pretty(&entries)?,
        Format::Text => entries.iter().map(|entry| print::line(verb, entry, now)).collect(),
    })
}

/// For people only: programs read what was issued.
fn told_copies(written: &[PathBuf], format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => Ok(()),
        Format::Text => {
            let line = |copy: &PathBuf| format!("  {}  a copy, for the node\n", copy.display());
            output::print(&written.iter().map(line).collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_written_program_region_name() {
        let node: NodeName = "geoping/us-central1/a".parse().unwrap();
        assert_eq!(node.program, Program::Geoping);
        assert_eq!((node.region.as_str(), node.name.as_str()), ("us-central1", "a"));
        for bad in ["geoping", "geoping/us-central1", "nginx/us-central1/a", "geoping/a/b/c"] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn lifetimes_are_positive() {
        assert_eq!(parse_lifetime("24h"), Ok(Duration::from_secs(86_400)));
        assert!(parse_lifetime("0s").is_err());
        assert!(parse_lifetime("soon").is_err());
    }
}
