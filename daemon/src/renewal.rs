//! Gets a new certificate in time by running a command, then reloads.
//!
//! ```no_run
//! # async fn run(tls: std::sync::Arc<daemon::tls::Tls>, config: &daemon::config::Tls,
//! #              stop: daemon::shutdown::CancellationToken) {
//! daemon::renewal::run(tls, config.renew.clone(), stop.cancelled_owned()).await;
//! # }
//! ```

#![expect(clippy::disallowed_methods, reason = "IO shell")]

use std::future::Future;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::process::Command;

use crate::config::Renew;
use crate::tls::Tls;

/// How often the certificate's age is looked at: sleeping until a moment days away would miss a
/// clock that is set, or a machine that sleeps.
const LOOK: Duration = Duration::from_secs(30);
/// After a failure the command runs again no sooner than this …
const RETRY_LEAST: Duration = Duration::from_secs(30);
/// … and, doubled each time, no later than this.
const RETRY_MOST: Duration = Duration::from_secs(15 * 60);
/// Of a failed command's output so much goes into the log.
const MAX_OUTPUT: usize = 2000;
/// Less than this share of the lifetime left is worth a warning.
const SCARCE: f64 = 1.0 / 6.0;

/// Runs until `shutdown`: renews at `renew.at` of the lifetime, with back-off when that fails,
/// and warns when less than a sixth of the lifetime is left (also without a `renew`).
pub async fn run(tls: Arc<Tls>, renew: Option<Renew>, shutdown: impl Future<Output = ()> + Send) {
    tokio::select! {
        () = watch_over(&tls, renew.as_ref()) => {}
        () = shutdown => {}
    }
}

async fn watch_over(tls: &Tls, renew: Option<&Renew>) {
    let mut retry = Retry::default();
    let mut warned = false;
    loop {
        let now = SystemTime::now();
        let age = age(tls.not_before(), tls.not_after(), now);
        tls.observe();
        let scarce = age > 1.0 - SCARCE;
        metrics::gauge!("tls_certificate_scarce").set(f64::from(u8::from(scarce)));
        if scarce && !warned {
            let left = tls.not_after().duration_since(now).unwrap_or_default();
            let left = humantime::format_duration(Duration::from_secs(left.as_secs()));
            tracing::warn!(%left, "less than a sixth of the certificate's lifetime is left");
        }
        warned = scarce;
        if let Some(renew) = renew.filter(|renew| age >= renew.at && retry.is_due(now)) {
            match run_command(renew).await.and_then(|()| tls.reload().map_err(|e| e.to_string())) {
                Ok(_) => {
                    retry = Retry::default();
                    metrics::counter!("tls_renewals_total", "result" => "ok").increment(1);
                    tracing::info!(not_after = ?tls.not_after(), "certificate renewed");
                }
                Err(error) => {
                    let pause = retry.failed(now);
                    metrics::counter!("tls_renewals_total", "result" => "failed").increment(1);
                    tracing::error!(
                        error,
                        again_in = %humantime::format_duration(pause),
                        "the certificate was not renewed; the present one goes on"
                    );
                }
            }
        }
        tokio::time::sleep(look_again(tls.not_before(), tls.not_after())).await;
    }
}

/// Short-lived certificates are looked at more often.
fn look_again(not_before: SystemTime, not_after: SystemTime) -> Duration {
    let lifetime = not_after.duration_since(not_before).unwrap_or_default();
    LOOK.min(lifetime / 50).max(Duration::from_millis(200))
}

/// How much of the lifetime is over: 0 at its start, 1 at its end.
fn age(not_before: SystemTime, not_after: SystemTime, now: SystemTime) -> f64 {
    let lifetime = not_after.duration_since(not_before).unwrap_or_default().as_secs_f64();
    let passed = now.duration_since(not_before).unwrap_or_default().as_secs_f64();
    if lifetime > 0.0 { passed / lifetime } else { 1.0 }
}

/// When a failed command may run again.
#[derive(Debug, Default)]
struct Retry {
    pause: Duration,
    not_before: Option<SystemTime>,
}

impl Retry {
    fn is_due(&self, now: SystemTime) -> bool {
        self.not_before.is_none_or(|due| {
            // A clock set back by a lot must not put renewal off for as long.
            now >= due || due.duration_since(now).is_ok_and(|left| left > RETRY_MOST)
        })
    }

    fn failed(&mut self, now: SystemTime) -> Duration {
        self.pause = (self.pause * 2).clamp(RETRY_LEAST, RETRY_MOST);
        self.not_before = now.checked_add(self.pause);
        self.pause
    }
}

async fn run_command(renew: &Renew) -> Result<(), String> {
    let [program, arguments @ ..] = &renew.command[..] else {
        return Err("[tls.renew] command is empty".to_owned());
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let finished = tokio::time::timeout(renew.timeout, command.output()).await;
    let output = match finished {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("cannot run {program}: {error}")),
        Err(_) => {
            let limit = humantime::format_duration(renew.timeout);
            return Err(format!("{program} took longer than {limit} and was ended"));
        }
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: String = said.trim().chars().take(MAX_OUTPUT).collect();
    Err(format!("{program} ended with {}: {said}", output.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn after(seconds: u64) -> SystemTime {
        START + Duration::from_secs(seconds)
    }

    #[test]
    fn age_is_the_share_of_the_lifetime_that_is_over() {
        assert_eq!(age(START, after(100), START), 0.0);
        assert_eq!(age(START, after(100), after(66)), 0.66);
        assert_eq!(age(START, after(100), after(200)), 2.0);
        assert_eq!(age(START, START, after(1)), 1.0, "a lifetime of nothing is over");
    }

    #[test]
    fn failures_back_off_up_to_a_limit_and_a_clock_set_back_does_not_stop_renewal() {
        let mut retry = Retry::default();
        assert!(retry.is_due(START));
        assert_eq!(retry.failed(START), RETRY_LEAST);
        assert!(!retry.is_due(after(29)));
        assert!(retry.is_due(after(30)));
        let longest = (0..20).map(|_| retry.failed(after(1_000_000))).max().unwrap();
        assert_eq!(longest, RETRY_MOST);
        assert!(retry.is_due(START), "the clock went back by days");
    }

    #[tokio::test]
    async fn a_command_that_fails_or_hangs_says_so() {
        let run = |command: &[&str], timeout| {
            let command = command.iter().map(|s| (*s).to_owned()).collect();
            let renew = Renew { command, at: 0.66, timeout };
            async move { run_command(&renew).await }
        };
        let second = Duration::from_secs(20);
        assert_eq!(run(&["true"], second).await, Ok(()));
        let failed = run(&["sh", "-c", "echo no such authority >&2; exit 3"], second).await;
        assert!(failed.unwrap_err().contains("no such authority"));
        let hung = run(&["sleep", "60"], Duration::from_millis(50)).await;
        assert!(hung.unwrap_err().contains("took longer than 50ms"));
        assert!(run(&["/no/such/program"], second).await.unwrap_err().starts_with("cannot run"));
    }
}
