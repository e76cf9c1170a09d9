//! The servers that are measured side by side, each with its own configuration for the same data.
//!
//! | server | what it is given beyond its defaults |
//! |---|---|
//! | dnsrouter | one thread; it answers with health looked at and the scope of each answer |
//! | dnsrouter, guarded | the same with a rate limit that nobody reaches and clients counted (cookies are on in both) |
//! | dnsrouter, 2 threads | the first with a second UDP thread, on another core |
//! | dnsrouter, napping | the first with `[listen] nap = "20us"` |
//! | gdnsd | one UDP thread, plugin geoip with a map by continent and country, a larger receive buffer |
//! | Knot | one UDP worker, mod-geoip with the same database and map |
//! | NSD | one server process with SO_REUSEPORT, no rate limit |
//! | echo | [`crate::echo`]: what the sockets alone cost |
//!
//! Each has one thread for UDP, and one for TCP where that is told, because it is given one core. All
//! let as many connect over TCP as are measured, and be silent for as long.

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
/// Connections over TCP that each lets in: more than are opened.
const CONNECTIONS: usize = 12_000;
/// Seconds that they may be silent: longer than a scene's rounds.
const IDLE: usize = 600;
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
    /// Ours on two cores.
    Double,
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
            Product::Double => "dnsrouter, 2 threads",
            Product::Gdnsd => "gdnsd",
            Product::Knot => "Knot",
            Product::Nsd => "NSD",
            Product::Echo => "echo",
        })
    }
}

impl Product {
    /// Whether it is dnsrouter, however it is set up.
    pub fn is_ours(self) -> bool {
        use Product::{Dnsrouter, Double, Guarded, Napping};
        [Dnsrouter, Double, Guarded, Napping].contains(&self)
    }

    /// What it says its version is.
    pub fn version(self) -> String {
        let mut command = match self {
            ours if ours.is_ours() => Command::new(artifact::program("dnsrouter")),
            Product::Gdnsd => artifact::peer("usr/sbin/gdnsd"),
            Product::Knot => artifact::peer("usr/sbin/knotd"),
            Product::Nsd => artifact::peer("usr/sbin/nsd"),
            _ => return "of this repository".to_owned(),
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
    databases: Vec<PathBuf>,
    geo: Option<Geo>,
}

struct Geo {
    world: World,
    services: usize,
    database: PathBuf,
}

impl Site {
    /// A zone, written into a folder.
    pub fn new(zone: &str, scratch: &Scratch, folder: &str) -> Self {
        let zone = scratch.write(&format!("{folder}/zone"), zone);
        Self { zone, databases: Vec::new(), geo: None }
    }

    /// So many services are answered by where clients are in this world.
    #[must_use]
    pub fn with_world(self, world: World, services: usize) -> Self {
        let database = self.zone.with_file_name("world.mmdb");
        std::fs::write(&database, world.database()).expect("its folder can be written");
        let databases = vec![database.clone()];
        Self { databases, geo: Some(Geo { world, services, database }), ..self }
    }

    /// These databases are loaded.
    #[must_use]
    pub fn with_databases(self, databases: Vec<PathBuf>) -> Self {
        Self { databases, ..self }
    }

    /// Where the zone's master file is.
    pub fn zone(&self) -> &Path {
        &self.zone
    }

    /// Where clients are.
    pub fn world(&self) -> Option<&World> {
        self.geo.as_ref().map(|geo| &geo.world)
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
    /// Starts it on the cores that this thread is on, with a folder of its own, and waits until it
    /// answers.
    ///
    /// # Panics
    ///
    /// When it does not: with the last it wrote.
    pub fn start(product: Product, site: &Site, scratch: &Scratch, folder: &str) -> Self {
        let seat = Seat { scratch, folder: folder.to_owned(), port: port::free() };
        // The folder is there for whoever writes nothing into it.
        let log = seat.write("log", "");
        let command = match product {
            Product::Dnsrouter => dnsrouter::command(site, &seat, 1, ""),
            Product::Guarded => dnsrouter::command(site, &seat, 1, dnsrouter::GUARDS),
            Product::Napping => dnsrouter::command(site, &seat, 1, dnsrouter::NAP),
            Product::Double => dnsrouter::command(site, &seat, 2, ""),
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
