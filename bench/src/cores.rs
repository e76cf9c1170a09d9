//! Two cores: one for the server, one for the generator; and a third for a server of two threads.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::contender::Product;

/// Which core is whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    /// The server's, with all of its threads and processes.
    pub server: usize,
    /// The generator's.
    pub generator: usize,
    /// Nobody's, where there is one.
    pub spare: Option<usize>,
}

impl Cores {
    /// The first three that this process may use.
    ///
    /// # Errors
    ///
    /// Those of the system, or that there is only one: a server that shares its core with the
    /// generator is measured in turns of the scheduler.
    pub fn find() -> io::Result<Self> {
        let ours = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| ours.is_set(*core));
        match (cores.next(), cores.next()) {
            (Some(server), Some(generator)) => Ok(Self { server, generator, spare: cores.next() }),
            _ => {
                Err(io::Error::other("two cores are needed: one for the server, one for the load"))
            }
        }
    }

    /// All that something may run on.
    pub fn all(self) -> Vec<usize> {
        [Some(self.server), Some(self.generator), self.spare].into_iter().flatten().collect()
    }

    /// Those of a server: a second thread shares the generator's where there are but two.
    pub fn of(self, product: Product) -> Vec<usize> {
        match product {
            Product::Double => vec![self.server, self.spare.unwrap_or(self.generator)],
            _ => vec![self.server],
        }
    }
}

/// Moves this thread to a core, for good. What it starts from now on begins there too.
///
/// # Errors
///
/// Those of the system.
pub fn pin(core: usize) -> io::Result<()> {
    pin_to(&[core])
}

/// Moves this thread to these cores, for good. What it starts from now on begins there too.
///
/// # Errors
///
/// Those of the system.
pub fn pin_to(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
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

    #[test]
    fn a_second_thread_has_a_core_where_there_is_one() {
        let two = Cores { server: 0, generator: 1, spare: None };
        let three = Cores { spare: Some(2), ..two };
        assert_eq!([two, three].map(|cores| cores.of(Product::Double)), [vec![0, 1], vec![0, 2]]);
        assert_eq!(three.of(Product::Dnsrouter), [0]);
    }
}
