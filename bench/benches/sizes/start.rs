//! From nothing to a plan.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bench::processor;
use dnsrouter::compile::{Compiled, Source, compile, ids};
use dnsrouter::config::Config;
use dnsrouter::io::load::{Loaded, Loader};
use geo::Table;

use crate::allocator::held;

/// What each part of a plan takes.
pub(crate) fn parts(file: &Path, services: usize) {
    let config = measured("configuration read and checked", services, || {
        Config::load(file, &[]).unwrap_or_else(|error| panic!("{}", error.report()))
    });
    let (table, description): (Arc<Table>, String) = measured("table of places", 0, || {
        let table = config.geo.load(config.lists.clone(), &config.source);
        let (table, description) = table.unwrap_or_else(|error| panic!("{}", error.report()));
        (Arc::new(table), description)
    });
    let prints: Vec<u128> = measured("fingerprints of services", services, || {
        config.services.iter().map(|(service, _)| service.fingerprint()).collect()
    });
    let before = held();
    let ids = ids(&config, None);
    let source = Source { config: &config, ids: &ids, written: &prints, table, description };
    let Compiled { services: compiled, geo } =
        measured("compiled, all of it", 0, || compile(&source));
    let all = held() - before;
    let views = geo.views.lenses.iter().map(|lens| lens.memory_bytes()).sum::<usize>()
        + geo.views.scopes.iter().map(|(_, scopes)| scopes.memory_bytes()).sum::<usize>();
    row("  of that: lenses and scopes", None, views, 0);
    row("  of that: services and targets", None, all.saturating_sub(views), services);
    assert_eq!(compiled.services.len(), services);
}

/// The way a node starts, and a loader that knows it.
pub(crate) fn whole(file: &Path) -> (Loader, Loaded) {
    let mut loader = Loader::default();
    let loaded = measured("start: everything", 0, || {
        loader.load(file, &[]).unwrap_or_else(|error| panic!("{}", error.report()))
    });
    (loader, loaded)
}

/// Does it, and says what it takes.
pub(crate) fn measured<T>(name: &str, services: usize, work: impl FnOnce() -> T) -> T {
    let (before, wall, start) = (held(), Instant::now(), processor());
    let done = work();
    let (spent, wall) = (processor() - start, wall.elapsed());
    row(name, Some((spent, wall)), held().saturating_sub(before), services);
    done
}

fn row(name: &str, times: Option<(Duration, Duration)>, octets: usize, services: usize) {
    let times = times.map(|(spent, wall)| {
        format!("{:>8.1} ms, {:>8.1} ms wall", spent.as_secs_f64() * 1e3, wall.as_secs_f64() * 1e3)
    });
    let each = match services {
        0 => String::new(),
        n => format!("  {:>6.0} B per service", octets as f64 / n as f64),
    };
    println!("{name:<34} {:<31} {:>8.1} MB{each}", times.unwrap_or_default(), octets as f64 / 1e6);
}
