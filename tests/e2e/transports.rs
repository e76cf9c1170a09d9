//! The sockets of a real name server: which addresses answer, who may have bound them, and what
//! strangers can do to them while others are answered.
#![expect(clippy::disallowed_methods, reason = "binds, connects and writes files")]

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tests::canary::Canary;
use tests::figures;
use tests::name_server::NameServer;
use tests::process::Process;
use tests::query::Ask;
use tests::region::address;
use tests::scrape::Metrics;
use tests::scratch::Scratch;
use tests::wait;

const SOON: Duration = Duration::from_secs(20);
const WWW: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 80));
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Not of RFC 9210 but of `io::tcp::Limits`: within this a query must have come whole and an answer
/// must have been taken.
const SLOW: Duration = Duration::from_secs(5);
/// So many connections has one client where the test says so.
const PER_CLIENT: usize = 128;

/// The system refused something (EX_OSERR of sysexits.h).
const EXIT_SYSTEM: i32 = 71;

/// A name server with these lines in [listen], one zone and nothing else; not started.
fn written(scratch: &Scratch, listen: &str) -> PathBuf {
    let mut zone = "$TTL 300\n@ SOA ns1 h 1 2 3 4 60\n@ NS ns1\nns1 A 203.0.113.53\n\
                    www A 203.0.113.80\n"
        .to_owned();
    for line in 0..100 {
        let _ = writeln!(zone, "large TXT \"{line} {}\"", "x".repeat(200));
    }
    scratch.write("zone", zone);
    let config = format!(
        "[node]\nname = \"ns1\"\nregion = \"us-central1\"\n[listen]\n{listen}\nthreads = 2\n\
         [[zone]]\nname = \"test-net.io\"\nfile = \"zone\"\n"
    );
    scratch.write("dnsrouter.toml", config)
}

/// A running one.
struct Server {
    process: Process,
    dns: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
}

impl Server {
    fn start(scratch: &Scratch, listen: &str) -> Server {
        let config = written(scratch, listen);
        Server::spawn(scratch, |command, log| Process::spawn("dnsrouter", command, log), &config)
    }

    /// One that `spawn` starts in its own way.
    fn spawn(
        scratch: &Scratch,
        spawn: impl FnOnce(Command, &Path) -> Process,
        config: &Path,
    ) -> Server {
        let ready = scratch.join("ready.json");
        let mut command = NameServer::command(config);
        command.arg("--ready-file").arg(&ready);
        let mut process = spawn(command, &scratch.join("dnsrouter.log"));
        let addresses = process.ready(&ready);
        let dns = addresses["dns"].as_array().expect("a list").iter().map(address).collect();
        let admin = addresses.get("admin").filter(|admin| !admin.is_null()).map(address);
        Server { process, dns, admin }
    }

    fn metrics(&self) -> Metrics {
        Metrics::scrape(self.admin.expect("it has an admin address"))
    }
}

/// `script` in a shell, which becomes `command` with `"$@"`.
fn through_a_shell(script: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(command.get_program()).args(command.get_args());
    shell
}

#[test]
fn all_addresses_of_the_machine_answer_as_themselves() {
    let scratch = Scratch::new("wildcard");
    let server = Server::start(&scratch, "dns = [\"0.0.0.0:0\", \"[::]:0\"]");
    let [v4, v6] = server.dns[..] else { panic!("{:?}", server.dns) };
    let localhost6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let ports = [("127.0.0.1", v4), ("127.0.0.2", v4), ("127.0.0.3", v4), ("::1", v6)];
    for (asked, bound) in ports {
        let asked = SocketAddr::new(asked.parse().expect("an address"), bound.port());
        let source = if asked.is_ipv4() { LOCALHOST } else { localhost6 };
        let ask = Ask::a(asked, "www.test-net.io").from(source);
        // The socket that asks is connected, and takes an answer from nowhere else.
        let (udp, tcp) = (ask.expect(), ask.tcp().expect());
        assert_eq!((udp.addresses(), tcp.addresses()), (vec![WWW], vec![WWW]), "{asked}");
    }
}

#[test]
fn what_is_too_long_for_udp_comes_whole_over_tcp() {
    let scratch = Scratch::new("truncated");
    let server = Server::start(&scratch, "dns = [\"127.0.0.1:0\"]");
    let canary = Canary::start("over UDP", Ask::a(server.dns[0], "www.test-net.io"));
    let ask = Ask::new(server.dns[0], "large.test-net.io", RecordType::TXT);
    let (udp, tcp) = (ask.expect(), ask.clone().tcp().expect());
    assert!(udp.message.metadata.truncation && udp.bytes.len() <= 1232);
    assert_eq!(udp.message.answers.len(), 0, "an RRset is whole or absent");
    assert!(!tcp.message.metadata.truncation);
    assert_eq!(tcp.message.answers.len(), 100);
    canary.stop();
}

/// The sockets that a service manager binds, in the order in which a shell passes them on.
struct Bound {
    udp: UdpSocket,
    tcp: TcpListener,
    admin: TcpListener,
}

impl Bound {
    fn new() -> Bound {
        let tcp = TcpListener::bind((LOCALHOST, 0)).expect("a port is free");
        let dns = tcp.local_addr().expect("it is bound");
        let udp = UdpSocket::bind(dns).expect("the same port is free for UDP");
        let admin = TcpListener::bind((LOCALHOST, 0)).expect("a port is free");
        Bound { udp, tcp, admin }
    }

    fn dns(&self) -> SocketAddr {
        self.tcp.local_addr().expect("it is bound")
    }

    /// Passes all of them as sd_listen_fds(3) has it: from descriptor 3 on, to this process.
    fn activate(&self, command: &Command, log: &Path) -> Process {
        const SCRIPT: &str = r#"exec 3<&0 4<&1 5<&2 </dev/null >>"$LOG" 2>&1
                                LISTEN_FDS=3 LISTEN_PID=$$ exec "$@""#;
        let stdio = |fd: io::Result<OwnedFd>| Stdio::from(fd.expect("a socket can be cloned"));
        let mut shell = through_a_shell(SCRIPT, command);
        shell
            .env("LOG", log)
            .stdin(stdio(self.udp.try_clone().map(OwnedFd::from)))
            .stdout(stdio(self.tcp.try_clone().map(OwnedFd::from)))
            .stderr(stdio(self.admin.try_clone().map(OwnedFd::from)));
        Process::spawn_as_is("dnsrouter", shell, log)
    }
}

#[test]
fn sockets_that_were_passed_are_used() {
    let scratch = Scratch::new("activation");
    let bound = Bound::new();
    let (dns, admin) = (bound.dns(), bound.admin.local_addr().expect("it is bound"));
    let listen = format!("dns = [\"{dns}\"]\nadmin = \"{admin}\"");
    let config = written(&scratch, &listen);
    // It is not there yet; the kernel keeps what is asked.
    let early = std::thread::spawn(move || {
        let mut early = TcpStream::connect(dns).expect("somebody listens");
        early.set_read_timeout(Some(SOON)).expect("a time-out");
        early.write_all(&framed_query()).expect("the kernel takes it");
        read_message(&mut early)
    });
    let early_udp = UdpSocket::bind((LOCALHOST, 0)).expect("a port is free");
    early_udp.connect(dns).expect("loopback");
    early_udp.set_read_timeout(Some(SOON)).expect("a time-out");
    early_udp.send(&framed_query()[2..]).expect("the kernel takes it");

    let spawn = |command, log: &Path| bound.activate(&command, log);
    let mut server = Server::spawn(&scratch, spawn, &config);
    assert_eq!((&server.dns, server.admin), (&vec![dns], Some(admin)));
    let answer = early.join().expect("no panic").expect("an answer");
    assert!(answer.ends_with(&[203, 0, 113, 80]));
    let mut answer = [0; 512];
    let length = early_udp.recv(&mut answer).expect("an answer");
    assert!(answer[..length].ends_with(&[203, 0, 113, 80]));
    let ask = Ask::a(dns, "www.test-net.io");
    assert_eq!((ask.expect().addresses(), ask.tcp().expect().addresses()), (vec![WWW], vec![WWW]));
    assert!(server.metrics().sum("dnsrouter_queries_total") >= 4.0);
    let log = server.process.log();
    assert_eq!(log.matches("taking a socket that was passed").count(), 3, "{log}");
    assert!(server.process.terminate(SOON).success());
}

#[test]
fn a_socket_that_was_passed_for_nothing_ends_the_start() {
    let scratch = Scratch::new("activation-left");
    let bound = Bound::new();
    let admin = bound.admin.local_addr().expect("it is bound");
    let config = written(&scratch, &format!("dns = [\"{}\"]", bound.dns()));
    let log = scratch.join("dnsrouter.log");
    let mut process = bound.activate(&NameServer::command(&config), &log);
    assert_eq!(process.ended(SOON).code(), Some(EXIT_SYSTEM));
    let says = process.log();
    let expected = format!("passed by LISTEN_FDS, and in [listen] nowhere: TCP {admin}");
    assert!(says.contains(&expected), "{says}");
}

#[test]
fn what_was_passed_and_is_no_socket_ends_the_start() {
    let scratch = Scratch::new("activation-file");
    let config = written(&scratch, "dns = [\"127.0.0.1:0\"]");
    let script = "exec 3</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"";
    let command = through_a_shell(script, &NameServer::command(&config));
    let mut process = Process::spawn("dnsrouter", command, &scratch.join("dnsrouter.log"));
    assert_eq!(process.ended(SOON).code(), Some(EXIT_SYSTEM));
    let says = process.log();
    let expected = "socket 1 of the 1 in LISTEN_FDS is neither a TCP listener nor a UDP socket";
    assert!(says.contains(expected), "{says}");
}

#[test]
fn sockets_that_were_passed_to_another_process_are_left_alone() {
    let scratch = Scratch::new("activation-other");
    let config = written(&scratch, "dns = [\"127.0.0.1:0\"]");
    let script = "exec 3</dev/null; LISTEN_FDS=1 LISTEN_PID=1 exec \"$@\"";
    let spawn = |command: Command, log: &Path| {
        Process::spawn("dnsrouter", through_a_shell(script, &command), log)
    };
    let server = Server::spawn(&scratch, spawn, &config);
    Ask::a(server.dns[0], "www.test-net.io").expect();
}

/// A query for www.test-net.io, A, with the length that TCP has before it.
fn framed_query() -> Vec<u8> {
    let mut query =
        b"\0\0\0\x07\x01\0\0\x01\0\0\0\0\0\0\x03www\x08test-net\x02io\0\0\x01\0\x01".to_vec();
    query[1] = u8::try_from(query.len() - 2).expect("it is short");
    query
}

fn framed_query_for_large() -> Vec<u8> {
    let mut query =
        b"\0\0\0\x07\x01\0\0\x01\0\0\0\0\0\0\x05large\x08test-net\x02io\0\0\x10\0\x01".to_vec();
    query[1] = u8::try_from(query.len() - 2).expect("it is short");
    query
}

fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// A connection from an address of the machine that is not the canary's.
fn connect_from(source: Ipv4Addr, server: SocketAddr) -> TcpStream {
    // Not to be inherited by the servers that other tests start meanwhile.
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
    let socket = socket.expect("a socket");
    rustix::net::bind(&socket, &SocketAddr::from((source, 0))).expect("an address of the machine");
    rustix::net::connect(&socket, &server).expect("somebody listens");
    TcpStream::from(socket)
}

/// How long the server bore with a connection.
fn hung_up(mut stream: TcpStream, since: Instant) -> Duration {
    stream.set_read_timeout(Some(SOON)).expect("a time-out");
    let mut sink = vec![0; 1 << 16];
    loop {
        match stream.read(&mut sink) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("it did not hang up: {error}"),
        }
    }
    since.elapsed()
}

#[test]
fn slow_silent_and_endless_peers_are_sent_away_and_nobody_notices() {
    const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
    const FLOOD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

    let scratch = Scratch::new("slow");
    let listen = format!(
        "dns = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\ntcp = {{ per_client = {PER_CLIENT} }}"
    );
    let server = Server::start(&scratch, &listen);
    let dns = server.dns[0];
    let ask = Ask::a(dns, "www.test-net.io");
    let canaries = [Canary::start("over UDP", ask.clone()), Canary::start("over TCP", ask.tcp())];

    let began = Instant::now();
    // Half a length, half a query, a length without a query: each ends after `SLOW`.
    let whole = framed_query();
    let halves = [&whole[..1], &whole[..9], &[0xff, 0xff][..]].map(|half| {
        let mut stream = connect_from(STRANGER, dns);
        stream.write_all(half).expect("it is connected");
        stream
    });
    // An octet now and then does not help: the whole query has that time.
    let dripping = std::thread::spawn(move || {
        let mut stream = connect_from(STRANGER, dns);
        let since = Instant::now();
        stream.write_all(&[0x20, 0]).expect("it is connected");
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a time-out");
        // Between two octets it listens whether the server hangs up.
        let goes_on = |error: io::Error| {
            matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
        };
        while stream.write_all(&[0]).is_ok() && stream.read(&mut [0]).is_err_and(goes_on) {
            assert!(since.elapsed() < SOON, "it may go on for ever");
        }
        since.elapsed()
    });
    // One that asks for 20 kB again and again and reads nothing.
    let never_reading = std::thread::spawn(move || {
        let mut stream = connect_from(STRANGER, dns);
        stream.set_write_timeout(Some(SOON)).expect("a time-out");
        let many = framed_query_for_large().repeat(100);
        loop {
            if let Err(error) = stream.write_all(&many) {
                break error.kind();
            }
        }
    });
    // A client has its share of silent connections and no more, and it is less patient with them.
    let silent: Vec<_> = (0..PER_CLIENT + 30).map(|_| connect_from(FLOOD, dns)).collect();
    let flooded = Instant::now();
    let halves = halves.map(|half| hung_up(half, began));
    assert!(halves.iter().all(|borne| *borne >= SLOW), "nothing else ended them: {halves:?}");
    let borne = silent.into_iter().map(|stream| hung_up(stream, flooded)).max();
    let dripped = dripping.join().expect("no panic");
    assert!(dripped >= SLOW, "nothing else ended it: {dripped:?}");
    let kind = never_reading.join().expect("no panic");
    assert!(matches!(kind, io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe), "{kind}");

    let [udp, tcp] = canaries.map(Canary::stop);
    figures::show(&format!(
        "silence was borne for {borne:?}, drops for {dripped:?}, halves for {halves:?}; canaries \
         asked {udp} times over UDP and {tcp} over TCP meanwhile"
    ));
    assert_eq!(server.metrics().sum("task_failures_total"), 0.0);
}

/// Lets a process open so many files more, and nothing beyond.
fn leave_descriptors(process: u32, more: usize) {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).expect("it runs");
    let number =
        |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    let taken: HashSet<u64> = open.filter_map(number).collect();
    // Each new one gets the lowest number that is free, whatever stands above it.
    let mut free = (0..).filter(|number| !taken.contains(number));
    let most = free.nth(more).expect("numbers do not end");
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw).expect("a process id");
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    prlimit(Some(pid), Resource::Nofile, limit).expect("it is ours");
}

#[test]
fn without_descriptors_it_goes_on_and_one_address_starves_no_other() {
    /// So many connections find room: a fraction of what the node believes.
    const ROOM: usize = 24;

    let scratch = Scratch::new("descriptors");
    let listen = "dns = [\"127.0.0.1:0\", \"127.0.0.2:0\"]\nadmin = \"127.0.0.1:0\"";
    let server = Server::start(&scratch, listen);
    leave_descriptors(server.process.id(), ROOM);
    let (dns, other) = (server.dns[0], server.dns[1]);
    let canary = Canary::start("over UDP", Ask::a(dns, "www.test-net.io"));

    let flood: Vec<_> =
        (0..ROOM * 4).map(|_| connect_from(Ipv4Addr::new(127, 0, 0, 3), dns)).collect();
    wait::until("the descriptors to run out", SOON, || {
        server.process.log().contains("accepting failed; going on")
    });
    // The silent make room, one by one, for those who wait; also at the other address, where
    // nobody is silent.
    for address in [other, dns, other] {
        let mut guest = connect_from(Ipv4Addr::LOCALHOST, address);
        guest.set_read_timeout(Some(SOON)).expect("a time-out");
        guest.write_all(&framed_query()).expect("it is connected");
        read_message(&mut guest).expect("an answer, in its turn");
    }
    drop(flood);
    for server in [dns, other] {
        let ask = Ask::a(server, "www.test-net.io").tcp();
        wait::until("the flood to be over", SOON, || ask.send().is_ok());
        (0..10).for_each(|_| assert_eq!(ask.expect().addresses(), [WWW]));
    }
    canary.stop();
    assert_eq!(server.metrics().sum("task_failures_total"), 0.0);
}

#[test]
fn connections_leave_the_node_the_descriptors_it_needs_itself() {
    /// Fewer than the node would like to have.
    const DESCRIPTORS: usize = 200;

    let scratch = Scratch::new("reserve");
    let listen = "dns = [\"127.0.0.1:0\", \"127.0.0.2:0\"]\nadmin = \"127.0.0.1:0\"";
    let config = written(&scratch, listen);
    let script = format!("ulimit -n {DESCRIPTORS}; exec \"$@\"");
    let spawn = |command: Command, log: &Path| {
        Process::spawn("dnsrouter", through_a_shell(&script, &command), log)
    };
    let server = Server::spawn(&scratch, spawn, &config);
    let log = server.process.log();
    let warned = log.contains("few file descriptors") && log.contains("connections=50");
    assert!(warned, "it takes a quarter, and says so: {log}");
    let mut flood = Vec::new();
    for (source, dns) in [(3, server.dns[0]), (4, server.dns[1])] {
        let source = Ipv4Addr::new(127, 0, 0, source);
        flood.extend((0..DESCRIPTORS / 2).map(|_| connect_from(source, dns)));
    }
    for dns in &server.dns {
        let ask = Ask::a(*dns, "www.test-net.io").tcp();
        (0..10).for_each(|_| assert_eq!(ask.expect().addresses(), [WWW]));
    }
    assert_eq!(server.metrics().sum("task_failures_total"), 0.0);
    let log = server.process.log();
    assert!(!log.contains("accepting failed"), "some were left: {log}");
    drop(flood);
}

#[test]
fn a_proxy_s_clients_are_answered_and_its_header_is_demanded() {
    let scratch = Scratch::new("proxy");
    let server = Server::start(&scratch, "dns = [\"127.0.0.1:0\"]\nproxy = [\"127.0.0.2/32\"]");
    let proxy = || connect_from(Ipv4Addr::new(127, 0, 0, 2), server.dns[0]);
    let canary = Canary::start("no proxy", Ask::a(server.dns[0], "www.test-net.io").tcp());
    let mut stream = proxy();
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend([192, 0, 2, 1, 127, 0, 0, 1, 0x10, 0x92, 0, 53]);
    stream.write_all(&[header, framed_query()].concat()).expect("it is connected");
    assert!(read_message(&mut stream).expect("an answer").ends_with(&[203, 0, 113, 80]));
    let mut stream = proxy();
    stream.write_all(&framed_query()).expect("it is connected");
    hung_up(stream, Instant::now());
    wait::until("the log to say so", SOON, || {
        server.process.log().contains("a peer inside [listen] proxy does not speak")
    });
    canary.stop();
}
