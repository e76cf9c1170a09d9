//! What is reckoned for load-aware steps is each service's own, whatever was replaced before.

use std::sync::Arc;
use std::time::Duration;

use dnsrouter::balance::fleet::{Fleet, carried};
use dnsrouter::compile::replace;
use dnsrouter::config::Config;
use dnsrouter::io::load::Loader;
use dnsrouter::plan::{Generation, Inputs};
use dnsrouter::verdicts::{Health, Shares};

const NODE: &str = "[node]\nname = 'ns1'\nregion = 'us-central1'\n[listen]\ndns = ['127.0.0.1:0']\n\
                    [[zone]]\nname = 'test-net.io'\nfile = 'zone'\n";
const ZONE: &str = "@ 300 SOA ns1 h 1 2 3 4 60\n@ 300 NS ns1\nns1 300 A 192.0.2.53\n";

/// Three services; the capacities of each are its own.
fn config(routes: [&str; 3]) -> String {
    let service = |(at, route): (usize, &str)| {
        let endpoint = |region: &str, address: usize, capacity: usize| {
            format!(
                "[[service.endpoint]]\nregion = '{region}'\naddresses = ['203.0.113.{address}']\n\
                 capacity = {capacity}\n"
            )
        };
        let first = endpoint("us-central1", 10 * at + 1, 100);
        let second = endpoint("europe-west3", 10 * at + 2, 200 * (at + 1));
        format!(
            "[[service]]\nname = 's{at}.test-net.io'\nttl = 60\nroute = [{route}]\n{first}{second}"
        )
    };
    NODE.to_owned() + &routes.into_iter().enumerate().map(service).collect::<String>()
}

fn weights(inputs: &Inputs, shares: &[Shares], service: usize) -> Vec<u32> {
    let (_, policy) = &inputs.services.services[service];
    shares[policy.dynamic().unwrap() as usize].weights.to_vec()
}

#[test]
fn a_service_that_begins_to_need_shares_gets_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dnsrouter.toml");
    std::fs::write(folder.path().join("zone"), ZONE).unwrap();
    let write = |routes| std::fs::write(&file, config(routes)).unwrap();
    write(["'nearest'", "'fair'", "'fair'"]);
    let loaded = Loader::default().load(&file, &[]).unwrap_or_else(|e| panic!("{}", e.report()));
    let mut inputs = loaded.inputs(Generation(1));
    let mut replaced = |routes, at: usize, generation| {
        write(routes);
        let config = Config::load(&file, &[]).unwrap_or_else(|e| panic!("{}", e.report()));
        let service = &config.services[at].0;
        let before = inputs.services.clone();
        inputs.services = Arc::new(replace(&before, &inputs.geo, service).unwrap());
        inputs.generation = Generation(generation);
        (before, inputs.clone())
    };
    // The first one's number is behind those of the others; then the second one's is free.
    let (_, inputs) = replaced(["'fair'", "'fair'", "'fair'"], 0, 2);
    let second = Duration::from_secs(1);
    let mut fleet = Fleet::default();
    let expected = [[32_768, 65_535], [16_384, 65_535], [10_923, 65_535]];
    let shares = fleet.interval(&inputs, &Health::default(), second);
    for (at, expected) in expected.iter().enumerate() {
        assert_eq!(weights(&inputs, &shares, at), expected, "service {at}");
    }
    let (before, inputs) = replaced(["'fair'", "'nearest'", "'fair'"], 1, 3);
    let mut health = Health::default();
    health.set_shares(shares);
    for shares in [
        carried(&before, &health, &inputs.services),
        fleet.interval(&inputs, &Health::default(), second),
    ] {
        for at in [0, 2] {
            assert_eq!(weights(&inputs, &shares, at), expected[at], "service {at}");
        }
    }
}
