//! Asking over TCP.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::judge::judge;
use super::run::{SILENCE, SILENCES, Until, source};
use super::tally::Tally;
use super::workload::Workload;

/// How connections are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// So many at a time, those that rest not counted.
    pub connections: usize,
    /// So many queries under way on each.
    pub each: usize,
    /// What happens to one that was answered.
    pub then: Then,
}

/// What happens to a connection that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It is asked again.
    Again,
    /// We close it.
    Close,
    /// It is left open, and silent.
    Rest,
}

/// Asks one server a workload's queries over TCP, over and over. Like the generator over UDP it never
/// sleeps: it looks at each connection in turn.
pub struct Streams<'w> {
    workload: &'w Workload,
    server: SocketAddr,
    clients: u32,
    began: Instant,
    asked: usize,
    opened: u32,
    resting: Vec<TcpStream>,
    tally: Tally,
}

impl<'w> Streams<'w> {
    /// Asks for so many resolvers, each with an address of its own.
    ///
    /// # Panics
    ///
    /// When there is nothing to ask.
    pub fn new(workload: &'w Workload, server: SocketAddr, clients: u32) -> Self {
        assert!(!workload.is_empty(), "a workload of no queries");
        Self {
            workload,
            server,
            clients: clients.max(1),
            began: Instant::now(),
            asked: 0,
            opened: 0,
            resting: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Asks until it is time, and then waits for what is under way, so that every query is answered or
    /// lost. Ends with no connection open but those that rest.
    ///
    /// # Errors
    ///
    /// Those of the system, or a time-out: the server is silent.
    pub fn run(&mut self, manner: Manner, until: Until) -> io::Result<()> {
        let begun = self.began.elapsed();
        let before = self.tally.answered();
        let (mut heard, mut silences) = (begun, 0);
        let mut open: Vec<Connection> = Vec::new();
        loop {
            let now = self.began.elapsed();
            let is_over = match until {
                Until::Passed(time) => now - begun >= time,
                Until::Answered(count) => self.tally.answered() - before >= count,
            };
            if is_over {
                open.retain(|connection| connection.under_way() > 0);
                if open.is_empty() {
                    return Ok(());
                }
            } else {
                while open.len() < manner.connections {
                    open.push(self.connect()?);
                }
            }
            if self.round(&mut open, manner, now, is_over) {
                (heard, silences) = (now, 0);
            } else if now - heard > SILENCE {
                open.drain(..).for_each(|connection| self.lose(&connection));
                (heard, silences) = (now, silences + 1);
                if silences == SILENCES {
                    return Err(io::Error::new(ErrorKind::TimedOut, "the server is silent"));
                }
            }
        }
    }

    /// Closes those that rest; returns how many were open at both ends. Those that the server has
    /// closed are lost.
    pub fn wake(&mut self) -> usize {
        let resting = std::mem::take(&mut self.resting);
        let is_open = |stream: &&TcpStream| {
            stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
        };
        let open = resting.iter().filter(is_open).count();
        self.tally.lost += (resting.len() - open) as u64;
        open
    }

    /// How many rest.
    pub fn resting(&self) -> usize {
        self.resting.len()
    }

    /// What came of the queries since this was asked last.
    pub fn take(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    fn connect(&mut self) -> io::Result<Connection> {
        let client = self.opened % self.clients;
        self.opened = self.opened.wrapping_add(1);
        Connection::open(self.server, source(client))
    }

    /// Looks at each connection once; whether anything was heard.
    fn round(
        &mut self,
        open: &mut Vec<Connection>,
        manner: Manner,
        now: Duration,
        is_over: bool,
    ) -> bool {
        let before = self.tally.answered();
        let mut place = 0;
        while let Some(connection) = open.get_mut(place) {
            let is_used = manner.then != Then::Again && connection.asked() > 0;
            let more = if is_used || is_over { 0 } else { manner.each };
            if self.serve(connection, more, now).is_err() {
                // The server has closed it.
                let connection = open.swap_remove(place);
                self.lose(&connection);
            } else if manner.then != Then::Again && connection.under_way() == 0 {
                let connection = open.swap_remove(place);
                if manner.then == Then::Rest {
                    self.resting.push(connection.into_stream());
                }
            } else {
                place += 1;
            }
        }
        self.tally.answered() > before
    }

    /// Asks until so many are under way, and takes what has come.
    fn serve(&mut self, connection: &mut Connection, each: usize, now: Duration) -> io::Result<()> {
        let workload = self.workload;
        for _ in connection.under_way()..each {
            let query = (self.asked % workload.len()) as u32;
            self.asked += 1;
            self.tally.sent += 1;
            connection.ask(query, workload.get(query).0, now);
        }
        connection.flush()?;
        let (began, tally) = (self.began, &mut self.tally);
        connection.hear(|departed, reply| {
            let Some(departed) = departed else {
                tally.stray += 1;
                return;
            };
            let (query, expected) = workload.get(departed.query);
            match judge(query, expected, reply) {
                Ok(()) => tally.right(began.elapsed().saturating_sub(departed.at)),
                Err(fault) => tally.wrong(fault, query, reply),
            }
        })
    }

    fn lose(&mut self, connection: &Connection) {
        self.tally.lost += connection.under_way() as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    use super::*;
    use crate::generator::{A, Expected, query};

    const CLIENTS: u32 = 100;
    const KEPT: Manner = Manner { connections: 3, each: 4, then: Then::Again };
    const ANEW: Manner = Manner { connections: 3, each: 1, then: Then::Close };
    const IDLE: Manner = Manner { connections: 3, each: 1, then: Then::Rest };

    /// A server that answers "no such name" to so many queries of each connection and then closes
    /// it, in pairs that change places. Its threads end with the connections.
    fn server(answers: usize) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    let mut kept = None;
                    for _ in 0..answers {
                        let mut length = [0; 2];
                        let Ok(()) = stream.read_exact(&mut length) else { return };
                        let mut message = vec![0; u16::from_be_bytes(length).into()];
                        let Ok(()) = stream.read_exact(&mut message) else { return };
                        message[2] |= 0x80;
                        message[3] |= 3;
                        let whole = [&length[..], &message].concat();
                        // What was kept back goes behind the next one, where there is a next.
                        if kept.is_none() && answers > 2 && message[1] % 2 == 0 {
                            kept = Some(whole);
                            continue;
                        }
                        let both = [whole, kept.take().unwrap_or_default()].concat();
                        let Ok(()) = stream.write_all(&both) else { return };
                    }
                });
            }
        });
        address
    }

    fn nowhere() -> Workload {
        let mut workload = Workload::default();
        for name in ["a.test", "b.test", "c.test"] {
            workload.ask(&query(name, A, None), Expected::no_name());
        }
        workload
    }

    fn run(answers: usize, manner: Manner, count: u64) -> (Tally, usize) {
        let workload = nowhere();
        let mut streams = Streams::new(&workload, server(answers), CLIENTS);
        streams.run(manner, Until::Answered(count)).unwrap();
        (streams.take(), streams.wake())
    }

    #[test]
    fn every_query_on_kept_connections_is_answered_in_any_order() {
        // An even number to each, or the last one waits for another that does not come.
        let (tally, resting) = run(usize::MAX, KEPT, 96);
        assert!(tally.right >= 96 && tally.sent == tally.right, "{tally}");
        assert_eq!((tally.all_wrong(), tally.stray, tally.lost, resting), (0, 0, 0, 0), "{tally}");
    }

    #[test]
    fn what_a_closed_connection_leaves_unanswered_is_lost() {
        let (tally, _) = run(6, KEPT, 60);
        assert!(tally.right >= 60 && tally.lost > 0, "{tally}");
        assert_eq!(tally.sent, tally.right + tally.lost, "{tally}");
    }

    #[test]
    fn a_connection_for_each_query_is_closed_or_left_open() {
        let (tally, resting) = run(1, ANEW, 20);
        assert!(tally.right >= 20 && tally.sent == tally.right && resting == 0, "{tally}");
        let (tally, resting) = run(2, IDLE, 20);
        assert!(tally.right >= 20 && resting as u64 == tally.right, "{tally}, {resting} rest");
    }
}
