//! What one flip costs the keeper: from a report that changes a target's state to the published
//! plan, with 10,000 services of 12 endpoints, each with a target of its own.
//!
//! The keeper runs as in the server, and the bench is its prober: it sends a report and yields
//! until the plan says so. Wall time of each is shown beside the processor's time per flip, which
//! means something on a busy machine too. Nobody takes metrics or the log, as in a process without
//! either. `GEOPING_BENCH_SERVICES` makes it smaller.
#![expect(clippy::disallowed_methods, reason = "measures")]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bench::services::{REGIONS, configuration, count, write};
use bench::{memory, processor};
use dnsrouter::health::{Fault, Outcome, State};
use dnsrouter::io::history::Recorder;
use dnsrouter::io::keeper::{Keeper, MAX_WAITING, Shared};
use dnsrouter::io::load::{Loaded, Loader};
use dnsrouter::monitor::{Load, Report};
use dnsrouter::plan::Generation;
use dnsrouter::target::{Target, Targets};
use dnsrouter::verdicts::TargetId;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Flips measured; each goes down and comes up.
const FLIPS: usize = 1000;
/// What a flip may cost.
const BOUND: Duration = Duration::from_millis(1);

fn main() {
    let services = count();
    let loaded = load(services);
    let peak = megabytes(memory("VmHWM"));
    let shared = Shared::new(loaded.inputs(Generation(1)), &[], SystemTime::now());
    let targets = shared.plan.load().inputs.services.targets.len();
    println!("{services} services × {} endpoints, {targets} targets", REGIONS.len());
    let serving = megabytes(memory("VmRSS"));
    println!(
        "memory   {serving:>7.0} MB with configuration, plan and monitor; {peak:.0} MB while it loaded"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(measure(&loaded, shared));
}

async fn measure(loaded: &Loaded, shared: Shared) {
    let (reports, reported) = mpsc::channel(MAX_WAITING);
    let mut keeper = Keeper {
        shared: shared.clone(),
        settings: loaded.config.probe.settings,
        reports: reported,
        inputs: mpsc::channel(1).1,
        said: mpsc::channel(1).1,
        reckoned: mpsc::channel(1).1,
        recorder: Recorder::default(),
        targets: watch::channel(Targets::default()).0,
        disk: watch::channel(()).0,
    };
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let keeping = tokio::spawn(async move { keeper.run(&stopped).await });
    let prober = Prober { shared, reports };
    let targets: Vec<Arc<Target>> =
        prober.shared.plan.load().inputs.services.targets.iter().cloned().collect();

    let all = prober.all(&targets, Outcome::Success, |_| true).await;
    println!(
        "reports  {:>7.2} µs each, all {} for the first time",
        per(all, targets.len()),
        targets.len()
    );
    let all = prober.all(&targets, Outcome::Success, |_| true).await;
    println!("         {:>7.2} µs each, when only figures change", per(all, targets.len()));

    let mut times = Vec::with_capacity(2 * FLIPS);
    let start = processor();
    for at in 0..FLIPS {
        // Far apart, as strangers flip.
        let id = TargetId((at * 7919 % targets.len()) as u32);
        for outcome in [Outcome::Failure(Fault::Refused), Outcome::Success] {
            times.push(prober.flip(&targets[id.0 as usize], id, outcome).await);
        }
    }
    let each = (processor() - start) / u32::try_from(2 * FLIPS).unwrap_or(u32::MAX);
    times.sort_unstable();
    let of = |share: usize| times[(times.len() - 1) * share / 1000].as_secs_f64() * 1e6;
    println!(
        "flip     {:>7.1} µs of the processor; wall: {:.1} µs median, {:.1} µs p99, {:.1} µs worst",
        each.as_secs_f64() * 1e6,
        of(500),
        of(990),
        of(1000)
    );
    let region = |target: &Target| target.region == REGIONS[0];
    let dead = prober.all(&targets, Outcome::Failure(Fault::Timeout), region).await;
    let down = prober.down(targets.len());
    println!(
        "region   {:>7.1} ms until all {down} of its targets are out",
        dead.as_secs_f64() * 1e3
    );
    stop.cancel();
    keeping.await.expect("the keeper does not panic");
    assert!(each < BOUND, "a flip takes {each:?}; {BOUND:?} is the bound");
}

struct Prober {
    shared: Shared,
    reports: mpsc::Sender<(Arc<Target>, Report)>,
}

impl Prober {
    /// One change of state, `fall` and `rise` times reported.
    async fn flip(&self, target: &Arc<Target>, id: TargetId, outcome: Outcome) -> Duration {
        let is_up = outcome == Outcome::Success;
        let reports = if is_up { 2 } else { 3 };
        let mut last = Instant::now();
        for n in 0..reports {
            if n + 1 == reports {
                self.idle().await;
                last = Instant::now();
            }
            let _ = self.reports.send((Arc::clone(target), report(outcome, 0))).await;
        }
        while (self.shared.plan.load().health.state(id) == State::Down) == is_up {
            tokio::task::yield_now().await;
        }
        last.elapsed()
    }

    /// Everything reported often enough to count; the processor's time.
    async fn all(
        &self,
        targets: &[Arc<Target>],
        outcome: Outcome,
        which: impl Fn(&Target) -> bool,
    ) -> Duration {
        let reports = if outcome == Outcome::Success { 1 } else { 3 };
        let start = processor();
        for n in 0..reports {
            for (at, target) in targets.iter().enumerate().filter(|(_, target)| which(target)) {
                let _ = self.reports.send((Arc::clone(target), report(outcome, at + n))).await;
            }
        }
        self.idle().await;
        processor() - start
    }

    /// Until the keeper has taken everything in.
    async fn idle(&self) {
        while self.reports.capacity() < MAX_WAITING {
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
    }

    fn down(&self, targets: usize) -> usize {
        let snapshot = self.shared.plan.load();
        let state = |id: usize| snapshot.health.state(TargetId(id as u32));
        (0..targets).filter(|id| state(*id) == State::Down).count()
    }
}

fn report(outcome: Outcome, figure: usize) -> Report {
    Report {
        outcome,
        rtt: (outcome == Outcome::Success).then(|| Duration::from_micros(1000 + figure as u64)),
        load: Some(Load { in_flight: figure as u32, cpu: 9, rate: 100, capacity: 500 }),
        detail: String::new(),
        good_for: Duration::from_secs(3600),
    }
}

fn load(services: usize) -> Loaded {
    let folder = tempfile::tempdir().expect("a folder");
    let file = write(folder.path(), &configuration(services, 0, &[]));
    let start = Instant::now();
    let loaded = Loader::default().load(&file, &[]).unwrap_or_else(|e| panic!("{}", e.report()));
    println!("loaded in {:.1} s", start.elapsed().as_secs_f64());
    loaded
}

fn megabytes(octets: usize) -> f64 {
    octets as f64 / 1e6
}

fn per(all: Duration, count: usize) -> f64 {
    all.as_secs_f64() * 1e6 / count as f64
}
