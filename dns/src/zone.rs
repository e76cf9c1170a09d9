//! Zones: built from records, checked, frozen, looked up.
//!
//! ```text
//!  records ──ZoneData::new──▶ ZoneData ─┐
//!  (master files, tests)      (checked) ├─Zones::freeze──▶ Zones ──resolve──▶ Resolution
//!  services ──ServiceNode───────────────┘                 (frozen)
//! ```
//!
//! | type | holds | when |
//! |---|---|---|
//! | [`Record`] | one record and where it was written | between parser and checks |
//! | [`ZoneData`] | the checked records of one zone, sorted | until frozen; also for comparing |
//! | [`Lint`] | something allowed and doubtful in a zone | telling its author |
//! | [`Edit`] | a change of a zone that leaves it valid | dynamic updates |
//! | [`ServiceNode`] | a name whose addresses are chosen per client | input of freezing |
//! | [`Zones`] | all zones in a few flat arrays under one hash table; zones that change apart | answering |
//!
//! In [`Zones`] every name that exists, also the empty ones between others, is one node in one
//! table for all zones, so an exact hit takes one hash and says at once what stands there: data,
//! a delegation, something below one. A miss finds its closest encloser by halving the depth.
//! A zone that updates change has a table of its own, wherever it stands in the tree, so that it is
//! frozen anew alone; to look a name of it up takes a second hash or two.
//!
//! A million names with an address each, a tenth of them with a text too, take 135 to 145 MB frozen,
//! about 142 octets a name, whether they are one zone, ten thousand or twenty thousand. On one core
//! of a small server they are read in 0.8 s and frozen in 0.25 to 0.4 s; meanwhile the process needs
//! 350 octets a name beside what it serves. `make bench` measures it (`bench/benches/zones.rs`).

mod check;
mod data;
mod edit;
mod emit;
mod error;
mod freeze;
mod identity;
mod lint;
mod part;
mod table;
mod zones;

pub use data::{MAX_NOTICES, Position, Record, ZoneData};
pub use edit::{Edit, Edited};
pub use error::{MAX_ERRORS, ZoneError, ZoneFault};
pub use freeze::{ServiceId, ServiceNode};
pub(crate) use identity::same_data;
pub use lint::{Doubt, Lint, MAX_LINTS, lint};
pub use table::ZoneId;
pub(crate) use table::{Kind, Node, NodeId, Slot, Table};
pub use zones::{Found, Standing, Zone, Zones};
