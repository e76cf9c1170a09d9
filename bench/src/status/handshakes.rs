//! Handshakes per second: TCP, TLS 1.3 with certificates on both sides, and the server's first octets of
//! HTTP/2, which it sends once it has seen who calls. Then the connection is dropped.

use std::fmt::Write;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rustls::HandshakeKind;
use tests::scratch::Scratch;
use tokio::io::AsyncReadExt;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::client::Client;
use super::servers::{Program, Servers};
use crate::cores::{self, Cores};
use crate::figures::Spread;
use crate::report;
use crate::rounds::{DISTURBED, Plan};
use crate::watch::Watch;

/// Handshakes under way: enough that a core never waits for the other's.
const AT_ONCE: usize = 16;
/// Before a sample, so that there are tickets to resume with.
const WARM_UP: Duration = Duration::from_millis(200);
/// No handshake takes longer.
const LIMIT: Duration = Duration::from_secs(10);
/// Of the clients, each with an address of its own: a closed connection keeps its port for a minute, and
/// an address has 28,000 of them.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);

/// Who is called, and whether by one that offers what tickets it was given.
const TURNS: [(Program, bool); 4] = [
    (Program::Geoping, false),
    (Program::Geoping, true),
    (Program::Plain, false),
    (Program::Plain, true),
];

#[derive(Clone, Copy, Default)]
struct Tally {
    full: u64,
    resumed: u64,
}

impl Tally {
    fn all(self) -> u64 {
        self.full + self.resumed
    }
}

#[derive(Clone, Copy)]
struct Sample {
    tally: Tally,
    /// Microseconds of the server's for each.
    cpu: f64,
    rate: f64,
    others: f64,
}

pub(super) fn measure(runtime: &Runtime, plan: Plan, cores: Cores) -> io::Result<String> {
    let scratch = Scratch::new("bench-handshakes");
    cores::pin(cores.server)?;
    let mut servers = Servers::start(&scratch, "");
    cores::pin(cores.generator)?;
    let clients = [false, true].map(|resumes| Client::new(&servers.papers, resumes));
    let mut figures: [Vec<Sample>; TURNS.len()] = Default::default();
    for round in 1..=plan.rounds {
        for (samples, (program, resumes)) in figures.iter_mut().zip(TURNS) {
            let (address, family) = (servers.address(program), servers.family(program));
            let client = &clients[usize::from(resumes)];
            runtime.block_on(shake(client, address, WARM_UP))?;
            let watch = Watch::begin(&family, cores);
            let tally = runtime.block_on(shake(client, address, plan.time))?;
            let seen = watch.end(&family, cores);
            let all = tally.all().max(1) as f64;
            let sample = Sample {
                tally,
                cpu: seen.server.total.as_secs_f64() * 1e6 / all,
                rate: all / seen.time.as_secs_f64(),
                others: seen.others,
            };
            eprintln!(
                "handshakes round {round:>2} of {}: {program:<12} {:6.1} us/handshake, {:6.0} \
                 handshakes/s, {} resumed, others {:2.0} %",
                plan.rounds,
                sample.cpu,
                sample.rate,
                tally.resumed,
                100.0 * sample.others,
            );
            samples.push(sample);
        }
    }
    Ok(told(&figures, plan))
}

/// One after the other, so many at once, for so long.
async fn shake(client: &Client, server: SocketAddr, time: Duration) -> io::Result<Tally> {
    let until = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for address in (u32::from(FIRST)..).take(AT_ONCE) {
        let client = client.clone();
        tasks.spawn(async move {
            let mut tally = Tally::default();
            while tally.all() == 0 || Instant::now() < until {
                let shaking = once(&client, server, address.into());
                match tokio::time::timeout(LIMIT, shaking).await?? {
                    HandshakeKind::Resumed => tally.resumed += 1,
                    HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest => {
                        tally.full += 1;
                    }
                }
            }
            io::Result::Ok(tally)
        });
    }
    let mut all = Tally::default();
    while let Some(ended) = tasks.join_next().await {
        let tally = ended.map_err(io::Error::other)??;
        all.full += tally.full;
        all.resumed += tally.resumed;
    }
    Ok(all)
}

async fn once(client: &Client, server: SocketAddr, source: Ipv4Addr) -> io::Result<HandshakeKind> {
    let mut stream = client.connect(server, (source, 0).into()).await?;
    if stream.read(&mut [0; 64]).await? == 0 {
        return Err(io::Error::other("the server ended a connection before it said anything"));
    }
    let kind = stream.get_ref().1.handshake_kind();
    kind.ok_or_else(|| io::Error::other("a handshake that is over is of no kind"))
}

fn told(figures: &[Vec<Sample>; TURNS.len()], plan: Plan) -> String {
    let mut text = "## handshakes: TLS 1.3 with certificates on both sides\n\n".to_owned();
    let _ = writeln!(
        text,
        "{AT_ONCE} under way, each a connection of its own until the server's first octets of HTTP/2; \
         {} interleaved rounds of {:?}. Medians (least to most). The client tells whether a handshake \
         was resumed. GeoPing resumes none on purpose: a resumed one would look at neither the dates of \
         a certificate nor the list of revoked ones; the plain server shows what that costs.\n",
        plan.rounds, plan.time,
    );
    let head = [
        "server",
        "client",
        "CPU µs/handshake",
        "CPU ÷ plain",
        "handshakes/s",
        "full",
        "resumed",
        "disturbed",
    ];
    let mut rows = Vec::new();
    for ((program, resumes), samples) in TURNS.into_iter().zip(figures) {
        let spread = |figure: fn(&Sample) -> f64| Spread::of(samples.iter().map(figure));
        let plain = TURNS.iter().position(|turn| *turn == (Program::Plain, resumes));
        let plain = plain.map(|place| &figures[place]).into_iter().flatten();
        let ratios = samples.iter().zip(plain).map(|(ours, plain)| ours.cpu / plain.cpu);
        let ratio = (program != Program::Plain).then(|| Spread::of(ratios)).flatten();
        let sum = |count: fn(Tally) -> u64| samples.iter().map(|it| count(it.tally)).sum::<u64>();
        let disturbed = samples.iter().filter(|sample| sample.others > DISTURBED).count();
        rows.push(vec![
            program.to_string(),
            if resumes { "offers its tickets" } else { "has no tickets" }.to_owned(),
            report::told(spread(|sample| sample.cpu), 0),
            report::told(ratio, 2),
            report::told(spread(|sample| sample.rate), 0),
            sum(|tally| tally.full).to_string(),
            sum(|tally| tally.resumed).to_string(),
            format!("{disturbed} of {}", plan.rounds),
        ]);
    }
    text + &report::table(&head.map(str::to_owned), &rows)
}
