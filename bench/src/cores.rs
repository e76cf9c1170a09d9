//! Two cores: one for the server, one for the generator.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Which core is whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    /// The server's, with all of its threads and processes.
    pub server: usize,
    /// The generator's.
    pub generator: usize,
}

impl Cores {
    /// The first two that this process may use.
    ///
    /// # Errors
    ///
    /// Those of the system, or that there is only one: a server that shares its core with the
    /// generator is measured in turns of the scheduler.
    pub fn find() -> io::Result<Self> {
        let ours = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| ours.is_set(*core));
        match (cores.next(), cores.next()) {
            (Some(server), Some(generator)) => Ok(Self { server, generator }),
            _ => {
                Err(io::Error::other("two cores are needed: one for the server, one for the load"))
            }
        }
    }
}

/// Moves this thread to a core, for good. What it starts from now on begins there too.
///
/// # Errors
///
/// Those of the system.
pub fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stays_where_it_is_pinned() {
        let ours = sched_getaffinity(None).unwrap();
        let core = (0..CpuSet::MAX_CPU).find(|core| ours.is_set(*core)).unwrap();
        let pinned = std::thread::spawn(move || {
            pin(core).unwrap();
            sched_getaffinity(None).unwrap()
        });
        let pinned = pinned.join().unwrap();
        assert!(pinned.is_set(core) && pinned.count() == 1);
        assert_eq!(sched_getaffinity(None).unwrap(), ours, "others stay where they were");
    }
}
