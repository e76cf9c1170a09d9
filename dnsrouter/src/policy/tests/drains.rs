//! Drains and forces, as routes see them.

use super::*;

/// With stances by location.
fn said(health: &Health, locations: &[Stance]) -> Health {
    let stances = Stances { locations: locations.into(), ..Stances::default() };
    let mut health = health.clone();
    health.set_stances(Arc::new(stances));
    health
}

/// A client somewhere from 64.0.0.0 on, nearest to r0.
fn somebody(number: u32) -> Client<'static> {
    at(&Ipv4Addr::from_bits(SOMEWHERE + number).to_string(), 0)
}

#[test]
fn a_drain_takes_its_share_of_scopes_and_gives_none_back() {
    let policy = policy(&[HEALTHY, nearest()], &[(0, 1), (1, 1), (2, 1)], false);
    let up = states(&[true; 3]);
    // One per /20, which is the leaf of these clients.
    let clients: Vec<_> = (0..2000).map(|number| somebody(number << 12)).collect();
    let mut gone_before = vec![false; clients.len()];
    for percent in 0..=100_u32 {
        let gone = u16::try_from(u32::from(WHOLE) * percent / 100).unwrap();
        let health = said(&up, &[Stance::Draining { gone }]);
        let gone: Vec<bool> =
            clients.iter().map(|client| answer(&policy, client, &health) == [1]).collect();
        assert!(gone.iter().zip(&gone_before).all(|(now, before)| *now || !before), "{percent} %");
        let share = gone.iter().filter(|gone| **gone).count() as f64 / clients.len() as f64;
        // Three standard deviations of 2000 fair coins.
        assert!((share - f64::from(percent) / 100.0).abs() < 0.034, "{share} of {percent} %");
        gone_before = gone;
    }
    assert!(gone_before.iter().all(|gone| *gone), "in the end all");
}

#[test]
fn all_of_a_scope_go_together_and_a_resolver_for_itself() {
    let policy = policy(&[HEALTHY, nearest()], &[(0, 1), (1, 1)], false);
    let half = said(&states(&[true; 2]), &[Stance::Draining { gone: WHOLE / 2 }]);
    let of = |number: u32, is_subnet: bool| {
        answer(&policy, &Client { is_subnet, ..somebody(number) }, &half)
    };
    let mut both = std::collections::HashSet::new();
    for leaf in 0..50_u32 {
        let first = of(leaf << 12, true);
        assert!((1..20).all(|n| of((leaf << 12) + n * 200, true) == first), "leaf {leaf}");
        let own: Vec<_> = (0..16).map(|n| of((leaf << 12) + (n << 8), false)).collect();
        both.insert((own.contains(&vec![0]), own.contains(&vec![1])));
    }
    assert!(both.contains(&(true, true)), "resolvers of one leaf go by themselves");
}

#[test]
fn what_is_drained_is_taken_in_again_before_what_is_down() {
    let policy = policy(&[HEALTHY, nearest()], &[(0, 1), (1, 1), (2, 1)], false);
    let drained = Stance::Draining { gone: WHOLE };
    let first = somebody(0);
    let choose = |up: &[bool], stances: &[Stance]| {
        let health = said(&states(up), stances);
        let choice = policy.choose(Form::A, &first, &health, &mut ());
        (answer(&policy, &first, &health), choice.fail_open)
    };
    assert_eq!(choose(&[true; 3], &[drained]), (vec![1], false));
    assert_eq!(
        choose(&[false, false, true], &[Stance::Measured, Stance::Measured, drained]),
        (vec![2], true)
    );
    assert_eq!(choose(&[true; 3], &[drained; 3]), (vec![0], true));
    assert_eq!(choose(&[false; 3], &[drained; 3]), (vec![0], true), "as if all were up");
    // A force is no drain: down is down.
    let down = Stance::ForcedDown;
    assert_eq!(choose(&[true; 3], &[down, drained, down]), (vec![1], true));
    assert_eq!(choose(&[true; 3], &[down; 3]), (vec![0], true));
    assert_eq!(choose(&[false; 3], &[down, down, Stance::ForcedUp]), (vec![2], false));
}

#[test]
fn what_people_say_of_one_service_does_not_touch_another() {
    let policy = policy(&[HEALTHY, nearest()], &[(0, 1), (1, 1)], false);
    let of = |service: u32| {
        let endpoints = [((ServiceId(service), 0), Stance::ForcedDown)].into();
        let mut health = states(&[true; 2]);
        health.set_stances(Arc::new(Stances { endpoints, ..Stances::default() }));
        (answer(&policy, &client(&[0, 1], 0), &health), policy.endpoints_usable(&health))
    };
    assert_eq!(of(SERVICE.0), (vec![1], (1, 2)));
    assert_eq!(of(SERVICE.0 + 1), (vec![0], (2, 2)));
}
