//! What `explain` says is what is answered.

use std::net::IpAddr;

use dns::name::Name;
use dns::rr::Rcode;
use dnsrouter::explain::{self, Explanation};
use dnsrouter::plan::Snapshot;
use dnsrouter::service::Form;

use crate::world::{CONFIG, published};

const WILD: &str = r#"
[[service]]
name = "*.any.test-net.io"
ttl = 60
route = ["nearest", "weighted"]
[[service.endpoint]]
region = "us-central1"
addresses = ["203.0.113.12"]
[[service.endpoint]]
region = "europe-west3"
addresses = ["203.0.113.22"]
[[service.endpoint]]
region = "europe-west3"
addresses = ["203.0.113.23"]
[[service]]
name = "second.test-net.io"
alias = "geo.test-net.io"
"#;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn explained(snapshot: &Snapshot, service: &str) -> Explanation {
    let policy = explain::find(snapshot, &name(service)).unwrap();
    let client: IpAddr = "8.8.0.1".parse().unwrap();
    explain::explain(snapshot, policy, client, &[Form::A], 1_800_000_000)
}

#[test]
fn names_lead_to_services_through_wildcards_and_cnames() {
    let published = published(&format!("{CONFIG}{WILD}"));
    let snapshot = published.load();
    let lead = |asked: &str| {
        let service = explain::lead(&snapshot, &name(asked), &Form::ALL);
        service.map(ToString::to_string)
    };
    for (asked, service) in [
        ("a.any.test-net.io.", "*.any.test-net.io."),
        ("a.b.ANY.test-net.io.", "*.any.test-net.io."),
        ("www.test-net.io.", "geo.test-net.io."),
        ("second.test-net.io.", "geo.test-net.io."),
        ("geo.test-net.io.", "geo.test-net.io."),
        // DNAME @, and on from there.
        ("www.down.test-net.io.", "geo.test-net.io."),
    ] {
        assert_eq!(lead(asked), Ok(service.to_owned()), "{asked}");
        assert!(explain::find(&snapshot, &name(service)).is_some());
    }
    assert_eq!(lead("mail.test-net.io."), Err(Rcode::NOERROR));
    assert_eq!(lead("any.test-net.io."), Err(Rcode::NOERROR), "an empty non-terminal");
    assert_eq!(lead("no.test-net.io."), Err(Rcode::NXDOMAIN));
    assert_eq!(lead("example.net."), Err(Rcode::REFUSED));
}

#[test]
fn a_pick_without_a_choice_is_not_told_as_a_draw() {
    let published = published(&format!("{CONFIG}{WILD}"));
    let explanation = explained(&published.load(), "*.any.test-net.io.");
    let steps = &explanation.decisions[0].steps;
    let weighted = steps.iter().find(|seen| seen.step.to_string() == "weighted").unwrap();
    let drawn = |region: &str| -> Vec<bool> {
        let of = weighted.candidates.iter().filter(|one| one.region == region);
        of.map(|one| one.reason.contains("in a draw by weight")).collect()
    };
    assert_eq!(drawn("europe-west3"), [true, true]);
    assert_eq!(drawn("us-central1"), [false]);
}
