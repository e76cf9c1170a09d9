//! Other products' configurations, as ours: zones, regions and services, and what could not be
//! carried over.
//!
//! ```text
//!  gdnsd:    config, zones/*  ──vscf, scan──▶ resources ─┐
//!  Route 53: *.json           ──serde────────▶ policies ─┼─▶ Choice ─compose─▶ Service ─┐
//!  geodns:   *.json           ──serde────────▶ labels ───┘                              ├─▶ dnsrouter.toml
//!            static records ────────────────────────────────────────────────▶ Zone ─────┘   *.zone
//!                            Findings: what differs, where it stood, why, what to do
//! ```
//!
//! | to find | look into |
//! |---|---|
//! | what a product's configuration means | `gdnsd`, `route53`, `geodns` |
//! | a way to choose that is nobody's in particular, and how it becomes a route | `choice` |
//! | services, regions, endpoints, and how they are written | `service`, `regions`, `document` |
//! | what is left out because it would not load | `settle` |
//! | which files are read, and their limits | `files` |
//!
//! Everything but `files` is pure. What is imported comes from elsewhere and is believed in nothing:
//! sizes, depths and counts have limits, and a mistake is told with its file, line and column.

pub(crate) mod choice;
pub(crate) mod document;
pub(crate) mod files;
pub(crate) mod findings;
pub(crate) mod gdnsd;
pub(crate) mod geodns;
pub(crate) mod networks;
pub(crate) mod regions;
pub(crate) mod route53;
pub(crate) mod service;
mod settle;
pub(crate) mod vscf;
pub(crate) mod zone;

use daemon::config::{ConfigError, Problem};
use dns::name::Name;

use choice::{Choice, Composed, Misfit};
use findings::Findings;
use regions::Regions;
use service::{Body, Service};
use zone::Zone;

/// What an import has come to so far.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    pub(crate) settings: Settings,
    pub(crate) regions: Regions,
    pub(crate) zones: Vec<Zone>,
    pub(crate) services: Vec<Service>,
    pub(crate) findings: Findings,
}

/// What of a product's own settings has a counterpart here.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Settings {
    /// Where DNS is answered; empty: a loopback address, to be changed.
    pub(crate) listen: Vec<String>,
    /// What NSID says.
    pub(crate) nsid: Option<String>,
    /// What version.bind says; none: names of class CHAOS are refused.
    pub(crate) chaos: Option<String>,
    /// How targets are checked.
    pub(crate) probe: Option<Probe>,
    /// What answers depend on besides this node's own database, in words.
    pub(crate) databases: Vec<String>,
}

/// How targets are checked; one for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Probe {
    /// Seconds from one check to the next.
    pub(crate) interval: u32,
    /// Seconds.
    pub(crate) timeout: u32,
    /// Successes in a row that bring a target up.
    pub(crate) rise: u32,
    /// Failures in a row that take it down.
    pub(crate) fall: u32,
}

impl Imported {
    /// Adds a name that is answered by `choice`; what does not fit is told of `at`.
    pub(crate) fn serve(
        &mut self,
        name: Name,
        choice: Choice,
        (ttl, ttl_min): (u32, Option<u32>),
        at: &str,
    ) {
        let Composed { own, misfits } = choice.compose(ttl, ttl_min);
        for Misfit { left_out, what, why, instead } in misfits {
            let at = format!("{at} ({name})");
            match left_out {
                true => self.findings.left_out(at, &what, why, instead),
                false => self.findings.changed(at, &what, why, instead),
            }
        }
        self.services.extend(own.map(|own| Service { name, body: Body::Own(own) }));
    }

    /// There is one rhythm for all checks: the first that is needed. Others are told of `at`.
    pub(crate) fn probe(&mut self, probe: Probe, at: &str) {
        let known = *self.settings.probe.get_or_insert(probe);
        if known != probe {
            let Probe { interval, timeout, rise, fall } = probe;
            let what =
                format!("interval {interval} s, timeout {timeout} s, rise {rise}, fall {fall}");
            let why = "there is one [probe] for all checks, and another check gave it";
            self.findings.changed(at, &what, why, "choose values that suit both");
        }
    }

    /// The last step of every import: leaves out what dnsrouter would refuse, and says what there is
    /// to say about the whole.
    pub(crate) fn settle(mut self) -> Self {
        settle::settle(&mut self);
        self
    }
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The input is not what it should be: where, and what would be.
    #[error("{}", .0.report())]
    Input(#[from] ConfigError),
    /// A file cannot be read, or there is nothing to import.
    #[error("{0}")]
    Unread(String),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Input(ConfigError { errors: vec![problem] })
    }
}
