//! From a thread that answers to the task that counts: a ring of one writer and one reader.
//!
//! ```text
//!            taken                  written
//!              ▼                       ▼
//!   ┌──┬──┬──┬──┬──┬──┬──┬──┬──┬──┬──┬──┬──┬──┐     the reader moves `taken`,
//!   │  │  │  │▒▒│▒▒│▒▒│▒▒│▒▒│▒▒│▒▒│▒▒│  │  │  │     the writer `written`, around and around
//!   └──┴──┴──┴──┴──┴──┴──┴──┴──┴──┴──┴──┴──┴──┘
//! ```
//!
//! The writer stores a prefix, then the new end; neither is an atomic read-modify-write, and it looks
//! at the reader's position only when the ring seems full (Lamport 1983, "Specifying Concurrent Program
//! Modules"). When it is full, what comes is lost and counted: a node that is flooded counts fewer of
//! everybody, and no thread waits. So the reader's work is bounded too.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::Prefix;

/// Records that a ring holds: a tenth of a second, after which it is read, of more answers than a core
/// can send over sockets. 512 KiB, which a thread walks through in order.
pub const CAPACITY: usize = 1 << 16;

/// What both ends see.
#[derive(Debug)]
struct Ring {
    records: Box<[AtomicU64]>,
    written: Apart,
    taken: Apart,
    lost: Apart,
}

/// In cache lines of its own, so that the ends do not take them from each other.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart(AtomicU64);

/// A new ring; its memory is taken here, once.
pub fn ring() -> (Recorder, Reader) {
    let records = std::iter::repeat_with(AtomicU64::default).take(CAPACITY).collect();
    let (written, taken, lost) = Default::default();
    let ring = Arc::new(Ring { records, written, taken, lost });
    let reader = Reader { ring: Arc::clone(&ring), taken: 0, lost: 0 };
    (Recorder { ring, next: 0, free: CAPACITY as u64 }, reader)
}

/// The end that writes; one thread's.
#[derive(Debug)]
pub struct Recorder {
    ring: Arc<Ring>,
    /// Records written.
    next: u64,
    /// Up to here there is room, as far as is known.
    free: u64,
}

impl Recorder {
    /// Counts one answer to the client at an address. It waits for nobody and allocates nothing.
    #[inline]
    pub fn record(&mut self, client: IpAddr) {
        let ring = &*self.ring;
        if self.next == self.free {
            self.free = ring.taken.0.load(Acquire) + CAPACITY as u64;
            if self.next == self.free {
                // Only this end writes it.
                ring.lost.0.store(ring.lost.0.load(Relaxed) + 1, Relaxed);
                return;
            }
        }
        let at = self.next as usize % CAPACITY;
        if let Some(record) = ring.records.get(at) {
            record.store(Prefix::of(client).0, Relaxed);
        }
        self.next += 1;
        ring.written.0.store(self.next, Release);
    }
}

/// The end that reads.
#[derive(Debug)]
pub struct Reader {
    ring: Arc<Ring>,
    taken: u64,
    lost: u64,
}

impl Reader {
    /// Moves what was recorded to the end of `into`, whose length becomes at most `most`.
    pub fn take(&mut self, into: &mut Vec<Prefix>, most: usize) {
        let room = most.saturating_sub(into.len()) as u64;
        let end = self.ring.written.0.load(Acquire).min(self.taken.saturating_add(room));
        let records = self.taken..end;
        into.extend(
            records
                .map(|number| Prefix(self.ring.records[number as usize % CAPACITY].load(Relaxed))),
        );
        self.taken = end;
        self.ring.taken.0.store(end, Release);
    }

    /// How many were lost since this was asked last.
    pub fn lost(&mut self) -> u64 {
        let before = std::mem::replace(&mut self.lost, self.ring.lost.0.load(Relaxed));
        self.lost - before
    }

    /// Whether nothing more will come: the other end is gone, and everything was taken.
    pub fn is_done(&mut self) -> bool {
        // Who finds the other end gone sees all that it has written.
        Arc::get_mut(&mut self.ring).is_some_and(|ring| *ring.written.0.get_mut() == self.taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> IpAddr {
        IpAddr::V4((n << 8).into())
    }

    fn prefixes(range: std::ops::Range<u32>) -> Vec<Prefix> {
        range.map(|n| Prefix::of(address(n))).collect()
    }

    #[test]
    fn what_is_recorded_is_taken_in_order_around_the_end() {
        let (mut recorder, mut reader) = ring();
        let mut taken = Vec::new();
        let third = CAPACITY as u32 / 3;
        for round in 0..10 {
            for n in round * third..(round + 1) * third {
                recorder.record(address(n));
            }
            taken.clear();
            reader.take(&mut taken, usize::MAX);
            assert!(taken == prefixes(round * third..(round + 1) * third), "round {round}");
        }
        assert_eq!(reader.lost(), 0);
    }

    #[test]
    fn a_full_ring_loses_what_comes_and_says_so() {
        let (mut recorder, mut reader) = ring();
        let all = CAPACITY as u32;
        (0..all + 7).for_each(|n| recorder.record(address(n)));
        assert_eq!((reader.lost(), reader.lost()), (7, 0));
        let mut taken = vec![Prefix(0); 3];
        reader.take(&mut taken, 13);
        assert!(taken[3..] == prefixes(0..10), "as many as there is room for");
        recorder.record(address(1));
        assert_eq!(reader.lost(), 0, "there is room again");
        reader.take(&mut taken, usize::MAX);
        assert_eq!(taken.len(), 3 + CAPACITY + 1);
        assert!(!reader.is_done());
        recorder.record(address(2));
        drop(recorder);
        assert!(!reader.is_done(), "the last record is still to be taken");
        reader.take(&mut taken, usize::MAX);
        assert!(reader.is_done());
    }

    #[test]
    fn two_threads_lose_nothing_but_what_is_counted() {
        const RECORDS: u32 = 1_000_000;
        let (mut recorder, mut reader) = ring();
        let writing =
            std::thread::spawn(move || (0..RECORDS).for_each(|n| recorder.record(address(n))));
        let (mut taken, mut lost) = (Vec::new(), 0);
        while !reader.is_done() {
            reader.take(&mut taken, usize::MAX);
            lost += reader.lost();
        }
        lost += reader.lost();
        writing.join().unwrap();
        assert_eq!(taken.len() as u64 + lost, u64::from(RECORDS));
        assert!(taken.is_sorted_by(|a, b| a < b), "in order, and none twice");
    }
}
