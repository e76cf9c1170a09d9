//! The name server that the faults happen to, and the canaries that must not notice.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use tests::authority::Authority;
use tests::canary::Canary;
use tests::conformance::exchange::Peer;
use tests::conformance::expect::Transport;
use tests::conformance::message::Message;
use tests::name_server::{NameServer, NameServerPlan};
use tests::query::Ask;
use tests::scratch::Scratch;
use tests::wait;

use crate::octets;

pub(crate) const FORMERR: u16 = 1;
pub(crate) const NXDOMAIN: u16 = 3;
pub(crate) const NOTIMP: u16 = 4;
pub(crate) const REFUSED: u16 = 5;
pub(crate) const NOTAUTH: u16 = 9;
pub(crate) const BADVERS: u16 = 16;

/// Both ways to ask.
pub(crate) const TRANSPORTS: [Transport; 2] = [Transport::Udp, Transport::Tcp];

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

const ZONE: &str = include_str!("test-net.io.zone");

/// A running name server with a canary on each transport.
pub(crate) struct Stand {
    /// The server.
    pub(crate) server: NameServer,
    canaries: [Canary; 2],
    peer: Peer,
    _scratch: Scratch,
}

impl Stand {
    /// One with the zone beside this file.
    pub(crate) fn start(name: &str) -> Stand {
        Stand::of(name, NameServerPlan::new("ns1"))
    }

    /// One with more than that.
    pub(crate) fn of(name: &str, plan: NameServerPlan) -> Stand {
        let scratch = Scratch::new(name);
        let authority = Authority::create(&scratch, "pki");
        let server = plan.zone(ZONE).start(&scratch, &authority);
        // A server of all addresses is asked at one.
        let dns = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), server.dns().port());
        // Canaries live in a network of their own, where no fault comes from.
        let ask = Ask::a(dns, "www.test-net.io").from(Ipv4Addr::new(127, 9, 9, 9).into());
        let canaries =
            [Canary::start("over UDP", ask.clone()), Canary::start("over TCP", ask.tcp())];
        let peer = Peer::new(dns, octets::query("www.test-net.io", octets::A));
        let stand = Stand { server, canaries, peer, _scratch: scratch };
        stand.sing();
        stand
    }

    /// Waits until each canary has asked, from now on, and been answered.
    fn sing(&self) {
        let now = Instant::now();
        for canary in &self.canaries {
            wait::until("a canary to sing", PATIENCE, || !canary.since(now).is_empty());
        }
    }

    /// Where it answers.
    pub(crate) fn dns(&self) -> SocketAddr {
        self.peer.address
    }

    /// The answer to `message`.
    ///
    /// # Panics
    ///
    /// When there is none, or a malformed one.
    pub(crate) fn ask(&self, transport: Transport, message: &[u8]) -> Message {
        let reply = self.reply(transport, message, false);
        let reply = reply.unwrap_or_else(|| panic!("silence over {transport:?}: {message:02x?}"));
        read(&reply)
    }

    /// The octets of the answer.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub(crate) fn octets(&self, transport: Transport, message: &[u8]) -> Vec<u8> {
        let reply = self.reply(transport, message, false);
        reply.unwrap_or_else(|| panic!("silence over {transport:?}: {message:02x?}"))
    }

    /// Whether nothing comes back.
    pub(crate) fn is_silent(&self, transport: Transport, message: &[u8]) -> bool {
        self.reply(transport, message, true).is_none()
    }

    fn reply(&self, transport: Transport, message: &[u8], silence: bool) -> Option<Vec<u8>> {
        self.peer
            .ask(transport, Ipv4Addr::LOCALHOST, message, silence)
            .unwrap_or_else(|error| panic!("{error} over {transport:?}: {message:02x?}"))
    }

    /// A socket that talks to it and to nobody else.
    pub(crate) fn socket(&self, from: Ipv4Addr) -> UdpSocket {
        let socket = UdpSocket::bind((from, 0)).expect("a port is free");
        socket.connect(self.dns()).expect("loopback");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        socket
    }

    /// Ends it: the canaries were answered before the fault, while it lasted and after it.
    ///
    /// # Panics
    ///
    /// When they were not, or the server panicked over a query.
    pub(crate) fn stop(self) {
        assert_eq!(self.server.metrics().sum("dnsrouter_answer_panics_total"), 0.0);
        self.sing();
        for canary in self.canaries {
            canary.stop();
        }
    }
}

/// A reply, read strictly.
///
/// # Panics
///
/// When it is malformed.
pub(crate) fn read(reply: &[u8]) -> Message {
    Message::parse(reply).unwrap_or_else(|error| panic!("{error}: {reply:02x?}"))
}
