//! The command line, run with a context of its own.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::artifact;
use crate::authority::{Authority, Papers};
use crate::scratch::Scratch;

/// The command line as one person uses it: with a context, and no flags for what stands in it.
pub struct Geoip {
    contexts: PathBuf,
    toml: String,
}

/// What one run printed, and how it ended.
#[derive(Clone, Debug)]
pub struct Printed {
    /// The exit code; `None`: ended by a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Geoip {
    /// Somebody who shows these papers, or none.
    pub fn new(
        scratch: &Scratch,
        name: &str,
        authority: &Authority,
        papers: Option<&Papers>,
    ) -> Geoip {
        let ca = authority.certificate();
        let mut toml = format!("current = {name:?}\n\n[context.{name}]\nca = {ca:?}\n");
        if let Some(Papers { certificate, key }) = papers {
            let _ = write!(toml, "cert = {certificate:?}\nkey = {key:?}\n");
        }
        let contexts = scratch.write(&format!("geoip/{name}.toml"), &toml);
        Geoip { contexts, toml }
    }

    /// Who asks these name servers when nothing else is said.
    #[must_use]
    pub fn asking(mut self, controls: &[SocketAddr], dns: &[SocketAddr]) -> Geoip {
        let quoted = |addresses: &[SocketAddr]| -> Vec<String> {
            addresses.iter().map(SocketAddr::to_string).collect()
        };
        let (servers, dns) = (quoted(controls), quoted(dns));
        let _ = write!(self.toml, "servers = {servers:?}\ndns = {dns:?}\n");
        std::fs::write(&self.contexts, &self.toml).expect("the scratch folder can be written");
        self
    }

    /// Runs `geoip` with `args` to its end.
    pub fn run<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Printed {
        let mut command = self.command();
        command.args(args);
        let output = command.stdin(Stdio::null()).output();
        Printed::of(&output.unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// `geoip`, to be given arguments and started.
    pub fn command(&self) -> Command {
        let mut command = artifact::ending_with_us(&artifact::program("geoip"));
        command.env("GEOIP_CONFIG", &self.contexts);
        command
    }
}

impl Printed {
    fn of(output: &Output) -> Printed {
        Printed {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Its standard output as JSON.
    ///
    /// # Panics
    ///
    /// When it failed or printed something else.
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "geoip failed: {self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
