//! From reports to verdicts, by example, and against a walk over everything.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::SystemTime;

use proptest::prelude::*;

use super::*;
use crate::health::damping::Damping;
use crate::health::{Fault, Outcome, Thresholds};
use crate::policy::{Policy, Views};
use crate::service::{Endpoint, Service, Step};
use crate::target::{Check, HostPort, Numbering, Targets, Watched};
use crate::verdicts::Verdict;

const ONE: NonZeroU32 = NonZeroU32::MIN;
const QUICK: Settings = Settings {
    rules: Rules { thresholds: Thresholds { rise: ONE, fall: ONE }, damping: None },
    removal: None,
};
const GOOD_FOR: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

pub(super) fn at(seconds: u64) -> Now {
    let uptime = Duration::from_secs(seconds);
    Now { wall: SystemTime::UNIX_EPOCH + uptime, uptime }
}

pub(super) fn target(host: &str, region: &str) -> Target {
    let check = Check::GeoPing(HostPort { host: host.into(), port: 443 });
    Target { check, region: region.into() }
}

/// A service whose endpoints are pinged at these hosts, in these regions, and where a second host
/// is given connected to there too.
pub(super) fn service(endpoints: &[(&str, &str, Option<&str>)], slow_start: Duration) -> Service {
    let endpoint = |(at, (region, ping, tcp)): (usize, &(&str, &str, Option<&str>))| Endpoint {
        region: (*region).into(),
        addresses: vec![format!("192.0.2.{at}").parse().unwrap()],
        records: Vec::new(),
        weight: 1,
        tier: 1,
        capacity: None,
        pings: vec![HostPort { host: (*ping).into(), port: 443 }],
        check: tcp.map(|host| Check::Tcp(HostPort { host: host.into(), port: 5 })),
    };
    Service {
        name: "geo.example.".parse().unwrap(),
        ttl: Duration::from_secs(60),
        ttl_min: Duration::from_secs(10),
        slow_start,
        route: vec![Step::Weighted],
        endpoints: endpoints.iter().enumerate().map(endpoint).collect(),
        bindings: Vec::new(),
    }
}

pub(super) fn plan(services: &[Service]) -> Arc<Services> {
    let endpoints = services.iter().flat_map(|service| &service.endpoints);
    let watched = endpoints.flat_map(Endpoint::all_watched);
    let mut numbering = Numbering::new(Targets::default(), watched);
    let lists = geo::Lists::default();
    let mut views = Views::new(&lists);
    let policy = |(at, service): (u32, &Service)| {
        let verdict = |watched: &Watched| numbering.take(watched);
        let policy = Policy::compile(service, ServiceId(at), |_| Some(0), verdict, &mut views);
        (service.name.clone(), Arc::new(policy))
    };
    let compiled = (0..).zip(services).map(policy).collect();
    let targets = numbering.finish(std::iter::empty());
    Arc::new(Services { services: compiled, targets, ..Services::default() })
}

/// One service with an endpoint per host, all in region r.
fn hosts(hosts: &[&str]) -> Arc<Services> {
    let endpoints: Vec<_> = hosts.iter().map(|host| ("r", *host, None)).collect();
    plan(&[service(&endpoints, Duration::ZERO)])
}

fn monitor(services: &Arc<Services>) -> Monitor {
    let mut monitor = Monitor::default();
    monitor.retarget(services, &[], at(0));
    monitor
}

pub(super) fn report(outcome: Outcome) -> Report {
    Report { outcome, rtt: None, load: None, detail: String::new(), good_for: GOOD_FOR }
}

fn failure() -> Report {
    Report { detail: "refused".into(), ..report(Outcome::Failure(Fault::Refused)) }
}

fn states(monitor: &mut Monitor) -> Vec<State> {
    let health = monitor.health();
    (0..monitor.len() as u32).map(|id| health.state(TargetId(id))).collect()
}

fn saved(state: State, since_unix_ms: u64) -> Saved {
    Saved { address: "a:443".into(), region: "r".into(), state, since_unix_ms }
}

#[test]
fn a_reload_keeps_what_is_known_of_targets_that_stay() {
    let mut monitor = monitor(&hosts(&["a", "b"]));
    assert!(monitor.observe(&target("a", "r"), failure(), &QUICK, at(0)).is_some());
    monitor.retarget(&hosts(&["c", "a"]), &[], at(1));
    assert_eq!(states(&mut monitor), [State::Unknown, State::Down]);
    assert_eq!(monitor.observe(&target("b", "r"), failure(), &QUICK, at(2)), None, "b is gone");
    let region = Region { name: "r".into(), down: 1, all: 2 };
    assert!(monitor.regions().eq([&region]));
}

#[test]
fn a_restart_goes_on_with_the_saved_verdicts() {
    let services = hosts(&["a", "unknown"]);
    let mut before = monitor(&services);
    before.observe(&target("a", "r"), failure(), &QUICK, at(5));
    let saved: Vec<_> = before.saved(0..9).collect();
    assert_eq!(saved, [self::saved(State::Down, 5000)]);
    let mut after = Monitor::default();
    after.retarget(&services, &saved, at(60));
    assert_eq!(states(&mut after), [State::Down, State::Unknown]);
    assert_eq!(after.get(TargetId(0)).unwrap().1.machine.since(), at(5).wall);
}

#[test]
fn a_saved_stamp_from_the_future_or_of_any_size_is_survived() {
    let mut monitor = Monitor::default();
    monitor.retarget(&hosts(&["a"]), &[saved(State::Up, u64::MAX)], at(0));
    assert_eq!(monitor.get(TargetId(0)).unwrap().1.machine.since(), at(0).wall);
}

#[test]
fn a_verdict_that_nobody_renews_becomes_unknown() {
    let mut monitor = monitor(&hosts(&["heard", "unheard", "never"]));
    let (heard, unheard) = (target("heard", "r"), target("unheard", "r"));
    monitor.observe(&unheard, failure(), &QUICK, at(0));
    let mut passed = Duration::ZERO;
    while passed < GOOD_FOR - SECOND {
        monitor.observe(&heard, failure(), &QUICK, at(0));
        assert_eq!(monitor.age(SECOND, at(0)), [], "after {passed:?}");
        passed += SECOND;
    }
    let transition = Transition { from: State::Down, to: State::Unknown };
    assert_eq!(monitor.age(SECOND, at(60)), [Change { target: TargetId(1), transition }]);
    assert_eq!(states(&mut monitor), [State::Down, State::Unknown, State::Unknown]);
    assert_eq!(monitor.age(SECOND, at(60)), [], "it is told once");
    let change = monitor.observe(&unheard, failure(), &QUICK, at(61));
    assert!(change.is_some(), "and believed again");
    let expired: usize = (0..120).map(|_| monitor.age(SECOND, at(62)).len()).sum();
    assert_eq!(expired, 2, "and expires again, as the other does");
}

#[test]
fn a_shorter_validity_counts_from_the_report_that_brings_it() {
    let mut monitor = monitor(&hosts(&["a"]));
    let a = target("a", "r");
    monitor.observe(&a, Report { good_for: GOOD_FOR * 60, ..failure() }, &QUICK, at(0));
    monitor.observe(&a, Report { good_for: SECOND, ..failure() }, &QUICK, at(0));
    assert_eq!(monitor.age(SECOND, at(1)).len(), 1);
}

#[test]
fn the_verdicts_of_the_last_run_expire_too() {
    let mut monitor = Monitor::default();
    monitor.retarget(&hosts(&["a"]), &[saved(State::Down, 0)], at(0));
    assert_eq!(monitor.age(FIRST_REPORT - SECOND, at(0)), []);
    assert_eq!(monitor.age(SECOND, at(0)).len(), 1);
}

fn rows(monitor: &Monitor) -> Vec<String> {
    let mut rows = Rows::default();
    monitor.render(0..1, &mut rows);
    monitor.render(1..99, &mut rows);
    let text = rows.text();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn metrics_have_the_rows_of_present_targets_only() {
    let mut monitor = monitor(&hosts(&["up", "down", "unknown"]));
    let up = Report { rtt: Some(Duration::from_millis(12)), ..report(Outcome::Success) };
    monitor.observe(&target("up", "r"), up, &QUICK, at(0));
    monitor.observe(&target("down", "r"), failure(), &QUICK, at(0));
    assert_eq!(
        rows(&monitor),
        [
            r#"dnsrouter_target_state{target="down:443",region="r",state="down"} 1"#,
            r#"dnsrouter_target_state{target="unknown:443",region="r",state="unknown"} 1"#,
            r#"dnsrouter_target_state{target="up:443",region="r",state="up"} 1"#,
            r#"dnsrouter_target_up{target="down:443",region="r"} 0"#,
            r#"dnsrouter_target_up{target="up:443",region="r"} 1"#,
            r#"dnsrouter_target_rtt_seconds{target="up:443",region="r"} 0.012"#,
            r#"dnsrouter_target_fault{target="down:443",region="r",fault="refused"} 1"#,
        ]
    );
    monitor.retarget(&hosts(&["unknown"]), &[], at(1));
    let left = r#"dnsrouter_target_state{target="unknown:443",region="r",state="unknown"} 1"#;
    assert_eq!(rows(&monitor), [left]);
}

#[test]
fn labels_cannot_break_out_of_their_quotes() {
    let odd = service(&[("back\\slash\nline", "a\"b", None)], Duration::ZERO);
    let row =
        r#"dnsrouter_target_state{target="a\"b:443",region="back\\slash\nline",state="unknown"} 1"#;
    assert_eq!(rows(&monitor(&plan(&[odd]))), [row]);
}

#[test]
fn a_ping_and_a_check_make_one_verdict_of_two() {
    let services = plan(&[
        service(&[("r", "a", Some("b"))], Duration::ZERO),
        service(&[("r", "a", None)], Duration::ZERO),
    ]);
    let (ping, pair) = (TargetId(0), TargetId(2));
    let mut monitor = monitor(&services);
    let check = Check::Tcp(HostPort { host: "b".into(), port: 5 });
    let check = Target { check, region: "r".into() };
    monitor.observe(&target("a", "r"), report(Outcome::Success), &QUICK, at(0));
    assert_eq!(monitor.health().state(pair), State::Unknown, "of one nothing is known");
    monitor.observe(&check, report(Outcome::Success), &QUICK, at(0));
    assert_eq!(monitor.health().state(pair), State::Up);
    let change = monitor.observe(&check, failure(), &QUICK, at(0)).unwrap();
    let health = monitor.health();
    assert_eq!((health.state(ping), health.state(pair)), (State::Up, State::Down));
    let concerned: Vec<_> = monitor.services(change.target).collect();
    assert_eq!(concerned, [ServiceId(0)], "the other does not connect");
    assert_eq!(monitor.services(ping).count(), 2);
}

#[test]
fn suspicion_unsettles_the_services_of_a_target_and_those_alone() {
    let services = plan(&[
        service(&[("r", "a", None), ("r", "b", None)], Duration::ZERO),
        service(&[("r", "c", None)], Duration::ZERO),
    ]);
    let three = NonZeroU32::new(3).unwrap();
    let patient = Thresholds { rise: ONE, fall: three };
    let settings = Settings { rules: Rules { thresholds: patient, damping: None }, removal: None };
    let mut monitor = monitor(&services);
    let mut after = |host: &str, report: Report| {
        let changed = monitor.observe(&target(host, "r"), report, &settings, at(0)).is_some();
        let is_urgent = monitor.is_urgent();
        let health = monitor.health();
        let unsettled = [0, 1].map(|id| health.is_unsettled(ServiceId(id)));
        (changed, is_urgent, unsettled)
    };
    assert_eq!(after("a", report(Outcome::Success)), (true, false, [false, false]));
    assert_eq!(after("a", failure()), (false, true, [true, false]));
    assert_eq!(after("b", failure()), (false, false, [true, false]));
    assert_eq!(after("a", report(Outcome::Success)), (false, false, [true, false]), "b is left");
    assert_eq!(after("b", failure()), (false, false, [true, false]));
    assert_eq!(after("b", failure()), (true, true, [false, false]), "it is down, and that is all");
}

#[test]
fn an_announced_drain_unsettles_too() {
    let mut monitor = monitor(&hosts(&["a"]));
    let announced = || Stances { announced: [ServiceId(0)].into(), ..Stances::default() };
    monitor.set_stances(announced());
    assert!(monitor.health().is_unsettled(ServiceId(0)));
    monitor.set_stances(announced());
    assert!(!monitor.is_news(), "it said so already");
    monitor.set_stances(Stances::default());
    assert!(monitor.is_news() && !monitor.health().is_unsettled(ServiceId(0)));
}

/// Nine tenths of 20 regions × 10 targets fail at once.
#[test]
fn when_nearly_everything_fails_one_region_and_a_share_go_and_the_rest_waits() {
    let names: Vec<_> = (0..200).map(|i| (format!("r{}", i % 20), format!("h{i}"))).collect();
    let endpoints: Vec<_> = names.iter().map(|(r, h)| (r.as_str(), h.as_str(), None)).collect();
    let (one, two) = endpoints.split_at(100);
    let services = plan(&[service(one, Duration::ZERO), service(two, Duration::ZERO)]);
    let settings = Settings { removal: Some(Limit::default()), ..QUICK };
    let mut monitor = monitor(&services);
    let all: Vec<Target> = names.iter().map(|(region, host)| target(host, region)).collect();
    for target in &all {
        monitor.observe(target, report(Outcome::Success), &settings, at(0));
    }
    let down = |monitor: &mut Monitor| {
        states(monitor).into_iter().filter(|state| *state == State::Down).count()
    };
    let told = all[..180].iter().filter_map(|t| monitor.observe(t, failure(), &settings, at(10)));
    // 20 % of 200, and what is left of the region that lost most.
    let gone = told.count();
    assert_eq!((gone, down(&mut monitor), monitor.held()), (40 + 9, 49, 131));
    assert!(monitor.health().is_unsettled(ServiceId(0)), "what is held back is suspected");
    for target in &all[..180] {
        assert_eq!(monitor.observe(target, failure(), &settings, at(15)), None, "it waits");
    }
    // Some were well after all.
    let well = all[..180]
        .iter()
        .filter(|t| monitor.observe(t, report(Outcome::Success), &settings, at(16)).is_none());
    let well = well.count();
    assert_eq!((well, monitor.held()), (131, 0));
    for target in &all[..180] {
        monitor.observe(target, failure(), &settings, at(20));
    }
    let before = down(&mut monitor);
    assert!(before < 60 && monitor.settle(&settings, at(69)).is_empty());
    let released =
        monitor.settle(&settings, at(70)).len() + monitor.settle(&settings, at(80)).len();
    assert!(released >= 40, "the next window: {released}");
    assert_eq!(down(&mut monitor), before + released);
    let unlimited = monitor.settle(&QUICK, at(81)).len();
    assert_eq!((monitor.held(), down(&mut monitor)), (0, before + released + unlimited));
    assert_eq!(down(&mut monitor), 180);
}

#[test]
fn damping_and_slow_starts_end_by_time_alone() {
    let services = plan(&[service(&[("r", "a", None)], Duration::from_secs(30))]);
    let rules = Rules { damping: Some(Damping::default()), ..QUICK.rules };
    let settings = Settings { rules, removal: None };
    let mut monitor = monitor(&services);
    let a = target("a", "r");
    for second in 0..3 {
        monitor.observe(&a, report(Outcome::Success), &settings, at(second));
        monitor.observe(&a, failure(), &settings, at(second));
    }
    monitor.observe(&a, report(Outcome::Success), &settings, at(3));
    assert_eq!((states(&mut monitor), monitor.restless()), (vec![State::Down], 1));
    let freed = (4..999).find(|second| !monitor.settle(&settings, at(*second)).is_empty());
    let freed = freed.unwrap();
    assert!((200..300).contains(&freed), "about two half-lives: {freed}");
    let warm = |monitor: &mut Monitor| monitor.health().verdict(TargetId(0)).warm;
    assert_eq!(warm(&mut monitor), WHOLE / 10);
    monitor.settle(&settings, at(freed + 15));
    assert_eq!(warm(&mut monitor), WHOLE / 2);
    monitor.settle(&settings, at(freed + 30));
    assert_eq!((warm(&mut monitor), monitor.restless()), (WHOLE, 0));
}

#[test]
fn figures_are_smoothed_and_are_news_but_no_change() {
    let mut monitor = monitor(&hosts(&["a"]));
    let a = target("a", "r");
    let load = Load { in_flight: 7, cpu: WHOLE / 2, rate: 100, capacity: 500 };
    let mut ping = |ms: u64, load: Option<Load>| {
        let rtt = Some(Duration::from_millis(ms));
        let report = Report { rtt, load, ..report(Outcome::Success) };
        let changed = monitor.observe(&a, report, &QUICK, at(0)).is_some();
        assert!(monitor.is_news() && !monitor.is_urgent());
        (changed, *monitor.health().verdict(TargetId(0)))
    };
    let (first, verdict) = ping(80, None);
    assert_eq!((first, verdict.rtt, verdict.told), (true, 80_000, false));
    let (second, verdict) = ping(160, Some(load));
    assert_eq!((second, verdict.rtt), (false, 90_000), "an eighth of the way");
    let Verdict { told, in_flight, load, rate, capacity, .. } = verdict;
    assert_eq!((told, in_flight, load, rate, capacity), (true, 7, WHOLE / 2, 100, 500));
    monitor.observe(&a, failure(), &QUICK, at(1));
    assert!(monitor.health().verdict(TargetId(0)).told, "a failure says nothing of load");
}

proptest! {
    /// Whatever is reported in whatever order: what is kept up to date bit by bit is what a walk
    /// over everything finds.
    #[test]
    fn what_is_kept_up_to_date_is_what_a_walk_finds(
        events in proptest::collection::vec((0..12_usize, 0..6_u8, 0..20_u64), 0..200),
    ) {
        let host = |i: usize| ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"][i];
        let endpoint = |i: usize| (["x", "y", "z"][i % 3], host(i), i.is_multiple_of(4).then_some("tcp"));
        let one: Vec<_> = (0..12).map(endpoint).collect();
        let services = plan(&[
            service(&one, Duration::ZERO),
            service(&one[..3], Duration::from_secs(20)),
            service(&[("w", "shared", None), one[7]], Duration::ZERO),
        ]);
        let thresholds = Thresholds { rise: ONE, fall: NonZeroU32::new(2).unwrap() };
        let settings = Settings {
            rules: Rules { thresholds, damping: Some(Damping::default()) },
            removal: Some(Limit { percent: 0, per: Duration::from_secs(30) }),
        };
        let mut monitor = monitor(&services);
        let mut second = 0;
        for (which, what, pause) in events {
            second += pause;
            let target = Arc::clone(services.targets.iter().nth(which).unwrap());
            let outcome = match what {
                0 | 1 => Outcome::Success,
                2 => Outcome::Draining,
                3 => { monitor.age(Duration::from_secs(pause), at(second)); continue }
                _ => Outcome::Failure(Fault::Timeout),
            };
            monitor.observe(&target, report(outcome), &settings, at(second));
            monitor.settle(&settings, at(second));
        }
        let health = monitor.health();
        let mut regions: HashMap<&str, (usize, usize)> = HashMap::new();
        let mut held = 0;
        for (id, target) in services.targets.numbered() {
            let (_, entry) = monitor.get(id).unwrap();
            let verdict = health.verdict(id);
            prop_assert_eq!(verdict.state, entry.state);
            prop_assert_eq!(entry.is_held, entry.state != entry.machine.state());
            prop_assert_eq!(verdict.suspected, entry.is_held || entry.machine.is_suspected());
            let (down, all) = regions.entry(&target.region).or_default();
            *down += usize::from(entry.state == State::Down);
            *all += 1;
            held += usize::from(entry.is_held);
        }
        prop_assert_eq!(monitor.held(), held);
        for region in monitor.regions() {
            prop_assert_eq!(regions.remove(&*region.name), Some((region.down, region.all)));
        }
        prop_assert!(regions.is_empty());
        for (id, (first, second)) in services.targets.pairs() {
            let pair = health.verdict(id);
            prop_assert_eq!(*pair, health.verdict(first).with(health.verdict(second)));
        }
        for (id, (_, policy)) in (0..).map(ServiceId).zip(&services.services) {
            let mut behind = policy.targets().flat_map(|verdict| services.behind(verdict));
            let suspected = behind.any(|target| health.verdict(target).suspected);
            prop_assert_eq!(health.is_unsettled(id), suspected);
        }
    }
}
