//! The loops.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use datagrams::{BATCH, Slot};
use socket2::{Domain, Protocol, Socket, Type};

use super::flight::Flight;
use super::judge::judge;
use super::tally::Tally;
use super::workload::Workload;

/// No query is longer.
const QUERY: usize = 512;
/// No reply is longer than the payload size that queries offer.
const REPLY: usize = 1232;
/// Replies that may wait in the kernel while the generator sends.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Without any reply for so long, what is under way is lost.
pub(super) const SILENCE: Duration = Duration::from_millis(500);
/// A server that is silent so often in a row is dead.
pub(super) const SILENCES: u32 = 6;

/// When a closed loop ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so long.
    Passed(Duration),
    /// After so many replies.
    Answered(u64),
}

/// One socket that asks one server a workload's queries, over and over.
pub struct Generator<'w> {
    workload: &'w Workload,
    server: SocketAddr,
    socket: UdpSocket,
    clients: u32,
    began: Instant,
    asked: usize,
    flight: Flight,
    tally: Tally,
    queries: Box<[Slot<QUERY>]>,
    replies: Box<[Slot<REPLY>]>,
}

impl<'w> Generator<'w> {
    /// Binds its socket. It asks for so many resolvers, each with an address of its own.
    ///
    /// # Errors
    ///
    /// Those of the system.
    ///
    /// # Panics
    ///
    /// When there is nothing to ask.
    pub fn new(workload: &'w Workload, server: SocketAddr, clients: u32) -> io::Result<Self> {
        assert!(!workload.is_empty(), "a workload of no queries");
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        // Best effort: the system's rmem_max may allow less.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())?;
        Ok(Self {
            workload,
            server,
            socket: socket.into(),
            clients: clients.max(1),
            began: Instant::now(),
            asked: 0,
            flight: Flight::default(),
            tally: Tally::default(),
            queries: (0..BATCH).map(|_| Slot::new()).collect(),
            replies: (0..BATCH).map(|_| Slot::new()).collect(),
        })
    }

    /// Keeps `window` queries under way.
    ///
    /// # Errors
    ///
    /// Those of the system, or a time-out: the server is silent.
    pub fn closed(&mut self, window: usize, until: Until) -> io::Result<()> {
        let begun = self.began.elapsed();
        let before = self.tally.answered();
        let (mut heard, mut silences) = (begun, 0);
        loop {
            let now = self.began.elapsed();
            let room = window.saturating_sub(self.flight.under_way()).min(BATCH);
            self.send(room, |_| now)?;
            if self.receive()? > 0 {
                (heard, silences) = (now, 0);
            } else if now - heard > SILENCE {
                self.flight.give_up();
                (heard, silences) = (now, silences + 1);
                if silences == SILENCES {
                    return Err(io::Error::new(ErrorKind::TimedOut, "the server is silent"));
                }
            }
            let done = match until {
                Until::Passed(time) => now - begun >= time,
                Until::Answered(count) => self.tally.answered() - before >= count,
            };
            if done {
                return Ok(());
            }
        }
    }

    /// Sends `rate` queries per second for so long, each at its time, whether others are answered or
    /// not. A latency is counted from that time also when the generator was late: a stall of
    /// anybody's is seen in all queries it held up, not in one.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn open(&mut self, rate: u32, time: Duration) -> io::Result<()> {
        self.flight.give_up();
        self.flight.take_lost();
        let begun = self.began.elapsed();
        let total = count(rate, time);
        let mut sent = 0;
        loop {
            let now = self.began.elapsed();
            let due = count(rate, now - begun).min(total);
            let batch = usize::try_from(due - sent).unwrap_or(BATCH).min(BATCH);
            self.send(batch, |place| begun + turn(rate, sent + place as u64))?;
            sent += batch as u64;
            self.receive()?;
            let over = sent == total && now - begun > time + SILENCE;
            if over || sent == total && self.flight.under_way() == 0 {
                self.flight.give_up();
                return Ok(());
            }
        }
    }

    /// What came of the queries since this was asked last. Those under way are not in it.
    pub fn take(&mut self) -> Tally {
        let mut tally = std::mem::take(&mut self.tally);
        tally.lost = self.flight.take_lost();
        tally
    }

    /// Sends the next so many queries, at most [`BATCH`]; `at` tells when each was to be sent.
    fn send(&mut self, count: usize, at: impl Fn(usize) -> Duration) -> io::Result<()> {
        let mut filled = 0;
        for place in 0..count {
            let query = self.asked % self.workload.len();
            let source = source((self.asked % self.clients as usize) as u32);
            self.asked += 1;
            let Some(id) = self.flight.depart(query as u32, at(place)) else { continue };
            let (octets, _) = self.workload.get(query as u32);
            let slot = &mut self.queries[filled];
            filled += 1;
            slot.buffer()[..octets.len()].copy_from_slice(octets);
            slot.buffer()[..2].copy_from_slice(&id.to_be_bytes());
            slot.address(octets.len(), self.server, Some(source));
        }
        self.tally.sent += filled as u64;
        let mut rest = &self.queries[..filled];
        while !rest.is_empty() {
            match datagrams::send(&self.socket, rest) {
                Ok(sent) => rest = &rest[sent..],
                // No room for the moment; a busy generator does nothing better than try again.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes what has come; returns how many replies were waited for.
    fn receive(&mut self) -> io::Result<usize> {
        let received = match datagrams::receive(&self.socket, &mut self.replies) {
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(error),
        };
        let now = self.began.elapsed();
        let mut waited_for = 0;
        for slot in &self.replies[..received] {
            let reply = slot.bytes();
            let id = reply.first_chunk().filter(|_| slot.peer() == Some(self.server));
            let departed = id.and_then(|id| self.flight.arrive(u16::from_be_bytes(*id)));
            let Some(departed) = departed else {
                self.tally.stray += 1;
                continue;
            };
            waited_for += 1;
            let (query, expected) = self.workload.get(departed.query);
            match judge(query, expected, reply) {
                Ok(()) => self.tally.right(now.saturating_sub(departed.at)),
                Err(fault) => self.tally.wrong(fault, query, reply),
            }
        }
        Ok(waited_for)
    }
}

/// Asks once, as anybody would; the reply.
///
/// # Errors
///
/// Those of the system, or a time-out.
pub fn once(server: SocketAddr, query: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(patience))?;
    socket.send(query)?;
    let mut reply = vec![0; REPLY];
    let length = socket.recv(&mut reply)?;
    reply.truncate(length);
    Ok(reply)
}

/// The address of a client, all over the loopback network: a host of the loopback network, which all belongs to this machine; the
/// port is the socket's own.
pub(super) fn source(client: u32) -> SocketAddr {
    // Multiplication by an odd number sends no two to one place; the ends of a network are no hosts.
    let [_, a, b, c] = client.wrapping_mul(2_654_435_761).to_be_bytes();
    SocketAddr::from(([127, a, b, c.clamp(1, 254)], 0))
}

/// How many queries are due in so long.
fn count(rate: u32, time: Duration) -> u64 {
    (time.as_nanos() * u128::from(rate) / 1_000_000_000) as u64
}

/// When a query is due.
fn turn(rate: u32, place: u64) -> Duration {
    Duration::from_nanos((u128::from(place) * 1_000_000_000 / u128::from(rate.max(1))) as u64)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;
    use crate::generator::{A, Expected, query};

    const PATIENCE: Duration = Duration::from_millis(5);
    const CLIENTS: u32 = 4096;

    /// A server that does with each query what `reply` says, until the test ends.
    struct Server {
        address: SocketAddr,
        over: Arc<AtomicBool>,
        thread: Option<thread::JoinHandle<()>>,
    }

    impl Server {
        fn start(reply: impl Fn(usize, &mut Vec<u8>) -> usize + Send + 'static) -> Self {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let address = socket.local_addr().unwrap();
            let over = Arc::new(AtomicBool::new(false));
            let ends = Arc::clone(&over);
            let thread = thread::spawn(move || {
                let (mut buffer, mut count) = ([0; QUERY], 0);
                while !ends.load(Ordering::Relaxed) {
                    let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
                    let mut octets = buffer[..length].to_vec();
                    octets[2] |= 0x80;
                    for _ in 0..reply(count, &mut octets) {
                        socket.send_to(&octets, peer).unwrap();
                    }
                    count += 1;
                }
            });
            Self { address, over, thread: Some(thread) }
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            self.over.store(true, Ordering::Relaxed);
            self.thread.take().unwrap().join().unwrap();
        }
    }

    /// Questions to which "there is no such name" is the right answer.
    fn nowhere() -> Workload {
        let mut workload = Workload::default();
        for name in ["a.test", "b.test", "c.test"] {
            workload.ask(&query(name, A, None), Expected::no_name());
        }
        workload
    }

    fn no_name(octets: &mut [u8]) -> usize {
        octets[3] |= 3;
        1
    }

    #[test]
    fn every_query_of_a_closed_loop_is_answered_and_judged() {
        let server = Server::start(|_, octets| no_name(octets));
        let workload = nowhere();
        let mut generator = Generator::new(&workload, server.address, CLIENTS).unwrap();
        generator.closed(8, Until::Answered(100)).unwrap();
        let tally = generator.take();
        assert!(tally.right >= 100 && tally.sent <= tally.right + 8, "{tally}");
        assert_eq!((tally.all_wrong(), tally.stray, tally.lost), (0, 0, 0), "{tally}");
    }

    #[test]
    fn an_open_loop_sends_what_its_rate_says_and_counts_what_is_lost() {
        let server = Server::start(|count, octets| no_name(octets) * usize::from(count % 4 != 0));
        let workload = nowhere();
        let mut generator = Generator::new(&workload, server.address, CLIENTS).unwrap();
        generator.open(1000, Duration::from_millis(40)).unwrap();
        let tally = generator.take();
        assert_eq!((tally.sent, tally.right, tally.lost), (40, 30, 10), "{tally}");
    }

    #[test]
    fn replies_that_come_twice_or_are_another_s_are_strays() {
        let server = Server::start(|_, octets| 2 * no_name(octets));
        let workload = nowhere();
        let mut generator = Generator::new(&workload, server.address, CLIENTS).unwrap();
        generator.open(1000, Duration::from_millis(20)).unwrap();
        // The last one's second reply may come after the end.
        let tally = generator.take();
        assert!(tally.right == 20 && (19..=20).contains(&tally.stray), "{tally}");
    }

    #[test]
    fn a_wrong_answer_is_told_from_a_right_one() {
        let server = Server::start(|count, octets| {
            octets[3] |= if count % 2 == 0 { 3 } else { 5 };
            1
        });
        let workload = nowhere();
        let mut generator = Generator::new(&workload, server.address, CLIENTS).unwrap();
        generator.open(1000, Duration::from_millis(20)).unwrap();
        let tally = generator.take();
        assert_eq!((tally.right, tally.all_wrong(), tally.answered()), (10, 10, 20), "{tally}");
    }

    #[test]
    fn clients_are_many_and_all_are_hosts_of_the_loopback_network() {
        for count in [CLIENTS, 1 << 20] {
            let mut clients: Vec<IpAddr> = (0..count).map(|client| source(client).ip()).collect();
            assert!(clients.iter().all(IpAddr::is_loopback));
            clients.sort_unstable();
            clients.dedup();
            assert!(clients.len() > count as usize * 99 / 100, "{}", clients.len());
        }
    }
}
