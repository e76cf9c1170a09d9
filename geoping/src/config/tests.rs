//! Each mistake as somebody makes it, and where the error points.

use std::num::NonZeroU32;

use super::*;
use crate::backend::Policy;
use crate::check::Check;
use crate::counter::Counter;
use crate::service::MAX_REQUEST;

/// All that is required.
const LEAST: &str = "\
[node]
name = 'a'
region = 'us-central1'
[listen]
grpc = '127.0.0.1:0'
[tls]
cert = 'a.crt'
key = 'a.key'
ca = 'ca.crt'
";

#[test]
fn what_is_absent_has_the_documented_default() {
    let config = parse(LEAST).unwrap();
    assert_eq!(config.capacity, None);
    assert_eq!(config.checks, Checks::default());
    assert_eq!(config.limits.drain_wait, Duration::from_secs(5));
    assert_eq!(config.limits.drain_deadline, Duration::from_secs(20));
    assert_eq!(config.limits, Limits { message: MAX_REQUEST, ..Limits::default() });
    assert_eq!(config.tls.cert, Path::new("/etc/geoping/a.crt"), "counted from the file's folder");
    assert_eq!(config.location, geo::regions::find("us-central1").unwrap().point);
    assert!(config.warnings.is_empty());
}

#[test]
fn all_that_can_be_written_is_read() {
    let config = parse(&with(
        "capacity = 5000\nversion = '2.4.1'\nlocation = [41.26, -95.86]\ntrust_domain = 'test-net.io'",
        "admin = '127.0.0.1:9154'\ndrain_wait = '1s'\ndrain_deadline = '2s'",
        "[backend]\ngrpc = 'http://127.0.0.1:50051'\nservice = 'shop.v1.Cart'\ninterval = '500ms'\n\
         timeout = '100ms'\nrise = 3\nfall = 1\n\
         [backend.requests]\nmetrics = 'http://127.0.0.1:9464/metrics'\ncounter = 'requests_total'\n\
         [geo]\ndatabase = ['city.mmdb']\n[geo.networks]\n'10.0.0.0/8' = { region = 'attic' }\n\
         '192.0.2.0/24' = { country = 'DE' }\n'2001:db8::/32' = { location = [1.5, 2.5] }\n\
         [[region]]\nname = 'attic'\nlocation = [50.1, 8.7]\n[log]\nlevel = 'debug'\n\
         [limits]\nconnections = 100\nstreams = 8\nconnection_age = '10m'",
    ))
    .unwrap();
    assert_eq!(config.capacity, NonZeroU64::new(5000));
    assert_eq!(config.version.as_deref(), Some("2.4.1"));
    assert_eq!(config.location, Point::new(41.26, -95.86).unwrap());
    let seconds = Duration::from_secs;
    assert_eq!((config.limits.drain_wait, config.limits.drain_deadline), (seconds(1), seconds(2)));
    assert_eq!((config.limits.connections, config.limits.streams), (100, 8));
    assert_eq!(config.limits.connection_age, seconds(600));
    let count = |n| NonZeroU32::new(n).unwrap();
    let checks = Checks {
        check: Some(Check::grpc("http://127.0.0.1:50051", "shop.v1.Cart").unwrap()),
        policy: Policy {
            interval: Duration::from_millis(500),
            timeout: Duration::from_millis(100),
            rise: count(3),
            fall: count(1),
        },
        counter: Some(Counter::new("http://127.0.0.1:9464/metrics", "requests_total").unwrap()),
    };
    assert_eq!(config.checks, checks);
    let databases: Vec<_> = config.geo.databases.iter().map(|(file, _)| file.as_path()).collect();
    assert_eq!(databases, [Path::new("/etc/geoping/city.mmdb")]);
    assert_eq!(config.geo.networks.len(), 3);
    let attic = config.geo.networks.iter().find(|(net, _)| net.to_string() == "10.0.0.0/8");
    assert_eq!(attic.unwrap().1, geo::Place::from(Point::new(50.1, 8.7).unwrap()));
}

#[test]
fn every_mistake_is_pointed_at() {
    // What is written in [node], in [listen], behind; where the error points (line:column, lines
    // of `with`), and a part of what it says.
    let cases = [
        ("region = 'us-cental1'", "", "", "3:10: nobody knows where region 'us-cental1' is"),
        ("region = 'us-cental1'", "", "", "did you mean 'us-central1'?"),
        ("region = 'attic'", "", "", "give [node] a location"),
        ("location = [91, 0]", "", "", "4:12: latitude 91"),
        ("region = ''", "", "", "3:10: "),
        ("name = 'a/b'", "", "", "2:8: "),
        ("version = ''", "", "", "4:11: the version is empty"),
        ("trust_domain = 'Test.io'", "", "", "4:16: "),
        ("capacity = -1", "", "", "4:12: "),
        ("capcity = 1", "", "", "4:1: "),
        ("", "admin = '127.0.0.1:1'\ngrpc = '127.0.0.1:1'", "", "both listen on 127.0.0.1:1"),
        ("", "drain_wait = 5", "", "6:14: "),
        ("", "drain_wait = '2h'", "", "6:14: must be between 0s and 1h"),
        ("", "", "[limits]\nstreams = 0", "must be at least 1"),
        ("", "", "[limits]\nhandshake_timeout = '1ms'", "must be between 100ms and 1h"),
        ("", "", "[limits]\nconnection_age = '2days'", "must be between 100ms and 1day"),
        ("", "", "[log]\nlevel = 'loud'", "level 'loud'"),
        ("", "", "[backend]", "[backend] does not say what to check"),
        ("", "", "[backend]\ntcp = 'a:1'\nhttp = 'http://a'", "checked in one way only"),
        ("", "", "[backend]\ntcp = 'http://a:1'", "'http://a:1' is not of the form host:port"),
        ("", "", "[backend]\ngrpc = 'a:1'", "not of the form http://host:port"),
        ("", "", "[backend]\ntcp = 'a:1'\nservice = 's'", "knows services by name"),
        ("", "", "[backend]\ntcp = 'a:1'\nrise = 0", "must be at least 1"),
        (
            "",
            "",
            "[backend]\ntcp = 'a:1'\nrequests = { metrics = 'http://a/m', counter = '1st' }",
            "'1st' is no metric's name",
        ),
        (
            "",
            "",
            "[backend]\ntcp = 'a:1'\nrequests = { metrics = 'a:1', counter = 'c' }",
            "not of the form http://host:port",
        ),
        ("", "", "[backend]\ntcp = 'a:1'\ntimeout = '9s'", "may not outlast the interval"),
        ("", "", "[backend]\ntcp = 'a:1'\ninterval = '1ms'", "must be between 50ms and 1h"),
        ("", "", "[geo.networks]\n'10.0.0.1/8' = { country = 'DE' }", "is not a network"),
        ("", "", "[geo.networks]\n'10.0.0.0/8' = { country = 'XX' }", "'XX' is no country"),
        ("", "", "[geo.networks]\n'10.0.0.0/8' = {}", "at exactly one place"),
        ("", "", "[geo.networks]\n'10.0.0.0/8' = { region = 'attic' }", "where region 'attic' is"),
        (
            "",
            "",
            "[geo.networks]\n'2001:db8::/32' = { country = 'DE' }\n'2001:DB8::/32' = { country = 'FR' }",
            "2001:db8::/32 is placed twice",
        ),
        (
            "",
            "",
            "[[region]]\nname = 'x'\nlocation = [0, 0]\n[[region]]\nname = 'x'\nlocation = [0, 0]",
            "region 'x' is defined twice",
        ),
    ];
    for (node, listen, behind, expected) in cases {
        let text = with(node, listen, behind);
        let report = parse(&text).expect_err(&text).report();
        assert!(report.starts_with("geoping.toml:"), "{report}");
        assert!(report.contains(expected), "{text}\n{report}\nlacks {expected:?}");
    }
}

#[test]
fn without_tls_there_is_no_geoping() {
    let text = LEAST.split("[tls]").next().unwrap_or_default();
    let report = parse(text).unwrap_err().report();
    assert!(report.contains("there is no [tls]"), "{report}");
}

#[test]
fn several_mistakes_are_told_at_once() {
    let text = with("location = [91, 0]", "drain_wait = '2h'", "[backend]");
    let report = parse(&text).unwrap_err().report();
    for part in ["latitude 91", "between 0s and 1h", "what to check"] {
        assert!(report.contains(part), "{report}");
    }
}

#[test]
fn metrics_for_everybody_are_warned_of() {
    let config = parse(&with("", "admin = '0.0.0.0:9154'", "")).unwrap();
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
}

#[test]
fn what_a_reload_may_change_is_no_fixed_change() {
    let before = parse(LEAST).unwrap();
    let change =
        |node, listen, behind| before.fixed_change(&parse(&with(node, listen, behind)).unwrap());
    let free = "[backend]\ntcp = 'a:1'\n[geo.networks]\n'10.0.0.0/8' = { country = 'DE' }";
    assert_eq!(change("capacity = 7", "", free), None);
    assert_eq!(change("name = 'b'", "", ""), Some("[node] name"));
    assert_eq!(change("region = 'europe-west3'", "", ""), Some("[node] region"));
    assert_eq!(change("", "grpc = '127.0.0.1:9'", ""), Some("[listen] grpc or admin"));
    let drain = Some("[listen] drain_wait or drain_deadline");
    assert_eq!(change("", "drain_wait = '1s'", ""), drain);
    assert_eq!(change("", "", "[limits]\nstreams = 7"), Some("[limits]"));
    assert_eq!(change("", "", "[log]\nlevel = 'debug'"), Some("[log]"));
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse("geoping.toml", text, Path::new("/etc/geoping"))
}

/// [`LEAST`] with lines that replace or follow those of `[node]` and `[listen]`, and more behind.
fn with(node: &str, listen: &str, behind: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in LEAST.lines() {
        let key = line.split('=').next().unwrap_or_default();
        let others = if lines.contains(&"[listen]") { listen } else { node };
        match others.lines().find(|other| other.split('=').next() == Some(key)) {
            Some(other) if key != line => lines.push(other),
            _ => lines.push(line),
        }
        let extra = match key.trim() {
            "region" => node,
            "grpc" => listen,
            _ => "",
        };
        let new = |l: &&str| !LEAST.lines().any(|own| own.split('=').next() == l.split('=').next());
        lines.extend(extra.lines().filter(new));
    }
    format!("{}\n{behind}\n", lines.join("\n"))
}
