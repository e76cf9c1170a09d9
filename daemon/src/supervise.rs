//! Tasks that must not die quietly: a panic or an error restarts them, and too many of those end
//! the program with the reason.
//!
//! ```text
//! run ──Ok──────────▶ done
//!  ▲ └──Err, panic──▶ more than 5 within 60 s? ──yes──▶ stop everything, say why
//!  └──── back-off ◀──────────── no
//! ```
//!
//! ```no_run
//! # use daemon::supervise::{Intensity, Supervisor};
//! # use daemon::shutdown::CancellationToken;
//! # async fn probe_all(_: CancellationToken) -> std::io::Result<()> { Ok(()) }
//! # async fn main_(stop: CancellationToken) -> std::process::ExitCode {
//! let mut supervisor = Supervisor::new(Intensity::default(), stop.clone());
//! supervisor.spawn("prober", { let stop = stop.clone(); move || probe_all(stop.clone()) });
//! match supervisor.wait(std::time::Duration::from_secs(10)).await {
//!     Ok(()) => std::process::ExitCode::SUCCESS,
//!     Err(exhausted) => {
//!         tracing::error!("{exhausted}");
//!         std::process::ExitCode::from(daemon::supervise::EXIT_EXHAUSTED)
//!     }
//! }
//! # }
//! ```

use std::any::Any;
use std::collections::{BTreeSet, VecDeque};
use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::shutdown::CancellationToken;

/// The exit status of a program that gave up (`EX_SOFTWARE` of sysexits.h).
pub const EXIT_EXHAUSTED: u8 = 70;

/// The first pause before a restart; doubles with each restart within the window.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause: a task that can run again should soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How many restarts within how long are still bad luck, not a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// Restarts of one task tolerated within the window.
    pub restarts: u32,
    /// The window.
    pub within: Duration,
}

/// A task failed more often than [`Intensity`] tolerates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{task} failed more than {} times within {:?}, giving up; the last time: {cause}",
    .intensity.restarts, .intensity.within
)]
pub struct Exhausted {
    /// The task's name.
    pub task: &'static str,
    /// The last error or panic message.
    pub cause: String,
    /// The limit that was passed.
    pub intensity: Intensity,
}

/// Owns the program's long-running tasks. Dropping it aborts them.
#[derive(Debug)]
pub struct Supervisor {
    intensity: Intensity,
    stop: CancellationToken,
    tasks: JoinSet<Result<&'static str, Exhausted>>,
    running: BTreeSet<&'static str>,
}

impl Default for Intensity {
    fn default() -> Self {
        Self { restarts: 5, within: Duration::from_secs(60) }
    }
}

impl Supervisor {
    /// A supervisor whose tasks are asked to end by cancelling `stop`.
    pub fn new(intensity: Intensity, stop: CancellationToken) -> Self {
        Self { intensity, stop, tasks: JoinSet::new(), running: BTreeSet::new() }
    }

    /// Runs what `factory` makes, and makes it anew after a panic or an `Err`, with back-off.
    /// `Ok(())` means the task is done and is not run again.
    pub fn spawn<F, Fut, E>(&mut self, name: &'static str, factory: F)
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        self.running.insert(name);
        self.tasks.spawn(keep_running(name, factory, self.intensity, self.stop.clone()));
    }

    /// Waits until every task is done, or `stop` is cancelled and `grace` has passed (what still
    /// runs then is aborted and named in the log).
    ///
    /// # Errors
    ///
    /// [`Exhausted`]: a task failed too often; `stop` is cancelled so that the others leave in
    /// order, within `grace`.
    pub async fn wait(mut self, grace: Duration) -> Result<(), Exhausted> {
        let stop = self.stop.clone();
        let first = tokio::select! {
            ended = self.all_done() => ended,
            () = stop.cancelled() => Ok(()),
        };
        stop.cancel();
        let last = tokio::time::timeout(grace, async {
            let mut outcome = Ok(());
            while !self.running.is_empty() {
                outcome = outcome.and(self.all_done().await);
            }
            outcome
        })
        .await;
        let last = last.unwrap_or_else(|_| {
            tracing::warn!(tasks = ?self.running, ?grace, "still running after the grace, aborted");
            Ok(())
        });
        first.and(last)
    }

    /// Ends when no task is left, or at the first that gives up.
    async fn all_done(&mut self) -> Result<(), Exhausted> {
        while let Some(joined) = self.tasks.join_next().await {
            // The loop around a task neither panics nor is aborted while we own the set.
            let Ok(ended) = joined else { continue };
            let name = ended.as_ref().map_or_else(|exhausted| exhausted.task, |name| *name);
            self.running.remove(name);
            ended?;
        }
        self.running.clear();
        Ok(())
    }
}

/// Runs one task until it is done, or fails too often.
async fn keep_running<F, Fut, E>(
    name: &'static str,
    mut factory: F,
    intensity: Intensity,
    stop: CancellationToken,
) -> Result<&'static str, Exhausted>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: Display + Send + 'static,
{
    let mut failures = VecDeque::new();
    loop {
        // In a set of its own, so that dropping us drops it too.
        let mut one = JoinSet::new();
        one.spawn(factory());
        let cause = match one.join_next().await {
            None | Some(Ok(Ok(()))) => return Ok(name),
            Some(Ok(Err(error))) => error.to_string(),
            Some(Err(join)) => panic_message(join),
        };
        metrics::counter!("task_failures_total", "task" => name).increment(1);
        if stop.is_cancelled() {
            tracing::warn!(task = name, %cause, "failed while leaving");
            return Ok(name);
        }

        let now = Instant::now();
        failures.push_back(now);
        while failures.front().is_some_and(|&at| now.duration_since(at) > intensity.within) {
            failures.pop_front();
        }
        let recent = u32::try_from(failures.len()).unwrap_or(u32::MAX);
        if recent > intensity.restarts {
            return Err(Exhausted { task: name, cause, intensity });
        }
        let pause = pause_after(recent);
        tracing::error!(task = name, %cause, ?pause, "failed, restarting");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return Ok(name),
        }
    }
}

/// The pause after so many failures within the window, at least one.
fn pause_after(failures: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
}

fn panic_message(join: JoinError) -> String {
    let Ok(payload) = join.try_into_panic() else { return "aborted".to_owned() };
    format!("panic: {}", text_of(payload.as_ref()))
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "of an unknown kind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    const GRACE: Duration = Duration::from_secs(10);

    fn supervisor() -> (Supervisor, CancellationToken) {
        let stop = CancellationToken::new();
        (Supervisor::new(Intensity::default(), stop.clone()), stop)
    }

    #[tokio::test(start_paused = true)]
    async fn errors_and_panics_restart_until_it_works() {
        let (mut supervisor, _stop) = supervisor();
        let runs = Arc::new(AtomicU32::new(0));
        let counted = runs.clone();
        supervisor.spawn("flaky", move || {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                match run {
                    0 => Err("the disk is full"),
                    1 => panic!("index out of bounds"),
                    _ => Ok(()),
                }
            }
        });
        let start = Instant::now();
        assert_eq!(supervisor.wait(GRACE).await, Ok(()));
        assert_eq!(runs.load(Ordering::SeqCst), 3);
        assert_eq!(start.elapsed(), FIRST_PAUSE * 3, "100 ms, then 200 ms");
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_failures_end_everything_and_say_why() {
        let (mut supervisor, stop) = supervisor();
        let runs = Arc::new(AtomicU32::new(0));
        let counted = runs.clone();
        supervisor.spawn("prober", move || {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(run < 5, "run {run} went wrong");
                Err("connection refused")
            }
        });
        let left_in_order = Arc::new(AtomicU32::new(0));
        supervisor.spawn("other", {
            let (stop, left) = (stop.clone(), left_in_order.clone());
            move || {
                let (stop, left) = (stop.clone(), left.clone());
                async move {
                    stop.cancelled().await;
                    left.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, String>(())
                }
            }
        });
        let exhausted = supervisor.wait(GRACE).await.unwrap_err();
        assert_eq!(runs.load(Ordering::SeqCst), 6, "the first run and five restarts");
        assert_eq!(exhausted.task, "prober");
        assert_eq!(exhausted.cause, "panic: run 5 went wrong");
        assert_eq!(
            exhausted.to_string(),
            "prober failed more than 5 times within 60s, giving up; the last time: panic: run 5 \
             went wrong"
        );
        assert!(stop.is_cancelled());
        assert_eq!(left_in_order.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn rare_failures_are_tolerated_for_ever() {
        let (mut supervisor, _stop) = supervisor();
        let runs = Arc::new(AtomicU32::new(0));
        let counted = runs.clone();
        supervisor.spawn("rare", move || {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::time::sleep(Duration::from_secs(20)).await;
                if run < 50 { Err("again") } else { Ok(()) }
            }
        });
        assert_eq!(supervisor.wait(GRACE).await, Ok(()));
        assert_eq!(runs.load(Ordering::SeqCst), 51);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_leave_is_aborted_after_the_grace() {
        let (mut supervisor, stop) = supervisor();
        supervisor.spawn("deaf", std::future::pending::<Result<(), String>>);
        let start = Instant::now();
        stop.cancel();
        assert_eq!(supervisor.wait(GRACE).await, Ok(()));
        assert_eq!(start.elapsed(), GRACE);
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_the_supervisor_ends_its_tasks() {
        let (mut supervisor, _stop) = supervisor();
        let alive = Arc::new(());
        let held = alive.clone();
        supervisor.spawn("task", move || {
            let held = held.clone();
            async move {
                let _held = held;
                std::future::pending::<Result<(), String>>().await
            }
        });
        tokio::task::yield_now().await;
        drop(supervisor);
        let gone = async {
            while Arc::strong_count(&alive) > 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(GRACE, gone).await.unwrap();
    }

    #[test]
    fn the_pause_doubles_up_to_a_limit() {
        let pauses: Vec<_> = (1..=8).map(|n| pause_after(n).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(pause_after(u32::MAX), LONGEST_PAUSE);
    }
}
