//! `[listen]` as it is written: what it becomes, and how mistakes are told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use dnsrouter::config::Config;

fn read(listen: &str) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dnsrouter.toml");
    let text = format!(
        "[node]\nname = \"ns1\"\nregion = \"us-central1\"\n[listen]\ndns = [\"127.0.0.1:0\"]\n{listen}\n"
    );
    std::fs::write(&file, text).unwrap();
    Config::load(&file, &[]).map_err(|error| error.report())
}

#[test]
fn what_is_left_out_has_its_usual_value() {
    let listen = read("").unwrap().listen;
    assert_eq!((listen.nap, listen.threads), (Duration::ZERO, None));
    let tcp = (listen.tcp.connections, listen.tcp.per_client, listen.tcp.idle);
    assert_eq!(tcp, (4096, 1024, Duration::from_secs(10)));
}

#[test]
fn what_is_said_counts() {
    let said = "nap = \"20us\"\nthreads = 3\ntcp = { connections = 10, idle = \"2s\" }";
    let listen = read(said).unwrap().listen;
    assert_eq!(listen.nap, Duration::from_micros(20));
    assert_eq!(listen.threads.unwrap().get(), 3);
    let tcp = (listen.tcp.connections, listen.tcp.per_client, listen.tcp.idle);
    assert_eq!(tcp, (10, 2, Duration::from_secs(2)));
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (said, says) in [
        ("nap = \"2ms\"", "at most 1ms"),
        ("nap = \"20\"", "time unit"),
        ("nap = 20", "string"),
        ("threads = 0", "from 1 to 256"),
        ("tcp = { connections = 0 }", "from 1 to 1048576"),
        ("tcp = { connections = 10, per_client = 11 }", "from 1 to 10"),
        ("tcp = { idle = \"never\" }", "duration"),
        ("proxy = [\"10.0.0.1/8\"]", "is not a network"),
    ] {
        let report = read(said).map(|_| ()).unwrap_err();
        assert!(report.contains(says), "{said}: {report}");
        assert!(report.contains("dnsrouter.toml:6:"), "{said}: {report}");
    }
}
