//! What it takes to make an answer, on loan for the making alone.

use std::sync::{Mutex, PoisonError};

use crate::answer::Worker;

/// Counters, randomness, and room for the longest message with its length.
pub(super) struct Desk {
    pub(super) worker: Worker,
    pub(super) answer: Vec<u8>,
}

/// Desks nobody sits at. One is held without an `await`, so there are no more than threads, and
/// counters grow with threads too.
pub(super) struct Desks<F> {
    free: Mutex<Vec<Desk>>,
    new_worker: F,
}

impl<F: Fn() -> Worker> Desks<F> {
    pub(super) fn new(new_worker: F) -> Self {
        Self { free: Mutex::default(), new_worker }
    }

    pub(super) fn lend<T>(&self, work: impl FnOnce(&mut Desk) -> T) -> T {
        let free = || self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = free().pop();
        let mut desk = taken.unwrap_or_else(|| Desk {
            worker: (self.new_worker)(),
            answer: vec![0; 2 + usize::from(u16::MAX)],
        });
        let result = work(&mut desk);
        free().push(desk);
        result
    }
}
