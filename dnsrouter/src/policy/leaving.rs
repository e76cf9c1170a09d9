//! Whether a record counts for a client: what is measured, what people said against that, and whether
//! a drain has reached the client.
//!
//! A drain on its way splits clients by a hash of the scope that goes with their answers, not of their
//! addresses: every address inside a scope gets the same answer. The share that has gone is a range of
//! hashes that only grows, so nobody comes back, and the hash is another for each service, so that not
//! the same clients go first everywhere.
//!
//! Where what is left without the drained is too little, they are taken in again before anything that
//! is down is: they work, and it was only preferred that they rest.

use super::hash::prefix_hash;
use super::{Client, Policy, Record};
use crate::client::truncate;
use crate::service::Form;
use crate::verdicts::{Health, Stance, Standing};

/// Keeps the hash apart from all draws.
const SALT: u64 = 0x6c65_6176_696e_6721;

/// What a walk looks at, of all that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Regard {
    /// What is measured: people decided nothing.
    Measured,
    /// Everything; the client's hash decides whether it has gone.
    All {
        /// Of the client's scope.
        hash: u16,
    },
    /// Everything but drains: they would leave too little.
    NoDrains,
}

impl Policy {
    /// What decides when a drain reaches the client.
    pub(super) fn hash(&self, form: Form, client: &Client<'_>) -> u16 {
        // Nobody else is promised what a resolver is answered for itself.
        let length = if client.is_subnet { self.scope(form, client) } else { client.cap };
        let hash = prefix_hash(self.key ^ SALT, truncate(client.address, length));
        (hash >> 48) as u16
    }

    /// What people say of an endpoint.
    pub fn stance(&self, endpoint: u8, health: &Health) -> Stance {
        health.stances().of(self.id, endpoint, self.location(endpoint))
    }

    /// Whether a record of an endpoint may be answered with.
    #[inline]
    pub(super) fn is_usable(
        &self,
        endpoint: u8,
        record: &Record,
        health: &Health,
        regard: Regard,
    ) -> bool {
        let drained = || matches!(self.stance(endpoint, health), Stance::Draining { .. });
        match regard {
            Regard::Measured => record.target.is_none_or(|target| health.state(target).is_usable()),
            Regard::NoDrains if drained() => {
                record.target.is_none_or(|target| health.state(target).is_usable())
            }
            Regard::NoDrains => self.standing(endpoint, record, health).state.is_usable(),
            Regard::All { hash } => self.standing(endpoint, record, health).is_usable_for(hash),
        }
    }

    fn standing(&self, endpoint: u8, record: &Record, health: &Health) -> Standing {
        health.endpoint_state(self.id, endpoint, self.location(endpoint), record.target)
    }

    /// Whether an endpoint has a record of a form that may be answered with.
    #[inline]
    pub(super) fn has_usable(
        &self,
        endpoint: u8,
        form: Form,
        health: &Health,
        regard: Regard,
    ) -> bool {
        let records = self.endpoint_records(form, endpoint);
        records.iter().any(|record| self.is_usable(endpoint, record, health, regard))
    }
}
