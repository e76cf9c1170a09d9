//! What each step does, and that no combination of them empties an answer.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::health::State;
use crate::service::Endpoint;

const HEALTHY: Step = Step::Healthy { min_healthy: NonZeroU32::MIN };

fn take(n: u32) -> Step {
    Step::Take(NonZeroU32::new(n).unwrap())
}

/// Endpoint `i` has address 10.0.0.i (and fd00::i when `v6`), target `i`.
fn policy(route: &[Step], endpoints: &[(u8, u32)], v6: bool) -> Policy {
    let endpoints = (0_u8..).zip(endpoints).map(|(i, (location, weight))| Endpoint {
        region: format!("r{location}"),
        addresses: std::iter::once(format!("10.0.0.{i}").parse().unwrap())
            .chain(v6.then(|| format!("fd00::{i:x}").parse().unwrap()))
            .collect(),
        records: Vec::new(),
        weight: *weight,
        capacity: None,
        pings: vec![service::Ping { host: format!("10.0.0.{i}"), port: 1 }],
    });
    let service = Service {
        name: "geo.example.".parse().unwrap(),
        ttl: Duration::from_secs(60),
        route: route.to_vec(),
        endpoints: endpoints.collect(),
        bindings: Vec::new(),
    };
    Policy::compile(
        &service,
        |region| region[1..].parse().unwrap(),
        |target| match target.ping.address().unwrap() {
            IpAddr::V4(v4) => TargetId(u32::from(v4.octets()[3])),
            IpAddr::V6(v6) => TargetId(u32::from(v6.octets()[15])),
        },
    )
}

fn client(order: &[u8], draw: u64) -> Client<'_> {
    Client { order, leaf: 20, cap: 24, draw }
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
    let policy = policy(&[HEALTHY, Step::Nearest], &[(0, 1), (1, 1), (2, 1)], false);
    let up = states(&[true; 3]);
    assert_eq!(answer(&policy, &client(&[2, 0, 1], 0), &up), [2]);
    assert_eq!(answer(&policy, &client(&[1, 2, 0], 0), &up), [1]);
}

#[test]
fn a_dead_nearest_gives_way_to_the_next() {
    let policy = policy(&[HEALTHY, Step::Nearest], &[(0, 1), (1, 1), (2, 1)], false);
    let health = states(&[true, true, false]);
    assert_eq!(answer(&policy, &client(&[2, 0, 1], 0), &health), [0]);
}

#[test]
fn all_dead_answers_as_all_alive() {
    let policy = policy(&[HEALTHY, Step::Nearest], &[(0, 1), (1, 1), (2, 1)], false);
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let client = client(&order, 0);
        let dead = states(&[false; 3]);
        assert_eq!(answer(&policy, &client, &dead), answer(&policy, &client, &states(&[true; 3])));
        assert!(policy.choose(Form::A, &client, &dead, &mut ()).fail_open);
    }
    assert!(policy.fails_open(&states(&[false; 3])));
    assert!(!policy.fails_open(&states(&[false, true, false])));
}

#[test]
fn min_healthy_is_the_point_where_filtering_stops() {
    let two = Step::Healthy { min_healthy: NonZeroU32::new(2).unwrap() };
    let policy = policy(&[two, Step::Nearest], &[(0, 1), (1, 1), (2, 1)], false);
    let order = client(&[2, 0, 1], 0);
    assert_eq!(answer(&policy, &order, &states(&[true, true, false])), [0]);
    assert_eq!(answer(&policy, &order, &states(&[true, false, false])), [2], "fail open");
}

#[test]
fn take_goes_on_into_the_next_rank() {
    let policy = policy(&[HEALTHY, Step::Nearest, take(2)], &[(0, 1), (1, 1), (2, 1)], false);
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
            capacity: None,
            pings: vec![],
        });
    }
    let service = Service {
        name: "geo.example.".parse().unwrap(),
        ttl: Duration::from_secs(60),
        route: vec![HEALTHY, Step::Nearest],
        endpoints: nearest_without_v6,
        bindings: Vec::new(),
    };
    let policy = Policy::compile(&service, |r| r[1..].parse().unwrap(), |_| TargetId(0));
    let client = client(&[1, 0], 0);
    let health = Health::default();
    let chosen = |form| {
        let choice = policy.choose(form, &client, &health, &mut ());
        policy.records(form, &choice, &health).map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(chosen(Form::A), ["10.0.0.1"]);
    assert_eq!(chosen(Form::Aaaa), ["fd00::"]);
    assert_eq!(policy.scope(Form::A, &client), 20);
    assert_eq!(policy.scope(Form::Aaaa, &client), 0, "one location: the client does not matter");
}

#[test]
fn the_scope_is_as_fine_as_what_the_steps_look_at() {
    let scope = |route: &[Step], endpoints: &[(u8, u32)]| {
        policy(route, endpoints, false).scope(Form::A, &client(&[0, 1], 0))
    };
    assert_eq!(scope(&[HEALTHY], &[(0, 1), (1, 1)]), 0);
    assert_eq!(scope(&[HEALTHY, Step::Nearest], &[(0, 1), (1, 1)]), 20);
    assert_eq!(scope(&[HEALTHY, Step::Nearest], &[(0, 1), (0, 1)]), 0);
    assert_eq!(scope(&[HEALTHY, Step::Nearest, Step::Weighted], &[(0, 1), (1, 1)]), 20);
    assert_eq!(scope(&[HEALTHY, Step::Nearest, Step::Weighted], &[(0, 1), (1, 1), (1, 1)]), 24);
    assert_eq!(scope(&[Step::Weighted], &[(0, 1), (1, 1)]), 24);
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1_u32..4).prop_map(|n| Step::Healthy { min_healthy: NonZeroU32::new(n).unwrap() }),
        Just(Step::Nearest),
        Just(Step::Weighted),
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
        order in Just([0_u8, 1, 2, 3]).prop_shuffle(),
    ) {
        let policy = policy(&route, &endpoints, false);
        let client = client(&order, draw);
        let health = states(&up);
        let got = answer(&policy, &client, &health);
        prop_assert!(!got.is_empty());
        let mut unique = got.clone();
        unique.sort_unstable();
        unique.dedup();
        prop_assert_eq!(unique.len(), got.len());
        let choice = policy.choose(Form::A, &client, &health, &mut ());
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
        let policy = policy(&[HEALTHY, Step::Nearest], &pairs, false);
        let none_up = !up[..endpoints.len()].iter().any(|u| *u);
        let expected = order.iter().find_map(|location| {
            (0..endpoints.len()).find(|i| endpoints[*i] == *location && (up[*i] || none_up))
        });
        let got = answer(&policy, &client(&order, 0), &states(&up));
        prop_assert_eq!(got, vec![u8::try_from(expected.unwrap()).unwrap()]);
    }
}
