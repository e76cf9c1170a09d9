//! The machine, and what else it is doing.

use std::time::Duration;
use std::{fmt, fs, io};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What /proc/stat counts in: USER_HZ, a hundredth of a second on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// Several times as many as any scene needs connections.
const DESCRIPTORS: u64 = 1 << 16;

/// What results should be read with.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The kernel's release.
    pub kernel: String,
    /// The processor's name.
    pub processor: String,
    /// How many cores there are.
    pub cores: usize,
    /// How busy it is: runnable tasks in the last minute, five, fifteen.
    pub load: String,
}

impl Machine {
    /// This one, now.
    pub fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let mut names = processors.lines().filter_map(|line| line.strip_prefix("model name"));
        let cores = processors.lines().filter(|line| line.starts_with("processor")).count();
        let load = read("/proc/loadavg");
        Self {
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            processor: names
                .next()
                .unwrap_or("unknown")
                .trim_start_matches([' ', '\t', ':'])
                .into(),
            cores,
            load: load.split(' ').take(3).collect::<Vec<_>>().join(" "),
        }
    }
}

/// Lets this process and those it starts open `DESCRIPTORS` files, or as many as the system allows:
/// many connections are many sockets on both sides.
///
/// # Errors
///
/// Those of the system.
pub fn allow_descriptors() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
    let current = limit.current.map(|current| current.max(wanted));
    Ok(setrlimit(Resource::Nofile, Rlimit { current, ..limit })?)
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, processor, cores, load } = self;
        write!(f, "Linux {kernel}, {cores} cores of {processor}; load {load}")
    }
}

/// Processor time that anybody has had on these cores since the machine started, its host's other
/// guests included where it tells of them.
pub fn busy(cores: &[usize]) -> Duration {
    ticks(&fs::read_to_string("/proc/stat").unwrap_or_default(), cores)
}

/// Of proc_stat(5), a line per core: user, nice, system, idle, iowait, irq, softirq, steal; guests'
/// time, behind, is in that of users.
fn ticks(stat: &str, cores: &[usize]) -> Duration {
    let of_core = |core: &usize| {
        let name = format!("cpu{core} ");
        let line = stat.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_default();
        let figures = line.split_whitespace().map(|figure| figure.parse::<u32>().unwrap_or(0));
        let busy = figures.take(8).enumerate().filter(|(field, _)| ![3, 4].contains(field));
        busy.map(|(_, figure)| TICK * figure).sum::<Duration>()
    };
    cores.iter().map(of_core).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_not_busy() {
        let stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 100 20 3 999999 88888 4 5 6 77 0\n\
                    cpu1 1 0 0 5 5 0 0 0 0 0\ncpu10 7 0 0 0 0 0 0 0 0 0\nintr 1\n";
        assert_eq!(ticks(stat, &[0]), TICK * (100 + 20 + 3 + 4 + 5 + 6));
        assert_eq!(ticks(stat, &[1, 10]), TICK * 8);
    }

    #[test]
    fn this_machine_tells_what_it_is() {
        let machine = Machine::look();
        assert!(machine.cores > 0 && !machine.kernel.is_empty(), "{machine}");
        assert!((0..8).any(|core| busy(&[core]) > Duration::ZERO));
    }
}
