//! Who answers: one GeoPing, and the plain server beside it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;

use tests::authority::{Authority, Papers};
use tests::process::Process;
use tests::region::{Region, RegionPlan};
use tests::scratch::Scratch;

use super::method::Method;
use super::plain;

/// The region of both.
const REGION: &str = "us-central1";
/// Who asks.
const USER: &str = "bench";

/// A server program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// Ours.
    Geoping,
    /// Tonic and rustls alone.
    Plain,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Program::Geoping => "geoping",
            Program::Plain => "plain tonic",
        })
    }
}

/// Both, running, and the papers to call them with.
pub(super) struct Servers {
    /// Of the caller.
    pub(super) papers: Papers,
    caller: String,
    geoping: Region,
    plain: (Process, SocketAddr),
}

impl Servers {
    /// Starts them on the core that this thread is on; `more` is for the end of GeoPing's
    /// configuration.
    ///
    /// # Panics
    ///
    /// When one does not start.
    pub(super) fn start(scratch: &Scratch, more: &str) -> Self {
        let authority = Authority::create(scratch, "authority");
        let plan = RegionPlan::new(REGION).more(more);
        let plain = plain::start(&authority.region(REGION), &authority, scratch);
        Self {
            papers: authority.user(USER),
            caller: format!("spiffe://{}/user/{USER}", authority.trust_domain()),
            geoping: plan.start(scratch, &authority),
            plain,
        }
    }

    pub(super) fn address(&self, program: Program) -> SocketAddr {
        match program {
            Program::Geoping => self.geoping.grpc(),
            Program::Plain => self.plain.1,
        }
    }

    /// Its processes.
    pub(super) fn family(&mut self, program: Program) -> BTreeSet<u32> {
        BTreeSet::from([match program {
            Program::Geoping => self.geoping.process().id(),
            Program::Plain => self.plain.0.id(),
        }])
    }

    /// `Status`, with what they are to answer.
    pub(super) fn status(&self) -> Method {
        Method::Status { region: REGION.into(), caller: self.caller.as_str().into() }
    }
}
