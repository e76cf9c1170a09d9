//! `geoip import`, as people meet it.

use std::fs;

use crate::home::Home;

const ZONE: &str = r#"{ "serial": 1, "data": { "": { "ns": ["ns1.example.net"] },
  "www": { "a": [["192.0.2.1", 1], ["192.0.2.2", 2], ["192.0.2.3", 3]] } MORE } }"#;

fn write(home: &Home, more: &str) {
    fs::write(home.path("example.com.json"), ZONE.replace("MORE", more)).unwrap();
}

#[test]
fn what_is_written_is_named_and_never_replaced() {
    let home = Home::new();
    write(&home, "");
    let words = ["import", "geodns", "example.com.json", "--out", "imported"];
    let told = home.ok(&words);
    assert!(told.starts_with("wrote imported/dnsrouter.toml\nwrote imported/example.com.zone\n"));
    assert!(told.ends_with("1 zone, 1 service: 0 left out, 0 changed, 1 to note\n"), "{told}");
    let config = fs::read_to_string(home.path("imported/dnsrouter.toml")).unwrap();
    assert!(config.contains("route = [\"healthy\", \"weighted\", { take = 2 }]"), "{config}");
    fs::remove_file(home.path("imported/dnsrouter.toml")).unwrap();
    let again = home.run(&words);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("example.com.zone: is there already"), "{}", again.stderr);
    assert!(!home.path("imported/dnsrouter.toml").exists(), "nothing is written by halves");
}

#[test]
fn exit_codes_say_how_much_was_carried_over() {
    let home = Home::new();
    write(&home, r#", "mail.us-ca": { "a": [["192.0.2.9"]] }, "x": { "health": {} }"#);
    let shown = home.run(&["import", "geodns", "example.com.json"]);
    assert_eq!(shown.code, Some(4));
    assert!(shown.stdout.starts_with("# ==> dnsrouter.toml\n"), "{}", shown.stdout);
    assert!(shown.stdout.contains("left out: example.com. label \"x\": health\n  why: "));
    let json = home.run(&["import", "geodns", "example.com.json", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["findings"][0]["kind"], "left_out");
    assert_eq!(json["files"][1]["name"], "example.com.zone");
    assert_eq!(home.run(&["import", "geodns", "missing.json"]).code, Some(1));
    assert_eq!(home.run(&["import", "bind", "named.conf"]).code, Some(2));
}

#[test]
fn a_mistake_is_shown_in_its_line() {
    let home = Home::new();
    fs::write(home.path("config"), "plugins => {\n  static => { a = }\n").unwrap();
    let run = home.run(&["import", "gdnsd", "config"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(
        run.stderr.starts_with("config:2:19: a value is expected here, not '}'\n"),
        "{}",
        run.stderr
    );
}
