//! A route walked from its end chooses as one that is walked step by step.

use super::*;

/// Sees to it that every step is walked.
struct Watching;

impl Observer for Watching {
    fn step(&mut self, _: &Step, _: &[Candidate], _: &[Candidate]) {}
    fn restart(&mut self, _: Open) {}
}

/// Routes that have the form, and some that nearly do.
fn route() -> impl Strategy<Value = Vec<Step>> {
    let fences = proptest::option::of(Just(fence()));
    let filters = proptest::option::of(
        (1_u32..3).prop_map(|n| Step::Healthy { min_healthy: NonZeroU32::new(n).unwrap() }),
    );
    let picks = proptest::option::of(proptest::sample::select(vec![
        Step::Weighted,
        Step::Sticky,
        Step::RoundRobin,
        Step::Fair { demand: None },
    ]));
    let cuts = proptest::option::of((1_u32..4).prop_map(take));
    (fences, filters, picks, cuts).prop_map(|(fence, filter, pick, cut)| {
        let before = fence.into_iter().chain(filter).chain([nearest()]);
        before.chain(pick).chain(cut).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn it_chooses_what_the_steps_do(
        route in route(),
        endpoints in proptest::collection::vec((0_u8..4, 0_u32..4), 1..10),
        usual_weights: bool,
        up in proptest::collection::vec(any::<bool>(), 10),
        draw: u64,
        order in 0..24_usize,
    ) {
        let weight = |weight: u32| if usual_weights { weight + 1 } else { weight };
        let endpoints: Vec<_> = endpoints.iter().map(|(at, w)| (*at, weight(*w))).collect();
        let policy = policy(&route, &endpoints, false);
        let (client, health) = (client_of(order, draw), states(&up));
        let direct = policy.choose(Form::A, &client, &health, &mut ());
        let stepped = policy.choose(Form::A, &client, &health, &mut Watching);
        let chosen = |choice: &Choice| -> (Vec<u8>, bool, Option<Outside>) {
            let records = policy.records(Form::A, choice, &health);
            let octets = records.map(|record| record.rdata()[3]).collect();
            (octets, choice.fail_open, choice.outside)
        };
        prop_assert_eq!(chosen(&direct), chosen(&stepped), "{:?}", route);
    }
}

/// Else the property above would compare the steps with themselves.
#[test]
fn usual_routes_have_that_form() {
    let endpoints = [(0, 1), (1, 1), (1, 2), (3, 1)];
    let is_direct =
        |route: &[Step]| policy(route, &endpoints, false).direct[Form::A as usize].is_some();
    for pick in [vec![], vec![Step::Weighted], vec![Step::Sticky], vec![Step::RoundRobin]] {
        for filter in [vec![], vec![HEALTHY], vec![fence(), HEALTHY]] {
            let route = [filter, vec![nearest()], pick.clone()].concat();
            assert!(is_direct(&route), "{route:?}");
        }
    }
    for other in [
        vec![HEALTHY, Step::Weighted],
        vec![HEALTHY, banded(Within::Percent(10))],
        vec![HEALTHY, nearest(), Step::Fair { demand: None }],
        vec![Step::Healthy { min_healthy: NonZeroU32::new(2).unwrap() }, nearest()],
    ] {
        assert!(!is_direct(&other), "{other:?}");
    }
    let last_resort = policy(&[nearest(), Step::Weighted], &[(0, 0), (1, 1)], false);
    assert!(last_resort.direct[Form::A as usize].is_none(), "0 comes behind what is farther");
}
