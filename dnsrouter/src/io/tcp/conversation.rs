//! One connection, from its first octet to its last.
//!
//! ```text
//!              ┌──────── a whole query ─▶ answered at once: written before the next is looked at
//!   wait for ──┤                          deferred: handed over, and the next may pass it
//!              ├──────── a job's reply ─▶ written, whole
//!              └──────── time, end of stream, stop
//! ```
//!
//! Answers may so come in another order than their queries (RFC 7766 §7), but only one that has to
//! be waited for comes late.
//!
//! What has been read is answered whole, also when no more is read. Then the end is told before the
//! socket is closed: with octets in it that nobody has read, the system would reset the connection, and
//! the peer's system throw away answers that are there already (RFC 1122 §4.2.2.13).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::answer::{Lane, Query, Reply, Transport, Worker, answer_or_servfail};
use crate::io::deferred::Job;
use crate::io::proxy::{self, Header};

use super::Server;
use super::desk::Desk;
use super::inbox::Inbox;
use super::table::Seat;

/// After so many answers in a row a connection lets the others of its thread go first. Pipelined
/// queries are always ready, so it would not wait on its own.
const YIELD_EVERY: u32 = 16;

/// Octets of queries that are read and thrown away after the last answer, at most.
const MAX_IGNORED: u64 = 1 << 20;

pub(super) struct Conversation<F> {
    server: Arc<Server<F>>,
    /// Stands before the seat: it is to be closed when the seat is free.
    stream: TcpStream,
    /// The client, and the address it asked: of the connection, or as a proxy has said.
    peer: SocketAddr,
    local: SocketAddr,
    seat: Seat,
    stop: CancellationToken,
    inbox: Inbox,
    /// Replies to what was deferred, or that there will be none. A ticket for each job is out, so
    /// that there is always room.
    replies: mpsc::Receiver<Option<Vec<u8>>>,
    ticket: mpsc::Sender<Option<Vec<u8>>>,
    in_flight: usize,
    asked: u32,
    born: Instant,
    /// The last query, or the last answer that was taken.
    active: Instant,
    /// When the query that is not whole yet began to come.
    begun: Option<Instant>,
    /// When it was found that no more queries will be read.
    closing: Option<Instant>,
    /// Whether those that were read are not answered either.
    is_deaf: bool,
}

/// What there is to do.
enum Next {
    /// The inbox holds a whole query that may be answered.
    Query,
    /// A job is done, and this is its reply.
    Reply(Vec<u8>),
    /// Hang up.
    End,
}

/// What became of a query.
enum Outcome {
    /// The peer has the answer but for these octets.
    Answered(Vec<u8>),
    Deferred,
    /// There is nothing to say to it.
    HangUp,
    /// There is nobody who could answer it now; its ticket comes back without a reply.
    Full,
}

impl<F: Fn() -> Worker> Conversation<F> {
    pub(super) fn new(
        server: Arc<Server<F>>,
        stream: TcpStream,
        peer: SocketAddr,
        seat: Seat,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let (ticket, replies) = mpsc::channel(server.limits.in_flight.max(1));
        let inbox = Inbox::new(Arc::clone(&server.connections.budget), seat.leave());
        let now = Instant::now();
        Ok(Self {
            local: stream.local_addr()?,
            server,
            stream,
            peer,
            seat,
            stop,
            inbox,
            replies,
            ticket,
            in_flight: 0,
            asked: 0,
            born: now,
            active: now,
            begun: None,
            closing: None,
            is_deaf: false,
        })
    }

    /// Lets a proxy say whom it stands for, then goes on as [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// As there, and when what comes is no header.
    pub(super) async fn run_proxied(mut self) -> io::Result<()> {
        let stop = self.stop.clone();
        let slow = self.server.limits.slow;
        let header = tokio::select! {
            header = timeout(slow, self.read_header()) => header??,
            () = stop.cancelled() => return Ok(()),
        };
        match header {
            None => return Ok(()),
            Some(Header::Local) => {}
            Some(Header::Proxied { source, destination }) => {
                (self.peer, self.local) = (source, destination);
            }
        }
        // Over its share a client is turned away, as without a proxy.
        if !self.seat.name(self.peer.ip(), Instant::now()) {
            return Ok(());
        }
        self.run().await
    }

    /// A proxy's header; none when it leaves without a word, as those do that only look whether
    /// somebody listens.
    async fn read_header(&mut self) -> io::Result<Option<Header>> {
        loop {
            let parsed = proxy::parse(self.inbox.octets());
            let parsed = parsed.map_err(|malformed| {
                self.server.not_a_proxy(self.peer, malformed);
                io::Error::new(io::ErrorKind::InvalidData, malformed)
            })?;
            if let Some((header, length)) = parsed {
                self.inbox.forget(length);
                return Ok(Some(header));
            }
            if self.inbox.fill(&mut self.stream).await? == 0 {
                let whole = self.inbox.is_empty();
                return if whole { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// Answers until one side has had enough.
    ///
    /// # Errors
    ///
    /// Those of the connection, and that the peer was too slow.
    pub(super) async fn run(mut self) -> io::Result<()> {
        loop {
            match self.next().await? {
                Next::Query => {
                    self.asked = self.asked.wrapping_add(1);
                    self.touch();
                    match self.answer()? {
                        Outcome::Answered(rest) if rest.is_empty() => {}
                        Outcome::Answered(rest) => self.write(&rest).await?,
                        Outcome::Deferred => self.in_flight += 1,
                        Outcome::HangUp => self.stop_listening(),
                        Outcome::Full => {
                            self.in_flight += 1;
                            self.stop_listening();
                        }
                    }
                    self.inbox.forget_message();
                    if self.asked.is_multiple_of(YIELD_EVERY) {
                        tokio::task::yield_now().await;
                    }
                }
                Next::Reply(reply) => {
                    let prefix = u16::try_from(reply.len()).map_err(io::Error::other)?;
                    self.write(&[&prefix.to_be_bytes()[..], &reply].concat()).await?;
                }
                Next::End => return self.part().await,
            }
        }
    }

    /// What was read already is not answered either.
    fn stop_listening(&mut self) {
        self.closing.get_or_insert_with(Instant::now);
        self.is_deaf = true;
    }

    /// Says that this was all, and waits a while for the peer to hear it.
    async fn part(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let (mut rest, mut nowhere) = ((&mut self.stream).take(MAX_IGNORED), tokio::io::sink());
        tokio::select! {
            biased;
            ignored = tokio::io::copy(&mut rest, &mut nowhere) => ignored.map(drop),
            () = tokio::time::sleep(self.server.limits.slow) => Ok(()),
            // At the end of the process there is no time to wait; what has come is taken.
            () = self.stop.cancelled() => Ok(()),
        }
    }

    async fn next(&mut self) -> io::Result<Next> {
        let limits = self.server.limits;
        loop {
            if self.born.elapsed() >= limits.lifetime || self.stop.is_cancelled() {
                self.closing.get_or_insert_with(Instant::now);
            }
            let has_room = self.in_flight < limits.in_flight;
            if has_room && !self.is_deaf && self.inbox.message().is_some() {
                self.begun = None;
                return Ok(Next::Query);
            }
            if self.closing.is_some() && self.in_flight == 0 {
                return Ok(Next::End);
            }
            let reads = self.closing.is_none() && has_room;
            // While we do not read, nobody can be too slow for us.
            self.begun =
                (reads && !self.inbox.is_empty()).then(|| self.begun.unwrap_or_else(Instant::now));
            let patience = self.patience();
            tokio::select! {
                done = self.replies.recv(), if self.in_flight > 0 => {
                    self.in_flight -= 1;
                    self.touch();
                    if let Some(Some(reply)) = done {
                        return Ok(Next::Reply(reply));
                    }
                }
                read = self.inbox.fill(&mut self.stream), if reads => {
                    if read? == 0 {
                        // It asks no more, and still waits for what it has asked; a query that is
                        // not whole was none.
                        self.closing = Some(Instant::now());
                    }
                }
                () = self.stop.cancelled(), if self.closing.is_none() => {}
                () = tokio::time::sleep(patience) => {
                    if self.closing.is_some_and(|since| since.elapsed() >= limits.slow) {
                        return Ok(Next::End);
                    }
                    if self.begun.is_some_and(|since| since.elapsed() >= limits.slow) {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    let waits = self.in_flight == 0 && self.begun.is_none();
                    if waits && self.active.elapsed() >= self.seat.idle_time() {
                        return Ok(Next::End);
                    }
                }
            }
        }
    }

    /// How long nothing may happen until it must be looked whether that was too long.
    fn patience(&self) -> Duration {
        let limits = self.server.limits;
        let lifetime = limits.lifetime.saturating_sub(self.born.elapsed());
        match self.closing.or(self.begun) {
            Some(since) => limits.slow.saturating_sub(since.elapsed()),
            None if self.in_flight > 0 => lifetime,
            // What it may wait is looked up only then, and again each time: it shrinks when
            // others come.
            None => limits.least_idle.min(lifetime),
        }
    }

    /// Answers the first query of the inbox, and sends what the peer takes at once.
    fn answer(&self) -> io::Result<Outcome> {
        let Some(query) = self.inbox.message() else { return Ok(Outcome::HangUp) };
        let (server, transport) = (&self.server, Transport::Tcp { idle: self.idle() });
        server.desks.lend(|Desk { worker, answer }| {
            let asked = Query {
                bytes: query,
                peer: self.peer,
                local: self.local,
                transport,
                now: SystemTime::now(),
            };
            let reply = answer_or_servfail(&server.plan.load(), worker, asked, &mut answer[2..]);
            let length = match reply {
                Reply::Bytes(length) => length,
                Reply::Drop => return Ok(Outcome::HangUp),
                Reply::Deferred(lane) => {
                    let submitted = server.deferred.submit(self.job(query, transport, lane));
                    return Ok(match submitted {
                        Ok(()) => Outcome::Deferred,
                        Err(_) => {
                            worker.queue_full(lane);
                            Outcome::Full
                        }
                    });
                }
            };
            let prefix = u16::try_from(length).map_err(io::Error::other)?;
            // Length and message go out in one write.
            answer[..2].copy_from_slice(&prefix.to_be_bytes());
            let whole = &answer[..2 + length];
            match self.stream.try_write(whole) {
                Ok(taken) => Ok(Outcome::Answered(whole[taken..].to_vec())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    Ok(Outcome::Answered(whole.to_vec()))
                }
                Err(error) => Err(error),
            }
        })
    }

    /// How long the client may be silent after this answer, as it is told (RFC 7828 §3.4).
    fn idle(&self) -> Duration {
        let limits = self.server.limits;
        if self.seat.is_leaving() || self.stop.is_cancelled() {
            return Duration::ZERO;
        }
        let lifetime = limits.lifetime.saturating_sub(self.born.elapsed());
        self.seat.idle_time().min(lifetime)
    }

    fn job(&self, query: &[u8], transport: Transport, lane: Lane) -> Job {
        let ticket = Ticket { conversation: self.ticket.clone(), reply: None };
        Job {
            bytes: query.into(),
            peer: self.peer,
            local: self.local,
            transport,
            lane,
            done: Box::new(move |reply| ticket.redeem(reply)),
        }
    }

    /// Writes one message, or the rest of one.
    async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        timeout(self.server.limits.slow, self.stream.write_all(octets)).await??;
        self.touch();
        Ok(())
    }

    fn touch(&mut self) {
        self.active = Instant::now();
        self.seat.touch(self.active);
    }
}

/// Goes with a job and tells its conversation, when it is dropped, what became of it: so a job
/// that nobody does is not waited for.
struct Ticket {
    conversation: mpsc::Sender<Option<Vec<u8>>>,
    reply: Option<Vec<u8>>,
}

impl Ticket {
    /// Sends a reply, by dropping the ticket with it.
    fn redeem(mut self, reply: Vec<u8>) {
        self.reply = Some(reply);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Fails only when the conversation is over.
        let _ = self.conversation.try_send(self.reply.take());
    }
}
