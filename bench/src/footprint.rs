//! How much of the memory a server has.

use std::collections::BTreeSet;
use std::fs;

/// Octets of these processes' proportional set size: pages of a process alone, and its share of those
/// that it has in common with others, such as its parent. One that has ended counts nothing.
pub fn of(processes: &BTreeSet<u32>) -> usize {
    let of = |process: &u32| {
        let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
        proportional(&text).unwrap_or(0)
    };
    processes.iter().map(of).sum()
}

/// The line `Pss:` of proc_pid_smaps(5).
fn proportional(rollup: &str) -> Option<usize> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: usize = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_divided() {
        let text = "00400000-7ffd [rollup]\nRss:   5236 kB\nPss:   1016 kB\nPss_Anon: 7 kB\n";
        assert_eq!(proportional(text), Some(1016 << 10));
        assert_eq!(proportional("Rss: 1 kB\n"), None);
    }

    #[test]
    fn what_is_taken_is_seen() {
        const SIZE: usize = 64 << 20;
        let us = BTreeSet::from([std::process::id()]);
        let before = of(&us);
        let taken = std::hint::black_box(vec![1_u8; SIZE]);
        // Other tests may give back meanwhile, but not that much.
        assert!(of(&us) > before + SIZE / 2, "{before}");
        drop(taken);
    }
}
