//! Small zones, and what becomes of them. Whole ones are data in tests/cases/import.

use std::fs;

use super::*;
use crate::import::document;

fn imported(text: &str) -> Result<Imported, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("example.com.json");
    fs::write(&path, text).unwrap();
    import(&path).map_err(|failure| failure.to_string())
}

/// The configuration, the zone and the findings that come out of these labels.
fn config(options: &str, labels: &str) -> (toml::Table, Vec<String>, String) {
    let apex = r#""": { "ns": [ "ns1.example.net", "ns2.example.net" ] }"#;
    let text = format!("{{ \"serial\": 7, {options} \"data\": {{ {apex}, {labels} }} }}");
    let imported = imported(&text).unwrap_or_else(|error| panic!("{error}"));
    let written = document::files(&imported, "a test").remove(0).1;
    let table = written.parse().unwrap_or_else(|error| panic!("{error}\n{written}"));
    let squeeze = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let zone = imported.zones[0].text.lines().map(squeeze).collect();
    let told = imported.findings.list().iter();
    let told: Vec<String> = told.map(|f| format!("{:?} {} {}", f.kind, f.at, f.what)).collect();
    (table, zone, told.join("\n"))
}

fn service<'a>(config: &'a toml::Table, name: &str) -> &'a toml::Value {
    let all = config["service"].as_array().unwrap();
    all.iter().find(|s| s["name"].as_str() == Some(name)).unwrap_or_else(|| panic!("{all:?}"))
}

fn fence(service: &toml::Value) -> Vec<String> {
    let rules = service["route"][0]["fence"].as_array().unwrap();
    rules.iter().map(|rule| format!("{} {}", rule["clients"], rule["regions"])).collect()
}

#[test]
fn what_is_always_answered_is_a_zone() {
    let labels = r#"
      "mail": { "a": [ [ "192.0.2.1", 100 ], [ "192.0.2.2", "50" ] ], "ttl": "601" },
      "txt": { "txt": "two \"words\"", "mx": { "mx": "mail.example.com", "preference": 10 } },
      "_sip._tcp": { "srv": [ { "port": 5060, "srv_weight": 100, "priority": 10, "target": "sip" } ] },
      "spf": { "spf": [ { "spf": "v=spf1 ~all", "weight": 1 } ] },
      "www": { "cname": "geo" }, "p": { "ptr": [ [ "host.example.net." ] ] }"#;
    let (config, zone, told) = config("\"contact\": \"dns@example.com\", \"ttl\": 600,", labels);
    assert!(config.get("service").is_none());
    let expected = [
        "example.com. 3600 SOA ns1.example.net. dns.example.com. 7 5400 5400 1209600 3600",
        "86400 NS ns2.example.net.",
        "601 A 192.0.2.2",
        r#"600 TXT "two \"words\"""#,
        "_sip._tcp.example.com. 600 SRV 10 100 5060 sip.example.com.",
        r#"spf.example.com. 600 TXT "v=spf1 ~all""#,
        "www.example.com. 600 CNAME geo.example.com.",
        "p.example.com. 600 PTR host.example.net.",
    ];
    for line in expected {
        assert!(zone.iter().any(|have| have == line), "{line}\n{}", zone.join("\n"));
    }
    assert_eq!(told, "Note example.com. label \"spf\" an SPF record, now TXT");
}

#[test]
fn more_than_max_hosts_are_drawn_by_weight() {
    let labels = r#"
      "w": { "a": [ [ "10.0.0.1", 10 ], [ "10.0.0.2", 20 ], [ "10.0.0.3", 30 ], [ "10.0.0.4", 40 ] ] },
      "one": { "a": [ [ "10.0.0.1" ], [ "10.0.0.2" ] ], "max_hosts": "1" },
      "c": { "cname": [ [ "a", 10 ], [ "b.example.net.", 30 ] ] }"#;
    let (config, ..) = config("", labels);
    let route = |name: &str| service(&config, name)["route"].to_string();
    assert_eq!(route("w.example.com"), r#"["healthy", "weighted", { take = 2 }]"#);
    assert_eq!(route("one.example.com"), r#"["healthy", "weighted"]"#);
    let weight =
        |name: &str, n: usize| service(&config, name)["endpoint"][n]["weight"].as_integer();
    assert_eq!((weight("w.example.com", 3), weight("one.example.com", 0)), (Some(40), Some(100)));
    let cname = &service(&config, "c.example.com")["endpoint"][0]["cname"];
    assert_eq!(cname.as_str(), Some("a.example.com."));
}

#[test]
fn labels_for_some_clients_are_fences() {
    let labels = r#"
      "www": { "a": [ [ "192.0.2.1", 10 ], [ "192.0.2.2", 10 ] ], "txt": "all" },
      "www.europe": { "a": [ [ "192.0.2.2", 10 ], [ "192.0.2.3", 10 ] ] },
      "www.de": { "a": [ [ "192.0.2.4" ] ], "aaaa": [ [ "2001:db8::4" ] ] },
      "www.no": { "a": [] },
      "only.asia": { "a": [ [ "192.0.2.9" ] ] },
      "www.[192.0.2.0]": { "a": [ [ "192.0.2.5" ] ] }, "www.as64496": { "a": [ [ "192.0.2.6" ] ] },
      "www.us-west": { "a": [ [ "192.0.2.7" ] ] }"#;
    let options = "\"targeting\": \"country continent @ regiongroup region ip asn\",";
    let (config, zone, told) = config(options, labels);
    let www = service(&config, "www.example.com");
    assert_eq!(
        fence(www),
        [
            r#"["192.0.2.0/24"] ["for-192.0.2.0/24"]"#,
            r#"["DE"] ["for-DE"]"#,
            r#"["continent:EU"] ["for-continent-EU", "for-continent-EU+for-all"]"#,
            r#"["all"] ["for-continent-EU+for-all", "for-all"]"#,
        ],
        "{told}"
    );
    assert_eq!(www["route"].as_array().unwrap()[1..].len(), 3);
    assert!(zone.contains(&"www.example.com. 120 TXT \"all\"".to_owned()));
    let only = fence(service(&config, "only.example.com"));
    assert_eq!(only, [r#"["continent:AS"] ["for-continent-AS"]"#, r#"["all"] []"#]);
    assert!(told.contains("LeftOut example.com. label \"www.us-west\""), "{told}");
}

#[test]
fn labels_without_records_are_told() {
    let told = |labels: &str| {
        let imported = imported(&format!("{{ \"data\": {{ {labels} }} }}")).unwrap();
        let told = imported.findings.list().iter();
        told.map(|f| format!("{:?} {} {}\n", f.kind, f.at, f.what)).collect::<String>()
    };
    let www = "\"www\": { \"a\": [ [ \"192.0.2.1\" ] ] }";
    for apex in ["", "\"\": {}, ", "\"\": { \"ttl\": 60, \"ns\": [] }, "] {
        let told = told(&format!("{apex}{www}"));
        assert!(told.contains("no NS record at its apex") && told.lines().count() == 1, "{told}");
    }
    let ns = format!("\"\": {{ \"ns\": [ \"ns1.example.net\" ] }}, {www}");
    assert_eq!(told(&ns), "");
    let empty = format!("{ns}, \"gone\": {{}}, \"www.europe\": {{ \"health\": {{}} }}");
    assert_eq!(
        told(&empty),
        "LeftOut example.com. label \"gone\" the label\n\
         Note example.com. label \"www.europe\" the label\n\
         LeftOut example.com. label \"www.europe\" health\n"
    );
}

#[test]
fn aliases_follow() {
    let labels = r#"
      "foo": { "a": [ [ "192.0.2.1" ], [ "192.0.2.2" ], [ "192.0.2.3" ] ], "mx": { "mx": "m.example.net" } },
      "smtp": { "alias": "foo" }, "again": { "alias": "smtp" }, "none": { "alias": "nobody" },
      "loop": { "alias": "loop" },
      "c": { "cname": [ [ "a", 10 ], [ "b", 30 ] ] }, "d": { "alias": "c" }"#;
    let (config, zone, told) = config("", labels);
    for name in ["smtp.example.com", "again.example.com"] {
        assert_eq!(service(&config, name)["alias"].as_str(), Some("foo.example.com"));
        let mx = format!("{name}. 120 MX 0 m.example.net.");
        assert!(zone.contains(&mx), "{}", zone.join("\n"));
    }
    assert!(zone.contains(&"d.example.com. 120 CNAME c.example.com.".to_owned()));
    assert!(told.contains("LeftOut example.com. label \"none\""), "{told}");
    assert!(told.contains("LeftOut example.com. label \"loop\""), "{told}");
}

#[test]
fn the_closest_are_within_five_percent() {
    let labels = r#"
      "closest": { "a": [ [ "128.135.0.1", 100 ], [ "141.2.0.1", 100 ] ], "max_hosts": "1",
                   "closest": true, "health": { "type": "tcp" } }"#;
    let (config, _, told) = config("", labels);
    let route = service(&config, "closest.example.com")["route"].to_string();
    assert_eq!(route, r#"["healthy", { nearest = { within = "5 %" } }, "weighted"]"#);
    let regions: Vec<&str> = config["region"]
        .as_array()
        .unwrap()
        .iter()
        .map(|region| region["name"].as_str().unwrap())
        .collect();
    assert_eq!(regions, ["near-DE", "near-US"]);
    assert!(told.contains("LeftOut example.com. label \"closest\" health"), "{told}");
}

#[test]
fn mistakes_have_their_place() {
    let cases = [
        ("{ \"data\": ", "example.com.json: EOF while parsing a value at line 1 column 10"),
        ("{ \"data\": 1 }", "data: it is no object of labels"),
        ("{ \"ttl\": -1 }", "ttl: -1 is no number"),
        ("{ \"targeting\": \"planet\" }", "geodns knows no \"planet\""),
        (
            "{ \"data\": { \"a\": { \"a\": [ [ \"x\" ] ] } } }",
            "label \"a\": a: \"x\" is no such address",
        ),
        ("{ \"data\": { \"a\": { \"a\": [ [] ] } } }", "an empty list is no record"),
        (
            "{ \"data\": { \"a\": { \"mx\": [ { \"mx\": \"m\", \"preference\": 70000 } ] } } }",
            "at most 65535",
        ),
        ("{ \"data\": { \"a\": { \"cname\": \"a\\nb\" } } }", "line end"),
    ];
    for (text, says) in cases {
        let told = imported(text).map(|_| ()).unwrap_err();
        assert!(told.contains(says), "{text}: {told}");
    }
}
