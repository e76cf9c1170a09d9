//! One process of the system: started, watched, ended, and nothing left of it.
//!
//! A task owns each process. Only that task reaps it, so a signal never goes to a process id
//! that has meanwhile become somebody else's.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::sync::mpsc;

use super::layout::Node;
use crate::exit::printable;

/// Lines of a log that are shown when its process died.
const TAIL_LINES: usize = 20;

/// Bytes that are read for them.
const TAIL_BYTES: u64 = 16 * 1024;

/// What a node's configuration must not be overridden by when started here.
const OVERRIDES: &str = "GEOPING__";

/// How a process is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// SIGTERM: drain, then leave.
    Gracefully,
    /// SIGKILL: as a machine that loses power.
    AtOnce,
}

/// A process ended, asked or not.
#[derive(Debug)]
pub(crate) struct Exited {
    pub(crate) node: String,
    pub(crate) pid: u32,
    pub(crate) status: Result<ExitStatus, std::io::Error>,
}

/// A running process, as its fleet holds it. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: u32,
    orders: mpsc::Sender<End>,
}

/// Orders that may wait for the task: one of each kind says all.
const ORDERS: usize = 2;

impl Child {
    /// Starts `program` for that node, with its log appended to. `exits` is told when it ends.
    ///
    /// # Errors
    /// When the log cannot be written or the program cannot be started.
    pub(crate) fn start(
        program: &Path,
        node: &Node,
        exits: mpsc::UnboundedSender<Exited>,
    ) -> anyhow::Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(&node.log);
        let log = log.with_context(|| format!("{}: cannot write it", node.log.display()))?;
        // What an earlier process said does not make this one ready.
        match fs::remove_file(&node.ready) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error)
                    .with_context(|| format!("{}: cannot remove", node.ready.display()));
            }
            _ => {}
        }
        let mut command = Command::new(program);
        command
            .arg("--config")
            .arg(&node.config)
            .arg("--ready-file")
            .arg(&node.ready)
            .arg("--die-with-parent")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // ^C on the terminal is for us: we end the others in order.
            .process_group(0)
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with(OVERRIDES) {
                command.env_remove(name);
            }
        }
        let child = command.spawn();
        let child = child.with_context(|| format!("{}: cannot start it", program.display()))?;
        let pid = child.id().context("the process was reaped before it was watched")?;
        let (orders, inbox) = mpsc::channel(ORDERS);
        tokio::spawn(watch(child, node.name.clone(), pid, inbox, exits));
        Ok(Self { pid, orders })
    }

    /// Asks it to end; the fleet is told when it has.
    pub(crate) fn end(&self, how: End) {
        // Full: the same has been asked for already. Closed: it has ended already.
        let _ = self.orders.try_send(how);
    }
}

async fn watch(
    mut child: tokio::process::Child,
    node: String,
    pid: u32,
    mut orders: mpsc::Receiver<End>,
    exits: mpsc::UnboundedSender<Exited>,
) {
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            order = orders.recv() => match order {
                Some(End::Gracefully) => terminate(pid),
                // Nobody holds it any more: the fleet is gone.
                Some(End::AtOnce) | None => {
                    // An error means that it has just ended; wait() tells.
                    let _ = child.start_kill();
                    break child.wait().await;
                }
            },
        }
    };
    // Nobody listens when the fleet is gone, and then nobody needs to know.
    let _ = exits.send(Exited { node, pid, status });
}

/// SIGTERM to a process that this task has not reaped yet, so that the id is still its own.
fn terminate(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // An error means that it has just ended; wait() tells.
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// The end of a log, for a person to see why a process died.
pub(crate) fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => last_lines(&text, TAIL_LINES),
        Err(error) => format!("{}: {error}\n", log.display()),
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(count);
    lines[from..].iter().map(|line| format!("  | {}\n", printable(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_lines() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "  | b\n  | c\n");
        assert_eq!(last_lines("", 2), "");
    }

    #[test]
    fn a_long_log_is_not_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("a.log");
        let line = "x".repeat(1000);
        let text: String = (0..100).map(|number| format!("{number} {line}\n")).collect();
        fs::write(&log, text).unwrap();
        let tail = tail(&log);
        assert!(tail.lines().count() <= TAIL_LINES);
        assert!(tail.contains("\n  | 99 x"), "{tail}");
        assert!(!tail.contains("  | 5 x"), "{tail}");
    }
}
