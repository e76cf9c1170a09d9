//! Sentences, their limits and their time.

use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn region(name: &str, order: Order) -> Override {
    Override {
        subject: Subject::Region(name.into()),
        order,
        who: "spiffe://test-net.io/user/ada".into(),
        why: "new disks".into(),
        made: now(),
        until: None,
    }
}

fn drain(over: Duration) -> Order {
    Order::Drain { from: now(), over }
}

#[test]
fn a_drain_is_announced_then_ramps_then_is_whole() {
    let one = region("r", Order::Drain { from: now() + MINUTE, over: 10 * MINUTE });
    assert_eq!(one.progress(now()), Progress::Announced(now() + MINUTE));
    let gone = |passed: Duration| match one.progress(now() + MINUTE + passed) {
        Progress::Gone(gone) => gone,
        announced => panic!("{announced:?}"),
    };
    assert_eq!(
        [0, 1, 5, 9, 10, 60].map(|minutes| gone(minutes * MINUTE)),
        [0, 6553, 32767, 58981, 65535, 65535]
    );
    assert_eq!(region("r", drain(Duration::ZERO)).progress(now()), Progress::Gone(u16::MAX));
    assert_eq!(region("r", Order::Down).progress(now()), Progress::Gone(u16::MAX));
}

#[test]
fn a_subject_has_one_force_and_one_drain() {
    let mut all = Overrides::default();
    assert_eq!(all.set(region("r", drain(MINUTE)), now()), Ok(None));
    assert_eq!(all.set(region("r", Order::Down), now()), Ok(None));
    let up = region("r", Order::Up);
    assert_eq!(all.set(up.clone(), now()), Ok(Some(region("r", Order::Down))));
    assert_eq!(all.iter().map(|o| o.order).collect::<Vec<_>>(), [Order::Up, drain(MINUTE)]);
    let subject = Subject::Region("r".into());
    assert_eq!(all.lift(&subject, Kind::Force), Some(up));
    assert_eq!(all.lift(&subject, Kind::Force), None);
    assert!(all.get(&subject, Kind::Drain).is_some());
}

#[test]
fn what_is_over_is_taken_out_once() {
    let mut all = Overrides::default();
    all.set(Override { until: Some(now() + MINUTE), ..region("a", Order::Down) }, now()).unwrap();
    all.set(region("b", Order::Down), now()).unwrap();
    assert_eq!(all.expire(now() + MINUTE - Duration::from_millis(1)), []);
    let over = all.expire(now() + MINUTE);
    assert_eq!(over.iter().map(|o| o.subject.to_string()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(all.expire(now() + MINUTE), []);
    assert_eq!(all.iter().len(), 1);
}

#[test]
fn nonsense_is_refused_and_changes_nothing() {
    let mut all = Overrides::default();
    let at = |from, over| region("r", Order::Drain { from, over });
    let until = |until, one| Override { until: Some(until), ..one };
    let ms = Duration::from_millis(1);
    for (one, why) in [
        (Override { why: "x".repeat(201), ..region("r", Order::Up) }, Invalid::LongWhy(201)),
        (at(now(), MAX_OVER + ms), Invalid::LongRamp(MAX_OVER + ms)),
        (until(now() + MINUTE - ms, region("r", drain(MINUTE))), Invalid::NeverWhole),
        (at(now() + MAX_AHEAD + ms, MINUTE), Invalid::FarAhead),
        (at(now() - MAX_LATE - ms, MINUTE), Invalid::Past),
        (until(now(), region("r", Order::Up)), Invalid::OverAtOnce),
        (until(now() + MINUTE, at(now() + MINUTE, MINUTE)), Invalid::OverAtOnce),
        (until(now() + 3 * MAX_AHEAD, region("r", Order::Up)), Invalid::FarAhead),
    ] {
        assert_eq!(all.set(one, now()), Err(why));
        assert!(all.is_empty());
    }
    assert_eq!(all.set(at(now() - MAX_LATE, MINUTE), now()), Ok(None));
}

#[test]
fn a_script_that_runs_wild_is_stopped_but_may_change_what_it_said() {
    let mut all = Overrides::default();
    for number in 0..MAX_OVERRIDES {
        all.set(region(&format!("r{number}"), Order::Down), now()).unwrap();
    }
    assert_eq!(all.set(region("more", Order::Down), now()), Err(Invalid::TooMany));
    assert!(all.set(region("r7", Order::Up), now()).is_ok());
    let kept: Vec<_> = all.iter().cloned().collect();
    assert_eq!(Overrides::restored(kept.clone()), Ok(all));
    let many = kept.into_iter().chain([region("more", Order::Down)]).collect();
    assert_eq!(Overrides::restored(many), Err(Invalid::TooMany));
}

#[test]
fn each_subject_has_a_form_on_disk_and_one_for_people() {
    let name = || subject::Owner("geo.test-net.io".parse().unwrap());
    let endpoint = |address: Option<&str>| Subject::Endpoint {
        service: name(),
        region: "us-central1".into(),
        address: address.map(|text| text.parse().unwrap()),
    };
    for (subject, text) in [
        (Subject::Region("us-central1".into()), "us-central1"),
        (Subject::Service(name()), "geo.test-net.io."),
        (endpoint(None), "geo.test-net.io./us-central1"),
        (endpoint(Some("2001:db8::1")), "geo.test-net.io./us-central1/2001:db8::1"),
    ] {
        assert_eq!(subject.to_string(), text);
        let one = Override { subject, until: Some(now()), ..region("", drain(MINUTE)) };
        let kept = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<Override>(&kept).unwrap(), one, "{kept}");
    }
}

proptest! {
    /// Whatever the ramp: nobody who has gone comes back while time goes on.
    #[test]
    fn the_share_only_rises(over in 0..700_000_u64, mut seconds in proptest::collection::vec(0..800_000_u64, 2..20)) {
        let one = region("r", drain(Duration::from_secs(over)));
        seconds.sort_unstable();
        let shares = seconds.iter().map(|s| match one.progress(now() + Duration::from_secs(*s)) {
            Progress::Gone(gone) => (*s, gone),
            Progress::Announced(_) => panic!("it began"),
        });
        let shares: Vec<_> = shares.collect();
        prop_assert!(shares.is_sorted_by_key(|(_, gone)| *gone));
        for (passed, gone) in shares {
            prop_assert_eq!(gone == u16::MAX, passed >= over, "whole exactly at the end");
            let exact = passed as f64 / over.max(1) as f64 * 65535.0;
            prop_assert!(passed >= over || (f64::from(gone) - exact).abs() <= 1.0);
        }
    }
}
