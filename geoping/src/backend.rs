//! How the service beside this node is, from a series of checks: a pure state machine.
//!
//! One bad check is weather, two in a row are climate. The machine holds a *condition* and only
//! leaves it when `fall` findings in a row are worse, or `rise` findings in a row are better:
//!
//! ```text
//!  finding   ok  ok  bad ok  bad bad  bad  ok  deg ok   ok
//!  told      OK  OK  OK  OK  OK  UNAV UNAV UNAV DEG DEG  OK      fall = 2, rise = 2
//! ```
//!
//! Three levels make "worse" and "better" ambiguous: a streak may hold findings of two levels. The
//! machine then moves to the level all of them vouch for: on the way down the *mildest* of the
//! streak, on the way up the *worst*. So `bad, degraded` takes an `OK` to `DEGRADED` and no
//! further, and `ok, degraded` takes an `UNAVAILABLE` to `DEGRADED` and no further.
//!
//! The first finding after a start decides at once: a node must not call a dead backend well, nor
//! a live one dead, for want of a second opinion.
//!
//! The machine does nothing by itself. [`Machine::due`] says when the next check is wanted;
//! the shell ([`crate::io::backend`]) makes it, within [`Policy::timeout`], and hands the finding
//! to [`Machine::observe`]. Without a `[backend]` there is no machine and the condition is
//! [`Condition::ok`] for ever.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// The longest detail kept of a failure, in characters: it comes from the backend and goes into
/// every reply.
pub const MAX_DETAIL: usize = 200;

/// By how much the pause between checks strays from the interval, as a fraction of it to either
/// side: nodes started together do not knock together for long.
pub const JITTER: f64 = 0.1;

/// How the backend is. Ordered: what is greater is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// It answers and says it is well.
    Ok,
    /// It answers, but says it is not fully well.
    Degraded,
    /// It does not answer, or says that it does not serve.
    Unavailable,
}

/// A health with its reason: what one check found, and what the machine tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// How it is.
    pub health: Health,
    /// Why it is not [`Health::Ok`], in words; empty when it is. At most [`MAX_DETAIL`] characters.
    pub detail: String,
}

impl Condition {
    /// All is well, and nothing is to be said.
    pub fn ok() -> Condition {
        Condition { health: Health::Ok, detail: String::new() }
    }

    /// It answers, but not well: `why`, cut at [`MAX_DETAIL`] characters.
    pub fn degraded(why: impl AsRef<str>) -> Condition {
        Condition { health: Health::Degraded, detail: printable(why.as_ref()) }
    }

    /// It does not answer, or refuses: `why`, cut at [`MAX_DETAIL`] characters.
    pub fn unavailable(why: impl AsRef<str>) -> Condition {
        Condition { health: Health::Unavailable, detail: printable(why.as_ref()) }
    }

    /// Before the first check: nobody has seen it, so nobody is told it is up.
    pub fn unchecked() -> Condition {
        Condition::unavailable("the backend has not been checked yet")
    }
}

/// When to check and how many findings convince.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// From the end of one check to the start of the next. How long a failure may go unnoticed is
    /// about `fall × (interval + timeout)`.
    pub interval: Duration,
    /// How long a check may take before it has failed. More than the backend's slowest honest
    /// answer, less than the interval.
    pub timeout: Duration,
    /// Better findings in a row that lift the condition.
    pub rise: NonZeroU32,
    /// Worse findings in a row that lower it.
    pub fall: NonZeroU32,
}

impl Default for Policy {
    /// Every two seconds, one second each, two in a row either way: a failure is told after four
    /// to six seconds.
    fn default() -> Policy {
        const TWO: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);
        Policy {
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            rise: TWO,
            fall: TWO,
        }
    }
}

/// The state machine of one backend. See the [module](self) for its intuition.
#[derive(Debug)]
pub struct Machine {
    policy: Policy,
    told: Condition,
    since: Instant,
    due: Instant,
    /// A finding has been taken since the start.
    checked: bool,
    streak: Option<Streak>,
}

/// Findings in a row on one side of what is told.
#[derive(Debug)]
struct Streak {
    worse: bool,
    length: u32,
    /// The finding nearest to what is told, which the whole streak vouches for.
    agreed: Condition,
}

impl Machine {
    /// A machine that tells `start` until its first finding, which is due now.
    pub fn new(policy: Policy, start: Condition, now: Instant) -> Machine {
        Machine { policy, told: start, since: now, due: now, checked: false, streak: None }
    }

    /// What is told of the backend.
    pub fn condition(&self) -> &Condition {
        &self.told
    }

    /// When the health last changed.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// When the next check is to start.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Takes what a check found that ended at `now`, and plans the next one; `jitter` is uniform
    /// in 0..1. True if what is told has changed, be it only the detail.
    pub fn observe(&mut self, finding: Condition, now: Instant, jitter: f64) -> bool {
        let stray = 1.0 + JITTER * (2.0 * jitter.clamp(0.0, 1.0) - 1.0);
        self.due = now + self.policy.interval.mul_f64(stray);
        if !self.checked {
            self.checked = true;
            return self.tell(finding, now);
        }
        if finding.health == self.told.health {
            self.streak = None;
            return self.tell(finding, now);
        }
        let worse = finding.health > self.told.health;
        let streak = match self.streak.take().filter(|streak| streak.worse == worse) {
            None => Streak { worse, length: 1, agreed: finding },
            Some(before) => before.joined_by(finding),
        };
        let enough = if worse { self.policy.fall } else { self.policy.rise };
        if streak.length >= enough.get() {
            return self.tell(streak.agreed, now);
        }
        self.streak = Some(streak);
        false
    }

    fn tell(&mut self, condition: Condition, now: Instant) -> bool {
        if condition.health != self.told.health {
            self.since = now;
        }
        let changed = condition != self.told;
        self.told = condition;
        changed
    }
}

impl Streak {
    fn joined_by(self, finding: Condition) -> Streak {
        let length = self.length.saturating_add(1);
        // Of equals the later speaks: its detail is fresher.
        let nearer = match self.worse {
            true => finding.health <= self.agreed.health,
            false => finding.health >= self.agreed.health,
        };
        let agreed = if nearer { finding } else { self.agreed };
        Streak { length, agreed, ..self }
    }
}

/// One line of at most [`MAX_DETAIL`] characters: control characters have no business in a reply.
fn printable(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().map(clean).take(MAX_DETAIL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: (u32, u32) = (2, 2);

    #[test]
    fn series_of_findings_are_told_as_drawn() {
        // (rise, fall), findings, what is told after each; o, d, u by level.
        let cases = [
            (DEFAULT, "oouououuuododoo", "ooooooouuuddddo"),
            (DEFAULT, "u", "u"),
            (DEFAULT, "uoouu", "uuoou"),
            (DEFAULT, "oud", "ood"),
            (DEFAULT, "odu", "ood"),
            (DEFAULT, "odduu", "ooddu"),
            (DEFAULT, "ddoo", "dddo"),
            (DEFAULT, "dudodu", "dddddd"),
            ((3, 1), "ouooo", "ouuuo"),
            ((1, 3), "ouuuo", "ooouo"),
            ((3, 1), "uodo", "uuud"),
        ];
        for ((rise, fall), findings, told) in cases {
            let mut machine = machine(rise, fall);
            let mut now = machine.due();
            let mut seen = String::new();
            for letter in findings.chars() {
                machine.observe(finding(letter), now, 0.5);
                now = machine.due();
                seen.push(letter_of(machine.condition()));
            }
            assert_eq!(seen, told, "rise {rise}, fall {fall}, findings {findings}");
        }
    }

    #[test]
    fn every_short_series_moves_only_with_reason_and_always_with_reason() {
        const LENGTH: u32 = 7;
        for (rise, fall) in [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 2)] {
            for series in 0..3_u32.pow(LENGTH) {
                let level = |i: u32| (series / 3_u32.pow(i) % 3) as usize;
                let levels = [Health::Ok, Health::Degraded, Health::Unavailable];
                let findings: Vec<Health> = (0..LENGTH).map(|i| levels[level(i)]).collect();
                moves_with_reason(&findings, rise, fall);
            }
        }
    }

    /// A move needs as many findings in a row as go at least that far, and as many findings in a
    /// row on one side of what is told make it move.
    fn moves_with_reason(findings: &[Health], rise: u32, fall: u32) {
        let mut machine = machine(rise, fall);
        let now = machine.due();
        let mut told: Vec<Health> = Vec::new();
        for health in findings {
            let finding = Condition { health: *health, detail: String::new() };
            machine.observe(finding, now, 0.5);
            told.push(machine.condition().health);
        }
        assert_eq!(told[0], findings[0], "the first finding decides");
        let case = || format!("rise {rise}, fall {fall}: {findings:?} told {told:?}");
        let mut moved = 0;
        for i in 1..findings.len() {
            let (before, after) = (told[i - 1], told[i]);
            let last = |n: u32| findings[..=i].iter().rev().take(n as usize);
            if after > before {
                assert!(last(fall).all(|f| *f >= after), "{}", case());
                assert!(last(fall).any(|f| *f == after), "{}", case());
                moved = i;
            } else if after < before {
                assert!(last(rise).all(|f| *f <= after), "{}", case());
                assert!(last(rise).any(|f| *f == after), "{}", case());
                moved = i;
            }
            let since = &findings[moved + 1..=i];
            let worse = since.iter().rev().take_while(|f| **f > after).count();
            let better = since.iter().rev().take_while(|f| **f < after).count();
            assert!(worse < fall as usize && better < rise as usize, "{}", case());
        }
    }

    #[test]
    fn before_the_first_check_nobody_is_told_that_it_is_up() {
        let machine = machine(2, 2);
        assert_eq!(machine.condition().health, Health::Unavailable);
        assert!(!machine.condition().detail.is_empty());
    }

    #[test]
    fn the_next_check_is_an_interval_away_give_or_take_the_jitter() {
        let mut machine = machine(2, 2);
        let now = machine.due();
        let interval = Policy::default().interval;
        for (jitter, factor) in [(0.0, 0.9), (0.5, 1.0), (1.0, 1.1), (7.0, 1.1)] {
            machine.observe(Condition::ok(), now, jitter);
            let pause = machine.due() - now;
            let off = pause.as_secs_f64() - interval.as_secs_f64() * factor;
            assert!(off.abs() < 1e-6, "jitter {jitter}: {pause:?}");
        }
    }

    #[test]
    fn the_detail_follows_the_findings_and_since_follows_the_health() {
        let mut machine = machine(2, 2);
        let start = machine.due();
        assert!(machine.observe(Condition::degraded("slow"), start, 0.5));
        let later = start + Duration::from_secs(9);
        assert!(machine.observe(Condition::degraded("slower"), later, 0.5));
        assert_eq!(machine.condition().detail, "slower");
        assert_eq!(machine.since(), start);
        assert!(!machine.observe(Condition::degraded("slower"), later, 0.5), "nothing new to tell");
        machine.observe(Condition::unavailable("refused"), later, 0.5);
        assert!(machine.observe(Condition::unavailable("timed out"), later, 0.5));
        assert_eq!(machine.condition(), &Condition::unavailable("timed out"));
        assert_eq!(machine.since(), later);
    }

    #[test]
    fn a_long_or_many_lined_detail_is_cut_to_one_short_line() {
        let detail = Condition::unavailable("é\n".repeat(MAX_DETAIL)).detail;
        assert_eq!(detail.chars().count(), MAX_DETAIL);
        assert!(!detail.contains('\n'));
    }

    fn machine(rise: u32, fall: u32) -> Machine {
        let count = |n| NonZeroU32::new(n).expect("cases count from one");
        let policy = Policy { rise: count(rise), fall: count(fall), ..Policy::default() };
        #[expect(clippy::disallowed_methods, reason = "any instant serves as the origin")]
        let origin = Instant::now();
        Machine::new(policy, Condition::unchecked(), origin)
    }

    fn finding(letter: char) -> Condition {
        match letter {
            'o' => Condition::ok(),
            'd' => Condition::degraded("d"),
            _ => Condition::unavailable("u"),
        }
    }

    fn letter_of(condition: &Condition) -> char {
        match condition.health {
            Health::Ok => 'o',
            Health::Degraded => 'd',
            Health::Unavailable => 'u',
        }
    }
}
