//! What configurations may say and hardly mean: it is told. What cannot be meant is refused.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "small/site.rs"]
mod site;

use site::{NODE, ZONE};

const US_AND_EU: &str = r#"
[[service.endpoint]]
region = "us-central1"
addresses = ["192.0.2.1"]
[[service.endpoint]]
region = "europe-west3"
addresses = ["192.0.2.2"]
"#;

fn config(keys: &str, endpoints: &str) -> String {
    format!("{NODE}[[service]]\nname = \"geo.test-net.io\"\nttl = 60\n{keys}\n{endpoints}")
}

/// What is told of the service.
fn told(keys: &str, endpoints: &str) -> Vec<String> {
    let warnings = site::loaded(&config(keys, endpoints), ZONE).config.warnings;
    let own = |line: String| line.strip_prefix("service geo.test-net.io.: ").map(str::to_owned);
    warnings.into_iter().filter_map(own).collect()
}

#[test]
fn what_is_meant_is_not_doubted() {
    let fence = r#"{ fence = [ { clients = ["DE"], regions = ["europe-west3", "europe-west1"] },
                               { clients = ["CN"], regions = [], refuse = ["192.0.2.9"] } ] }"#;
    let prefer = r#"{ nearest = { prefer = [ { clients = ["DE"], regions = ["europe-west3"] },
                                             { clients = ["all"], regions = [] } ] } }"#;
    let route = format!(
        r#"route = [{fence}, "healthy", {{ failover = [["us-central1", "europe-west3"]] }}, {prefer}, "weighted"]"#
    );
    let endpoints = US_AND_EU.replace("192.0.2.1\"]", "192.0.2.1\"]\nweight = 0");
    let endpoints =
        endpoints.replace("192.0.2.2\"]", "192.0.2.2\"]\ncheck = { tcp = \"192.0.2.2:1\" }");
    assert_eq!(told(&format!("slow_start = \"30s\"\n{route}"), &endpoints), [""; 0]);
    assert_eq!(told("route = []", US_AND_EU), [""; 0]);
}

#[test]
fn what_is_hardly_meant_is_told() {
    let cases = [
        (
            r#"route = ["nearest"]"#,
            "check = { tcp = \"192.0.2.2:1\" }",
            "without \"healthy\" what is down",
        ),
        (
            r#"route = [{ healthy = { min_healthy = 3 } }, "nearest"]"#,
            "",
            "min_healthy = 3, and endpoints are 2",
        ),
        (
            r#"route = ["healthy", "nearest"]"#,
            "weight = 0",
            "the weight of europe-west3 counts for nothing",
        ),
        (
            r#"route = ["healthy", { failover = ["us-central1"] }]"#,
            "tier = 2",
            "the tier of europe-west3",
        ),
        (
            "slow_start = \"30s\"\nroute = [\"healthy\", \"nearest\"]",
            "",
            "slow_start scales weights",
        ),
        (
            r#"route = [{ fence = [{ clients = ["continent:EU", "CH"], regions = ["europe-west4"] }] }, "nearest"]"#,
            "",
            "fence, rule 1 (continent:EU, CH): no endpoint is in europe-west4, so these clients are refused",
        ),
        (
            r#"route = [{ fence = [{ clients = ["DE"], regions = ["europe-west3"], refuse = ["192.0.2.9"] }] }, "nearest"]"#,
            "",
            "fence, rule 1 (DE): refuse is never answered",
        ),
        (
            r#"route = [{ fence = [{ clients = ["DE", "all"], regions = ["europe-west3"] },
                                   { clients = ["US"], regions = ["us-central1"] }] }, "nearest"]"#,
            "",
            "fence: rules behind rule 1 are never reached",
        ),
        (
            r#"route = [{ nearest = { prefer = [{ clients = ["all"], regions = ["europe-west3"] },
                                                { clients = ["US"], regions = ["us-central1"] }] } }]"#,
            "",
            "prefer: rules behind rule 1 are never reached",
        ),
        (
            r#"route = ["healthy", { failover = [["us-central1", "us-east1"], "us-east4"] }]"#,
            "",
            "\"failover\" names us-east1, us-east4, where no endpoint is",
        ),
        (
            r#"route = [{ nearest = { bias = { "us-east1" = 5 } } }]"#,
            "",
            "\"nearest\" names us-east1, where no endpoint is",
        ),
        (
            r#"route = ["healthy", "resource"]"#,
            "ping = \"https://192.0.2.2\"",
            "\"resource\" has us-central1 last, as it has no ping",
        ),
        (
            r#"route = ["healthy", "latency"]"#,
            "check = { tcp = \"192.0.2.2:1\" }",
            "\"least-response-time\" has us-central1 last, as it has neither ping nor check",
        ),
        (r#"route = ["failover"]"#, "tier = 2", "never leaves the first tier"),
        (r#"route = ["nearest", { take = 1 }, "healthy"]"#, "", "\"healthy\" after a cut"),
    ];
    for (keys, of_the_second, expected) in cases {
        let told = told(keys, &format!("{US_AND_EU}{of_the_second}"));
        let [one] = told.as_slice() else { panic!("{keys}: {told:?}") };
        assert!(one.contains(expected), "{keys}: {one}");
    }
}

#[test]
fn addresses_that_nobody_has_are_refused() {
    for (address, why) in [
        ("0.0.0.0", "nobody's"),
        ("::", "nobody's"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("255.255.255.255", "broadcast"),
        ("::ffff:192.0.2.1", "the IPv4 address"),
    ] {
        let endpoints = US_AND_EU.replace("192.0.2.2", address);
        let report = site::load(&config("route = []", &endpoints), ZONE).err();
        let report = report.unwrap_or_else(|| panic!("{address} is taken"));
        assert!(report.contains(why), "{address}: {report}");
    }
}
