//! One service's change compiles that service alone, and gives what a whole plan would give.

use std::sync::Arc;

use dnsrouter::compile::{Unfit, replace};
use dnsrouter::io::load::Loaded;
use dnsrouter::plan::{Generation, Inputs};
use dnsrouter::policy::Client;
use dnsrouter::service::{Form, Service};
use dnsrouter::verdicts::Health;

use crate::site;

const CONFIG: &str = r#"
[node]
name = "ns1"
region = "us-central1"
[listen]
dns = ["127.0.0.1:0"]
[[zone]]
name = "test-net.io"
file = "zone"
[[service]]
name = "other.test-net.io"
ttl = 60
route = [{ fence = [{ clients = ["continent:EU"], regions = ["europe-west3"] }] }, "nearest"]
[[service.endpoint]]
region = "europe-west3"
addresses = ["203.0.113.1"]
[[service.endpoint]]
region = "us-central1"
addresses = ["203.0.113.2"]
[[service]]
name = "geo.test-net.io"
ttl = 60
route = ["healthy", "nearest"]
[[service.endpoint]]
region = "us-central1"
addresses = ["203.0.113.10"]
[[service.endpoint]]
region = "asia-southeast1"
addresses = ["203.0.113.30"]
"#;

/// `geo` of a configuration in which something of it is another.
fn changed(from: &str, to: &str) -> (Loaded, Service) {
    let at = CONFIG.find("name = \"geo").unwrap();
    let (before, own) = CONFIG.split_at(at);
    assert!(own.contains(from), "{from}");
    let loaded = site::loaded(&(before.to_owned() + &own.replace(from, to)), site::ZONE);
    let service = loaded.config.services[1].0.clone();
    (loaded, service)
}

/// What clients all over the world are answered, and with which scope.
fn answers(inputs: &Inputs) -> Vec<(Vec<String>, u8)> {
    let geo = &inputs.geo;
    let policy = &inputs.services.services[1].1;
    let of = |octet: u8| {
        let address = [octet, 1, 1, 0].into();
        let hit = geo.table.lookup_subnet(address);
        let (place, leaf, slot) = (hit.place, hit.scope, hit.slot);
        let (draw, stick, turn) = (7, 7, 7);
        let client =
            Client { geo, place, slot, address, is_subnet: true, leaf, cap: 24, draw, stick, turn };
        let health = Health::default();
        let choice = policy.choose(Form::A, &client, &health, &mut ());
        let records = policy.records(Form::A, &choice, &health).map(ToString::to_string);
        (records.collect(), policy.scope(Form::A, &client))
    };
    (0..=255).map(of).collect()
}

#[test]
fn what_is_replaced_is_as_in_a_whole_plan() {
    let before = site::loaded(CONFIG, site::ZONE);
    let inputs = before.inputs(Generation(1));
    let as_it_was = answers(&inputs);
    for (from, to) in [
        ("\"203.0.113.30\"", "\"203.0.113.31\""),
        ("asia-southeast1", "europe-west3"),
        ("\"nearest\"]", "\"weighted\"]"),
        (
            "\"nearest\"]",
            "\"nearest\", { fence = [{ clients = [\"continent:EU\"], regions = [\"europe-west3\"] }] }]",
        ),
    ] {
        let (whole, service) = changed(from, to);
        let services = replace(&inputs.services, &inputs.geo, &service).unwrap();
        let other = Arc::ptr_eq(&services.services[0].1, &inputs.services.services[0].1);
        assert!(other, "what did not change is the same");
        let replaced = Inputs { services: Arc::new(services), ..inputs.clone() };
        let expected = answers(&whole.inputs(Generation(1)));
        let got = answers(&replaced);
        assert_ne!(got, as_it_was, "{to}");
        for (got, expected) in got.iter().zip(&expected) {
            assert_eq!(got.0, expected.0, "{to}");
            // A class that is new in the plan has the scopes of the table.
            assert!(got.1 >= expected.1, "{to}: {got:?}, {expected:?}");
        }
    }
    assert_eq!(answers(&inputs), as_it_was);
}

#[test]
fn what_does_not_fit_takes_a_whole_plan() {
    let inputs = site::loaded(CONFIG, site::ZONE).inputs(Generation(1));
    let unfit = |from, to| {
        let (_, service) = changed(from, to);
        replace(&inputs.services, &inputs.geo, &service).unwrap_err()
    };
    let geo = || "geo.test-net.io.".parse().unwrap();
    assert_eq!(unfit("geo.", "new."), Unfit::Name("new.test-net.io.".parse().unwrap()));
    assert_eq!(unfit("\"203.0.113.30\"", "\"2001:db8::30\""), Unfit::Types(geo()));
    assert_eq!(unfit("asia-southeast1", "europe-west1"), Unfit::Region("europe-west1".into()));
    let biased = "{ nearest = { bias = { \"us-central1\" = 5 } } }]";
    assert_eq!(unfit("\"nearest\"]", biased), Unfit::View);
    let listed = "{ nearest = { prefer = [{ clients = [\"192.0.2.0/24\"], regions = [\"us-central1\"] }] } }]";
    assert_eq!(unfit("\"nearest\"]", listed), Unfit::View);
}
