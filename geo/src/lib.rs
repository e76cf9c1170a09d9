//! Where an address is, and what is near it.
//!
//! The geography behind geo-aware answers, as pure functions over bytes and numbers: files are
//! read by the caller. Databases and explicit networks are put into one frozen table; the table
//! gives an address its place and the scope in which that place holds; a lens gives the place its
//! locations, nearest first; a fence says which of them it may have.
//!
//! ```text
//!  file's bytes ─▶ mmdb::load ────┐
//!  compiled in ──▶ builtin::load ─┼─▶ TableBuilder ──freeze──▶ Table ──┬────▶ Lens ──┬──▶ Scopes
//!  networks ──────────────────────┤                              │     └────▶ Fence ─┤       │
//!  Lists of rules ────────────────┘                              │             │     │       │
//!                                     address ────────────────lookup          row  allowed scope
//!                                                                ▼             ▼     ▼       ▼
//!                                               Hit { place, scope, source } [2, 0, 1] 0b101  /12
//! ```
//!
//! | you have | you want | use |
//! |---|---|---|
//! | two points | how far apart they are | [`Point::distance`] |
//! | a country code | a point in it | [`Country::center`] |
//! | a cloud region's name | its point | [`regions::find`], for a typo [`regions::nearest_names`] |
//! | a city or country file | its places in a table | [`mmdb::load`] |
//! | no file | countries at least | [`builtin::load`] |
//! | networks of your own | them to win over all that | [`TableBuilder::network`] |
//! | a query's client subnet | place and provable scope | [`Table::lookup_subnet`] |
//! | only a packet's source | its place | [`Table::lookup_source`] |
//! | a place | your locations by distance, biased, banded, preferred | [`Lens::row`] |
//! | a place | which locations its clients may have | [`Fence::allowed`] |
//! | an address | how widely an answer through those may be cached | [`Scopes::scope`] |
//! | rules' `clients` | them as a table tells them apart | [`Selector`], [`Lists`], [`Who`] |
//! | a table | all that is routed, with its places | [`Table::routed`] |
//! | a list of networks | which of them an address is in | [`Networks::find`] |
//! | clients counted by prefix | a file of them | [`Population`] |
//!
//! **The scope is the point.** An answer that depends on where the client is may be cached for a
//! whole network (RFC 7871), so a lookup must say for which network it holds. A [`Table`] divides
//! the address space into disjoint leaves without gaps: nested prefixes are de-aggregated,
//! unknown space has leaves too, private and loopback blocks ([`Source::Special`]) have leaves of
//! their own, nothing is finer than the [`ScopeCap`], and every address of
//! `address/scope` gets the same [`Hit`].
//!
//! ```
//! use geo::{Lens, LensRule, Place, ScopeCap, TableBuilder, builtin, regions};
//!
//! let mut builder = TableBuilder::new(ScopeCap::default());
//! builtin::load(&mut builder);
//! let office = regions::find("asia-southeast1").ok_or("no such region")?;
//! builder.network("192.0.2.0/24".parse()?, Place::from(office.point))?;
//! let table = builder.freeze();
//!
//! let locations = ["us-central1", "europe-west3", "asia-southeast1"];
//! let points: Vec<_> = locations.iter().filter_map(|name| regions::find(name)).map(|r| r.point).collect();
//! let lens = Lens::build(&table, &points, &LensRule::default());
//!
//! let hit = table.lookup_subnet("192.0.2.77".parse()?);
//! assert_eq!(hit.scope, 24);
//! assert_eq!(locations[usize::from(lens.row(hit.place).order[0])], "asia-southeast1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bits;
mod borders;
pub mod builtin;
mod column;
mod continent;
mod country;
mod distances;
mod fence;
mod layer;
mod lens;
mod lists;
mod marks;
pub mod mmdb;
mod networks;
mod partition;
mod place;
mod point;
mod population;
pub mod regions;
mod runs;
mod scopes;
mod selector;
mod special;
mod table;
mod who;
mod within;

pub use continent::{Continent, ContinentError};
pub use country::{Country, CountryError};
pub use distances::Distances;
pub use fence::{Fence, FenceRule};
pub use layer::Layer;
pub use lens::{Bias, BiasError, Lens, LensRule, MAX_LOCATIONS, Mask, Row};
pub use lists::{ListId, ListSet, Lists, ListsError, MAX_LISTED, MAX_LISTS};
pub use networks::{Networks, canonical};
pub use place::{Place, PlaceId, Source};
pub use point::{Kilometres, Point, PointError};
pub use population::{
    MAX_COUNT, MAX_PREFIXES, Population, PopulationError, PopulationFault, TooMany,
};
pub use scopes::Scopes;
pub use selector::{Selector, SelectorError};
pub use table::{Hit, Routed, ScopeCap, Slot, Table, TableBuilder, TableError};
pub use who::{MAX_RULES, Who};
pub use within::{Within, WithinError};
