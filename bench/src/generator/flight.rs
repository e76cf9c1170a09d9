//! What is under way: which query has which id, and since when.

use std::time::Duration;

/// Ids there are (RFC 1035 §4.1.1).
const IDS: usize = 1 << 16;
/// What is unanswered for so long is lost, as it is for most resolvers, and its id is used again. Were
/// one used before, a late reply to the older query would pass for a wrong one to the newer.
const OVERDUE: Duration = Duration::from_secs(5);
/// How many ids are looked at for a free one.
const SEARCH: usize = 64;

/// The queries under way. Ids are given out in turn, but for those that are still waited for.
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
    /// The id that a query is sent with. None when all are taken that are next: the server is far
    /// behind, and the query is lost unsent.
    pub fn depart(&mut self, query: u32, at: Duration) -> Option<u16> {
        for _ in 0..SEARCH {
            let id = self.next;
            self.next = id.wrapping_add(1);
            let place = &mut self.by_id[usize::from(id)];
            match place {
                None => self.under_way += 1,
                Some(older) if at.saturating_sub(older.at) > OVERDUE => self.lost += 1,
                Some(_) => continue,
            }
            *place = Some(Departed { query, at });
            return Some(id);
        }
        self.lost += 1;
        None
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
        let ids = [10, 11].map(|query| flight.depart(query, at).unwrap());
        assert_eq!(flight.arrive(ids[1]), Some(Departed { query: 11, at }));
        assert_eq!(flight.arrive(ids[1]), None, "a second reply");
        assert_eq!(flight.arrive(ids[0]), Some(Departed { query: 10, at }));
        assert_eq!((flight.under_way(), flight.take_lost()), (0, 0));
    }

    /// As many as there are ids, all answered but for these.
    fn full_round(flight: &mut Flight, unanswered: &[u16]) {
        for query in 0..IDS as u32 {
            let id = flight.depart(query, Duration::ZERO).unwrap();
            assert_eq!(u32::from(id), query, "in turn");
            if !unanswered.contains(&id) {
                assert!(flight.arrive(id).is_some());
            }
        }
    }

    #[test]
    fn an_id_that_is_waited_for_is_passed_over_until_it_is_overdue() {
        let mut flight = Flight::default();
        full_round(&mut flight, &[0]);
        assert_eq!(flight.depart(7, OVERDUE), Some(1), "a late reply to 0 may still come");
        assert_eq!((flight.under_way(), flight.take_lost()), (2, 0));
        flight.next = 0;
        assert_eq!(flight.depart(8, OVERDUE + Duration::from_nanos(1)), Some(0));
        assert_eq!((flight.under_way(), flight.take_lost()), (2, 1));
        assert_eq!(flight.arrive(0).map(|departed| departed.query), Some(8));
    }

    #[test]
    fn without_a_free_id_a_query_is_lost() {
        let mut flight = Flight::default();
        full_round(&mut flight, &(0..SEARCH as u16).collect::<Vec<_>>());
        assert_eq!(flight.depart(7, Duration::ZERO), None);
        assert_eq!((flight.under_way(), flight.take_lost()), (SEARCH, 1));
        assert_eq!(flight.depart(7, Duration::ZERO), Some(SEARCH as u16), "the next is free");
    }

    #[test]
    fn what_is_given_up_is_lost_once() {
        let mut flight = Flight::default();
        let id = flight.depart(1, Duration::ZERO).unwrap();
        flight.give_up();
        assert_eq!((flight.under_way(), flight.take_lost(), flight.take_lost()), (0, 1, 0));
        assert_eq!(flight.arrive(id), None, "it comes after all");
    }
}
