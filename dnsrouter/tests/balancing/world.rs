//! A simulated world: clients that ask for an answer, keep it for a TTL and load the region that it
//! names; pings that see rates late; and the controllers of `load`, one per name server, or none.

use std::time::Duration;

use dnsrouter::balance::demand::{Demand, Field};
use dnsrouter::balance::dither;
use dnsrouter::balance::prices::Room;
use dnsrouter::balance::spill::{Condition, Interval, Seen, Spill};
use dnsrouter::random::Random;
use geo::Point;

use crate::population::{CITIES, Person, uniform};

/// Seconds that an answer is kept.
pub(crate) const TTL: u32 = 60;
/// Pings' rates are averages over so many seconds.
const WINDOW: usize = 10;
/// From a region's death until it is no longer answered with: three pings every two seconds.
pub(crate) const NOTICED: u32 = 6;

/// A region and what happens in it.
#[derive(Debug, Clone)]
pub(crate) struct Region {
    /// Requests per second.
    pub(crate) capacity: f64,
    /// As pings tell it.
    pub(crate) condition: Condition,
    /// Whether it serves at all.
    pub(crate) alive: bool,
    pub(crate) round_trip: Option<Duration>,
    /// Whether its pings tell a rate.
    pub(crate) tells: bool,
    history: Vec<f64>,
    /// Use of its capacity, by second.
    pub(crate) series: Vec<f64>,
}

struct Client {
    person: Person,
    /// The name server that its resolver asks.
    server: usize,
    km: Box<[f32]>,
    answer: Option<usize>,
}

/// A name server, which reckons by itself from pings of its own.
struct Server {
    spill: Spill,
    field: Field,
    room: Room,
    ear: Ear,
    random: Random,
}

/// What a name server hears of the regions.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ear {
    /// Seconds by which it hears rates later than they are.
    pub(crate) late: u32,
    /// It hears each rate wrong by up to this part, another each time.
    pub(crate) wrong: f64,
    /// Its seconds of decision, modulo the interval.
    pub(crate) phase: u32,
}

/// Who asks which name server, and where each believes that clients are.
pub(crate) struct Servers<'a> {
    pub(crate) ears: &'a [Ear],
    /// The position of the one that a client's resolver asks.
    pub(crate) of: &'a dyn Fn(&Person) -> usize,
    /// By name server and city: what it believes of the city's size, as a factor.
    pub(crate) guess: &'a dyn Fn(usize, &Person) -> f64,
}

/// The world.
pub(crate) struct World {
    pub(crate) regions: Vec<Region>,
    /// By the second of their TTL in which they ask.
    clients: Vec<Vec<Client>>,
    /// By region and city: clients that go there, and the sum of their kilometres.
    there: Vec<[(f64, f64); CITIES.len()]>,
    /// Clients by city.
    sizes: [f64; CITIES.len()],
    /// Requests per second of one client, by its city.
    pub(crate) each: Vec<f64>,
    /// None: the nearest usable region is answered.
    servers: Vec<Server>,
    now: u32,
    /// Seconds from one decision to the next.
    pub(crate) interval: u32,
    /// Passes over the demand that the controller took.
    pub(crate) passes: Vec<usize>,
    /// By second: the mean kilometres of the clients that are served.
    pub(crate) km: Vec<f64>,
}

impl World {
    /// Regions by name with their use of capacity when everybody is answered with the nearest:
    /// capacities follow from it. `guess`: where the controller believes that clients are, as a factor
    /// to each city's size; none: no controller.
    pub(crate) fn new(
        people: &[Person],
        regions: &[(&'static str, f64)],
        guess: Option<&dyn Fn(usize) -> f64>,
    ) -> Self {
        let has_guess = guess.is_some();
        let guess = |_, person: &Person| guess.map_or(1.0, |guess| guess(person.city));
        let ears: &[Ear] = if has_guess { &[Ear::default()] } else { &[] };
        Self::with(people, regions, &Servers { ears, of: &|_| 0, guess: &guess })
    }

    /// The same with several name servers; or with none.
    pub(crate) fn with(
        people: &[Person],
        regions: &[(&'static str, f64)],
        servers: &Servers<'_>,
    ) -> Self {
        let points: Vec<Point> =
            regions.iter().map(|(name, _)| geo::regions::find(name).unwrap().point).collect();
        let mut clients: Vec<Vec<Client>> = (0..TTL).map(|_| Vec::new()).collect();
        let mut nearest = vec![0.0; regions.len()];
        let mut sizes = [0.0; CITIES.len()];
        for (person, second) in people.iter().zip((0..TTL as usize).cycle()) {
            let km: Box<[f32]> =
                points.iter().map(|to| person.point.distance(to).0 as f32).collect();
            let near = (0..km.len()).min_by(|a, b| km[*a].total_cmp(&km[*b])).unwrap();
            nearest[near] += 1.0;
            sizes[person.city] += 1.0;
            let server = (servers.of)(person);
            clients[second].push(Client { person: *person, server, km, answer: None });
        }
        let each = vec![1.0; CITIES.len()];
        let controllers = servers.ears.iter().enumerate().map(|(at, ear)| {
            let believed = people.iter().map(|person| (person.point, (servers.guess)(at, person)));
            Server {
                spill: Spill::new(regions.len()),
                field: Field::new(&Demand::new(believed), &points, regions.len()),
                room: Room::default(),
                ear: *ear,
                random: Random::from_seed(at as u64),
            }
        });
        let servers = controllers.collect();
        let region = |((_, share), nearest): (&(&'static str, f64), &f64)| Region {
            capacity: nearest / share,
            condition: Condition::Well,
            alive: true,
            round_trip: Some(Duration::from_millis(80)),
            tells: true,
            history: Vec::new(),
            series: Vec::new(),
        };
        let regions = regions.iter().zip(&nearest).map(region).collect();
        let (passes, km) = (Vec::new(), Vec::new());
        let there = vec![[(0.0, 0.0); CITIES.len()]; points.len()];
        Self { regions, clients, there, sizes, each, servers, now: 0, interval: 1, passes, km }
    }

    /// Lets one second pass.
    pub(crate) fn second(&mut self) {
        self.control();
        let prices: Vec<_> = self.servers.iter().map(|server| server.spill.prices()).collect();
        let usable: Vec<bool> =
            self.regions.iter().map(|r| r.condition != Condition::Gone).collect();
        let open = !usable.contains(&true);
        for client in &mut self.clients[(self.now % TTL) as usize] {
            let cost = |e: &usize| match prices.get(client.server) {
                Some(prices) => {
                    client.km[*e] + dither(client.person.stick, *e as u64 + 1000) + prices[*e]
                }
                None => client.km[*e],
            };
            let usable = (0..usable.len()).filter(|e| open || usable[*e]);
            let answer = usable.min_by(|a, b| cost(a).total_cmp(&cost(b)));
            let mut count = |answer: Option<usize>, by: f64| {
                let Some(region) = answer else { return };
                let (clients, km) = &mut self.there[region][client.person.city];
                *clients += by;
                *km += by * f64::from(client.km[region]);
            };
            count(client.answer, -1.0);
            count(answer, 1.0);
            client.answer = answer;
        }
        self.load();
        self.now += 1;
    }

    /// Lets so many seconds pass.
    pub(crate) fn run(&mut self, seconds: u32) {
        (0..seconds).for_each(|_| self.second());
    }

    /// A region dies; the world notices a little later.
    pub(crate) fn kill(&mut self, region: usize) {
        self.regions[region].alive = false;
        self.run(NOTICED);
        self.regions[region].condition = Condition::Gone;
    }

    pub(crate) fn revive(&mut self, region: usize) {
        self.regions[region].alive = true;
        self.run(NOTICED);
        self.regions[region].condition = Condition::Well;
    }

    pub(crate) fn prices(&self) -> Option<Box<[f32]>> {
        self.servers.first().map(|server| server.spill.prices())
    }

    /// Use of capacity now, by region.
    pub(crate) fn used(&self) -> Vec<f64> {
        self.regions.iter().map(|region| region.series.last().copied().unwrap_or(0.0)).collect()
    }

    /// Requests per second of all clients, whoever serves them.
    pub(crate) fn demand(&self) -> f64 {
        self.sizes.iter().zip(&self.each).map(|(clients, each)| clients * each).sum()
    }

    fn load(&mut self) {
        let mut rates = vec![0.0; self.regions.len()];
        let (mut km, mut served) = (0.0, 0.0);
        for (region, cities) in
            self.there.iter().enumerate().filter(|(r, _)| self.regions[*r].alive)
        {
            for ((clients, sum), each) in cities.iter().zip(&self.each) {
                rates[region] += clients * each;
                km += sum * each;
                served += clients * each;
            }
        }
        self.km.push(km / f64::max(served, 1.0));
        for (region, rate) in self.regions.iter_mut().zip(rates) {
            region.history.push(rate);
            let used = if region.capacity > 0.0 { rate / region.capacity } else { rate };
            region.series.push(used);
        }
    }

    fn control(&mut self) {
        let Self { servers, regions, now, interval, passes, .. } = self;
        for Server { spill, field, room, ear, random } in servers {
            if *now % *interval != ear.phase % *interval {
                continue;
            }
            let see = |region: &Region| {
                let heard = region.history.len().saturating_sub(ear.late as usize);
                let last = &region.history[heard.saturating_sub(WINDOW)..heard];
                let mean = last.iter().sum::<f64>() / last.len().max(1) as f64;
                // Nobody knows the first rate before clients have had a time to ask.
                let known = region.tells && region.alive && *now >= TTL + ear.late;
                let heard = mean * (1.0 + ear.wrong * (2.0 * uniform(random) - 1.0));
                Seen {
                    capacity: Some(region.capacity),
                    rate: known.then_some(heard),
                    condition: region.condition,
                    round_trip: region.round_trip,
                }
            };
            let seen: Vec<Seen> = regions.iter().map(see).collect();
            let locations: Vec<u8> = (0..seen.len() as u8).collect();
            let span = Duration::from_secs((*interval).into());
            let ttl = Duration::from_secs(TTL.into());
            passes.push(spill.step(&Interval { field, span }, &locations, &seen, ttl, room));
        }
    }
}

/// How far a series goes up and down in all.
pub(crate) fn variation(series: &[f64]) -> f64 {
    series.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum()
}

/// The largest value of a series.
pub(crate) fn most(series: &[f64]) -> f64 {
    series.iter().copied().fold(0.0, f64::max)
}
