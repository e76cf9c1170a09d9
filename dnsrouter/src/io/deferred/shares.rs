//! How many places of a lane each network holds.
//!
//! Networks are counted in a table of fixed size, without a lock: two of them share a counter if a
//! keyed hash says so, which nobody can choose. Then they share one share, until they are through.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use siphasher::sip::SipHasher13;

/// Counters: so many that of the networks which fill a lane few share one.
const COUNTERS: usize = 1024;
/// A network, in bits: below these, addresses are easily had, or made up.
const PREFIX_V4: u32 = 24;
/// As [`PREFIX_V4`]; what a small site is given (RFC 6177 §2).
const PREFIX_V6: u32 = 56;

pub(super) struct Shares {
    /// Random and secret.
    key: [u64; 2],
    most: usize,
    held: Box<[AtomicUsize]>,
}

/// One place of a network's share; given back when dropped.
pub(super) struct Place {
    shares: Arc<Shares>,
    counter: usize,
}

impl Shares {
    /// Nobody holds a place; each network may hold `most`.
    pub(super) fn new(most: usize) -> Arc<Self> {
        // Without the system's randomness, who shares with whom could be chosen; no more.
        let random = || getrandom::u64().unwrap_or(0);
        let held = std::iter::repeat_with(AtomicUsize::default).take(COUNTERS).collect();
        Arc::new(Self { key: [random(), random()], most, held })
    }

    /// A place for this client; none if its network holds its share.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let network = match peer.to_canonical() {
            IpAddr::V4(v4) => u128::from(v4.to_bits() >> (32 - PREFIX_V4)),
            IpAddr::V6(v6) => v6.to_bits() >> (128 - PREFIX_V6) | 1 << 127,
        };
        let hash =
            SipHasher13::new_with_keys(self.key[0], self.key[1]).hash(&network.to_be_bytes());
        let counter = hash as usize % COUNTERS;
        let one_more = |held: usize| (held < self.most).then_some(held + 1);
        self.held[counter].fetch_update(Relaxed, Relaxed, one_more).ok()?;
        Some(Place { shares: Arc::clone(self), counter })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shares.held[self.counter].fetch_sub(1, Relaxed);
    }
}
