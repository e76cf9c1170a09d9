//! The harness itself: a fault that does not happen would let every test of it pass.
#![expect(clippy::disallowed_methods, reason = "opens sockets")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record};
use tests::artifact;
use tests::canary::Canary;
use tests::process::Process;
use tests::query::Ask;
use tests::relay::{Mode, Relay};
use tests::scratch::Scratch;
use tests::unbound::{Tells, Unbound};
use tests::wait;

const SOON: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(200);

#[test]
fn a_relay_passes_stalls_delays_and_refuses() {
    let relay = Relay::start(echo());
    let mut stream = TcpStream::connect(relay.address()).unwrap();
    assert_eq!(said(&mut stream, SOON).unwrap(), *b"ping");

    relay.set(Mode::Stall);
    let lost = said(&mut stream, SILENCE).unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::WouldBlock, "the connection stays, and is silent");
    let mut other = TcpStream::connect(relay.address()).unwrap();
    assert_eq!(said(&mut other, SILENCE).unwrap_err().kind(), ErrorKind::WouldBlock);

    relay.set(Mode::Pass);
    assert_eq!(heard(&mut stream, SOON).unwrap(), *b"ping", "what was taken arrives late");

    relay.set(Mode::Delay(SILENCE));
    let started = Instant::now();
    assert_eq!(said(&mut stream, SOON).unwrap(), *b"ping");
    assert!(started.elapsed() >= 2 * SILENCE, "each way takes its time");

    relay.set(Mode::Refuse);
    wait::until("connections to be cut", SOON, || said(&mut stream, SOON).is_err());
    wait::until("connections to be refused", SOON, || TcpStream::connect(relay.address()).is_err());
    relay.set(Mode::Pass);
    wait::until("connections to be accepted again", SOON, || {
        TcpStream::connect(relay.address()).is_ok_and(|mut stream| said(&mut stream, SOON).is_ok())
    });
}

#[test]
fn a_process_is_frozen_thawed_and_never_left_behind() {
    let scratch = Scratch::new("process");
    let mut command = artifact::ending_with_us("sh".as_ref());
    command.args(["-c", "while :; do echo tick; sleep 0.01; done"]);
    let process = Process::spawn("ticker", command, &scratch.join("log"));
    let ticks = || process.log().len();
    let grows = |since: usize| ticks() > since;
    wait::until("the first tick", SOON, || grows(0));

    process.freeze();
    wait::until("it to be stopped", SOON, || state(process.id()) == Some('T'));
    let frozen = ticks();
    process.thaw();
    wait::until("it to go on", SOON, || grows(frozen));

    let id = process.id();
    drop(process);
    assert_eq!(state(id), None, "reaped");
}

#[test]
fn a_process_ends_with_the_thread_that_started_it() {
    let id = std::thread::spawn(|| {
        let mut command = artifact::ending_with_us("sleep".as_ref());
        let child = command.arg("60").spawn().unwrap();
        let id = child.id();
        // `setpriv` must have asked the kernel before the thread ends.
        wait::until("the program to run", SOON, || name(id).as_deref() == Some("sleep"));
        std::mem::forget(child);
        id
    })
    .join()
    .unwrap();
    wait::until("the kernel to kill it", SOON, || matches!(state(id), None | Some('Z')));
}

#[test]
#[should_panic(expected = "ended with exit status: 3 instead of serving")]
fn a_program_that_ends_early_is_not_waited_for() {
    let scratch = Scratch::new("early");
    let mut command = Command::new("sh");
    command.args(["-c", "exit 3"]);
    Process::spawn("sh", command, &scratch.join("log")).ready(&scratch.join("ready"));
}

#[test]
#[should_panic(expected = "questions to liar failed")]
fn a_canary_notices_a_single_empty_answer() {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let ask = Ask::a(server.local_addr().unwrap(), "geo.test-net.io");
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        for answer in 0.. {
            let (length, client) = server.recv_from(&mut packet).unwrap();
            let mut reply = Message::from_vec(&packet[..length]).unwrap().into_response();
            if answer != 2 {
                let name = reply.queries[0].name().clone();
                reply.add_answer(Record::from_rdata(name, 1, RData::A(A::new(192, 0, 2, 1))));
            }
            server.send_to(&reply.to_vec().unwrap(), client).unwrap();
        }
    });
    let canary = Canary::start("liar", ask);
    let (began, address) = (Instant::now(), Ipv4Addr::new(192, 0, 2, 1).into());
    wait::until("some answers", SOON, || canary.since(began).len() > 5);
    canary.back(address, began, SOON);
    canary.stop();
}

#[test]
fn a_resolver_asks_our_servers_from_the_address_it_is_given() {
    let scratch = Scratch::new("resolver");
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let place = Ipv4Addr::new(127, 0, 2, 7).into();
    let servers = [server.local_addr().unwrap()];
    let resolver = Unbound::start(&scratch, "unbound", &servers, place, Tells::Nothing);
    let asker = std::thread::spawn(move || {
        Ask::a(resolver.address(), "geo.test-net.io").recursive().send().map(|reply| reply.rcode())
    });

    server.set_read_timeout(Some(SOON)).unwrap();
    let (_, client) = server.recv_from(&mut [0; 512]).unwrap();

    assert_eq!(client.ip(), place);
    // Nobody answers: the resolver dies with the thread that owns it, not before.
    assert!(asker.join().unwrap().is_err());
}

/// A server that says what it hears.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().filter_map(Result::ok) {
            std::thread::spawn(move || {
                let mut buffer = [0; 64];
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..length]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn said(stream: &mut TcpStream, patience: Duration) -> std::io::Result<[u8; 4]> {
    stream.write_all(b"ping")?;
    heard(stream, patience)
}

fn heard(stream: &mut TcpStream, patience: Duration) -> std::io::Result<[u8; 4]> {
    stream.set_read_timeout(Some(patience))?;
    let mut buffer = [0; 4];
    stream.read_exact(&mut buffer)?;
    Ok(buffer)
}

/// The state of a process as the kernel abbreviates it; `None`: there is none.
fn state(id: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn name(id: u32) -> Option<String> {
    Some(std::fs::read_to_string(format!("/proc/{id}/comm")).ok()?.trim().to_owned())
}
