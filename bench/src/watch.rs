//! What a server, the generator and everybody else had of their cores while something was measured.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::cores::Cores;
use crate::cpu::{Cpu, Used};
use crate::{machine, processor};

/// From one moment on.
pub struct Watch {
    began: Instant,
    server: Cpu,
    ours: Duration,
    all: Duration,
}

/// What was seen until another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// How long it was.
    pub time: Duration,
    /// What the server had.
    pub server: Used,
    /// What others than it and this thread used of the cores, of 1.
    pub others: f64,
}

impl Watch {
    /// From now on, of the server's processes.
    pub fn begin(server: &BTreeSet<u32>, cores: Cores) -> Self {
        Self {
            began: Instant::now(),
            server: Cpu::of(server),
            ours: processor(),
            all: machine::busy(&cores.all()),
        }
    }

    /// Until now, on the same thread.
    pub fn end(self, server: &BTreeSet<u32>, cores: Cores) -> Seen {
        let now = Watch::begin(server, cores);
        let time = now.began - self.began;
        let used = now.server.since(self.server);
        let known = used.total + (now.ours - self.ours);
        let others = (now.all - self.all).saturating_sub(known);
        let room = cores.all().len() as f64 * time.as_secs_f64();
        Seen { time, server: used, others: others.as_secs_f64() / room }
    }
}
