//! What one flip costs until it is published: of a target, and of a region with every service in it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bench::{median_and_worst, processor};
use dnsrouter::health::{Now, Outcome, State};
use dnsrouter::io::load::Loaded;
use dnsrouter::monitor::{Monitor, Report, Settings};
use dnsrouter::plan::{Generation, Published};
use dnsrouter::target::Target;
use dnsrouter::verdicts::{Stance, Stances, WHOLE};

/// Flips measured.
const FLIPS: usize = 1000;
/// What one may cost.
const BOUND: Duration = Duration::from_millis(1);
const GENERATION: Generation = Generation(1);

/// Both, with the very parts that the keeper uses. What a report costs on its way there, `flips` tells.
pub(crate) fn run(loaded: &Loaded) {
    let inputs = loaded.inputs(GENERATION);
    // All may go, one after the other.
    let settings = Settings { removal: None, ..loaded.config.probe.settings };
    let now = Now { wall: SystemTime::UNIX_EPOCH, uptime: Duration::ZERO };
    let mut monitor = Monitor::default();
    monitor.retarget(&inputs.services, &[], now);
    let targets: Vec<Arc<Target>> = inputs.services.targets.iter().cloned().collect();
    let locations = inputs.services.locations.len();
    let published = Published::new(inputs, monitor.health());
    say(
        "flip of a target",
        times(|at| {
            drain(&mut monitor, &targets[at * 7919 % targets.len()], &settings, now);
            publish(&mut monitor, &published);
        }),
    );
    let stances = [Stance::ForcedDown, Stance::Draining { gone: WHOLE }];
    say(
        "flip of a region of all services",
        times(|at| {
            let mut all = vec![Stance::Measured; locations];
            all[at % locations] = stances[at % 2];
            monitor.set_stances(Stances { locations: all.into(), ..Stances::default() });
            publish(&mut monitor, &published);
        }),
    );
}

/// Of the processor, and wall.
fn times(mut flip: impl FnMut(usize)) -> (Vec<Duration>, Vec<Duration>) {
    let time = |at| {
        let (begun, start) = (Instant::now(), processor());
        flip(at);
        (processor() - start, begun.elapsed())
    };
    (0..FLIPS).map(time).unzip()
}

/// One report is enough for that.
fn drain(monitor: &mut Monitor, target: &Target, settings: &Settings, now: Now) {
    let report = Report {
        outcome: Outcome::Draining,
        rtt: None,
        load: None,
        detail: String::new(),
        good_for: Duration::from_secs(3600),
    };
    let change = monitor.observe(target, report, settings, now);
    assert!(change.is_some_and(|change| change.transition.to == State::Draining), "{change:?}");
}

fn publish(monitor: &mut Monitor, published: &Published) {
    published.apply_health(GENERATION, monitor.health()).expect("it is of this plan");
}

fn say(name: &str, (spent, wall): (Vec<Duration>, Vec<Duration>)) {
    let (median, worst) = median_and_worst(spent);
    let (median_wall, worst_wall) = median_and_worst(wall);
    println!(
        "{name:<34} {median:>8.3} ms median, {worst:>8.3} ms worst; wall: {median_wall:.3} ms median, \
         {worst_wall:.3} ms worst"
    );
    let bound = BOUND.as_secs_f64() * 1e3;
    assert!(median < bound, "a flip takes {median} ms; {bound} is the bound");
}
