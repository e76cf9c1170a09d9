#![allow(clippy::all, missing_docs, reason = "scratch")]
use geo::*;
use std::time::Instant;
fn main() {
    let mut b = TableBuilder::new(ScopeCap::default());
    for f in std::env::args().skip(1) {
        let t = Instant::now();
        if f == "builtin" {
            builtin::load(&mut b);
            println!("builtin {:?}", t.elapsed());
            continue;
        }
        let bytes = std::fs::read(&f).unwrap();
        println!("read {:?}", t.elapsed());
        println!("{:?} {:?}", mmdb::load(bytes, &Default::default(), &mut b).unwrap(), t.elapsed());
    }
    let t = Instant::now();
    let table = b.freeze();
    println!(
        "freeze {:?}: leaves {} places {} memory {:.1} MB fp {:x}",
        t.elapsed(),
        table.len(),
        table.places().len(),
        table.memory_bytes() as f64 / 1e6,
        table.fingerprint()
    );

    let locs: Vec<Point> = [
        "us-central1",
        "europe-west3",
        "asia-southeast1",
        "us-east1",
        "us-west1",
        "europe-north1",
        "asia-northeast1",
        "southamerica-east1",
        "africa-south1",
        "australia-southeast1",
        "me-central1",
        "asia-south1",
    ]
    .iter()
    .map(|n| regions::find(n).unwrap().point)
    .collect();
    let t = Instant::now();
    let r = Ranking::build(&table, &locs);
    println!("ranking {:?} {}", t.elapsed(), r.memory_bytes());
    // lookups
    let mut x = 0x1234_5678_9abc_def1u64;
    let mut addrs = Vec::new();
    let mut addrs6 = Vec::new();
    for _ in 0..1_000_000 {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        addrs.push(std::net::IpAddr::from(std::net::Ipv4Addr::from(
            ((x >> 20) as u32) % 0xe000_0000,
        )));
    }
    let starts: Vec<_> = table
        .leaves()
        .filter(|l| matches!(l.0, ipnet::IpNet::V6(_)) && l.2 != Source::None)
        .map(|l| l.0.addr())
        .collect();
    if !starts.is_empty() {
        for _ in 0..1_000_000 {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            addrs6.push(starts[(x % starts.len() as u64) as usize]);
        }
    }
    for (name, addrs) in [("v4", addrs), ("v6", addrs6)] {
        for _ in 0..3 {
            let t = Instant::now();
            let mut s = 0usize;
            for a in &addrs {
                let h = table.lookup_subnet(*a);
                s = s.wrapping_add(h.place.index() + h.scope as usize);
            }
            println!(
                "{name} lookup {:?} ns each ({s})",
                t.elapsed().as_nanos() as f64 / addrs.len() as f64
            );
        }
        // hot set
        if addrs.is_empty() {
            continue;
        }
        let t = Instant::now();
        let mut s = 0usize;
        for _ in 0..1000 {
            for a in &addrs[..1000] {
                let h = table.lookup_subnet(*a);
                s = s.wrapping_add(h.place.index() + h.scope as usize);
            }
        }
        println!("{name} hot lookup {:?} ns each ({s})", t.elapsed().as_nanos() as f64 / 1e6);
    }
}
