//! From reports to verdicts: what the keeper publishes, shows and keeps.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "small/site.rs"]
mod site;

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use dnsrouter::health::{Fault, Outcome, Rules, State, Thresholds};
use dnsrouter::io::history::Recorder;
use dnsrouter::io::keeper::{Apply, Keeper, MAX_WAITING, Shared, keep_on_disk};
use dnsrouter::io::load::Loaded;
use dnsrouter::io::state;
use dnsrouter::monitor::{Report, Saved, Settings};
use dnsrouter::plan::Generation;
use dnsrouter::removal::Limit;
use dnsrouter::target::{Check, HostPort, Target, Targets};
use dnsrouter::verdicts::TargetId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// Longer than any of these takes, shorter than anybody waits.
const DEADLINE: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(3600);
const SETTINGS: Settings = Settings {
    rules: Rules {
        thresholds: Thresholds { rise: NonZeroU32::MIN, fall: NonZeroU32::MIN },
        damping: None,
    },
    removal: None,
};

const BEGINNING: &str = r#"
[[service]]
name = "geo.test-net.io"
ttl = 60
route = ["healthy", "nearest"]
[[service.endpoint]]
region = "us-central1"
addresses = ["203.0.113.10"]
ping = "https://203.0.113.10:443"
"#;

const SECOND_ENDPOINT: &str = r#"
[[service.endpoint]]
region = "europe-west3"
addresses = ["203.0.113.20"]
ping = "https://203.0.113.20:443"
"#;

/// Loaded once: the built-in country database takes a while.
static TWO: LazyLock<Loaded> = LazyLock::new(|| load(&[BEGINNING, SECOND_ENDPOINT].concat()));
static ONE: LazyLock<Loaded> = LazyLock::new(|| load(BEGINNING));

fn load(config: &str) -> Loaded {
    site::loaded(&[site::NODE, config].concat(), site::ZONE)
}

fn target(host: &str, region: &str) -> Arc<Target> {
    let check = Check::GeoPing(HostPort { host: host.into(), port: 443 });
    Arc::new(Target { check, region: region.into() })
}

fn here() -> Arc<Target> {
    target("203.0.113.10", "us-central1")
}

fn there() -> Arc<Target> {
    target("203.0.113.20", "europe-west3")
}

fn failure(good_for: Duration) -> Report {
    let outcome = Outcome::Failure(Fault::Refused);
    Report { outcome, rtt: None, load: None, detail: "refused".into(), good_for }
}

/// A keeper that runs, and what others hold of it.
struct Running {
    shared: Shared,
    reports: mpsc::Sender<(Arc<Target>, Report)>,
    inputs: mpsc::Sender<Apply>,
    disk: watch::Receiver<()>,
    stop: CancellationToken,
}

impl Running {
    fn start() -> Self {
        Self::with(&TWO, SETTINGS)
    }

    fn with(loaded: &Loaded, settings: Settings) -> Self {
        let shared = Shared::new(loaded.inputs(Generation(1)), &[], SystemTime::UNIX_EPOCH);
        let (reports, reported) = mpsc::channel(MAX_WAITING);
        let (inputs, given) = mpsc::channel(1);
        let (targets, _) = watch::channel(Targets::default());
        let (news, disk) = watch::channel(());
        let mut keeper = Keeper {
            shared: shared.clone(),
            settings,
            reports: reported,
            inputs: given,
            said: mpsc::channel(1).1,
            reckoned: mpsc::channel(1).1,
            recorder: Recorder::default(),
            targets,
            disk: news,
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move { keeper.run(&stopped).await });
        Self { shared, reports, inputs, disk, stop }
    }

    fn states(&self) -> Vec<State> {
        let snapshot = self.shared.plan.load();
        (0..2).map(|id| snapshot.health.state(TargetId(id))).collect()
    }

    /// Waits until the first targets are published in these states.
    async fn until(&mut self, states: [State; 2]) {
        // What changes a state is also for the disk.
        soon(async {
            while self.states() != states {
                self.disk.changed().await.unwrap();
            }
        })
        .await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("the deadline has passed")
}

#[tokio::test]
async fn a_target_that_nobody_reports_on_any_more_becomes_unknown() {
    let mut node = Running::start();
    // In this order: when the second is down, the first has been.
    node.reports.send((there(), failure(Duration::from_secs(1)))).await.unwrap();
    node.reports.send((here(), failure(LONG))).await.unwrap();
    node.until([State::Down, State::Unknown]).await;
    let snapshot = node.shared.plan.load();
    let targets = &snapshot.inputs.services.targets;
    let expected = targets.iter().map(|t| if *t == here() { State::Down } else { State::Unknown });
    assert_eq!(*snapshot.health, dnsrouter::verdicts::Health::new(expected), "and is published");
}

/// Four regions with ten targets each, of which all fail at once.
#[tokio::test]
async fn when_everything_fails_at_once_most_of_it_stays_and_that_is_told() {
    let regions = ["us-central1", "europe-west3", "asia-southeast1", "us-east1"];
    let address = |i: usize| format!("198.51.100.{i}");
    let endpoints: String = (0..40)
        .map(|i| {
            let (region, address) = (regions[i % 4], address(i));
            format!(
                "[[service.endpoint]]\nregion = \"{region}\"\naddresses = [\"{address}\"]\n\
                 ping = \"https://{address}:443\"\n"
            )
        })
        .collect();
    let loaded = load(&[BEGINNING, &endpoints].concat());
    let limit = Limit { percent: 25, per: LONG };
    let node = Running::with(&loaded, Settings { removal: Some(limit), ..SETTINGS });
    assert_eq!(node.shared.alarms(), Vec::<String>::new());
    for i in 0..40 {
        let report = (target(&address(i), regions[i % 4]), failure(LONG));
        node.reports.send(report).await.unwrap();
    }
    let down = |node: &Running| {
        let snapshot = node.shared.plan.load();
        (0..41).filter(|id| snapshot.health.state(TargetId(*id)) == State::Down).count()
    };
    let held_back = |node: &Running| {
        node.shared.alarms().into_iter().find(|alarm| alarm.contains("removal held back"))
    };
    soon(async {
        // What is held back alone is told with the next tick.
        let told = |held: usize| held_back(&node).is_some_and(|a| a.starts_with(&held.to_string()));
        loop {
            let held = node.shared.monitor().held();
            if held + down(&node) == 40 && told(held) {
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    // A quarter of 41, and what is left of the region that lost most.
    assert!((11..=21).contains(&down(&node)), "{} went", down(&node));
}

#[tokio::test]
async fn metrics_forget_a_target_that_went() {
    let mut node = Running::start();
    for target in [here(), there()] {
        node.reports.send((target, failure(LONG))).await.unwrap();
    }
    node.until([State::Down, State::Down]).await;
    let row = |target: Arc<Target>| {
        let Target { check, region } = &*target;
        format!("dnsrouter_target_up{{target=\"{check}\",region=\"{region}\"}} 0\n")
    };
    let text = node.shared.render();
    assert!(text.contains(&row(here())) && text.contains(&row(there())), "{text}");

    let (done, applied) = oneshot::channel();
    let apply = Apply { inputs: ONE.inputs(Generation(2)), settings: SETTINGS, done };
    assert!(node.inputs.send(apply).await.is_ok(), "the keeper runs");
    soon(applied).await.unwrap().unwrap();
    let text = node.shared.render();
    assert!(text.contains(&row(here())), "{text}");
    assert!(!text.contains("203.0.113.20"), "{text}");
}

/// The last verdicts come together with the word to stop: whichever is seen first, they are kept.
#[tokio::test]
async fn what_came_last_is_on_disk_after_the_stop() {
    let place = tempfile::tempdir().unwrap();
    let folder = state::Folder::open(place.path()).unwrap();
    let state_of = |generation| {
        let verdict = Saved {
            address: "203.0.113.10:443".into(),
            region: "us-central1".into(),
            state: State::Down,
            since_unix_ms: 1,
        };
        state::State::new(generation, vec![verdict])
    };
    for round in 0..16 {
        let (first, last) = (state_of(2 * round + 1), state_of(2 * round + 2));
        let newest = Arc::new(Mutex::new(first.clone()));
        let collected = Arc::clone(&newest);
        let collect = Arc::new(move || collected.lock().unwrap().clone());
        let (publish, news) = watch::channel(());
        let stop = CancellationToken::new();
        let keeping = tokio::spawn(keep_on_disk(folder.clone(), collect, news, stop.clone()));
        soon(async {
            while folder.read() != first {
                tokio::task::yield_now().await;
            }
        })
        .await;
        *newest.lock().unwrap() = last.clone();
        publish.send_replace(());
        stop.cancel();
        soon(keeping).await.unwrap();
        assert_eq!(folder.read(), last, "in round {round}");
    }
}
