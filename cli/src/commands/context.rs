//! `geoip context`: the contexts file, seen and changed.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;

use crate::args::Invocation;
use crate::contexts::{Context, Contexts};
use crate::endpoint::HostPort;
use crate::exit::{Exit, usage};
use crate::output::{self, Format};

/// Contexts the file may hold: it is read by every command.
const MAX_CONTEXTS: usize = 256;

/// Longest name of a context; it stands in tables.
const MAX_NAME: usize = 64;

const EXAMPLES: &str = "\
Examples:
  geoip context add prod --server ns1.example.net:7443 --dns 192.0.2.53:53 \\
      --cert ~/me.crt --key ~/me.key --ca ~/ca.crt
  geoip context use prod
  geoip context show

The file is $XDG_CONFIG_HOME/geoip/contexts.toml, or what GEOIP_CONFIG names.";

/// Show, choose and change contexts: which servers to ask, and who to be there
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the contexts; the current one is marked
    List,
    /// Make a context the current one
    Use { name: String },
    /// Show a context, or the one in use
    Show { name: Option<String> },
    /// Add a context, or replace the one of that name; the first one becomes current
    Add {
        name: String,
        /// Control endpoint of a dnsrouter; may be repeated
        #[arg(long = "server", value_name = "HOST:PORT")]
        servers: Vec<HostPort>,
        /// Name server for ping and dig; may be repeated
        #[arg(long, value_name = "ADDR:PORT")]
        dns: Vec<SocketAddr>,
        /// Certificate to show (PEM)
        #[arg(long, value_name = "FILE")]
        cert: Option<PathBuf>,
        /// Its private key (PEM)
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Certificate of the authority that servers must be issued by (PEM)
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
    },
    /// Remove a context from the file; certificates stay where they are
    Remove { name: String },
}

pub(crate) fn run(invocation: &Invocation, args: Args) -> anyhow::Result<Exit> {
    let file = &invocation.surroundings.contexts;
    let mut contexts = Contexts::load(file)?;
    match args.action {
        Action::List => list(&contexts, invocation.format())?,
        Action::Show { name } => {
            let asked = name.as_deref().or(invocation.global.context.as_deref());
            show(&contexts, asked, invocation.format())?;
        }
        Action::Use { name } => {
            if let Err(unknown) = contexts.get(&name) {
                return usage(unknown.to_string());
            }
            contexts.current = Some(name);
            contexts.save(file)?;
        }
        Action::Add { name, servers, dns, cert, key, ca } => {
            let context = Context {
                servers,
                dns,
                cert: absolute(cert)?,
                key: absolute(key)?,
                ca: absolute(ca)?,
            };
            add(&mut contexts, name, context)?;
            contexts.save(file)?;
        }
        Action::Remove { name } => {
            if let Err(unknown) = contexts.get(&name) {
                return usage(unknown.to_string());
            }
            contexts.context.remove(&name);
            contexts.current = contexts.current.filter(|current| *current != name);
            contexts.save(file)?;
        }
    }
    Ok(Exit::Ok)
}

fn add(contexts: &mut Contexts, name: String, context: Context) -> anyhow::Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(plain) {
        return usage(format!(
            "\"{name}\" cannot name a context: letters, digits, - _ . and at most {MAX_NAME}"
        ));
    }
    let credentials = [&context.cert, &context.key, &context.ca];
    if credentials.iter().any(|c| c.is_some()) && credentials.iter().any(|c| c.is_none()) {
        return usage("--cert, --key and --ca go together: give all three or none");
    }
    if contexts.context.len() >= MAX_CONTEXTS && !contexts.context.contains_key(&name) {
        return usage(format!("the file holds {MAX_CONTEXTS} contexts already: remove one"));
    }
    contexts.current.get_or_insert_with(|| name.clone());
    contexts.context.insert(name, context);
    Ok(())
}

/// The context is used from any directory, so its paths are kept absolute.
fn absolute(path: Option<PathBuf>) -> anyhow::Result<Option<PathBuf>> {
    path.map(|path| {
        std::fs::canonicalize(&path).with_context(|| format!("{}: cannot find it", path.display()))
    })
    .transpose()
}

fn list(contexts: &Contexts, format: Format) -> anyhow::Result<()> {
    let current = |name: &String| contexts.current.as_ref() == Some(name);
    let text = match format {
        Format::Json => output::pretty(contexts)?,
        Format::Text if contexts.context.is_empty() => {
            "no contexts: `geoip dev up` or `geoip context add NAME …` makes one\n".to_owned()
        }
        Format::Text => output::table(
            &["", "NAME", "SERVERS", "DNS"],
            contexts.context.iter().map(|(name, context)| {
                let mark = if current(name) { "*" } else { "" };
                [mark.to_owned(), name.clone(), commas(&context.servers), commas(&context.dns)]
            }),
        ),
    };
    output::print(&text)
}

fn show(contexts: &Contexts, asked: Option<&str>, format: Format) -> anyhow::Result<()> {
    let Some(name) = asked.or(contexts.current.as_deref()) else {
        return usage("no context is in use: `geoip context use NAME`, or name one");
    };
    let context = match contexts.get(name) {
        Ok(context) => context,
        Err(unknown) => return usage(unknown.to_string()),
    };
    output::print(&match format {
        Format::Json => output::pretty(context)?,
        Format::Text => text(name, context),
    })
}

fn text(name: &str, context: &Context) -> String {
    let path = |path: &Option<PathBuf>| {
        path.as_ref().map_or_else(|| "-".to_owned(), |path| path.display().to_string())
    };
    format!(
        "name     {name}\nservers  {}\ndns      {}\ncert     {}\nkey      {}\nca       {}\n",
        commas(&context.servers),
        commas(&context.dns),
        path(&context.cert),
        path(&context.key),
        path(&context.ca),
    )
}

fn commas<T: ToString>(items: &[T]) -> String {
    match items {
        [] => "-".to_owned(),
        _ => items.iter().map(T::to_string).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_context_becomes_current_and_odd_ones_are_refused() {
        let mut contexts = Contexts::default();
        add(&mut contexts, "a".into(), Context::default()).unwrap();
        add(&mut contexts, "b".into(), Context::default()).unwrap();
        assert_eq!(contexts.current.as_deref(), Some("a"));
        assert!(add(&mut contexts, "a b".into(), Context::default()).is_err());
        assert!(add(&mut contexts, String::new(), Context::default()).is_err());
        let half = Context { cert: Some("/c".into()), ..Context::default() };
        let error = add(&mut contexts, "c".into(), half).unwrap_err().to_string();
        assert_eq!(error, "--cert, --key and --ca go together: give all three or none");
    }

    #[test]
    fn what_is_missing_shows_as_a_dash() {
        let context = Context { servers: vec![HostPort::new("ns1", 7443)], ..Context::default() };
        assert_eq!(
            text("a", &context),
            "name     a\nservers  ns1:7443\ndns      -\ncert     -\nkey      -\nca       -\n"
        );
    }
}
