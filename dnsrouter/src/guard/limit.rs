//! How many answers a network may have: response rate limiting, so that nobody's forged queries
//! make this server flood somebody else.
//!
//! # The idea
//!
//! Each client prefix (/24, /56) has one bucket of tokens for each [`Kind`] of response. A response
//! takes a token; a bucket without one limits. Tokens come back at the kind's rate, up to the
//! burst. Kinds have buckets of their own, so that a flood of NXDOMAIN does not cost a resolver its
//! answers.
//!
//! A bucket is one number: **when it will be full again**. A full bucket's moment is in the past;
//! each response moves it one interval further, and a bucket whose moment would be further away
//! than the whole burst takes has nothing left. So there is nothing to refill, no task, and one
//! compare-and-swap takes a token.
//!
//! ```text
//!          now                      now + burst
//!           │ ◀──── taken ────▶│ ◀── left ──▶ │
//!   ────────┴──────────────────┴──────────────┴────────▶ time
//!                          full again
//! ```
//!
//! # The table
//!
//! ```text
//!   hash(key, prefix, kind) ──▶ set: one cache line of 8 words
//!                               ┌ tag 22 │ slip 4 │ full again 38 ┐ × 8
//! ```
//!
//! Its size is fixed. A bucket that is not in its set takes a free word, or that of the bucket
//! that is full again first: whoever is limited is forgotten last, and who is forgotten begins
//! with a full bucket. Two prefixes share a bucket only if set and tag agree; as the hash is keyed,
//! nobody can choose whose bucket to empty, and a stranger's hits anyone else's with a chance of
//! one in [`Limiter::COLLISION`] for each bucket in the set.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use geo::Networks;
use ipnet::IpNet;
use siphasher::sip::SipHasher13;

/// The highest rate that can be set, responses per second: intervals are whole ticks, and up to
/// here they are right to a hundredth.
pub const MAX_RATE: u32 = 100_000;
/// The longest that a bucket may take to fill: far below what fits a word, far above any use.
pub const MAX_FILL: Duration = Duration::from_secs(60);
/// How far readings of the clock that are used at the same time may lie apart: one serves a batch,
/// and a thread may be halted before it uses its own.
pub const SKEW: Duration = Duration::from_secs(5);
/// The highest slip: its counter has four bits.
pub const MAX_SLIP: u8 = 10;
/// The smallest table, in buckets: with fewer, a handful of strangers crowd each other out.
pub const MIN_ENTRIES: usize = 1 << 10;
/// The largest table, in buckets: 128 MiB.
pub const MAX_ENTRIES: usize = 1 << 24;

/// What a response is, for its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Data.
    Answer,
    /// The name exists, the type does not.
    NoData,
    /// The name does not exist.
    NxDomain,
    /// Somebody else's, and whose.
    Referral,
    /// Every other response code.
    Error,
}

impl Kind {
    /// All of them, in the order of [`Settings::rates`].
    pub const ALL: [Kind; 5] =
        [Kind::Answer, Kind::NoData, Kind::NxDomain, Kind::Referral, Kind::Error];
}

/// What becomes of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is sent.
    Pass,
    /// Instead of it an empty one with TC: who is no forger asks again over TCP.
    Slip,
    /// Nothing is sent.
    Drop,
}

/// What can be set. Equal settings make limiters that can stand in for each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Responses per second and prefix, by [`Kind`]; at most [`MAX_RATE`].
    pub rates: [NonZeroU32; Kind::ALL.len()],
    /// Answers at once from a full bucket. The buckets of other kinds fill in the same time, so
    /// they hold more or fewer as their rates are higher or lower; at least one. No bucket takes
    /// longer than [`MAX_FILL`] to fill.
    pub burst: NonZeroU32,
    /// Every how many limited responses one slips; 0: none does. At most [`MAX_SLIP`].
    pub slip: u8,
    /// The length of IPv4 prefixes.
    pub prefix_v4: u8,
    /// The length of IPv6 prefixes.
    pub prefix_v6: u8,
    /// Whoever is in these is never limited.
    pub exempt: Vec<IpNet>,
    /// Buckets; rounded up to a power of two.
    pub entries: usize,
}

/// Counts responses per prefix. One for all threads; nothing here locks or allocates.
#[derive(Debug)]
pub struct Limiter {
    settings: Settings,
    paces: [Pace; Kind::ALL.len()],
    exempt: Networks,
    key: [u64; 2],
    /// A power of two of them.
    sets: Box<[Set]>,
}

/// Buckets that share a cache line, so that a look-up costs one miss.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Set([AtomicU64; WAYS]);

const WAYS: usize = 8;

/// Losing so many races in a row means that this bucket, or its whole set, is being flooded from
/// several threads at once.
const ATTEMPTS: usize = 32;

impl Limiter {
    /// One in so many pairs of prefixes of the same set shares a bucket.
    pub const COLLISION: u64 = 1 << Bucket::TAG_BITS;

    /// An empty table. `key` is random and secret: it decides who shares a set with whom.
    pub fn new(settings: Settings, key: [u64; 2]) -> Self {
        let entries = settings.entries.clamp(MIN_ENTRIES, MAX_ENTRIES);
        let sets = entries.div_ceil(WAYS).next_power_of_two();
        let [answers, ..] = settings.rates.map(|rate| u64::from(rate.get()));
        let pace = |rate: NonZeroU32| {
            let interval = interval(rate);
            let tokens = u64::from(settings.burst.get()) * u64::from(rate.get()) / answers;
            let fill = tokens.saturating_mul(interval).clamp(interval, ticks(MAX_FILL));
            Pace { interval, fill, slip: settings.slip.min(MAX_SLIP) }
        };
        Self {
            paces: settings.rates.map(pace),
            exempt: Networks::new(settings.exempt.iter().map(|network| (*network, 0))),
            key,
            sets: std::iter::repeat_with(Set::default).take(sets).collect(),
            settings,
        }
    }

    /// What this one was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Octets of the table, however many clients there are.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.sets)
    }

    /// Takes a token for a response of this kind to `peer`.
    ///
    /// In any stretch of time a prefix gets at most its burst and its rate of responses of a kind,
    /// whichever threads answer and however they are interleaved, as long as their readings of the
    /// clock differ by less than [`SKEW`] and its bucket is not crowded out of the table. A clock
    /// that is set back by more than that and the time a bucket takes to fill makes buckets full.
    pub fn check(&self, peer: IpAddr, kind: Kind, now: SystemTime) -> Verdict {
        if self.exempt.find(peer).is_some() {
            return Verdict::Pass;
        }
        let (set, tag) = self.place(peer, kind);
        let pace = &self.paces[kind as usize];
        let now = ticks(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        for _ in 0..ATTEMPTS {
            let (way, before) = set.find(tag, now);
            if let Some(verdict) = pace.take_from(way, before, tag, now) {
                return verdict;
            }
        }
        Verdict::Drop
    }

    /// Where the bucket of a prefix and a kind is, and how it is known there.
    fn place(&self, peer: IpAddr, kind: Kind) -> (&Set, u64) {
        let (address, length) = match peer.to_canonical() {
            IpAddr::V4(v4) => (v4.to_ipv6_mapped(), 96 + self.settings.prefix_v4),
            IpAddr::V6(v6) => (v6, self.settings.prefix_v6),
        };
        let hosts = u128::MAX.checked_shr(length.into()).unwrap_or(0);
        let mut data = [kind as u8; 17];
        data[1..].copy_from_slice(&(address.to_bits() & !hosts).to_be_bytes());
        let hash = SipHasher13::new_with_keys(self.key[0], self.key[1]).hash(&data);
        (&self.sets[hash as usize & (self.sets.len() - 1)], Bucket::tag_of(hash))
    }
}

impl Set {
    /// The word with this tag, else the first that is free, else that of the bucket that is full
    /// first; and what it holds. While there are free words, two threads that put the same bucket
    /// in want the same word, and only one of them gets it.
    fn find(&self, tag: u64, now: u64) -> (&AtomicU64, u64) {
        let mut best: Option<(&AtomicU64, u64, Option<i64>)> = None;
        for way in &self.0 {
            let word = way.load(Relaxed);
            if Bucket(word).tag() == tag {
                return (way, word);
            }
            // Whose kind is not known here, and so by which pace it fills.
            let full_at = match word {
                Bucket::FREE => None,
                word => Some(Bucket(word).until_full(now, ticks(MAX_FILL))),
            };
            if best.is_none_or(|(_, _, before)| full_at < before) {
                best = Some((way, word, full_at));
            }
        }
        best.map_or((&self.0[0], Bucket::FREE), |(way, word, _)| (way, word))
    }
}

/// How fast one kind of buckets fills, in ticks.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// From one token to the next.
    interval: u64,
    /// From empty to full.
    fill: u64,
    slip: u8,
}

impl Pace {
    /// Takes a token from the bucket `tag`, whose word held `before` when it was looked at; none,
    /// and nothing changed, if another thread was faster.
    fn take_from(&self, way: &AtomicU64, before: u64, tag: u64, now: u64) -> Option<Verdict> {
        let seen = Bucket(before);
        let bucket = if seen.tag() == tag { seen } else { Bucket::full(tag, now) };
        let (after, verdict) = self.take(bucket, now);
        // Each word is complete in itself: no other memory hangs on it.
        let replaced = || way.compare_exchange(before, after.0, Relaxed, Relaxed).is_ok();
        (after.0 == before || replaced()).then_some(verdict)
    }

    /// The bucket after one more response, and whether that is sent.
    fn take(&self, bucket: Bucket, now: u64) -> (Bucket, Verdict) {
        let wait = bucket.until_full(now, self.fill).max(0).cast_unsigned() + self.interval;
        if wait <= self.fill {
            return (bucket.full_again(now.wrapping_add(wait)), Verdict::Pass);
        }
        match self.slip {
            0 => (bucket, Verdict::Drop),
            1 => (bucket, Verdict::Slip),
            every => match bucket.limited() + 1 {
                n if n >= u64::from(every) => (bucket.with_limited(0), Verdict::Slip),
                n => (bucket.with_limited(n), Verdict::Drop),
            },
        }
    }
}

/// A bucket in a word; 0 is none.
#[derive(Debug, Clone, Copy)]
struct Bucket(u64);

/// Time in words: 16 ticks a microsecond, wrapping after 4.8 hours.
const TICKS_PER_SECOND: u64 = 16_000_000;

impl Bucket {
    const TAG_BITS: u32 = 22;
    const SLIP_BITS: u32 = 4;
    const TIME_BITS: u32 = 64 - Self::TAG_BITS - Self::SLIP_BITS;
    const TIME: u64 = (1 << Self::TIME_BITS) - 1;
    const LIMITED: u64 = ((1 << Self::SLIP_BITS) - 1) << Self::TIME_BITS;
    const FREE: u64 = 0;

    /// The tag of a hash, never 0; its upper bits, since the lower ones choose the set.
    fn tag_of(hash: u64) -> u64 {
        (hash >> (u64::BITS - Self::TAG_BITS)).max(1)
    }

    fn full(tag: u64, now: u64) -> Self {
        Bucket(tag << (u64::BITS - Self::TAG_BITS) | now & Self::TIME)
    }

    fn tag(self) -> u64 {
        self.0 >> (u64::BITS - Self::TAG_BITS)
    }

    /// Ticks from now until it is full, or since it was. More than `fill` ahead by more than
    /// readings of one clock differ, it was written by another clock, or hours ago: time wraps.
    /// Then it has been full for ever.
    fn until_full(self, now: u64, fill: u64) -> i64 {
        let ahead = self.0.wrapping_sub(now) << (u64::BITS - Self::TIME_BITS);
        let ahead = ahead.cast_signed() >> (u64::BITS - Self::TIME_BITS);
        if ahead > (fill + ticks(SKEW)).cast_signed() { i64::MIN } else { ahead }
    }

    fn full_again(self, at: u64) -> Self {
        Bucket(self.0 & !Self::TIME | at & Self::TIME)
    }

    /// Limited responses since the last that slipped.
    fn limited(self) -> u64 {
        (self.0 & Self::LIMITED) >> Self::TIME_BITS
    }

    fn with_limited(self, count: u64) -> Self {
        Bucket(self.0 & !Self::LIMITED | count << Self::TIME_BITS)
    }
}

fn ticks(time: Duration) -> u64 {
    let seconds = time.as_secs().wrapping_mul(TICKS_PER_SECOND);
    seconds.wrapping_add(u64::from(time.subsec_nanos()) * (TICKS_PER_SECOND / 1_000_000) / 1_000)
}

/// From one token to the next, rounded up: rather a little less than what was set than more.
fn interval(rate: NonZeroU32) -> u64 {
    TICKS_PER_SECOND.div_ceil(rate.get().min(MAX_RATE).into())
}

#[cfg(test)]
mod tests;
