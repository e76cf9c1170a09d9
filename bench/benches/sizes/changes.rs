//! Reloads, and one service's change.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bench::{median_and_worst, processor};
use dnsrouter::compile::replace;
use dnsrouter::io::history::Recorder;
use dnsrouter::io::keeper::{Apply, Keeper, Shared};
use dnsrouter::io::load::{Loaded, Loader};
use dnsrouter::plan::Generation;
use dnsrouter::service::Service;
use dnsrouter::target::Targets;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::start::measured;

/// Services replaced, one after the other.
const REPLACED: usize = 200;
/// What one may cost, from the service as it is written until the plan with it is answered from.
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

/// One service at a time is another: what a feed of records does. Each is compiled, and applied by the
/// keeper, with all that it does for a plan.
pub(crate) fn replacements(loaded: &Loaded) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(replaced(loaded));
}

async fn replaced(loaded: &Loaded) {
    let mut inputs = loaded.inputs(Generation(1));
    let settings = loaded.config.probe.settings;
    let shared = Shared::new(inputs.clone(), &[], std::time::SystemTime::UNIX_EPOCH);
    let (applying, given) = mpsc::channel(1);
    let (targets, wanted) = watch::channel(Targets::default());
    let mut keeper = Keeper {
        shared: shared.clone(),
        settings,
        reports: mpsc::channel(1).1,
        inputs: given,
        said: mpsc::channel(1).1,
        reckoned: mpsc::channel(1).1,
        recorder: Recorder::default(),
        targets,
        disk: watch::channel(()).0,
    };
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let keeping = tokio::spawn(async move { keeper.run(&stopped).await });
    let (mut compiled, mut spent, mut wall) = (Vec::new(), Vec::new(), Vec::new());
    let all = &loaded.config.services;
    for at in 0..=REPLACED.min(all.len() - 1) {
        // Far apart, as strangers change.
        let service = changed(&all[at * 7919 % all.len()].0);
        let (begun, start) = (Instant::now(), processor());
        let next = replace(&inputs.services, &inputs.geo, &service);
        inputs.services = Arc::new(next.unwrap_or_else(|unfit| panic!("{unfit}")));
        inputs.generation = Generation(at as u64 + 2);
        let replaced = processor() - start;
        let (done, applied) = oneshot::channel();
        let apply = Apply { inputs: inputs.clone(), settings, done };
        applying.send(apply).await.expect("the keeper takes it");
        applied.await.expect("the keeper answers").expect("it is the newest");
        // What the keeper does first when it begins is none of a change's.
        if at > 0 {
            compiled.push(replaced);
            spent.push(processor() - start);
            wall.push(begun.elapsed());
        }
    }
    stop.cancel();
    keeping.await.expect("the keeper ends");
    assert_eq!(shared.plan.load().inputs.generation, inputs.generation);
    assert_eq!(wanted.borrow().len(), inputs.services.targets.len());
    assert_eq!(shared.monitor().len(), inputs.services.targets.len());
    let worst = spent.iter().max().copied().unwrap_or_default();
    let say = |name: &str, times| {
        let (median, worst) = median_and_worst(times);
        println!("{name:<34} {median:>8.3} ms median, {worst:>8.3} ms worst");
    };
    say("one service replaced", compiled);
    say("  and in force", spent);
    say("  the same, wall", wall);
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
