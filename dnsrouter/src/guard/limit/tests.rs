//! The rules of a bucket against a model that is written another way, and what must hold however
//! threads, clocks and strangers behave.

use std::collections::HashMap;
use std::sync::Barrier;

use proptest::prelude::*;

use super::*;

const KEY: [u64; 2] = [1, 2];
const BEGAN: SystemTime = SystemTime::UNIX_EPOCH;

fn settings(rate: u32, burst: u32) -> Settings {
    let rate = NonZeroU32::new(rate).unwrap();
    Settings {
        rates: [rate; Kind::ALL.len()],
        burst: NonZeroU32::new(burst).unwrap(),
        slip: 0,
        prefix_v4: 24,
        prefix_v6: 56,
        exempt: vec![],
        entries: MIN_ENTRIES,
    }
}

fn limiter(rate: u32, burst: u32) -> Limiter {
    Limiter::new(settings(rate, burst), KEY)
}

fn at(micros: u64) -> SystemTime {
    BEGAN + Duration::from_secs(1_800_000_000) + Duration::from_micros(micros)
}

fn peer(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The n-th of a million /24.
fn network(n: u32) -> IpAddr {
    IpAddr::V4((n << 8 | 1).into())
}

/// How many of so many responses at once pass.
fn passing(limiter: &Limiter, peer: IpAddr, kind: Kind, asked: u32, now: SystemTime) -> u32 {
    let passes = (0..asked).filter(|_| limiter.check(peer, kind, now) == Verdict::Pass);
    passes.count() as u32
}

#[test]
fn a_burst_passes_and_then_the_rate() {
    let (limiter, peer) = (limiter(10, 25), peer("192.0.2.1"));
    assert_eq!(passing(&limiter, peer, Kind::Answer, 100, at(0)), 25);
    assert_eq!(passing(&limiter, peer, Kind::Answer, 100, at(99_999)), 0);
    assert_eq!(passing(&limiter, peer, Kind::Answer, 100, at(100_000)), 1);
    assert_eq!(passing(&limiter, peer, Kind::Answer, 100, at(1_100_000)), 10);
    assert_eq!(passing(&limiter, peer, Kind::Answer, 100, at(3_599_999)), 24);
    assert_eq!(passing(&limiter, peer, Kind::Answer, 100, at(60_000_000)), 25, "never more");
}

#[test]
fn a_prefix_shares_a_bucket_and_a_kind_has_its_own() {
    let limiter = limiter(10, 10);
    for (spender, sharer, neighbour) in [
        ("192.0.2.1", "192.0.2.254", "192.0.3.1"),
        ("2001:db8:0:4200::1", "2001:db8:0:42ff:ffff::9", "2001:db8:0:4300::1"),
    ] {
        assert_eq!(passing(&limiter, peer(spender), Kind::NxDomain, 20, at(0)), 10);
        assert_eq!(passing(&limiter, peer(sharer), Kind::NxDomain, 20, at(0)), 0);
        assert_eq!(passing(&limiter, peer(neighbour), Kind::NxDomain, 20, at(0)), 10);
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::NxDomain) {
            assert_eq!(passing(&limiter, peer(sharer), kind, 20, at(0)), 10, "{kind:?}");
        }
    }
    assert_eq!(passing(&limiter, peer("::ffff:192.0.2.1"), Kind::NxDomain, 20, at(0)), 0);
}

#[test]
fn prefix_lengths_are_those_that_were_set() {
    let settings = Settings { prefix_v4: 32, prefix_v6: 128, ..settings(1, 1) };
    let finest = Limiter::new(settings.clone(), KEY);
    let widest = Limiter::new(Settings { prefix_v4: 0, prefix_v6: 0, ..settings }, KEY);
    for pair in [["192.0.2.1", "192.0.2.2"], ["2001:db8::1", "2001:db8::2"]] {
        assert_eq!(pair.map(|one| passing(&finest, peer(one), Kind::Answer, 2, at(0))), [1, 1]);
    }
    for pair in [["192.0.2.1", "9.9.9.9"], ["2001:db8::1", "fd00::2"]] {
        assert_eq!(pair.map(|one| passing(&widest, peer(one), Kind::Answer, 2, at(0))), [1, 0]);
    }
}

#[test]
fn a_kind_has_its_own_rate_and_fills_in_the_same_time() {
    let mut settings = settings(100, 200);
    settings.rates[Kind::Error as usize] = NonZeroU32::new(5).unwrap();
    settings.rates[Kind::NxDomain as usize] = NonZeroU32::new(1).unwrap();
    settings.rates[Kind::Referral as usize] = NonZeroU32::new(1000).unwrap();
    let limiter = Limiter::new(settings.clone(), KEY);
    let count = |limiter: &Limiter, kind| passing(limiter, peer("192.0.2.1"), kind, 5000, at(0));
    assert_eq!(
        Kind::ALL.map(|kind| count(&limiter, kind)),
        [200, 200, 2, 2000, 10],
        "two seconds' worth of each"
    );
    settings.burst = NonZeroU32::MIN;
    let limiter = Limiter::new(settings, KEY);
    assert_eq!(Kind::ALL.map(|kind| count(&limiter, kind)), [1, 1, 1, 10, 1], "at least one");
}

#[test]
fn every_nth_limited_response_slips() {
    for (slip, expected) in [(0, 0), (1, 60), (2, 30), (3, 20), (10, 6)] {
        let limiter = Limiter::new(Settings { slip, ..settings(10, 1) }, KEY);
        let seen: Vec<_> =
            (0..61).map(|_| limiter.check(peer("192.0.2.1"), Kind::Answer, at(0))).collect();
        assert_eq!(seen[0], Verdict::Pass);
        let slipped = seen.iter().filter(|verdict| **verdict == Verdict::Slip).count();
        assert_eq!(slipped, expected, "slip = {slip}");
        let every = usize::from(slip).max(1);
        for window in seen[1..].chunks(every) {
            let slips = window.iter().filter(|verdict| **verdict == Verdict::Slip).count();
            assert_eq!(slips, usize::from(slip > 0), "slip = {slip}: one in each {every}");
        }
    }
}

#[test]
fn counting_what_slips_gives_no_token_away() {
    let limiter = Limiter::new(Settings { slip: 3, ..settings(10, 5) }, KEY);
    let peer = peer("192.0.2.1");
    let mut passed = 0;
    for micros in (0..2_000_000).step_by(1_000) {
        passed += passing(&limiter, peer, Kind::Answer, 3, at(micros));
    }
    assert_eq!(passed, 5 + 19, "the burst, and ten a second for just below two");
}

#[test]
fn the_exempt_are_never_limited() {
    let exempt = vec!["192.0.2.0/25".parse().unwrap()];
    let limiter = Limiter::new(Settings { exempt, ..settings(1, 1) }, KEY);
    assert_eq!(passing(&limiter, peer("192.0.2.1"), Kind::Answer, 100, at(0)), 100);
    assert_eq!(passing(&limiter, peer("192.0.2.129"), Kind::Answer, 100, at(0)), 1);
}

#[test]
fn nonsense_is_cut_to_what_can_be() {
    let most = NonZeroU32::MAX;
    let settings = Settings {
        rates: [NonZeroU32::MIN, most, most, most, most],
        burst: most,
        slip: 255,
        entries: 0,
        ..settings(1, 1)
    };
    let limiter = Limiter::new(settings, KEY);
    assert_eq!(passing(&limiter, peer("192.0.2.1"), Kind::Answer, 100, at(0)), 60, "MAX_FILL");
    assert_eq!(limiter.memory_bytes(), MIN_ENTRIES * 8);
    let verdicts = (0..10).map(|_| limiter.check(peer("192.0.2.1"), Kind::Answer, at(0)));
    assert_eq!(verdicts.filter(|verdict| *verdict == Verdict::Slip).count(), 1, "MAX_SLIP");
}

#[test]
fn a_set_is_a_cache_line_and_tables_have_the_size_that_was_set() {
    assert_eq!((size_of::<Set>(), align_of::<Set>()), (64, 64));
    for (entries, buckets) in [(1024, 1024), (1025, 2048), (100_000, 1 << 17)] {
        let limiter = Limiter::new(Settings { entries, ..settings(1, 1) }, KEY);
        assert_eq!(limiter.memory_bytes(), buckets * 8, "{entries}");
    }
}

#[test]
fn a_clock_that_goes_back_a_little_gives_nothing_and_far_harms_nobody_for_long() {
    let (limiter, peer) = (limiter(10, 20), peer("192.0.2.1"));
    let hour = 3_600_000_000;
    assert_eq!(passing(&limiter, peer, Kind::Answer, 50, at(2 * hour)), 20);
    // Within SKEW it is another thread's reading.
    assert_eq!(passing(&limiter, peer, Kind::Answer, 50, at(2 * hour - 4_900_000)), 0);
    assert_eq!(passing(&limiter, peer, Kind::Answer, 50, at(2 * hour + 100_000)), 1);
    // An hour back: as if nobody had ever asked.
    assert_eq!(passing(&limiter, peer, Kind::Answer, 50, at(hour)), 20);
    assert_eq!(passing(&limiter, peer, Kind::Answer, 50, at(hour + 1_000_000)), 10);
    // And before there was time.
    let before = BEGAN - Duration::from_secs(10);
    assert_eq!(passing(&limiter, peer, Kind::Answer, 50, before), 20);
}

#[test]
fn a_bucket_is_full_after_hours_and_days_of_silence() {
    let peer = peer("192.0.2.1");
    for seconds in [60, 3_600, 8_000, 9_000, 12_345, 17_000, 20_000, 86_400, 86_400 * 365] {
        let limiter = limiter(10, 20);
        assert_eq!(passing(&limiter, peer, Kind::Answer, 50, at(0)), 20);
        let later = at(seconds * 1_000_000);
        assert_eq!(passing(&limiter, peer, Kind::Answer, 50, later), 20, "{seconds} s");
    }
}

#[test]
fn who_is_limited_is_not_forgotten_for_strangers_and_strangers_suffer_nothing() {
    let limiter = limiter(10, 20);
    let (flooder, honest) = (peer("2001:db8::1"), peer("2001:db8:ffff::1"));
    let (mut flood, mut refused) = (0, 0);
    let seconds = 20_u32;
    for millis in 0..seconds * 1000 {
        let now = at(u64::from(millis) * 1000);
        flood += passing(&limiter, flooder, Kind::Answer, 5, now);
        // 200,000 prefixes in a table of 1,024 buckets.
        for n in 0..10 {
            let stranger = network(millis * 10 + n);
            refused += 1 - passing(&limiter, stranger, Kind::Answer, 1, now);
        }
        if millis % 100 == 0 {
            refused += 1 - passing(&limiter, honest, Kind::Answer, 1, now);
        }
    }
    assert!(flood <= 20 + 10 * seconds, "{flood} passed");
    assert_eq!(refused, 0);
}

/// Every prefix is flooded to its limit; who comes new is refused only if it shares a bucket.
#[test]
fn limited_neighbours_harm_others_by_collision_only() {
    let limiter = Limiter::new(Settings { entries: 1 << 16, ..settings(1, 2) }, KEY);
    for n in 0..30_000 {
        passing(&limiter, network(n), Kind::Answer, 10, at(0));
    }
    let newcomers = 30_000..60_000;
    let refused =
        newcomers.filter(|n| passing(&limiter, network(*n), Kind::Answer, 2, at(0)) < 2).count();
    // 30,000 × 8 ÷ 2²² expect less than one in ten runs of one.
    assert!(refused <= 1, "{refused} refused");
}

#[test]
fn who_meets_whom_is_the_keys_secret() {
    let set_of = |limiter: &Limiter, n| {
        let (set, _) = limiter.place(network(n), Kind::Answer);
        limiter.sets.iter().position(|other| std::ptr::eq(other, set)).unwrap()
    };
    let (ours, others) = (limiter(1, 1), Limiter::new(settings(1, 1), [3, 4]));
    let together: Vec<u32> = (0..100_000).filter(|n| set_of(&ours, *n) == 0).take(100).collect();
    let mut elsewhere: Vec<_> = together.iter().map(|n| set_of(&others, *n)).collect();
    elsewhere.sort_unstable();
    elsewhere.dedup();
    assert!(elsewhere.len() > 32, "a hundred of one set are in {} sets", elsewhere.len());
}

#[test]
fn who_looked_before_another_took_a_token_looks_again() {
    let (first, other) = (network(1), network(2));
    let moment = ticks(at(0).duration_since(BEGAN).unwrap());
    for before in [None, Some(first), Some(other)] {
        let limiter = limiter(10, 2);
        if let Some(before) = before {
            limiter.check(before, Kind::Answer, at(0));
        }
        let (set, tag) = limiter.place(first, Kind::Answer);
        let (way, seen) = set.find(tag, moment);
        assert_eq!(limiter.check(first, Kind::Answer, at(0)), Verdict::Pass);
        let taken = way.load(Relaxed);
        assert_eq!(limiter.paces[0].take_from(way, seen, tag, moment), None);
        assert_eq!(way.load(Relaxed), taken, "nothing changed");
        assert!(limiter.paces[0].take_from(way, taken, tag, moment).is_some());
    }
}

/// So many tokens that no thread takes them all before the others have begun: they race for each.
#[test]
fn threads_share_a_bucket_to_the_last_token() {
    const THREADS: usize = 4;
    const TOKENS: u32 = 100_000;
    let limiter = Limiter::new(Settings { slip: 2, ..settings(MAX_RATE, TOKENS) }, KEY);
    let ready = Barrier::new(THREADS);
    let passed: u32 = std::thread::scope(|scope| {
        let asking = || {
            ready.wait();
            passing(&limiter, peer("192.0.2.1"), Kind::Answer, TOKENS / 2, at(0))
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(asking)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(passed, TOKENS);
}

#[test]
fn threads_with_clocks_apart_keep_the_bound() {
    let limiter = limiter(100, 50);
    let passed: Vec<u32> = std::thread::scope(|scope| {
        let asking = |thread: u64| {
            let limiter = &limiter;
            move || {
                let mut passed = [0; 4];
                for round in 0..4_000_u64 {
                    // Thread by thread up to four seconds ahead, over one second in all.
                    let now = at(thread * 500_000 + round * 250);
                    for (n, count) in (0..).zip(&mut passed) {
                        *count += passing(limiter, network(n), Kind::Answer, 1, now);
                    }
                }
                passed
            }
        };
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(asking(thread))).collect();
        let passed: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        (0..4).map(|n| passed.iter().map(|of| of[n]).sum()).collect()
    });
    // The readings span 4.5 seconds.
    for passed in passed {
        assert!((50..=50 + 450).contains(&passed), "{passed}");
    }
}

/// One response: after how many microseconds, to which network, of which kind.
fn responses() -> impl Strategy<Value = Vec<(u64, u32, usize)>> {
    let pause = prop_oneof![Just(0), 0..20_000_u64, 0..3_000_000_u64];
    prop::collection::vec((pause, 0..3_u32, 0..Kind::ALL.len()), 1..300)
}

/// Rates whose interval is a whole number of microseconds.
fn exact_rate() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![1_u32, 2, 4, 5, 8, 10, 20, 25, 40, 50, 100, 1000])
}

proptest! {
    /// A bucket as the textbook has it: tokens that come back with time.
    #[test]
    fn a_bucket_is_a_token_bucket(
        responses in responses(),
        rates in prop::array::uniform5(exact_rate()),
        burst in 1..40_u32,
    ) {
        let mut settings = settings(1, burst);
        settings.rates = rates.map(|rate| NonZeroU32::new(rate).unwrap());
        let limiter = Limiter::new(settings, KEY);
        // In microseconds' worth of tokens.
        let mut model: HashMap<(u32, usize), (u64, u64)> = HashMap::new();
        let mut now = 0;
        for (pause, n, kind) in responses {
            now += pause;
            let token = 1_000_000 / u64::from(rates[kind]);
            let tokens = u64::from(burst * rates[kind] / rates[0]).max(1);
            let most = (tokens * token).min(60_000_000);
            let (tokens, last) = model.entry((n, kind)).or_insert((most, now));
            *tokens = (*tokens + (now - *last)).min(most);
            *last = now;
            let passes = *tokens >= token;
            if passes {
                *tokens -= token;
            }
            let verdict = limiter.check(network(n), Kind::ALL[kind], at(now));
            prop_assert_eq!(verdict == Verdict::Pass, passes, "{} of {:?} at {}", n, kind, now);
        }
    }

    /// In every stretch, whoever read the clock when.
    #[test]
    fn no_stretch_exceeds_burst_and_rate(
        responses in prop::collection::vec((0..50_000_u64, 0..4_900_000_u64), 1..400),
        rate in 1..2000_u32,
        burst in 1..50_u32,
    ) {
        let limiter = limiter(rate, burst);
        let mut time = 5_000_000;
        let mut seen = Vec::new();
        for (pause, late) in responses {
            time += pause;
            let read = time - late;
            let passed = limiter.check(network(1), Kind::Answer, at(read)) == Verdict::Pass;
            seen.push((read, passed));
        }
        let fill = (f64::from(burst) / f64::from(rate)).min(60.0);
        let burst = (fill * f64::from(rate)).max(1.0);
        for from in (0..seen.len()).step_by(7) {
            let (mut first, mut last, mut passed) = (u64::MAX, 0, 0.0);
            for (read, passes) in &seen[from..] {
                first = first.min(*read);
                last = last.max(*read);
                passed += f64::from(u8::from(*passes));
                #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
                let seconds = (last - first) as f64 / 1e6;
                let most = burst + f64::from(rate) * seconds;
                prop_assert!(passed <= most + 0.001, "{} passed, at most {}", passed, most);
            }
        }
    }

    /// Whoever keeps below the rate never notices that there is a limiter, whoever else asks.
    #[test]
    fn who_keeps_the_rate_always_passes(
        rate in 1..5000_u32,
        strangers in prop::collection::vec(100..100_000_u32, 0..300),
    ) {
        let limiter = limiter(rate, 1);
        // What the interval is rounded up to is at most a hundredth more.
        let apart = 1_010_000 / u64::from(rate) + 1;
        for (n, stranger) in (0..).zip(strangers) {
            let now = at(n * apart);
            prop_assert_eq!(limiter.check(network(1), Kind::Answer, now), Verdict::Pass);
            passing(&limiter, network(stranger), Kind::Answer, 3, now);
        }
    }
}
