//! Updates that were carried out a moment ago: the same octets once more change nothing.
//!
//! Over UDP a client that hears nothing sends its message again, signature and all; and whoever
//! saw the message pass can send it as well, as long as its time is near. Both get the result of
//! the first time. What was forgotten by then has a signature that is out of date; and what the
//! process before this one knew was signed before this one began, which is out of date too.

use std::collections::{HashMap, VecDeque};

use dns::rr::Rcode;

use crate::signed::MAX_FUDGE;

/// A signature counts from so long before its time to so long after it, in seconds.
const KEPT: u64 = 2 * MAX_FUDGE;
/// Updates remembered: seven in each second of that time. With more, the oldest go first.
const MAX: usize = 4096;

/// Results by the code of the message.
#[derive(Debug, Default)]
pub(super) struct Replays {
    results: HashMap<Box<[u8]>, Rcode>,
    /// In the order of their coming, each with its time.
    order: VecDeque<(u64, Box<[u8]>)>,
}

impl Replays {
    /// What came of the message with this code.
    pub(super) fn result(&self, mac: &[u8]) -> Option<Rcode> {
        self.results.get(mac).copied()
    }

    /// Remembers what came of a message at `now`, in seconds. A failure of ours is not: there the
    /// client's second try is welcome.
    pub(super) fn remember(&mut self, mac: &[u8], result: Rcode, now: u64) {
        while let Some((time, _)) = self.order.front()
            && (time.saturating_add(KEPT) < now || self.order.len() >= MAX)
        {
            if let Some((_, mac)) = self.order.pop_front() {
                self.results.remove(&mac);
            }
        }
        if result == Rcode::SERVFAIL || self.results.contains_key(mac) {
            return;
        }
        self.results.insert(mac.into(), result);
        self.order.push_back((now, mac.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_once() {
        let mut replays = Replays::default();
        replays.remember(b"one", Rcode::NOERROR, 1000);
        replays.remember(b"one", Rcode::REFUSED, 1001);
        replays.remember(b"two", Rcode::SERVFAIL, 1001);
        assert_eq!(replays.result(b"one"), Some(Rcode::NOERROR));
        assert_eq!(replays.result(b"two"), None, "to be tried again");
        replays.remember(b"three", Rcode::NXRRSET, 1000 + KEPT);
        assert_eq!(replays.result(b"one"), Some(Rcode::NOERROR), "its signature still counts");
        replays.remember(b"four", Rcode::NOERROR, 1001 + KEPT);
        assert_eq!(
            (replays.result(b"one"), replays.result(b"three")),
            (None, Some(Rcode::NXRRSET))
        );
    }

    #[test]
    fn memory_is_bounded() {
        let mut replays = Replays::default();
        for i in 0..2 * MAX as u32 {
            replays.remember(&i.to_be_bytes(), Rcode::NOERROR, 7);
        }
        assert_eq!((replays.results.len(), replays.order.len()), (MAX, MAX));
        assert_eq!(replays.result(&0_u32.to_be_bytes()), None);
    }
}
