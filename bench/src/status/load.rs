//! A closed loop over kept connections: each has so many requests under way, and asks again as soon as
//! one is answered.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;

use super::client::Client;
use super::method::Method;
use super::wire::{self, Allowance, Requests, Said};

/// What one read takes in at most: some hundred replies.
const READ: usize = 32 * 1024;
/// A server that says nothing for so long is dead.
const SILENCE: Duration = Duration::from_secs(10);
/// The longest latency that is told apart from longer ones, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;
/// Latencies are known to a hundredth.
const DIGITS: u8 = 2;

/// Connections to one server that ask for one method.
pub(super) struct Load {
    connections: Vec<Connection>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Tally {
    /// From the moment each was written to that when it was read, in nanoseconds.
    latencies: Histogram<u64>,
    /// Replies that were not what they should have been.
    pub(super) wrong: u64,
}

impl Tally {
    fn new() -> Self {
        let latencies = Histogram::new_with_bounds(1, LONGEST, DIGITS).expect("sound bounds");
        Self { latencies, wrong: 0 }
    }

    /// Right and wrong replies.
    pub(super) fn answered(&self) -> u64 {
        self.latencies.len()
    }

    /// The latency that this share of all does not exceed.
    pub(super) fn latency(&self, share: f64) -> Duration {
        Duration::from_nanos(self.latencies.value_at_quantile(share))
    }

    fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies).expect("the same bounds");
        self.wrong += other.wrong;
    }
}

impl Load {
    /// So many connections with so many requests under way on each, beginning now.
    ///
    /// # Errors
    ///
    /// Those of connecting.
    pub(super) async fn open(
        client: &Client,
        server: SocketAddr,
        method: &Method,
        connections: usize,
        streams: usize,
    ) -> io::Result<Self> {
        let mut load = Self { connections: Vec::with_capacity(connections) };
        for _ in 0..connections {
            let stream = client.connect(server, (Ipv4Addr::LOCALHOST, 0).into()).await?;
            load.connections.push(Connection::new(stream, method.clone(), streams));
        }
        Ok(load)
    }

    /// Goes on for so long, and leaves under way what is.
    ///
    /// # Errors
    ///
    /// A connection that ended, or fell silent.
    pub(super) async fn run(&mut self, time: Duration) -> io::Result<Tally> {
        self.all(Some(Instant::now() + time)).await
    }

    /// Waits until all that was asked is answered; from then on the connections are idle.
    ///
    /// # Errors
    ///
    /// As of [`run`](Self::run).
    pub(super) async fn finish(&mut self) -> io::Result<Tally> {
        self.all(None).await
    }

    async fn all(&mut self, until: Option<Instant>) -> io::Result<Tally> {
        let mut tasks = JoinSet::new();
        for connection in self.connections.drain(..) {
            tasks.spawn(connection.go_on(until));
        }
        let mut all = Tally::new();
        while let Some(ended) = tasks.join_next().await {
            let (connection, tally) = ended.map_err(io::Error::other)??;
            self.connections.push(connection);
            all.add(&tally);
        }
        Ok(all)
    }
}

struct Connection {
    stream: TlsStream<TcpStream>,
    method: Method,
    /// How many requests are to be under way.
    streams: usize,
    requests: Requests,
    /// Oldest first.
    under_way: VecDeque<UnderWay>,
    allowance: Allowance,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

struct UnderWay {
    stream: u32,
    since: Instant,
    right: bool,
}

impl Connection {
    fn new(stream: TlsStream<TcpStream>, method: Method, streams: usize) -> Self {
        Self {
            stream,
            requests: Requests::new(method.path(), &method.message()),
            method,
            streams,
            under_way: VecDeque::with_capacity(streams),
            allowance: Allowance::default(),
            incoming: Vec::with_capacity(READ),
            outgoing: wire::opening(),
        }
    }

    async fn go_on(mut self, until: Option<Instant>) -> io::Result<(Self, Tally)> {
        let mut tally = Tally::new();
        let mut now = Instant::now();
        loop {
            // At least once, however little time there is.
            while until.is_some() && self.under_way.len() < self.streams {
                let stream = self.requests.push(&mut self.outgoing);
                self.under_way.push_back(UnderWay { stream, since: now, right: false });
            }
            self.stream.write_all(&self.outgoing).await?;
            self.outgoing.clear();
            if self.under_way.is_empty() || until.is_some_and(|until| now >= until) {
                return Ok((self, tally));
            }
            now = self.hear(&mut tally).await?;
        }
    }

    /// Takes in what comes next; when that was.
    async fn hear(&mut self, tally: &mut Tally) -> io::Result<Instant> {
        self.incoming.reserve(READ);
        let reading = self.stream.read_buf(&mut self.incoming);
        if tokio::time::timeout(SILENCE, reading).await?? == 0 {
            return Err(io::Error::other("the server closed a connection that was in use"));
        }
        let now = Instant::now();
        let mut read = 0;
        while let Some((said, length)) = wire::next(&self.incoming[read..]) {
            match said {
                Said::Message(stream, message) => {
                    let of = |it: &&mut UnderWay| it.stream == stream;
                    if let Some(asked) = self.under_way.iter_mut().find(of) {
                        asked.right = self.method.is_right(message);
                    }
                }
                Said::Ended(stream) | Said::Reset(stream) => {
                    let of = |it: &UnderWay| it.stream == stream;
                    let asked = self.under_way.iter().position(of);
                    if let Some(asked) = asked.and_then(|at| self.under_way.remove(at)) {
                        let right = asked.right && matches!(said, Said::Ended(_));
                        tally.wrong += u64::from(!right);
                        let latency = (now - asked.since).as_nanos();
                        let latency = u64::try_from(latency).unwrap_or(LONGEST).clamp(1, LONGEST);
                        tally.latencies.record(latency).expect("within its bounds");
                    }
                }
                Said::Answer(answer) => self.outgoing.extend(answer),
                Said::Leaving => return Err(io::Error::other("the server is leaving")),
                Said::Nothing => {}
            }
            read += length;
        }
        self.incoming.drain(..read);
        self.allowance.take(read, &mut self.outgoing);
        Ok(now)
    }
}
