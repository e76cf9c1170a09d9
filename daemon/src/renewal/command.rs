//! Runs the command of a renewal: to its end or to its time-out, whatever it says and starts.

use std::process::Stdio;

use rustix::process::{Pid, Signal};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, Command};

use crate::config::Renew;

/// How much of what a failed command said last goes into the log, in lines and bytes.
const MAX_LINES: usize = 3;
const MAX_SAID: usize = 1024;

/// How much is read from it at once, and at most after its end: what a pipe holds, in bytes.
const PIPE: usize = 64 * 1024;

/// Runs `renew.command`; what it leaves behind when it ends in time goes on.
///
/// Dropped, as after the time-out, it kills the command and its process group.
///
/// # Errors
///
/// In words, with the command's own last ones.
pub(super) async fn run(renew: &Renew) -> Result<(), String> {
    let [program, arguments @ ..] = renew.command.as_slice() else {
        return Err("[tls.renew] command is empty".to_owned());
    };
    let mut running = Running::start(program, arguments)
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    let why = match tokio::time::timeout(renew.timeout, running.end()).await {
        Ok(Ok(status)) if status.success() => return Ok(()),
        Ok(Ok(status)) => format!("{program} failed with {status}"),
        Ok(Err(error)) => format!("cannot wait for {program}: {error}"),
        Err(_) => format!("{program} took longer than {:?} and was ended", renew.timeout),
    };
    match running.said.last_lines().as_str() {
        "" => Err(why),
        said => Err(format!("{why}: {said}")),
    }
}

/// A command that leads a process group of its own.
struct Running {
    child: Child,
    /// Until the command was waited for: later its number may be somebody else's.
    group: Option<Pid>,
    stderr: Option<ChildStderr>,
    said: Said,
}

impl Running {
    fn start(program: &str, arguments: &[String]) -> std::io::Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let stderr = child.stderr.take();
        Ok(Self { child, group: id.and_then(Pid::from_raw), stderr, said: Said::default() })
    }

    /// Waits for the command itself. Others may hold its stderr for longer, so the end of that
    /// means nothing; but it is read, lest a full pipe stop the command.
    async fn end(&mut self) -> std::io::Result<std::process::ExitStatus> {
        let mut chunk = vec![0; PIPE];
        let status = loop {
            let Some(stderr) = &mut self.stderr else { break self.child.wait().await };
            tokio::select! {
                status = self.child.wait() => break status,
                read = stderr.read(&mut chunk) => match read {
                    Ok(0) | Err(_) => self.stderr = None,
                    Ok(read) => self.said.add(&chunk[..read]),
                },
            }
        }?;
        self.group = None;
        // Its last words may still be in the pipe, which does not block.
        let mut left = PIPE;
        while let (Some(stderr), 1..) = (&self.stderr, left) {
            match rustix::io::read(stderr, &mut chunk[..left]) {
                Ok(0) | Err(_) => break,
                Ok(read) => {
                    self.said.add(&chunk[..read]);
                    left -= read;
                }
            }
        }
        Ok(status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // It fails when nobody is left in it, and then there is nothing to do.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

/// The end of what was said.
#[derive(Default)]
struct Said(Vec<u8>);

impl Said {
    fn add(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&bytes[bytes.len().saturating_sub(MAX_SAID)..]);
        self.0.drain(..self.0.len().saturating_sub(MAX_SAID));
    }

    fn last_lines(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        let mut lines: Vec<&str> = text.trim().lines().rev().take(MAX_LINES).collect();
        lines.reverse();
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "reads what the commands wrote")]

    use super::*;
    use std::time::Duration;

    fn script(text: &str, timeout: Duration) -> Renew {
        let command = ["sh", "-c", text].map(str::to_owned).to_vec();
        Renew { command, at: 0.5, timeout }
    }

    /// Longer than any test takes.
    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn a_failing_command_is_told_with_its_words() {
        let words = |command: &[&str]| {
            let command = command.iter().map(|&word| word.to_owned()).collect();
            async move { run(&Renew { command, at: 0.5, timeout: LONG }).await }
        };
        assert_eq!(words(&["true"]).await, Ok(()));
        let failed = run(&script("echo no such authority >&2; exit 3", LONG)).await;
        assert_eq!(failed, Err("sh failed with exit status: 3: no such authority".to_owned()));
        assert_eq!(words(&["false"]).await, Err("false failed with exit status: 1".to_owned()));
        let missing = words(&["/nonexistent/renew"]).await.unwrap_err();
        assert!(missing.starts_with("cannot run /nonexistent/renew: "), "{missing}");
        assert!(words(&[]).await.is_err());
        let slow = script("sleep 60", Duration::from_millis(10));
        let slow = run(&slow).await.unwrap_err();
        assert!(slow.starts_with("sh took longer than 10ms and was ended"), "{slow}");
    }

    #[tokio::test]
    async fn however_much_a_command_says_its_last_lines_are_kept() {
        let text = "seq 1 2000000 >&2; printf 'the \\377 cause\\n' >&2; exit 3";
        let failed = run(&script(text, LONG)).await.unwrap_err();
        let expected = "sh failed with exit status: 3: 1999999\n2000000\nthe \u{fffd} cause";
        assert_eq!(failed, expected);
        let one_line = "head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 3";
        let failed = run(&script(one_line, LONG)).await.unwrap_err();
        assert!(failed.ends_with("xxx") && failed.len() < 2 * MAX_SAID, "{}", failed.len());
        // Nobody reads its output, so nobody keeps it.
        let output = "test /proc/self/fd/1 -ef /dev/null";
        assert_eq!(run(&script(output, LONG)).await, Ok(()));
    }

    /// A process that the command leaves behind, whose id it wrote down.
    struct Left {
        dir: tempfile::TempDir,
    }

    impl Left {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap() }
        }

        /// Starts it, with the command's own stderr.
        fn script(&self) -> String {
            let file = self.dir.path().join("pid");
            let file = file.display();
            format!("sleep 600 & echo $! > {file}.new && mv {file}.new {file}")
        }

        fn pid(&self) -> Option<Pid> {
            let text = std::fs::read_to_string(self.dir.path().join("pid")).ok()?;
            Pid::from_raw(text.trim().parse().unwrap())
        }

        /// Whether it is there and was not killed.
        fn runs(&self) -> bool {
            let pid = self.pid().unwrap().as_raw_nonzero();
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
        }
    }

    impl Drop for Left {
        fn drop(&mut self) {
            if let Some(pid) = self.pid().filter(|_| self.runs()) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
    }

    async fn until(what: &str, mut holds: impl FnMut() -> bool) {
        let waiting = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        assert!(waited.is_ok(), "never: {what}");
    }

    #[tokio::test]
    async fn a_command_has_succeeded_when_it_ends_whatever_it_leaves_behind() {
        let left = Left::new();
        let renew = script(&left.script(), LONG);
        let ended = tokio::time::timeout(Duration::from_secs(30), run(&renew)).await;
        assert!(left.runs(), "what ends in time may leave a daemon");
        assert_eq!(ended, Ok(Ok(())));
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_ends_with_all_it_started() {
        let left = Left::new();
        let renew = script(&format!("{}; echo waiting >&2; wait", left.script()), LONG);
        let task = tokio::spawn(async move { run(&renew).await });
        until("its process", || left.pid().is_some()).await;
        tokio::time::pause(); // and so the time-out comes at once
        let slow = task.await.unwrap().unwrap_err();
        tokio::time::resume();
        assert!(slow.starts_with("sh took longer than 600s and was ended"), "{slow}");
        until("the end of its process", || !left.runs()).await;
    }

    #[tokio::test]
    async fn a_shutdown_ends_the_command_with_all_it_started() {
        let left = Left::new();
        let renew = script(&format!("{}; wait", left.script()), LONG);
        let task = tokio::spawn(async move { run(&renew).await });
        until("its process", || left.pid().is_some()).await;
        task.abort();
        until("the end of its process", || !left.runs()).await;
    }
}
