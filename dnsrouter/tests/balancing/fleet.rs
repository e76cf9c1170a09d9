//! All services of a plan at once: what pings tell becomes prices and weights, and a reload keeps them.

use std::sync::Arc;
use std::time::Duration;

use dnsrouter::balance::fleet::{Fleet, carried};
use dnsrouter::balance::guess::Basis;
use dnsrouter::balance::seen::look;
use dnsrouter::balance::spill::{Condition, Seen};
use dnsrouter::health::State;
use dnsrouter::plan::{Generation, Inputs};
use dnsrouter::verdicts::{Health, Shares, Stance, Stances, Verdict, WHOLE};
use geo::Population;

use crate::site;

const NODE: &str = "\
[node]
name = 'ns1'
region = 'us-central1'
trust_domain = 'test-net.io'
[listen]
dns = ['127.0.0.1:0']
[tls]
cert = 'unused'
key = 'unused'
ca = 'unused'
[[zone]]
name = 'test-net.io'
file = 'zone'
";

fn endpoint(region: &str, address: &str, more: &str) -> String {
    format!(
        "[[service.endpoint]]\nregion = '{region}'\naddresses = ['{address}']\n\
         ping = 'https://{address}:443'\n{more}\n"
    )
}

fn service(name: &str, route: &str, endpoints: &[String]) -> String {
    let endpoints = endpoints.concat();
    format!("[[service]]\nname = '{name}.test-net.io'\nttl = 60\nroute = {route}\n{endpoints}")
}

fn america() -> String {
    endpoint("us-central1", "203.0.113.1", "capacity = 500")
}

fn europe() -> String {
    endpoint("europe-west3", "203.0.113.2", "capacity = 5000")
}

fn plan(generation: u64, services: &[String]) -> Inputs {
    site::loaded(&format!("{NODE}{}", services.concat()), site::ZONE).inputs(Generation(generation))
}

/// Verdicts by the last octet of a target's address.
fn verdicts(inputs: &Inputs, of: impl Fn(u8) -> Verdict) -> Health {
    let last = |target: &dnsrouter::target::Target| match target.check.at().address() {
        Some(std::net::IpAddr::V4(address)) => address.octets()[3],
        Some(std::net::IpAddr::V6(address)) => address.octets()[15],
        None => panic!("these targets are addresses"),
    };
    Health::new(inputs.services.targets.iter().map(|target| of(last(target))))
}

fn serving(rate: u32) -> Verdict {
    Verdict { told: true, rate, ..Verdict::from(State::Up) }
}

fn run(fleet: &mut Fleet, inputs: &Inputs, health: &Health, seconds: u32) -> Arc<[Shares]> {
    let mut shares = Arc::from([]);
    for _ in 0..seconds {
        shares = fleet.interval(inputs, health, Duration::from_secs(1));
    }
    shares
}

#[test]
fn what_pings_tell_becomes_prices_and_weights() {
    let static_one = service("static", "['healthy', 'nearest']", &[america()]);
    let inputs = plan(
        1,
        &[
            static_one,
            service("load", "['healthy', 'load']", &[america(), europe()]),
            service("fair", "['healthy', 'fair']", &[america(), europe()]),
        ],
    );
    let health = verdicts(&inputs, |region| serving(if region == 1 { 1000 } else { 2000 }));
    let mut fleet = Fleet::default();
    let shares = run(&mut fleet, &inputs, &health, 60);
    let [load, fair] = &shares[..] else { panic!("one for each service that needs any") };
    assert!(load.prices[0] > 500.0 && load.prices[1] == 0.0, "{load:?}");
    assert!(load.weights.is_empty());
    // Of 3000 in all, the spare is (5500 − 3000) / 2: more than all that America has.
    assert_eq!((fair.weights[..].to_vec(), fair.prices.len()), (vec![0, 65_535], 0));
    assert!(!Fleet::is_needed(&plan(1, &[service("s", "['nearest']", &[europe()])]).services));
    // Where nobody tells anything, nothing is added and capacities weigh.
    let silent = verdicts(&inputs, |_| State::Up.into());
    let shares = run(&mut Fleet::default(), &inputs, &silent, 5);
    assert_eq!(shares[0].prices[..], [0.0, 0.0]);
    assert_eq!(shares[1].weights[..], [6554, 65_535]);
}

/// So many prefixes of each block, a hundred answers each.
fn clients(blocks: &[([u8; 2], u8)]) -> Population {
    let prefixes = blocks.iter().flat_map(|([first, second], prefixes)| {
        (0..*prefixes).map(move |third| format!("{first}.{second}.{third}.0/24").parse().unwrap())
    });
    Population::new(prefixes.map(|prefix| (prefix, 100))).unwrap()
}

#[test]
fn enough_counts_of_clients_are_a_better_guess_than_the_routed_world() {
    let inputs = plan(1, &[service("load", "['healthy', 'load']", &[america(), europe()])]);
    // All are in Europe; in the routed world America would have far more than its 500.
    let health = verdicts(&inputs, |region| serving(if region == 1 { 0 } else { 3000 }));
    let german = [[141, 2], [141, 3], [141, 4], [141, 5], [141, 6]].map(|block| (block, 250));
    let first = |recorded: Option<Population>| {
        let mut fleet = Fleet::default();
        recorded.into_iter().for_each(|clients| fleet.recorded(clients));
        run(&mut fleet, &inputs, &health, 1)[0].prices[0]
    };
    assert!(first(None) > 0.0, "by the routed world");
    assert_eq!(first(Some(clients(&german))), 0.0);
    assert!(first(Some(clients(&german[..1]))) > 0.0, "too few to tell");
    // What is told while it runs counts from the next interval on, and what is learnt stays when it
    // is told again.
    let mut fleet = Fleet::default();
    run(&mut fleet, &inputs, &health, 1);
    fleet.recorded(clients(&german));
    let learnt = run(&mut fleet, &inputs, &health, 60);
    assert_eq!((learnt[0].prices[0], fleet.basis()), (0.0, Some(Basis::Recorded)));
    fleet.recorded(clients(&german));
    assert_eq!(run(&mut fleet, &inputs, &health, 1)[0], learnt[0]);
}

#[test]
fn a_reload_keeps_what_was_reckoned_for_endpoints_that_stay() {
    let route = "['healthy', 'load']";
    let before = plan(1, &[service("a", route, &[america(), europe()])]);
    let rates = |region: u8| serving([0, 1000, 100, 1][usize::from(region)]);
    let mut health = verdicts(&before, rates);
    let mut fleet = Fleet::default();
    let shares = run(&mut fleet, &before, &health, 60);
    let price = shares[0].prices[0];
    assert!(price > 500.0);
    health.set_shares(shares);
    let asia = endpoint("asia-southeast1", "203.0.113.3", "capacity = 5000");
    let after = plan(
        2,
        &[service("new", route, &[europe()]), service("a", route, &[asia, europe(), america()])],
    );
    let kept = carried(&before.services, &health, &after.services);
    assert_eq!(kept[0], Shares::default(), "a new service");
    assert_eq!(kept[1].prices[..], [0.0, 0.0, price]);
    let shares = run(&mut fleet, &after, &verdicts(&after, rates), 1);
    assert!((shares[1].prices[2] - price).abs() < 200.0, "{shares:?} from {price}");
}

#[test]
fn what_is_known_of_an_endpoint() {
    let dual = "[[service.endpoint]]\nregion = 'us-central1'\n\
                addresses = ['203.0.113.1', '203.0.113.2', '2001:db8::3']\n\
                ping = 'https://203.0.113.1:443'\n";
    let slow = service("a", "['healthy', 'load']", &[format!("{dual}capacity = 1000\n")]);
    let inputs = plan(1, &[slow, service("b", "['load']", &[dual.to_owned()])]);
    let [stated, told] = [0, 1].map(|at| &inputs.services.services[at].1);
    let seen = |policy, of: &dyn Fn(u8) -> Verdict| -> Seen {
        look(policy, 0, &inputs.services, &verdicts(&inputs, of))
    };
    let figures = |seen: Seen| (seen.rate, seen.capacity, seen.condition);
    // Two servers of IPv4 tell 30 and 50; IPv6 leads to the same ones.
    let rates = |last: u8| serving([0, 30, 50, 70][usize::from(last)]);
    assert_eq!(figures(seen(stated, &rates)), (Some(80.0), Some(1000.0), Condition::Well));
    let sized = |last: u8| Verdict { capacity: 400, ..rates(last) };
    assert_eq!(figures(seen(told, &sized)), (Some(80.0), Some(800.0), Condition::Well));
    assert_eq!(seen(told, &rates).capacity, None);
    // One that does not say is as busy as the other.
    let one = |last: u8| if last == 1 { serving(30) } else { serving(0) };
    assert_eq!(seen(stated, &one).rate, Some(60.0));
    // No rate: the share of processors, of the capacity; else what is in flight.
    let busy = |_: u8| Verdict { load: WHOLE / 4, in_flight: 9, ..serving(0) };
    assert!((seen(stated, &busy).rate.unwrap() - 250.0).abs() < 0.1);
    assert_eq!(seen(told, &busy).rate, Some(18.0), "no capacity to take a share of");
    let silent = |_: u8| Verdict::from(State::Up);
    assert_eq!(seen(stated, &silent).rate, None);
    // It is as well as its best address.
    let bad = |state, suspected| {
        move |last: u8| match last {
            3 => Verdict { suspected, ..Verdict::from(state) },
            _ => State::Down.into(),
        }
    };
    assert_eq!(seen(stated, &bad(State::Up, false)).condition, Condition::Well);
    assert_eq!(seen(stated, &bad(State::Up, true)).condition, Condition::Dying);
    assert_eq!(seen(stated, &bad(State::Degraded, false)).condition, Condition::Dying);
    assert_eq!(seen(stated, &bad(State::Down, true)).condition, Condition::Gone);
    // What people say counts before what is measured.
    let mut health = verdicts(&inputs, rates);
    let mut say = |stance| {
        let locations = [stance].into();
        health.set_stances(Arc::new(Stances { locations, ..Stances::default() }));
        look(stated, 0, &inputs.services, &health).condition
    };
    assert_eq!(say(Stance::Draining { gone: 9 }), Condition::Dying);
    assert_eq!(say(Stance::Draining { gone: WHOLE }), Condition::Gone);
    assert_eq!(say(Stance::ForcedDown), Condition::Gone);
}
