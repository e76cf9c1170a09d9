//! What people say of regions, services and endpoints, against what is measured.
//!
//! # The idea
//!
//! An override is a sentence with a subject, an order, an author and an end:
//!
//! ```text
//!   europe-west3                        drain from 14:00 over 10 min, until 18:00     ada: "new disks"
//!   geo.test-net.io./us-central1        force up                                      ada: "prober is wrong"
//! ```
//!
//! The narrowest subject counts, and a force counts more than a drain of the same subject:
//!
//! | for an endpoint, the first of these that is in force | |
//! |---|---|
//! | 1. its address in its service | `geo.test-net.io./us-central1/203.0.113.10` |
//! | 2. its region in its service | `geo.test-net.io./us-central1` |
//! | 3. its service | `geo.test-net.io.` |
//! | 4. its region | `us-central1` |
//! | 5. what is measured | |
//!
//! A subject has at most one force and one drain. A later order of the same kind takes the place of
//! the earlier; of the other kind it stands beside it, so that a force of ten minutes during a drain
//! of a day leaves the drain in force when it ends.
//!
//! A drain has three phases: *announced* until it begins, so that TTLs can fall before; a *ramp*,
//! in which the share of clients that go elsewhere rises linearly from none to all; and *whole*. It
//! never empties a name: it is a state as `down` is, and `healthy` fails open.
//!
//! Pure: [`Overrides`] is changed by whoever owns it, [`bound::Bound`] tells a plan what follows at
//! a moment, [`subject`] finds what people mean, and [`last`] what they may not mean.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

pub mod bound;
pub mod last;
mod metrics;
pub mod subject;

pub use subject::Subject;

/// Overrides of one node. They are said by people, one at a time; a script that runs wild is
/// stopped here.
pub const MAX_OVERRIDES: usize = 256;
/// Octets of a reason: a line in a table.
pub const MAX_WHY: usize = 200;
/// The longest ramp: slower ones are forgotten by whoever began them.
pub const MAX_OVER: Duration = Duration::from_secs(7 * 86_400);
/// How far ahead a drain may be announced, and how long an override may last: a year and a day.
pub const MAX_AHEAD: Duration = Duration::from_secs(366 * 86_400);
/// A beginning that lies so little in the past is now: clocks of people differ from ours.
pub const MAX_LATE: Duration = Duration::from_secs(120);

/// What is to be done with a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Clients are to go elsewhere, little by little.
    Drain {
        /// When the first go.
        #[serde(with = "unix_ms")]
        from: SystemTime,
        /// How long until all have gone; zero: at once.
        over: Duration,
    },
    /// It counts as up, whatever is measured.
    Up,
    /// It counts as down, whatever is measured.
    Down,
}

/// Of which a subject has one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// [`Order::Up`] and [`Order::Down`]; counts more than a drain of the same subject.
    Force,
    /// [`Order::Drain`].
    Drain,
}

impl Order {
    /// Which of a subject's orders it takes the place of.
    pub fn kind(self) -> Kind {
        match self {
            Self::Drain { .. } => Kind::Drain,
            Self::Up | Self::Down => Kind::Force,
        }
    }

    /// The word on the command line, in metrics and in the log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Drain { .. } => "drain",
            Self::Up => "force up",
            Self::Down => "force down",
        }
    }
}

/// One sentence of one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// Of what.
    pub subject: Subject,
    /// What of it.
    pub order: Order,
    /// The identity in the certificate of whoever said so.
    pub who: String,
    /// In their words; may be empty.
    pub why: String,
    /// When they said it.
    #[serde(with = "unix_ms")]
    pub made: SystemTime,
    /// When it ends by itself; none: when it is lifted.
    #[serde(with = "unix_ms::optional")]
    pub until: Option<SystemTime>,
}

/// How far a drain has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It begins then; nobody has gone.
    Announced(SystemTime),
    /// This share of 65535 has gone.
    Gone(u16),
}

impl Override {
    /// Whether it has ended by itself.
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// How far its drain has come; a force is always whole.
    pub fn progress(&self, now: SystemTime) -> Progress {
        match self.order {
            Order::Drain { from, over } => progress(from, over, now),
            Order::Up | Order::Down => Progress::Gone(u16::MAX),
        }
    }

    /// When it is as far as it goes.
    pub fn whole_at(&self) -> SystemTime {
        match self.order {
            Order::Drain { from, over } => from.checked_add(over).unwrap_or(from),
            Order::Up | Order::Down => self.made,
        }
    }

    /// When it begins to count.
    pub fn begins(&self) -> SystemTime {
        match self.order {
            Order::Drain { from, .. } => from,
            Order::Up | Order::Down => self.made,
        }
    }

    fn check(&self, now: SystemTime) -> Result<(), Invalid> {
        let ahead = |time: SystemTime| time.duration_since(now).unwrap_or_default();
        if self.why.len() > MAX_WHY {
            return Err(Invalid::LongWhy(self.why.len()));
        }
        if let Order::Drain { from, over } = self.order {
            if over > MAX_OVER {
                return Err(Invalid::LongRamp(over));
            }
            if ahead(from) > MAX_AHEAD {
                return Err(Invalid::FarAhead);
            }
            if now.duration_since(from).is_ok_and(|late| late > MAX_LATE) {
                return Err(Invalid::Past);
            }
        }
        match self.until {
            Some(until) if until <= now || until <= self.begins() => Err(Invalid::OverAtOnce),
            Some(until) if until < self.whole_at() => Err(Invalid::NeverWhole),
            Some(until) if ahead(until) > MAX_AHEAD + MAX_AHEAD => Err(Invalid::FarAhead),
            _ => Ok(()),
        }
    }
}

/// The share that has gone of a drain that begins at `from`.
fn progress(from: SystemTime, over: Duration, now: SystemTime) -> Progress {
    let Ok(passed) = now.duration_since(from) else { return Progress::Announced(from) };
    if passed >= over {
        return Progress::Gone(u16::MAX);
    }
    let share = passed.as_millis() * u128::from(u16::MAX) / over.as_millis().max(1);
    Progress::Gone(u16::try_from(share).unwrap_or(u16::MAX))
}

/// Why a sentence is not taken in; nothing changed. Whoever says it can mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A reason is a line, not a page.
    #[error("the reason is {0} octets long; at most {MAX_WHY}")]
    LongWhy(usize),
    /// Slower than anybody would watch.
    #[error("a drain over {}; at most over {}", humantime::format_duration(*.0), humantime::format_duration(MAX_OVER))]
    LongRamp(Duration),
    /// Nobody will remember it.
    #[error("more than a year ahead; the limit is {} days", MAX_AHEAD.as_secs() / 86_400)]
    FarAhead,
    /// What has begun cannot be announced.
    #[error("the beginning is in the past; leave it out to begin now")]
    Past,
    /// It would end before it begins.
    #[error("it would be over before it begins")]
    OverAtOnce,
    /// The ramp would be cut off.
    #[error(
        "the drain would be over before all clients have gone: let it last longer than its ramp"
    )]
    NeverWhole,
    /// A script that runs wild.
    #[error("there are {MAX_OVERRIDES} overrides already; lift those that are not needed")]
    TooMany,
}

/// Every override of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides(BTreeMap<(Subject, Kind), Override>);

impl Overrides {
    /// As they were kept; of two of one subject and kind the later counts.
    ///
    /// # Errors
    ///
    /// [`Invalid::TooMany`]: they are not ours.
    pub fn restored(kept: Vec<Override>) -> Result<Self, Invalid> {
        if kept.len() > MAX_OVERRIDES {
            return Err(Invalid::TooMany);
        }
        Ok(Self(kept.into_iter().map(|one| (one.key(), one)).collect()))
    }

    /// Takes one in; returns the one whose place it takes.
    ///
    /// # Errors
    ///
    /// What is wrong with it; nothing changed.
    pub fn set(&mut self, new: Override, now: SystemTime) -> Result<Option<Override>, Invalid> {
        new.check(now)?;
        let key = new.key();
        if self.0.len() >= MAX_OVERRIDES && !self.0.contains_key(&key) {
            return Err(Invalid::TooMany);
        }
        Ok(self.0.insert(key, new))
    }

    /// Takes one out, if it is there.
    pub fn lift(&mut self, subject: &Subject, kind: Kind) -> Option<Override> {
        self.0.remove(&(subject.clone(), kind))
    }

    /// Takes out those that have ended by themselves.
    pub fn expire(&mut self, now: SystemTime) -> Vec<Override> {
        self.0.extract_if(.., |_, one| one.is_over(now)).map(|(_, one)| one).collect()
    }

    /// What was said of a subject.
    pub fn get(&self, subject: &Subject, kind: Kind) -> Option<&Override> {
        self.0.get(&(subject.clone(), kind))
    }

    /// All, by subject, a force before a drain.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Override> {
        self.0.values()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Override {
    fn key(&self) -> (Subject, Kind) {
        (self.subject.clone(), self.order.kind())
    }
}

/// `drain of europe-west3 by spiffe://… ("new disks")`, for the log and for alarms.
impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} by {}", self.order.word(), self.subject, self.who)?;
        if self.why.is_empty() { Ok(()) } else { write!(f, " ({:?})", self.why) }
    }
}

/// Times as milliseconds since 1970, on disk.
pub(crate) mod unix_ms {
    use std::time::{Duration, SystemTime};

    use serde::{Deserialize, Deserializer, Serializer};

    use crate::monitor;

    fn time(ms: u64) -> Option<SystemTime> {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms))
    }

    pub(crate) fn serialize<S: Serializer>(at: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(monitor::unix_ms(*at))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        let ms = u64::deserialize(from)?;
        time(ms).ok_or_else(|| serde::de::Error::custom("a time that never comes"))
    }

    pub(crate) mod optional {
        use super::{Deserialize, Deserializer, Serializer, SystemTime, monitor, time};

        pub(crate) fn serialize<S: Serializer>(
            at: &Option<SystemTime>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match at {
                Some(at) => to.serialize_some(&monitor::unix_ms(*at)),
                None => to.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<SystemTime>, D::Error> {
            let ms = Option::<u64>::deserialize(from)?;
            ms.map(|ms| time(ms).ok_or_else(|| serde::de::Error::custom("a time that never comes")))
                .transpose()
        }
    }
}

#[cfg(test)]
mod tests;
