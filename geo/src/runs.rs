//! Runs: the build-time form of an address space, cut into stretches of one value each.
//!
//! Prefixes nest; runs don't. Every rule about precedence is one pass over sorted runs:
//!
//! ```text
//! prefixes   |--------------- A ---------------|        flatten: the longest prefix wins
//!                  |--- B ---|
//! runs       |  A  |    B    |        A        |  none
//!
//! high       |       none       |  N  |  none           overlay: what high has, else low
//! low        |  A  |    B    |        A        |  none
//! both       |  A  |    B    | A|  N  |    A   |  none      (one case of zip)
//!
//! blocks     |.......|.......|.......|.......|          collapse: one value per block of the
//! collapsed  |   A   |   B   |   N   |   A   |          cap's size, elected by what covers it
//! ```

use std::cmp::Reverse;
use std::hash::Hasher;
use std::ops::{BitAnd, BitOr, BitXor, Not, Sub};

use crate::{Place, PlaceId, Source};

/// An address as a number, most significant bit first: an IPv4 address (`u32`), an IPv6 address
/// (`u128`), or the frozen form's left-aligned key of either (`u64`).
pub(crate) trait Key:
    Copy
    + Ord
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitXor<Output = Self>
    + Not<Output = Self>
    + Sub<Output = Self>
    + Into<u128>
{
    const ZERO: Self;
    const ONE: Self;

    /// Ones in the bits that a prefix of this length leaves to hosts.
    fn host_mask(len: u8) -> Self;
    fn next(self) -> Option<Self>;
    fn leading_zeros(self) -> u8;

    /// The prefix length of the largest aligned block around this key that contains neither the
    /// last key of the run before the key's own nor the first one of the run behind it: it has
    /// to be long enough to differ from both.
    #[inline]
    fn block(self, before: Option<Self>, behind: Option<Self>) -> u8 {
        let differs_at = |other: Self| (self ^ other).leading_zeros() + 1;
        before.map_or(0, differs_at).max(behind.map_or(0, differs_at))
    }
}

macro_rules! key {
    ($($int:ty),*) => {$(
        impl Key for $int {
            const ZERO: $int = 0;
            const ONE: $int = 1;

            #[inline]
            fn host_mask(len: u8) -> $int {
                <$int>::MAX.checked_shr(len.into()).unwrap_or(0)
            }
            #[inline]
            fn next(self) -> Option<$int> {
                self.checked_add(1)
            }
            #[inline]
            fn leading_zeros(self) -> u8 {
                <$int>::leading_zeros(self) as u8
            }
        }
    )*};
}
key!(u32, u64, u128);

/// A place and its source in 32 bits: what a run, and later a lookup, yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Value(u32);

impl Value {
    /// Nothing covers the address.
    pub(crate) const NONE: Value = Value::new(PlaceId::UNKNOWN, Source::None);

    /// Three bits go to the source, so places are numbered below 2²⁹: the layers see to that.
    pub(crate) const fn new(place: PlaceId, source: Source) -> Value {
        Value(place.0 << 3 | source as u32)
    }

    pub(crate) fn place(self) -> PlaceId {
        PlaceId(self.0 >> 3)
    }

    pub(crate) fn source(self) -> Source {
        Source::from_bits(self.0)
    }

    pub(crate) fn bits(self) -> u32 {
        self.0
    }
}

impl Default for Value {
    fn default() -> Value {
        Value::NONE
    }
}

/// A prefix with its value. The order sorts a prefix before those inside it.
///
/// Packed, since a table is built from millions of them: 24 bytes for IPv6 rather than 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(Rust, packed(4))]
pub(crate) struct Leaf<K: Copy> {
    pub(crate) start: K,
    pub(crate) len: u8,
    pub(crate) value: Value,
}

/// A stretch of addresses from `start` to where the next run starts. Packed like [`Leaf`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(Rust, packed(4))]
pub(crate) struct Run<K: Copy> {
    pub(crate) start: K,
    pub(crate) value: Value,
}

/// The whole address space in ascending runs; the first starts at zero, and no two neighbours
/// have the same value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Runs<K: Copy>(Vec<Run<K>>);

impl<K: Key> Runs<K> {
    /// Prefixes to runs: inside each prefix, the longest one that covers an address wins. Of
    /// equal prefixes the highest value wins.
    pub(crate) fn flatten(mut leaves: Vec<Leaf<K>>) -> Runs<K> {
        leaves.sort_unstable();
        let mut runs = Runs::empty(leaves.len());
        let mut open: Vec<(K, Value)> = Vec::new(); // the prefixes around here: last key, value
        for leaf in &leaves {
            runs.close(&mut open, Some(leaf.start));
            runs.push(leaf.start, leaf.value);
            open.push((leaf.start | K::host_mask(leaf.len), leaf.value));
        }
        runs.close(&mut open, None);
        runs
    }

    /// What `self` knows, and where it knows nothing, what `low` knows.
    pub(crate) fn overlay(self, low: Runs<K>) -> Runs<K> {
        if low.knows_nothing() {
            return self;
        }
        if self.knows_nothing() {
            return low;
        }
        self.zip(low, |high, low| if high == Value::NONE { low } else { high })
    }

    /// What `f` makes of both values of each address.
    pub(crate) fn zip(self, other: Runs<K>, mut f: impl FnMut(Value, Value) -> Value) -> Runs<K> {
        let (a, b) = (self.0, other.0);
        let mut both = Runs::empty(a.len() + b.len());
        let (mut i, mut j) = (0, 0);
        let mut at = K::ZERO;
        loop {
            both.push(at, f(a[i].value, b[j].value));
            let next_a = a.get(i + 1).map(|run| run.start);
            let next_b = b.get(j + 1).map(|run| run.start);
            at = match (next_a, next_b) {
                (Some(a), Some(b)) => a.min(b),
                (Some(only), None) | (None, Some(only)) => only,
                (None, None) => return both,
            };
            i += usize::from(next_a == Some(at));
            j += usize::from(next_b == Some(at));
        }
    }

    /// Cuts the space into blocks of a prefix length, each of one value: the elected one of those
    /// that cover its known addresses, from the best source that named it. Where nothing in a
    /// block is known, it is special if any of it is, else unknown.
    pub(crate) fn collapse(self, cap: u8, election: Election<'_>) -> Runs<K> {
        let host = K::host_mask(cap);
        let mut coarse = Runs::empty(self.0.len());
        let mut tally = Tally::default();
        let mut i = 0;
        let mut start = K::ZERO; // where the rest of run i starts: at a block's first address
        while i < self.0.len() {
            coarse.push(start, self.0[i].value);
            let Some(next) = self.next_start(i) else { break };
            if next & host == K::ZERO {
                start = next;
                i += 1;
                continue;
            }
            // The run ends inside a block: weigh all that is in the block, then go on behind it.
            let first = next & !host;
            let last = next | host;
            let mut from = start.max(first);
            tally.clear();
            loop {
                let end = self.next_start(i).filter(|&next| next <= last);
                let run_last = end.map_or(last, |next| next - K::ONE);
                tally.add(self.0[i].value, (run_last - from).into() + 1);
                let Some(next) = end else { break };
                from = next;
                i += 1;
            }
            coarse.push(first, tally.winner(election));
            let Some(beyond) = last.next() else { break };
            i += usize::from(self.next_start(i) == Some(beyond));
            start = beyond;
        }
        coarse
    }

    /// The same runs with keys of another width. The caller's `f` keeps their order and
    /// distinctness: no two starts may share the bits that are kept.
    pub(crate) fn map<L: Key>(self, f: impl Fn(K) -> L) -> Runs<L> {
        Runs(self.0.into_iter().map(|run| Run { start: f(run.start), value: run.value }).collect())
    }

    /// The value that covers the key, and the prefix length of the largest block around the key
    /// in which every key has this value.
    pub(crate) fn lookup(&self, key: K) -> (Value, u8) {
        let next = self.0.partition_point(|run| { run.start } <= key);
        let run = self.0[next - 1]; // the first run starts at zero
        let before = (next > 1).then(|| run.start - K::ONE);
        (run.value, key.block(before, self.next_start(next - 1)))
    }

    /// Replaces each value by what `f` makes of it; distinct values stay distinct.
    pub(crate) fn replace(&mut self, f: &mut impl FnMut(Value) -> Value) {
        self.0.iter_mut().for_each(|run| run.value = f(run.value));
    }

    /// Feeds all that lookups can yield.
    pub(crate) fn hash(&self, hasher: &mut impl Hasher) {
        for &Run { start, value } in &self.0 {
            hasher.write(&start.into().to_le_bytes());
            hasher.write(&value.bits().to_le_bytes());
        }
    }

    pub(crate) fn as_slice(&self) -> &[Run<K>] {
        &self.0
    }

    /// No prefix covers anything.
    pub(crate) fn knows_nothing(&self) -> bool {
        matches!(self.0[..], [Run { value: Value::NONE, .. }])
    }

    /// Gives back memory that merged neighbours no longer need.
    pub(crate) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }

    fn empty(capacity: usize) -> Runs<K> {
        let mut runs = Vec::with_capacity(capacity + 1);
        runs.push(Run { start: K::ZERO, value: Value::NONE });
        Runs(runs)
    }

    fn next_start(&self, i: usize) -> Option<K> {
        self.0.get(i + 1).map(|run| run.start)
    }

    /// From `start` on, the value is this one. Starts never descend.
    fn push(&mut self, start: K, value: Value) {
        if self.0.last().is_some_and(|last| { last.start } == start) {
            self.0.pop();
        }
        if self.0.last().is_none_or(|last| { last.value } != value) {
            self.0.push(Run { start, value });
        }
    }

    /// Ends the open prefixes that lie wholly before `until` (all of them for none); behind
    /// each, the prefix around it goes on.
    fn close(&mut self, open: &mut Vec<(K, Value)>, until: Option<K>) {
        while let Some(&(last, _)) = open.last() {
            if until.is_some_and(|until| until <= last) {
                return;
            }
            open.pop();
            if let Some(behind) = last.next() {
                let around = open.last().map_or(Value::NONE, |&(_, value)| value);
                self.push(behind, around);
            }
        }
    }
}

/// Which of the places that cover a block is the block's.
#[derive(Clone, Copy)]
pub(crate) enum Election<'a> {
    /// The one that covers most, of several the one with the lowest address. But where only the
    /// country is known of the block's first address, only places of that country stand: without
    /// a point a part is no more than what somebody registered it for, and the first address is
    /// what others find who look a block up, as resolvers send it. The places, by number.
    Place(&'a [Place]),
    /// The one that covers most, of several the lowest by number.
    Number,
}

/// How many addresses of one block each place covers, in the order of their first addresses.
#[derive(Default)]
struct Tally {
    places: Vec<(PlaceId, Source, u128)>,
    /// Stands if no place does.
    otherwise: Value,
}

impl Tally {
    fn clear(&mut self) {
        self.places.clear();
        self.otherwise = Value::NONE;
    }

    fn add(&mut self, value: Value, addresses: u128) {
        if matches!(value.source(), Source::Special | Source::None) {
            self.otherwise = self.otherwise.min(value);
            return;
        }
        let (place, source) = (value.place(), value.source());
        match self.places.iter_mut().find(|entry| entry.0 == place) {
            Some(entry) => *entry = (place, source.min(entry.1), entry.2 + addresses),
            None => self.places.push((place, source, addresses)),
        }
    }

    fn winner(&self, election: Election<'_>) -> Value {
        let best = match election {
            Election::Place(places) => {
                let place = |entry: &(PlaceId, Source, u128)| &places[entry.0.index()];
                let first = self.places.first().map(place);
                let bound = first.filter(|first| first.point.is_none());
                let stands = |entry: &&_| bound.is_none_or(|b| b.country == place(entry).country);
                // Of several that are the most, the last counts.
                self.places.iter().filter(stands).rev().max_by_key(|entry| entry.2)
            }
            Election::Number => self.places.iter().max_by_key(|entry| (entry.2, Reverse(entry.0))),
        };
        best.map_or(self.otherwise, |&(place, source, _)| Value::new(place, source))
    }
}
