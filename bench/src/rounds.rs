//! Interleaved rounds: each server once, then each again, so that whatever the machine does in those
//! seconds it does to all of them.

use std::io;
use std::time::Duration;

use tests::scratch::Scratch;

use crate::contender::{Contender, Product, Site};
use crate::cores::{self, Cores};
use crate::figures::{Figures, Sample};
use crate::generator::{Generator, Tally, Until};
use crate::scene::{Load, Scene};
use crate::watch::Watch;

/// Before a sample, so that caches and the branch predictor are the server's own.
const WARM_UP: Duration = Duration::from_millis(200);
/// Questions that each server answers before anything is measured, and how many at once.
const CHECKED: u64 = 5000;
const CHECKED_AT_ONCE: usize = 16;
/// A sample is disturbed when others used more than this of both cores.
pub const DISTURBED: f64 = 0.05;
/// How often a disturbed sample is taken again before it stays as it is, marked.
const ATTEMPTS: usize = 2;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How often each server's turn comes.
    pub rounds: usize,
    /// How long a turn is.
    pub time: Duration,
}

/// What came of a scene.
pub struct Outcome {
    /// Which.
    pub scene: Scene,
    /// The figures.
    pub figures: Figures,
    /// From start to the first answer.
    pub started_in: Vec<(Product, Duration)>,
}

/// How a sample is taken.
struct Turn {
    load: Load,
    time: Duration,
    cores: Cores,
}

/// Starts a scene's servers, checks their answers, and measures them in turns.
///
/// # Errors
///
/// Those of the system; a server that falls silent; one that answers otherwise than the others.
pub fn run(scene: Scene, plan: Plan, cores: Cores) -> io::Result<Outcome> {
    let scratch = Scratch::new("bench");
    let (zone, world, workload) = scene.data();
    let echoed = workload.echoed();
    let site = Site::new(&zone, world, &scratch);
    drop(zone);

    cores::pin(cores.server)?;
    let start = |product: &Product| Contender::start(*product, &site, &scratch);
    let contenders: Vec<Contender> = scene.products.iter().map(start).collect();
    cores::pin(cores.generator)?;

    let generator = |contender: &Contender| {
        let workload = if contender.product == Product::Echo { &echoed } else { &workload };
        Generator::new(workload, contender.address)
    };
    let mut generators = contenders.iter().map(generator).collect::<io::Result<Vec<_>>>()?;
    for (contender, generator) in contenders.iter().zip(&mut generators) {
        check(contender, generator)?;
    }
    let mut figures = Figures::default();
    let turn = Turn { load: scene.load, time: plan.time, cores };
    for round in 1..=plan.rounds {
        for (contender, generator) in contenders.iter().zip(&mut generators) {
            let sample = undisturbed(contender, generator, &turn)?;
            eprintln!(
                "{:<10} round {round:>2} of {}: {:<18} {:6.3} us/query, {:8.0} queries/s, others {:2.0} %",
                scene.name,
                plan.rounds,
                contender.product,
                sample.cpu,
                sample.rate,
                100.0 * sample.others,
            );
            figures.0.entry(contender.product).or_default().push(sample);
        }
    }
    let started_in = contenders.iter().map(|it| (it.product, it.started_in)).collect();
    Ok(Outcome { scene, figures, started_in })
}

/// Only servers that answer alike are compared.
fn check(contender: &Contender, generator: &mut Generator<'_>) -> io::Result<()> {
    generator.closed(CHECKED_AT_ONCE, Until::Answered(CHECKED))?;
    let tally = generator.take();
    if tally.all_wrong() == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!("{} answers wrongly: {tally}", contender.product)))
}

/// A sample; taken again when others were busy meanwhile.
fn undisturbed(
    contender: &Contender,
    generator: &mut Generator<'_>,
    turn: &Turn,
) -> io::Result<Sample> {
    let mut best = sample(contender, generator, turn)?;
    for _ in 1..ATTEMPTS {
        if best.others <= DISTURBED {
            break;
        }
        let again = sample(contender, generator, turn)?;
        if again.others < best.others {
            best = again;
        }
    }
    Ok(best)
}

fn sample(contender: &Contender, generator: &mut Generator<'_>, turn: &Turn) -> io::Result<Sample> {
    ask(generator, turn.load, WARM_UP)?;
    generator.take();
    let watch = Watch::begin(&contender.family, turn.cores);
    ask(generator, turn.load, turn.time)?;
    let seen = watch.end(&contender.family, turn.cores);
    let tally = generator.take();
    let cpu = seen.server.total.as_secs_f64() * 1e6 / tally.answered().max(1) as f64;
    Ok(Sample {
        cpu,
        user: cpu * seen.server.user,
        rate: tally.answered() as f64 / seen.time.as_secs_f64(),
        latency: [0.5, 0.99, 0.999].map(|share| tally.latency(share)),
        lost: tally.lost,
        wrong: wrong(contender, &tally),
        others: seen.others,
    })
}

/// Wrong answers, shown: they should not be.
fn wrong(contender: &Contender, tally: &Tally) -> u64 {
    if tally.all_wrong() > 0 {
        eprintln!("{} answers wrongly: {tally}", contender.product);
    }
    tally.all_wrong()
}

fn ask(generator: &mut Generator<'_>, load: Load, time: Duration) -> io::Result<()> {
    match load {
        Load::Closed(window) => generator.closed(window, Until::Passed(time)),
        Load::Open(rate) => generator.open(rate, time),
    }
}
