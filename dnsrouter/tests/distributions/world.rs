//! One plan, services of it that are written otherwise, and many clients.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use dnsrouter::client::{Asker, Own};
use dnsrouter::compile::replace;
use dnsrouter::health::State;
use dnsrouter::io::load::Loaded;
use dnsrouter::plan::{Generation, Inputs};
use dnsrouter::policy::Policy;
use dnsrouter::random::Random;
use dnsrouter::service::{Form, Service};
use dnsrouter::verdicts::{Health, Verdict};
use geo::Source;

use crate::site;

/// Endpoints of each service.
pub(crate) const ENDPOINTS: usize = 12;

/// One for each route.
const ROUTES: [(&str, &str); 6] = [
    ("weighted", "\"weighted\""),
    ("three", "\"weighted\", { take = 3 }"),
    ("turns", "\"round-robin\""),
    ("sticky", "\"healthy\", \"sticky\""),
    ("least", "{ least-connections = { within = \"20 %\" } }, \"weighted\""),
    ("fair", "{ fair = { demand = 4000 } }"),
];

static LOADED: LazyLock<Loaded> = LazyLock::new(|| {
    let mut text = String::from(
        "[node]\nname = \"ns1\"\nregion = \"us-central1\"\ntrust_domain = \"test-net.io\"\n\
         [listen]\ndns = [\"127.0.0.1:0\"]\n[tls]\ncert = \"unused\"\nkey = \"unused\"\n\
         ca = \"unused\"\n[[zone]]\nname = \"test-net.io\"\nfile = \"zone\"\n",
    );
    for (name, route) in ROUTES {
        text += &service(name, route, ENDPOINTS);
    }
    text += &service("load", "\"load\"", 3);
    site::loaded(&text, site::ZONE)
});

/// All endpoints in one region: places decide nothing.
fn service(name: &str, route: &str, endpoints: usize) -> String {
    let mut text = format!(
        "[[service]]\nname = \"{name}.test-net.io\"\nttl = 60\nslow_start = \"30s\"\nroute = [{route}]\n"
    );
    for at in 1..=endpoints {
        text += &format!(
            "[[service.endpoint]]\nregion = \"europe-west3\"\naddresses = [\"203.0.113.{at}\"]\n\
             ping = \"https://203.0.113.{at}:443\"\n"
        );
    }
    text
}

/// A service of the plan, changed.
pub(crate) struct Scene {
    pub(crate) inputs: Inputs,
    at: usize,
}

pub(crate) fn scene(name: &str, change: impl FnOnce(&mut Service)) -> Scene {
    let mut inputs = LOADED.inputs(Generation(1));
    let name = format!("{name}.test-net.io.").parse().unwrap();
    let named = LOADED.config.services.iter().find(|(service, _)| service.name == name);
    let mut service = named.unwrap().0.clone();
    change(&mut service);
    let services = replace(&inputs.services, &inputs.geo, &service).unwrap();
    let at = services.services.iter().position(|(known, _)| *known == name).unwrap();
    inputs.services = services.into();
    Scene { inputs, at }
}

/// With these weights.
pub(crate) fn weighted(name: &str, weights: &[u32; ENDPOINTS]) -> Scene {
    scene(name, |service| {
        for (endpoint, weight) in service.endpoints.iter_mut().zip(weights) {
            endpoint.weight = *weight;
        }
    })
}

impl Scene {
    pub(crate) fn policy(&self) -> &Policy {
        &self.inputs.services.services[self.at].1
    }

    /// By endpoint.
    pub(crate) fn health(&self, of: impl Fn(usize) -> Verdict) -> Health {
        let policy = self.policy();
        let mut health =
            Health::new((0..self.inputs.services.targets.numbers()).map(|_| State::Up));
        for endpoint in 0..policy.endpoints() {
            for record in policy.endpoint_records(Form::A, endpoint) {
                health.set(record.target.unwrap(), of(usize::from(endpoint)));
            }
        }
        health
    }

    /// All well.
    pub(crate) fn well(&self) -> Health {
        self.health(|_| State::Up.into())
    }

    /// How often each endpoint is answered to resolvers that ask for themselves.
    pub(crate) fn resolvers(&self, health: &Health, queries: u64) -> Vec<u64> {
        let mut random = Random::from_seed(7);
        let asker = Asker::of_query(&self.inputs.geo, [198, 51, 100, 1].into(), None);
        let mut counts = vec![0; usize::from(self.policy().endpoints())];
        for turn in 0..queries {
            let own = Own { draw: random.next(), turn };
            self.choose(&asker, own, health).for_each(|endpoint| counts[endpoint] += 1);
        }
        counts
    }

    /// What each of so many networks is answered first, by endpoint.
    pub(crate) fn networks(&self, health: &Health, networks: usize) -> Vec<usize> {
        let own = Own { draw: 0, turn: 0 };
        let asked = askers(self).take(networks);
        asked.map(|asker| self.choose(&asker, own, health).next().unwrap()).collect()
    }

    /// How often each endpoint is answered first to so many networks.
    pub(crate) fn by_network(&self, health: &Health, networks: usize) -> Vec<u64> {
        let mut counts = vec![0; usize::from(self.policy().endpoints())];
        self.networks(health, networks).into_iter().for_each(|endpoint| counts[endpoint] += 1);
        counts
    }

    fn choose(
        &self,
        asker: &Asker,
        own: Own,
        health: &Health,
    ) -> impl Iterator<Item = usize> + use<> {
        let client = asker.client(&self.inputs.geo, self.policy(), Form::A, || 1_800_000_000, own);
        let choice = self.policy().choose(Form::A, &client, health, &mut ());
        choice.candidates.into_iter().map(|candidate| usize::from(candidate.endpoint))
    }
}

/// Client subnets: each /24 once, in no order.
fn askers(scene: &Scene) -> impl Iterator<Item = Asker> + '_ {
    let resolver: IpAddr = [198, 51, 100, 1].into();
    let networks = (0_u32..1 << 24).map(|at| at.wrapping_mul(0x9e37_79b1) << 8);
    networks.filter_map(move |network| {
        let subnet = (Ipv4Addr::from(network).into(), 24);
        let asker = Asker::of_query(&scene.inputs.geo, resolver, Some(subnet));
        (asker.hit.source != Source::Special && asker.address == subnet.0).then_some(asker)
    })
}
