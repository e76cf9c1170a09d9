//! Which nestings become which routes.

use std::collections::BTreeMap;

use super::*;
use crate::import::service::{Endpoint, Nearest, Rule, Step};

fn one(address: &str) -> Choice {
    Choice::One(answer(address))
}

fn answer(address: &str) -> Answer {
    Answer { data: Data::of_addresses([address.parse().unwrap()]), check: None }
}

fn name(target: &str) -> Choice {
    let data = Data::of_cname(target.parse().unwrap());
    Choice::One(Answer { data, check: None })
}

fn rule(clients: &str, regions: &[&str]) -> PlaceRule {
    let order = Order::Only(regions.iter().map(|region| (*region).to_owned()).collect());
    PlaceRule { clients: vec![clients.to_owned()], order }
}

fn place(of: &[(&str, Choice)], rules: Vec<PlaceRule>) -> Place {
    let of = of.iter().map(|(region, choice)| ((*region).to_owned(), choice.clone())).collect();
    Place { of, rules, take: 1, ..Place::default() }
}

fn failover(of: Vec<Choice>) -> Choice {
    Choice::Failover((1..).zip(of).map(|(tier, of)| (format!("tier-{tier}"), of)).collect())
}

fn composed(choice: Choice) -> (Vec<Step>, Vec<Endpoint>, Vec<Misfit>) {
    let Composed { own, misfits } = choice.compose(60, None);
    let own = own.unwrap();
    (own.route, own.endpoints, misfits)
}

fn weights(endpoints: &[Endpoint]) -> Vec<Option<u32>> {
    endpoints.iter().map(|endpoint| endpoint.weight).collect()
}

const HEALTHY: Step = Step::Healthy { min_healthy: 1 };

fn plain(clients: &str, regions: &[&str]) -> Rule {
    let regions = regions.iter().map(|region| (*region).to_owned()).collect();
    Rule { clients: vec![clients.to_owned()], regions }
}

#[test]
fn a_list_that_leaves_regions_out_is_a_fence_and_an_order() {
    let of = [("a", one("192.0.2.1")), ("b", one("192.0.2.2")), ("c", one("192.0.2.3"))];
    let rules = vec![rule("DE", &["b", "a"]), rule("all", &["a", "b", "c"])];
    let (steps, _, misfits) = composed(Choice::Place(place(&of, rules)));
    let prefer = vec![plain("DE", &["b", "a"]), plain("all", &["a", "b", "c"])];
    let nearest = Nearest { prefer, ..Nearest::default() };
    let fence = Step::Fence(vec![plain("DE", &["b", "a"])]);
    assert_eq!(steps, [fence, HEALTHY, Step::Nearest(nearest)]);
    assert_eq!(misfits, []);
}

#[test]
fn distance_needs_no_rules() {
    let of = [("a", one("192.0.2.1")), ("b", one("192.0.2.2"))];
    let rules = vec![PlaceRule { clients: vec!["all".to_owned()], order: Order::Distance }];
    let (steps, ..) = composed(Choice::Place(place(&of, rules)));
    assert_eq!(steps, [HEALTHY, Step::Nearest(Nearest::default())]);
}

#[test]
fn regions_that_answer_the_same_are_one() {
    let of = [("a", one("192.0.2.1")), ("b", one("192.0.2.1")), ("c", one("192.0.2.3"))];
    let rules = vec![rule("DE", &["b"]), rule("all", &["c", "b", "a"])];
    let (steps, endpoints, misfits) = composed(Choice::Place(place(&of, rules)));
    assert_eq!(endpoints.len(), 2);
    assert_eq!(steps[0], Step::Fence(vec![plain("DE", &["a"])]));
    assert!(matches!(&steps[2], Step::Nearest(n) if n.prefer[1] == plain("all", &["c", "a"])));
    assert_eq!(misfits, []);
}

#[test]
fn weights_and_a_failover_of_two_fit_inside_of_a_place() {
    let weighted =
        Choice::Weighted { of: vec![(3, one("192.0.2.1")), (1, one("192.0.2.2"))], take: 1 };
    let failover = failover(vec![one("192.0.2.3"), one("192.0.2.4")]);
    let of = [("a", weighted), ("b", failover)];
    let (steps, endpoints, misfits) = composed(Choice::Place(place(&of, Vec::new())));
    assert_eq!(steps, [HEALTHY, Step::Nearest(Nearest::default()), Step::Weighted]);
    assert_eq!(weights(&endpoints), [Some(3), Some(1), Some(100), Some(0)]);
    assert_eq!(misfits, []);
}

#[test]
fn nested_weights_are_shares_of_shares() {
    let inner =
        Choice::Weighted { of: vec![(1, one("192.0.2.1")), (3, one("192.0.2.2"))], take: 1 };
    let outer = Choice::Weighted { of: vec![(1, inner), (4, one("192.0.2.3"))], take: 1 };
    let (steps, endpoints, misfits) = composed(outer);
    assert_eq!(steps, [HEALTHY, Step::Weighted]);
    assert_eq!(weights(&endpoints), [Some(5_000), Some(15_000), Some(80_000)]);
    assert_eq!(misfits, []);
}

#[test]
fn weights_that_are_all_zero_are_all_alike() {
    let of = vec![(0, one("192.0.2.1")), (0, one("192.0.2.2"))];
    let (_, endpoints, _) = composed(Choice::Weighted { of, take: 1 });
    assert_eq!(weights(&endpoints), [Some(100), Some(100)]);
    let of = vec![(0, one("192.0.2.1")), (7, one("192.0.2.2"))];
    let (_, endpoints, _) = composed(Choice::Weighted { of, take: 1 });
    assert_eq!(weights(&endpoints), [Some(0), Some(7)]);
}

#[test]
fn a_failover_to_a_place_ranks_twice() {
    let of = [("a", one("192.0.2.1")), ("b", one("192.0.2.2"))];
    let real = place(&of, vec![rule("DE", &["b"])]);
    let (steps, endpoints, misfits) =
        composed(failover(vec![Choice::Place(real), one("192.0.2.9")]));
    assert_eq!(steps[0], Step::Fence(vec![plain("DE", &["b", "tier-2"])]));
    assert_eq!(steps[1..3], [HEALTHY, Step::Failover]);
    assert!(matches!(steps[3], Step::Nearest(_)));
    let tiers: Vec<_> = endpoints.iter().map(|endpoint| endpoint.tier).collect();
    assert_eq!(tiers, [Some(1), Some(1), Some(2)]);
    assert_eq!(misfits, []);
}

#[test]
fn a_multiple_answer_keeps_its_threshold() {
    let of = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(answer).to_vec();
    let (steps, endpoints, _) =
        composed(Choice::All { of: of.clone(), least_up: 2, most: u32::MAX });
    assert_eq!(steps, [Step::Healthy { min_healthy: 2 }, Step::Take(3)]);
    assert_eq!(endpoints.len(), 3);
    let (steps, ..) = composed(Choice::All { of, least_up: 1, most: 2 });
    assert_eq!(steps, [HEALTHY, Step::Weighted, Step::Take(2)]);
}

#[test]
fn groups_that_are_no_order_are_fenced_and_drawn_from() {
    let of = [("a", one("192.0.2.1")), ("b", one("192.0.2.2"))];
    let any = |regions: &[&str]| Order::Any(regions.iter().map(|r| (*r).to_owned()).collect());
    let rules = vec![
        PlaceRule { clients: vec!["DE".to_owned()], order: any(&["b"]) },
        PlaceRule { clients: vec!["all".to_owned()], order: any(&["a", "b"]) },
    ];
    let (steps, ..) = composed(Choice::Place(Place { take: 2, ..place(&of, rules) }));
    let fence = Step::Fence(vec![plain("DE", &["b"])]);
    assert_eq!(steps, [fence, HEALTHY, Step::Weighted, Step::Take(2)]);
}

#[test]
fn what_does_not_fit_is_told() {
    let inner = Choice::Place(place(&[("a", one("192.0.2.1"))], Vec::new()));
    let cases = [
        Choice::Weighted { of: vec![(1, inner.clone()), (1, one("192.0.2.2"))], take: 1 },
        failover(vec![inner.clone(), inner.clone(), one("192.0.2.2")]),
        Choice::Place(place(&[("b", inner), ("c", one("192.0.2.2"))], Vec::new())),
        failover(vec![one("192.0.2.2"), name("a.example.")]),
        failover(vec![one("192.0.2.2"), one("192.0.2.2")]),
    ];
    for choice in cases {
        let told = format!("{choice:?}");
        let (_, endpoints, misfits) = composed(choice);
        assert!(misfits.len() == 1 && misfits[0].left_out, "{told}: {misfits:?}");
        assert!(endpoints.iter().all(|endpoint| endpoint.data.cname.is_none()), "{told}");
    }
}

#[test]
fn bias_is_of_regions_that_are_there() {
    let of = [("a", one("192.0.2.1"))];
    let bias = BTreeMap::from([("a".to_owned(), 20), ("gone".to_owned(), -1)]);
    let (steps, ..) = composed(Choice::Place(Place { bias, ..place(&of, Vec::new()) }));
    let Step::Nearest(nearest) = &steps[1] else { panic!("{steps:?}") };
    assert_eq!(nearest.bias, BTreeMap::from([("a".to_owned(), 20)]));
}

/// A fence that lets clients into a tier lets them into no region that is only called alike.
#[test]
fn a_tier_called_like_a_region_of_another_is_another() {
    let of = [("us", one("192.0.2.1")), ("eu", one("192.0.2.2"))];
    let rules = vec![rule("BR", &["us"]), rule("all", &["us", "eu"])];
    let tiers = vec![
        ("us".to_owned(), Choice::Place(place(&of, rules))),
        ("eu".to_owned(), one("192.0.2.9")),
    ];
    let (steps, endpoints, misfits) = composed(Choice::Failover(tiers));
    let regions: Vec<_> = endpoints.iter().map(|e| (e.region.as_str(), e.tier)).collect();
    assert_eq!(regions, [("us", Some(1)), ("eu", Some(1)), ("eu-2", Some(2))]);
    assert_eq!(steps[0], Step::Fence(vec![plain("BR", &["us", "eu-2"])]));
    assert_eq!(misfits, []);
}

#[test]
fn what_is_answered_together_and_checked_apart_is_told() {
    let checked = |address: &str, check: &str| {
        let check = Some(Check::Tcp(check.parse().unwrap()));
        Answer { check, ..answer(address) }
    };
    let group = |of: Vec<Answer>| {
        let all = Choice::All { of, least_up: 1, most: u32::MAX };
        composed(Choice::Weighted { of: vec![(1, all), (1, one("192.0.2.9"))], take: 1 }).2
    };
    let alike =
        group(vec![checked("192.0.2.1", "192.0.2.1:80"), checked("192.0.2.2", "192.0.2.2:80")]);
    assert_eq!(alike, []);
    for other in [checked("192.0.2.2", "192.0.2.2:81"), answer("192.0.2.2")] {
        let told = group(vec![checked("192.0.2.1", "192.0.2.1:80"), other]);
        assert!(!told[0].left_out, "{told:?}");
        assert_eq!(told[0].what, "different checks of records that are answered together");
    }
}
