//! Who waits with whom, of those that cannot be answered at once.
//!
//! A signature costs some microseconds to verify and nothing to make up, and over UDP its source
//! may be made up as well. So what can be known of a message before anything is computed decides
//! whom it waits behind: nobody fills a lane that is better than their own.

use dns::tsig;
use dns::wire::Request;

use crate::updates::Updates;

use super::Transport;

/// Where a message waits, from the best lane to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// It came over a connection: its source is proven, and has limits of its own.
    Tcp,
    /// A datagram that names a key of this server.
    Udp,
    /// A datagram that names none: it will only be told so.
    Stranger,
}

impl Lane {
    /// All of them, in the order of their numbers.
    pub const ALL: [Lane; 3] = [Lane::Tcp, Lane::Udp, Lane::Stranger];

    /// The lane of a message with a transaction signature. Allocates nothing.
    pub(super) fn of(request: &Request<'_>, transport: Transport, updates: &Updates) -> Self {
        match transport {
            Transport::Tcp { .. } => Lane::Tcp,
            Transport::Udp => match tsig::names(request) {
                Some((key, algorithm)) if updates.has(&key, algorithm) => Lane::Udp,
                _ => Lane::Stranger,
            },
        }
    }

    /// As metrics call it.
    pub fn word(self) -> &'static str {
        match self {
            Lane::Tcp => "tcp",
            Lane::Udp => "udp",
            Lane::Stranger => "stranger",
        }
    }
}
