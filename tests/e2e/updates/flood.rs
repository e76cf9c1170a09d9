//! Floods of messages whose signatures are nobody's: who holds a key is not crowded out.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tests::artifact;
use tests::figures;
use tests::name_server::NameServer;
use tests::scratch::Scratch;
use tests::wait;

use crate::nsupdate::Nsupdate;
use crate::server::{KEY, by, start, txt_over_tcp};

/// Where a flood comes from: networks of their own, as forged sources are.
const SOURCES: u8 = 8;
const THREADS: u8 = 2;
/// Of a flood, before the first honest client comes: far more than may wait.
const UNDER_WAY: u64 = 20_000;
/// Honest clients one after another, each with an update and a query.
const HONEST: usize = 10;
const DEADLINE: Duration = Duration::from_secs(60);

/// Messages at full speed until told to stop.
#[derive(Default)]
struct Flood {
    sent: AtomicU64,
    stop: AtomicBool,
}

impl Flood {
    fn run(&self, server: SocketAddr, sources: impl Iterator<Item = u8>, message: &[u8]) {
        let sockets: Vec<UdpSocket> = sources
            .map(|source| {
                let socket = UdpSocket::bind((Ipv4Addr::new(127, source, 0, 1), 0));
                let socket = socket.expect("all of 127/8 is loopback");
                socket.connect(server).expect("loopback");
                socket
            })
            .collect();
        while !self.stop.load(Ordering::Relaxed) {
            for socket in &sockets {
                if socket.send(message).is_ok() {
                    self.sent.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Does something while messages like this one come.
    fn around(server: &NameServer, message: &[u8], honest: impl FnOnce()) -> u64 {
        let (flood, dns) = (Flood::default(), server.dns());
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let sources = (1..=SOURCES).filter(move |source| source % THREADS == thread);
                let flood = &flood;
                scope.spawn(move || flood.run(dns, sources, message));
            }
            // Also when an honest client fails.
            let _stop = Stop(&flood);
            wait::until("the flood", DEADLINE, || flood.sent.load(Ordering::Relaxed) > UNDER_WAY);
            honest();
        });
        flood.sent.into_inner()
    }
}

struct Stop<'a>(&'a Flood);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// A query with a transaction signature of this key, and a code that is never right.
fn bogus(key: &str) -> Vec<u8> {
    let mut message =
        b"\x47\x11\0\0\0\x01\0\0\0\0\0\x01\x03www\x03dyn\x07example\0\0\x01\0\x01".to_vec();
    message.push(u8::try_from(key.len()).expect("a label"));
    message.extend(key.as_bytes());
    // TSIG, ANY, TTL 0, 61 octets: the algorithm, time, fudge, the code, the id, no error, no more.
    message.extend(b"\0\0\xfa\0\xff\0\0\0\0\0\x3d\x0bhmac-sha256\0\0\0\x6a\0\0\0\x01\x2c\0\x20");
    message.extend([0x5a; 32]);
    message.extend(b"\x47\x11\0\0\0\0");
    message
}

fn signed_query(server: SocketAddr) {
    let mut dig = artifact::peer("usr/bin/dig");
    dig.args(["-y", KEY, "-p", &server.port().to_string(), &format!("@{}", server.ip())]);
    dig.args(["+tcp", "+tries=1", "+time=20", "+short", "www.dyn.example", "A"]);
    let output = dig.output().expect("the program was just there");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "192.0.2.80", "{output:?}");
}

/// All that clients over TCP ask, each once.
fn tcp_is_served(server: SocketAddr, prefix: &str) {
    for i in 0..HONEST {
        let name = format!("{prefix}{i}.dyn.example");
        let by = Nsupdate { tcp: true, ..by(server, Some(KEY)) };
        let sent = by.send("dyn.example", &[&format!("update add {name} 60 TXT x")]);
        sent.unwrap_or_else(|why| panic!("{name}: {why}"));
        signed_query(server);
    }
}

#[test]
fn keys_that_nobody_has_crowd_out_no_one() {
    let scratch = Scratch::new("updates-flood-strangers");
    let server = start(&scratch, 0);
    let sent = Flood::around(&server, &bogus("stranger"), || {
        tcp_is_served(server.dns(), "tcp");
        for i in 0..HONEST {
            let name = format!("udp{i}.dyn.example");
            // Over UDP it asks again when nothing comes: the kernel's buffer is crowded as well.
            let sent = by(server.dns(), Some(KEY))
                .send("dyn.example", &[&format!("update add {name} 60 TXT x")]);
            sent.unwrap_or_else(|why| panic!("{name}: {why}"));
        }
    });
    judge(&server, "unknown keys", sent, &["tcp", "udp"]);
}

#[test]
fn wrong_codes_for_a_known_key_do_not_crowd_out_tcp() {
    let scratch = Scratch::new("updates-flood-codes");
    let server = start(&scratch, 0);
    let sent = Flood::around(&server, &bogus("acme-key"), || tcp_is_served(server.dns(), "tcp"));
    judge(&server, "a known key", sent, &["tcp"]);
}

fn judge(server: &NameServer, of: &str, sent: u64, prefixes: &[&str]) {
    for prefix in prefixes {
        for i in 0..HONEST {
            let name = format!("{prefix}{i}.dyn.example");
            assert_eq!(txt_over_tcp(server.dns(), &name), Ok(vec!["x".to_owned()]), "{name}");
        }
    }
    let metrics = server.metrics();
    let dropped = metrics.sum("dnsrouter_queue_full_total");
    assert!(dropped > 0.0, "the flood was none");
    figures::show(&format!(
        "a flood of {of}: {sent} messages sent, {} received, {dropped} found their lane full",
        metrics.labelled("dnsrouter_queries_total", &["udp"])
    ));
}
