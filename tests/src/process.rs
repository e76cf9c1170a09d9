//! A child process: ended, frozen and waited for by its id, and never left behind.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// How long a program may take until it serves; debug builds on a busy machine are slow.
const READY: Duration = Duration::from_secs(120);

/// Lines of a log that are shown when a test fails.
const LAST_LINES: usize = 40;

/// What a processor's time is counted in, in /proc: USER_HZ, a hundredth of a second on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// A running program whose output goes to a file. Dropping it kills and reaps it.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output appended to `log`.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Process {
        let open = || File::options().create(true).append(true).open(log);
        command
            .stdin(Stdio::null())
            .stdout(open().expect("the log can be written"))
            .stderr(open().expect("the log can be written"));
        Process::spawn_as_is(name, command, log)
    }

    /// Starts `command`, which writes to `log` by itself, with the input and output it has.
    pub fn spawn_as_is(name: &str, mut command: Command, log: &Path) -> Process {
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {command:?}: {error}"));
        Process { name: name.to_owned(), child, log: log.to_path_buf() }
    }

    /// Waits for the file a program writes when it serves, and parses it as JSON.
    ///
    /// # Panics
    ///
    /// When the program ends instead, or takes too long.
    pub fn ready(&mut self, file: &Path) -> serde_json::Value {
        let what = format!("{} to write {}", self.name, file.display());
        wait::some(&what, READY, || {
            if let Some(status) = self.exited() {
                panic!("{} ended with {status} instead of serving:\n{}", self.name, self.tail());
            }
            serde_json::from_slice(&fs::read(file).ok()?).ok()
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Processor time it has used so far, its own and the kernel's for it. What else the machine
    /// is busy with does not count.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        // Fields 14 and 15 of proc_pid_stat(5); the name before may hold anything but its end.
        let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let used = rest.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u32>().ok());
        TICK * used.sum::<u32>()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        // An unreaped child keeps its id, so this never reaches a stranger.
        let _ = kill_process(pid, signal);
    }

    /// kill -9, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, and waits for that.
    ///
    /// # Panics
    ///
    /// When it has not ended after `deadline`.
    pub fn terminate(&mut self, deadline: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended(deadline)
    }

    /// Freezes it: it keeps its sockets and says nothing more.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    ///
    /// When it has not ended after `deadline`.
    pub fn ended(&mut self, deadline: Duration) -> ExitStatus {
        let what = format!("{} to end", self.name);
        wait::some(&what, deadline, || self.exited())
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Everything it has written so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("---- the last of {} ({}):\n{}", self.name, self.log.display(), self.tail());
        }
    }
}
