//! Whatever changes from plan to plan: what is kept up to date by the difference is what a walk over
//! everything finds.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use dns::zone::ServiceId;
use proptest::prelude::*;

use super::*;
use crate::health::damping::Damping;
use crate::health::{Fault, Outcome, Rules, Thresholds};
use crate::monitor::tests::{at, plan, report, service, target};
use crate::monitor::{Monitor, Settings};
use crate::plan::Services;
use crate::policy::{Policy, Views};
use crate::removal::Limit;
use crate::service::{Endpoint, Service};
use crate::target::{Numbering, Watched};
use crate::verdicts::WHOLE;

const HOSTS: [&str; 14] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"];
const REGIONS: [&str; 4] = ["w", "x", "y", "z"];

/// What happens between and to plans.
#[derive(Debug, Clone)]
enum Event {
    /// This host, in the region that it always is in, reports so.
    Report(usize, u8),
    /// Seconds pass.
    Pass(u64),
    /// This service has endpoints at these hosts from now on, some with a second check, and starts so
    /// slowly.
    Replace(usize, Vec<(usize, bool)>, u64),
    /// There are so many services.
    Resize(usize),
    /// The same plan, numbered anew.
    Whole,
}

fn event() -> impl Strategy<Value = Event> {
    let endpoints = proptest::collection::vec((0..HOSTS.len(), any::<bool>()), 1..5);
    prop_oneof![
        8 => (0..HOSTS.len(), 0..6_u8).prop_map(|(host, what)| Event::Report(host, what)),
        2 => (0..40_u64).prop_map(Event::Pass),
        4 => (0..4_usize, endpoints, 0..2_u64)
            .prop_map(|(at, endpoints, slow)| Event::Replace(at, endpoints, 20 * slow)),
        1 => (0..5_usize).prop_map(Event::Resize),
        1 => Just(Event::Whole),
    ]
}

fn region(host: usize) -> &'static str {
    REGIONS[host % 4]
}

fn made(endpoints: &[(usize, bool)], slow_start: u64) -> Service {
    let endpoint = |(host, second): &(usize, bool)| {
        (region(*host), HOSTS[*host], second.then_some(HOSTS[(host + 1) % 3]))
    };
    let endpoints: Vec<_> = endpoints.iter().map(endpoint).collect();
    service(&endpoints, Duration::from_secs(slow_start))
}

/// The plan with another service of this number, or none: as [`crate::compile::replace`] makes it.
fn replaced(before: &Services, at: usize, service: Option<&Service>) -> Services {
    let mut after = before.clone();
    let endpoints = service.into_iter().flat_map(|service| &service.endpoints);
    let watched = endpoints.flat_map(Endpoint::all_watched);
    let mut numbering = Numbering::new(before.targets.clone(), watched);
    let (id, lists) = (ServiceId(u32::try_from(at).unwrap()), geo::Lists::default());
    let mut views = Views::new(&lists);
    let number = |watched: &Watched| numbering.take(watched);
    match service {
        Some(service) => {
            let policy = Policy::compile(service, id, |_| Some(0), number, &mut views);
            let entry = (service.name.clone(), Arc::new(policy));
            after.services.resize(before.services.len().max(at + 1), &entry);
            after.services.set(at, entry);
        }
        None => {
            let last = before.services[at].clone();
            after.services.resize(at, &last);
        }
    }
    let gone = before.services.get(at).into_iter().flat_map(|(_, policy)| policy.targets());
    after.targets = numbering.finish(gone);
    after
}

fn settings() -> Settings {
    let thresholds = Thresholds { rise: NonZeroU32::MIN, fall: NonZeroU32::new(2).unwrap() };
    let per = Duration::from_secs(30);
    Settings {
        rules: Rules { thresholds, damping: Some(Damping::default()) },
        // With three targets of the largest region beside it, more than some plans have.
        removal: Some(Limit { percent: 0, per }),
    }
}

/// What a plan must not change.
#[derive(Debug, PartialEq)]
struct Known {
    entries: BTreeMap<Target, String>,
    /// Who waits, in order, by region.
    waiting: BTreeMap<String, Vec<Target>>,
}

impl Known {
    /// Of those targets that `stays` says.
    fn of(monitor: &Monitor, stays: impl Fn(&Target) -> bool) -> Self {
        let known = monitor.services.targets.numbered().filter(|(_, target)| stays(target));
        let mut entries = BTreeMap::new();
        for (id, target) in known {
            let entry = Entry { region: 0, ..monitor.entries[id.0 as usize].clone() };
            entries.insert((**target).clone(), format!("{entry:?}"));
        }
        let mut waiting: BTreeMap<String, Vec<Target>> = BTreeMap::new();
        for id in monitor.waiting.iter().flatten() {
            let Some((target, entry)) = monitor.get(*id) else { continue };
            if entry.is_held && stays(target) {
                waiting.entry(target.region.clone()).or_default().push((**target).clone());
            }
        }
        Self { entries, waiting }
    }
}

/// Everything that a monitor keeps up to date, against what a walk finds.
fn walk(monitor: &Monitor, now: Now) {
    let services = &monitor.services;
    let (targets, numbers) = (&services.targets, services.targets.numbers());
    assert_eq!((monitor.entries.len(), monitor.suspects.len()), (numbers, services.services.len()));
    let mut users: BTreeMap<TargetId, BTreeSet<ServiceId>> = BTreeMap::new();
    let mut slow: BTreeMap<TargetId, Duration> = BTreeMap::new();
    for (id, (_, policy)) in (0..).map(ServiceId).zip(&services.services) {
        for target in policy.targets().flat_map(|verdict| services.behind(verdict)) {
            users.entry(target).or_default().insert(id);
            let longest = slow.entry(target).or_default();
            *longest = policy.slow_start().max(*longest);
        }
    }
    let (mut restless, mut deadlines) = (BTreeSet::new(), BTreeSet::new());
    let mut regions: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut held = BTreeSet::new();
    for (id, target) in targets.numbered() {
        let entry = &monitor.entries[id.0 as usize];
        let verdict = monitor.health.verdict(id);
        assert_eq!(*verdict, entry.verdict(slow[&id], now.uptime), "{target:?}");
        assert_eq!(monitor.dependants.slow_start(id), slow[&id]);
        assert!(monitor.dependants.services(id).eq(users[&id].iter().copied()), "{target:?}");
        if entry.machine.is_damped() || verdict.warm < WHOLE {
            restless.insert(id);
        }
        deadlines.extend(entry.due.map(|due| (due, id)));
        let (down, all) = regions.entry(&target.region).or_default();
        *down += usize::from(entry.state == State::Down);
        *all += 1;
        assert_eq!(monitor.regions[usize::from(entry.region)].name, target.region);
        if entry.is_held {
            held.insert(id);
            assert!(monitor.waiting[usize::from(entry.region)].contains(&id), "{target:?}");
        }
    }
    assert_eq!((&monitor.restless, &monitor.deadlines), (&restless, &deadlines));
    assert_eq!(monitor.held(), held.len());
    let counted = monitor.regions().map(|r| (r.name.as_str(), (r.down, r.all)));
    assert_eq!(counted.collect::<BTreeMap<_, _>>(), regions);
    for (pair, (first, second)) in targets.pairs() {
        let both = monitor.health.verdict(first).with(monitor.health.verdict(second));
        assert_eq!(*monitor.health.verdict(pair), both);
        for half in [first, second] {
            assert!(monitor.dependants.pairs(half).any(|known| known == pair));
        }
    }
    let halves = targets.numbered().map(|(id, _)| monitor.dependants.pairs(id).count());
    let pairs = targets.pairs().map(|(_, (a, b))| if a == b { 1 } else { 2 });
    assert_eq!(halves.sum::<usize>(), pairs.sum::<usize>());
    for id in (0..numbers as u32).map(TargetId) {
        if targets.get(id).is_none() && targets.pair(id).is_none() {
            assert_eq!(*monitor.health.verdict(id), Verdict::UNKNOWN, "{id:?} is free");
        }
    }
    let mut sorted: Vec<&Arc<Target>> = targets.iter().collect();
    sorted.sort();
    assert!(monitor.entries().map(|(target, _)| target).eq(sorted));
    for (id, (_, policy)) in (0..).map(ServiceId).zip(&services.services) {
        let behind = policy.targets().flat_map(|verdict| services.behind(verdict));
        let suspected: BTreeSet<_> =
            behind.filter(|target| monitor.health.verdict(*target).suspected).collect();
        assert_eq!(monitor.suspects[id.0 as usize] as usize, suspected.len());
        assert_eq!(monitor.health.is_unsettled(id), !suspected.is_empty());
    }
    let beyond = (services.services.len() as u32..9).map(ServiceId);
    assert!(beyond.into_iter().all(|id| !monitor.health.is_unsettled(id)));
}

/// Goes on to a plan, and looks at everything.
fn follow(monitor: &mut Monitor, after: Services, now: Now) {
    let (before, after) = (Arc::clone(&monitor.services), Arc::new(after));
    let stays = |target: &Target| {
        before.targets.find(target).is_some() && after.targets.find(target).is_some()
    };
    let known = Known::of(monitor, stays);
    monitor.retarget(&after, &[], now);
    assert_eq!(Known::of(monitor, stays), known);
    for (id, target) in after.targets.numbered().filter(|(_, target)| !stays(target)) {
        let entry = &monitor.entries[id.0 as usize];
        assert_eq!(entry.machine, Machine::new(now.wall), "{target:?}");
        assert_eq!((entry.heard, entry.due), (monitor.aged, Some(monitor.aged + FIRST_REPORT)));
    }
    walk(monitor, now);
}

proptest! {
    #[test]
    fn any_sequence_of_changes_is_what_a_walk_finds(
        events in proptest::collection::vec(event(), 0..120),
    ) {
        let (mut monitor, mut second) = (Monitor::default(), 0);
        let mut written = vec![
            made(&[(0, true), (1, false), (2, true)], 0),
            made(&[(3, false), (1, true)], 20),
        ];
        follow(&mut monitor, (*plan(&written)).clone(), at(0));
        for event in events {
            let present = Arc::clone(&monitor.services);
            match event {
                Event::Report(host, what) => {
                    let outcome = match what {
                        0 | 1 => Outcome::Success,
                        2 => Outcome::Draining,
                        _ => Outcome::Failure(Fault::Timeout),
                    };
                    let target = target(HOSTS[host], region(host));
                    monitor.observe(&target, report(outcome), &settings(), at(second));
                }
                Event::Pass(seconds) => {
                    second += seconds;
                    monitor.age(Duration::from_secs(seconds), at(second));
                }
                Event::Replace(which, endpoints, slow_start) => {
                    let which = which.min(written.len());
                    let service = made(&endpoints, slow_start);
                    let after = replaced(&present, which, Some(&service));
                    written.splice(which..written.len().min(which + 1), [service]);
                    monitor.settle(&settings(), at(second));
                    follow(&mut monitor, after, at(second));
                }
                Event::Resize(services) => {
                    monitor.settle(&settings(), at(second));
                    while written.len() > services {
                        written.pop();
                        let present = Arc::clone(&monitor.services);
                        follow(&mut monitor, replaced(&present, written.len(), None), at(second));
                    }
                }
                Event::Whole => {
                    written.reverse();
                    monitor.settle(&settings(), at(second));
                    follow(&mut monitor, (*plan(&written)).clone(), at(second));
                }
            }
        }
        // What settles at the end settles everything.
        monitor.settle(&settings(), at(second));
        walk(&monitor, at(second));
    }
}

/// A removal of a region that is gone is not held against the one that has its number now.
#[test]
fn regions_that_went_leave_nothing_behind() {
    let hosts: Vec<String> = (0..40).map(|host| format!("h{host}")).collect();
    let of = |region: &'static str, range: std::ops::Range<usize>| -> Vec<_> {
        hosts[range].iter().map(|host| (region, host.as_str(), None)).collect()
    };
    let both = |other: &'static str| {
        plan(&[
            service(&of("largest", 0..15), Duration::ZERO),
            service(&of(other, 15..30), Duration::ZERO),
        ])
    };
    let fail = |monitor: &mut Monitor, region: &str, range: std::ops::Range<usize>| {
        let failed = hosts[range].iter().filter(|host| {
            let twice = [0; 2].map(|_| {
                let failure = report(Outcome::Failure(Fault::Timeout));
                monitor.observe(&target(host, region), failure, &settings(), at(0)).is_some()
            });
            twice.contains(&true)
        });
        failed.count()
    };
    let mut monitor = Monitor::default();
    monitor.retarget(&both("first"), &[], at(0));
    assert_eq!(fail(&mut monitor, "largest", 0..15), 15);
    assert_eq!(fail(&mut monitor, "first", 15..30), 10, "the allowance");
    assert_eq!(monitor.held(), 5);
    monitor.retarget(&both("second"), &[], at(0));
    assert_eq!((monitor.held(), monitor.regions().count()), (0, 2));
    assert_eq!(fail(&mut monitor, "second", 15..30), 10, "the allowance once more");
    assert_eq!(monitor.waiting.iter().map(VecDeque::len).sum::<usize>(), 5);
    monitor.retarget(&both("first"), &[], at(0));
    assert_eq!((monitor.regions.len(), monitor.waiting.len()), (3, 3), "numbers are used again");
}
