//! What a process has had of the processors.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// Processor time of a server: of all its threads, and of the processes it has started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// In nanoseconds, from the scheduler (/proc/PID/task/TID/schedstat). It lags by the time since
    /// the last tick: 4 ms at most.
    pub total: Duration,
    /// In user space and in the kernel, in ticks of 10 ms. The kernel divides what it knows exactly in
    /// the proportion that it saw at its ticks, so the division is a sample.
    user: u64,
    system: u64,
}

/// What was used between two looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Used {
    /// All of it.
    pub total: Duration,
    /// How much of it in user space, of 1.
    pub user: f64,
}

impl Cpu {
    /// Of these processes so far. One that has ended counts nothing.
    pub fn of(processes: &BTreeSet<u32>) -> Self {
        processes.iter().fold(Self::default(), |sum, process| {
            let (user, system) = stat(*process).map_or((0, 0), |stat| stat.times);
            Self {
                total: sum.total + scheduled(*process),
                user: sum.user + user,
                system: sum.system + system,
            }
        })
    }

    /// What was used since `before`.
    pub fn since(self, before: Self) -> Used {
        let user = self.user.saturating_sub(before.user);
        let all = user + self.system.saturating_sub(before.system);
        Used {
            total: self.total.saturating_sub(before.total),
            user: user as f64 / all.max(1) as f64,
        }
    }
}

/// A process and all it has started, and they in turn.
pub fn family(process: u32) -> BTreeSet<u32> {
    let all: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|process| Some((process, stat(process)?.parent)))
        .collect();
    let mut family = BTreeSet::from([process]);
    loop {
        let children: Vec<u32> = all
            .iter()
            .filter(|(child, parent)| family.contains(parent) && !family.contains(child))
            .map(|(child, _)| *child)
            .collect();
        if children.is_empty() {
            return family;
        }
        family.extend(children);
    }
}

/// Time that a process' threads have run.
fn scheduled(process: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let figures = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        figures.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

struct Stat {
    parent: u32,
    times: (u64, u64),
}

/// Fields 4, 14 and 15 of proc_pid_stat(5).
fn stat(process: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, field 2, may hold anything but its end.
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Stat { parent: u32::try_from(field(4)?).ok()?, times: (field(14)?, field(15)?) })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn what_is_used_is_seen() {
        let us = BTreeSet::from([std::process::id()]);
        let before = Cpu::of(&us);
        // Until the figures have moved: however busy the machine is, they do.
        let used = loop {
            std::hint::black_box((0..1_000_000_u64).fold(0, |sum, n| sum ^ n));
            let used = Cpu::of(&us).since(before);
            if used.total > Duration::from_millis(30) {
                break used;
            }
        };
        assert!((0.0..=1.0).contains(&used.user), "{used:?}");
    }

    #[test]
    fn a_family_has_children_and_no_strangers() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let family = family(std::process::id());
        assert!(family.contains(&child.id()) && family.contains(&std::process::id()));
        assert!(!family.contains(&1), "{family:?}");
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn shares_are_of_what_was_used_between() {
        let before = Cpu { total: Duration::from_millis(5), user: 10, system: 10 };
        let after = Cpu { total: Duration::from_millis(45), user: 11, system: 13 };
        let used = after.since(before);
        assert_eq!((used.total, used.user), (Duration::from_millis(40), 0.25));
        assert_eq!(before.since(before).user, 0.0, "nothing was used");
    }
}
