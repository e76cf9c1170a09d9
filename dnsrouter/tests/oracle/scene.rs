//! Random services, in words of their own: what is written as TOML for dnsrouter, and what the
//! oracle goes through.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dnsrouter::random::Random;

/// Regions with coordinates that the configuration states, so that both sides know the same.
pub(crate) const REGIONS: [(&str, f64, f64); 12] = [
    ("r-iowa", 41.26, -95.86),
    ("r-carolina", 33.19, -80.01),
    ("r-oregon", 45.59, -121.18),
    ("r-saopaulo", -23.55, -46.63),
    ("r-belgium", 50.45, 3.82),
    ("r-frankfurt", 50.11, 8.68),
    ("r-warsaw", 52.23, 21.01),
    ("r-mumbai", 19.08, 72.88),
    ("r-singapore", 1.35, 103.82),
    ("r-tokyo", 35.69, 139.69),
    ("r-sydney", -33.87, 151.21),
    ("r-johannesburg", -26.20, 28.05),
];

/// Countries that rules may name, by continent.
pub(crate) const CONTINENTS: [(&str, &str); 6] = [
    ("NA", "US CA MX GT CR PA CU DO JM HN SV NI TT PR"),
    ("SA", "BR AR CL CO PE VE EC BO UY PY"),
    (
        "EU",
        "DE FR GB IT PL ES SE NL BE AT CH CZ DK FI NO PT IE GR HU RO BG UA RU SK SI HR RS LT LV EE LU IS MD AL BA BY MT MK ME CY",
    ),
    (
        "AS",
        "JP IN CN KR ID TW HK SG MY TH VN PH PK BD IR IQ SA AE IL KZ UZ LK NP KH MM KW QA OM JO LB BH MN AM AZ GE TR PS",
    ),
    ("OC", "AU NZ FJ PG"),
    ("AF", "ZA NG EG KE MA DZ TN GH TZ UG SN CI CM AO ZM ZW SD LY ET MU RW BW NA MZ MG"),
];

const SERVICES: usize = 60;
const MAX_ENDPOINTS: u64 = 12;

/// Who a rule is for.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    All,
    Country(&'static str),
    Continent(&'static str),
    Network(IpAddr, u8),
}

#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) clients: Vec<Who>,
    /// Indices into [`REGIONS`].
    pub(crate) regions: Vec<usize>,
    pub(crate) refuse: Vec<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Within {
    Percent(u32),
    Kilometres(u32),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Figure {
    Connections,
    ResponseTime,
    Resource,
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Fence(Vec<Rule>),
    Healthy(usize),
    Failover,
    FailoverOf(Vec<Vec<usize>>),
    Nearest { within: Option<Within>, bias: Vec<(usize, i32)>, prefer: Vec<Rule> },
    Least(Figure, Option<u32>),
    Weighted,
    RoundRobin,
    Sticky,
    Fair,
    Load,
    Take(usize),
}

#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) region: usize,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) weight: u32,
    pub(crate) tier: u32,
    pub(crate) is_checked: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) route: Vec<Step>,
    pub(crate) endpoints: Vec<Endpoint>,
}

/// All that is random but clients and health.
pub(crate) struct Scene {
    pub(crate) seed: u64,
    pub(crate) services: Vec<Service>,
    /// Networks that the configuration places in a region.
    pub(crate) networks: Vec<(IpAddr, u8, usize)>,
}

/// A source of small numbers.
pub(crate) struct Dice(Random);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Random::from_seed(seed))
    }

    /// Below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0.next() % n
    }

    pub(crate) fn index(&mut self, n: usize) -> usize {
        usize::try_from(self.below(n as u64)).unwrap()
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn some_of(&mut self, n: usize, at_most: u64) -> Vec<usize> {
        let mut chosen = Vec::new();
        for _ in 0..=self.below(at_most) {
            let one = self.index(n);
            if !chosen.contains(&one) {
                chosen.push(one);
            }
        }
        chosen
    }
}

impl Scene {
    pub(crate) fn random(seed: u64) -> Self {
        let dice = &mut Dice::new(seed);
        let services = (0..SERVICES).map(|number| service(dice, number)).collect();
        let networks = vec![
            ("8.8.8.0".parse().unwrap(), 24, 9),
            ("9.0.0.0".parse().unwrap(), 10, 3),
            ("9.16.0.0".parse().unwrap(), 16, 11),
            ("2a00:1450::".parse().unwrap(), 32, 10),
        ];
        Self { seed, services, networks }
    }

    /// As a configuration; `more` networks are dnsrouter's alone.
    pub(crate) fn toml(
        &self,
        databases: &[std::path::PathBuf],
        more: &[(IpAddr, u8, usize)],
    ) -> String {
        let mut text = format!(
            "[node]\nname = \"ns1\"\nregion = \"r-iowa\"\ntrust_domain = \"test-net.io\"\n\
             [listen]\ndns = [\"127.0.0.1:0\"]\n[tls]\ncert = \"unused\"\nkey = \"unused\"\n\
             ca = \"unused\"\n[geo]\ndatabase = {databases:?}\n[geo.networks]\n"
        );
        for (address, length, region) in self.networks.iter().chain(more) {
            let (region, ..) = REGIONS[*region];
            writeln!(text, "\"{address}/{length}\" = {{ region = \"{region}\" }}").unwrap();
        }
        for (name, latitude, longitude) in REGIONS {
            let location = format!("[{latitude:?}, {longitude:?}]");
            writeln!(text, "[[region]]\nname = \"{name}\"\nlocation = {location}").unwrap();
        }
        text.push_str("[[zone]]\nname = \"test-net.io\"\nfile = \"zone\"\n");
        for service in &self.services {
            let route: Vec<_> = service.route.iter().map(step).collect();
            let (name, route) = (&service.name, route.join(", "));
            writeln!(text, "[[service]]\nname = \"{name}\"\nttl = 60\nroute = [{route}]").unwrap();
            for endpoint in &service.endpoints {
                let (region, ..) = REGIONS[endpoint.region];
                let Endpoint { addresses, weight, tier, .. } = endpoint;
                let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                writeln!(
                    text,
                    "[[service.endpoint]]\nregion = \"{region}\"\naddresses = {addresses:?}\n\
                     weight = {weight}\ntier = {tier}"
                )
                .unwrap();
                if endpoint.is_checked {
                    let host = match endpoint.addresses[0] {
                        IpAddr::V4(v4) => v4.to_string(),
                        IpAddr::V6(v6) => format!("[{v6}]"),
                    };
                    writeln!(text, "ping = \"https://{host}:443\"").unwrap();
                }
            }
        }
        text
    }
}

fn service(dice: &mut Dice, number: usize) -> Service {
    let count = 1 + dice.index(usize::try_from(MAX_ENDPOINTS).unwrap());
    let endpoints = (0..count)
        .map(|at| {
            let [high, low] = u16::try_from(number * 16 + at).unwrap().to_be_bytes();
            let v4 = IpAddr::from(Ipv4Addr::new(203, 0, high, low));
            let v6 =
                IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, high.into(), low.into()));
            let addresses = match dice.below(6) {
                0 => vec![v4],
                1 => vec![v6],
                2 => vec![v4, IpAddr::from(Ipv4Addr::new(203, 1, high, low)), v6],
                _ => vec![v4, v6],
            };
            Endpoint {
                region: dice.index(REGIONS.len()),
                addresses,
                weight: [0, 1, 1, 3, 10, 100][dice.index(6)],
                tier: [1, 1, 2, 3][dice.index(4)],
                is_checked: !dice.one_in(8),
            }
        })
        .collect();
    Service { name: format!("s{number}.test-net.io"), route: route(dice), endpoints }
}

/// Filters first, then up to two ranks, perhaps a pick, perhaps a cut: what comes after a pick has
/// its order, of which the oracle knows nothing.
fn route(dice: &mut Dice) -> Vec<Step> {
    let mut route = Vec::new();
    if dice.one_in(3) {
        route.push(Step::Fence((0..=dice.below(3)).map(|_| rule(dice, true)).collect()));
    }
    if !dice.one_in(5) {
        route.push(Step::Healthy([1, 1, 1, 2, 3][dice.index(5)]));
    }
    for _ in 0..dice.below(3) {
        route.push(match dice.below(9) {
            0 => Step::Failover,
            1 => Step::FailoverOf((0..=dice.below(3)).map(|_| dice.some_of(12, 3)).collect()),
            2 => {
                let figure = [Figure::Connections, Figure::ResponseTime, Figure::Resource];
                let within = [None, Some(0), Some(20), Some(100)][dice.index(4)];
                Step::Least(figure[dice.index(3)], within)
            }
            3 => Step::Load,
            _ => nearest(dice),
        });
    }
    match dice.below(6) {
        0 => route.push(Step::Weighted),
        1 => route.push(Step::RoundRobin),
        2 => route.push(Step::Sticky),
        3 => route.push(Step::Fair),
        _ => {}
    }
    if dice.one_in(2) {
        route.push(Step::Take(1 + dice.index(4)));
    }
    // Where the fence stands means nothing.
    if matches!(route.first(), Some(Step::Fence(_))) {
        let fence = route.remove(0);
        route.insert(dice.index(route.len() + 1), fence);
    }
    route
}

fn nearest(dice: &mut Dice) -> Step {
    let within = match dice.below(4) {
        0 => Some(Within::Percent([0, 15, 50, 300][dice.index(4)])),
        1 => Some(Within::Kilometres([1, 300, 2000][dice.index(3)])),
        _ => None,
    };
    let bias = match dice.one_in(4) {
        true => {
            let regions = dice.some_of(12, 3);
            regions
                .into_iter()
                .map(|r| (r, [-99, -50, -20, 5, 20, 60, 99][dice.index(7)]))
                .collect()
        }
        false => Vec::new(),
    };
    let prefer = match dice.one_in(3) {
        true => (0..=dice.below(3)).map(|_| rule(dice, false)).collect(),
        false => Vec::new(),
    };
    Step::Nearest { within, bias, prefer }
}

fn rule(dice: &mut Dice, may_refuse: bool) -> Rule {
    let who = |dice: &mut Dice| match dice.below(10) {
        0 => Who::All,
        1..=4 => {
            let countries: Vec<_> = CONTINENTS[dice.index(6)].1.split(' ').collect();
            Who::Country(countries[dice.index(countries.len())])
        }
        5..=7 => Who::Continent(CONTINENTS[dice.index(6)].0),
        // Few different ones: lists are limited.
        8 => Who::Network(
            [8, 9, 12, 77, 91, 185].map(|a| IpAddr::from([a, 0, 0, 0]))[dice.index(6)],
            8,
        ),
        _ => Who::Network("2a02::".parse().unwrap(), 16),
    };
    let clients = (0..=dice.below(3)).map(|_| who(dice)).collect();
    let (mut regions, mut refuse) = (dice.some_of(12, 6), Vec::new());
    if may_refuse && dice.one_in(4) {
        regions.clear();
        if dice.one_in(2) {
            refuse = vec!["192.0.2.200".parse().unwrap(), "2001:db8:f::200".parse().unwrap()];
        }
    }
    Rule { clients, regions, refuse }
}

fn step(step: &Step) -> String {
    match step {
        Step::Fence(rules) => format!("{{ fence = [{}] }}", rules_of(rules)),
        Step::Healthy(1) => "\"healthy\"".to_owned(),
        Step::Healthy(n) => format!("{{ healthy = {{ min_healthy = {n} }} }}"),
        Step::Failover => "\"failover\"".to_owned(),
        Step::FailoverOf(tiers) => {
            // A region counts where it is written first.
            let mut seen = Vec::new();
            let tiers: Vec<_> = tiers
                .iter()
                .map(|tier| {
                    let new: Vec<_> = tier.iter().filter(|r| !seen.contains(*r)).copied().collect();
                    seen.extend(&new);
                    names(&new)
                })
                .filter(|tier| !tier.is_empty())
                .map(|tier| format!("{tier:?}"))
                .collect();
            format!("{{ failover = [{}] }}", tiers.join(", "))
        }
        Step::Nearest { within: None, bias, prefer } if bias.is_empty() && prefer.is_empty() => {
            "\"nearest\"".to_owned()
        }
        Step::Nearest { within, bias, prefer } => {
            let mut parts = Vec::new();
            match within {
                Some(Within::Percent(percent)) => parts.push(format!("within = \"{percent} %\"")),
                Some(Within::Kilometres(km)) => parts.push(format!("within = \"{km} km\"")),
                None => {}
            }
            if !bias.is_empty() {
                let each = bias.iter().map(|(r, bias)| format!("{:?} = {bias}", REGIONS[*r].0));
                parts.push(format!("bias = {{ {} }}", each.collect::<Vec<_>>().join(", ")));
            }
            if !prefer.is_empty() {
                parts.push(format!("prefer = [{}]", rules_of(prefer)));
            }
            format!("{{ nearest = {{ {} }} }}", parts.join(", "))
        }
        Step::Least(figure, within) => {
            let name = match figure {
                Figure::Connections => "least-connections",
                Figure::ResponseTime => "least-response-time",
                Figure::Resource => "resource",
            };
            match within {
                None => format!("{name:?}"),
                Some(percent) => format!("{{ {name} = {{ within = \"{percent} %\" }} }}"),
            }
        }
        Step::Weighted => "\"weighted\"".to_owned(),
        Step::RoundRobin => "\"round-robin\"".to_owned(),
        Step::Sticky => "\"sticky\"".to_owned(),
        Step::Fair => "\"fair\"".to_owned(),
        Step::Load => "\"load\"".to_owned(),
        Step::Take(n) => format!("{{ take = {n} }}"),
    }
}

fn rules_of(rules: &[Rule]) -> String {
    let rule = |rule: &Rule| {
        let clients: Vec<_> = rule.clients.iter().map(who).collect();
        let refuse: Vec<_> = rule.refuse.iter().map(ToString::to_string).collect();
        let refuse =
            if refuse.is_empty() { String::new() } else { format!(", refuse = {refuse:?}") };
        format!("{{ clients = {clients:?}, regions = {:?}{refuse} }}", names(&rule.regions))
    };
    rules.iter().map(rule).collect::<Vec<_>>().join(", ")
}

fn who(who: &Who) -> String {
    match who {
        Who::All => "all".to_owned(),
        Who::Country(code) => (*code).to_owned(),
        Who::Continent(code) => format!("continent:{code}"),
        Who::Network(address, length) => format!("{address}/{length}"),
    }
}

fn names(regions: &[usize]) -> Vec<&'static str> {
    regions.iter().map(|region| REGIONS[*region].0).collect()
}
