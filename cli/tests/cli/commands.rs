//! Each command as a person runs it: exit codes, and what goes to which stream.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;

use crate::home::{ClosedPort, Home};

#[test]
fn usage_errors_exit_2_and_go_to_stderr() {
    let home = Home::new();
    let cases: [&[&str]; 23] = [
        &[],
        &["nonsense"],
        &["ping"],
        &["ping", "-u", "no-port"],
        &["ping", "-u", "a:1", "-c", "0"],
        &["ping", "-u", "a:1", "-i", "soon"],
        &["ping", "-u", "a:1", "-4", "-6"],
        &["ping", "-u", "127.0.0.1:1"],
        &["dig"],
        &["dig", "a", "+shrt"],
        &["dig", "a", "--bufsize", "511"],
        &["dig", "a", "--no-edns", "--nsid"],
        &["explain", "geo.test-net.io"],
        &["status"],
        &["pki", "issue", "--dir", "pki"],
        &["context", "use", "prod"],
        &["zone", "check"],
        &["zone", "check", "a", "b", "--origin", "example.com"],
        &["zone", "check", "a", "--json", "--output", "text"],
        &["doctor"],
        &["doctor", "a..b"],
        &["doctor", "a", "--parent", "127.0.0.1", "--root", "127.0.0.1"],
        &["doctor", "a", "--connect-to", "192.0.2.1"],
    ];
    for words in cases {
        let run = home.run(words);
        assert_eq!(run.code, Some(2), "{words:?}: {run:?}");
        assert_eq!(run.stdout, "", "{words:?}");
        assert_ne!(run.stderr, "", "{words:?}");
    }
}

#[test]
fn help_and_version_exit_0() {
    let home = Home::new();
    let version = home.run(&["--version"]);
    assert_eq!(version.stdout, format!("geoip {}\n", env!("CARGO_PKG_VERSION")));
    for command in [
        "ping",
        "dig",
        "explain",
        "status",
        "context",
        "pki",
        "zone",
        "doctor",
        "dev",
        "completions",
    ] {
        let help = home.run(&[command, "--help"]);
        assert_eq!(help.code, Some(0), "{command}");
        assert!(help.stdout.contains("Usage: geoip"), "{command}: {}", help.stdout);
    }
    let script = home.run(&["completions", "bash"]);
    assert_eq!(script.code, Some(0));
    assert!(script.stdout.contains("_geoip"), "{}", script.stdout);
}

#[test]
fn ping_of_a_closed_port_is_one_line_and_exit_1() {
    let home = Home::with_credentials();
    let closed = ClosedPort::new();
    let run = home.run(&["ping", "-u", &closed.to_string()]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(run.stdout, "");
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("refused"), "{}", run.stderr);
    assert!(run.stderr.contains(&closed.to_string()), "{}", run.stderr);
}

#[test]
fn ping_of_a_silent_server_times_out_in_one_line() {
    let home = Home::with_credentials();
    // Listens, so that TCP connects, and never speaks TLS.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = silent.local_addr().unwrap().to_string();
    let run = home.run(&["ping", "-u", &target, "-W", "300ms"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("timed out after 300ms, in the TLS handshake"), "{}", run.stderr);
}

#[test]
fn ping_waits_for_a_silent_name_server_no_longer_than_told() {
    let home = Home::with_credentials();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let dns = silent.local_addr().unwrap().to_string();
    let run = home.run(&["ping", "-u", "geo.test-net.io:1", "--dns", &dns, "-W", "300ms"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    let told = format!("geoip: geo.test-net.io:1: no DNS answer from {dns} within 300ms in all\n");
    assert_eq!(run.stderr, told);
}

#[test]
fn a_series_without_answers_has_statistics_and_exit_1() {
    let home = Home::with_credentials();
    let closed = ClosedPort::new();
    let target = closed.to_string();
    let run = home.run(&["ping", "-u", &target, "-c", "2", "-i", "10ms"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines[0].starts_with("no answer: seq=1 127.0.0.1:"), "{}", run.stdout);
    assert_eq!(lines[2], format!("--- {target} ping statistics ---"));
    assert!(lines[3].starts_with("2 sent, 0 received, 100% loss, time "), "{}", run.stdout);

    let run = home.run(&["ping", "-u", &target, "-c", "1", "--output", "json"]);
    let objects: Vec<serde_json::Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 2, "{}", run.stdout);
    assert_eq!(objects[0]["seq"], 1);
    assert_eq!(objects[1]["summary"]["loss_percent"], 100.0);
}

#[test]
fn status_of_a_server_that_is_gone_exits_3() {
    let home = Home::with_credentials();
    let closed = ClosedPort::new();
    let run = home.run(&["status", "--server", &closed.to_string()]);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.stdout.contains("UNREACHABLE 127.0.0.1:"), "{}", run.stdout);
}

#[test]
fn dig_names_the_server_that_refuses() {
    let home = Home::new();
    let closed = ClosedPort::new();
    let server = format!("@{closed}");
    let run = home.run(&["dig", &server, "geo.test-net.io", "+tcp", "+time=5"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    let told = format!("geoip: connection refused by {closed}: no DNS server listens there\n");
    assert_eq!(run.stderr, told);
}

#[test]
fn an_authority_lives_in_its_folder() {
    let home = Home::new();
    let init = home.ok(&["pki", "init", "--dir", "pki", "--trust-domain", "test-net.io"]);
    assert!(init.contains("/pki/ca.key  its private key: uid "), "{init}");
    assert!(init.contains("nobody else (mode 0600)"), "{init}");
    let again = home.run(&["pki", "init", "--dir", "pki", "--trust-domain", "test-net.io"]);
    assert_eq!(again.code, Some(1), "{again:?}");

    home.ok(&["pki", "issue", "--node", "geoping/us-central1/a", "--dns", "a.test-net.io"]);
    home.ok(&["pki", "issue", "--user", "ada", "--lifetime", "2h"]);
    let key = fs::metadata(home.path("pki/ada.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);

    let node = home.ok(&["pki", "show", "pki/a.crt"]);
    let identity = "identity  spiffe://test-net.io/region/us-central1/geoping/a\n";
    assert!(node.contains(identity), "{node}");
    assert!(node.contains("names     a.test-net.io\n"), "{node}");
    let authority = home.ok(&["pki", "show", "pki/ca.crt"]);
    assert!(authority.contains("identity  the authority of test-net.io\n"), "{authority}");
}

#[test]
fn certificates_are_renewed_and_revoked() {
    let home = Home::new();
    home.ok(&["pki", "init", "--trust-domain", "test-net.io"]);
    home.ok(&["pki", "issue", "--user", "ada", "--lifetime", "2h", "--out", "out"]);
    home.ok(&["pki", "issue", "--member", "7f3a", "--lifetime", "20h"]);
    let read = |file: &str| fs::read_to_string(home.path(file)).unwrap();
    let (ada, member) = (read("out/ada.crt"), read("pki/7f3a.crt"));

    // Only what ends within the time asked for.
    let renewed = home.ok(&["pki", "renew", "--all", "--within", "8h"]);
    assert!(renewed.starts_with("renewed spiffe://test-net.io/user/ada (valid "), "{renewed}");
    assert_eq!(renewed.matches("renewed").count(), 1, "{renewed}");
    assert_ne!(read("out/ada.crt"), ada);
    assert_eq!(read("pki/7f3a.crt"), member);
    let nothing = home.ok(&["pki", "renew", "--all", "--within", "1h"]);
    assert_eq!(nothing, "nothing to renew: no certificate ends within 1h\n");
    home.ok(&["pki", "renew", "pki/7f3a.crt"]);
    assert_ne!(read("pki/7f3a.crt"), member);

    // What every configuration needs stands beside what was issued elsewhere, up to date.
    for file in ["ca.crt", "ca.crl"] {
        assert_eq!(read(&format!("out/{file}")), read(&format!("pki/{file}")), "{file}");
    }

    // Both the old and the renewed certificate of ada are taken back, and the list changes.
    let list = read("pki/ca.crl");
    let revoked = home.ok(&["pki", "revoke", "ada", "--reason", "key-compromise"]);
    assert_eq!(revoked.matches("revoked spiffe://test-net.io/user/ada").count(), 2, "{revoked}");
    assert_ne!(read("pki/ca.crl"), list);
    let shown = home.ok(&["pki", "show"]);
    assert_eq!(shown.matches(", key-compromise").count(), 2, "{shown}");
    assert_eq!(read("out/ca.crl"), list);
    home.ok(&["pki", "issue", "--user", "bea", "--out", "out"]);
    let told = home.ok(&["pki", "renew", "out/bea.crt"]);
    assert!(!told.contains("ca.crl"), "nothing to copy: {told}");
    assert_eq!(read("out/ca.crl"), read("pki/ca.crl"));
    let twice = home.run(&["pki", "revoke", "ada"]);
    assert_eq!(twice.code, Some(1), "{twice:?}");
    let entries: serde_json::Value =
        serde_json::from_str(&home.ok(&["pki", "show", "--output", "json"])).unwrap();
    assert_eq!(entries.as_array().unwrap().len(), 6, "{entries}");
}

#[test]
fn contexts_are_kept_between_runs() {
    let home = Home::new();
    home.ok(&["context", "add", "a", "--server", "127.0.0.1:1", "--dns", "127.0.0.1:2"]);
    home.ok(&["context", "add", "b"]);
    assert_eq!(
        home.ok(&["context", "list"]),
        "   NAME  SERVERS      DNS\n*  a     127.0.0.1:1  127.0.0.1:2\n   b     -            -\n"
    );
    home.ok(&["context", "use", "b"]);
    assert!(home.ok(&["context", "show"]).starts_with("name     b\n"));
    assert!(home.ok(&["context", "show", "--context", "a"]).starts_with("name     a\n"));
    home.ok(&["context", "remove", "b"]);
    let none = home.run(&["context", "show"]);
    assert_eq!(none.code, Some(2), "{none:?}");
    let unknown = home.run(&["ping", "-u", "a:1", "--context", "zzz"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("there are: a"), "{}", unknown.stderr);
}

#[test]
fn dev_commands_without_a_running_system_say_so() {
    let home = Home::new();
    for words in [["dev", "kill", "us-central1"].as_slice(), &["dev", "status"]] {
        let run = home.run(words);
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.stderr.contains("no `geoip dev up` runs in"), "{}", run.stderr);
    }
    let unknown = home.run(&["dev", "up", "--region", "us-centrall1"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("did you mean us-central1"), "{}", unknown.stderr);
    let empty = home.path("empty");
    fs::create_dir(&empty).unwrap();
    let nothing = home.run(&["dev", "up", "--bin-dir", empty.to_str().unwrap()]);
    assert_eq!(nothing.code, Some(2), "{nothing:?}");
    assert!(nothing.stderr.contains("empty/geoping is missing"), "{}", nothing.stderr);
}
