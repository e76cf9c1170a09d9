//! What a server keeps for a connection that is open and silent.

use std::io;
use std::time::Duration;

use tests::scratch::Scratch;
use tokio::runtime::Runtime;

use super::client::Client;
use super::load::Load;
use super::method::Method;
use super::servers::{Program, Servers};
use crate::cores::{self, Cores};
use crate::{memory_of, report};

/// Open before anything is measured: what the first ones cost is the program's, not theirs.
const FIRST: usize = 100;
/// Then so many more, each of which asks once and is silent from then on.
const MORE: [usize; 2] = [1000, 5000];
/// GeoPing's usual limit is below that.
const LIMITS: &str = "[limits]\nconnections = 6000\n";
/// Until what a server does after the last reply is done.
const SETTLED: Duration = Duration::from_millis(500);

pub(super) fn measure(runtime: &Runtime, cores: Cores) -> io::Result<String> {
    daemon::descriptors::raise_limit();
    let scratch = Scratch::new("bench-idle");
    cores::pin(cores.server)?;
    let mut servers = Servers::start(&scratch, LIMITS);
    cores::pin(cores.generator)?;
    let client = Client::new(&servers.papers, false);
    let mut rows = Vec::new();
    for (program, method) in [(Program::Geoping, servers.status()), (Program::Plain, Method::Check)]
    {
        let address = servers.address(program);
        let processes = servers.family(program);
        let used = || processes.iter().map(|id| memory_of(&id.to_string(), "VmRSS")).sum::<usize>();
        let mut open = Vec::new();
        let mut grow = async |count: usize| {
            let mut load = Load::open(&client, address, &method, count, 1).await?;
            let asked = load.run(Duration::ZERO).await?;
            let tally = load.finish().await?;
            if asked.wrong + tally.wrong > 0 {
                return Err(io::Error::other(format!("{program} answers wrongly")));
            }
            open.push(load);
            tokio::time::sleep(SETTLED).await;
            Ok(used())
        };
        let first = runtime.block_on(grow(FIRST))?;
        let mut there = 0;
        for more in MORE {
            let now = runtime.block_on(grow(more - there))?;
            there = more;
            let each = now.saturating_sub(first) as f64 / 1024.0 / more as f64;
            eprintln!("idle       {program:<12} {more} connections: {each:.1} KiB each");
            rows.push(vec![
                program.to_string(),
                more.to_string(),
                format!("{:.1}", first as f64 / 1048576.0),
                format!("{:.1}", now as f64 / 1048576.0),
                format!("{each:.1}"),
            ]);
        }
    }
    let head = ["server", "connections", "MiB before", "MiB then", "KiB each"].map(str::to_owned);
    let about = format!(
        "## idle: memory of idle connections over mTLS\n\n\
         Resident memory before, with {FIRST} connections open, and with so many more, each of which \
         asked once. The kernel's buffers are not in it.\n\n"
    );
    Ok(about + &report::table(&head, &rows))
}
