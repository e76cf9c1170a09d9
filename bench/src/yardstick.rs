//! Servers of this very program, that others are compared with: subcommands, so that each is a process.

use std::net::{Ipv4Addr, UdpSocket};

use clap::Subcommand;

use crate::echo;
use crate::status::plain;

/// Which.
#[derive(Subcommand)]
pub enum Yardstick {
    /// The limit of UDP sockets: sends back on 127.0.0.1 whatever comes, as replies.
    Echo {
        /// The port.
        port: u16,
    },
    /// What tonic and rustls cost: grpc.health.v1 over mTLS on 127.0.0.1, and nothing else.
    Plain(plain::Arguments),
}

impl Yardstick {
    /// Serves until the process ends.
    ///
    /// # Errors
    ///
    /// Those of the system, and of files that are not what they should be.
    pub fn serve(&self) -> anyhow::Result<()> {
        match self {
            Yardstick::Echo { port } => {
                Ok(echo::serve(&UdpSocket::bind((Ipv4Addr::LOCALHOST, *port))?)?)
            }
            Yardstick::Plain(arguments) => plain::serve(arguments),
        }
    }
}
