//! What one query costs inside `answer`, by kind, and what its parts cost.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use bench::geography::REGIONS;
use bench::processor;
use divan::{Bencher, black_box};
use dns::edns::Cookie;
use dnsrouter::answer::{Query, Reply, Transport, Worker, answer};
use dnsrouter::census::{Settings, Tally, ring};
use dnsrouter::counters::Counters;
use dnsrouter::io::load::Loader;
use dnsrouter::plan::{Generation, Published};
use dnsrouter::random::Random;
use dnsrouter::verdicts::Health;

fn main() {
    divan::main();
    recording();
}

/// When every query comes.
const NOW: u32 = 1_800_000_000;

const ZONE: &str = "\
@ 300 SOA ns1 hostmaster 1 7200 900 1209600 60
@ 300 NS ns1
ns1 300 A 192.0.2.53
www 300 A 192.0.2.80
";

static PLAN: LazyLock<Published> = LazyLock::new(|| plan(""));

/// With lists, and limits that nobody reaches.
static GUARDED: LazyLock<Published> = LazyLock::new(|| {
    plan(
        "[access]\ndeny = ['203.0.113.0/24', '2001:db8::/32']\n\
         [rate_limit]\nresponses_per_second = 100000\nburst = 6000000\nexempt = ['10.0.0.0/8']\n",
    )
});

fn plan(more: &str) -> Published {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut config = format!(
        "{more}[node]\nname = 'bench'\nregion = 'us-central1'\n[listen]\ndns = ['127.0.0.1:0']\n\
         [[zone]]\nname = 'test-net.io'\nfile = 'zone'\n\
         [[service]]\nname = 'geo.test-net.io'\nttl = 60\nroute = ['healthy', 'nearest', 'weighted']\n",
    );
    for (i, region) in REGIONS.iter().enumerate() {
        config += &format!(
            "[[service.endpoint]]\nregion = '{region}'\naddresses = ['203.0.113.{i}', '2001:db8::{i:x}']\n"
        );
    }
    let file = folder.path().join("dnsrouter.toml");
    std::fs::write(folder.path().join("zone"), ZONE).expect("a zone file");
    std::fs::write(&file, config).expect("a configuration");
    let loaded = Loader::default().load(&file, &[]).unwrap_or_else(|e| panic!("{}", e.report()));
    Published::new(loaded.inputs(Generation(1)), Health::default())
}

/// A query in wire form; with a client subnet when given.
fn query(name: &str, rtype: u16, subnet: Option<[u8; 3]>) -> Vec<u8> {
    let option = subnet.map(|[a, b, c]| vec![0, 8, 0, 7, 0, 1, 24, 0, a, b, c]);
    query_with(name, rtype, option.as_deref())
}

/// A query in wire form; with EDNS when there is an option.
fn query_with(name: &str, rtype: u16, option: Option<&[u8]>) -> Vec<u8> {
    let additional = u8::from(option.is_some());
    let mut bytes = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, additional];
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(rtype.to_be_bytes());
    bytes.extend([0, 1]);
    if let Some(option) = option {
        bytes.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, option.len() as u8]);
        bytes.extend(option);
    }
    bytes
}

/// Cycles through prepared queries; prints the time of one answer.
fn run(bencher: Bencher<'_, '_>, queries: &[Vec<u8>]) {
    run_from(bencher, &PLAN, queries, 1);
}

/// From so many networks in turn.
fn run_from(bencher: Bencher<'_, '_>, plan: &Published, queries: &[Vec<u8>], networks: u32) {
    let snapshot = plan.load();
    let mut worker = Worker::with_random(Arc::new(Counters::default()), Random::from_seed(1));
    let mut out = [0; 1232];
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.into());
    let (mut next, mut network) = (0, 0);
    bencher.bench_local(|| {
        next = (next + 1) % queries.len();
        network = (network + 1) % networks;
        let [_, a, b, c] = network.to_be_bytes();
        let query = Query {
            bytes: black_box(&queries[next]),
            peer: SocketAddr::from(([198 ^ a, 51 ^ b, 100 ^ c, 1], 4242)),
            local: SocketAddr::from(([127, 0, 0, 1], 53)),
            transport: Transport::Udp,
            now,
        };
        let reply = answer(&snapshot, &mut worker, query, &mut out);
        assert!(matches!(reply, Reply::Bytes(_)));
    });
}

/// Of 20,000 client subnets, half A and half AAAA.
fn geo_queries() -> Vec<Vec<u8>> {
    let subnets = (0..20_000_u32).map(|i| {
        let [a, b, c, _] = i.wrapping_mul(2_654_435_761).to_be_bytes();
        query("geo.test-net.io", if i % 2 == 0 { 1 } else { 28 }, Some([a, b, c]))
    });
    subnets.collect()
}

/// What it costs to record clients, on the thread that answers and beside it: in turns, since figures
/// of one run are compared.
fn recording() {
    const ROUNDS: usize = 101;
    /// Fewer than fill a ring.
    const ANSWERS: usize = 50_000;

    let (queries, snapshot) = (geo_queries(), PLAN.load());
    let worker = || Worker::with_random(Arc::new(Counters::default()), Random::from_seed(1));
    let (recorder, mut reader) = ring();
    let mut workers = [worker(), worker().recording(Some(recorder))];
    let mut tally =
        Tally::new(Settings { most: 1_000_000, half_life: Duration::from_secs(86_400) });
    let (mut out, mut records) = ([0; 1232], Vec::new());
    // Sums over all rounds: the kernel tells a thread's time in steps as long as a part of one.
    let mut costs = [Duration::ZERO; 3];
    for _ in 0..ROUNDS {
        for (worker, costs) in workers.iter_mut().zip(&mut costs) {
            let before = processor();
            for bytes in queries.iter().cycle().take(ANSWERS) {
                let query = Query {
                    bytes: black_box(bytes),
                    peer: SocketAddr::from(([198, 51, 100, 1], 4242)),
                    local: SocketAddr::from(([127, 0, 0, 1], 53)),
                    transport: Transport::Udp,
                    now: SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.into()),
                };
                black_box(answer(&snapshot, worker, query, &mut out));
            }
            *costs += processor() - before;
        }
        let before = processor();
        reader.take(&mut records, usize::MAX);
        assert_eq!(records.len(), ANSWERS);
        tally.add(&mut records, Duration::from_millis(100));
        costs[2] += processor() - before;
    }
    let each = |sum: Duration| sum.as_secs_f64() * 1e9 / (ROUNDS * ANSWERS) as f64;
    let [without, with, beside] = costs.map(each);
    println!(
        "recording clients: {with:.1} ns an answer, {without:.1} ns without it (× {:.3}); and {beside:.1} ns \
         beside, where it is counted",
        with / without
    );
}

#[divan::bench]
fn geo_with_subnet(bencher: Bencher<'_, '_>) {
    run(bencher, &geo_queries());
}

#[divan::bench]
fn geo_without_subnet(bencher: Bencher<'_, '_>) {
    run(bencher, &[query("geo.test-net.io", 1, None)]);
}

#[divan::bench]
fn static_hit(bencher: Bencher<'_, '_>) {
    run(bencher, &[query("www.test-net.io", 1, None)]);
}

/// The table of buckets does not fit the caches close by: most look-ups miss them, as in a flood.
#[divan::bench]
fn static_hit_under_a_limit(bencher: Bencher<'_, '_>) {
    run_from(bencher, &GUARDED, &[query("www.test-net.io", 1, None)], 100_000);
}

#[divan::bench]
fn static_hit_with_a_cookie(bencher: Bencher<'_, '_>) {
    let guard = &GUARDED.load().inputs.guard;
    let learning = Cookie { client: *b"clientck", server: &[] };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.into());
    let given = guard.cookie(&learning, IpAddr::from([198, 51, 100, 1]), now);
    let (_, server) = given.expect("cookies are on");
    let option = [&[0, 10, 0, 24], &learning.client[..], &server].concat();
    run_from(bencher, &GUARDED, &[query_with("www.test-net.io", 1, Some(&option))], 1);
}

#[divan::bench]
fn nxdomain(bencher: Bencher<'_, '_>) {
    run(bencher, &[query("nope.test-net.io", 1, None)]);
}

#[divan::bench]
fn place_of_an_address(bencher: Bencher<'_, '_>) {
    let snapshot = PLAN.load();
    let table = &snapshot.inputs.geo.table;
    let mut address = 0_u32;
    bencher.bench_local(|| {
        address = address.wrapping_add(2_654_435_761);
        table.lookup_subnet(black_box(IpAddr::V4(Ipv4Addr::from_bits(address))))
    });
}
