//! Work that takes seconds, on threads that give way to those that answer.
//!
//! Each piece has a thread of its own: a priority that was lowered cannot be raised again without
//! privileges, so no thread of a pool may have it.

use std::io;

use tokio::sync::oneshot;

/// Whatever answers goes first: at 10 a thread has a tenth of the share of one at 0 (sched(7)). But also
/// on a busy machine a load or a plan has to end some time.
const NICE: i32 = 10;

/// Begins `work` and goes on.
///
/// # Errors
///
/// Those of the system: no thread; `work` is dropped.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = std::thread::Builder::new().name(name.into());
    let begun = thread.spawn(move || {
        // Of this thread alone, as Linux has it. Where that is refused it is only less polite.
        let _ = rustix::process::setpriority_process(None, NICE);
        work();
    });
    begun.map(drop)
}

/// Does `work` and waits for what comes of it.
///
/// # Errors
///
/// No thread for it, or it panicked.
pub async fn run<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (done, ended) = oneshot::channel();
    let begun = spawn(name, move || {
        // Whoever waited may have gone.
        let _ = done.send(work());
    });
    begun.map_err(|error| format!("no thread for it: {error}"))?;
    ended.await.map_err(|_| "it panicked".to_owned())
}

/// Drops what takes a while to free: a million names take a tenth of a second.
pub fn free<T: Send + 'static>(old: T) {
    // Without a thread it was freed here.
    let _ = spawn("free", move || drop(old));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }

    #[tokio::test]
    async fn work_gives_way_and_nobody_else() {
        let ours = priority();
        assert_eq!(run("test", priority).await, Ok(ours.max(NICE)));
        assert_eq!(priority(), ours);
    }

    #[tokio::test]
    async fn a_panic_is_told() {
        assert_eq!(run("test", || panic!("on purpose")).await, Err::<(), _>("it panicked".into()));
    }
}
