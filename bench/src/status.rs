//! GeoPing's `Status` over mTLS, and what it costs a name server to ask for it.
//!
//! ```text
//!  geoping ◀─┐
//!            ├─ Client ─▶ Load: closed loop over HTTP/2 ─▶ requests, idle
//!  plain   ◀─┘       └──▶ connect and drop              ─▶ handshakes
//!  geopings ◀── dnsrouter ◀── Generator                 ─▶ probing
//! ```
//!
//! The plain server is what tonic and rustls cost by themselves, as `echo` is for UDP.

mod client;
mod handshakes;
mod idle;
mod load;
mod method;
pub mod plain;
mod probing;
mod requests;
mod servers;
mod wire;

use std::io;

use crate::cores::Cores;
use crate::rounds::Plan;

/// What is measured of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// Requests on kept connections.
    Requests,
    /// Full and resumed handshakes.
    Handshakes,
    /// Memory of idle connections.
    Idle,
    /// Ten thousand targets every ten seconds.
    Probing,
}

impl Scene {
    /// All.
    pub const ALL: [Scene; 4] = [Scene::Requests, Scene::Handshakes, Scene::Idle, Scene::Probing];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Scene::Requests => "status",
            Scene::Handshakes => "handshakes",
            Scene::Idle => "idle",
            Scene::Probing => "probing",
        }
    }

    /// Measures it: a section of results, in Markdown.
    ///
    /// # Errors
    ///
    /// Those of the system; a server that refuses, or falls silent.
    pub fn measure(self, plan: Plan, cores: Cores) -> io::Result<String> {
        // On this thread, so that what the generator uses is known.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        match self {
            Scene::Requests => requests::measure(&runtime, plan, cores),
            Scene::Handshakes => handshakes::measure(&runtime, plan, cores),
            Scene::Idle => idle::measure(&runtime, cores),
            Scene::Probing => probing::measure(cores),
        }
    }
}
