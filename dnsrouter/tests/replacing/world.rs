//! A configuration that changes at random, and everything that a plan answers.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dns::name::Name;
use dns::zone::ServiceId;
use dnsrouter::answer::{Query, Reply, Transport, Worker, answer};
use dnsrouter::counters::Counters;
use dnsrouter::health::State;
use dnsrouter::plan::{Inputs, Services, Snapshot};
use dnsrouter::policy::mix;
use dnsrouter::random::Random;
use dnsrouter::target::Target;
use dnsrouter::verdicts::{Health, Shares, Stance, Stances, TargetId, Verdict};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query as Question};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};

const ZONE: &str = "$TTL 300\n@ SOA ns1 h 1 2 3 4 60\n@ NS ns1\nns1 A 192.0.2.53\n";
pub(crate) const REGIONS: [&str; 5] =
    ["us-central1", "europe-west3", "asia-southeast1", "europe-west1", "southamerica-east1"];
/// Names that services may have.
const NAMES: u64 = 8;

/// Small ways to look at places, several of them alike.
const STEPS: [&str; 12] = [
    "\"nearest\"",
    "\"nearest\", \"weighted\"",
    "\"weighted\", { take = 2 }",
    "\"sticky\"",
    "\"load\"",
    "{ fair = { demand = 500 } }",
    "\"least-response-time\"",
    "{ nearest = { bias = { \"us-central1\" = 20 } } }",
    "{ nearest = { prefer = [{ clients = [\"DE\"], regions = [\"europe-west1\"] }] } }",
    "{ nearest = { within = \"50 %\" } }, \"round-robin\"",
    "{ fence = [{ clients = [\"continent:EU\"], regions = [\"europe-west3\", \"europe-west1\"] }] }, \"nearest\"",
    "{ fence = [{ clients = [\"US\"], regions = [\"us-central1\"] }] }, \"load\"",
];

pub(crate) struct Dice(Random);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Random::from_seed(seed))
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.0.next() % n as u64) as usize
    }
}

/// Services by name, in TOML, and the order they are written in.
#[derive(Clone)]
pub(crate) struct Written {
    services: Vec<(u64, String)>,
    /// The regions of the service that is always there: the order of all locations.
    regions: Vec<&'static str>,
}

impl Written {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        let mut written = Self { services: Vec::new(), regions: REGIONS.to_vec() };
        for _ in 0..4 {
            written.change(dice);
        }
        written
    }

    /// One service is added, removed, written elsewhere, or another under its name; rarely the locations
    /// are others, or nothing is.
    pub(crate) fn change(&mut self, dice: &mut Dice) {
        let name = dice.below(NAMES as usize) as u64;
        let known = self.services.iter().position(|(known, _)| *known == name);
        match (dice.below(24), known) {
            (0, _) => self.regions.rotate_left(1),
            (1, _) => {}
            (2..=4, Some(at)) => _ = self.services.remove(at),
            (5..=6, Some(at)) => {
                let service = self.services.remove(at);
                let to = dice.below(self.services.len() + 1);
                self.services.insert(to, service);
            }
            (_, Some(at)) => self.services[at].1 = service(name, dice),
            (_, None) => {
                let to = dice.below(self.services.len() + 1);
                let text = service(name, dice);
                self.services.insert(to, (name, text));
            }
        }
    }

    /// Another service under a name that is there, which answers the same types.
    pub(crate) fn change_one(&mut self, dice: &mut Dice) -> Name {
        let at = dice.below(self.services.len());
        let (name, text) = &mut self.services[at];
        *text = service(*name, dice);
        name_of(*name)
    }

    pub(crate) fn toml(&self) -> String {
        let mut text = String::from(
            "[node]\nname = \"ns1\"\nregion = \"us-central1\"\ntrust_domain = \"test-net.io\"\n\
             [listen]\ndns = [\"127.0.0.1:0\"]\n[tls]\ncert = \"unused\"\nkey = \"unused\"\n\
             ca = \"unused\"\n[[zone]]\nname = \"test-net.io\"\nfile = \"zone\"\n\
             [[service]]\nname = \"always.test-net.io\"\nttl = 60\nroute = [\"nearest\"]\n",
        );
        for (at, region) in self.regions.iter().enumerate() {
            text += &endpoint(region, &format!("addresses = [\"203.0.113.{}\"]\n", 200 + at));
        }
        self.services.iter().for_each(|(_, service)| text += service);
        text
    }

    pub(crate) fn write(&self, folder: &std::path::Path) -> std::path::PathBuf {
        std::fs::write(folder.join("zone"), ZONE).unwrap();
        let file = folder.join("dnsrouter.toml");
        std::fs::write(&file, self.toml()).unwrap();
        file
    }
}

fn name_of(number: u64) -> Name {
    format!("s{number}.test-net.io.").parse().unwrap()
}

fn endpoint(region: &str, rest: &str) -> String {
    format!("[[service.endpoint]]\nregion = \"{region}\"\n{rest}")
}

/// Endpoints share few addresses and checks, so that services share targets.
fn service(name: u64, dice: &mut Dice) -> String {
    let healthy = ["", "\"healthy\", ", "{ healthy = { min_healthy = 2 } }, "][dice.below(3)];
    let mut text = format!(
        "[[service]]\nname = \"s{name}.test-net.io\"\nttl = {}\nroute = [{healthy}{}]\n",
        60 + dice.below(2),
        STEPS[dice.below(STEPS.len())]
    );
    if dice.below(4) == 0 {
        text += "slow_start = \"30s\"\n";
    }
    let first = dice.below(16);
    for at in 0..1 + dice.below(5) {
        let host = 10 + (first + at) % 16;
        let mut rest = format!("addresses = [\"203.0.113.{host}\", \"2001:db8::{host}\"]\n");
        match dice.below(4) {
            0 => {}
            1 => rest += "ping = \"https://ping.example:443\"\n",
            _ => _ = writeln!(rest, "ping = \"https://203.0.113.{host}:443\""),
        }
        if dice.below(3) == 0 {
            rest += "check = { tcp = \"check.example:5\" }\n";
        }
        let _ = writeln!(rest, "weight = {}\ncapacity = 500", dice.below(4));
        text += &endpoint(REGIONS[dice.below(REGIONS.len())], &rest);
    }
    text
}

/// A target's health hangs on what it is, an endpoint's shares on what it is, whatever their numbers.
fn health(services: &Services, seed: u64, drains: bool) -> Health {
    let of = |target: &Target| {
        let name = format!("{} {}", target.check, target.region);
        let bits = name.bytes().fold(seed, |state, byte| mix(state ^ u64::from(byte)));
        let states =
            [State::Up, State::Up, State::Up, State::Unknown, State::Degraded, State::Down];
        Verdict {
            told: bits & 64 == 0,
            rtt: (bits >> 8) as u32 % 1000,
            warm: (bits >> 40) as u16,
            ..Verdict::from(states[(bits % 6) as usize])
        }
    };
    let targets = &services.targets;
    let mut health = Health::new((0..targets.numbers()).map(|_| State::Unknown));
    for (id, target) in targets.numbered() {
        health.set(id, of(target));
    }
    for (id, (first, second)) in targets.pairs() {
        let both = health.verdict(first).with(health.verdict(second));
        health.set(id, both);
    }
    let mut shares: Vec<Shares> = Vec::new();
    let mut endpoints = Vec::new();
    for (id, (_, policy)) in (0..).map(ServiceId).zip(&services.services) {
        let own = |e: u8| mix(policy.endpoint_id(e) ^ policy.key() ^ seed);
        if own(0) % 3 == 0 {
            endpoints.push(((id, 0), Stance::Draining { gone: 30_000 }));
        }
        let Some(at) = policy.dynamic().map(|at| at as usize) else { continue };
        shares.resize(shares.len().max(at + 1), Shares::default());
        shares[at] = Shares {
            weights: (0..policy.endpoints()).map(|e| own(e) as u32 % 100).collect(),
            prices: (0..policy.endpoints()).map(|e| (own(e) % 5000) as f32).collect(),
        };
    }
    health.set_shares(shares.into());
    if drains {
        let locations = [Stance::Measured, Stance::Draining { gone: 20_000 }].into();
        let stances = Stances { locations, endpoints: endpoints.into(), announced: [].into() };
        health.set_stances(Arc::new(stances));
    }
    health
}

/// What a client asks for: a name, and A or AAAA.
type Asked = (String, IpAddr, bool);

/// Everything that is answered to clients all over the world, octet by octet; while regions and
/// endpoints are drained, or not.
pub(crate) fn answers(inputs: &Inputs, seed: u64, drains: bool) -> BTreeMap<Asked, Vec<u8>> {
    let health = Arc::new(health(&inputs.services, seed, drains));
    let snapshot = Snapshot { inputs: inputs.clone(), health };
    let mut worker = Worker::with_random(Arc::new(Counters::default()), Random::from_seed(seed));
    let mut answers = BTreeMap::new();
    let names = (0..NAMES).map(|n| format!("s{n}.test-net.io."));
    for name in names.chain(["always.test-net.io.".to_owned()]) {
        for octet in (0..240_u64).step_by(7) {
            let bits = mix(octet ^ seed);
            let v4 = IpAddr::from([octet as u8, bits as u8, (bits >> 8) as u8, 0]);
            let v6 = IpAddr::from([0x2a00 + octet as u16, bits as u16, 0, 0, 0, 0, 0, 0]);
            let client = if bits & 0x1_0000 == 0 { v4 } else { v6 };
            for is_v4 in [true, false] {
                let asked = question(&name, client, is_v4);
                let mut out = vec![0; 4096];
                let query = Query {
                    bytes: &asked,
                    peer: SocketAddr::from(([198, 51, 100, 1], 4242)),
                    local: SocketAddr::from(([127, 0, 0, 1], 53)),
                    transport: Transport::Tcp { idle: Duration::from_secs(1) },
                    now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
                };
                let Reply::Bytes(length) = answer(&snapshot, &mut worker, query, &mut out) else {
                    panic!("no answer")
                };
                out.truncate(length);
                answers.insert((name.clone(), client, is_v4), out);
            }
        }
    }
    answers
}

fn question(name: &str, client: IpAddr, is_v4: bool) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    let rtype = if is_v4 { RecordType::A } else { RecordType::AAAA };
    let name = hickory_proto::rr::Name::from_str(name).unwrap();
    message.add_query(Question::query(name, rtype));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    let source = if client.is_ipv4() { 24 } else { 48 };
    edns.options_mut().insert(EdnsOption::Subnet(ClientSubnet::new(client, source, 0)));
    message.set_edns(edns);
    message.to_vec().unwrap()
}

/// What each service looks at, record by record: whose health decides.
pub(crate) fn watched(services: &Services) -> BTreeMap<Name, Vec<Vec<Target>>> {
    let target = |id: TargetId| (**services.targets.get(id).unwrap()).clone();
    let of = |id| services.behind(id).map(target).collect();
    let all = services.services.iter();
    all.map(|(name, policy)| (name.clone(), policy.targets().map(of).collect())).collect()
}
