//! Who asks a server, over UDP or TCP as its load says.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::generator::{Generator, Manner, Streams, Tally, Then, Until, Workload};
use crate::scene::Load;

/// Questions that a server answers before anything is measured, and how many at once.
const CHECKED: u64 = 5000;
const CHECKED_AT_ONCE: usize = 16;
/// Connections that are opened at once, on the way to many: fewer than servers let wait.
const OPENED_AT_ONCE: usize = 64;

/// Asks one server as hard as its load says.
pub enum Asker<'w> {
    /// Over UDP, with so many under way.
    Closed(Box<Generator<'w>>, usize),
    /// Over UDP, so many per second.
    Open(Box<Generator<'w>>, u32),
    /// Over TCP; with a number, until so many connections rest.
    Streams(Box<Streams<'w>>, Manner, Option<usize>),
}

impl<'w> Asker<'w> {
    /// For so many resolvers.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn new(
        load: Load,
        workload: &'w Workload,
        server: SocketAddr,
        clients: u32,
    ) -> io::Result<Self> {
        let generator = || Ok::<_, io::Error>(Box::new(Generator::new(workload, server, clients)?));
        let streams = |connections, each, then, resting| {
            let streams = Box::new(Streams::new(workload, server, clients));
            Self::Streams(streams, Manner { connections, each, then }, resting)
        };
        Ok(match load {
            Load::Closed(window) => Self::Closed(generator()?, window),
            Load::Open(rate) => Self::Open(generator()?, rate),
            Load::Kept { connections, each } => streams(connections, each, Then::Again, None),
            Load::Anew(connections) => streams(connections, 1, Then::Close, None),
            Load::Idle(count) => streams(OPENED_AT_ONCE, 1, Then::Rest, Some(count)),
        })
    }

    /// Asks a few thousand questions, gently.
    ///
    /// # Errors
    ///
    /// Those of the system; a server that is silent.
    pub fn check(&mut self) -> io::Result<Tally> {
        let until = Until::Answered(CHECKED);
        match self {
            Self::Closed(generator, _) | Self::Open(generator, _) => {
                generator.closed(CHECKED_AT_ONCE, until)?;
            }
            Self::Streams(streams, manner, _) => {
                let then = if manner.then == Then::Rest { Then::Close } else { manner.then };
                streams.run(Manner { connections: CHECKED_AT_ONCE, then, ..*manner }, until)?;
            }
        }
        Ok(self.take())
    }

    /// Asks for so long, or until as many connections rest as the load says.
    ///
    /// # Errors
    ///
    /// Those of the system; a server that is silent.
    pub fn ask(&mut self, time: Duration) -> io::Result<()> {
        match self {
            Self::Closed(generator, window) => generator.closed(*window, Until::Passed(time)),
            Self::Open(generator, rate) => generator.open(*rate, time),
            Self::Streams(streams, manner, None) => streams.run(*manner, Until::Passed(time)),
            Self::Streams(streams, manner, Some(count)) => {
                let missing = count.saturating_sub(streams.resting());
                streams.run(*manner, Until::Answered(missing as u64))
            }
        }
    }

    /// Closes connections that rest; returns how many they were.
    pub fn wake(&mut self) -> usize {
        match self {
            Self::Closed(..) | Self::Open(..) => 0,
            Self::Streams(streams, ..) => streams.wake(),
        }
    }

    /// What came of the queries since this was asked last.
    pub fn take(&mut self) -> Tally {
        match self {
            Self::Closed(generator, _) | Self::Open(generator, _) => generator.take(),
            Self::Streams(streams, ..) => streams.take(),
        }
    }
}
