//! What is measured: the data, the questions, the servers, and how hard they are asked.

use crate::contender::Product::{self, Dnsrouter, Echo, Gdnsd, Guarded, Knot, Napping, Nsd};
use crate::generator::Workload;
use crate::geography::World;
use crate::names::{Hosts, nowhere};

/// How hard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// So many queries under way, always: what a server can do.
    Closed(usize),
    /// So many queries per second, whatever the answers do: what clients see.
    Open(u32),
}

/// Queries under way: enough that a server never runs dry, few enough that all of them fit into the
/// receive buffer that a system grants by default (212,992 octets, of which each takes 768).
const WINDOW: usize = 192;
/// Client subnets.
const SUBNETS: usize = 20_000;
/// Different questions about static names: more than fit into a processor's nearer caches.
const QUESTIONS: usize = 200_000;
/// A zone that fits into caches.
const FEW: Hosts = Hosts(1000);
/// One that does not.
const MANY: Hosts = Hosts(1_000_000);

/// A comparison of several servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, for readers of results.
    pub about: &'static str,
    /// Who takes part.
    pub products: &'static [Product],
    /// How hard they are asked.
    pub load: Load,
    data: Data,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    Geo,
    Static(Hosts),
    Nowhere(Hosts),
}

/// All.
pub const SCENES: [Scene; 6] = [
    Scene {
        name: "geo",
        about: "half A, half AAAA, client subnets over 20,000 /24s, 13 regions by country",
        products: &[Dnsrouter, Guarded, Gdnsd, Knot, Echo],
        load: Load::Closed(WINDOW),
        data: Data::Geo,
    },
    Scene {
        name: "geo-100k",
        about: "the same at 100,000 queries per second",
        products: &[Dnsrouter, Guarded, Napping, Gdnsd, Knot, Echo],
        load: Load::Open(100_000),
        data: Data::Geo,
    },
    Scene {
        name: "geo-half",
        about: "the same at 150,000 queries per second, about half of what the slowest can do",
        products: &[Dnsrouter, Gdnsd, Knot, Echo],
        load: Load::Open(150_000),
        data: Data::Geo,
    },
    Scene {
        name: "static",
        about: "1,000 hosts: A, AAAA, no data, no such name",
        products: &[Dnsrouter, Gdnsd, Knot, Nsd, Echo],
        load: Load::Closed(WINDOW),
        data: Data::Static(FEW),
    },
    Scene {
        name: "static-1m",
        about: "the same of 1,000,000 hosts, 200,000 different questions",
        products: &[Dnsrouter, Gdnsd, Knot, Nsd, Echo],
        load: Load::Closed(WINDOW),
        data: Data::Static(MANY),
    },
    Scene {
        name: "nxdomain",
        about: "200,000 random names that are not in the zone of 1,000 hosts",
        products: &[Dnsrouter, Gdnsd, Knot, Nsd, Echo],
        load: Load::Closed(WINDOW),
        data: Data::Nowhere(FEW),
    },
];

/// What `--short` measures, and whom.
pub const SHORT: Scene = Scene { products: &[Dnsrouter, Gdnsd, Knot, Echo], ..SCENES[0] };

impl Scene {
    /// The zone's master file, the world if it matters, and the questions.
    pub fn data(&self) -> (String, Option<World>, Workload) {
        match self.data {
            Data::Geo => {
                let world = World::new();
                let workload = world.workload(SUBNETS);
                (FEW.zone(), Some(world), workload)
            }
            Data::Static(hosts) => (hosts.zone(), None, hosts.mix(QUESTIONS)),
            Data::Nowhere(hosts) => (hosts.zone(), None, nowhere(QUESTIONS)),
        }
    }
}
