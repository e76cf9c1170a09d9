//! One region's GeoPing: started, ended, frozen and brought back on the same port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::artifact;
use crate::authority::{Authority, Papers};
use crate::process::Process;
use crate::scrape::Metrics;
use crate::scratch::Scratch;

/// How a region is to be started.
pub struct RegionPlan {
    name: String,
    grpc: SocketAddr,
    papers: Option<Papers>,
    crl: bool,
    more: String,
}

impl RegionPlan {
    /// A region of this name, on a free port of 127.0.0.1.
    pub fn new(name: &str) -> RegionPlan {
        RegionPlan {
            name: name.to_owned(),
            grpc: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            papers: None,
            crl: false,
            more: String::new(),
        }
    }

    /// Listens here instead.
    #[must_use]
    pub fn listen(mut self, grpc: SocketAddr) -> RegionPlan {
        self.grpc = grpc;
        self
    }

    /// Shows these papers instead of fresh ones.
    #[must_use]
    pub fn papers(mut self, papers: Papers) -> RegionPlan {
        self.papers = Some(papers);
        self
    }

    /// Looks at the authority's list of revoked certificates.
    #[must_use]
    pub fn with_crl(mut self) -> RegionPlan {
        self.crl = true;
        self
    }

    /// More lines for the end of its configuration.
    #[must_use]
    pub fn more(mut self, toml: &str) -> RegionPlan {
        self.more.push_str(toml);
        self
    }

    /// Starts it and waits until it serves.
    pub fn start(self, scratch: &Scratch, authority: &Authority) -> Region {
        let papers = self.papers.clone().unwrap_or_else(|| authority.region(&self.name));
        let crl = if self.crl { format!("crl = {:?}\n", authority.crl()) } else { String::new() };
        let config = format!(
            "[node]\nname = \"{name}-a\"\nregion = \"{name}\"\ntrust_domain = \"{domain}\"\n\n\
             [listen]\ngrpc = \"{grpc}\"\nadmin = \"127.0.0.1:0\"\n\n\
             [tls]\ncert = {cert:?}\nkey = {key:?}\nca = {ca:?}\n{crl}\n{more}",
            name = self.name,
            domain = authority.trust_domain(),
            grpc = self.grpc,
            cert = papers.certificate,
            key = papers.key,
            ca = authority.certificate(),
            more = self.more,
        );
        let config = scratch.write(&format!("{}/geoping.toml", self.name), config);
        let mut region = Region {
            name: self.name,
            papers,
            folder: config.parent().expect("a file in a folder").to_path_buf(),
            grpc: self.grpc,
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            process: None,
        };
        region.revive();
        region
    }
}

/// A running, frozen or dead GeoPing.
pub struct Region {
    name: String,
    papers: Papers,
    folder: PathBuf,
    grpc: SocketAddr,
    admin: SocketAddr,
    process: Option<Process>,
}

impl Region {
    /// Its region's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it answers pings; the same before and after [`kill`](Self::kill).
    pub fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// The address part of [`grpc`](Self::grpc).
    pub fn address(&self) -> IpAddr {
        self.grpc.ip()
    }

    /// Where its metrics are.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its certificate and key.
    pub fn papers(&self) -> &Papers {
        &self.papers
    }

    /// The process.
    ///
    /// # Panics
    ///
    /// When it is dead.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the region was not killed")
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again, on the port it had, and waits until it serves.
    pub fn revive(&mut self) {
        let ready = self.folder.join("ready.json");
        let _ = std::fs::remove_file(&ready);
        let mut command = artifact::ending_with_us(&artifact::program("geoping"));
        command.arg("--config").arg(self.folder.join("geoping.toml"));
        command.arg("--set").arg(format!("listen.grpc={}", self.grpc));
        command.arg("--ready-file").arg(&ready);
        let log = self.folder.join("geoping.log");
        let mut process = Process::spawn(&format!("geoping of {}", self.name), command, &log);
        let addresses = process.ready(&ready);
        self.grpc = address(&addresses["grpc"]);
        self.admin = address(&addresses["admin"]);
        self.process = Some(process);
    }

    /// Freezes it: connections stay, nothing answers.
    pub fn freeze(&mut self) {
        self.process().freeze();
    }

    /// Lets it go on.
    pub fn thaw(&mut self) {
        self.process().thaw();
    }

    /// How often the handler of `Status` has run.
    pub fn requests(&self) -> f64 {
        Metrics::scrape(self.admin).sum("geoping_requests_total")
    }
}

/// An address in a file that a program writes when it serves.
pub fn address(value: &serde_json::Value) -> SocketAddr {
    let text = value.as_str().unwrap_or_else(|| panic!("no address in the ready file: {value}"));
    text.parse().unwrap_or_else(|_| panic!("not an address in the ready file: {text}"))
}
