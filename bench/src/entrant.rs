//! Who takes part in a scene: a server with its data, and what it is asked meanwhile.

use std::fmt;

use tests::artifact;
use tests::scratch::Scratch;

use crate::contender::{Product, Site};
use crate::generator::Workload;
use crate::geography::World;
use crate::names::{Hosts, deep, nowhere};

/// Resolvers with an address each, where nothing else is said.
pub const CLIENTS: u32 = 4096;

/// A row of a scene's table: a server, and what is special about this case of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    /// The server.
    pub product: Product,
    /// Empty where there is one case of it.
    pub case: &'static str,
}

impl Who {
    /// The only case of this server in a scene.
    pub const fn only(product: Product) -> Self {
        Self { product, case: "" }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.case {
            "" => f.pad(&self.product.to_string()),
            case => f.pad(&format!("{}: {case}", self.product)),
        }
    }
}

/// What a server serves. Entrants of the same server with equal data share its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data {
    /// Static names.
    pub hosts: Hosts,
    /// Names that are answered by where clients are.
    pub services: usize,
    /// How that is known.
    pub places: Places,
}

/// Where networks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// Nobody asks.
    None,
    /// The networks of the country database that is compiled in, as a file.
    Countries,
    /// A file of so many networks. (A configuration has a limit of 16 MiB, which is far from
    /// holding millions of them.)
    Networks(usize),
    /// Files that were fetched.
    Fetched(&'static [&'static str]),
}

impl Data {
    /// Static names alone.
    pub const fn hosts(hosts: Hosts) -> Self {
        Self { hosts, services: 0, places: Places::None }
    }

    /// Writes it.
    pub fn site(self, scratch: &Scratch, folder: &str) -> Site {
        let zone = self.hosts.zone();
        let world = match self.places {
            Places::Countries => World::new(),
            Places::Networks(count) => World::spread(count),
            Places::None => return Site::new(&zone, scratch, folder),
            Places::Fetched(files) => {
                let files = files.iter().map(|file| artifact::database(file)).collect();
                return Site::new(&zone, scratch, folder).with_databases(files);
            }
        };
        Site::new(&zone, scratch, folder).with_world(world, self.services)
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Questions {
    /// So many about static names: addresses, no data, no such name.
    Mix(usize),
    /// So many for addresses that are there.
    Hits(usize),
    /// So many names that are not there.
    Nowhere(usize),
    /// The same, of as many labels as there is room for.
    Deep(usize),
    /// The services, for clients in so many /24s.
    Subnets(usize),
}

impl Questions {
    /// Built, with what must be answered.
    ///
    /// # Panics
    ///
    /// When clients' places matter and the site has no world.
    pub fn workload(self, data: Data, site: &Site) -> Workload {
        match self {
            Questions::Mix(count) => data.hosts.mix(count),
            Questions::Hits(count) => data.hosts.hits(count),
            Questions::Nowhere(count) => nowhere(count),
            Questions::Deep(count) => deep(count),
            Questions::Subnets(count) => {
                let world = site.world().expect("places are given where they are asked for");
                world.workload(count, data.services)
            }
        }
    }
}

/// One who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entrant {
    /// What it is called.
    pub who: Who,
    /// What it serves.
    pub data: Data,
    /// What it is asked.
    pub questions: Questions,
    /// By how many resolvers.
    pub clients: u32,
    /// Whether its zone changes meanwhile.
    pub reloads: bool,
}

impl Entrant {
    /// A case of a server.
    pub const fn new(product: Product, case: &'static str, data: Data, asked: Questions) -> Self {
        let who = Who { product, case };
        Self { who, data, questions: asked, clients: CLIENTS, reloads: false }
    }

    /// The same, asked by so many resolvers.
    pub const fn by(self, clients: u32) -> Self {
        Self { clients, ..self }
    }

    /// The same, while its zone changes over and over.
    pub const fn reloading(self) -> Self {
        Self { reloads: true, ..self }
    }
}

/// Several servers with the same data, asked the same.
pub const fn alike<const N: usize>(
    products: [Product; N],
    data: Data,
    questions: Questions,
) -> [Entrant; N] {
    let mut entrants = [Entrant::new(Product::Echo, "", data, questions); N];
    let mut at = 0;
    while at < N {
        entrants[at].who.product = products[at];
        at += 1;
    }
    entrants
}
