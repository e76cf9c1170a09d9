//! A client that asks the same question all the time, and remembers every answer.

use std::net::IpAddr;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::query::{Ask, QueryError, Reply};
use crate::wait;

/// Twenty questions a second.
const PERIOD: Duration = Duration::from_millis(50);

/// One question of a [`Canary`] and what came of it.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// When it was asked.
    pub at: Instant,
    /// What came.
    pub outcome: Result<Reply, QueryError>,
}

impl Sighting {
    /// Whether the answer names `address`.
    pub fn shows(&self, address: IpAddr) -> bool {
        self.outcome.as_ref().is_ok_and(|reply| reply.addresses().contains(&address))
    }
}

/// Asks until it is stopped or dropped, at twenty questions a second; a late answer delays the
/// next question, so give each server a canary of its own.
pub struct Canary {
    name: String,
    sightings: Arc<Mutex<Vec<Sighting>>>,
    /// Gone: it is to stop.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Canary {
    /// Starts asking.
    pub fn start(name: &str, ask: Ask) -> Canary {
        let sightings = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn({
            let sightings = Arc::clone(&sightings);
            move || {
                let mut next = Instant::now();
                let mut wait = Duration::ZERO;
                // Until the next question is due, or there is to be none.
                while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                    let at = Instant::now();
                    let outcome = ask.send();
                    lock(&sightings).push(Sighting { at, outcome });
                    next = (next + PERIOD).max(Instant::now());
                    wait = next.saturating_duration_since(Instant::now());
                }
            }
        });
        Canary { name: name.to_owned(), sightings, stop: Some(stop), thread: Some(thread) }
    }

    /// What it has seen of questions asked at or after `since`.
    pub fn since(&self, since: Instant) -> Vec<Sighting> {
        let sightings = lock(&self.sightings);
        let first = sightings.partition_point(|sighting| sighting.at < since);
        sightings[first..].to_vec()
    }

    /// Waits until `address` has left the answers, and returns how long after `since` the first
    /// answer without it was asked for. It has left when a few answers in a row lack it.
    ///
    /// # Panics
    ///
    /// When it is still there after `deadline`.
    pub fn gone(&self, address: IpAddr, since: Instant, deadline: Duration) -> Duration {
        self.settled(&format!("{address} to leave"), since, deadline, |s| !s.shows(address))
    }

    /// Waits until `address` is back in the answers, and returns how long after `since` the first
    /// such answer was asked for.
    ///
    /// # Panics
    ///
    /// When it is not there after `deadline`.
    pub fn back(&self, address: IpAddr, since: Instant, deadline: Duration) -> Duration {
        self.settled(&format!("{address} to be back"), since, deadline, |s| s.shows(address))
    }

    /// The answers that sent a client nowhere: errors, empty ones, other codes than NOERROR.
    pub fn failures(&self) -> Vec<Sighting> {
        let useful = |s: &Sighting| s.outcome.as_ref().is_ok_and(Reply::is_useful);
        lock(&self.sightings).iter().filter(|sighting| !useful(sighting)).cloned().collect()
    }

    /// Ends it: every answer must have sent the client somewhere. Returns how many there were.
    ///
    /// # Panics
    ///
    /// When one did not.
    pub fn stop(mut self) -> usize {
        self.halt();
        let failures = self.failures();
        let asked = lock(&self.sightings).len();
        assert!(
            failures.is_empty(),
            "{} of {asked} questions to {} failed, the first with {:?}",
            failures.len(),
            self.name,
            failures[0].outcome,
        );
        asked
    }

    fn settled(
        &self,
        what: &str,
        since: Instant,
        deadline: Duration,
        test: impl Fn(&Sighting) -> bool,
    ) -> Duration {
        /// Answers in a row that make a change, not a coincidence of several name servers.
        const IN_A_ROW: usize = 5;

        wait::some(&format!("{what} ({})", self.name), deadline, || {
            let sightings = self.since(since);
            let settled = sightings.iter().rev().take_while(|s| test(s)).count();
            let first = sightings.len() - settled;
            (settled >= IN_A_ROW).then(|| sightings[first].at - since)
        })
    }

    fn halt(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.halt();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
