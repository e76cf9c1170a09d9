//! What decisions were made from, kept for a while, so that `explain` can go back in time.
//!
//! # The idea
//!
//! A decision is made by code from inputs, so keeping the inputs keeps every decision. They change
//! seldom: a plan when somebody edits it, a verdict when a target flips, an override when somebody
//! speaks. Each change is one [`Record`]; a [`Base`] holds everything at once, so that what came
//! before it can be forgotten, and follows a change of plan:
//!
//! ```text
//!   segment 1   [Base] v v v o v [Base] v ♥ v ♥ …   v verdict, o overrides, ♥ pulse
//!   segment 2   [Base] ♥ ♥ v ♥ …                    each segment is complete by itself
//!                            ▲
//!                         moment: the last Base before it, and what followed (`Moment::find`)
//! ```
//!
//! A pulse each minute tells "nothing changed" from "nobody wrote": a moment is known only if
//! something was recorded shortly before it. Not kept, because it changes with each ping: round
//! trips, loads and what is reckoned from them, and how far a recovered endpoint has warmed up.
//!
//! A record on disk is `length (4) | sum (8) | JSON`, little-endian; what a crash tore off at a
//! segment's end is left out, and so is everything behind a damaged record.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

pub use written::Written;

mod written;

use crate::monitor::Saved;
use crate::overrides::{Override, unix_ms};

/// Segments that ended before this are deleted: last week's question is still asked this week.
pub const MAX_AGE: Duration = Duration::from_secs(7 * 86_400);
/// All segments together: the oldest are deleted first.
pub const MAX_BYTES: u64 = 64 << 20;
/// A segment that has grown by so much beside its base is followed by another.
pub const SEGMENT_BYTES: u64 = 4 << 20;
/// And one that began so long ago, so that age can delete something.
pub const SEGMENT_AGE: Duration = Duration::from_secs(86_400);
/// From one pulse to the next.
pub const PULSE: Duration = Duration::from_secs(60);
/// Longer without a record, and nobody was there to write one.
const SILENCE: Duration = Duration::from_secs(150);
/// A longer record is not ours: a base holds a configuration, which is at most 16 MiB, and as JSON
/// it may be a little longer.
const MAX_RECORD: usize = 48 << 20;
/// Octets before a record's JSON.
const FRAME: usize = 12;

/// One change, or everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// When.
    #[serde(with = "unix_ms")]
    pub at: SystemTime,
    /// What.
    pub entry: Entry,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// Everything there was.
    Base(Base),
    /// A target's state changed to this.
    Verdict(Saved),
    /// The overrides are these now.
    Overrides(Vec<Override>),
    /// Nothing, and somebody was there to see it.
    Pulse,
}

/// All that decisions are made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// What people wrote.
    #[serde(with = "shared")]
    pub plan: Arc<Written>,
    /// Of every target that is not unknown.
    pub verdicts: Vec<Saved>,
    /// Those that had not ended.
    pub overrides: Vec<Override>,
    /// Changes since then were not written: nobody knows the time between.
    #[serde(with = "unix_ms::optional")]
    pub missed_since: Option<SystemTime>,
}

/// Everything as it was at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// What people had written.
    pub plan: Arc<Written>,
    /// The verdicts that were in force.
    pub verdicts: Vec<Saved>,
    /// What people had said.
    pub overrides: Vec<Override>,
}

/// Why a moment is not known. Nobody is to blame but time, or the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// Nothing was ever written, or nothing is left.
    #[error("there is no history yet")]
    Empty,
    /// It is before everything that is kept, or has not come.
    #[error("{} is outside the history, which reaches from {} to {}", shown(*at), shown(*from), shown(*to))]
    Outside {
        /// What was asked for.
        at: SystemTime,
        /// The first that is known.
        from: SystemTime,
        /// The last that is known.
        to: SystemTime,
    },
    /// Nobody wrote then: the node did not run, or could not write.
    #[error("{} is in a gap of the history, from {} to {}: the node was not running, or could not write", shown(*at), shown(*from), shown(*to))]
    Gap {
        /// What was asked for.
        at: SystemTime,
        /// The last that is known before it.
        from: SystemTime,
        /// The first that is known after it.
        to: SystemTime,
    },
}

fn shown(at: SystemTime) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(at)
}

/// Everything as of the last record: what the next segment begins with.
#[derive(Debug, Clone, Default)]
pub struct Known {
    plan: Arc<Written>,
    verdicts: BTreeMap<(String, String), Saved>,
    overrides: Vec<Override>,
}

impl Known {
    /// Takes in what happened.
    pub fn take(&mut self, entry: &Entry) {
        match entry {
            Entry::Base(base) => {
                self.plan = Arc::clone(&base.plan);
                self.verdicts =
                    base.verdicts.iter().map(|saved| (key(saved), saved.clone())).collect();
                self.overrides.clone_from(&base.overrides);
            }
            Entry::Verdict(saved) => {
                self.verdicts.insert(key(saved), saved.clone());
            }
            Entry::Overrides(overrides) => self.overrides.clone_from(overrides),
            Entry::Pulse => {}
        }
    }

    /// As a record.
    pub fn base(&self, missed_since: Option<SystemTime>) -> Base {
        Base {
            plan: Arc::clone(&self.plan),
            verdicts: self.verdicts.values().cloned().collect(),
            overrides: self.overrides.clone(),
            missed_since,
        }
    }

    fn into_moment(self, at: SystemTime) -> Moment {
        let overrides = self.overrides.into_iter().filter(|one| !one.is_over(at)).collect();
        Moment { plan: self.plan, verdicts: self.verdicts.into_values().collect(), overrides }
    }
}

fn key(saved: &Saved) -> (String, String) {
    (saved.address.clone(), saved.region.clone())
}

impl Moment {
    /// What was known at `at`, from records in order: those of the last segment that begins before
    /// it, and of the next.
    ///
    /// # Errors
    ///
    /// [`Unknown::Gap`] and [`Unknown::Outside`], within these records.
    pub fn find(
        records: impl IntoIterator<Item = Record>,
        at: SystemTime,
    ) -> Result<Self, Unknown> {
        let mut known = Known::default();
        let mut before: Option<SystemTime> = None;
        let mut first = None;
        for record in records {
            first.get_or_insert(record.at);
            if record.at > at {
                let Some(last) = before else { break };
                let missed = match &record.entry {
                    Entry::Base(base) => base.missed_since.filter(|since| *since <= at),
                    _ => None,
                };
                return match missed {
                    Some(from) => Err(Unknown::Gap { at, from, to: record.at }),
                    None if is_silence(last, at) => {
                        Err(Unknown::Gap { at, from: last, to: record.at })
                    }
                    None => Ok(known.into_moment(at)),
                };
            }
            known.take(&record.entry);
            before = Some(record.at);
        }
        match (first, before) {
            (None, _) => Err(Unknown::Empty),
            (Some(from), Some(last)) if is_silence(last, at) => {
                Err(Unknown::Outside { at, from, to: last })
            }
            (Some(from), None) => Err(Unknown::Outside { at, from, to: from }),
            (Some(_), Some(_)) => Ok(known.into_moment(at)),
        }
    }
}

fn is_silence(last: SystemTime, at: SystemTime) -> bool {
    at.duration_since(last).is_ok_and(|silence| silence > SILENCE)
}

/// A record as it is on disk.
///
/// # Errors
///
/// When it is longer than a reader would believe.
pub fn encode(record: &Record) -> Result<Vec<u8>, serde_json::Error> {
    let mut octets = vec![0; FRAME];
    serde_json::to_writer(&mut octets, record)?;
    let length = octets.len() - FRAME;
    let length = u32::try_from(length).ok().filter(|_| length <= MAX_RECORD);
    let length = length.ok_or_else(|| serde::ser::Error::custom("a record that is too long"))?;
    let sum = sum(&octets[FRAME..]);
    octets[..4].copy_from_slice(&length.to_le_bytes());
    octets[4..FRAME].copy_from_slice(&sum.to_le_bytes());
    Ok(octets)
}

/// The records of a segment's octets, up to the first that is torn or damaged.
pub fn decode(octets: &[u8]) -> impl Iterator<Item = Record> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        let (frame, behind) = rest.split_at_checked(FRAME)?;
        let (length, expected) = frame.split_at_checked(4)?;
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        let expected = u64::from_le_bytes(expected.try_into().ok()?);
        let (json, behind) = behind.split_at_checked(length).filter(|_| length <= MAX_RECORD)?;
        rest = behind;
        if sum(json) != expected {
            rest = &[];
            return None;
        }
        serde_json::from_slice(json).ok()
    })
    .fuse()
}

/// Guards against what disks do, not against people.
fn sum(octets: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(octets);
    hasher.finish()
}

/// A segment, as its place in the folder tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// When it begins.
    pub from: SystemTime,
    /// Its size.
    pub octets: u64,
}

/// How many of the oldest segments have to go; the last, which is written to, never does.
/// `segments` are in the order of their beginnings.
pub fn outdated(segments: &[Segment], now: SystemTime) -> usize {
    let mut total: u64 = segments.iter().map(|segment| segment.octets).sum();
    let mut gone = 0;
    // A segment ends where the next begins.
    for pair in segments.windows(2) {
        let too_old = now.duration_since(pair[1].from).is_ok_and(|age| age > MAX_AGE);
        if !too_old && total <= MAX_BYTES {
            break;
        }
        total -= pair[0].octets;
        gone += 1;
    }
    gone
}

/// What is shared in memory and written out on disk.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        one: &Arc<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        T::serialize(one, to)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(from).map(Arc::new)
    }
}

#[cfg(test)]
mod tests;
