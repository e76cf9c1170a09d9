//! How long a signed update takes until a query sees it: a real process, UDP on loopback, its journal
//! on the disk of the temporary folder. With few and many names in the zone that changes, and with a
//! million in the zone around it.
//!
//! The time is from the first octet of the update to the first answer that shows it; a client asks
//! all the while. Processor time of the whole process, answers too, stands beside it: on a busy
//! machine, or with a disk that others write to, it says more.
#![expect(clippy::disallowed_methods, reason = "measures")]

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::hmac;
use dns::name::Name;
use dns::tsig::{TsigError, Variables};

/// Names in the zone that changes, and in the zone around it.
const FORMS: [(usize, usize); 3] = [(1_000, 0), (1_000, 1_000_000), (100_000, 0)];
/// Updates of each form, besides the first.
const UPDATES: usize = 50;
const SECRET: &[u8] = b"a secret that nobody knows";
/// How long the process may take to start, and to answer anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// From an answer to the next question.
const PAUSE: Duration = Duration::from_micros(200);
/// What a processor's time is counted in, in /proc: USER_HZ, a hundredth of a second on every Linux.
const TICK: Duration = Duration::from_millis(10);
/// A datagram that is lost is sent again after this.
const AGAIN: Duration = Duration::from_millis(500);

const CONFIG: &str = r#"
[node]
name = "ns1"
region = "us-central1"
[state]
dir = "state"
[listen]
dns = ["127.0.0.1:0"]
[[key]]
name = "key"
secret_base64 = "YSBzZWNyZXQgdGhhdCBub2JvZHkga25vd3M="
[[zone]]
name = "example"
file = "static.zone"
[[zone]]
name = "dyn.example"
file = "dynamic.zone"
update = { keys = ["key"] }
"#;

fn main() -> ExitCode {
    let Some(program) = program() else {
        eprintln!("there is no optimised dnsrouter: cargo build --release -p dnsrouter");
        return ExitCode::FAILURE;
    };
    println!(
        "{:>9} {:>9} {:>11} {:>11} {:>11} {:>11} {:>11}",
        "changing", "around", "first", "median", "9 of 10", "most", "processor"
    );
    for (names, around) in FORMS {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let server = Server::start(&program, folder.path(), names, around);
        let first = server.update(0);
        let before = server.processor();
        let mut all: Vec<Duration> = (1..=UPDATES).map(|i| server.update(i)).collect();
        let processor = (server.processor() - before) / UPDATES as u32;
        all.sort();
        println!(
            "{names:>9} {around:>9} {} {} {} {} {}",
            show(first),
            show(all[UPDATES / 2]),
            show(all[UPDATES * 9 / 10]),
            show(all[UPDATES - 1]),
            show(processor),
        );
    }
    ExitCode::SUCCESS
}

fn show(time: Duration) -> String {
    format!("{:>8.1} ms", time.as_secs_f64() * 1e3)
}

/// Beside this program, which cargo put into `deps`.
fn program() -> Option<PathBuf> {
    let this = std::env::current_exe().ok()?;
    let program = this.parent()?.parent()?.join("dnsrouter");
    program.is_file().then_some(program)
}

struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(program: &Path, folder: &Path, names: usize, around: usize) -> Self {
        fs::write(folder.join("dnsrouter.toml"), CONFIG).expect("a configuration");
        fs::write(folder.join("dynamic.zone"), zone(names)).expect("a zone file");
        fs::write(folder.join("static.zone"), zone(around)).expect("a zone file");
        let ready = folder.join("ready.json");
        let process = Command::new(program)
            .args(["--config", "dnsrouter.toml", "--ready-file", "ready.json"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dnsrouter starts");
        let mut server = Self { process, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let start = Instant::now();
        let port = loop {
            let text = fs::read_to_string(&ready).unwrap_or_default();
            let after = text.split_once("127.0.0.1:").map(|(_, port)| port);
            let port = after.and_then(|after| after.split_once('"')).map(|(port, _)| port);
            if let Some(port) = port.and_then(|port| port.parse().ok()) {
                break port;
            }
            let ended = server.process.try_wait().expect("a child of ours");
            assert!(ended.is_none() && start.elapsed() < PATIENCE, "dnsrouter does not serve");
            thread::sleep(Duration::from_millis(10));
        };
        server.address.set_port(port);
        server
    }

    /// Adds a name, and waits until it is there, which is the time, and said to be.
    fn update(&self, number: usize) -> Duration {
        let [updates, queries] = [self.socket(AGAIN), self.socket(AGAIN)];
        let name = format!("new-{number}.dyn.example.");
        let id = number as u16;
        let message = signed(update(id, &name));
        let query = [&[7, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &wire(&name), &[0, 1, 0, 1]];
        let query = query.concat();
        let start = Instant::now();
        updates.send(&message).expect("loopback takes it");
        let seen = loop {
            assert!(start.elapsed() < PATIENCE, "{name} does not come");
            if ask(&queries, &query).is_some_and(|reply| reply[3] & 15 == 0 && reply[7] == 1) {
                break start.elapsed();
            }
            thread::sleep(PAUSE);
        };
        let mut reply = [0; 1232];
        let length = updates.recv(&mut reply).expect("an acknowledgement");
        assert!(length > 12 && reply[..2] == id.to_be_bytes() && reply[3] & 15 == 0, "refused");
        seen
    }

    /// The processor's time that it has had.
    fn processor(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()));
        let stat = stat.expect("this is Linux");
        // Fields 14 and 15 of proc_pid_stat(5); the name before may hold anything but its end.
        let (_, rest) = stat.rsplit_once(") ").expect("a name");
        let ticks = rest.split(' ').skip(11).take(2).map(str::parse::<u32>);
        TICK * ticks.map(|ticks| ticks.expect("a number")).sum::<u32>()
    }

    fn socket(&self, patience: Duration) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.connect(self.address).expect("loopback");
        socket.set_read_timeout(Some(patience)).expect("a socket waits");
        socket
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The reply, unless it is lost.
fn ask(socket: &UdpSocket, query: &[u8]) -> Option<Vec<u8>> {
    socket.send(query).ok()?;
    let mut reply = vec![0; 1232];
    let length = socket.recv(&mut reply).ok().filter(|length| *length >= 12)?;
    reply.truncate(length);
    Some(reply)
}

fn zone(names: usize) -> String {
    let mut text =
        "$TTL 300\n@ SOA ns hostmaster 7 2h 30m 2w 60\n@ NS ns\nns A 192.0.2.1\n".to_owned();
    for name in 0..names {
        let [_, a, b, c] = (name as u32).to_be_bytes();
        let _ = writeln!(text, "host-{name} A 10.{a}.{b}.{c}");
    }
    text
}

fn wire(name: &str) -> Vec<u8> {
    name.parse::<Name>().expect("a name").wire().to_vec()
}

/// One address more in `dyn.example` (RFC 2136 §2).
fn update(id: u16, name: &str) -> Vec<u8> {
    let head = [&id.to_be_bytes()[..], &[0x28, 0, 0, 1, 0, 0, 0, 1, 0, 0]].concat();
    let zone = [&wire("dyn.example.")[..], &[0, 6, 0, 1]].concat();
    let record = [&wire(name)[..], &[0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]].concat();
    [head, zone, record].concat()
}

fn signed(mut message: Vec<u8>) -> Vec<u8> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let variables = Variables {
        key: "key".parse().expect("a name"),
        algorithm: "hmac-sha256".parse().expect("a name"),
        time: now.expect("after 1970").as_secs(),
        fudge: 300,
        error: TsigError::NONE,
        other: Vec::new(),
    };
    // A request has no code before it, not even its length.
    let octets = variables.signed(&[], &message);
    let code = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), &octets[2..]);
    variables.write(&mut message, code.as_ref());
    message
}
