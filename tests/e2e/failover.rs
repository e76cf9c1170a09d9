//! Regions that die, in several ways and many times: they leave the answers in time, come back in
//! time, and no client is ever sent nowhere. GEOPING_RUNS says how often, 20 times by default.
#![expect(clippy::disallowed_methods, reason = "looks at the clock and the environment")]

use std::net::IpAddr;
use std::time::{Duration, Instant};

use tests::canary::Canary;
use tests::figures;
use tests::name_server::Probe;
use tests::query::Ask;
use tests::relay::Mode;
use tests::wait;
use tests::world::{NAME, Shape, World, client};

/// How often each death is died.
const RUNS: usize = 20;

/// Of the service.
const TTL: Duration = Duration::from_secs(1);

/// Past its bound, how long a change is still waited for, to know how late it was.
const LATE: Duration = Duration::from_secs(10);

/// The region that dies: the nearest to those who ask.
const DYING: usize = 0;

/// The next nearest.
const NEXT: usize = 1;

#[test]
fn killed_regions_leave_the_answers_and_come_back() {
    let mut world = World::start("killed", shape(false));
    trial(
        "kill -9",
        &mut world,
        |world| world.regions[DYING].kill(),
        |world| {
            world.regions[DYING].revive();
        },
    );
}

#[test]
fn frozen_regions_leave_the_answers_and_come_back() {
    let mut world = World::start("frozen", shape(false));
    trial(
        "SIGSTOP",
        &mut world,
        |world| world.regions[DYING].freeze(),
        |world| {
            world.regions[DYING].thaw();
        },
    );
}

#[test]
fn regions_behind_a_black_hole_leave_the_answers_and_come_back() {
    let mut world = World::start("stalled", shape(true));
    trial(
        "black hole",
        &mut world,
        |world| world.relays[DYING].set(Mode::Stall),
        |world| {
            world.relays[DYING].set(Mode::Pass);
        },
    );
}

#[test]
fn with_all_regions_dead_the_answer_is_the_one_with_all_alive() {
    let mut world = World::start("all-dead", shape(false));
    let asks: Vec<Ask> = world
        .dns()
        .into_iter()
        .flat_map(|server| (0..3).map(move |place| Ask::a(server, NAME).from(client(place))))
        .collect();
    let all_up: Vec<Vec<u8>> = asks.iter().map(answer).collect();
    let canaries = canaries(&world);

    for region in &mut world.regions {
        region.kill();
    }
    for server in &mut world.name_servers {
        wait::until("the alarm", Probe::QUICK.until_gone() + LATE, || {
            server.metrics().sum("dnsrouter_services_fail_open") > 0.0
        });
        let log = server.process().log();
        assert!(log.contains("alarm raised") && log.contains(NAME), "an alarm is logged: {log}");
    }

    let all_dead: Vec<Vec<u8>> = asks.iter().map(answer).collect();
    assert_eq!(all_dead, all_up, "fail open: byte for byte the answer with all up");
    let open = world.name_servers[0].metrics().sum("dnsrouter_fail_open_total");
    assert!(open > 0.0, "answers given so are counted");

    world.regions[NEXT].revive();
    let next = world.regions[NEXT].address();
    let revived = Instant::now();
    for canary in &canaries {
        canary.back(next, revived, Probe::QUICK.until_back() + TTL + LATE);
    }
    for server in &world.name_servers {
        wait::until("the alarm to end", LATE, || {
            server.metrics().sum("dnsrouter_services_fail_open") == 0.0
        });
    }
    canaries.into_iter().for_each(|canary| assert!(canary.stop() > 0));
}

fn shape(relayed: bool) -> Shape {
    Shape { relayed, ttl: TTL.as_secs() as u32, ..Shape::default() }
}

/// Lets the nearest region die and return again and again under the eyes of canaries: one at each
/// name server, and one behind a resolver.
fn trial(death: &str, world: &mut World, die: impl Fn(&mut World), live: impl Fn(&mut World)) {
    let (dying, next) = (world.regions[DYING].address(), world.regions[NEXT].address());
    let canaries = canaries(world);
    let resolver = world.resolver(DYING);
    let behind = Canary::start("unbound", Ask::a(resolver.address(), NAME).recursive());
    let mut direct = Worst::new(Probe::QUICK, Duration::ZERO);
    let mut cached = Worst::new(Probe::QUICK, TTL);
    let runs = runs();
    for _ in 0..runs {
        let died = Instant::now();
        die(world);
        canaries.iter().for_each(|canary| direct.gone(canary, dying, next, died));
        cached.gone(&behind, dying, next, died);

        live(world);
        let lives = Instant::now();
        canaries.iter().for_each(|canary| direct.back(canary, dying, lives));
        cached.back(&behind, dying, lives);
    }
    let asked: usize = canaries.into_iter().chain([behind]).map(Canary::stop).sum();
    figures::show(&format!("{death}, {runs} runs, {asked} questions, none in vain:"));
    figures::show(&format!("  at the name servers  {direct}"));
    figures::show(&format!("  through unbound      {cached}"));
    direct.judge();
    cached.judge();
}

/// The longest times, and what they may be.
struct Worst {
    gone: Duration,
    back: Duration,
    may_be_gone: Duration,
    may_be_back: Duration,
}

impl Worst {
    fn new(probe: Probe, cache: Duration) -> Worst {
        Worst {
            gone: Duration::ZERO,
            back: Duration::ZERO,
            may_be_gone: probe.until_gone() + cache,
            may_be_back: probe.until_back() + cache,
        }
    }

    fn gone(&mut self, canary: &Canary, dying: IpAddr, next: IpAddr, since: Instant) {
        let took = canary.gone(dying, since, self.may_be_gone + LATE);
        self.gone = self.gone.max(took);
        let after = canary.since(since + took);
        let elsewhere = after.iter().all(|sighting| sighting.shows(next));
        assert!(elsewhere, "whoever is not sent to the dead is sent to the next nearest");
    }

    fn back(&mut self, canary: &Canary, living: IpAddr, since: Instant) {
        self.back = self.back.max(canary.back(living, since, self.may_be_back + LATE));
    }

    fn judge(&self) {
        assert!(self.gone <= self.may_be_gone && self.back <= self.may_be_back, "too late: {self}");
    }
}

impl std::fmt::Display for Worst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Worst { gone, back, may_be_gone, may_be_back } = self;
        write!(
            f,
            "gone after at most {gone:.2?} (bound {may_be_gone:.2?}), \
             back after at most {back:.2?} (bound {may_be_back:.2?})"
        )
    }
}

/// One at each name server, placed at the region that dies.
fn canaries(world: &World) -> Vec<Canary> {
    let canary = |server| {
        let ask = Ask::a(server, NAME).from(client(DYING));
        Canary::start(&server.to_string(), ask)
    };
    world.dns().into_iter().map(canary).collect()
}

fn answer(ask: &Ask) -> Vec<u8> {
    ask.expect().bytes_but_id().to_vec()
}

fn runs() -> usize {
    std::env::var("GEOPING_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)
}
