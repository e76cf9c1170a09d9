//! The plan: everything an answer is made from, frozen, and swapped in whole.
//!
//! ```text
//!   zones ────┐
//!   services ─┼── Inputs (one generation) ──┐
//!   geo ──────┘                             ├──▶ Snapshot ──Arc swap──▶ every thread that answers
//!   verdicts ──── Health (for one generation)┘
//! ```
//!
//! Each part is an `Arc` of its own, so a change of health clones five pointers and compiles
//! nothing. Two fences keep old news from overwriting new:
//!
//! * inputs whose generation is not above the applied one are refused;
//! * verdicts are positions in one generation's list of targets, so verdicts made for any other
//!   generation are refused.
//!
//! The threads that answer hold a snapshot for a moment; whoever drops the last `Arc` of a big one
//! pays for freeing it. So the publisher keeps each snapshot it replaces and frees it only once
//! nobody else holds it ([`Published::collect`]): never on a thread that answers. What of it takes
//! a while is handed out, to be freed at a low priority.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use dns::name::Name;
use dns::zone::{ServiceId, Zones};
use geo::{Distances, Point, ScopeCap, Table};

use crate::guard::Guard;
use crate::history::Written;
use crate::pages::Pages;
use crate::policy::{Built, Policy};
use crate::target::Targets;
use crate::updates::Updates;
use crate::verdicts::{Health, TargetId};

/// Counts the inputs that one node has applied; later is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Generation(pub u64);

/// The inputs of a plan that people write.
#[derive(Clone)]
pub struct Inputs {
    /// Later inputs carry a greater one.
    pub generation: Generation,
    /// Static names, and where services stand among them.
    pub zones: Arc<Zones>,
    /// Routes and endpoints, compiled.
    pub services: Arc<Services>,
    /// Where addresses are, and what is near.
    pub geo: Arc<Geo>,
    /// Who may change which zone.
    pub updates: Arc<Updates>,
    /// What services were compiled from, for the history.
    pub written: Arc<Written>,
    /// Of zones, services and places: equal inputs give equal fingerprints on every node.
    pub fingerprint: u64,
    /// Who may ask, how much, and who answers: each node's own.
    pub guard: Arc<Guard>,
}

/// Every service of a plan.
#[derive(Debug, Default, Clone)]
pub struct Services {
    /// By service id.
    pub services: Pages<(Name, Arc<Policy>)>,
    /// Second names of services.
    pub aliases: Arc<[(Name, ServiceId)]>,
    /// What routes rank; candidates carry indices into this.
    pub locations: Arc<[Location]>,
    /// What is checked, and pairs of it that speak for an address together.
    pub targets: Targets,
    /// By service id: what each was compiled from ([`Service::fingerprint`](crate::service::Service)).
    pub written: Pages<u128>,
}

impl Services {
    /// The targets whose checks make up a verdict: itself, or a pair's two.
    pub fn behind(&self, verdict: TargetId) -> impl Iterator<Item = TargetId> + use<> {
        let pair = self.targets.pair(verdict);
        let (first, second) = pair.map_or((verdict, None), |(a, b)| (a, Some(b)));
        std::iter::once(first).chain(second)
    }
}

/// Where two plans' services differ, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Numbers of services that are another, or are in one of the plans alone.
    pub services: Vec<ServiceId>,
    /// Numbers that stand for another target or pair, or for one in one of the plans alone.
    pub targets: Vec<TargetId>,
}

impl Difference {
    /// Costs what is another, and two rows of pointers, however many services there are.
    pub fn between(before: &Services, after: &Services) -> Self {
        let (old, new) = (&before.services, &after.services);
        let is_other = |at: &usize| match (old.get(*at), new.get(*at)) {
            (Some((_, a)), Some((_, b))) => !Arc::ptr_eq(a, b),
            _ => true,
        };
        let services = new.apart(old).filter(is_other);
        let id = |at| ServiceId(u32::try_from(at).unwrap_or(u32::MAX));
        Self {
            services: services.map(id).collect(),
            targets: after.targets.changed_since(&before.targets).collect(),
        }
    }
}

/// A region in use.
#[derive(Debug, Clone, PartialEq)]
pub struct Location {
    /// Its name.
    pub region: String,
    /// Where it is.
    pub point: Point,
}

/// Addresses → places → locations by distance.
#[derive(Debug)]
pub struct Geo {
    /// The prefix table.
    pub table: Arc<Table>,
    /// How routes look at its places, for the locations of the same inputs.
    pub views: Built,
    /// From a point to each location.
    pub distances: Distances,
    /// The finest scopes.
    pub cap: ScopeCap,
    /// What the table was made from, for people.
    pub description: String,
}

/// What every answer is made from.
pub struct Snapshot {
    /// What people wrote.
    pub inputs: Inputs,
    /// What was measured.
    pub health: Arc<Health>,
}

/// Why a plan was not applied; the one before serves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A delayed old plan must not overwrite a newer one.
    #[error(
        "generation {offered:?} is not newer than {applied:?}, which is applied; nothing changed"
    )]
    Dominated {
        /// Of the refused inputs.
        offered: Generation,
        /// Of the inputs being served.
        applied: Generation,
    },
    /// Verdicts are positions in another list of targets.
    #[error(
        "verdicts for generation {offered:?} do not fit {applied:?}, which is applied; nothing changed"
    )]
    OtherTargets {
        /// The generation the verdicts were made for.
        offered: Generation,
        /// Of the inputs being served.
        applied: Generation,
    },
}

/// The one place where the present snapshot is read and replaced.
pub struct Published {
    current: ArcSwap<Snapshot>,
    /// Replaced and perhaps still held by a thread that answers; see the module docs.
    retired: Mutex<Vec<Arc<Snapshot>>>,
}

impl Published {
    /// Begins with a first plan.
    pub fn new(inputs: Inputs, health: Health) -> Self {
        let first = Snapshot { inputs, health: Arc::new(health) };
        Self { current: ArcSwap::from_pointee(first), retired: Mutex::default() }
    }

    /// The present snapshot, without a lock; hold it for one batch, not longer.
    pub fn load(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// Replaces the inputs and the verdicts that belong to them.
    ///
    /// # Errors
    ///
    /// [`Refused::Dominated`]; nothing changed.
    pub fn apply(&self, inputs: Inputs, health: Health) -> Result<(), Refused> {
        let mut retired = self.retired();
        let (offered, applied) = (inputs.generation, self.load().inputs.generation);
        if offered <= applied {
            return Err(Refused::Dominated { offered, applied });
        }
        self.replace(&mut retired, Snapshot { inputs, health: Arc::new(health) });
        Ok(())
    }

    /// Replaces the verdicts, which were made for the targets of generation `offered`.
    ///
    /// # Errors
    ///
    /// [`Refused::OtherTargets`]; nothing changed.
    pub fn apply_health(&self, offered: Generation, health: Health) -> Result<(), Refused> {
        let mut retired = self.retired();
        let inputs = self.load().inputs.clone();
        if offered != inputs.generation {
            return Err(Refused::OtherTargets { offered, applied: inputs.generation });
        }
        self.replace(&mut retired, Snapshot { inputs, health: Arc::new(health) });
        Ok(())
    }

    /// Hands replaced snapshots that nobody holds any more to `free`, if there are any whose inputs
    /// were replaced too: those take a while. Returns how many are still held.
    pub fn collect(&self, free: impl FnOnce(Vec<Arc<Snapshot>>)) -> usize {
        let mut retired = self.retired();
        self.prune(&mut retired);
        let (held, old): (Vec<_>, _) =
            retired.drain(..).partition(|snapshot| Arc::strong_count(snapshot) > 1);
        let count = held.len();
        *retired = held;
        drop(retired);
        if !old.is_empty() {
            free(old);
        }
        count
    }

    fn replace(&self, retired: &mut Vec<Arc<Snapshot>>, next: Snapshot) {
        retired.push(self.current.swap(Arc::new(next)));
        self.prune(retired);
    }

    /// Frees those nobody holds whose inputs are the present ones: nothing but verdicts goes.
    fn prune(&self, retired: &mut Vec<Arc<Snapshot>>) {
        let present = self.load().inputs.generation;
        let is_old = |snapshot: &Snapshot| snapshot.inputs.generation != present;
        retired.retain(|snapshot| Arc::strong_count(snapshot) > 1 || is_old(snapshot));
    }

    fn retired(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Snapshot>>> {
        // A panic while it was held leaves a list of Arcs, which is never half made.
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
