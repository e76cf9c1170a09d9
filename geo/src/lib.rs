//! Where an address is, and what is near.
pub mod builtin;
mod column;
mod country;
mod layer;
pub mod mmdb;
mod partition;
mod place;
mod point;
mod ranking;
pub mod regions;
mod runs;
mod table;

pub use country::{Country, CountryError};
pub use layer::Layer;
pub use place::{Place, PlaceId, Source};
pub use point::{Kilometres, Point, PointError};
pub use ranking::Ranking;
pub use table::{Hit, ScopeCap, Table, TableBuilder, TableError};
