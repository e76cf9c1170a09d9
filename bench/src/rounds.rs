//! Interleaved rounds: each server once, then each again, so that whatever the machine does in those
//! seconds it does to all of them.

use std::io;
use std::time::Duration;

use crate::contender::Contender;
use crate::cores::Cores;
use crate::entrant::Who;
use crate::figures::{Figures, Sample};
use crate::footprint;
use crate::generator::Tally;
use crate::scene::Scene;
use crate::stage::{Part, Stage};
use crate::watch::Watch;

/// Before a sample, so that caches and the branch predictor are the server's own.
const WARM_UP: Duration = Duration::from_millis(200);
/// A sample is disturbed when others used more than this of all cores it needs.
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
}

/// How a sample is taken.
struct Turn {
    time: Duration,
    cores: Cores,
    /// The server's memory before it was asked anything.
    before: usize,
}

/// Starts a scene's servers, checks their answers, and measures them in turns.
///
/// # Errors
///
/// Those of the system; a server that falls silent; one that answers otherwise than the others.
pub fn run(scene: Scene, plan: Plan, cores: Cores) -> io::Result<Outcome> {
    let stage = Stage::build(scene, cores)?;
    let mut parts = stage.parts()?;
    let mut turns = Vec::with_capacity(parts.len());
    for part in &mut parts {
        check(part)?;
        let before = footprint::of(&part.contender.family);
        turns.push(Turn { time: plan.time, cores, before });
    }
    let mut figures = Figures::default();
    for round in 1..=plan.rounds {
        for (part, turn) in parts.iter_mut().zip(&turns) {
            let sample = undisturbed(part, turn)?;
            let who = part.entrant.who;
            eprintln!(
                "{:<10} round {round:>2} of {}: {who:<30} {:6.3} us/query, {:8.0} queries/s, others {:2.0} %",
                scene.name,
                plan.rounds,
                sample.cpu,
                sample.rate,
                100.0 * sample.others,
            );
            figures.0.entry(who).or_default().push(sample);
        }
    }
    Ok(Outcome { scene, figures })
}

/// Only servers that answer alike are compared.
fn check(part: &mut Part<'_>) -> io::Result<()> {
    let tally = part.asker.check()?;
    if tally.all_wrong() == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!("{} answers wrongly: {tally}", part.entrant.who)))
}

/// A sample; taken again when others were busy meanwhile.
fn undisturbed(part: &mut Part<'_>, turn: &Turn) -> io::Result<Sample> {
    let mut best = sample(part, turn)?;
    for _ in 1..ATTEMPTS {
        if best.others <= DISTURBED {
            break;
        }
        let again = sample(part, turn)?;
        if again.others < best.others {
            best = again;
        }
    }
    Ok(best)
}

fn sample(part: &mut Part<'_>, turn: &Turn) -> io::Result<Sample> {
    let Part { entrant, contender, asker, reloads } = part;
    let Contender { family, address, .. } = *contender;
    asker.ask(WARM_UP)?;
    asker.take();
    asker.wake();
    let watch = Watch::begin(family, turn.cores);
    let changes = match reloads {
        Some(reloads) => reloads.during(*address, || asker.ask(turn.time))?.1,
        None => asker.ask(turn.time).map(|()| 0)?,
    };
    let seen = watch.end(family, turn.cores);
    let memory = footprint::of(family);
    let resting = asker.wake();
    let tally = asker.take();
    let cpu = seen.server.total.as_secs_f64() * 1e6 / tally.answered().max(1) as f64;
    Ok(Sample {
        cpu,
        user: cpu * seen.server.user,
        rate: tally.answered() as f64 / seen.time.as_secs_f64(),
        latency: [0.5, 0.99, 0.999].map(|share| tally.latency(share)),
        lost: tally.lost,
        wrong: wrong(entrant.who, &tally),
        others: seen.others,
        started: contender.started_in.as_secs_f64(),
        memory: memory as f64,
        resting: match resting {
            0 => 0.0,
            count => (memory as f64 - turn.before as f64) / count as f64,
        },
        reloads: changes,
    })
}

/// Wrong answers, shown: they should not be.
fn wrong(who: Who, tally: &Tally) -> u64 {
    if tally.all_wrong() > 0 {
        eprintln!("{who} answers wrongly: {tally}");
    }
    tally.all_wrong()
}
