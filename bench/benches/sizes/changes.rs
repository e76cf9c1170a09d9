//! Reloads, and one service's change.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bench::{median_and_worst, processor};
use dnsrouter::compile::replace;
use dnsrouter::health::Now;
use dnsrouter::io::load::{Loaded, Loader};
use dnsrouter::monitor::Monitor;
use dnsrouter::plan::Generation;
use dnsrouter::service::Service;

use crate::start::measured;

/// Services replaced, one after the other.
const REPLACED: usize = 200;
/// Of those, followed by the monitor, which looks at all targets.
const FOLLOWED: usize = 10;
/// What one may cost.
const BOUND: Duration = Duration::from_millis(10);

/// Everything is read again; `write` writes so many services otherwise.
pub(crate) fn reloads(loader: &mut Loader, file: &Path, loaded: &Loaded, write: impl Fn(usize)) {
    let mut load = |name: &str| {
        let again = measured(name, 0, || {
            loader.load(file, &[]).unwrap_or_else(|error| panic!("{}", error.report()))
        });
        again.inputs(Generation(1)).services
    };
    let first = loaded.inputs(Generation(1)).services;
    let same = load("reload: nothing changed");
    assert!(Arc::ptr_eq(&first, &same), "it is the same plan");
    write(1);
    let other = load("reload: one service changed");
    let stayed = first.services.iter().zip(&other.services);
    let stayed = stayed.filter(|((_, a), (_, b))| Arc::ptr_eq(a, b)).count();
    println!("{:<34} {stayed} of {} services are the very same", "", first.services.len());
}

/// One service at a time is another: what a feed of records does.
pub(crate) fn replacements(loaded: &Loaded) {
    let inputs = loaded.inputs(Generation(1));
    let mut services = Arc::clone(&inputs.services);
    let mut monitor = Monitor::default();
    let now = Now { wall: std::time::SystemTime::UNIX_EPOCH, uptime: Duration::ZERO };
    monitor.retarget(&services, &[], now);
    let (mut spent, mut wall, mut followed) = (Vec::new(), Vec::new(), Vec::new());
    let all = &loaded.config.services;
    for at in 0..REPLACED.min(all.len()) {
        // Far apart, as strangers change.
        let service = changed(&all[at * 7919 % all.len()].0);
        let (begun, start) = (Instant::now(), processor());
        let next = replace(&services, &inputs.geo, &service);
        services = Arc::new(next.unwrap_or_else(|unfit| panic!("{unfit}")));
        spent.push(processor() - start);
        wall.push(begun.elapsed());
        if at < FOLLOWED {
            let start = processor();
            monitor.retarget(&services, &[], now);
            followed.push(processor() - start);
        }
    }
    let worst = spent.iter().max().copied().unwrap_or_default();
    let say = |name: &str, times| {
        let (median, worst) = median_and_worst(times);
        println!("{name:<34} {median:>8.3} ms median, {worst:>8.3} ms worst");
    };
    say("one service replaced", spent);
    say("  the same, wall", wall);
    say("  followed by the monitor", followed);
    assert!(worst < BOUND, "one service's change takes {worst:?}; {BOUND:?} is the bound");
}

/// Another address in its first region, with a target of its own.
fn changed(service: &Service) -> Service {
    let mut other = service.clone();
    let endpoint = &mut other.endpoints[0];
    if let std::net::IpAddr::V4(v4) = &mut endpoint.addresses[0] {
        *v4 = (u32::from(*v4) | 0x0200_0000).into();
        endpoint.pings[0].host = v4.to_string();
    }
    other
}
