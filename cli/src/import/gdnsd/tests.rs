//! Small configurations, and what becomes of them. Whole ones are data in tests/cases/import.

use std::fs;

use super::*;
use crate::import::document;
use crate::import::findings::Kind;

/// Imports a folder with these files.
fn imported(files: &[(&str, &str)]) -> Result<Imported, String> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    import(dir.path()).map_err(|failure| failure.to_string())
}

const HEAD: &str = "@ SOA ns1 hostmaster 1 2H 30M 3D 900\n@ NS ns1\nns1 A 192.0.2.53\n";

fn zone(records: &str) -> String {
    format!("{HEAD}{records}")
}

/// The configuration that comes out of one zone with these records.
fn config(plugins: &str, records: &str) -> (toml::Table, Imported) {
    let text = zone(records);
    let files = [("config", plugins), ("zones/example.com", text.as_str())];
    let imported = imported(&files).unwrap_or_else(|error| panic!("{error}"));
    let written = document::files(&imported, "a test").remove(0).1;
    let table = written.parse().unwrap_or_else(|error| panic!("{error}\n{written}"));
    (table, imported)
}

fn route(config: &toml::Table, service: usize) -> String {
    config["service"][service]["route"].to_string()
}

fn told(imported: &Imported) -> String {
    let line = |f: &crate::import::findings::Finding| format!("{:?} {} {}", f.kind, f.at, f.what);
    imported.findings.list().iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn static_zones_stay_as_they_were_written() {
    let records = "; the web\nwww A 192.0.2.1 ; here\n    A 192.0.2.2\n\nmx (\n 300 MX 10 www )\n";
    let (_, imported) = config("", records);
    let expected = format!("$ORIGIN example.com.\n$TTL 86400\n{}", zone(records));
    assert_eq!(imported.zones[0].text, expected);
    assert!(imported.findings.is_faithful(), "{}", told(&imported));
}

#[test]
fn owners_stay_when_lines_between_go() {
    let plugins =
        "plugins => { static => { a => 192.0.2.9 }, multifo => { m => [ 192.0.2.1, 192.0.2.2 ] } }";
    let records = "a A 192.0.2.3\nb DYNA multifo!m\n  MX 10 a\nc DYNA static!a\n  TXT x\n";
    let (config, imported) = config(plugins, records);
    let text = &imported.zones[0].text;
    assert!(text.contains("\nb.example.com. 86400 MX 10 a\n"), "{text}");
    assert!(text.contains("\nc.example.com. 86400 A 192.0.2.9\n  TXT x\n"), "{text}");
    assert_eq!(config["service"].as_array().unwrap().len(), 1);
}

#[test]
fn includes_and_special_names_of_the_manual() {
    let files = [
        ("config", ""),
        ("zones/example.org", &*zone("$INCLUDE includes/foo foo\nlast A 192.0.2.9\n")),
        (
            "zones/includes/foo",
            "$ORIGIN bar\nasdf A 192.0.2.1\n$ORIGIN baz.@F\nasdf A 192.0.2.2\n\
             $ORIGIN quux.@Z\nasdf A 192.0.2.3\nx CNAME y.@F\n",
        ),
    ];
    let imported = imported(&files).unwrap();
    let text = &imported.zones[0].text;
    for origin in ["foo", "bar.foo", "baz.foo", "quux"] {
        assert!(text.contains(&format!("$ORIGIN {origin}.example.org.\n")), "{origin}: {text}");
    }
    assert!(text.contains("CNAME y.foo.example.org."), "{text}");
    assert!(text.ends_with("$ORIGIN example.org.\n$TTL 86400\nlast A 192.0.2.9\n"), "{text}");
    assert_eq!(told(&imported), "");
}

#[test]
fn plugins_become_routes() {
    let plugins = "
      service_types => { web => { plugin => tcp_connect, port => 80, interval => 8 } }
      plugins => {
        simplefo => { s => { service_types => web, primary => 192.0.2.1, secondary => 192.0.2.2 } }
        multifo => { up_thresh => 0.5, m => { a => 192.0.2.1, b => 192.0.2.2, c => 192.0.2.3 } }
        weighted => { w => { a => [ 192.0.2.1, 3 ], b => [ 192.0.2.2, 1 ] },
          wm => { multi => true, a => [ 192.0.2.1, 4 ], b => [ 192.0.2.2, 2 ], c => [ 192.0.2.3, 2 ] }
          wg => { g1 => { a => [192.0.2.1, 1], b => [192.0.2.2, 1] }, g2 => { c => [192.0.2.3, 2] } }
          wc => { a => [ a.example.net., 9 ], b => [ b.example.net., 1 ] } }
        metafo => { resources => { f => { datacenters => [ x, y, z ], dcmap => {
          x => %multifo!m, y => { plugin => weighted, l => [ 192.0.2.7, 2 ], k => [ 192.0.2.8, 1 ] },
          z => 192.0.2.9 } } } }
      }";
    let records = "s 300/30 DYNA simplefo!s\nm 60 DYNA multifo!m\nw DYNA weighted!w\n\
                   wm DYNA weighted!wm\nwg DYNA weighted!wg\nwc DYNC weighted!wc\nf DYNA metafo!f\n\
                   fy DYNA metafo!f/y\n";
    let (config, imported) = config(plugins, records);
    let expected = [
        r#"["healthy", "failover"]"#,
        "[{ healthy = { min_healthy = 2 } }, { take = 3 }]",
        r#"["healthy", "weighted"]"#,
        r#"["healthy", "weighted", { take = 2 }]"#,
        r#"["healthy", "weighted"]"#,
        r#"["healthy", "weighted"]"#,
        r#"["healthy", "failover", "weighted"]"#,
        r#"["healthy", "weighted"]"#,
    ];
    for (service, expected) in expected.iter().enumerate() {
        assert_eq!(route(&config, service), *expected, "{service}");
    }
    let simplefo = &config["service"][0];
    assert_eq!(simplefo["ttl"].as_integer(), Some(300));
    assert_eq!(simplefo["ttl_min"].as_integer(), Some(30));
    let check = &simplefo["endpoint"][1]["check"]["tcp"];
    assert_eq!(check.as_str(), Some("192.0.2.2:80"));
    assert_eq!(config["probe"]["interval"].as_str(), Some("8s"));
    assert_eq!(config["probe"]["rise"].as_integer(), Some(20));
    assert_eq!(config["service"][4]["endpoint"][0]["weight"].as_integer(), Some(2));
    let tiers: Vec<_> = config["service"][6]["endpoint"]
        .as_array()
        .unwrap()
        .iter()
        .map(|endpoint| {
            (endpoint["region"].as_str().unwrap(), endpoint["tier"].as_integer().unwrap())
        })
        .collect();
    assert_eq!(tiers, [("x", 1), ("y", 2), ("y", 2), ("z", 3)]);
    assert_eq!(imported.findings.count(Kind::LeftOut), 0, "{}", told(&imported));
}

#[test]
fn maps_become_rules() {
    let plugins = "plugins => { geoip => {
      maps => { m => { geoip2_db => x.mmdb, datacenters => [ us, de, sg ],
        map => { EU => { default => [ de, us ], CH => [ de ], GB => { London => [ us ] } },
                 AS => [ sg, de, us ], XX => [ us ] }
        nets => { 10.0.0.0/8 => us, 10.1.0.0/16 => [ sg, us, de ], ::192.0.2.0/120 => de } } }
      resources => { www => { map => m, dcmap => {
        us => 192.0.2.1, de => [ 192.0.2.2, 192.0.2.3 ], sg => { a => 2001:db8::1, b => 192.0.2.4 } } } }
    } }";
    let (config, imported) = config(plugins, "www DYNA geoip!www\nwww-de DYNA geoip!www/de\n");
    let route = config["service"][0]["route"].as_array().unwrap();
    let rules = |rules: &toml::Value| {
        let rule = |rule: &toml::Value| format!("{} {}", rule["clients"], rule["regions"]);
        rules.as_array().unwrap().iter().map(rule).collect::<Vec<_>>()
    };
    assert_eq!(
        rules(&route[2]["nearest"]["prefer"]),
        [
            r#"["192.0.2.0/24"] ["de"]"#,
            r#"["10.1.0.0/16"] ["sg", "us", "de"]"#,
            r#"["10.0.0.0/8"] ["us"]"#,
            r#"["CH"] ["de"]"#,
            r#"["continent:EU"] ["de", "us"]"#,
            r#"["continent:AS"] ["sg", "de", "us"]"#,
            r#"["all"] ["us", "de", "sg"]"#,
        ]
    );
    assert_eq!(rules(&route[0]["fence"]).len(), 5);
    let told = told(&imported);
    assert!(told.contains("LeftOut config:3:71 'London' of the map"), "{told}");
    assert!(told.contains("LeftOut config:4:40 'XX' of the map"), "{told}");
    assert_eq!(config["service"].as_array().unwrap().len(), 2);
}

#[test]
fn automatic_maps_go_by_distance() {
    let plugins = "plugins => { geoip => {
      maps => { m => { geoip2_db => x, datacenters => [ a, b, spare ],
        auto_dc_coords => { a => [ 38.9, -77 ], b => [ 50.1, 8.7 ] } } }
      resources => { www => { map => m, dcmap => { a => 192.0.2.1, b => 192.0.2.2, spare => 192.0.2.3 } } }
    } }";
    let (config, _) = config(plugins, "www DYNA geoip!www\n");
    let route = route(&config, 0);
    let expected =
        r#"[{ fence = [{ clients = ["all"], regions = ["a", "b"] }] }, "healthy", "nearest"]"#;
    assert_eq!(route, expected);
    assert_eq!(config["region"][0]["location"][1].as_float(), Some(-77.0));
}

#[test]
fn a_loop_of_resources_ends() {
    let plugins = "plugins => { metafo => { resources => {
      a => { datacenters => [ x ], dcmap => { x => %metafo!b } }
      b => { datacenters => [ x ], dcmap => { x => %metafo!a } } } } }";
    let (_, imported) = config(plugins, "www DYNA metafo!a\n");
    assert!(told(&imported).contains("LeftOut"), "{}", told(&imported));
    assert!(imported.services.is_empty());
}

#[test]
fn mistakes_are_shown_in_their_file() {
    let good = zone("");
    let cases = [
        ("plug => {}", good.as_str(), "config:1:1: gdnsd knows no 'plug' here"),
        ("options => { listen => 1.2.3 }", &good, "config:1:24: '1.2.3' is no address"),
        ("service_types => { a => { } }", &good, "config:1:20: the service type 'a' has no plugin"),
        ("", "@ SOA (", "zones/example.com:1:7: this parenthesis"),
        ("", "  A 192.0.2.1", "zones/example.com:1:3: a record without an owner"),
        ("", "a DYNA", "zones/example.com:1:1: a plugin and its resource"),
        (
            "plugins => { multifo => { m => [ 1.2.3 ] } }",
            "a DYNA multifo!m",
            "config:1:34: an address is expected",
        ),
        (
            "plugins => { geoip => { maps => { m => { datacenters => [ a ], map => { EU => [ b ] } } } } }",
            &good,
            "config:1:79: 'b' is none of the map's datacenters",
        ),
    ];
    for (config, zone, says) in cases {
        let told = imported(&[("config", config), ("zones/example.com", zone)]).unwrap_err();
        assert!(told.contains(says), "{config}\n{zone}\n{told}");
    }
}

#[test]
fn what_has_no_counterpart_is_told() {
    let plugins = "
      options => { nsid => ff, listen => { 192.0.2.1 => { tcp_timeout => 5 }, 127.0.0.1:53035 => { tcp_proxy => true } } }
      service_types => { e => { plugin => extmon, cmd => [ /bin/true ] } }
      plugins => { reflect => {}, multifo => { m => { service_types => e, a => 192.0.2.1, b => 192.0.2.2 } } }";
    let records = "r DYNA reflect!both\nm DYNA multifo!m\nn DYNA multifo!none\nout.example.net. A 192.0.2.8\n";
    let (config, imported) = config(plugins, records);
    let told = told(&imported);
    let expected = [
        "LeftOut config:2:20 nsid",
        "LeftOut config:2:79 127.0.0.1:53035",
        "LeftOut config:3:26 the service type 'e', by extmon",
        "LeftOut zones/example.com:4:8 reflect!both",
        "LeftOut zones/example.com:6:8 multifo!none",
        "LeftOut zones/example.com:7:1 out.example.net.",
    ];
    for line in expected {
        assert!(told.contains(line), "{line}\n{told}");
    }
    assert_eq!(config["listen"]["dns"].to_string(), r#"["192.0.2.1:53"]"#);
    assert!(config["service"][0]["endpoint"][0].get("check").is_none());
}

/// Codes that are no country's to dnsrouter, or mean something else without their prefix.
#[test]
fn countries_are_written_as_they_are_read() {
    let plugins = "plugins => { geoip => {
      maps => { m => { datacenters => [ a, b ], map => { default => [ a ],
        EU => { EU => [ b, a ], ZZ => [ b ], GB => { default => [ b ] } } } } }
      resources => { r => { map => m, dcmap => { a => 192.0.2.1, b => 192.0.2.2 } } } } }";
    let (config, imported) = config(plugins, "r DYNA geoip!r\n");
    let fence = config["service"][0]["route"][0]["fence"].as_array().unwrap();
    let clients: Vec<&str> = fence
        .iter()
        .flat_map(|rule| rule["clients"].as_array().unwrap())
        .filter_map(|c| c.as_str())
        .collect();
    assert_eq!(clients, ["country:EU", "GB", "all"]);
    assert!(clients.iter().all(|client| client.parse::<geo::Selector>().is_ok()), "{clients:?}");
    assert!(told(&imported).contains("'ZZ' of the map"), "{}", told(&imported));
}

/// Each level of resources has as many as the one before, so that all ways are 30^6.
#[test]
fn resources_that_fan_out_come_to_an_end() {
    let dcs: Vec<String> = (0..30).map(|number| format!("d{number}")).collect();
    let level = |level: usize| {
        let to = |dc: &String| format!("{dc} => %metafo!m{}", level + 1);
        let map: Vec<String> = dcs.iter().map(to).collect();
        format!(
            "m{level} => {{ datacenters => [ {} ], dcmap => {{ {} }} }}",
            dcs.join(", "),
            map.join(", ")
        )
    };
    let levels: Vec<String> = (0..6).map(level).collect();
    let plugins = format!(
        "plugins => {{ metafo => {{ resources => {{ {}, \
         m6 => {{ datacenters => [ d0 ], dcmap => {{ d0 => 192.0.2.1 }} }} }} }} }}",
        levels.join(", ")
    );
    let (_, imported) = config(&plugins, "r DYNA metafo!m0\n");
    assert!(told(&imported).contains("metafo!m6"), "{}", told(&imported));
}
