//! Probabilities against the draws that they stand for.

use super::*;

/// Draws that a probability is held against.
const MANY: u32 = 4000;

/// How often each endpoint has its share of an answer, over many draws.
fn drawn(policy: &Policy, client: &Client<'_>, health: &Health) -> Vec<f64> {
    let mut shares = vec![0.0; usize::from(policy.endpoints())];
    for turn in 0..u64::from(MANY) {
        let client = Client { draw: mix(!turn), turn, ..*client };
        let candidates = policy.choose(Form::A, &client, health, &mut ()).candidates;
        for candidate in &candidates {
            let part = f64::from(MANY) * candidates.len() as f64;
            shares[usize::from(candidate.endpoint)] += 1.0 / part;
        }
    }
    shares
}

fn shares(odds: &Odds, endpoints: u8) -> Vec<f64> {
    let of = |endpoint| odds.shares.iter().find(|(e, _)| *e == endpoint).map_or(0.0, |(_, s)| *s);
    (0..endpoints).map(of).collect()
}

#[test]
fn weights_are_shares() {
    let route = [HEALTHY, nearest(), Step::Weighted];
    let policy = policy(&route, &[(0, 1), (0, 3), (1, 1), (0, 0)], false);
    let of = |up: [bool; 4]| {
        shares(&policy.odds(Form::A, &client(&[0, 1], 5), &states(&up), &mut Draws::default()), 4)
    };
    assert_eq!(of([true; 4]), [0.25, 0.75, 0.0, 0.0]);
    assert_eq!(of([true, false, true, true]), [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(of([false, false, true, true]), [0.0, 0.0, 1.0, 0.0], "weight 0 is behind all");
    assert_eq!(of([false; 4]), of([true; 4]), "fail open");
}

#[test]
fn several_at_once_are_in_as_often_as_they_are_drawn() {
    let policy = policy(&[Step::Weighted, take(2)], &[(0, 3), (0, 1), (1, 1), (1, 1)], false);
    let odds =
        policy.odds(Form::A, &client(&[0, 1], 0), &states(&[true; 4]), &mut Draws::default());
    let third = 1.0 / 3.0 / 2.0;
    for (share, expected) in shares(&odds, 4).into_iter().zip([0.5, third, third, third]) {
        assert!((share - expected).abs() < 1e-12, "{odds:?}");
    }
    assert!(!odds.drawn);
}

#[test]
fn what_sticks_is_one_answer_and_what_has_no_form_is_drawn() {
    let endpoints = [(0, 1), (0, 2), (1, 5)];
    let sticky = policy(&[Step::Sticky], &endpoints, false);
    for draw in 0..50 {
        let client = client(&[0, 1], draw);
        let odds = sticky.odds(Form::A, &client, &states(&[true; 3]), &mut Draws::default());
        let only = answer(&sticky, &client, &states(&[true; 3]));
        assert_eq!(odds.shares.as_slice(), [(only[0], 1.0)]);
        assert!(sticky.looks(&states(&[true; 3])).prefix);
    }
    // Ordered by weight, then cut much later: a draw without replacement.
    let late = policy(&[Step::Weighted, nearest(), take(2)], &endpoints, false);
    let odds = late.odds(Form::A, &client(&[0, 1], 0), &states(&[true; 3]), &mut Draws::default());
    assert!(odds.drawn);
    assert!((odds.shares.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn looks_are_what_routes_look_at() {
    let up = states(&[true; 2]);
    let looks = |route: &[Step]| policy(route, &[(0, 1), (1, 1)], false).looks(&up);
    assert_eq!(looks(&[HEALTHY, Step::Weighted]), Looks::default());
    let near = looks(&[HEALTHY, nearest(), Step::Weighted]);
    assert!(near.lenses.len() == 1 && !near.kilometres && !near.prefix, "{near:?}");
    assert_eq!(looks(&[fence()]).fence, Some(0));
    let load = looks(&[Step::Load]);
    assert!(load.kilometres && load.prefix);

    let mut draining = up.clone();
    draining.set_stances(Arc::new(Stances {
        locations: [Stance::Draining { gone: 9 }].into(),
        ..Stances::default()
    }));
    let filtered = policy(&[HEALTHY], &[(0, 1), (1, 1)], false);
    assert!(filtered.looks(&draining).prefix && !filtered.looks(&up).prefix);
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(HEALTHY),
        Just(nearest()),
        Just(fence()),
        Just(Step::Weighted),
        Just(Step::RoundRobin),
        Just(Step::Fair { demand: None }),
        Just(Step::Failover(Tiers::OfEndpoints)),
        (1_u32..4).prop_map(take),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn odds_are_the_shares_of_many_draws(
        route in prop::collection::vec(step(), 1..5),
        endpoints in prop::collection::vec((0..LOCATIONS, 0_u32..5), 1..6),
        up in prop::collection::vec(any::<bool>(), 6),
        order in 0..ORDERS.len(),
    ) {
        let policy = policy(&route, &endpoints, false);
        let (client, health) = (client_of(order, 1), states(&up));
        let odds = policy.odds(Form::A, &client, &health, &mut Draws::default());
        let sum: f64 = odds.shares.iter().map(|(_, share)| share).sum();
        let expected = if odds.outside.is_some() { 0.0 } else { 1.0 };
        prop_assert!((sum - expected).abs() < 1e-9, "{odds:?}");
        let counted = drawn(&policy, &client, &health);
        for (share, counted) in shares(&odds, policy.endpoints()).iter().zip(counted) {
            // Six standard errors of a share; twice that for what is drawn itself.
            let several = if odds.drawn { 4.0 } else { 1.0 };
            let error = 6.0 * (0.25 * several / f64::from(MANY)).sqrt();
            prop_assert!((share - counted).abs() < error, "{share} {counted} {odds:?}");
        }
        let choice = policy.choose(Form::A, &client, &health, &mut ());
        prop_assert_eq!((choice.fail_open, choice.outside), (odds.fail_open, odds.outside));
    }
}

/// Places in [`ORDERS`], and the draws that odds for all of them took.
fn made(policy: &Policy, health: &Health) -> u64 {
    let mut draws = Draws::default();
    for _ in 0..3 {
        for order in 0..ORDERS.len() {
            let client = client_of(order, 1);
            let alone = policy.odds(Form::A, &client, health, &mut Draws::default());
            assert_eq!(policy.odds(Form::A, &client, health, &mut draws), alone, "place {order}");
        }
    }
    draws.made()
}

#[test]
fn who_is_left_the_same_to_chance_shares_draws() {
    const ONE_KIND: u64 = 1024;
    // Two endpoints in each location.
    let twice: Vec<(u8, u32)> = (0..LOCATIONS * 2).map(|e| (e / 2, 1 + u32::from(e % 2))).collect();
    let up = states(&[true; 8]);
    let route = [HEALTHY, nearest(), Step::Weighted, Step::RoundRobin, take(2)];
    let fills = policy(&route, &twice, false);
    assert_eq!(
        made(&fills, &up),
        4 * ONE_KIND,
        "24 orders of places; the nearest fills the answer"
    );

    let mut resort = twice.clone();
    resort[0].1 = 0;
    let goes_on = policy(&route, &resort, false);
    // Three that fill the answer; from the first one of three comes along.
    assert_eq!(made(&goes_on, &up), 6 * ONE_KIND);

    let late = policy(&[nearest(), Step::Weighted, HEALTHY], &twice, false);
    let mut one_down = [true; 8];
    one_down[1] = false;
    assert_eq!(made(&late, &states(&one_down)), 24 * ONE_KIND, "not 72");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn draws_for_others_are_those_for_oneself(
        route in prop::collection::vec(step(), 1..6),
        endpoints in prop::collection::vec((0..LOCATIONS, 0_u32..3), 1..7),
        ups in prop::array::uniform2(prop::collection::vec(any::<bool>(), 7)),
        orders in prop::collection::vec(0..ORDERS.len(), 4),
        gone in 0_u16..,
    ) {
        let policy = policy(&route, &endpoints, false);
        let mut draws = Draws::default();
        for (up, is_draining) in ups.iter().flat_map(|up| [(up, false), (up, true)]) {
            let mut health = states(up);
            if is_draining {
                let locations = [Stance::Draining { gone }, Stance::Measured].into();
                health.set_stances(Arc::new(Stances { locations, ..Stances::default() }));
            }
            for (order, form) in orders.iter().zip([Form::A, Form::A, Form::Aaaa, Form::A]) {
                let client = client_of(*order, 1);
                if policy.has(form) {
                    let alone = policy.odds(form, &client, &health, &mut Draws::default());
                    prop_assert_eq!(policy.odds(form, &client, &health, &mut draws), alone);
                }
            }
        }
    }
}
