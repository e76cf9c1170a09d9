//! This node's certificate, and whom it lets in: mutual TLS 1.3 with one authority.
//!
//! ```no_run
//! use daemon::{config, tls::{self, Expect, Tls}};
//! use pki::Program;
//!
//! # fn run(config: &config::Tls, ours: &pki::TrustDomain) -> Result<(), tls::TlsError> {
//! let tls = Tls::load(config, Some(ours), tls::system_clock())?;
//! println!("we are {} until {:?}", tls.identity(), tls.not_after());
//! let server = tls.server_config();                         // Arc<rustls::ServerConfig>
//! let to_peers = tls.client_config(&Expect::program(Program::Dnsrouter));
//! if let Err(error) = tls.reload() {                        // all or nothing
//!     tracing::error!("{error}");                           // the old certificate goes on
//! }
//! # Ok(()) }
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use pki::{Identity, IdentityError, Program, TrustDomain};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ServerConfig};

use crate::config;

/// This node's identity and trust; certificates inside are swapped by [`Tls::reload`].
#[derive(Debug)]
pub struct Tls {
    _todo: (),
}

/// Whom a client expects at the other end, within our trust domain. The default is anybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// The program the server must be.
    pub program: Option<Program>,
    /// The region the server must stand in.
    pub region: Option<String>,
}

/// Who is at the other end of a connection; the gRPC server puts it into request extensions.
#[derive(Clone, Debug)]
pub struct Peer {
    /// From where.
    pub address: SocketAddr,
    /// Whom the certificate names, or why it names nobody.
    pub identity: Result<Identity, IdentityError>,
}

/// What a [`Tls::reload`] changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// Every file is as it was.
    Unchanged,
    /// New connections use what was read.
    Changed,
}

/// Why the files cannot be used. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {}

/// The system's clock.
pub fn system_clock() -> Arc<dyn TimeProvider> {
    Arc::new(rustls::time_provider::DefaultTimeProvider)
}

impl Expect {
    /// Any node that runs `program`.
    pub fn program(program: Program) -> Self {
        Self { program: Some(program), region: None }
    }

    /// Only in `region`.
    pub fn in_region(self, region: impl Into<String>) -> Self {
        Self { region: Some(region.into()), ..self }
    }
}

impl Tls {
    /// Reads and checks the files. Without a trust domain, the one of our own certificate.
    ///
    /// # Errors
    ///
    /// [`TlsError`] names the file and what is wrong with it.
    pub fn load(
        config: &config::Tls,
        trust_domain: Option<&TrustDomain>,
        clock: Arc<dyn TimeProvider>,
    ) -> Result<Arc<Self>, TlsError> {
        let _ = (config, trust_domain, clock);
        todo!()
    }

    /// Reads the files again; all or nothing.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; what was loaded before goes on.
    pub fn reload(&self) -> Result<Reloaded, TlsError> {
        todo!()
    }

    /// Who we are.
    pub fn identity(&self) -> Identity {
        todo!()
    }

    /// The installation we belong to.
    pub fn trust_domain(&self) -> &TrustDomain {
        todo!()
    }

    /// When our certificate ends.
    pub fn not_after(&self) -> SystemTime {
        todo!()
    }

    /// The files to watch.
    pub fn files(&self) -> Vec<PathBuf> {
        todo!()
    }

    /// For accepting: asks for a client certificate of our authority.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        todo!()
    }

    /// For connecting: no host name; the server's certificate must name whom we `expect`.
    pub fn client_config(&self, expect: &Expect) -> Arc<ClientConfig> {
        let _ = expect;
        todo!()
    }
}
