//! A route gone through as its documentation says, with nothing compiled and nothing shared.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::record::{Database, Found};
use crate::scene::{
    CONTINENTS, Endpoint, Figure, REGIONS, Rule, Scene, Service, Step, Who, Within,
};

/// What pings said of one address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) is_usable: bool,
    pub(crate) in_flight: u32,
    pub(crate) rtt: u32,
    pub(crate) load: u16,
}

/// What somebody said of a region or an endpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Said {
    Up,
    Down,
    /// So many in 65,535 have gone.
    Drain(u16),
}

/// All of them.
const GONE: u16 = u16::MAX;

/// All that is known beside the configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health {
    /// By address; what is not checked is not listed.
    pub(crate) measured: BTreeMap<IpAddr, Measured>,
    /// By position in [`REGIONS`].
    pub(crate) regions: BTreeMap<usize, Said>,
    /// By name of the service and position of the endpoint: counts before its region's.
    pub(crate) endpoints: BTreeMap<(String, usize), Said>,
    /// By name of the service, for each endpoint a weight of `fair` and kilometres of `load`; what is
    /// not listed has none.
    pub(crate) reckoned: BTreeMap<String, Vec<(u32, f32)>>,
}

/// What may be answered.
#[derive(Debug, PartialEq)]
pub(crate) enum Expected {
    Refused,
    NoData,
    /// These, in this order.
    Stated(Vec<IpAddr>),
    /// One of these: which, a drain's division of clients decides.
    Chosen(Vec<Chosen>),
}

/// Whose word counts on one way through a route.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Regard {
    /// Everybody's; the client is this one of 65,536 whom drains divide.
    All(u16),
    /// Drains do not count: too little would be left.
    NoDrains,
    /// Nobody's: everything is up.
    Nothing,
}

/// Groups of endpoints in their order; inside a group a draw decides where `is_drawn`.
#[derive(Debug, PartialEq)]
pub(crate) struct Chosen {
    /// Each endpoint's addresses that may be told.
    groups: Vec<Vec<Vec<IpAddr>>>,
    is_drawn: bool,
    take: usize,
    pub(crate) fail_open: bool,
}

/// Two figures that differ by less may come in either order: kilometres.
const SAME: f64 = 0.05;
/// The same for `load`, which sees each endpoint up to 50 km nearer or farther for each client.
const SAME_LOAD: f64 = 100.0 + SAME;
/// The earth's mean radius (IUGG), in kilometres.
const RADIUS: f64 = 6371.0088;

impl Chosen {
    /// Whether an answer is one of those that may be given.
    pub(crate) fn allows(&self, answer: &[IpAddr]) -> bool {
        let mut rest = answer;
        let mut left = self.take;
        for group in &self.groups {
            let mut open: Vec<_> = group.iter().collect();
            while left > 0 && !open.is_empty() {
                let next = match self.is_drawn {
                    true => open.iter().position(|addresses| rest.starts_with(addresses)),
                    false => rest.starts_with(open[0]).then_some(0),
                };
                let Some(next) = next else { return false };
                rest = &rest[open.remove(next).len()..];
                left -= 1;
            }
        }
        rest.is_empty()
    }
}

/// What a service answers; `None` where it hangs on less than can be told.
pub(crate) fn expected(
    scene: &Scene,
    database: &Database,
    service: &Service,
    client: IpAddr,
    v4: bool,
    health: &Health,
) -> Option<Expected> {
    let place = match explicit(scene, client) {
        Some(region) => Place { degrees: (REGIONS[region].1, REGIONS[region].2), country: None },
        None => {
            let Found { country, degrees } = database.place(client)?;
            Place { degrees, country: Some(country) }
        }
    };
    let ask = Ask { service, client, place, v4, health };
    ask.expected()
}

/// The region that the longest of the configured networks places the client in.
fn explicit(scene: &Scene, client: IpAddr) -> Option<usize> {
    let holding = scene.networks.iter().filter(|(net, length, _)| inside(client, *net, *length));
    holding.max_by_key(|(_, length, _)| length).map(|(.., region)| *region)
}

fn inside(address: IpAddr, net: IpAddr, length: u8) -> bool {
    match (address, net) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            length == 0 || (a.to_bits() ^ b.to_bits()) >> (32 - length) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            length == 0 || (a.to_bits() ^ b.to_bits()) >> (128 - length) == 0
        }
        _ => false,
    }
}

struct Place {
    degrees: (f64, f64),
    /// None: a configured network, of which only the point is known.
    country: Option<String>,
}

struct Ask<'a> {
    service: &'a Service,
    client: IpAddr,
    place: Place,
    v4: bool,
    health: &'a Health,
}

impl Ask<'_> {
    fn expected(&self) -> Option<Expected> {
        let endpoints = &self.service.endpoints;
        let mut all: Vec<usize> =
            (0..endpoints.len()).filter(|at| !self.family(&endpoints[*at]).is_empty()).collect();
        if all.is_empty() {
            // Of a family that the service has nowhere there is nothing, for nobody.
            return Some(Expected::NoData);
        }
        for step in &self.service.route {
            let Step::Fence(rules) = step else { continue };
            let Some(rule) = self.matched(rules)? else { continue };
            let is_inside = |at: &usize| rule.regions.contains(&endpoints[*at].region);
            all.retain(is_inside);
            if all.is_empty() {
                let anything = (0..endpoints.len()).any(|at| is_inside(&at));
                let stated: Vec<_> =
                    rule.refuse.iter().filter(|a| a.is_ipv4() == self.v4).copied().collect();
                return Some(match (anything, rule.refuse.is_empty()) {
                    (true, _) => Expected::NoData,
                    (false, true) => Expected::Refused,
                    (false, false) => Expected::Stated(stated),
                });
            }
        }
        // Where one drain has come farther than the client, it is one; where not, another.
        let drains = (0..endpoints.len()).filter_map(|at| match self.said(at) {
            Some(Said::Drain(gone)) if gone < GONE => Some(gone),
            _ => None,
        });
        let mut worlds: Vec<u16> = drains.chain([0]).collect();
        worlds.sort_unstable();
        worlds.dedup();
        let chosen = worlds.into_iter().map(|hash| {
            let mut regards = [Regard::All(hash), Regard::NoDrains, Regard::Nothing].into_iter();
            let mut chosen = None;
            while let (None, Some(regard)) = (&chosen, regards.next()) {
                chosen = self.walk(all.clone(), regard)?;
            }
            Some(chosen.expect("without health nothing is dropped"))
        });
        Some(Expected::Chosen(chosen.collect::<Option<_>>()?))
    }

    /// Outer `None`: too close to tell. Inner `None`: too few are healthy.
    fn walk(&self, all: Vec<usize>, regard: Regard) -> Option<Option<Chosen>> {
        let endpoints = &self.service.endpoints;
        let mut groups = vec![all];
        let (mut is_drawn, mut only_usable) = (false, false);
        let (mut take, mut makes_order) = (None, false);
        for step in &self.service.route {
            match step {
                Step::Healthy(least) if regard != Regard::Nothing => {
                    let before: usize = groups.iter().map(Vec::len).sum();
                    groups.iter_mut().for_each(|group| {
                        group.retain(|at| {
                            self.family(&endpoints[*at])
                                .iter()
                                .any(|a| self.usable(*at, *a, regard))
                        });
                    });
                    let after: usize = groups.iter().map(Vec::len).sum();
                    if after < (*least).min(before) {
                        return Some(None);
                    }
                    only_usable = true;
                }
                Step::Fence(_) | Step::Healthy(_) => {}
                Step::Failover => {
                    makes_order = true;
                    groups = split(groups, |at| endpoints[at].tier);
                }
                Step::FailoverOf(tiers) => {
                    makes_order = true;
                    let tier = |at: usize| {
                        let region = &endpoints[at].region;
                        tiers.iter().position(|t| t.contains(region)).unwrap_or(usize::MAX)
                    };
                    groups = split(groups, tier);
                }
                Step::Nearest { within, bias, prefer } => {
                    makes_order = true;
                    groups = self.nearest(groups, *within, bias, prefer)?;
                }
                Step::Least(figure, within) => {
                    makes_order = true;
                    let limit = |least: f64| least * (1.0 + f64::from(within.unwrap_or(0)) / 100.0);
                    let figure = |at: usize| (0, self.figure(*figure, &endpoints[at]));
                    groups = bands(groups, figure, limit, None)?;
                }
                Step::Load => {
                    makes_order = true;
                    let price = |at: usize| match regard {
                        Regard::Nothing => 0.0,
                        _ => self.reckoned(at).map_or(0.0, |(_, price)| price),
                    };
                    let cost = |at: usize| {
                        let (_, latitude, longitude) = REGIONS[endpoints[at].region];
                        haversine(self.place.degrees, (latitude, longitude)) + f64::from(price(at))
                    };
                    let figure = |at: usize| (0, Some(cost(at)));
                    let near = Some((&(|_, _| false) as Same<'_>, SAME_LOAD));
                    groups = bands(groups, figure, |least| least, near)?;
                }
                Step::Weighted | Step::Sticky | Step::RoundRobin | Step::Fair => {
                    (makes_order, is_drawn) = (true, true);
                    // Last resorts are behind all others, in their own order. Nobody states a capacity:
                    // as long as nothing is reckoned, fair weights are equal.
                    let is_last = |at: &usize| match step {
                        Step::Fair => self.reckoned(*at).is_some_and(|(weight, _)| weight == 0),
                        _ => endpoints[*at].weight == 0,
                    };
                    let part = |last: bool| {
                        let of = |group: &Vec<usize>| -> Vec<usize> {
                            group.iter().copied().filter(|at| is_last(at) == last).collect()
                        };
                        groups.iter().map(of).collect::<Vec<_>>()
                    };
                    groups = [part(false), part(true)].concat();
                }
                Step::Take(n) => take = take.or(Some(*n)),
            }
        }
        let take = take.unwrap_or(if makes_order { 1 } else { usize::MAX });
        let told = |at: &usize| -> Vec<IpAddr> {
            let addresses = self.family(&endpoints[*at]).into_iter();
            addresses.filter(|a| !only_usable || self.usable(*at, *a, regard)).collect()
        };
        let groups = groups.iter().filter(|group| !group.is_empty());
        let groups = groups.map(|group| group.iter().map(told).collect()).collect();
        let fail_open = !matches!(regard, Regard::All(_));
        Some(Some(Chosen { groups, is_drawn, take, fail_open }))
    }

    fn nearest(
        &self,
        groups: Vec<Vec<usize>>,
        within: Option<Within>,
        bias: &[(usize, i32)],
        prefer: &[Rule],
    ) -> Option<Vec<Vec<usize>>> {
        let endpoints = &self.service.endpoints;
        let preferred = self.matched(prefer)?.map_or(&[][..], |rule| &rule.regions);
        let distance = |region: usize| {
            let (_, latitude, longitude) = REGIONS[region];
            let bias = bias.iter().find(|(of, _)| *of == region).map_or(0, |(_, bias)| *bias);
            let rest = 1.0 - f64::from(bias.abs()) / 100.0;
            let km = haversine(self.place.degrees, (latitude, longitude));
            if bias < 0 { km / rest } else { km * rest }
        };
        let figure = |at: usize| {
            let region = endpoints[at].region;
            match preferred.iter().position(|r| *r == region) {
                Some(position) => (position, Some(0.0)),
                None => (preferred.len(), Some(distance(region))),
            }
        };
        let limit = |least: f64| match within {
            None => least,
            Some(Within::Percent(percent)) => least * (1.0 + f64::from(percent) / 100.0),
            Some(Within::Kilometres(more)) => least + f64::from(more),
        };
        let same = |a: usize, b: usize| endpoints[a].region == endpoints[b].region;
        bands(groups, figure, limit, Some((&same, SAME)))
    }

    /// The first rule that is for the client; outer `None` where its country is not known here.
    fn matched<'r>(&self, rules: &'r [Rule]) -> Option<Option<&'r Rule>> {
        for rule in rules {
            for who in &rule.clients {
                let is_for = match who {
                    Who::All => true,
                    Who::Network(net, length) => inside(self.client, *net, *length),
                    Who::Country(code) => self.place.country.as_deref() == Some(*code),
                    Who::Continent(continent) => match &self.place.country {
                        None => false,
                        Some(country) => {
                            let of =
                                |(_, all): &&(&str, &str)| all.split(' ').any(|c| c == country);
                            CONTINENTS.iter().find(of)?.0 == *continent
                        }
                    },
                };
                if is_for {
                    return Some(Some(rule));
                }
            }
        }
        Some(None)
    }

    fn family(&self, endpoint: &Endpoint) -> Vec<IpAddr> {
        endpoint.addresses.iter().filter(|a| a.is_ipv4() == self.v4).copied().collect()
    }

    /// What counts of what was said of an endpoint.
    fn said(&self, at: usize) -> Option<Said> {
        let own = self.health.endpoints.get(&(self.service.name.clone(), at));
        own.or_else(|| self.health.regions.get(&self.service.endpoints[at].region)).copied()
    }

    fn usable(&self, at: usize, address: IpAddr, regard: Regard) -> bool {
        let measured = || self.health.measured.get(&address).is_none_or(|m| m.is_usable);
        match (regard, self.said(at)) {
            (Regard::Nothing, _) | (_, Some(Said::Up)) => true,
            (_, Some(Said::Down)) => false,
            (Regard::All(hash), Some(Said::Drain(gone))) => {
                measured() && (gone == 0 || (gone < GONE && hash >= gone))
            }
            (Regard::NoDrains, Some(Said::Drain(_))) | (_, None) => measured(),
        }
    }

    /// A weight and kilometres.
    fn reckoned(&self, at: usize) -> Option<(u32, f32)> {
        self.health.reckoned.get(&self.service.name)?.get(at).copied()
    }

    /// Of its first address of the family; none: not checked.
    fn figure(&self, figure: Figure, endpoint: &Endpoint) -> Option<f64> {
        let first = self.family(endpoint).into_iter().next()?;
        let measured = self.health.measured.get(&first)?;
        Some(match figure {
            Figure::Connections => measured.in_flight.into(),
            Figure::ResponseTime => measured.rtt.into(),
            Figure::Resource => measured.load.into(),
        })
    }
}

/// The region nearest to a point.
pub(crate) fn nearest_region(degrees: (f64, f64)) -> usize {
    let distance = |region: &usize| haversine(degrees, (REGIONS[*region].1, REGIONS[*region].2));
    let nearest = (0..REGIONS.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)));
    nearest.expect("there are regions")
}

/// Splits each group by a key, lower ones first.
fn split<K: Ord>(groups: Vec<Vec<usize>>, key: impl Fn(usize) -> K) -> Vec<Vec<usize>> {
    let mut split = Vec::new();
    for group in groups {
        let mut by_key: BTreeMap<K, Vec<usize>> = BTreeMap::new();
        group.into_iter().for_each(|at| by_key.entry(key(at)).or_default().push(at));
        split.extend(by_key.into_values().map(|mut alike| {
            alike.sort_unstable();
            alike
        }));
    }
    split
}

/// Whether two endpoints have the very same figure.
type Same<'a> = &'a dyn Fn(usize, usize) -> bool;

/// Splits each group by class and figure: the least of what is left takes along what is within its
/// limit. Without a figure they come last, together. `None` where two that are not the same are too
/// `close` to tell which comes first, or whether one is within the limit.
fn bands(
    groups: Vec<Vec<usize>>,
    figure: impl Fn(usize) -> (usize, Option<f64>),
    limit: impl Fn(f64) -> f64,
    close: Option<(Same<'_>, f64)>,
) -> Option<Vec<Vec<usize>>> {
    let mut split = Vec::new();
    for group in groups {
        let mut left: Vec<(usize, f64, usize)> = Vec::new();
        let mut without = Vec::new();
        for at in group {
            match figure(at) {
                (class, Some(value)) => left.push((class, value, at)),
                (_, None) => without.push(at),
            }
        }
        left.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
        while let Some(&(class, least, first)) = left.first() {
            let limit = limit(least);
            if let Some((same, closeness)) = close {
                let other = |(c, _, at): &(usize, f64, usize)| *c == class && !same(first, *at);
                let near = |value: f64, to: f64| (value - to).abs() < closeness;
                let mut others = left.iter().filter(|one| other(one));
                if others.any(|(_, value, _)| near(*value, least) || near(*value, limit)) {
                    return None;
                }
            }
            let is_in = |(c, value, _): &(usize, f64, usize)| *c == class && *value <= limit;
            let (band, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(is_in);
            if let Some((same, closeness)) = close
                && band.windows(2).any(|w| !same(w[0].2, w[1].2) && w[1].1 - w[0].1 < closeness)
            {
                return None;
            }
            split.push(band.into_iter().map(|(.., at)| at).collect());
            left = rest;
        }
        without.sort_unstable();
        split.push(without);
    }
    Some(split)
}

/// Kilometres along a great circle (Sinnott 1984).
fn haversine(from: (f64, f64), to: (f64, f64)) -> f64 {
    let (from, to) =
        ((from.0.to_radians(), from.1.to_radians()), (to.0.to_radians(), to.1.to_radians()));
    let half = |a: f64, b: f64| ((b - a) / 2.0).sin().powi(2);
    let h = half(from.0, to.0) + from.0.cos() * to.0.cos() * half(from.1, to.1);
    2.0 * RADIUS * h.sqrt().min(1.0).asin()
}
