//! Small exports, and what becomes of them. Whole ones are data in tests/cases/import.

use std::fs;

use super::*;
use crate::import::document;

/// Imports a folder with these files.
fn imported(files: &[(&str, &str)]) -> Result<Imported, String> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    import(dir.path()).map_err(|failure| failure.to_string())
}

const HEAD: &str = r#"
  { "Name": "example.com.", "Type": "SOA", "TTL": 900, "ResourceRecords": [
    { "Value": "ns-1.awsdns-00.com. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400" } ] },
  { "Name": "example.com.", "Type": "NS", "TTL": 172800, "ResourceRecords": [
    { "Value": "ns-1.awsdns-00.com." }, { "Value": "ns-2.awsdns-01.net." } ] },
"#;

/// The configuration and the zone that come out of these record sets.
fn config(sets: &str, more: &[(&str, &str)]) -> (toml::Table, String, String) {
    let page = format!("{{ \"ResourceRecordSets\": [ {HEAD} {sets} ] }}");
    let files: Vec<(&str, &str)> =
        [("page.json", page.as_str())].into_iter().chain(more.iter().copied()).collect();
    let imported = imported(&files).unwrap_or_else(|error| panic!("{error}"));
    let written = document::files(&imported, "a test").remove(0).1;
    let table = written.parse().unwrap_or_else(|error| panic!("{error}\n{written}"));
    let told = imported.findings.list().iter();
    let told: Vec<String> = told.map(|f| format!("{:?} {} {}", f.kind, f.at, f.what)).collect();
    (table, imported.zones[0].text.clone(), told.join("\n"))
}

fn set(name: &str, rtype: &str, id: &str, policy: &str, value: &str) -> String {
    format!(
        "{{ \"Name\": \"{name}.example.com.\", \"Type\": \"{rtype}\", \"SetIdentifier\": \"{id}\", \
         {policy}, \"TTL\": 60, \"ResourceRecords\": [ {{ \"Value\": \"{value}\" }} ] }}"
    )
}

fn alias(name: &str, id: &str, policy: &str, to: &str) -> String {
    format!(
        "{{ \"Name\": \"{name}.example.com.\", \"Type\": \"A\", \"SetIdentifier\": \"{id}\", {policy}, \
         \"AliasTarget\": {{ \"HostedZoneId\": \"Z\", \"DNSName\": \"{to}\", \
         \"EvaluateTargetHealth\": true }} }}"
    )
}

fn route(config: &toml::Table, service: usize) -> String {
    config["service"][service]["route"].to_string()
}

/// A key of each endpoint.
fn column(config: &toml::Table, service: usize, key: &str) -> Vec<String> {
    let endpoints = config["service"][service]["endpoint"].as_array().unwrap();
    let shown = |e: &toml::Value| e.get(key).map_or("-".to_owned(), ToString::to_string);
    endpoints.iter().map(shown).collect()
}

#[test]
fn simple_records_are_a_zone() {
    let sets = r#"
      { "Name": "\\052.example.com.", "Type": "TXT", "TTL": 300,
        "ResourceRecords": [ { "Value": "\"caf\\303\\251\" \"x\"" } ] },
      { "Name": "example.com.", "Type": "MX", "TTL": 300,
        "ResourceRecords": [ { "Value": "10 mail.example.net" } ] }"#;
    let (_, zone, told) = config(sets, &[]);
    assert!(zone.contains("10 mail.example.net\n"), "{zone}");
    assert!(zone.contains("*.example.com."), "{zone}");
    assert!(zone.contains(r#""caf\195\169" "x""#), "{zone}");
    assert_eq!(told, "Note example.com. NS records and SOA");
}

#[test]
fn policies_become_routes() {
    let sets = [
        set("w", "A", "a", "\"Weight\": 3", "192.0.2.1"),
        set("w", "A", "b", "\"Weight\": 0", "192.0.2.2"),
        set("w", "AAAA", "a", "\"Weight\": 3", "2001:db8::1"),
        set("w", "AAAA", "b", "\"Weight\": 1", "2001:db8::2"),
        set("x-l", "A", "a", "\"Region\": \"us-east-1\"", "192.0.2.1"),
        set("x-l", "A", "b", "\"Region\": \"eu-central-1\"", "192.0.2.2"),
        set("y-f", "A", "2", "\"Failover\": \"SECONDARY\"", "192.0.2.2"),
        set("y-f", "A", "1", "\"Failover\": \"PRIMARY\"", "192.0.2.1"),
        set("z-m", "A", "1", "\"MultiValueAnswer\": true", "192.0.2.1"),
        set("z-m", "A", "2", "\"MultiValueAnswer\": true", "192.0.2.2"),
    ];
    let (config, _, _) = config(&sets.join(",\n"), &[]);
    let expected = [
        r#"["healthy", "weighted"]"#,
        r#"["healthy", "nearest"]"#,
        r#"["healthy", "failover"]"#,
        r#"["healthy", { take = 2 }]"#,
    ];
    for (service, expected) in expected.iter().enumerate() {
        assert_eq!(route(&config, service), *expected, "{service}");
    }
    assert_eq!(column(&config, 0, "weight"), ["3", "0", "1"]);
    let both = r#"["192.0.2.1", "2001:db8::1"]"#;
    assert_eq!(column(&config, 0, "addresses")[0], both);
    assert_eq!(column(&config, 1, "region"), ["\"us-east-1\"", "\"eu-central-1\""]);
    assert_eq!(column(&config, 2, "region"), ["\"primary\"", "\"secondary\""]);
    assert_eq!(column(&config, 2, "tier"), ["1", "2"]);
}

#[test]
fn the_smallest_place_comes_first_and_the_default_last() {
    let place = |id: &str, place: &str, value: &str| {
        set("g", "A", id, &format!("\"GeoLocation\": {{ {place} }}"), value)
    };
    let sets = [
        place("eu", "\"ContinentCode\": \"EU\"", "192.0.2.1"),
        place("de", "\"CountryCode\": \"DE\"", "192.0.2.2"),
        place("us", "\"CountryCode\": \"US\"", "192.0.2.3"),
        place("ca", "\"CountryCode\": \"US\", \"SubdivisionCode\": \"CA\"", "192.0.2.4"),
        place("all", "\"CountryCode\": \"*\"", "192.0.2.3"),
    ];
    let (config, _, told) = config(&sets.join(","), &[]);
    let fence = config["service"][0]["route"][0]["fence"].as_array().unwrap();
    let fence: Vec<String> =
        fence.iter().map(|rule| format!("{} {}", rule["clients"], rule["regions"])).collect();
    // The United States and the default have the same address, so they are one region.
    assert_eq!(
        fence,
        [
            r#"["DE"] ["for-DE", "for-continent-EU", "for-US"]"#,
            r#"["US"] ["for-US"]"#,
            r#"["continent:EU"] ["for-continent-EU", "for-US"]"#,
            r#"["all"] ["for-US"]"#,
        ][..]
    );
    assert!(told.contains("LeftOut g.example.com. A \"ca\" the subdivision CA"), "{told}");
}

#[test]
fn without_a_default_others_are_refused() {
    let policy = "\"GeoLocation\": { \"ContinentCode\": \"EU\" }";
    let (config, _, told) = config(&set("g", "A", "eu", policy, "192.0.2.1"), &[]);
    let last = &config["service"][0]["route"][0]["fence"][1];
    assert_eq!(
        (last["clients"].to_string(), last["regions"].to_string()),
        ("[\"all\"]".into(), "[]".into())
    );
    assert!(told.contains("Changed g.example.com. A no default"), "{told}");
}

#[test]
fn proximity_has_coordinates_and_bias() {
    let at = |id: &str, at: &str, value: &str| {
        set("p", "A", id, &format!("\"GeoProximityLocation\": {{ {at} }}"), value)
    };
    let sets = [
        at("a", "\"AWSRegion\": \"us-east-1\", \"Bias\": 20", "192.0.2.1"),
        at(
            "home",
            "\"Coordinates\": { \"Latitude\": \"49.22\", \"Longitude\": \"-74.01\" }",
            "192.0.2.2",
        ),
    ];
    let (config, ..) = config(&sets.join(","), &[]);
    let nearest = &config["service"][0]["route"][1]["nearest"];
    assert_eq!(nearest["bias"]["us-east-1"].as_integer(), Some(20));
    assert_eq!(config["region"][0]["name"].as_str(), Some("home"));
    assert_eq!(config["region"][0]["location"].to_string(), "[49.22, -74.01]");
}

#[test]
fn networks_of_a_collection() {
    let at = |id: &str, location: &str, value: &str| {
        let policy = format!(
            "\"CidrRoutingConfig\": {{ \"CollectionId\": \"c\", \"LocationName\": \"{location}\" }}"
        );
        set("c", "A", id, &policy, value)
    };
    let sets =
        [at("a", "isp", "192.0.2.1"), at("b", "*", "192.0.2.2"), at("c", "gone", "192.0.2.3")];
    let blocks =
        r#"{ "CidrBlocks": [ { "CidrBlock": "198.51.100.0/24", "LocationName": "isp" } ] }"#;
    let (config, _, told) = config(&sets.join(","), &[("blocks.json", blocks)]);
    let rule = &config["service"][0]["route"][0]["fence"][1];
    assert_eq!(rule["clients"].to_string(), r#"["all"]"#);
    let rule = &config["service"][0]["route"][2]["nearest"]["prefer"][0];
    assert_eq!(rule["clients"].to_string(), r#"["198.51.100.0/24"]"#);
    assert_eq!(rule["regions"].to_string(), r#"["cidr-isp", "for-all"]"#);
    assert!(told.contains("LeftOut c.example.com. A \"c\" the networks of the location"), "{told}");
}

#[test]
fn aliases_to_records_of_the_zone_take_their_place() {
    let sets = [
        alias("www", "us", "\"Region\": \"us-east-1\"", "w-us.example.com."),
        alias("www", "eu", "\"Region\": \"eu-central-1\"", "one.example.com."),
        set("w-us", "A", "a", "\"Weight\": 1", "192.0.2.1"),
        set("w-us", "A", "b", "\"Weight\": 3", "192.0.2.2"),
        r#"{ "Name": "one.example.com.", "Type": "A", "TTL": 60,
             "ResourceRecords": [ { "Value": "192.0.2.3" } ] }"#.to_owned(),
        r#"{ "Name": "example.com.", "Type": "A", "AliasTarget":
             { "HostedZoneId": "Z", "DNSName": "www.example.com.", "EvaluateTargetHealth": false } }"#
            .to_owned(),
        r#"{ "Name": "copy.example.com.", "Type": "A", "AliasTarget":
             { "HostedZoneId": "Z", "DNSName": "one.example.com.", "EvaluateTargetHealth": false } }"#
            .to_owned(),
        r#"{ "Name": "cdn.example.com.", "Type": "A", "AliasTarget":
             { "HostedZoneId": "Z", "DNSName": "d1.cloudfront.net.", "EvaluateTargetHealth": false } }"#
            .to_owned(),
    ];
    let (config, zone, told) = config(&sets.join(","), &[]);
    let services = config["service"].as_array().unwrap();
    let www = services.iter().position(|s| s["name"].as_str() == Some("www.example.com")).unwrap();
    assert_eq!(route(&config, www), r#"["healthy", "nearest", "weighted"]"#);
    assert_eq!(column(&config, www, "weight"), ["1", "3", "-"]);
    let apex = services.iter().find(|s| s["name"].as_str() == Some("example.com")).unwrap();
    assert_eq!(apex["alias"].as_str(), Some("www.example.com"));
    let squeezed: Vec<String> =
        zone.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert!(squeezed.contains(&"copy.example.com. 60 A 192.0.2.3".to_owned()), "{zone}");
    assert!(
        squeezed.contains(&"cdn.example.com. 60 CNAME d1.cloudfront.net.".to_owned()),
        "{zone}"
    );
    assert!(!told.contains("LeftOut"), "{told}");
}

#[test]
fn health_checks_become_checks() {
    let sets = [
        set("f", "A", "1", "\"Failover\": \"PRIMARY\", \"HealthCheckId\": \"h1\"", "192.0.2.1"),
        set("f", "A", "2", "\"Failover\": \"SECONDARY\", \"HealthCheckId\": \"h2\"", "192.0.2.2"),
        set("w", "A", "1", "\"Weight\": 1, \"HealthCheckId\": \"h3\"", "192.0.2.3"),
        set("w", "A", "2", "\"Weight\": 1, \"HealthCheckId\": \"gone\"", "192.0.2.4"),
    ];
    let checks = r#"{ "HealthChecks": [
      { "Id": "h1", "HealthCheckConfig": { "Type": "HTTPS_STR_MATCH", "IPAddress": "192.0.2.1", "Port": 8443,
        "ResourcePath": "/healthz", "SearchString": "ok", "RequestInterval": 10, "FailureThreshold": 2 } },
      { "Id": "h2", "HealthCheckConfig": { "Type": "TCP", "IPAddress": "192.0.2.2", "Port": 443,
        "RequestInterval": 10, "FailureThreshold": 2 } },
      { "Id": "h3", "HealthCheckConfig": { "Type": "CALCULATED" } } ] }"#;
    let (config, _, told) = config(&sets.join(","), &[("checks.json", checks)]);
    let checks = column(&config, 0, "check");
    assert!(checks[0].contains(r#"https = "https://192.0.2.1:8443/healthz""#), "{checks:?}");
    assert!(checks[0].contains(r#"body = "ok""#), "{checks:?}");
    assert_eq!(checks[1], r#"{ tcp = "192.0.2.2:443" }"#);
    assert_eq!(config["probe"]["interval"].as_str(), Some("10s"));
    assert!(told.contains("LeftOut w.example.com. A \"1\" the health check h3"), "{told}");
    assert!(told.contains("LeftOut w.example.com. A \"2\" the health check gone"), "{told}");
}

/// What an alias, a second type or a single record says of health or TTL is carried over or told.
#[test]
fn nothing_of_health_is_lost() {
    let id = |id: &str, policy: &str| format!("{policy}, \"HealthCheckId\": \"{id}\"");
    let primary = "\"Failover\": \"PRIMARY\"";
    let secondary = "\"Failover\": \"SECONDARY\"";
    let sets = [
        alias("a", "1", &id("h1", primary), "w.example.com."),
        alias("a", "2", &id("h2", secondary), "bucket.example.net."),
        set("f", "A", "1", &id("h2", primary), "192.0.2.2"),
        set("f", "A", "2", secondary, "192.0.2.3").replace("60", "300"),
        set("f", "AAAA", "1", &id("h3", primary), "2001:db8::2"),
        set("g", "A", "1", &id("h2", primary), "192.0.2.2"),
        set("g", "AAAA", "1", &id("h4", primary), "2001:db8::2"),
        alias("m", "1", primary, "w.example.com."),
        set("m", "AAAA", "1", primary, "2001:db8::9"),
        set("w", "A", "1", &id("h2", "\"Weight\": 1"), "192.0.2.2"),
        set("w", "A", "2", "\"Weight\": 1", "192.0.2.4"),
        r#"{ "Name": "one.example.com.", "Type": "A", "TTL": 60, "HealthCheckId": "h2",
             "ResourceRecords": [ { "Value": "192.0.2.5" } ] }"#
            .to_owned(),
    ];
    let tcp = |id: &str, address: &str, port: u16| {
        format!(
            "{{ \"Id\": \"{id}\", \"HealthCheckConfig\": {{ \"Type\": \"TCP\", \
             \"IPAddress\": \"{address}\", \"Port\": {port} }} }}"
        )
    };
    let checks = [
        tcp("h1", "192.0.2.1", 1),
        tcp("h2", "192.0.2.2", 2),
        tcp("h3", "2001:db8::2", 3),
        tcp("h4", "2001:db8::2", 2),
    ];
    let checks = format!("{{ \"HealthChecks\": [ {} ] }}", checks.join(","));
    let sets =
        sets.join(",").replace("\"EvaluateTargetHealth\": true", "\"EvaluateTargetHealth\": false");
    let (config, _, told) = config(&sets, &[("checks.json", &checks)]);
    for expected in [
        "LeftOut a.example.com. A \"1\" the health check h1",
        "Changed a.example.com. A \"1\" EvaluateTargetHealth = false",
        "Changed f.example.com. A AAAA TTLs of {60, 300}",
        "Changed f.example.com. AAAA \"1\" the health check h3",
        "LeftOut m.example.com. A \"1\" 2001:db8::9",
        "Note one.example.com. A the health check h2",
    ] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
    // The same port of each address is one check.
    assert!(!told.contains("h4"), "{told}");
    let services = config["service"].as_array().unwrap();
    let g = services.iter().position(|s| s["name"].as_str() == Some("g.example.com")).unwrap();
    assert_eq!(column(&config, g, "check"), [r#"{ tcp = "192.0.2.2:2" }"#]);
}

#[test]
fn a_cname_of_an_alias_has_the_aliases_check() {
    let policy = |weight: u32| format!("\"Weight\": {weight}, \"HealthCheckId\": \"h\"");
    let sets = [
        alias("c", "1", &policy(1), "one.example.net."),
        alias("c", "2", &policy(2), "two.example.net."),
    ];
    let checks = r#"{ "HealthChecks": [ { "Id": "h", "HealthCheckConfig":
      { "Type": "TCP", "IPAddress": "192.0.2.1", "Port": 443 } } ] }"#;
    let (config, ..) = config(&sets.join(","), &[("checks.json", checks)]);
    assert_eq!(column(&config, 0, "check"), [r#"{ tcp = "192.0.2.1:443" }"#; 2]);
}

#[test]
fn networks_of_two_collections_are_told() {
    let at = |name: &str, collection: &str| {
        let policy = format!(
            "\"CidrRoutingConfig\": {{ \"CollectionId\": \"{collection}\", \"LocationName\": \"isp\" }}"
        );
        set(name, "A", "1", &policy, "192.0.2.1")
    };
    let blocks =
        r#"{ "CidrBlocks": [ { "CidrBlock": "198.51.100.0/24", "LocationName": "isp" } ] }"#;
    let told = |sets: &[String]| config(&sets.join(","), &[("blocks.json", blocks)]).2;
    let expected = "Changed CidrRoutingConfig 2 collections of networks";
    assert!(!told(&[at("a", "c"), at("b", "c")]).contains(expected));
    assert!(told(&[at("a", "c"), at("b", "d")]).contains(expected));
}

#[test]
fn pages_zones_and_strange_things() {
    let page = |sets: &str| format!("{{ \"ResourceRecordSets\": [ {sets} ] }}");
    let first = page(&format!("{HEAD} {}", set("a", "A", "1", "\"Weight\": 1", "192.0.2.1")));
    let second = page(&set("a", "A", "2", "\"Weight\": 1, \"New\": 1", "192.0.2.2"));
    let both = imported(&[("1.json", &first), ("2.json", &second)]).unwrap();
    assert_eq!((both.zones.len(), both.services.len()), (1, 1));
    assert!(both.findings.list().iter().any(|finding| finding.what == "New"));
    let cases = [
        (vec![("2.json", second.as_str())], "2.json: nothing says which zone"),
        (vec![("x.json", "{ \"ResourceRecordSets\": [ 1 ] }")], "x.json: invalid type: integer"),
        (vec![("x.json", "{ \"a\": ")], "line 1 column"),
        (vec![("x.json", "{}")], "no output of `aws route53 list-resource-record-sets`"),
        (vec![("x.txt", "{}")], "there is no *.json in it"),
    ];
    for (files, says) in cases {
        let told = imported(&files).map(|_| ()).unwrap_err();
        assert!(told.contains(says), "{told}");
    }
    let deep = format!("{{ \"X\": {}{} }}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = page(&deep);
    assert!(imported(&[("x.json", &deep)]).unwrap_err().contains("recursion"));
}

#[test]
fn two_policies_of_one_name_are_one_too_many() {
    let sets = [
        set("w", "A", "a", "\"Weight\": 3", "192.0.2.1"),
        set("w", "AAAA", "a", "\"Region\": \"us-east-1\"", "2001:db8::1"),
    ];
    let (_, _, told) = config(&sets.join(","), &[]);
    assert!(told.contains("LeftOut w.example.com. AAAA \"a\" Latency of AAAA"), "{told}");
}

/// Each level of aliases has as many as the one before, so that all ways are 30^6.
#[test]
fn aliases_that_fan_out_come_to_an_end() {
    let mut sets = Vec::new();
    for level in 0..6 {
        for number in 0..30 {
            let (name, to) = (format!("n{level}"), format!("n{}.example.com.", level + 1));
            sets.push(alias(&name, &number.to_string(), "\"Weight\": 1", &to));
        }
    }
    sets.push(set("n6", "A", "1", "\"Weight\": 1", "192.0.2.1"));
    let (_, _, told) = config(&sets.join(","), &[]);
    assert!(told.contains("LeftOut n5.example.com. A \"29\" the alias to n6"), "{told}");
}
