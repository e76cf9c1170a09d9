//! Instructions of ten answers, as callgrind counts them: a guard that a noisy machine cannot blur.
//!
//! `cargo bench -p bench --bench instructions` compares with `bench/instructions.txt` and fails where an
//! answer costs 3 % more or less; who changes that knowingly writes the file anew with `-- --write`.
//! Valgrind comes from Debian: `tests/fetch/peers valgrind`.
#![expect(clippy::disallowed_methods, reason = "measures")]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bench::generator::{A, AAAA, query};
use bench::geography::REGIONS;
use dnsrouter::answer::{Query, Reply, Transport, Worker, answer};
use dnsrouter::counters::Counters;
use dnsrouter::io::load::Loader;
use dnsrouter::plan::{Generation, Published, Snapshot};
use dnsrouter::random::Random;
use dnsrouter::verdicts::Health;
use tests::artifact;

/// Answers of each kind: so many that what surrounds them does not count.
const TIMES: u64 = 1000;
/// Percent.
const TOLERANCE: f64 = 3.0;
/// Says in the process that is counted which kind that is.
const COUNTED: &str = "GEOPING_COUNTED";
const TXT: u16 = 16;
const NOW: Duration = Duration::from_secs(1_800_000_000);

const ZONE: &str = "\
$TTL 300
@ SOA ns1 hostmaster 1 7200 900 1209600 60
@ NS ns1
ns1 A 192.0.2.53
www A 192.0.2.80
alias CNAME www
*.wild A 192.0.2.81
sub NS ns.sub
ns.sub A 192.0.2.82
";

/// What is asked, and its name in the file.
fn queries() -> [(&'static str, Vec<u8>); 10] {
    let geo = |rtype, subnet| query("geo.test-net.io", rtype, subnet);
    let deep = "a.".repeat(117) + "test-net.io";
    let mut bare = geo(A, None);
    // Without the OPT record.
    bare.truncate(bare.len() - 11);
    bare[11] = 0;
    [
        ("service-a-subnet", geo(A, Some([193, 0, 6]))),
        ("service-aaaa-subnet", geo(AAAA, Some([8, 8, 8]))),
        ("service-a-no-edns", bare),
        ("static-a", query("www.test-net.io", A, None)),
        ("static-no-data", query("www.test-net.io", TXT, None)),
        ("alias", query("alias.test-net.io", A, None)),
        ("wildcard", query("x.wild.test-net.io", A, None)),
        ("referral", query("www.sub.test-net.io", A, None)),
        ("no-such-name", query("nowhere.test-net.io", A, None)),
        ("no-such-name-120-labels", query(&deep, A, None)),
    ]
}

fn main() -> ExitCode {
    if let Ok(kind) = std::env::var(COUNTED) {
        counted(kind.parse().expect("the number of a kind"));
        return ExitCode::SUCCESS;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.txt");
    let now = count();
    if std::env::args().any(|argument| argument == "--write") {
        let lines = now.iter().fold(String::new(), |mut text, (name, count)| {
            let _ = writeln!(text, "{name} {count}");
            text
        });
        std::fs::write(&file, lines).expect("the file can be written");
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    let known = |name: &str| -> Option<u64> {
        let of_name =
            |line: &str| line.split_once(' ').filter(|(of, _)| *of == name)?.1.parse().ok();
        known.lines().find_map(of_name)
    };
    let mut is_good = true;
    for (name, count) in &now {
        let change = known(name).map(|known| 100.0 * (*count as f64 / known as f64 - 1.0));
        let good = change.is_some_and(|change| change.abs() <= TOLERANCE);
        is_good &= good;
        let change = change.map_or("not known".to_owned(), |change| format!("{change:+.1} %"));
        println!("{name:<26} {count:>7} {change:>10} {}", if good { "" } else { "<-" });
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn count() -> Vec<(&'static str, u64)> {
    queries().iter().enumerate().map(|(kind, (name, _))| (*name, count_of(kind))).collect()
}

/// Runs this program again under callgrind, which counts inside one function alone.
fn count_of(kind: usize) -> u64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let counts = folder.path().join("counts");
    let mut valgrind = artifact::peer("usr/bin/valgrind.bin");
    valgrind
        .env("VALGRIND_LIB", artifact::target().join("peers/usr/libexec/valgrind"))
        .env(COUNTED, kind.to_string())
        .args(["--tool=callgrind", "--toggle-collect=*answered_so_often*"])
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(std::env::current_exe().expect("a program knows its own path"));
    let output = valgrind.output().expect("valgrind starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&counts).expect("what callgrind counted");
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    totals.and_then(|count| count.trim().parse::<u64>().ok()).expect("a count") / TIMES
}

/// What is counted.
fn counted(kind: usize) {
    let plan = plan();
    let mut worker = Worker::with_random(Arc::new(Counters::default()), Random::from_seed(1));
    let (name, bytes) = &queries()[kind];
    answered_so_often(&plan.load(), &mut worker, bytes, name);
}

#[inline(never)]
fn answered_so_often(snapshot: &Snapshot, worker: &mut Worker, bytes: &[u8], name: &str) {
    let mut out = [0; 1232];
    for _ in 0..TIMES {
        let query = Query {
            bytes: std::hint::black_box(bytes),
            peer: SocketAddr::from(([198, 51, 100, 1], 4242)),
            local: SocketAddr::from(([127, 0, 0, 1], 53)),
            transport: Transport::Udp,
            now: SystemTime::UNIX_EPOCH + NOW,
        };
        let reply = answer(snapshot, worker, query, &mut out);
        assert!(matches!(reply, Reply::Bytes(_)), "{name} is answered");
    }
}

fn plan() -> Published {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut config = "[node]\nname = 'bench'\nregion = 'us-central1'\n\
         [listen]\ndns = ['127.0.0.1:0']\n[[zone]]\nname = 'test-net.io'\nfile = 'zone'\n\
         [[service]]\nname = 'geo.test-net.io'\nttl = 60\n\
         route = ['healthy', 'nearest', 'weighted']\n"
        .to_owned();
    for (i, region) in REGIONS.iter().enumerate() {
        let _ = write!(
            config,
            "[[service.endpoint]]\nregion = '{region}'\n\
             addresses = ['203.0.113.{i}', '2001:db8::{i:x}']\n"
        );
    }
    let file = folder.path().join("dnsrouter.toml");
    std::fs::write(folder.path().join("zone"), ZONE).expect("a zone file");
    std::fs::write(&file, config).expect("a configuration");
    let loaded = Loader::default().load(&file, &[]).unwrap_or_else(|e| panic!("{}", e.report()));
    Published::new(loaded.inputs(Generation(1)), Health::default())
}
