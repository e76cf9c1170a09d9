//! From reports to verdicts: what the keeper publishes, shows and keeps.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use dnsrouter::health::{Outcome, State, Thresholds};
use dnsrouter::io::history::Recorder;
use dnsrouter::io::keeper::{Apply, Keeper, MAX_WAITING, Shared, keep_on_disk};
use dnsrouter::io::load::{Loaded, Loader};
use dnsrouter::io::state;
use dnsrouter::monitor::{Report, Saved};
use dnsrouter::plan::Generation;
use dnsrouter::service::{Ping, Target};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// Longer than any of these takes, shorter than anybody waits.
const DEADLINE: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(3600);
const THRESHOLDS: Thresholds = Thresholds { rise: NonZeroU32::MIN, fall: NonZeroU32::MIN };

const BEGINNING: &str = r#"
[node]
name = "ns1"
region = "us-central1"
trust_domain = "test-net.io"
[listen]
dns = ["127.0.0.1:0"]
[tls]
cert = "unused"
key = "unused"
ca = "unused"
[[zone]]
name = "test-net.io"
file = "zone"
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
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dnsrouter.toml");
    std::fs::write(&file, config).unwrap();
    let zone = "$TTL 300\n@ SOA ns1 h 1 2 3 4 60\n@ NS ns1\nns1 A 192.0.2.53\n";
    std::fs::write(folder.path().join("zone"), zone).unwrap();
    Loader::default().load(&file, &[]).unwrap_or_else(|e| panic!("{}", e.report()))
}

fn target(host: &str, region: &str) -> Target {
    Target { ping: Ping { host: host.into(), port: 443 }, region: region.into() }
}

fn here() -> Target {
    target("203.0.113.10", "us-central1")
}

fn there() -> Target {
    target("203.0.113.20", "europe-west3")
}

fn failure(good_for: Duration) -> Report {
    Report { outcome: Outcome::Failure, rtt: None, detail: "refused".into(), good_for }
}

/// A keeper that runs, and what others hold of it.
struct Running {
    shared: Shared,
    reports: mpsc::Sender<(Target, Report)>,
    inputs: mpsc::Sender<Apply>,
    state: watch::Receiver<state::State>,
    stop: CancellationToken,
}

impl Running {
    fn start() -> Self {
        let shared = Shared::new(TWO.inputs(Generation(1)), &[], SystemTime::UNIX_EPOCH);
        let (reports, reported) = mpsc::channel(MAX_WAITING);
        let (inputs, given) = mpsc::channel(1);
        let (targets, _) = watch::channel(Arc::from([]));
        let (newest, state) = watch::channel(state::State::default());
        let mut keeper = Keeper {
            shared: shared.clone(),
            thresholds: THRESHOLDS,
            reports: reported,
            inputs: given,
            said: mpsc::channel(1).1,
            recorder: Recorder::default(),
            targets,
            state: newest,
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move { keeper.run(&stopped).await });
        Self { shared, reports, inputs, state, stop }
    }

    fn states(&self) -> Vec<State> {
        let monitor = self.shared.monitor();
        monitor.entries().map(|(_, entry)| entry.machine.state()).collect()
    }

    /// Waits until the targets, by address, are in these states.
    async fn until(&mut self, states: [State; 2]) {
        // What changes a state also sends the form for the disk.
        soon(async {
            while self.states() != states {
                self.state.changed().await.unwrap();
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

#[tokio::test]
async fn metrics_forget_a_target_that_went() {
    let mut node = Running::start();
    for target in [here(), there()] {
        node.reports.send((target, failure(LONG))).await.unwrap();
    }
    node.until([State::Down, State::Down]).await;
    let row = |target: Target| {
        let Target { ping, region } = target;
        format!("dnsrouter_target_up{{target=\"{ping}\",region=\"{region}\"}} 0\n")
    };
    let text = node.shared.render();
    assert!(text.contains(&row(here())) && text.contains(&row(there())), "{text}");

    let (done, applied) = oneshot::channel();
    let apply = Apply { inputs: ONE.inputs(Generation(2)), thresholds: THRESHOLDS, done };
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
        let (publish, newest) = watch::channel(first.clone());
        let stop = CancellationToken::new();
        let keeping = tokio::spawn(keep_on_disk(folder.clone(), newest, stop.clone()));
        soon(async {
            while folder.read() != first {
                tokio::task::yield_now().await;
            }
        })
        .await;
        publish.send_replace(last.clone());
        stop.cancel();
        soon(keeping).await.unwrap();
        assert_eq!(folder.read(), last, "in round {round}");
    }
}
