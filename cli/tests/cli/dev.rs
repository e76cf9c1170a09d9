//! `geoip dev up` as a keeper of processes: with programs that misbehave. That it serves with the
//! real ones is shown where all of them are built.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::home::{ClosedPort, Home};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Writes down its process id, leaves on SIGTERM, and never gets ready.
const WAITS: &str = "#!/bin/sh
trap 'exit 0' TERM
echo $$ > \"$(dirname \"$2\")/$(basename \"$0\").pid\"
while :; do sleep 0.05; done
";

/// As [`WAITS`], and does not leave; what it writes to its ready file is not whole.
const STAYS: &str = "#!/bin/sh
trap '' TERM
echo '{' > \"$4\"
echo $$ > \"$(dirname \"$2\")/$(basename \"$0\").pid\"
while :; do sleep 0.05; done
";

/// Says why, and dies.
const DIES: &str = "#!/bin/sh
echo \"zone file line 3: no such record type\" >&2
exit 64
";

/// A directory with two programs.
fn programs(home: &Home, geoping: &str, dnsrouter: &str) -> String {
    let dir = home.path("bin");
    fs::create_dir(&dir).unwrap();
    for (name, script) in [("geoping", geoping), ("dnsrouter", dnsrouter)] {
        let file = dir.join(name);
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    dir.to_str().unwrap().to_owned()
}

/// Five ports that no other test of this machine takes at the same time.
fn port_base(test: u32) -> String {
    (20_000 + std::process::id() % 1_600 * 25 + test * 5).to_string()
}

/// Polls until it is so, and fails loudly when it never is.
fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

fn pid_in(file: &Path) -> Option<Pid> {
    Pid::from_raw(fs::read_to_string(file).ok()?.trim().parse().ok()?)
}

fn left_behind(dir: &Path) -> Vec<String> {
    let run = fs::read_dir(dir.join("run")).unwrap();
    let mut left: Vec<String> =
        run.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    if dir.join("dev.sock").exists() {
        left.push("dev.sock".to_owned());
    }
    left
}

#[test]
fn a_program_that_dies_is_reported_with_the_end_of_its_log_and_the_others_are_ended() {
    let home = Home::new();
    let bin = programs(&home, WAITS, DIES);
    let run = home.run(&[
        "dev",
        "up",
        "--dir",
        "dev",
        "--bin-dir",
        &bin,
        "--region",
        "us-central1",
        "--port-base",
        &port_base(0),
    ]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("ns1 did not start: exit status: 64"), "{}", run.stderr);
    let tail = "  | zone file line 3: no such record type\n";
    assert!(run.stderr.ends_with(tail), "{}", run.stderr);
    assert_eq!(left_behind(&home.path("dev")), Vec::<String>::new());
    if let Some(pid) = pid_in(&home.path("dev/us-central1/geoping.pid")) {
        assert!(test_kill_process(pid).is_err(), "the other one still runs");
    }
}

#[test]
fn a_signal_ends_everything_and_leaves_nothing() {
    let home = Home::new();
    let bin = programs(&home, WAITS, WAITS);
    let words = [
        "dev",
        "up",
        "--dir",
        "dev",
        "--bin-dir",
        &bin,
        "--region",
        "us-central1",
        "--port-base",
        &port_base(1),
    ];
    let mut up: Child = home.command(&words).spawn().unwrap();
    let pids = ["geoping", "dnsrouter"].map(|name| {
        let file = home.path(&format!("dev/us-central1/{name}.pid"));
        wait_until("the program runs", || pid_in(&file))
    });

    // One system per directory.
    let second = home.run(&words);
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.stderr.contains("runs in"), "{}", second.stderr);

    let pid = Pid::from_raw(up.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let status = wait_until("geoip leaves", || up.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    for pid in pids {
        assert!(test_kill_process(pid).is_err(), "{pid:?} still runs");
    }
    assert_eq!(left_behind(&home.path("dev")), Vec::<String>::new());
}

#[test]
fn a_second_signal_ends_everything_at_once_and_leaves_nothing() {
    let home = Home::new();
    let bin = programs(&home, STAYS, STAYS);
    let base = port_base(3);
    let one = ["--region", "us-central1", "--port-base", &base];
    let words = [["dev", "up", "--dir", "dev", "--bin-dir", &bin].as_slice(), &one].concat();
    let mut up: Child = home.command(&words).spawn().unwrap();
    let pids = ["geoping", "dnsrouter"].map(|name| {
        let file = home.path(&format!("dev/us-central1/{name}.pid"));
        wait_until("the program runs", || pid_in(&file))
    });
    assert_eq!(left_behind(&home.path("dev")).len(), 3, "two ready files and the socket");
    let pid = Pid::from_raw(up.id().try_into().unwrap()).unwrap();
    let asked = Instant::now();
    kill_process(pid, Signal::TERM).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let status = wait_until("geoip leaves", || up.try_wait().unwrap());
    assert!(matches!(status.code(), Some(130 | 143)), "{status}");
    assert!(asked.elapsed() < Duration::from_secs(7), "it waited for those that stay");
    for pid in pids {
        assert!(test_kill_process(pid).is_err(), "{pid:?} still runs");
    }
    assert_eq!(left_behind(&home.path("dev")), Vec::<String>::new());
}

#[test]
fn a_start_that_is_refused_leaves_nothing() {
    let home = Home::new();
    let bin = programs(&home, WAITS, WAITS);
    let base = port_base(4);
    let _taken = TcpListener::bind(format!("127.0.0.11:{base}")).unwrap();
    let words = ["dev", "up", "--dir", "new/dev", "--bin-dir", &bin, "--port-base", &base];
    let run = home.run(&words);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains(&format!("port {base} is taken")), "{}", run.stderr);
    assert!(!home.path("new").exists());
}

#[test]
fn where_nothing_listens_the_development_system_is_asked_about() {
    let home = Home::with_credentials();
    let closed = ClosedPort::new();
    let files = ["--cert", "pki/ada.crt", "--key", "pki/ada.key", "--ca", "pki/ca.crt"];
    home.ok(&[["context", "add", "dev"].as_slice(), &files].concat());
    let ping = ["ping", "-u", &closed.to_string()];
    let hint = "is `geoip dev up` running?\n";
    assert!(!home.run(&ping).stderr.contains(hint), "another context is in use");
    home.ok(&["context", "use", "dev"]);
    let run = home.run(&ping);
    assert!(run.stderr.ends_with(hint), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
}

#[test]
fn what_is_written_is_private_and_complete() {
    let home = Home::new();
    let bin = programs(&home, WAITS, DIES);
    let base = port_base(2);
    home.run(&["dev", "up", "--dir", "dev", "--bin-dir", &bin, "--port-base", &base]);
    let mode = |file: &str| fs::metadata(home.path(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("dev"), 0o700);
    for key in ["dev.key", "pki/ca.key", "us-central1/ns1.key", "europe-west3/ns2.key"] {
        assert_eq!(mode(&format!("dev/{key}")), 0o600, "{key}");
    }
    for region in ["us-central1", "europe-west3", "asia-southeast1"] {
        for file in ["geoping.toml", "dnsrouter.toml"] {
            let text = fs::read_to_string(home.path(&format!("dev/{region}/{file}"))).unwrap();
            assert!(text.contains(&format!("region = \"{region}\"")), "{text}");
        }
    }
    // Nothing got ready, so nothing is in use.
    assert!(!home.path(".config/geoip/contexts.toml").exists());
}
