//! What each step does, and that no combination of them empties an answer.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use geo::{Distances, Lists, Place, Point, ScopeCap, Selector, TableBuilder, Within};
use ipnet::Ipv4Net;
use proptest::prelude::*;

use super::*;
use crate::health::State;
use crate::service::{Endpoint, FenceRule, Figure, Nearest, Percent, Prefer, Tiers};
use crate::target::HostPort;
use crate::verdicts::{Shares, Stance, Stances, Verdict, WHOLE};

mod direct;
mod drains;
mod odds;

const SERVICE: ServiceId = ServiceId(7);

const HEALTHY: Step = Step::Healthy { min_healthy: NonZeroU32::MIN };

fn take(n: u32) -> Step {
    Step::Take(NonZeroU32::new(n).unwrap())
}

/// Endpoint `i` has address 10.0.0.i (and fd00::i when `v6`), target `i`, tier 1 + its location.
fn policy(route: &[Step], endpoints: &[(u8, u32)], v6: bool) -> Policy {
    let endpoints = (0_u8..).zip(endpoints).map(|(i, (location, weight))| Endpoint {
        region: format!("r{location}"),
        addresses: std::iter::once(format!("10.0.0.{i}").parse().unwrap())
            .chain(v6.then(|| format!("fd00::{i:x}").parse().unwrap()))
            .collect(),
        records: Vec::new(),
        weight: *weight,
        tier: location + 1,
        capacity: None,
        pings: vec![HostPort { host: format!("10.0.0.{i}"), port: 1 }],
        check: None,
    });
    compiled(route, endpoints.collect())
}

fn compiled(route: &[Step], endpoints: Vec<Endpoint>) -> Policy {
    let service = Service {
        name: "geo.example.".parse().unwrap(),
        ttl: Duration::from_secs(60),
        ttl_min: Duration::from_secs(10),
        slow_start: Duration::ZERO,
        route: route.to_vec(),
        endpoints,
        bindings: Vec::new(),
    };
    let mut policy = Policy::compile(
        &service,
        SERVICE,
        |region| region[1..].parse().ok().filter(|location| *location < LOCATIONS),
        |watched| match watched.first.check.at().address().unwrap() {
            IpAddr::V4(v4) => TargetId(u32::from(v4.octets()[3])),
            IpAddr::V6(v6) => TargetId(u32::from(v6.octets()[15])),
        },
        &mut VIEWS.lock().unwrap(),
    );
    policy.settle(&GEO);
    policy
}

/// Regions r0 to r3.
const LOCATIONS: u8 = 4;

/// Clients that see the locations in each possible order: the n-th order is that of 10.1.n.0/24.
static ORDERS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let digits = |n: u8| [n / 64 % 4, n / 16 % 4, n / 4 % 4, n % 4].to_vec();
    let differ = |order: &Vec<u8>| (0..LOCATIONS).all(|location| order.contains(&location));
    (0..=255).map(digits).filter(differ).collect()
});

fn network_of(order: usize) -> Selector {
    Selector::Network(format!("10.1.{order}.0/24").parse().unwrap())
}

fn any_order() -> Nearest {
    let prefer = ORDERS.iter().enumerate().map(|(n, order)| Prefer {
        clients: vec![network_of(n)],
        regions: order.iter().map(|location| format!("r{location}")).collect(),
    });
    Nearest { prefer: prefer.collect(), ..Nearest::default() }
}

fn nearest() -> Step {
    Step::Nearest(Box::new(any_order()))
}

/// Clients of the n-th order may have location n mod 4 and the next; from the 20th on there is
/// none for them, but of the last two a stated answer.
fn fence() -> Step {
    let rule = |n: usize| FenceRule {
        clients: vec![network_of(n)],
        regions: if n < 20 {
            vec![format!("r{}", n % 4), format!("r{}", (n + 1) % 4)]
        } else {
            vec![]
        },
        refuse: if n < 22 { vec![] } else { vec!["192.0.2.200".parse().unwrap()] },
    };
    Step::Fence((0..ORDERS.len()).map(rule).collect())
}

static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    let clients: Vec<_> = (0..ORDERS.len()).map(|n| [network_of(n)]).collect();
    Lists::new(clients.iter().map(<[Selector; 1]>::as_slice)).unwrap()
});

static VIEWS: LazyLock<Mutex<Views<'static>>> = LazyLock::new(|| {
    let mut views = Views::new(&LISTS);
    let mut location = |region: &str| region[1..].parse().ok();
    views.lens(&any_order(), &mut location);
    let Step::Fence(rules) = fence() else { panic!("it is one") };
    views.fence(&rules, &mut location);
    Mutex::new(views)
});

/// 64.0.0.0
const SOMEWHERE: u32 = 64 << 24;

static GEO: LazyLock<Geo> = LazyLock::new(|| {
    let cap = ScopeCap::default();
    let mut builder = TableBuilder::with_lists(cap, LISTS.clone());
    // On the equator, 1113 km apart; the client of the plain lens is at the first.
    let point = |longitude| Point::new(0.0, longitude).unwrap();
    builder.network("10.2.0.0/16".parse().unwrap(), Place::from(point(0.0))).unwrap();
    // Neighbours differ, so that each /20 is a leaf.
    for leaf in 0..2048_u32 {
        let network = Ipv4Net::new(Ipv4Addr::from_bits(SOMEWHERE + (leaf << 12)), 20).unwrap();
        let place = Place::from(point(-f64::from(leaf % 2)));
        builder.network(network.into(), place).unwrap();
    }
    let table = Arc::new(builder.freeze());
    let points: Vec<_> = (0..LOCATIONS).map(|at| point(10.0 * f64::from(at))).collect();
    let views = VIEWS.lock().unwrap().build(&table, &points, []);
    Geo { views, distances: Distances::new(&points), cap, table, description: String::new() }
});

/// A client that sees the locations in this order; what is missing comes behind.
fn client(order: &[u8], draw: u64) -> Client<'static> {
    let begins = |known: &Vec<u8>| known.starts_with(order);
    client_of(ORDERS.iter().position(begins).unwrap(), draw)
}

fn client_of(order: usize, draw: u64) -> Client<'static> {
    at(&format!("10.1.{order}.7"), draw)
}

fn at(address: &str, draw: u64) -> Client<'static> {
    let address = address.parse().unwrap();
    let hit = GEO.table.lookup_subnet(address);
    let (geo, place) = (&*GEO, hit.place);
    let (stick, turn, leaf) = (draw, draw, hit.scope);
    Client {
        geo,
        place,
        address,
        slot: hit.slot,
        is_subnet: true,
        leaf,
        cap: 24,
        draw,
        stick,
        turn,
    }
}

fn states(up: &[bool]) -> Health {
    Health::new(up.iter().map(|up| if *up { State::Up } else { State::Down }))
}

/// The last octets of the answer.
fn answer(policy: &Policy, client: &Client<'_>, health: &Health) -> Vec<u8> {
    let choice = policy.choose(Form::A, client, health, &mut ());
    policy.records(Form::A, &choice, health).map(|a| a.rdata()[3]).collect()
}

#[test]
fn nearest_takes_one_endpoint_of_the_first_location() {
    let policy = policy(&[HEALTHY, nearest()], &[(0, 1), (1, 1), (2, 1)], false);
    let up = states(&[true; 3]);
    assert_eq!(answer(&policy, &client(&[2, 0, 1], 0), &up), [2]);
    assert_eq!(answer(&policy, &client(&[1, 2, 0], 0), &up), [1]);
}

#[test]
fn a_dead_nearest_gives_way_to_the_next() {
    let policy = policy(&[HEALTHY, nearest()], &[(0, 1), (1, 1), (2, 1)], false);
    let health = states(&[true, true, false]);
    assert_eq!(answer(&policy, &client(&[2, 0, 1], 0), &health), [0]);
}

#[test]
fn all_dead_answers_as_all_alive() {
    let policy = policy(&[HEALTHY, nearest()], &[(0, 1), (1, 1), (2, 1)], false);
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let client = client(&order, 0);
        let dead = states(&[false; 3]);
        assert_eq!(answer(&policy, &client, &dead), answer(&policy, &client, &states(&[true; 3])));
        assert!(policy.choose(Form::A, &client, &dead, &mut ()).fail_open);
    }
    assert!(policy.fails_open(&GEO, &states(&[false; 3])));
    assert!(!policy.fails_open(&GEO, &states(&[false, true, false])));
}

#[test]
fn min_healthy_is_the_point_where_filtering_stops() {
    let two = Step::Healthy { min_healthy: NonZeroU32::new(2).unwrap() };
    let policy = policy(&[two, nearest()], &[(0, 1), (1, 1), (2, 1)], false);
    let order = client(&[2, 0, 1], 0);
    assert_eq!(answer(&policy, &order, &states(&[true, true, false])), [0]);
    assert_eq!(answer(&policy, &order, &states(&[true, false, false])), [2], "fail open");
}

#[test]
fn take_goes_on_into_the_next_rank() {
    let policy = policy(&[HEALTHY, nearest(), take(2)], &[(0, 1), (1, 1), (2, 1)], false);
    assert_eq!(answer(&policy, &client(&[2, 0, 1], 0), &states(&[true; 3])), [2, 0]);
}

#[test]
fn without_an_order_there_is_no_cut() {
    let policy = policy(&[HEALTHY], &[(0, 1), (1, 1), (2, 1)], false);
    assert_eq!(answer(&policy, &client(&[0, 1, 2], 0), &states(&[true, false, true])), [0, 2]);
}

#[test]
fn weight_zero_is_the_last_resort() {
    let policy = policy(&[HEALTHY, Step::Weighted], &[(0, 0), (0, 5)], false);
    for draw in 0..100 {
        let client = client(&[0], draw);
        assert_eq!(answer(&policy, &client, &states(&[true, true])), [1]);
        assert_eq!(answer(&policy, &client, &states(&[true, false])), [0]);
    }
}

#[test]
fn weights_are_met_within_chance() {
    let weights = [(0, 10), (0, 20), (0, 70)];
    let policy = policy(&[Step::Weighted], &weights, false);
    const DRAWS: u64 = 100_000;
    let mut hits = [0_f64; 3];
    for draw in 0..DRAWS {
        let picked = answer(&policy, &client(&[0], mix(draw)), &Health::default());
        hits[picked[0] as usize] += 1.0;
    }
    let chi2: f64 = hits
        .iter()
        .zip(weights)
        .map(|(hit, (_, weight))| {
            let expected = DRAWS as f64 * f64::from(weight) / 100.0;
            (hit - expected).powi(2) / expected
        })
        .sum();
    // χ² with 2 degrees of freedom: P(> 27.63) = 1e-6.
    assert!(chi2 < 27.63, "χ² = {chi2}, hits {hits:?}");
}

#[test]
fn taking_an_endpoint_away_moves_only_its_own_clients() {
    let policy = policy(&[HEALTHY, Step::Weighted], &[(0, 1); 12], false);
    let all = states(&[true; 12]);
    let mut one_less = [true; 12];
    one_less[7] = false;
    let one_less = states(&one_less);
    for draw in 0..10_000 {
        let client = client(&[0], mix(draw));
        let before = answer(&policy, &client, &all);
        if before != [7] {
            assert_eq!(answer(&policy, &client, &one_less), before);
        }
    }
}

#[test]
fn families_are_chosen_separately() {
    let mut nearest_without_v6 = Vec::new();
    for (location, addresses) in [(0, &["10.0.0.0", "fd00::"][..]), (1, &["10.0.0.1"])] {
        nearest_without_v6.push(Endpoint {
            region: format!("r{location}"),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            records: Vec::new(),
            weight: 1,
            tier: 1,
            capacity: None,
            pings: vec![],
            check: None,
        });
    }
    let policy = compiled(&[HEALTHY, nearest()], nearest_without_v6);
    let client = client(&[1, 0], 0);
    let health = Health::default();
    let chosen = |form| {
        let choice = policy.choose(form, &client, &health, &mut ());
        policy.records(form, &choice, &health).map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(chosen(Form::A), ["10.0.0.1"]);
    assert_eq!(chosen(Form::Aaaa), ["fd00::"]);
    assert_eq!(policy.scope(Form::A, &client), 24, "that of the table's leaf");
    assert_eq!(policy.scope(Form::Aaaa, &client), 0, "one location: the client does not matter");
}

#[test]
fn the_scope_is_as_fine_as_what_the_steps_look_at() {
    let scope = |route: &[Step], endpoints: &[(u8, u32)]| {
        policy(route, endpoints, false).scope(Form::A, &at("10.2.0.7", 0))
    };
    const LEAF: u8 = 16;
    assert_eq!(scope(&[HEALTHY], &[(0, 1), (1, 1)]), 0);
    assert_eq!(scope(&[HEALTHY, nearest()], &[(0, 1), (1, 1)]), LEAF);
    assert_eq!(scope(&[HEALTHY, nearest()], &[(0, 1), (0, 1)]), 0);
    assert_eq!(scope(&[HEALTHY, nearest(), Step::Weighted], &[(0, 1), (1, 1)]), LEAF);
    assert_eq!(scope(&[HEALTHY, nearest(), Step::Weighted], &[(0, 1), (1, 1), (1, 1)]), 24);
    assert_eq!(scope(&[Step::Weighted], &[(0, 1), (1, 1)]), 24);
}

#[test]
fn failover_leaves_a_tier_only_when_it_is_dead() {
    let regions = |tiers: &[&[&str]]| {
        let tiers = tiers.iter().map(|t| t.iter().map(|r| (*r).to_owned()).collect()).collect();
        Step::Failover(Tiers::OfRegions(tiers))
    };
    let endpoints = [(0, 1), (1, 1), (2, 1)];
    let get = |step: &Step, up: [bool; 3]| {
        let policy = policy(&[HEALTHY, step.clone()], &endpoints, false);
        answer(&policy, &client(&[2, 1, 0], 0), &states(&up))
    };
    let own = Step::Failover(Tiers::OfEndpoints);
    assert_eq!(get(&own, [true; 3]), [0]);
    assert_eq!(get(&own, [false, true, true]), [1]);
    assert_eq!(get(&own, [false, false, true]), [2]);
    let listed = regions(&[&["r2"], &["r1"]]);
    assert_eq!(get(&listed, [true; 3]), [2]);
    assert_eq!(get(&listed, [true, true, false]), [1]);
    assert_eq!(get(&listed, [true, false, false]), [0], "what is not listed comes last");
    // Within a tier the next step decides.
    let policy =
        policy(&[HEALTHY, regions(&[&["r0", "r1"], &["r2"]]), nearest()], &endpoints, false);
    assert_eq!(answer(&policy, &client(&[2, 1, 0], 0), &states(&[true; 3])), [1]);
}

#[test]
fn round_robin_gives_each_its_turn() {
    let policy = policy(&[HEALTHY, Step::RoundRobin], &[(0, 1), (0, 9), (0, 0), (0, 1)], false);
    let turns = |up: [bool; 4]| -> Vec<u8> {
        (0..4).flat_map(|turn| answer(&policy, &client(&[0], turn), &states(&up))).collect()
    };
    assert_eq!(turns([true; 4]), [0, 1, 3, 0], "weights do not count, but 0 is a last resort");
    assert_eq!(turns([true, false, true, true]), [0, 3, 0, 3]);
    assert_eq!(turns([false, false, true, false]), [2; 4]);
}

#[test]
fn sticky_does_not_know_the_time() {
    let policy = policy(&[HEALTHY, Step::Sticky], &[(0, 1); 12], false);
    let all = states(&[true; 12]);
    let one_less = {
        let mut up = [true; 12];
        up[3] = false;
        states(&up)
    };
    let mut moved = 0;
    for stick in 0..10_000 {
        let at = |draw| Client { draw, turn: draw, ..client(&[0], mix(stick)) };
        let before = answer(&policy, &at(1), &all);
        assert_eq!(answer(&policy, &at(2), &all), before);
        let after = answer(&policy, &at(1), &one_less);
        assert!(before == [3] || before == after, "only the lost endpoint's clients move");
        moved += usize::from(before != after);
    }
    assert!((734..=933).contains(&moved), "{moved}: a twelfth, plus or minus 1 %");
}

#[test]
fn several_are_included_in_proportion_to_their_weights() {
    const DRAWS: u32 = 100_000;
    // Per case: weights, how many are taken, and how many of 12 answers each is in.
    for (weights, n, expected) in [
        (&[1_u32, 2, 3][..], 2, &[4.0, 8.0, 12.0][..]),
        (&[3, 1, 1, 1], 2, &[12.0, 4.0, 4.0, 4.0]),
        (&[1, 1, 1, 1], 3, &[9.0, 9.0, 9.0, 9.0]),
        (&[100, 2, 1, 1], 2, &[12.0, 6.0, 3.0, 3.0]),
        (&[0, 5, 0], 2, &[6.0, 12.0, 6.0]),
    ] {
        let endpoints: Vec<_> = weights.iter().map(|weight| (0, *weight)).collect();
        let policy = policy(&[Step::Weighted, take(n)], &endpoints, false);
        let mut hits = vec![0_u32; weights.len()];
        for draw in 0..DRAWS {
            let picked = answer(&policy, &client(&[0], mix(draw.into())), &Health::default());
            assert_eq!(picked.len(), n as usize);
            picked.iter().for_each(|endpoint| hits[*endpoint as usize] += 1);
        }
        for (hit, expected) in hits.iter().zip(expected) {
            let share = expected / 12.0;
            // Five standard deviations of a binomial distribution; none where it is certain.
            let deviation = (f64::from(DRAWS) * share * (1.0 - share)).sqrt();
            let off = (f64::from(*hit) - f64::from(DRAWS) * share).abs();
            assert!(off <= 5.0 * deviation, "{weights:?} take {n}: {hits:?}, not {expected}/12");
        }
    }
}

#[test]
fn a_cut_through_a_later_group_samples_that_group() {
    let endpoints = [(0, 5), (1, 3), (1, 1), (1, 1), (1, 1)];
    let policy = policy(&[nearest(), Step::Weighted, take(3)], &endpoints, false);
    for draw in 0..1000 {
        let picked = answer(&policy, &client(&[0, 1], mix(draw)), &Health::default());
        assert_eq!(picked[0], 0, "the nearest is first, and all of it");
        assert!(picked.contains(&1), "two of 3, 1, 1, 1: the first is certain");
    }
}

fn banded(within: Within) -> Step {
    Step::Nearest(Box::new(Nearest { within: Some(within), ..Nearest::default() }))
}

const FIGURES: [Figure; 3] = [Figure::Connections, Figure::ResponseTime, Figure::Resource];

/// Weak orders as they are after the last step but the cut: endpoints by group.
fn groups(policy: &Policy, client: &Client<'_>, health: &Health) -> Vec<Vec<u8>> {
    struct Last(Vec<Candidate>);
    impl Observer for Last {
        fn step(&mut self, step: &Step, _: &[Candidate], after: &[Candidate]) {
            if !matches!(step, Step::Take(_)) {
                self.0 = after.to_vec();
            }
        }
        fn restart(&mut self, _: Open) {}
    }
    let mut last = Last(Vec::new());
    policy.choose(Form::A, client, health, &mut last);
    let groups = last.0.chunk_by(|a, b| a.group == b.group);
    groups.map(|group| group.iter().map(|c| c.endpoint).collect()).collect()
}

#[test]
fn a_band_is_measured_from_the_nearest_that_is_left() {
    // At 0, 1113, 2226 and 3340 km.
    let endpoints = [(0, 1), (1, 1), (2, 1), (3, 1)];
    let see = |within, up: [bool; 4]| {
        let policy = policy(&[HEALTHY, banded(within)], &endpoints, false);
        groups(&policy, &at("10.2.0.7", 0), &states(&up))
    };
    let all = [true; 4];
    assert_eq!(see(Within::Kilometres(1200), all), [[0, 1], [2, 3]]);
    assert_eq!(see(Within::Kilometres(1200), [false, true, true, true]), [vec![1, 2], vec![3]]);
    assert_eq!(see(Within::Percent(60), [false, true, true, true]), [vec![1], vec![2, 3]]);
    assert_eq!(see(Within::Percent(110), [false, true, true, true]), [vec![1, 2], vec![3]]);
    let policy = policy(&[banded(Within::Kilometres(20_000))], &endpoints, false);
    let nowhere = at("10.3.0.7", 0);
    assert_eq!(groups(&policy, &nowhere, &Health::default()).len(), 4, "nothing is near");
}

#[test]
fn figures_of_pings_rank_and_the_silent_come_last() {
    let told =
        |in_flight, load, rtt| Verdict { told: true, in_flight, load, rtt, ..State::Up.into() };
    let health = Health::new([
        told(30, WHOLE / 2, 900),
        told(11, WHOLE / 4, 100),
        told(10, WHOLE, 105),
        State::Up.into(),
    ]);
    let see = |figure, within: Option<u16>| {
        let step = Step::Least { figure, within: within.map(Percent) };
        let policy = policy(&[HEALTHY, step], &[(0, 1); 4], false);
        groups(&policy, &client(&[0], 0), &health)
    };
    assert_eq!(see(Figure::Connections, None), [[2], [1], [0], [3]]);
    assert_eq!(see(Figure::Connections, Some(10)), [vec![2, 1], vec![0], vec![3]]);
    assert_eq!(see(Figure::ResponseTime, Some(4)), [[1], [2], [0], [3]]);
    assert_eq!(see(Figure::ResponseTime, Some(5)), [vec![1, 2], vec![0], vec![3]]);
    assert_eq!(see(Figure::Resource, None), [[1], [0], [2], [3]]);
}

#[test]
fn a_fence_holds_when_all_is_dead_and_says_what_it_says() {
    let policy = policy(&[HEALTHY, nearest(), fence()], &[(0, 1), (1, 1), (2, 1)], false);
    let order = ORDERS.iter().position(|order| *order == [2, 0, 1, 3]).unwrap();
    assert_eq!(order % 4, 0, "the client of this order may have r0 and r1");
    assert_eq!(answer(&policy, &client_of(order, 0), &states(&[true; 3])), [0]);
    assert_eq!(answer(&policy, &client_of(order, 0), &states(&[false, true, true])), [1]);
    let dead =
        policy.choose(Form::A, &client_of(order, 0), &states(&[false, false, true]), &mut ());
    assert!(dead.fail_open);
    assert_eq!(answer(&policy, &client_of(order, 0), &states(&[false, false, true])), [0]);
    let outside = |order, form| {
        policy.choose(form, &client_of(order, 0), &Health::default(), &mut ()).outside
    };
    assert_eq!(outside(20, Form::A), Some(Outside::Refused { rule: 20 }));
    assert_eq!(outside(20, Form::Mx), Some(Outside::Refused { rule: 20 }));
    assert_eq!(outside(22, Form::A), Some(Outside::Stated { rule: 22 }));
    assert_eq!(outside(22, Form::Aaaa), Some(Outside::NoData), "the rule states no such address");
    assert_eq!(outside(order, Form::Aaaa), Some(Outside::NoData), "there is an endpoint inside");
    assert!(policy.fails_open(&GEO, &states(&[true, false, false])), "for clients of r1 and r2");
    assert!(!policy.fails_open(&GEO, &states(&[true, false, true])));
}

#[test]
fn a_cold_endpoint_gets_its_share_little_by_little() {
    let degraded = Health::new([Verdict::from(State::Degraded), State::Up.into()]);
    for step in [Step::Weighted, Step::RoundRobin, Step::Sticky] {
        let policy = policy(&[HEALTHY, step.clone()], &[(0, 100), (0, 100)], false);
        let picked = |health: &Health| {
            let draws = (0..10_000).filter(|draw| {
                let client = Client { turn: *draw, ..client(&[0], mix(*draw)) };
                answer(&policy, &client, health) == [0]
            });
            draws.count()
        };
        let (whole, half) = (picked(&states(&[true, true])), picked(&degraded));
        assert!((4800..=5200).contains(&whole), "{step}: {whole}");
        // By weight 50 of 150; in turns every second of its own.
        let expected = if step == Step::RoundRobin { 2300..=2700 } else { 3133..=3533 };
        assert!(expected.contains(&half), "{step}: {half}");
    }
}

#[test]
fn a_recovered_endpoint_comes_back_little_by_little_where_that_is_wanted() {
    let warming = Verdict { warm: WHOLE / 4, ..State::Up.into() };
    let health = Health::new([warming, State::Up.into()]);
    let mut policy = policy(&[HEALTHY, Step::Weighted], &[(0, 100), (0, 100)], false);
    let picked = |policy: &Policy| {
        let draws =
            (0..10_000).filter(|draw| answer(policy, &client(&[0], mix(*draw)), &health) == [0]);
        draws.count()
    };
    let at_once = picked(&policy);
    assert!((4800..=5200).contains(&at_once), "{at_once}");
    policy.slow_start = Duration::from_secs(30);
    let slowly = picked(&policy);
    // 24 of 124.
    assert!((1735..=2135).contains(&slowly), "{slowly}");
}

#[test]
fn fair_shares_and_prices_are_those_that_were_reckoned() {
    let mut fair = policy(&[HEALTHY, Step::Fair { demand: None }], &[(0, 1), (0, 1)], false);
    fair.number(|| 0);
    let mut load = policy(&[HEALTHY, Step::Load], &[(0, 1), (1, 1)], false);
    load.number(|| 1);
    let mut health = states(&[true; 2]);
    let near = at("10.2.0.7", 0);
    assert_eq!(answer(&load, &near, &health), [0], "nothing is known of its load");
    health.set_shares(
        [
            Shares { weights: [0, 7].into(), ..Shares::default() },
            Shares { prices: [1300.0, 0.0].into(), ..Shares::default() },
        ]
        .into(),
    );
    for draw in 0..100 {
        assert_eq!(answer(&fair, &client(&[0], draw), &health), [1]);
    }
    assert_eq!(answer(&load, &near, &health), [1], "1113 km are less than 1300, dither included");
    let mut down = states(&[false; 2]);
    down.set_shares([Shares::default(), health.shares(1).unwrap().clone()].into());
    assert_eq!(answer(&load, &near, &down), [0], "as if all were up, and nothing known of them");
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1_u32..4).prop_map(|n| Step::Healthy { min_healthy: NonZeroU32::new(n).unwrap() }),
        Just(nearest()),
        Just(banded(Within::Percent(60))),
        Just(fence()),
        proptest::sample::select(FIGURES.to_vec())
            .prop_map(|figure| Step::Least { figure, within: Some(Percent(10)) }),
        Just(Step::Fair { demand: None }),
        Just(Step::Load),
        Just(Step::Weighted),
        Just(Step::RoundRobin),
        Just(Step::Sticky),
        Just(Step::Failover(Tiers::OfEndpoints)),
        Just(Step::Failover(Tiers::OfRegions(vec![vec!["r1".into(), "r3".into()]]))),
        (1_u32..4).prop_map(take),
    ]
}

proptest! {
    /// Any route over any endpoints in any health: never empty, never an address twice, and when
    /// it fails open, what it would be with everything up.
    #[test]
    fn never_empty_and_fail_open_is_all_up(
        route in proptest::collection::vec(any_step(), 0..6),
        endpoints in proptest::collection::vec((0_u8..4, 0_u32..4), 1..10),
        up in proptest::collection::vec(any::<bool>(), 10),
        draw: u64,
        order in 0..24_usize,
    ) {
        // One fence a route.
        let mut fenced = false;
        let is_second = |step: &Step| matches!(step, Step::Fence(_)) && std::mem::replace(&mut fenced, true);
        let mut is_second = is_second;
        let route: Vec<Step> = route.into_iter().filter(|step| !is_second(step)).collect();
        let policy = policy(&route, &endpoints, false);
        let client = client_of(order, draw);
        let health = states(&up);
        let choice = policy.choose(Form::A, &client, &health, &mut ());
        let got = answer(&policy, &client, &health);
        let inside = |endpoint: u8| {
            !fenced || order < 20 && [order % 4, (order + 1) % 4].contains(&endpoints[endpoint as usize].0.into())
        };
        if (0..policy.endpoints()).any(inside) {
            prop_assert!(!got.is_empty() && choice.outside.is_none());
            prop_assert!(got.iter().all(|endpoint| inside(*endpoint)), "always inside");
        } else {
            let stated = Outside::Stated { rule: u8::try_from(order).unwrap() };
            let refused = Outside::Refused { rule: u8::try_from(order).unwrap() };
            prop_assert_eq!(choice.outside, Some(if order < 22 { refused } else { stated }));
            prop_assert_eq!(got, if order < 22 { vec![] } else { vec![200] });
            return Ok(());
        }
        let mut unique = got.clone();
        unique.sort_unstable();
        unique.dedup();
        prop_assert_eq!(unique.len(), got.len());
        if choice.fail_open {
            prop_assert_eq!(got, answer(&policy, &client, &states(&[true; 10])));
        } else if route.iter().any(|step| matches!(step, Step::Healthy { .. })) {
            prop_assert!(got.iter().all(|i| up[*i as usize]), "only usable addresses");
        }
    }

    /// `nearest` alone agrees with the definition: the first location in the client's order that
    /// has a living endpoint, and there the first endpoint as written.
    #[test]
    fn nearest_agrees_with_its_definition(
        endpoints in proptest::collection::vec(0_u8..4, 1..10),
        up in proptest::collection::vec(any::<bool>(), 10),
        order in Just([0_u8, 1, 2, 3]).prop_shuffle(),
    ) {
        let pairs: Vec<_> = endpoints.iter().map(|l| (*l, 1)).collect();
        let policy = policy(&[HEALTHY, nearest()], &pairs, false);
        let none_up = !up[..endpoints.len()].iter().any(|u| *u);
        let expected = order.iter().find_map(|location| {
            (0..endpoints.len()).find(|i| endpoints[*i] == *location && (up[*i] || none_up))
        });
        let got = answer(&policy, &client(&order, 0), &states(&up));
        prop_assert_eq!(got, vec![u8::try_from(expected.unwrap()).unwrap()]);
    }
}
