//! A home of its own for each test, and `geoip` run in it.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
use tempfile::TempDir;

/// An empty home directory; everything `geoip` keeps is in it.
pub(crate) struct Home {
    dir: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// With an authority and a context that shows a certificate of it.
    pub(crate) fn with_credentials() -> Self {
        let home = Self::new();
        home.ok(&["pki", "init", "--trust-domain", "test-net.io"]);
        home.ok(&["pki", "issue", "--user", "ada"]);
        let words = ["--cert", "pki/ada.crt", "--key", "pki/ada.key", "--ca", "pki/ca.crt"];
        home.ok(&[["context", "add", "test"].as_slice(), &words].concat());
        home
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Run {
        let output = self.command(words).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs it, and it must succeed.
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let run = self.run(words);
        assert_eq!(run.code, Some(0), "{words:?}: {run:?}");
        run.stdout
    }

    /// To be started.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let home: &Path = self.dir.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_geoip"));
        command.args(words).current_dir(home).stdin(Stdio::null());
        command.env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin");
        command
    }
}

/// A TCP port that is taken, so that no other test gets it, and closed: nobody listens.
pub(crate) struct ClosedPort {
    address: SocketAddr,
    _bound: OwnedFd,
}

impl ClosedPort {
    pub(crate) fn new() -> Self {
        let bound = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&bound, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = getsockname(&bound).unwrap().try_into().unwrap();
        Self { address, _bound: bound }
    }
}

impl fmt::Display for ClosedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
