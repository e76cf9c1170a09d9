//! dnsrouter asked, and its answers held against the oracle's.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dns::zone::ServiceId;
use dnsrouter::answer::{Query, Reply, Transport, Worker, answer};
use dnsrouter::counters::Counters;
use dnsrouter::explain;
use dnsrouter::health::State;
use dnsrouter::plan::{Generation, Published};
use dnsrouter::policy::Outside;
use dnsrouter::random::Random;
use dnsrouter::service::Form;
use dnsrouter::target::Target;
use dnsrouter::verdicts::{Health as Verdicts, Shares, Stance, Stances, Verdict};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query as Question, ResponseCode};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
use hickory_proto::rr::{Name, RData, RecordType};

use crate::naive::{self, Expected, Health, Measured, Said as Sentence};
use crate::record::{self, Database};
use crate::scene::{Dice, REGIONS, Scene, Service};
use crate::site;

const ZONE: &str =
    "$TTL 300\n@ SOA ns1 hostmaster 1 7200 900 1209600 60\n NS ns1\nns1 A 192.0.2.53\n";
/// When all is asked, in seconds since 1970.
const NOW: u64 = 1_800_000_000;
/// Questions asked with the same health.
const PER_HEALTH: u32 = 500;
/// Differences that are told.
const MAX_TOLD: usize = 10;
/// One network of so many in the files is a client.
const EVERY: usize = 37;

/// What came out of a comparison.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) asked: u32,
    pub(crate) left_out: u32,
    pub(crate) differences: Vec<String>,
    by_kind: BTreeMap<&'static str, u32>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { asked, left_out, differences, by_kind } = self;
        write!(
            f,
            "{asked} asked, {} differences, {left_out} left out; {by_kind:?}",
            differences.len()
        )
    }
}

/// What dnsrouter said.
#[derive(Debug, PartialEq)]
enum Said {
    Refused,
    Addresses(Vec<IpAddr>),
}

/// A dnsrouter without its sockets.
pub(crate) struct Server(Published);

/// Asks random services for random clients under random health.
pub(crate) fn compare(scene: &Scene, database: &Database, server: &Server, triples: u32) -> Report {
    let clients = database.sample(EVERY);
    let dice = &mut Dice::new(scene.seed ^ 0x6f72_6163_6c65);
    let mut report = Report::default();
    let mut health = Health::default();
    while report.asked < triples {
        if (report.asked + report.left_out) % PER_HEALTH == 0 {
            health = server.random_health(scene, dice);
            server.apply(&health);
        }
        let service = &scene.services[dice.index(scene.services.len())];
        let client = clients[dice.index(clients.len())];
        let v4 = dice.one_in(2);
        let expected = naive::expected(scene, database, service, client, v4, &health);
        let Some(expected) = expected else {
            report.left_out += 1;
            continue;
        };
        report.asked += 1;
        *report.by_kind.entry(kind(&expected)).or_default() += 1;
        if let Some(difference) = server.difference(service, client, v4, &expected) {
            report.differences.push(difference);
            if report.differences.len() == MAX_TOLD {
                break;
            }
        }
    }
    report
}

/// How many services answer a client otherwise whose network is elsewhere for dnsrouter alone.
pub(crate) fn with_one_leaf_elsewhere(scene: &Scene, database: &Database) -> usize {
    let client: IpAddr = "62.4.0.1".parse().unwrap();
    let found = database.place(client).expect("a European network is in the database");
    // Sydney is far from all of Europe.
    assert_ne!(naive::nearest_region(found.degrees), 10, "the leaf would be right");
    let server = Server::new(scene, &[("62.4.0.0".parse().unwrap(), 24, 10)]);
    differing(scene, database, &server, client, &Health::default())
}

/// How many services answer a client otherwise when dnsrouter takes one usable address for down.
pub(crate) fn with_one_verdict_wrong(scene: &Scene, database: &Database, server: &Server) -> usize {
    let clients = database.sample(EVERY * 1000);
    let dice = &mut Dice::new(scene.seed);
    let health = server.random_health(scene, dice);
    let usable: Vec<IpAddr> =
        health.measured.iter().filter(|(_, m)| m.is_usable).map(|(address, _)| *address).collect();
    let wrong = usable.iter().map(|address| {
        let mut wrong = health.clone();
        wrong.measured.get_mut(address).expect("it is listed").is_usable = false;
        server.apply(&wrong);
        let of = |client: &IpAddr| differing(scene, database, server, *client, &health);
        clients.iter().take(40).map(of).sum::<usize>()
    });
    wrong.take(20).sum()
}

fn differing(
    scene: &Scene,
    database: &Database,
    server: &Server,
    client: IpAddr,
    health: &Health,
) -> usize {
    let differs = |service: &&Service| {
        let expected = naive::expected(scene, database, service, client, true, health);
        expected.is_some_and(|e| server.difference(service, client, true, &e).is_some())
    };
    scene.services.iter().filter(differs).count()
}

fn kind(expected: &Expected) -> &'static str {
    match expected {
        Expected::Refused => "refused",
        Expected::NoData => "nodata",
        Expected::Stated(_) => "stated",
        Expected::Chosen(worlds) if worlds.len() > 1 => "on a drain's way",
        Expected::Chosen(worlds) if worlds[0].fail_open => "fail open",
        Expected::Chosen(_) => "chosen",
    }
}

fn address(target: &Target) -> IpAddr {
    target.check.at().address().expect("these targets are addresses")
}

impl Server {
    pub(crate) fn new(scene: &Scene, more: &[(IpAddr, u8, usize)]) -> Self {
        let inputs = site::loaded(&scene.toml(&record::files(), more), ZONE).inputs(Generation(1));
        let unknown = inputs.services.targets.iter().map(|_| State::Unknown);
        let health = Verdicts::new(unknown);
        Self(Published::new(inputs, health))
    }

    fn random_health(&self, scene: &Scene, dice: &mut Dice) -> Health {
        let badness = 1 + dice.below(4);
        let snapshot = self.0.load();
        let measured = |dice: &mut Dice| Measured {
            is_usable: dice.below(6) >= badness,
            in_flight: u32::try_from(dice.below(200)).unwrap(),
            rtt: 1 + u32::try_from(dice.below(300)).unwrap() * 1000,
            load: u16::try_from(dice.below(60_000)).unwrap(),
        };
        let targets = snapshot.inputs.services.targets.iter();
        let measured = targets.map(|target| (address(target), measured(dice))).collect();
        let mut health = Health { measured, ..Health::default() };
        let said = |dice: &mut Dice| match dice.below(5) {
            0 => Sentence::Up,
            1 => Sentence::Down,
            2 => Sentence::Drain(u16::MAX),
            _ => Sentence::Drain(u16::try_from(dice.below(65_536)).unwrap()),
        };
        // At times nobody has said anything, nor reckoned.
        if dice.one_in(3) {
            return health;
        }
        for region in 0..REGIONS.len() {
            if dice.one_in(8) {
                health.regions.insert(region, said(dice));
            }
        }
        for service in &scene.services {
            if dice.one_in(3) {
                let at = dice.index(service.endpoints.len());
                health.endpoints.insert((service.name.clone(), at), said(dice));
            }
            let reckoned = |dice: &mut Dice| {
                let weight = [0, 1, 100, 65_535][dice.index(4)];
                let price = if dice.one_in(3) { 0.0 } else { dice.below(8000) as f32 };
                (weight, price)
            };
            let reckoned = service.endpoints.iter().map(|_| reckoned(dice)).collect();
            health.reckoned.insert(service.name.clone(), reckoned);
        }
        health
    }

    fn apply(&self, health: &Health) {
        let snapshot = self.0.load();
        let services = &snapshot.inputs.services;
        let verdicts = services.targets.iter().map(|target| {
            let Measured { is_usable, in_flight, rtt, load } = health.measured[&address(target)];
            // All that is usable, and all that is not.
            let states = match is_usable {
                true => [State::Up, State::Unknown],
                false => [State::Down, State::Draining],
            };
            let state = states[usize::from(in_flight % 2 == 0)];
            Verdict { told: true, in_flight, rtt, load, ..Verdict::from(state) }
        });
        let mut verdicts = Verdicts::new(verdicts);
        let stance = |said: &Sentence| match *said {
            Sentence::Up => Stance::ForcedUp,
            Sentence::Down => Stance::ForcedDown,
            Sentence::Drain(gone) => Stance::Draining { gone },
        };
        let region = |name: &str| REGIONS.iter().position(|(known, ..)| *known == name);
        let said = |name: &str| health.regions.get(&region(name)?).map(stance);
        let locations = services.locations.iter();
        let locations = locations.map(|location| said(&location.region).unwrap_or_default());
        let (mut endpoints, mut shares) = (Vec::new(), Vec::new());
        for (id, (name, policy)) in (0..).map(ServiceId).zip(&services.services) {
            let name = name.to_string().trim_end_matches('.').to_owned();
            for endpoint in 0..policy.endpoints() {
                let said = health.endpoints.get(&(name.clone(), endpoint.into()));
                endpoints.extend(said.map(|said| ((id, endpoint), stance(said))));
            }
            let Some(dynamic) = policy.dynamic() else { continue };
            shares.resize(shares.len().max(dynamic as usize + 1), Shares::default());
            let (weights, prices) =
                health.reckoned.get(&name).into_iter().flatten().copied().unzip();
            let (weights, prices): (Vec<u32>, Vec<f32>) = (weights, prices);
            shares[dynamic as usize] = Shares { weights: weights.into(), prices: prices.into() };
        }
        let (locations, endpoints) = (locations.collect(), endpoints.into());
        verdicts.set_stances(Arc::new(Stances { locations, endpoints, announced: [].into() }));
        verdicts.set_shares(shares.into());
        self.0.apply_health(Generation(1), verdicts).unwrap();
    }

    /// How an answer or its explanation is not what may be answered, in words.
    fn difference(
        &self,
        service: &Service,
        client: IpAddr,
        v4: bool,
        expected: &Expected,
    ) -> Option<String> {
        let said = self.ask(&service.name, client, v4);
        let explained = self.explain(&service.name, client, v4);
        let agrees = match expected {
            Expected::Refused => said == Said::Refused,
            Expected::NoData => said == Said::Addresses(Vec::new()),
            Expected::Stated(addresses) => said == Said::Addresses(addresses.clone()),
            Expected::Chosen(worlds) => {
                let allowed = |answer: &Vec<IpAddr>| worlds.iter().any(|one| one.allows(answer));
                matches!(&said, Said::Addresses(answer) if allowed(answer))
            }
        };
        (!agrees || said != explained).then(|| {
            format!(
                "{client} asks {}, {:?}: answered {said:?}, explained {explained:?}, expected \
                 {expected:?}",
                service.name, service
            )
        })
    }

    fn ask(&self, name: &str, client: IpAddr, v4: bool) -> Said {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        let rtype = if v4 { RecordType::A } else { RecordType::AAAA };
        message.add_query(Question::query(Name::from_str(name).unwrap(), rtype));
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        let source = if client.is_ipv4() { 24 } else { 48 };
        edns.options_mut().insert(EdnsOption::Subnet(ClientSubnet::new(client, source, 0)));
        message.set_edns(edns);
        let bytes = message.to_vec().unwrap();
        let mut worker = Worker::with_random(Arc::new(Counters::default()), Random::from_seed(1));
        let query = Query {
            bytes: &bytes,
            peer: SocketAddr::from(([198, 51, 100, 1], 4242)),
            local: SocketAddr::from(([127, 0, 0, 1], 53)),
            transport: Transport::Tcp { idle: Duration::from_secs(1) },
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(NOW),
        };
        let mut out = vec![0; 65_535];
        let Reply::Bytes(length) = answer(&self.0.load(), &mut worker, query, &mut out) else {
            panic!("no answer")
        };
        let message = Message::from_vec(&out[..length]).unwrap();
        if message.metadata.response_code == ResponseCode::Refused {
            return Said::Refused;
        }
        let address = |record: &hickory_proto::rr::Record| match &record.data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(a) => Some(IpAddr::V6(a.0)),
            _ => None,
        };
        Said::Addresses(message.answers.iter().filter_map(address).collect())
    }

    fn explain(&self, name: &str, client: IpAddr, v4: bool) -> Said {
        let snapshot = self.0.load();
        let policy = explain::find(&snapshot, &name.parse().unwrap()).expect("it is configured");
        let form = if v4 { Form::A } else { Form::Aaaa };
        let explanation = explain::explain(&snapshot, policy, client, &[form], NOW);
        let Some(decision) = explanation.decisions.first() else {
            // No endpoint has the family anywhere.
            return Said::Addresses(Vec::new());
        };
        if matches!(decision.outside, Some(Outside::Refused { .. })) {
            return Said::Refused;
        }
        Said::Addresses(decision.records.iter().map(|record| record.parse().unwrap()).collect())
    }
}
