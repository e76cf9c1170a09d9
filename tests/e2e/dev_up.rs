//! The demonstration: a whole system from one command, and nothing of it left behind.
#![expect(clippy::disallowed_methods, reason = "looks at the machine's processes")]

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tests::authority::Authority;
use tests::geoip::Geoip;
use tests::process::Process;
use tests::scratch::Scratch;
use tests::wait;
use tests::world::{NAME, REGIONS};

/// From nothing to everything seen up, with debug builds on a busy machine.
const STARTED: Duration = Duration::from_secs(60);

/// Its probes are those of a real system: seconds apart.
const NOTICED: Duration = Duration::from_secs(60);

const CITIES: [&str; 3] = ["Chicago", "Frankfurt", "Singapore"];

#[test]
fn one_command_starts_three_regions_and_one_key_ends_them() {
    let scratch = Scratch::new("dev-up");
    let dir = scratch.join("demo");
    let geoip = Geoip::new(&scratch, "dev", &Authority::create(&scratch, "unused"), None);
    // Five ports from here on, below those that the system hands out.
    let base = 20_000 + u16::try_from(std::process::id() % 1000).expect("below 1000") * 10;
    let mut command = geoip.command();
    command.args(["dev", "up", "--port-base", &base.to_string(), "--dir"]).arg(&dir);
    let mut up = Process::spawn("dev up", command, &scratch.join("up.log"));
    wait::until("the system to be shown", STARTED, || {
        assert!(up.exited().is_none(), "it ended: {}", up.log());
        up.log().contains("running until ^C")
    });

    let shown = up.log();
    let answers: Vec<&str> =
        CITIES.iter().zip(REGIONS).map(|(city, region)| answer(&shown, city, region)).collect();
    assert!(answers.iter().all(|one| answers.iter().filter(|other| *other == one).count() == 1));

    // Without a flag: the context is there.
    let url = format!("{NAME}:{base}");
    let reached = || {
        let printed = geoip.run(["ping", "-u", &url, "--subnet", "128.135.0.0/24", "-W", "1s"]);
        (printed.code == Some(0)).then(|| printed.json()["region"].clone())
    };
    assert_eq!(reached().expect("somebody answers"), REGIONS[0]);
    assert_eq!(geoip.run(["status"]).code, Some(0));
    let dir_text = dir.to_string_lossy();
    assert_eq!(geoip.run(["dev", "kill", REGIONS[0], "--dir", &dir_text]).code, Some(0));
    wait::until("Chicago to be sent elsewhere", NOTICED, || {
        reached().is_some_and(|region| region == REGIONS[1])
    });
    assert_eq!(geoip.run(["dev", "revive", REGIONS[0], "--dir", &dir_text]).code, Some(0));
    wait::until("Chicago to be sent home", NOTICED, || {
        reached().is_some_and(|region| region == REGIONS[0])
    });

    assert!(processes_of(&dir) >= 7, "three of each, and the command itself");
    up.signal(Signal::INT);
    assert_eq!(up.ended(STARTED).code(), Some(0), "{}", up.log());
    assert_eq!(processes_of(&dir), 0, "nothing is left behind");
}

/// The address that a client in `city` was answered, on the line that shows it reached `region`.
fn answer<'a>(shown: &'a str, city: &str, region: &str) -> &'a str {
    let mut lines = shown.lines().filter(|line| line.contains(city) && line.contains(region));
    let line = lines.next().unwrap_or_else(|| panic!("no line for {city} in {region}:\n{shown}"));
    let mut words = line.split_whitespace().filter(|word| word.starts_with("127."));
    words.next().unwrap_or_else(|| panic!("no address for {city}: {line}"))
}

/// How many processes were started with this folder in their arguments.
fn processes_of(dir: &Path) -> usize {
    let dir = dir.as_os_str().as_encoded_bytes();
    let processes = std::fs::read_dir("/proc").expect("the kernel tells").filter_map(Result::ok);
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .filter(|arguments| arguments.windows(dir.len()).any(|part| part == dir))
        .count()
}
