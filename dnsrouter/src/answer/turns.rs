//! Whose turn it is, counted by each thread for itself.

use crate::policy::mix;
use crate::service::Form;

/// Counts of one thread: 8 KiB, which two services rarely share one of; those that do still have
/// turns, in longer steps.
const COUNTS: usize = 1024;

/// How often each form of each service was asked for.
#[derive(Debug)]
pub(super) struct Turns(Box<[u64; COUNTS]>);

impl Default for Turns {
    fn default() -> Self {
        Self(Box::new([0; COUNTS]))
    }
}

impl Turns {
    /// The next turn. Forms are counted apart, or else a client that asks for A and AAAA by turns
    /// would see every other endpoint alone.
    pub(super) fn next(&mut self, service: u64, form: Form) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "less than COUNTS")]
        let at = (mix(mix(service) ^ form as u64) % COUNTS as u64) as usize;
        let turn = self.0[at];
        self.0[at] = turn.wrapping_add(1);
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_each_service_has_turns_of_its_own() {
        let mut turns = Turns::default();
        let asked = [(7, Form::A), (7, Form::Aaaa), (7, Form::A), (8, Form::A), (7, Form::A)];
        let seen = asked.map(|(service, form)| turns.next(service, form));
        assert_eq!(seen, [0, 0, 1, 0, 2]);
    }
}
