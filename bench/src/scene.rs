//! What is measured: who takes part, and how hard they are asked.

use crate::entrant::{Entrant, Who};

/// How hard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// So many queries under way, always: what a server can do.
    Closed(usize),
    /// So many queries per second, whatever the answers do: what clients see.
    Open(u32),
    /// Over TCP: so many connections, with so many queries under way on each.
    Kept {
        /// Connections.
        connections: usize,
        /// Queries under way on each.
        each: usize,
    },
    /// Over TCP: a connection for each query, so many at a time.
    Anew(usize),
    /// Over TCP: so many connections that have asked once and are silent since.
    Idle(usize),
}

/// A comparison of several servers, or of several cases of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, for readers of results.
    pub about: &'static str,
    /// Who takes part.
    pub entrants: &'static [Entrant],
    /// How hard they are asked.
    pub load: Load,
}

impl Scene {
    /// All that take part.
    pub fn who(&self) -> impl Iterator<Item = Who> {
        self.entrants.iter().map(|entrant| entrant.who)
    }
}
