//! Requests per second on kept connections, and what each costs the server.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::time::Duration;

use tests::scratch::Scratch;
use tokio::runtime::Runtime;

use super::client::Client;
use super::load::Load;
use super::method::Method;
use super::servers::{Program, Servers};
use crate::cores::{self, Cores};
use crate::figures::{Sample, Spread};
use crate::report;
use crate::rounds::{DISTURBED, Plan};
use crate::watch::Watch;

/// Before a sample, so that connections and caches are as they stay.
const WARM_UP: Duration = Duration::from_millis(200);

/// Connections, and requests under way on each: one alone, which shows the way there and back; and what
/// fills a core through one connection, through some, through many.
const SHAPES: [(usize, usize); 4] = [(1, 1), (1, 64), (8, 16), (64, 4)];

/// Who is asked for what; the last is what the others are compared with.
const TURNS: [Turn; 3] = [
    Turn { program: Program::Geoping, asks: Asks::Status },
    Turn { program: Program::Geoping, asks: Asks::Check },
    PLAIN,
];
const PLAIN: Turn = Turn { program: Program::Plain, asks: Asks::Check };

#[derive(Clone, Copy)]
struct Turn {
    program: Program,
    asks: Asks,
}

#[derive(Clone, Copy)]
enum Asks {
    Status,
    Check,
}

/// The samples of a shape, of each turn one per round.
type Figures = BTreeMap<usize, [Vec<Sample>; TURNS.len()]>;

pub(super) fn measure(runtime: &Runtime, plan: Plan, cores: Cores) -> io::Result<String> {
    let scratch = Scratch::new("bench-status");
    cores::pin(cores.server)?;
    let mut servers = Servers::start(&scratch, "");
    cores::pin(cores.generator)?;
    let client = Client::new(&servers.papers, false);
    let mut figures = Figures::new();
    for round in 1..=plan.rounds {
        for (shape, (connections, streams)) in SHAPES.into_iter().enumerate() {
            for (turn, Turn { program, asks }) in TURNS.into_iter().enumerate() {
                let method = match asks {
                    Asks::Status => servers.status(),
                    Asks::Check => Method::Check,
                };
                let address = servers.address(program);
                let family = servers.family(program);
                let sample = runtime.block_on(async {
                    let mut load =
                        Load::open(&client, address, &method, connections, streams).await?;
                    load.run(WARM_UP).await?;
                    let watch = Watch::begin(&family, cores);
                    let tally = load.run(plan.time).await?;
                    let seen = watch.end(&family, cores);
                    let answered = tally.answered();
                    let cpu = seen.server.total.as_secs_f64() * 1e6 / answered.max(1) as f64;
                    io::Result::Ok(Sample {
                        cpu,
                        user: cpu * seen.server.user,
                        rate: answered as f64 / seen.time.as_secs_f64(),
                        latency: [0.5, 0.99, 0.999].map(|share| tally.latency(share)),
                        lost: 0,
                        wrong: tally.wrong,
                        others: seen.others,
                        ..Sample::default()
                    })
                })?;
                eprintln!(
                    "status     round {round:>2} of {}: {connections} × {streams} {:<26} \
                     {:6.3} us/request, {:8.0} requests/s, others {:2.0} %",
                    plan.rounds,
                    TURNS[turn].to_string(),
                    sample.cpu,
                    sample.rate,
                    100.0 * sample.others,
                );
                figures.entry(shape).or_default()[turn].push(sample);
            }
        }
    }
    Ok(told(&figures, plan))
}

impl std::fmt::Display for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let method = match self.asks {
            Asks::Status => "Status",
            Asks::Check => "Health/Check",
        };
        write!(f, "{}: {method}", self.program)
    }
}

fn told(figures: &Figures, plan: Plan) -> String {
    let mut text = "## status: GeoPing's Status over mTLS on kept connections\n\n".to_owned();
    let _ = writeln!(
        text,
        "So many connections × requests under way on each; {} interleaved rounds of {:?}. Medians \
         (least to most); ratios are paired by round. The plain server is grpc.health.v1 of tonic over \
         rustls and nothing else; every reply was read, a Status for its region, status and caller.\n",
        plan.rounds, plan.time,
    );
    let head = [
        "connections",
        "server: method",
        "CPU µs/request",
        "user µs",
        "CPU ÷ plain",
        "requests/s",
        "p50 µs",
        "p99 µs",
        "wrong",
        "disturbed",
    ];
    let mut rows = Vec::new();
    for (shape, turns) in figures {
        let (connections, streams) = SHAPES[*shape];
        for (turn, samples) in TURNS.iter().zip(turns) {
            let spread = |figure: fn(&Sample) -> f64| Spread::of(samples.iter().map(figure));
            let plain = turns.last().into_iter().flatten();
            let ratios = samples.iter().zip(plain).map(|(ours, plain)| ours.cpu / plain.cpu);
            let ratio = (turn.program != PLAIN.program).then(|| Spread::of(ratios)).flatten();
            let median = |figure: fn(&Sample) -> f64| spread(figure).map_or(0.0, |it| it.median);
            let disturbed = samples.iter().filter(|sample| sample.others > DISTURBED).count();
            rows.push(vec![
                format!("{connections} × {streams}"),
                turn.to_string(),
                report::told(spread(|sample| sample.cpu), 2),
                report::told(spread(|sample| sample.user), 2),
                report::told(ratio, 2),
                format!("{:.0}", median(|sample| sample.rate)),
                format!("{:.0}", median(|sample| report::micros(sample.latency[0]))),
                format!("{:.0}", median(|sample| report::micros(sample.latency[1]))),
                samples.iter().map(|sample| sample.wrong).sum::<u64>().to_string(),
                format!("{disturbed} of {}", plan.rounds),
            ]);
        }
    }
    text + &report::table(&head.map(str::to_owned), &rows)
}
