//! What the answering threads count, without sharing a cache line while they count.
//!
//! Each worker owns one [`Counters`] and only adds to it; `/metrics` reads them all and sums.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::answer::Lane;

/// Response codes that are told apart; anything above counts as the last.
const RCODES: usize = 17;

/// One worker's counts.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    udp: AtomicU64,
    tcp: AtomicU64,
    dropped: AtomicU64,
    truncated: AtomicU64,
    services: AtomicU64,
    with_subnet: AtomicU64,
    fail_open: AtomicU64,
    fenced: AtomicU64,
    panics: AtomicU64,
    send_errors: AtomicU64,
    /// By the number of the lane.
    queue_full: [AtomicU64; Lane::ALL.len()],
    limited_slipped: AtomicU64,
    limited_dropped: AtomicU64,
    access_refused: AtomicU64,
    access_dropped: AtomicU64,
    cookies_valid: AtomicU64,
    cookies_invalid: AtomicU64,
    rcodes: [AtomicU64; RCODES],
}

/// Things that happen once per query, or less often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A query came over UDP.
    Udp,
    /// A query came over TCP.
    Tcp,
    /// It was dropped in silence: no query, or too short for one.
    Dropped,
    /// The answer did not fit: TC.
    Truncated,
    /// A service's addresses were chosen.
    Service,
    /// It carried a client subnet.
    WithSubnet,
    /// The choice was made as if everything were up.
    FailOpen,
    /// The fence of a service's route held nothing for the client: REFUSED.
    Fenced,
    /// Answering it panicked; it got SERVFAIL and the thread went on.
    Panic,
    /// The kernel did not take the answer.
    SendError,
    /// As many updates and signed queries waited in this lane as may, in all or of one network; one
    /// more was dropped.
    QueueFull(Lane),
    /// The rate limit made of the response an empty one with TC.
    LimitSlipped,
    /// The rate limit made of the response nothing.
    LimitDropped,
    /// An access list refused the client.
    AccessRefused,
    /// An access list wants nothing said to the client.
    AccessDropped,
    /// It carried a server cookie that proves the client's address.
    CookieValid,
    /// It carried a server cookie that proves nothing: forged, out of date, or somebody else's.
    CookieInvalid,
}

impl Counters {
    /// Counts one event.
    pub fn count(&self, event: Event) {
        add(match event {
            Event::Udp => &self.udp,
            Event::Tcp => &self.tcp,
            Event::Dropped => &self.dropped,
            Event::Truncated => &self.truncated,
            Event::Service => &self.services,
            Event::WithSubnet => &self.with_subnet,
            Event::FailOpen => &self.fail_open,
            Event::Fenced => &self.fenced,
            Event::Panic => &self.panics,
            Event::SendError => &self.send_errors,
            Event::QueueFull(lane) => &self.queue_full[lane as usize],
            Event::LimitSlipped => &self.limited_slipped,
            Event::LimitDropped => &self.limited_dropped,
            Event::AccessRefused => &self.access_refused,
            Event::AccessDropped => &self.access_dropped,
            Event::CookieValid => &self.cookies_valid,
            Event::CookieInvalid => &self.cookies_invalid,
        });
    }

    /// Counts one response by its extended code.
    pub fn responded(&self, rcode: u16) {
        add(&self.rcodes[usize::from(rcode).min(RCODES - 1)]);
    }
}

/// Only the owner writes, so a plain load and store is enough and cheaper than a locked add.
fn add(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// One counter of a worker.
type Pick = fn(&Counters) -> &AtomicU64;

/// Every worker's counters; what ended workers counted stays.
#[derive(Debug, Default)]
pub struct Registry {
    workers: Mutex<Vec<Arc<Counters>>>,
}

impl Registry {
    /// Counters for a new worker. Workers are as many as threads and listeners, not as queries.
    pub fn worker(&self) -> Arc<Counters> {
        let counters = Arc::new(Counters::default());
        self.workers().push(Arc::clone(&counters));
        counters
    }

    /// The sums, in Prometheus' text form.
    pub fn render(&self) -> String {
        let workers = self.workers();
        let sum = |pick: Pick| -> u64 {
            workers.iter().map(|worker| pick(worker).load(Ordering::Relaxed)).sum()
        };
        let mut text = String::with_capacity(2048);
        let mut metric = |name: &str, help: &str, rows: &[(&str, u64)]| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
            for (labels, value) in rows {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        };
        metric(
            "dnsrouter_queries_total",
            "Queries received",
            &[("{transport=\"udp\"}", sum(|c| &c.udp)), ("{transport=\"tcp\"}", sum(|c| &c.tcp))],
        );
        metric(
            "dnsrouter_rate_limited_total",
            "Responses that the rate limit held back, by what was done instead",
            &[
                ("{action=\"slip\"}", sum(|c| &c.limited_slipped)),
                ("{action=\"drop\"}", sum(|c| &c.limited_dropped)),
            ],
        );
        metric(
            "dnsrouter_access_denied_total",
            "Queries that access lists denied, by what was done",
            &[
                ("{action=\"refuse\"}", sum(|c| &c.access_refused)),
                ("{action=\"drop\"}", sum(|c| &c.access_dropped)),
            ],
        );
        metric(
            "dnsrouter_server_cookies_total",
            "Server cookies that queries carried, by what they proved",
            &[
                ("{verdict=\"valid\"}", sum(|c| &c.cookies_valid)),
                ("{verdict=\"invalid\"}", sum(|c| &c.cookies_invalid)),
            ],
        );
        let labels: Vec<String> = (0..RCODES as u16)
            .map(|rcode| format!("{{rcode=\"{}\"}}", dns::rr::Rcode(rcode)))
            .collect();
        let rows: Vec<(&str, u64)> = labels
            .iter()
            .enumerate()
            .map(|(i, label)| {
                let total = workers.iter().map(|w| w.rcodes[i].load(Ordering::Relaxed)).sum();
                (label.as_str(), total)
            })
            .filter(|(_, total)| *total > 0)
            .collect();
        metric("dnsrouter_responses_total", "Responses sent, by response code", &rows);
        let lanes = Lane::ALL.map(|lane| {
            let full = |c: &Arc<Counters>| c.queue_full[lane as usize].load(Ordering::Relaxed);
            (format!("{{lane=\"{}\"}}", lane.word()), workers.iter().map(full).sum())
        });
        metric(
            "dnsrouter_queue_full_total",
            "Updates and signed messages dropped, by the lane in which too many waited",
            &lanes.each_ref().map(|(labels, total)| (labels.as_str(), *total)),
        );
        let rest: [(&str, &str, Pick); 8] = [
            ("dnsrouter_dropped_total", "Packets dropped in silence", |c| &c.dropped),
            ("dnsrouter_truncated_total", "Answers cut with TC", |c| &c.truncated),
            ("dnsrouter_service_answers_total", "Address sets chosen for services", |c| {
                &c.services
            }),
            ("dnsrouter_client_subnet_total", "Queries with a client subnet", |c| &c.with_subnet),
            ("dnsrouter_fail_open_total", "Choices made as if all were up", |c| &c.fail_open),
            ("dnsrouter_fenced_total", "Refused since a fence holds no endpoint", |c| &c.fenced),
            ("dnsrouter_answer_panics_total", "Queries whose answering panicked", |c| &c.panics),
            ("dnsrouter_send_errors_total", "Answers the kernel refused", |c| &c.send_errors),
        ];
        for (name, help, pick) in rest {
            metric(name, help, &[("", sum(pick))]);
        }
        text
    }

    fn workers(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Counters>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_over_workers() {
        let registry = Registry::default();
        let (a, b) = (registry.worker(), registry.worker());
        a.count(Event::Udp);
        b.count(Event::Udp);
        b.responded(3);
        b.responded(4095);
        let text = registry.render();
        assert!(text.contains("dnsrouter_queries_total{transport=\"udp\"} 2\n"), "{text}");
        assert!(text.contains("dnsrouter_responses_total{rcode=\"NXDOMAIN\"} 1\n"), "{text}");
    }
}
