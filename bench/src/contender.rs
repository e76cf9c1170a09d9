//! The servers that are measured side by side, each with its own configuration for the same data.
//!
//! | server | what it is given beyond its defaults |
//! |---|---|
//! | dnsrouter | one thread; it answers with health looked at and the scope of each answer |
//! | dnsrouter, guarded | the same with a rate limit that nobody reaches (cookies are on in both) |
//! | dnsrouter, napping | the first with `[listen] nap = "20us"` |
//! | gdnsd | one UDP thread, plugin geoip with a map by continent and country, a larger receive buffer |
//! | Knot | one UDP worker, mod-geoip with the same database and map |
//! | NSD | one server process with SO_REUSEPORT, no rate limit |
//! | echo | [`crate::echo`]: what the sockets alone cost |
//!
//! Each has one thread for UDP because it is given one core.

mod dnsrouter;
mod gdnsd;
mod knot;
mod nsd;

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::process::Process;
use tests::scratch::Scratch;
use tests::{artifact, port, wait};

use crate::cpu;
use crate::generator::{self, A, query};
use crate::geography::World;
use crate::names::ZONE;

/// How long a server may take until it answers, with a million names to read.
const READY: Duration = Duration::from_secs(60);
/// How long one question is waited for while it starts.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long it may take to end when it is asked to.
const END: Duration = Duration::from_secs(3);

/// A server program and how it is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Product {
    /// Ours, with the features that the others have.
    Dnsrouter,
    /// Ours, with everything on.
    Guarded,
    /// Ours, waiting a little for more queries while they come densely.
    Napping,
    /// gdnsd with its plugin geoip.
    Gdnsd,
    /// Knot DNS with its module geoip.
    Knot,
    /// NSD, for what is static.
    Nsd,
    /// The limit of UDP sockets.
    Echo,
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Product::Dnsrouter => "dnsrouter",
            Product::Guarded => "dnsrouter, guarded",
            Product::Napping => "dnsrouter, napping",
            Product::Gdnsd => "gdnsd",
            Product::Knot => "Knot",
            Product::Nsd => "NSD",
            Product::Echo => "echo",
        })
    }
}

impl Product {
    /// What it says its version is.
    pub fn version(self) -> String {
        let mut command = match self {
            Product::Dnsrouter | Product::Guarded | Product::Napping => {
                Command::new(artifact::program("dnsrouter"))
            }
            Product::Gdnsd => artifact::peer("usr/sbin/gdnsd"),
            Product::Knot => artifact::peer("usr/sbin/knotd"),
            Product::Nsd => artifact::peer("usr/sbin/nsd"),
            Product::Echo => return "of this repository".to_owned(),
        };
        command.arg(match self {
            Product::Gdnsd => "-V",
            Product::Nsd => "-v",
            _ => "--version",
        });
        let output = command.output().expect("it was found");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        said.lines().find(|line| line.contains('.')).unwrap_or("unknown").trim().to_owned()
    }
}

/// The data that is served.
pub struct Site {
    zone: PathBuf,
    geo: Option<Geo>,
}

struct Geo {
    world: World,
    database: PathBuf,
}

impl Site {
    /// A zone, and the world if a name in it is answered by where clients are.
    pub fn new(zone: &str, world: Option<World>, scratch: &Scratch) -> Self {
        let geo = world.map(|world| {
            let database = scratch.write("world.mmdb", world.database());
            Geo { world, database }
        });
        Self { zone: scratch.write("zone", zone), geo }
    }
}

/// Where a server's files are, and where it answers.
struct Seat<'s> {
    scratch: &'s Scratch,
    folder: String,
    port: u16,
}

impl Seat<'_> {
    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        self.scratch.write(&format!("{}/{name}", self.folder), text)
    }

    fn path(&self) -> PathBuf {
        self.scratch.join(&self.folder)
    }
}

/// A running server.
pub struct Contender {
    /// Which.
    pub product: Product,
    /// Where it answers.
    pub address: SocketAddr,
    /// From its start to its first answer.
    pub started_in: Duration,
    /// Its processes.
    pub family: BTreeSet<u32>,
    process: Process,
}

impl Contender {
    /// Starts it on the core that this thread is on, and waits until it answers.
    ///
    /// # Panics
    ///
    /// When it does not: with the last it wrote.
    pub fn start(product: Product, site: &Site, scratch: &Scratch) -> Self {
        let seat =
            Seat { scratch, folder: format!("{product:?}").to_lowercase(), port: port::free() };
        // The folder is there for whoever writes nothing into it.
        let log = seat.write("log", "");
        let command = match product {
            Product::Dnsrouter => dnsrouter::command(site, &seat, "", ""),
            Product::Guarded => dnsrouter::command(site, &seat, "", dnsrouter::GUARDS),
            Product::Napping => dnsrouter::command(site, &seat, dnsrouter::NAP, ""),
            Product::Gdnsd => gdnsd::command(site, &seat),
            Product::Knot => knot::command(site, &seat),
            Product::Nsd => nsd::command(site, &seat),
            Product::Echo => echo(&seat),
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, seat.port));
        let began = Instant::now();
        let mut process = Process::spawn(&product.to_string(), command, &log);
        let question = query(&format!("ns1.{ZONE}"), A, None);
        wait::some(&format!("{product} to answer"), READY, || {
            assert!(process.exited().is_none(), "{product} has ended:\n{}", process.log());
            let reply = generator::once(address, &question, PATIENCE).ok()?;
            // NOERROR: one that is still loading answers too.
            (reply.get(3)? & 0x0f == 0).then_some(())
        });
        let family = cpu::family(process.id());
        Self { product, address, started_in: began.elapsed(), family, process }
    }
}

/// Asks it to end, so that it takes its children along; dropping the process kills what has not.
impl Drop for Contender {
    fn drop(&mut self) {
        self.process.signal(Signal::TERM);
        let asked = Instant::now();
        while self.process.exited().is_none() && asked.elapsed() < END {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// This very program, told to echo.
fn echo(seat: &Seat<'_>) -> Command {
    let us = std::env::current_exe().expect("a program knows its own path");
    let mut command = artifact::ending_with_us(&us);
    command.args(["echo", &seat.port.to_string()]);
    command
}

/// The master file of the zone, with more lines at its end.
fn zone_with(site: &Site, more: &str) -> String {
    let zone = std::fs::read_to_string(&site.zone).expect("it was written");
    zone + more
}

fn shown(path: &Path) -> std::path::Display<'_> {
    path.display()
}
