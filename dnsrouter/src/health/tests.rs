//! The machine by example, and against a model that remembers everything.

use super::*;
use proptest::prelude::*;

const THRESHOLDS: Thresholds =
    Thresholds { rise: NonZeroU32::new(2).unwrap(), fall: NonZeroU32::new(3).unwrap() };
const PLAIN: Rules = Rules { thresholds: THRESHOLDS, damping: None };

const S: Outcome = Outcome::Success;
const G: Outcome = Outcome::Degraded;
const F: Outcome = Outcome::Failure(Fault::Timeout);
const D: Outcome = Outcome::Draining;

fn at(seconds: u64) -> Now {
    let uptime = Duration::from_secs(seconds);
    Now { wall: SystemTime::UNIX_EPOCH + uptime, uptime }
}

fn damped() -> Rules {
    Rules { damping: Some(Damping::default()), ..PLAIN }
}

fn run(start: State, outcomes: &[Outcome]) -> State {
    let mut machine = Machine::restored(start, SystemTime::UNIX_EPOCH);
    for (second, outcome) in (0..).zip(outcomes) {
        machine.observe(*outcome, &PLAIN, at(second));
    }
    machine.state()
}

#[test]
fn falls_only_after_fall_failures_in_a_row() {
    assert_eq!(run(State::Up, &[F, F]), State::Up);
    assert_eq!(run(State::Up, &[F, F, S, F, F]), State::Up);
    assert_eq!(run(State::Up, &[F, F, F]), State::Down);
}

#[test]
fn rises_only_after_rise_successes_in_a_row() {
    assert_eq!(run(State::Down, &[S, F, S]), State::Down);
    assert_eq!(run(State::Down, &[S, S]), State::Up);
    assert_eq!(run(State::Down, &[S, G]), State::Degraded, "it answers, and how it is");
}

#[test]
fn an_unknown_target_believes_its_first_success_but_not_its_first_failure() {
    assert_eq!(run(State::Unknown, &[S]), State::Up);
    assert_eq!(run(State::Unknown, &[G]), State::Degraded);
    assert_eq!(run(State::Unknown, &[F, F]), State::Unknown);
    assert_eq!(run(State::Unknown, &[F, F, F]), State::Down);
}

#[test]
fn draining_counts_at_once_and_ends_by_rising() {
    assert_eq!(run(State::Up, &[D]), State::Draining);
    assert_eq!(run(State::Up, &[D, S]), State::Draining);
    assert_eq!(run(State::Up, &[D, S, S]), State::Up);
    assert_eq!(run(State::Up, &[D, F, F, F]), State::Down);
    assert_eq!(run(State::Down, &[S, D, S]), State::Draining);
}

#[test]
fn degraded_takes_a_row_and_ends_by_a_row() {
    assert_eq!(run(State::Up, &[G, G]), State::Up);
    assert_eq!(run(State::Up, &[G, G, S, G]), State::Up);
    assert_eq!(run(State::Up, &[G, G, G]), State::Degraded);
    assert_eq!(run(State::Degraded, &[S, G, S]), State::Degraded);
    assert_eq!(run(State::Degraded, &[S, S]), State::Up);
    assert_eq!(run(State::Degraded, &[F, F, F]), State::Down);
}

#[test]
fn a_transition_is_told_once_and_dated() {
    let mut machine = Machine::new(SystemTime::UNIX_EPOCH);
    let up = Transition { from: State::Unknown, to: State::Up };
    assert_eq!(machine.observe(S, &PLAIN, at(9)), Some(up));
    assert_eq!(machine.since(), at(9).wall);
    assert_eq!(machine.observe(S, &PLAIN, at(10)), None);
    assert_eq!(machine.since(), at(9).wall);
}

#[test]
fn suspicion_begins_with_the_first_failure_and_ends_with_the_verdict() {
    let mut machine = Machine::restored(State::Up, SystemTime::UNIX_EPOCH);
    let mut after = |outcome| {
        machine.observe(outcome, &PLAIN, at(0));
        machine.is_suspected()
    };
    assert_eq!([F, S, F, F, F, S].map(&mut after), [true, false, true, true, false, false]);
}

/// Three quick falls damp; the figures are those of the module docs.
#[test]
fn a_flapping_target_keeps_the_worse_state_until_it_was_quiet() {
    let mut machine = Machine::restored(State::Up, SystemTime::UNIX_EPOCH);
    let rules = damped();
    let mut second = 0;
    let mut next = |machine: &mut Machine, outcomes: &[Outcome]| {
        for outcome in outcomes {
            second += 5;
            machine.observe(*outcome, &rules, at(second));
        }
        second
    };
    for _ in 0..2 {
        next(&mut machine, &[F, F, F, S, S]);
        assert_eq!((machine.state(), machine.is_damped()), (State::Up, false));
    }
    assert_eq!(machine.damped_until(), None);
    let fell = next(&mut machine, &[F, F, F]);
    assert!(machine.is_damped());
    let until = machine.damped_until().unwrap().duration_since(at(fell).wall).unwrap();
    assert!((216.0..217.0).contains(&until.as_secs_f64()), "{until:?}");
    // It answers from now on. 1000 × (1 + 2^(-25/120) + 2^(-50/120)) = 2615 points decay to 750 in
    // 120 s × log2(2615 / 750) = 216 s.
    let mut now = fell;
    while machine.state() == State::Down {
        now += 1;
        machine.observe(S, &rules, at(now));
    }
    assert_eq!((now - fell, machine.is_damped()), (217, false));
    assert_eq!(machine.since(), at(now).wall);
}

#[test]
fn damping_ends_without_another_check_and_never_lasts_longer_than_it_may() {
    let mut machine = Machine::restored(State::Up, SystemTime::UNIX_EPOCH);
    let rules = Rules {
        thresholds: Thresholds { rise: NonZeroU32::MIN, fall: NonZeroU32::MIN },
        ..damped()
    };
    for second in 0..2000 {
        machine.observe(if second % 2 == 0 { F } else { S }, &rules, at(second));
    }
    assert!(machine.is_damped());
    let longest = Damping::default().longest.as_secs();
    assert_eq!(machine.settle(&rules, at(1998 + longest - 5)), None);
    assert_eq!(
        machine.settle(&rules, at(1999 + longest)),
        Some(Transition { from: State::Down, to: State::Up })
    );
}

#[test]
fn a_reload_without_damping_frees_at_once() {
    let mut machine = Machine::restored(State::Up, SystemTime::UNIX_EPOCH);
    for second in 0..4 {
        for outcome in [F, F, F, S, S] {
            machine.observe(outcome, &damped(), at(second));
        }
    }
    assert_eq!((machine.state(), machine.is_damped()), (State::Down, true));
    machine.settle(&PLAIN, at(4));
    assert_eq!((machine.state(), machine.is_damped()), (State::Up, false));
}

#[test]
fn a_recovered_target_warms_up_and_a_new_one_is_warm() {
    let slow_start = Duration::from_secs(30);
    let warm = |machine: &Machine, second| machine.warm(slow_start, at(second).uptime);
    let mut machine = Machine::new(SystemTime::UNIX_EPOCH);
    machine.observe(S, &PLAIN, at(0));
    assert_eq!(warm(&machine, 0), WHOLE, "it was answered with before");
    for outcome in [F, F, F, S, S] {
        machine.observe(outcome, &PLAIN, at(10));
    }
    let share = |second| (f64::from(warm(&machine, second)) / f64::from(WHOLE) * 100.0).round();
    assert_eq!([10, 11, 13, 25, 39, 40, 99].map(share), [10., 10., 10., 50., 97., 100., 100.]);
    assert_eq!(machine.warm(Duration::ZERO, at(10).uptime), WHOLE);
}

/// Remembers every check and reckons everything anew from all of them.
struct Model {
    history: Vec<(u64, Outcome)>,
}

impl Model {
    /// The length of the row of `wanted` that ends with check `end` (exclusive).
    fn row(&self, end: usize, wanted: impl Fn(Outcome) -> bool) -> usize {
        self.history[..end].iter().rev().take_while(|(_, outcome)| wanted(*outcome)).count()
    }

    /// What rise and fall make of the first `end` checks.
    fn measured(&self, end: usize) -> State {
        let Some(last) = end.checked_sub(1) else { return State::Unknown };
        let before = self.measured(last);
        let answers = self.row(end, |o| matches!(o, S | G));
        let usable = if self.history[last].1 == S { State::Up } else { State::Degraded };
        match (self.history[last].1, before) {
            (D, _) => State::Draining,
            (F, _) if self.row(end, |o| o == F) >= 3 => State::Down,
            (S | G, State::Unknown) => usable,
            (S | G, State::Down | State::Draining) if answers >= 2 => usable,
            (S, State::Degraded) if self.row(end, |o| o == S) >= 2 => State::Up,
            (G, State::Up) if self.row(end, |o| o == G) >= 3 => State::Degraded,
            _ => before,
        }
    }

    /// Points at `now`, each flap decayed by itself; none of these histories reaches the ceiling.
    fn points(&self, measured: &[State], end: usize, now: u64) -> f64 {
        let flap = |i: usize| match (measured[i], measured[i + 1]) {
            (State::Up | State::Degraded, State::Down) => 1000.0,
            (State::Up, State::Degraded) => 500.0,
            _ => 0.0,
        };
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let decay = |then: u64| 0.5_f64.powf((now - then) as f64 / 120.0);
        (0..end).map(|i| flap(i) * decay(self.history[i].0)).sum()
    }
}

proptest! {
    /// Whatever came before: `rise` successes end up, `fall` failures end down.
    #[test]
    fn a_long_enough_row_decides(before in proptest::collection::vec(0..4_u8, 0..50)) {
        let before: Vec<_> = before.iter().map(|b| [S, F, D, G][*b as usize]).collect();
        prop_assert_eq!(run(State::Unknown, &[&before[..], &[S, S]].concat()), State::Up);
        prop_assert_eq!(run(State::Unknown, &[&before[..], &[F, F, F]].concat()), State::Down);
    }

    #[test]
    fn the_machine_agrees_with_a_model_that_remembers_everything(
        checks in proptest::collection::vec((1..40_u64, 0..9_u8, 1..5_usize), 0..60),
    ) {
        let mut now = 0;
        let mut history = Vec::new();
        for (pause, which, row) in checks {
            // Mostly failures and successes, in rows, so that states change.
            let outcome = [S, S, S, S, F, F, F, G, D][which as usize];
            for _ in 0..row {
                now += pause;
                history.push((now, outcome));
            }
        }
        let model = Model { history };
        let mut machine = Machine::new(SystemTime::UNIX_EPOCH);
        let rules = Rules {
            damping: Some(Damping { longest: Duration::from_secs(7200), ..Damping::default() }),
            ..PLAIN
        };
        let measured: Vec<State> = (0..=model.history.len()).map(|n| model.measured(n)).collect();
        let (mut shown, mut is_damped) = (State::Unknown, false);
        for (n, (now, outcome)) in model.history.iter().enumerate() {
            machine.observe(*outcome, &rules, at(*now));
            let points = model.points(&measured, n + 1, *now);
            // Where rounding decides, either is right.
            prop_assume!([750.0, 2000.0].iter().all(|limit| (points - limit).abs() > 1e-6));
            is_damped = points >= 2000.0 || (is_damped && points >= 750.0);
            shown = if is_damped { shown.worse(measured[n + 1]) } else { measured[n + 1] };
            prop_assert_eq!(
                (machine.state(), machine.is_damped()), (shown, is_damped),
                "after check {} of {:?}", n, model.history
            );
        }
    }
}
