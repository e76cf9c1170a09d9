//! Contexts: which servers to ask, and who to be there, so that commands need no flags.
//!
//! ```toml
//! current = "dev"
//!
//! [context.dev]
//! servers = ["127.0.0.21:7443"]     # dnsrouter control endpoints
//! dns     = ["127.0.0.21:5300"]     # name servers for `ping` and `dig`
//! cert    = "/…/dev.crt"
//! key     = "/…/dev.key"
//! ca      = "/…/ca.crt"
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use daemon::files::{self, ReadError};
use serde::{Deserialize, Serialize};

use crate::endpoint::HostPort;
use crate::whole_file;

/// The context that `geoip dev up` writes.
pub(crate) const DEV: &str = "dev";

/// A file larger than this is not one of ours.
const MAX_FILE: u64 = 1024 * 1024;

/// One named set of servers and credentials. Everything is optional: what is missing must come
/// from flags.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) servers: Vec<HostPort>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) dns: Vec<SocketAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cert: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
}

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The context in use; the name of one below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    #[serde(default)]
    pub(crate) context: BTreeMap<String, Context>,
}

impl Contexts {
    /// Reads the file. A file that does not exist is an empty one.
    ///
    /// # Errors
    /// When it cannot be read, or says something else than the form above.
    pub(crate) fn load(file: &Path) -> anyhow::Result<Self> {
        let shown = file.display();
        let content = match files::read(file, MAX_FILE) {
            Err(ReadError::System(error)) if error.kind() == ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(ReadError::TooLarge(_)) => {
                bail!("{shown} is larger than {MAX_FILE} bytes: not a contexts file")
            }
            read => read.with_context(|| format!("{shown}: cannot read it"))?,
        };
        let not_one = || format!("{shown} is not a contexts file");
        toml::from_slice(&content.octets).with_context(not_one)
    }

    /// Replaces the file as a whole: a crash leaves the old one or the new one.
    ///
    /// # Errors
    /// When the directory cannot be made or written.
    pub(crate) fn save(&self, file: &Path) -> anyhow::Result<()> {
        let failed = || format!("{}: cannot write it", file.display());
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).with_context(failed)?;
        }
        let text = toml::to_string(self)?;
        whole_file::write(file, text.as_bytes(), 0o600).with_context(failed)
    }

    /// The context to work in: the one asked for by `--context`, else the current one, else an
    /// empty one.
    ///
    /// # Errors
    /// When the name is not in the file; the message lists the names that are.
    pub(crate) fn choose(&self, asked: Option<&str>) -> Result<Context, UnknownContext> {
        match asked.or(self.current.as_deref()) {
            None => Ok(Context::default()),
            Some(name) => self.get(name).cloned(),
        }
    }

    /// The context of that name.
    ///
    /// # Errors
    /// As [`Contexts::choose`].
    pub(crate) fn get(&self, name: &str) -> Result<&Context, UnknownContext> {
        self.context.get(name).ok_or_else(|| UnknownContext {
            name: name.to_owned(),
            known: self.context.keys().cloned().collect(),
        })
    }
}

/// A context was named that is not in the file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no context \"{name}\"; {}", known_or_hint(known))]
pub(crate) struct UnknownContext {
    name: String,
    known: Vec<String>,
}

fn known_or_hint(known: &[String]) -> String {
    if known.is_empty() {
        "none is defined yet: `geoip context add NAME …`".to_owned()
    } else {
        format!("there are: {}", known.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Contexts {
        let dev = Context {
            servers: vec![HostPort::new("127.0.0.21", 7443)],
            dns: vec!["127.0.0.21:5300".parse().unwrap()],
            cert: Some("/p/dev.crt".into()),
            key: Some("/p/dev.key".into()),
            ca: Some("/p/ca.crt".into()),
        };
        Contexts { current: Some("dev".into()), context: [("dev".to_owned(), dev)].into() }
    }

    #[test]
    fn what_is_saved_is_loaded_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("deep/contexts.toml");
        assert_eq!(Contexts::load(&file).unwrap(), Contexts::default());
        example().save(&file).unwrap();
        assert_eq!(Contexts::load(&file).unwrap(), example());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn the_file_reads_as_documented() {
        let text = toml::to_string(&example()).unwrap();
        assert_eq!(
            text,
            "current = \"dev\"\n\n[context.dev]\nservers = [\"127.0.0.21:7443\"]\n\
             dns = [\"127.0.0.21:5300\"]\ncert = \"/p/dev.crt\"\nkey = \"/p/dev.key\"\n\
             ca = \"/p/ca.crt\"\n"
        );
    }

    #[test]
    fn an_asked_context_wins_and_an_unknown_one_is_refused() {
        let contexts = example();
        assert_eq!(contexts.choose(None).unwrap().servers.len(), 1);
        let error = contexts.choose(Some("prod")).unwrap_err().to_string();
        assert_eq!(error, "there is no context \"prod\"; there are: dev");
        assert_eq!(Contexts::default().choose(None).unwrap(), Context::default());
    }

    #[test]
    fn unknown_keys_and_bad_endpoints_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("contexts.toml");
        for text in ["currant = \"dev\"", "[context.a]\nservers = [\"nowhere\"]"] {
            fs::write(&file, text).unwrap();
            assert!(Contexts::load(&file).is_err(), "{text}");
        }
    }
}
