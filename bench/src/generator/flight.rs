//! What is under way: which query has which id, and since when.

use std::time::Duration;

/// Ids there are (RFC 1035 §4.1.1).
const IDS: usize = 1 << 16;

/// The queries under way. Ids are given out in turn, so one that is still unanswered when its turn
/// comes again, 65,536 queries later, is lost.
#[derive(Debug)]
pub struct Flight {
    by_id: Box<[Option<Departed>]>,
    next: u16,
    under_way: usize,
    lost: u64,
}

/// A query that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departed {
    /// Which of the workload's.
    pub query: u32,
    /// When it was to be sent.
    pub at: Duration,
}

impl Default for Flight {
    fn default() -> Self {
        Self { by_id: vec![None; IDS].into(), next: 0, under_way: 0, lost: 0 }
    }
}

impl Flight {
    /// The id that a query is sent with.
    pub fn depart(&mut self, query: u32, at: Duration) -> u16 {
        let id = self.next;
        self.next = id.wrapping_add(1);
        match self.by_id[usize::from(id)].replace(Departed { query, at }) {
            Some(_) => self.lost += 1,
            None => self.under_way += 1,
        }
        id
    }

    /// The query that a reply with this id is to; none when nobody waits for it.
    pub fn arrive(&mut self, id: u16) -> Option<Departed> {
        let departed = self.by_id[usize::from(id)].take()?;
        self.under_way -= 1;
        Some(departed)
    }

    /// Waits for none of them any more.
    pub fn give_up(&mut self) {
        self.by_id.fill(None);
        self.lost += std::mem::take(&mut self.under_way) as u64;
    }

    /// How many are waited for.
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// How many were lost since this was asked last.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_finds_its_query_once() {
        let mut flight = Flight::default();
        let at = Duration::from_micros(7);
        let ids = [10, 11].map(|query| flight.depart(query, at));
        assert_eq!(flight.arrive(ids[1]), Some(Departed { query: 11, at }));
        assert_eq!(flight.arrive(ids[1]), None, "a second reply");
        assert_eq!(flight.arrive(ids[0]), Some(Departed { query: 10, at }));
        assert_eq!((flight.under_way(), flight.take_lost()), (0, 0));
    }

    #[test]
    fn what_is_unanswered_when_ids_come_round_is_lost() {
        let mut flight = Flight::default();
        let first = flight.depart(0, Duration::ZERO);
        for query in 1..IDS as u32 {
            let id = flight.depart(query, Duration::ZERO);
            assert!(flight.arrive(id).is_some());
        }
        assert_eq!((flight.under_way(), flight.take_lost()), (1, 0), "not yet");
        assert_eq!(flight.depart(7, Duration::ZERO), first);
        assert_eq!((flight.under_way(), flight.take_lost()), (1, 1));
        assert_eq!(flight.arrive(first).map(|departed| departed.query), Some(7));
    }

    #[test]
    fn what_is_given_up_is_lost_once() {
        let mut flight = Flight::default();
        let id = flight.depart(1, Duration::ZERO);
        flight.give_up();
        assert_eq!((flight.under_way(), flight.take_lost(), flight.take_lost()), (0, 1, 0));
        assert_eq!(flight.arrive(id), None, "it comes after all");
    }
}
