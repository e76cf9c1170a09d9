//! From a sentence to what it makes of a plan: who is meant, when, and what may not be said.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a node looks at the clock")]

#[path = "small/site.rs"]
mod site;

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use dns::zone::ServiceId;
use dnsrouter::health::{Rules, State, Thresholds};
use dnsrouter::io::history::Recorder;
use dnsrouter::io::keeper::{Keeper, Shared};
use dnsrouter::io::load::Loaded;
use dnsrouter::io::overrides::{Insistence, Refused, Sentence, Store};
use dnsrouter::io::state::Folder;
use dnsrouter::monitor::Settings;
use dnsrouter::overrides::bound::Bound;
use dnsrouter::overrides::last::{Emptied, emptied, untouched};
use dnsrouter::overrides::{Invalid, Kind, Order, Override, Overrides, Subject};
use dnsrouter::plan::{Generation, Inputs, Services};
use dnsrouter::target::{Target, Targets};
use dnsrouter::verdicts::{Health, Stance, WHOLE};
use pki::Identity;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

const MINUTE: Duration = Duration::from_secs(60);

const CONFIG: &str = r#"
[[service]]
name = "geo.test-net.io"
ttl = 60
route = ["healthy", "nearest"]
[[service.endpoint]]
region = "us-central1"
addresses = ["203.0.113.10", "2001:db8::10"]
ping = "https://203.0.113.10:443"
[[service.endpoint]]
region = "us-central1"
addresses = ["203.0.113.11"]
ping = "https://203.0.113.11:443"
[[service.endpoint]]
region = "europe-west3"
addresses = ["203.0.113.20"]
ping = "https://203.0.113.20:443"
[[service]]
name = "blind.test-net.io"
ttl = 300
route = ["nearest"]
[[service.endpoint]]
region = "us-central1"
addresses = ["203.0.113.12"]
[[service]]
name = "two.test-net.io"
alias = "geo.test-net.io"
"#;

/// Services by id; endpoints of the first by position.
const GEO: ServiceId = ServiceId(0);
const BLIND: ServiceId = ServiceId(1);

/// Loaded once: the built-in country database takes a while.
static LOADED: LazyLock<Loaded> =
    LazyLock::new(|| site::loaded(&[site::NODE, CONFIG].concat(), site::ZONE));

fn inputs() -> Inputs {
    LOADED.inputs(Generation(1))
}

fn services() -> Arc<Services> {
    inputs().services
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn said(subject: &str, order: Order) -> Override {
    Override {
        subject: Subject::find(subject, &services()).unwrap(),
        order,
        who: "spiffe://test-net.io/user/ada".into(),
        why: String::new(),
        made: now(),
        until: None,
    }
}

fn drain(from: SystemTime, over: Duration) -> Order {
    Order::Drain { from, over }
}

fn all(sentences: impl IntoIterator<Item = Override>) -> Overrides {
    let mut all = Overrides::default();
    for one in sentences {
        all.set(one, now()).unwrap();
    }
    all
}

fn bound(sentences: impl IntoIterator<Item = Override>) -> Bound {
    Bound::new(Arc::new(all(sentences)), &services())
}

/// Of the three endpoints of the first service, and of the second's.
fn stances(bound: &Bound, at: SystemTime) -> [Stance; 4] {
    let (services, stances) = (services(), bound.stances(at));
    [(GEO, 0), (GEO, 1), (GEO, 2), (BLIND, 0)].map(|(service, endpoint)| {
        let location = services.services[service.0 as usize].1.location(endpoint);
        stances.of(service, endpoint, location)
    })
}

use Stance::{Draining, ForcedDown, ForcedUp, Measured};

const GONE: Stance = Draining { gone: WHOLE };

#[test]
fn people_name_regions_services_aliases_and_endpoints() {
    let find = |text: &str| Subject::find(text, &services()).map(|subject| subject.to_string());
    for (text, found) in [
        ("us-central1", "us-central1"),
        ("geo.test-net.io", "geo.test-net.io."),
        ("GEO.test-net.io.", "geo.test-net.io."),
        ("two.test-net.io", "geo.test-net.io."),
        ("geo.test-net.io/us-central1", "geo.test-net.io./us-central1"),
        ("two.test-net.io./us-central1/203.0.113.11", "geo.test-net.io./us-central1/203.0.113.11"),
        ("geo.test-net.io/us-central1/2001:DB8:0::10", "geo.test-net.io./us-central1/2001:db8::10"),
    ] {
        assert_eq!(find(text).as_deref(), Ok(found), "{text}");
        assert!(Subject::find(text, &services()).unwrap().is_in(&services()));
    }
    for unknown in [
        "",
        "us-central2",
        "www.test-net.io",
        "geo.test-net.io/asia-southeast1",
        "geo.test-net.io/europe-west3/203.0.113.10",
        "geo.test-net.io/us-central1/203.0.113",
        "us-central1/203.0.113.10",
    ] {
        let words = find(unknown).map_err(|unknown| unknown.to_string()).unwrap_err();
        assert!(words.contains("there are: us-central1, europe-west3"), "{words}");
    }
    assert!(find("geo.test-net.io/x").unwrap_err().to_string().contains("geo.test-net.io."));
    let gone = Subject::Region("us-central2".into());
    assert!(!gone.is_in(&services()));
}

#[test]
fn the_narrowest_subject_counts_and_a_force_before_a_drain() {
    let region = || said("us-central1", Order::Down);
    assert_eq!(stances(&bound([region()]), now()), [ForcedDown, ForcedDown, Measured, ForcedDown]);
    let service = || said("geo.test-net.io", Order::Up);
    assert_eq!(
        stances(&bound([region(), service()]), now()),
        [ForcedUp, ForcedUp, ForcedUp, ForcedDown]
    );
    let endpoints = || said("geo.test-net.io/us-central1", drain(now(), Duration::ZERO));
    assert_eq!(
        stances(&bound([region(), service(), endpoints()]), now()),
        [GONE, GONE, ForcedUp, ForcedDown]
    );
    let one = || said("geo.test-net.io/us-central1/2001:db8::10", Order::Up);
    assert_eq!(
        stances(&bound([region(), service(), endpoints(), one()]), now()),
        [ForcedUp, GONE, ForcedUp, ForcedDown]
    );
    let forced = || said("geo.test-net.io/us-central1", Order::Down);
    assert_eq!(
        stances(&bound([service(), endpoints(), forced()]), now()),
        [ForcedDown, ForcedDown, ForcedUp, Measured]
    );
}

#[test]
fn what_is_announced_or_over_leaves_the_floor_to_the_next() {
    let later = Override {
        until: Some(now() + 3 * MINUTE),
        ..said("geo.test-net.io/us-central1", drain(now() + MINUTE, MINUTE))
    };
    let bound = bound([later, said("us-central1", Order::Down)]);
    let first = |passed: Duration| stances(&bound, now() + passed)[0];
    assert_eq!(first(Duration::ZERO), ForcedDown);
    assert_eq!(first(MINUTE + MINUTE / 2), Draining { gone: WHOLE / 2 });
    assert_eq!(first(2 * MINUTE), GONE);
    assert_eq!(first(3 * MINUTE), ForcedDown);
}

#[test]
fn answers_are_kept_for_less_before_and_during_a_drain() {
    let bound = bound([said("us-central1", drain(now() + 10 * MINUTE, MINUTE))]);
    let announced = |before: i32| {
        let begin = now() + 10 * MINUTE;
        let at = if before >= 0 {
            begin - Duration::from_secs(before.unsigned_abs().into())
        } else {
            begin + Duration::from_secs(before.unsigned_abs().into())
        };
        bound.stances(at).announced.to_vec()
    };
    assert_eq!(announced(600), []);
    assert_eq!(announced(300), [BLIND], "of its 300 s an answer of now would lose nothing");
    assert_eq!(announced(64), [BLIND]);
    assert_eq!(announced(60), [GEO, BLIND]);
    assert_eq!(announced(-30), [GEO, BLIND]);
    assert_eq!(announced(-60), [], "all have gone: nothing changes any more");
    let elsewhere = self::bound([said("europe-west3", drain(now(), MINUTE))]);
    assert_eq!(elsewhere.stances(now()).announced.to_vec(), [GEO]);
    let forced = self::bound([said("europe-west3", Order::Down)]);
    assert_eq!(forced.stances(now()).announced.to_vec(), []);
}

/// Verdicts by the targets' addresses.
fn health(down: &[&str]) -> Health {
    let targets = services();
    let state = |target: &Arc<Target>| {
        if down.contains(&target.check.at().host.as_str()) { State::Down } else { State::Up }
    };
    Health::new(targets.targets.iter().map(state))
}

fn would_empty(health: &Health, before: &Overrides, new: &Override) -> Vec<String> {
    emptied(&services(), health, before, new, now()).iter().map(Emptied::to_string).collect()
}

#[test]
fn the_last_usable_endpoint_is_told_of_with_why_the_others_are_not() {
    let nothing = Overrides::default();
    let here = said("us-central1", drain(now(), 10 * MINUTE));
    let there = said("europe-west3", Order::Down);
    let none: [String; 0] = [];
    // IPv6 is in one region only, so that region is its last.
    let aaaa = ["geo.test-net.io. (AAAA: us-central1 drained)"];
    assert_eq!(would_empty(&health(&[]), &nothing, &here), aaaa);
    assert_eq!(would_empty(&health(&[]), &nothing, &there), none);
    let europe = health(&["203.0.113.20"]);
    let both = ["geo.test-net.io. (A: us-central1 drained, europe-west3 down)"];
    assert_eq!(would_empty(&europe, &nothing, &here), both);
    let forced = all([there.clone()]);
    let both = ["geo.test-net.io. (A: us-central1 drained, europe-west3 forced down)"];
    assert_eq!(would_empty(&health(&[]), &forced, &here), both);
    // What is empty already is not made so.
    let america = health(&["203.0.113.10", "203.0.113.11", "2001:db8::10"]);
    assert_eq!(would_empty(&america, &nothing, &here), none);
    assert_eq!(would_empty(&america, &nothing, &there).len(), 1);
    // An endpoint beside it is enough.
    let one = said("geo.test-net.io/us-central1/203.0.113.11", Order::Down);
    assert_eq!(would_empty(&europe, &nothing, &one), none);
    assert_eq!(
        would_empty(
            &europe,
            &all([one]),
            &said("geo.test-net.io/us-central1/203.0.113.10", Order::Down)
        )
        .len(),
        1
    );
}

#[test]
fn two_announced_drains_that_meet_are_told_of() {
    let first = said("europe-west3", drain(now() + 30 * MINUTE, MINUTE));
    let until = |minutes: u32| Override {
        until: Some(now() + minutes * MINUTE),
        ..said("geo.test-net.io/us-central1", drain(now() + 10 * MINUTE, MINUTE))
    };
    let ipv4 = |one: &Override| {
        let told = would_empty(&health(&["2001:db8::10"]), &all([first.clone()]), one);
        told.iter().filter(|words| words.contains("(A:")).count()
    };
    assert_eq!(ipv4(&until(60)), 1, "at 31 minutes both are whole");
    assert_eq!(ipv4(&until(25)), 0, "the one is over before the other begins");
}

#[test]
fn routes_that_look_at_no_health_are_told_of() {
    let names = |subject: &str| {
        let one = said(subject, Order::Down);
        untouched(&services(), &one).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names("us-central1"), ["blind.test-net.io."]);
    assert_eq!(names("europe-west3"), [""; 0]);
    assert_eq!(names("blind.test-net.io"), ["blind.test-net.io."]);
}

/// A node that takes sentences, with a folder of its own.
struct Node {
    shared: Shared,
    store: Store,
    stop: CancellationToken,
}

impl Node {
    fn start(folder: Option<&std::path::Path>) -> Self {
        let shared = Shared::new(inputs(), &[], SystemTime::now());
        let (speaking, said) = mpsc::channel(1);
        let folder = folder.map(|path| Folder::open(path).unwrap());
        let store = Store::open(folder, speaking, shared.clone());
        let one = std::num::NonZeroU32::MIN;
        let thresholds = Thresholds { rise: one, fall: one };
        let mut keeper = Keeper {
            shared: shared.clone(),
            settings: Settings { rules: Rules { thresholds, damping: None }, removal: None },
            reports: mpsc::channel(1).1,
            inputs: mpsc::channel(1).1,
            said,
            reckoned: mpsc::channel(1).1,
            recorder: Recorder::default(),
            targets: watch::channel(Targets::default()).0,
            disk: watch::channel(()).0,
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move { keeper.run(&stopped).await });
        Self { shared, store, stop }
    }

    async fn say(
        &mut self,
        subject: &str,
        order: Order,
        how: Insistence,
    ) -> Result<Vec<String>, Refused> {
        let (subject, why) = (subject.to_owned(), "a test".to_owned());
        let sentence = Sentence { subject, order, lasts: None, why };
        self.store.say(sentence, &ada(), how).await.map(|done| done.notes)
    }

    /// As it is served.
    fn stance(&self, endpoint: u8) -> Stance {
        let snapshot = self.shared.plan.load();
        let location = snapshot.inputs.services.services[0].1.location(endpoint);
        snapshot.health.stances().of(GEO, endpoint, location)
    }

    fn in_force(&self) -> Vec<String> {
        self.shared.overrides().overrides().iter().map(ToString::to_string).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn ada() -> Identity {
    "spiffe://test-net.io/user/ada".parse().unwrap()
}

const YES: Insistence = Insistence { force_last: true, check_only: false };

#[tokio::test]
async fn what_is_acknowledged_is_in_force_and_outlives_the_process() {
    let place = tempfile::tempdir().unwrap();
    let mut node = Node::start(Some(place.path()));
    let none = Insistence::default();
    assert_eq!(node.stance(2), Measured);
    assert!(node.say("europe-west3", Order::Down, none).await.unwrap().is_empty());
    assert_eq!(node.stance(2), ForcedDown);
    let notes = node.say("us-central1", Order::Down, YES).await.unwrap();
    assert!(notes.iter().any(|note| note.contains("nothing usable is left of geo.test-net.io.")));
    assert!(notes.iter().any(|note| note.contains("no effect on blind.test-net.io.")));
    drop(node);
    let mut again = Node::start(Some(place.path()));
    assert_eq!([0, 1, 2].map(|endpoint| again.stance(endpoint)), [ForcedDown; 3]);
    let kept = "force down of europe-west3 by spiffe://test-net.io/user/ada (\"a test\")";
    assert_eq!(again.in_force()[0], kept);
    again.store.lift("europe-west3", Kind::Force, &ada(), none).await.unwrap();
    assert_eq!(again.stance(2), Measured);
    let refused = again.store.lift("europe-west3", Kind::Force, &ada(), none).await.unwrap_err();
    assert_eq!(refused.to_string(), "there is no force of europe-west3 here");
    drop(again);
    assert_eq!(Node::start(Some(place.path())).in_force().len(), 1);
}

#[tokio::test]
async fn what_is_refused_or_only_asked_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let mut node = Node::start(Some(place.path()));
    let none = Insistence::default();
    let last = node.say("geo.test-net.io", Order::Down, none).await.unwrap_err();
    let words = "nothing usable would be left of geo.test-net.io. (A: us-central1 forced down, \
                 europe-west3 forced down): it would fail open";
    assert_eq!(last.to_string(), words);
    let unknown = node.say("us-central9", Order::Down, none).await;
    assert!(matches!(unknown, Err(Refused::Unknown(_))));
    let past = node.say("europe-west3", drain(SystemTime::UNIX_EPOCH, MINUTE), none).await;
    assert!(matches!(past, Err(Refused::Invalid(Invalid::Past))));
    let only = Insistence { check_only: true, ..none };
    node.say("europe-west3", Order::Down, only).await.unwrap();
    assert!(node.in_force().is_empty());
    assert!(!place.path().join("overrides.json").exists());
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_in_force() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("state");
    let mut node = Node::start(Some(&path));
    std::fs::remove_dir(&path).unwrap();
    let refused = node.say("europe-west3", Order::Down, Insistence::default()).await.unwrap_err();
    assert!(matches!(refused, Refused::Disk(_)), "{refused}");
    assert_eq!((node.stance(2), node.in_force().len()), (Measured, 0));
}

#[tokio::test]
async fn a_node_without_a_folder_says_that_it_forgets() {
    let mut node = Node::start(None);
    let notes = node.say("europe-west3", Order::Down, Insistence::default()).await.unwrap();
    assert_eq!(notes, ["this node has no [state] dir: a restart forgets it"]);
}

#[tokio::test]
async fn a_damaged_file_raises_an_alarm_until_something_whole_is_there() {
    let place = tempfile::tempdir().unwrap();
    let none = Insistence::default();
    let mut node = Node::start(Some(place.path()));
    node.say("europe-west3", Order::Down, none).await.unwrap();
    node.say("geo.test-net.io/europe-west3", Order::Up, none).await.unwrap();
    drop(node);
    let file = place.path().join("overrides.json");
    std::fs::write(&file, "damaged").unwrap();
    let mut node = Node::start(Some(place.path()));
    let alarms = node.shared.alarms();
    assert!(alarms[0].contains("those before the last change count"), "{alarms:?}");
    assert_eq!(node.stance(2), ForcedDown);
    node.say("geo.test-net.io/europe-west3", Order::Up, none).await.unwrap();
    assert_eq!((node.shared.alarms().len(), node.stance(2)), (0, ForcedUp));
}
