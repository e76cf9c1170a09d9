//! Three regions, their name servers, and what lies between.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::authority::Authority;
use crate::geoip::Geoip;
use crate::name_server::{Endpoint, NameServer, NameServerPlan, Probe, Service};
use crate::region::{Region, RegionPlan};
use crate::relay::Relay;
use crate::scratch::Scratch;
use crate::unbound::{Tells, Unbound};
use crate::wait;

/// The three regions, one per continent.
pub const REGIONS: [&str; 3] = ["us-central1", "europe-west3", "asia-southeast1"];

/// The service of all regions.
pub const NAME: &str = "geo.test-net.io";

/// How long the first verdicts may take on a busy machine.
const SETTLED: Duration = Duration::from_secs(20);

/// A system in one process tree.
///
/// Region `i` of [`REGIONS`] serves on 127.0.1.`i + 1`, all on the same port, as regions behind
/// one name do. Whoever asks from 127.0.2.`i + 1` is placed at region `i`.
pub struct World {
    /// Its files.
    pub scratch: Scratch,
    /// Its authority.
    pub authority: Authority,
    /// In the order of [`REGIONS`].
    pub regions: Vec<Region>,
    /// Between the name servers and each region; empty unless asked for.
    pub relays: Vec<Relay>,
    /// ns1, ns2, …, in the regions in turn.
    pub name_servers: Vec<NameServer>,
}

/// What a world is like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How many name servers.
    pub name_servers: usize,
    /// How they ping.
    pub probe: Probe,
    /// Whether pings go through relays.
    pub relayed: bool,
    /// Of the service, in seconds.
    pub ttl: u32,
    /// Whether the name servers have state folders.
    pub kept: bool,
    /// More lines for the end of their configurations.
    pub more: &'static str,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape {
            name_servers: 3,
            probe: Probe::QUICK,
            relayed: false,
            ttl: 1,
            kept: false,
            more: "",
        }
    }
}

impl World {
    /// Starts it, and waits until every part serves and finds the others.
    pub fn start(name: &str, shape: Shape) -> World {
        let scratch = Scratch::new(name);
        let authority = Authority::create(&scratch, "pki");
        let regions = start_regions(&scratch, &authority);
        let relays: Vec<Relay> = if shape.relayed {
            regions.iter().map(|region| Relay::start(region.grpc())).collect()
        } else {
            Vec::new()
        };
        let pings = |i: usize| relays.get(i).map_or(regions[i].grpc(), Relay::address);
        let service = service(&regions, pings, shape.ttl);
        let name_servers = (0..shape.name_servers)
            .map(|i| {
                let name = format!("ns{}", i + 1);
                let mut plan = NameServerPlan::new(&name)
                    .region(REGIONS[i % REGIONS.len()])
                    .probe(shape.probe)
                    .service(service.clone())
                    .more(shape.more);
                if shape.kept {
                    plan = plan.state(scratch.join(format!("{name}/state")));
                }
                for (place, region) in REGIONS.iter().enumerate() {
                    plan = plan.network(&format!("{}/32", client(place)), region);
                }
                plan.start(&scratch, &authority)
            })
            .collect();
        let world = World { scratch, authority, regions, relays, name_servers };
        world.settle();
        world
    }

    /// Waits until every name server finds every region up.
    pub fn settle(&self) {
        for server in &self.name_servers {
            wait::until("every region to be found up", SETTLED, || {
                server.metrics().sum("dnsrouter_target_up") as usize == self.regions.len()
            });
        }
    }

    /// The command line of a person who asks these name servers.
    pub fn geoip(&self) -> Geoip {
        let papers = self.authority.user("ada");
        let controls: Vec<SocketAddr> = self.name_servers.iter().map(NameServer::control).collect();
        Geoip::new(&self.scratch, "ada", &self.authority, Some(&papers))
            .asking(&controls, &self.dns())
    }

    /// A resolver that stands at region `place` and asks all name servers.
    pub fn resolver(&self, place: usize) -> Unbound {
        let name = format!("unbound-{}", REGIONS[place]);
        Unbound::start(&self.scratch, &name, &self.dns(), client(place), Tells::Nothing)
    }

    /// Where the name servers answer.
    pub fn dns(&self) -> Vec<SocketAddr> {
        self.name_servers.iter().map(NameServer::dns).collect()
    }
}

/// An address of the machine that every [`World`] places at region `place`.
pub fn client(place: usize) -> IpAddr {
    loopback(2, place)
}

/// All regions on one port, which the first of them finds free.
fn start_regions(scratch: &Scratch, authority: &Authority) -> Vec<Region> {
    let mut port = 0;
    let start = |(i, name): (usize, &&str)| {
        let listen = SocketAddr::new(loopback(1, i), port);
        let region = RegionPlan::new(name).listen(listen).start(scratch, authority);
        port = region.grpc().port();
        region
    };
    REGIONS.iter().enumerate().map(start).collect()
}

fn service(regions: &[Region], ping: impl Fn(usize) -> SocketAddr, ttl: u32) -> Service {
    let endpoint = |(i, region): (usize, &Region)| Endpoint {
        region: region.name().to_owned(),
        addresses: vec![region.address()],
        ping: Some(ping(i)),
    };
    Service {
        name: NAME.to_owned(),
        ttl,
        route: "[\"healthy\", \"nearest\"]".to_owned(),
        endpoints: regions.iter().enumerate().map(endpoint).collect(),
    }
}

fn loopback(net: u8, place: usize) -> IpAddr {
    let host = u8::try_from(place + 1).expect("a handful of places");
    IpAddr::V4(Ipv4Addr::new(127, 0, net, host))
}
