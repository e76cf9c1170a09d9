//! What it costs a name server to ask ten thousand targets every ten seconds how they are.
//!
//! ```text
//!  dnsrouter ──mTLS, kept──▶ 127.100+r.x.y : 10 GeoPings, one per region, 1,000 addresses each
//!   (one core)                (the other core, with the generator of DNS queries)
//! ```

use std::fmt::Write;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use ::tests::authority::Authority;
use ::tests::name_server::{Endpoint, NameServer, NameServerPlan, Probe, Service};
use ::tests::region::{Region, RegionPlan};
use ::tests::scratch::Scratch;

use crate::cores::{self, Cores};
use crate::entrant::CLIENTS;
use crate::generator::{Generator, Tally};
use crate::names::Hosts;
use crate::rounds::DISTURBED;
use crate::watch::{Seen, Watch};
use crate::{memory_of, report};

/// One GeoPing each.
const REGIONS: [&str; 10] = [
    "us-central1",
    "us-east1",
    "us-west1",
    "europe-west1",
    "europe-west3",
    "asia-east1",
    "asia-southeast1",
    "australia-southeast1",
    "southamerica-east1",
    "me-west1",
];
/// Each with an endpoint in every region, and each endpoint a target of its own.
const SERVICES: usize = 1000;
const TARGETS: usize = SERVICES * REGIONS.len();

const INTERVAL: Duration = Duration::from_secs(10);
/// What is added to an interval at most, in percent of it; a half of it on average.
const JITTER: u32 = 10;
/// Intervals that are measured.
const INTERVALS: u32 = 3;
/// Until an interval passes without a failed check: at first all handshakes come at once.
const SETTLED: u32 = 30;
/// How often DNS is asked while nobody is probed, and while all are: far below what a core can do, so
/// that a late answer has waited for something else.
const RATE: u32 = 10_000;
const HOSTS: Hosts = Hosts(1000);
const QUESTIONS: usize = 10_000;

pub(super) fn measure(cores: Cores) -> io::Result<String> {
    daemon::descriptors::raise_limit();
    let scratch = Scratch::new("bench-probing");
    let authority = Authority::create(&scratch, "authority");
    cores::pin(cores.generator)?;
    let regions: Vec<Region> =
        REGIONS.iter().map(|name| region(name, &scratch, &authority)).collect();
    let start = |name: &str, regions: Option<&[Region]>| {
        cores::pin(cores.server)?;
        let server = plan(name, regions).start(&scratch, &authority);
        cores::pin(cores.generator)?;
        io::Result::Ok(server)
    };

    let mut unprobed = start("unprobed", None)?;
    let quiet = answers(&unprobed)?;
    let unprobed_memory = memory(&mut unprobed);
    drop(unprobed);

    let began = Instant::now();
    let mut server = start("probing", Some(&regions))?;
    settle(&server)?;
    let settled_after = began.elapsed();
    let family = [server.process().id()].into();
    let (before, watch) = (Checks::of(&server), Watch::begin(&family, cores));
    thread::sleep(INTERVAL * INTERVALS);
    let (seen, after) = (watch.end(&family, cores), Checks::of(&server));
    let busy = answers(&server)?;
    let made = Checks { ok: after.ok - before.ok, other: after.other - before.other };
    let memory = memory(&mut server).saturating_sub(unprobed_memory);
    Ok(told(&seen, made, settled_after, memory, [&quiet, &busy]))
}

/// Checks that came to an end.
#[derive(Clone, Copy)]
struct Checks {
    ok: f64,
    other: f64,
}

impl Checks {
    fn of(server: &NameServer) -> Self {
        let metrics = server.metrics();
        let ok = metrics.labelled("dnsrouter_checks_total", &["result=\"ok\""]);
        Self { ok, other: metrics.sum("dnsrouter_checks_total") - ok }
    }
}

/// Waits until every target has a connection: until an interval has passed in which no check failed.
fn settle(server: &NameServer) -> io::Result<()> {
    let mut before = Checks::of(server);
    for interval in 1..=SETTLED {
        thread::sleep(INTERVAL);
        let after = Checks::of(server);
        let (ok, other) = (after.ok - before.ok, after.other - before.other);
        eprintln!("probing    interval {interval}: {ok} checks are ok, {other} are not");
        // With what jitter adds, not every target's turn comes in it.
        if other == 0.0 && ok >= 0.8 * TARGETS as f64 {
            return Ok(());
        }
        before = after;
    }
    Err(io::Error::other(format!("checks still fail after {SETTLED} intervals")))
}

fn memory(server: &mut NameServer) -> usize {
    memory_of(&server.process().id().to_string(), "VmRSS")
}

/// It answers on every address of the machine.
fn region(name: &str, scratch: &Scratch, authority: &Authority) -> Region {
    let anywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    RegionPlan::new(name).listen(anywhere).start(scratch, authority)
}

/// A name server of so many services, probed if there is anybody to probe.
fn plan(name: &str, regions: Option<&[Region]>) -> NameServerPlan {
    let probe = Probe {
        interval: INTERVAL,
        timeout: Duration::from_secs(2),
        jitter: JITTER,
        rise: 2,
        fall: 3,
    };
    let plan = NameServerPlan::new(name).zone(&HOSTS.zone()).probe(probe);
    (0..SERVICES).fold(plan, |plan, service| {
        let endpoint = |(place, region): (usize, &&str)| {
            let at = address(place, service);
            let port = regions.map(|regions| regions[place].grpc().port());
            Endpoint {
                region: (*region).to_owned(),
                addresses: vec![IpAddr::V4(at)],
                ping: port.map(|port| SocketAddr::from((at, port))),
            }
        };
        plan.service(Service {
            name: format!("s{service}.test-net.io"),
            ttl: 60,
            route: "[\"healthy\", \"nearest\"]".to_owned(),
            endpoints: REGIONS.iter().enumerate().map(endpoint).collect(),
        })
    })
}

/// Of a region's endpoint of a service; no two are alike.
fn address(region: usize, service: usize) -> Ipv4Addr {
    let [.., high, low] = service.to_be_bytes();
    let [.., region] = region.to_be_bytes();
    Ipv4Addr::new(127, 100 + region, high, low)
}

/// DNS asked for as long as an interval is.
fn answers(server: &NameServer) -> io::Result<Tally> {
    let workload = HOSTS.mix(QUESTIONS);
    let mut generator = Generator::new(&workload, server.dns(), CLIENTS)?;
    generator.open(RATE, INTERVAL)?;
    Ok(generator.take())
}

fn told(
    seen: &Seen,
    made: Checks,
    settled_after: Duration,
    memory: usize,
    [quiet, busy]: [&Tally; 2],
) -> String {
    let seconds = seen.time.as_secs_f64();
    let mean = INTERVAL.as_secs_f64() * (1.0 + f64::from(JITTER) / 200.0);
    let due = TARGETS as f64 * seconds / mean;
    let used = seen.server.total.as_secs_f64();
    let mut text = format!(
        "## probing: {TARGETS} targets every {INTERVAL:?}\n\n\
         {SERVICES} services with an endpoint in each of {} regions, one GeoPing per region, a kept \
         connection over mTLS to each of {TARGETS} addresses; {JITTER} % jitter; {seconds:.0} s were \
         measured. From its start to the end of the first {INTERVAL:?} without a failed check: {:.0} s. Then DNS was asked {RATE} times a \
         second for {INTERVAL:?}, as it had been where nobody was probed.{}\n\n",
        REGIONS.len(),
        settled_after.as_secs_f64(),
        if seen.others > DISTURBED { " **Disturbed: others were busy meanwhile.**" } else { "" },
    );
    let row = |what: &str, figure: String| vec![what.to_owned(), figure];
    let rows = [
        row("checks made, of those due", format!("{:.0} of {due:.0}", made.ok + made.other)),
        row("not ok", format!("{:.0}", made.other)),
        row("CPU, % of a core", format!("{:.1}", 100.0 * used / seconds)),
        row("CPU µs/check", format!("{:.1}", 1e6 * used / (made.ok + made.other).max(1.0))),
        row("memory KiB/target", format!("{:.1}", memory as f64 / 1024.0 / TARGETS as f64)),
    ];
    let head = ["of dnsrouter's process", ""].map(str::to_owned);
    let _ = writeln!(text, "{}", report::table(&head, &rows));
    let head = ["DNS", "p50 µs", "p99 µs", "p99.9 µs", "lost", "wrong"].map(str::to_owned);
    let rows = [("nobody probed", quiet), ("all probed", busy)].map(|(what, tally)| {
        let latency = |share| format!("{:.0}", report::micros(tally.latency(share)));
        let latencies = [0.5, 0.99, 0.999].map(latency);
        let counts = [tally.lost, tally.all_wrong()].map(|count| count.to_string());
        [vec![what.to_owned()], latencies.to_vec(), counts.to_vec()].concat()
    });
    text + &report::table(&head, &rows)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_target_has_an_address_of_its_own() {
        let of = |region| (0..SERVICES).map(move |service| address(region, service));
        let all: BTreeSet<Ipv4Addr> = (0..REGIONS.len()).flat_map(of).collect();
        assert_eq!(all.len(), TARGETS);
        assert!(all.iter().all(Ipv4Addr::is_loopback));
    }
}
