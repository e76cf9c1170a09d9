//! How busy this server and its machine are.
//!
//! | type | what it knows | who feeds it |
//! |---|---|---|
//! | [`Load`] | all three figures | – |
//! | [`InFlight`] | RPCs of the server it is layered over, until their last byte is answered | tower |
//! | [`CpuTimes`] | what `/proc/stat` says of all processors | [`crate::io::cpu`] |
//!
//! A call is in flight from the moment its request reaches the layer until its response body has
//! ended or was dropped: a stream that is still being sent is work, and so is one that nobody
//! reads.
//!
//! The rate is of the *service's* requests: `Status` calls are left out, since a hundred name
//! servers that ping are no load to be spilled. A server without a layer, and a program beside the
//! service that sees none of its requests, tell no rate rather than a small one: zero would be
//! believed. Somebody who counts elsewhere may tell it ([`Load::tell_rate`]).

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use hyper::body::{Body, Frame, SizeHint};
use tower_layer::Layer;
use tower_service::Service;

use crate::rate::Meter;

/// The load of a server. Cheap to clone; clones share their figures.
#[derive(Clone, Debug, Default)]
pub struct Load {
    figures: Arc<Figures>,
}

#[derive(Debug, Default)]
struct Figures {
    in_flight: AtomicU32,
    /// An `f64` in bits.
    cpu: AtomicU64,
    /// Requests that came through the layer, `Status` calls among them.
    layered: AtomicU64,
    /// Requests that were entered by hand.
    entered: AtomicU64,
    /// `Status` calls.
    pings: AtomicU64,
    rate: Mutex<Rate>,
}

/// Where the rate comes from.
#[derive(Debug)]
enum Rate {
    /// From the requests counted here. The count never goes back, although a ping's two counts
    /// are not taken at one moment.
    Counted { meter: Meter, highest: u64 },
    /// From elsewhere.
    Told(Option<f64>),
}

impl Default for Rate {
    fn default() -> Rate {
        Rate::Counted { meter: Meter::default(), highest: 0 }
    }
}

impl Load {
    /// Nothing in flight, processors idle.
    pub fn new() -> Load {
        Load::default()
    }

    /// Requests being handled now.
    pub fn in_flight(&self) -> u32 {
        self.figures.in_flight.load(Ordering::Relaxed)
    }

    /// Share of the machine's processors in use at the last sample, 0 to 1; 0 before the first.
    pub fn cpu(&self) -> f64 {
        f64::from_bits(self.figures.cpu.load(Ordering::Relaxed))
    }

    /// Sets the share of the machine's processors in use; what is outside of 0 to 1 is clamped.
    pub fn set_cpu(&self, share: f64) {
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        self.figures.cpu.store(share.to_bits(), Ordering::Relaxed);
    }

    /// Requests per second of late ([`crate::rate::WINDOW`]), `Status` calls not counted. `None`
    /// where nobody counts, and in the first second.
    pub fn rate(&self, now: Instant) -> Option<f64> {
        let Figures { layered, entered, pings, rate, .. } = &*self.figures;
        // A ping counts itself after the layer did.
        let pings = pings.load(Ordering::Relaxed);
        let (layered, entered) = (layered.load(Ordering::Relaxed), entered.load(Ordering::Relaxed));
        // A panic while it was held leaves marks that are whole.
        match &mut *rate.lock().unwrap_or_else(PoisonError::into_inner) {
            Rate::Told(rate) => *rate,
            Rate::Counted { .. } if layered == 0 && entered == 0 => None,
            Rate::Counted { meter, highest } => {
                // Without a layer, pings are not among what was counted.
                let layered = if layered == 0 { 0 } else { layered.saturating_sub(pings) };
                *highest = (*highest).max(layered.saturating_add(entered));
                meter.rate(*highest, now)
            }
        }
    }

    /// Takes the rate from elsewhere from now on; `None`: it is not known.
    pub fn tell_rate(&self, rate: Option<f64>) {
        let rate = rate.filter(|rate| rate.is_finite() && *rate >= 0.0);
        *self.figures.rate.lock().unwrap_or_else(PoisonError::into_inner) = Rate::Told(rate);
    }

    /// One of the requests that the layer counted was a `Status` call.
    pub(crate) fn count_ping(&self) {
        self.figures.pings.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one request until the guard is dropped. For servers that have no tower layers.
    pub fn enter(&self) -> Guard {
        self.figures.entered.fetch_add(1, Ordering::Relaxed);
        self.guard()
    }

    fn guard(&self) -> Guard {
        self.figures.in_flight.fetch_add(1, Ordering::Relaxed);
        Guard { figures: Arc::clone(&self.figures) }
    }

    /// A layer that counts every request of the server it is put over.
    pub fn layer(&self) -> InFlight {
        InFlight { load: self.clone() }
    }
}

/// One request in flight; dropping it ends it.
#[derive(Debug)]
pub struct Guard {
    figures: Arc<Figures>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.figures.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The layer made by [`Load::layer`].
#[derive(Clone, Debug)]
pub struct InFlight {
    load: Load,
}

impl<S> Layer<S> for InFlight {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, load: self.load.clone() }
    }
}

/// A service whose requests are counted.
#[derive(Clone, Debug)]
pub struct Counted<S> {
    inner: S,
    load: Load,
}

impl<S, Request, B> Service<Request> for Counted<S>
where
    S: Service<Request, Response = http::Response<B>>,
    S::Future: Send + 'static,
{
    type Response = http::Response<CountedBody<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.load.figures.layered.fetch_add(1, Ordering::Relaxed);
        let guard = self.load.guard();
        let response = self.inner.call(request);
        Box::pin(
            async move { Ok(response.await?.map(|body| CountedBody { body, guard: Some(guard) })) },
        )
    }
}

/// A response body that keeps its request in flight until it has ended.
#[derive(Debug)]
pub struct CountedBody<B> {
    body: B,
    guard: Option<Guard>,
}

impl<B: Body + Unpin> Body for CountedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) {
            self.guard = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Processor time of the whole machine since it started, in clock ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuTimes {
    /// Spent on anything: user, nice, system, interrupts, stolen by the hypervisor.
    pub busy: u64,
    /// All of it, idle and waiting for disks included.
    pub total: u64,
}

impl CpuTimes {
    /// Reads the text of `/proc/stat` (proc(5)): its first line sums up all processors. `None` if
    /// it is not of that form.
    pub fn parse(stat: &str) -> Option<CpuTimes> {
        /// user nice system idle iowait irq softirq steal; guest times, which follow, are part of
        /// user and nice already.
        const FIELDS: usize = 8;
        let mut words = stat.lines().next()?.split_ascii_whitespace();
        if words.next()? != "cpu" {
            return None;
        }
        let mut ticks = [0_u64; FIELDS];
        let mut present = 0;
        for (slot, word) in ticks.iter_mut().zip(words) {
            *slot = word.parse().ok()?;
            present += 1;
        }
        let [user, nice, system, idle, iowait, irq, softirq, steal] = ticks;
        let busy = [nice, system, irq, softirq, steal].into_iter().try_fold(user, u64::checked_add);
        let waiting = idle.checked_add(iowait)?;
        // Kernels before 2.6 end after `idle`; fewer fields are no /proc/stat.
        (present >= 4).then_some(())?;
        Some(CpuTimes { busy: busy?, total: busy?.checked_add(waiting)? })
    }

    /// The share in use between `earlier` and this sample, 0 to 1. `None` if no time has passed,
    /// or the counters went back (a machine restored from a snapshot).
    pub fn share_since(self, earlier: CpuTimes) -> Option<f64> {
        let total = self.total.checked_sub(earlier.total).filter(|ticks| *ticks > 0)?;
        let busy = self.busy.checked_sub(earlier.busy)?;
        #[expect(clippy::cast_precision_loss, reason = "a ratio of ticks needs no more digits")]
        let share = busy as f64 / total as f64;
        Some(share.min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::io::SystemClock;
    use crate::service::Clock as _;
    use http_body_util::BodyExt as _;

    const STAT: &str = "cpu  100 20 30 800 40 5 3 2 90 10\ncpu0 1 2 3 4 5 6 7 8\nintr 12\n";

    #[test]
    fn the_first_line_of_proc_stat_is_understood() {
        let times = CpuTimes::parse(STAT).unwrap();
        assert_eq!(times, CpuTimes { busy: 160, total: 1000 });
        assert_eq!(
            CpuTimes::parse("cpu 1 2 3 4"),
            Some(CpuTimes { busy: 6, total: 10 }),
            "an old kernel's line"
        );
    }

    #[test]
    fn what_is_not_proc_stat_is_nothing() {
        let huge = format!("cpu {0} {0} 1 1", u64::MAX);
        for text in ["", "cpu", "cpu 1 2 3", "cpu0 1 2 3 4", "cpu a b c d", "cpu -1 2 3 4", &huge] {
            assert_eq!(CpuTimes::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_share_is_of_the_time_between_two_samples() {
        let at = |busy, total| CpuTimes { busy, total };
        assert_eq!(at(150, 400).share_since(at(100, 200)), Some(0.25));
        assert_eq!(at(100, 200).share_since(at(100, 200)), None, "no time has passed");
        assert_eq!(at(1, 2).share_since(at(100, 200)), None, "the counters went back");
        let load = Load::new();
        for (given, kept) in [(0.5, 0.5), (7.0, 1.0), (-1.0, 0.0), (f64::NAN, 0.0)] {
            load.set_cpu(given);
            assert!((load.cpu() - kept).abs() < f64::EPSILON);
        }
    }

    #[tokio::test]
    async fn a_request_is_in_flight_until_its_body_has_ended() {
        let load = Load::new();
        let mut server = load.layer().layer(Echo);
        let answered = server.call("hello").await.unwrap();
        let unread = server.call("dropped").await.unwrap();
        let cancelled = server.call("never polled");
        assert_eq!(load.in_flight(), 3);
        drop(cancelled);
        drop(unread);
        assert_eq!(load.in_flight(), 1);
        let body = answered.into_body().collect().await.unwrap().to_bytes();
        assert_eq!((&body[..], load.in_flight()), (&b"hello"[..], 0));
    }

    #[test]
    fn the_rate_is_of_requests_that_are_no_pings() {
        let (load, start) = (Load::new(), SystemClock.now());
        let at = |seconds| start + Duration::from_secs(seconds);
        load.count_ping();
        assert_eq!((load.rate(at(0)), load.rate(at(5))), (None, None), "nobody counts");
        let mut server = load.layer().layer(Echo);
        drop(server.call("ping"));
        load.rate(at(10));
        for _ in 0..60 {
            drop((server.call("a request"), server.call("a ping")));
            load.count_ping();
        }
        drop(load.enter());
        assert_eq!(load.rate(at(20)), Some(6.1));
        assert_eq!(load.rate(at(30)), Some(0.0));
        load.tell_rate(Some(7.5));
        assert_eq!(load.rate(at(31)), Some(7.5), "told");
        load.tell_rate(Some(f64::NAN));
        assert_eq!(load.rate(at(32)), None);
    }

    struct Echo;

    impl Service<&'static str> for Echo {
        type Response = http::Response<http_body_util::Full<&'static [u8]>>;
        type Error = std::convert::Infallible;
        type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, text: &'static str) -> Self::Future {
            std::future::ready(Ok(http::Response::new(http_body_util::Full::new(text.as_bytes()))))
        }
    }
}
