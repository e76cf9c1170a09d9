//! Configurations that are larger or stranger than dnsrouter takes: the result loads all the same,
//! and what is missing is told.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};
use tests::scratch::Scratch;

use super::case::Finding;
use super::servers::loaded;

/// Imports one file of this text; the findings.
fn findings(product: &str, file: &str, text: &str) -> BTreeSet<Finding> {
    let scratch = Scratch::new(&format!("import-limits-{product}"));
    let folder = scratch.join("from");
    let path = folder.join(file);
    fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a scratch folder");
    fs::write(path, text).expect("the scratch folder can be written");
    loaded(product, &folder, &scratch).1
}

#[track_caller]
fn told(findings: &BTreeSet<Finding>, what: &str) {
    let found = findings.iter().any(|one| one.kind != "note" && one.what.contains(what));
    assert!(found, "{what:?} is not told: {findings:#?}");
}

#[test]
fn more_services_rules_and_regions_of_geodns() {
    const COUNTRIES: &str = "ad ae af ag ai al am ao ar at au aw az ba bb bd be bf bg bh bi bj bm bn bo \
        br bs bt bw by bz ca cd cf cg ch ci ck cl cm cn co cr cu cv cy cz de dj dk dm do dz ec ee eg er \
        es et fi fj fk fm fo fr ga gb gd ge gh gi gl gm gn gq gr gt gu gw gy hk hn hr ht hu id ie il in";
    let mut data = json!({ "": { "ns": ["ns1.example.net"] } });
    // One name for all countries, and many names for two each.
    for (n, country) in COUNTRIES.split_whitespace().enumerate() {
        data[format!("pool.{country}")] = json!({ "a": [[format!("10.1.0.{n}")]] });
        let name = format!("n{n}");
        data[&name] = json!({ "a": [[format!("10.2.0.{n}")]], "ttl": 4_000_000_000_u32 });
        data[format!("{name}.{country}")] = json!({ "a": [[format!("10.3.0.{n}")]] });
        data[format!("{name}.[10.{n}.0.0]")] = json!({ "a": [[format!("10.4.0.{n}")]] });
    }
    let many: Vec<Value> = (0..200).map(|n| json!([format!("10.9.0.{n}"), 5])).collect();
    data["many"] = json!({ "a": many });
    data["a..b"] = json!({ "a": [["10.0.0.1"]] });
    data["text"] = json!({ "txt": "x".repeat(70_000) });
    let zone = json!({ "targeting": "country continent @ ip", "data": data });
    let findings = findings("geodns", "example.com.json", &zone.to_string());
    told(&findings, "the rule for AD");
    told(&findings, "the service");
    told(&findings, "of the endpoints");
    told(&findings, "the label");
}

#[test]
fn strange_records_and_checks_of_route_53() {
    let set = |name: &str, rtype: &str, more: Value, values: Vec<String>| {
        let values: Vec<Value> =
            values.into_iter().map(|value| json!({ "Value": value })).collect();
        let mut set = json!({
            "Name": format!("{name}example.com."), "Type": rtype, "TTL": 60, "ResourceRecords": values
        });
        let more = more.as_object().cloned().unwrap_or_default();
        set.as_object_mut().expect("an object").extend(more);
        set
    };
    let soa = "ns-1.awsdns-00.com. hostmaster.amazon.com. 1 7200 900 1209600 86400".to_owned();
    let weighted = |id: &str| json!({ "SetIdentifier": id, "Weight": 255 });
    let check = |id: &str| json!({ "SetIdentifier": id, "Weight": 1, "HealthCheckId": id });
    let many: Vec<String> = (0..100).map(|n| format!("10.0.0.{n}")).collect();
    let mut sets = vec![
        set("", "SOA", json!({}), vec![soa]),
        set("", "NS", json!({}), vec!["ns-1.awsdns-00.com.".to_owned()]),
        set("many.", "A", weighted("a"), many),
        set("bad.", "A", weighted("a"), vec!["10.0.0.256".to_owned(), "10.0.0.1".to_owned()]),
        set("static.", "A", json!({}), vec!["nonsense".to_owned(), "10.0.0.2".to_owned()]),
        set("mx.", "MX", weighted("a"), vec!["x".to_owned(), "10 mail".to_owned()]),
        set(
            "ttl.",
            "A",
            json!({ "SetIdentifier": "a", "Weight": 1, "TTL": 4_294_967_295_u32 }),
            vec!["10.0.0.3".to_owned()],
        ),
        set("h.", "A", check("path"), vec!["10.0.0.4".to_owned()]),
        set("h.", "A", check("host"), vec!["10.0.0.5".to_owned()]),
        set("h.", "A", check("body"), vec!["10.0.0.6".to_owned()]),
        set(
            "www.",
            "A",
            json!({ "SetIdentifier": "l", "Region": "nowhere-1" }),
            vec!["10.0.0.7".to_owned()],
        ),
        set("www.", "CNAME", json!({}), vec!["elsewhere.example.net.".to_owned()]),
        set("a\\000b.", "A", weighted("a"), vec!["10.0.0.8".to_owned()]),
    ];
    // The apex cannot have a CNAME, and two names lead to each other.
    sets.push(json!({ "Name": "example.com.", "Type": "A", "SetIdentifier": "x", "Weight": 1,
        "AliasTarget": { "HostedZoneId": "Z", "DNSName": "lb.amazonaws.com.", "EvaluateTargetHealth": false } }));
    for (name, to) in [("one.", "two."), ("two.", "one.")] {
        sets.push(json!({ "Name": format!("{name}example.com."), "Type": "A", "SetIdentifier": "x", "Weight": 1,
            "AliasTarget": { "HostedZoneId": "Z", "DNSName": format!("{to}example.com."), "EvaluateTargetHealth": true } }));
    }
    let https = |more: Value| {
        let mut config =
            json!({ "Type": "HTTPS_STR_MATCH", "IPAddress": "10.0.0.4", "SearchString": "ok" });
        config
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().cloned().unwrap_or_default());
        config
    };
    let checks = json!([
        { "Id": "path", "HealthCheckConfig": https(json!({ "ResourcePath": "/a b#c" })) },
        { "Id": "host", "HealthCheckConfig": https(json!({ "FullyQualifiedDomainName": "a b/c" })) },
        { "Id": "body", "HealthCheckConfig": https(json!({ "SearchString": "x".repeat(300) })) },
    ]);
    let document = json!({ "ResourceRecordSets": sets, "HealthChecks": checks });
    let findings = findings("route53", "all.json", &document.to_string());
    for what in [
        "10.0.0.32",
        "\"10.0.0.256\"",
        "static.example.com.",
        "x",
        "the TTL",
        "the check of",
        "the service",
        "the alias to",
    ] {
        told(&findings, what);
    }
}

#[test]
fn large_maps_and_strange_names_of_gdnsd() {
    let mut nets = String::new();
    let mut zone = "@ SOA ns1 h 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.1\n\
                    www DYNA geoip!www\nx DYNC metafo!m\nx DYNC metafo!m\ny DYNA geoip!www\ny A 192.0.2.9\n\
                    out.example.net. DYNA geoip!www\n"
        .to_owned();
    let names: Vec<String> = (0..200).map(|n| format!("\"dc {n}\\\"\"")).collect();
    let all = names.join(" ");
    for n in 0..100 {
        // Nested ten deep, each for another datacenter.
        let _ = writeln!(
            nets,
            "10.{n}.0.0/16 => {one}, 10.{n}.1.0/24 => {two}",
            one = names[n],
            two = names[n + 1]
        );
        let _ = writeln!(zone, "s{n} DYNA geoip!www/dc\\ {n}\\\"");
    }
    let dcmap: String =
        names.iter().enumerate().map(|(n, name)| format!("{name} => 192.0.2.{n}\n")).collect();
    let config = format!(
        "options => {{ nsid_ascii => \"{long}\" listen => [ 127.0.0.1, 127.0.0.1 ] }}\n\
         plugins => {{ geoip => {{ maps => {{ m => {{ datacenters => [ {all} ] nets => {{ {nets} }} }} }}\n\
         resources => {{ www => {{ map => m dcmap => {{ {dcmap} }} }} }} }}\n\
         metafo => {{ resources => {{ m => {{ datacenters => [ a b ] dcmap => {{ a => 192.0.2.1, b => c.example.net. }} }} }} }} }}",
        long = "n".repeat(200),
    );
    let scratch = Scratch::new("import-limits-gdnsd");
    let folder = scratch.join("from");
    fs::create_dir_all(folder.join("zones")).expect("a scratch folder");
    fs::write(folder.join("config"), config).expect("the scratch folder can be written");
    fs::write(folder.join("zones/example.com"), &zone).expect("the scratch folder can be written");
    fs::write(folder.join("zones/EXAMPLE.com."), &zone).expect("the scratch folder can be written");
    let findings = loaded("gdnsd", &folder, &scratch).1;
    for what in [
        "nsid_ascii",
        "of the endpoints",
        "CNAME c.example.net.",
        "the service",
        "a service",
        "a zone",
    ] {
        told(&findings, what);
    }
}
