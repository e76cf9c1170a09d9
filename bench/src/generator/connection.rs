//! A connection over TCP: queries out, replies in, each behind its length (RFC 1035 §4.2.2).

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::flight::Departed;

/// Octets that stand before a message.
const LENGTH: usize = 2;
/// No reply to what is asked here is longer, and several at once go in.
const BUFFER: usize = 16 * 1024;

/// One connection and the queries under way on it.
pub(super) struct Connection {
    stream: TcpStream,
    outgoing: Vec<u8>,
    incoming: Box<[u8]>,
    filled: usize,
    waiting: Vec<(u16, Departed)>,
    next: u16,
    asked: u64,
}

impl Connection {
    /// Begins to connect from an address. Whether that succeeds is seen when it is asked.
    ///
    /// # Errors
    ///
    /// Those of the system, such as no descriptors left.
    pub(super) fn open(server: SocketAddr, source: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.bind(&source.into())?;
        match socket.connect(&server.into()) {
            Err(error) if Errno::from_io_error(&error) != Some(Errno::INPROGRESS) => {
                return Err(error);
            }
            _ => {}
        }
        Ok(Self {
            stream: socket.into(),
            outgoing: Vec::new(),
            incoming: vec![0; BUFFER].into(),
            filled: 0,
            waiting: Vec::new(),
            next: 0,
            asked: 0,
        })
    }

    /// Asks this too, with the next flush.
    pub(super) fn ask(&mut self, query: u32, octets: &[u8], at: Duration) {
        let id = self.next;
        self.next = id.wrapping_add(1);
        self.asked += 1;
        self.waiting.push((id, Departed { query, at }));
        // A query is a message, so its length fits.
        self.outgoing.extend((octets.len() as u16).to_be_bytes());
        self.outgoing.extend(id.to_be_bytes());
        self.outgoing.extend(octets.get(2..).unwrap_or_default());
    }

    /// Sends what is to be sent, as far as there is room.
    ///
    /// # Errors
    ///
    /// The connection is over.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            match self.stream.write(&self.outgoing) {
                Ok(sent) => drop(self.outgoing.drain(..sent)),
                Err(error) if is_later(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes what has come: each reply, with the query it is to; none where nobody waits for it.
    ///
    /// # Errors
    ///
    /// The connection is over, or a reply is longer than any should be.
    pub(super) fn hear(&mut self, mut take: impl FnMut(Option<Departed>, &[u8])) -> io::Result<()> {
        match self.stream.read(&mut self.incoming[self.filled..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => self.filled += read,
            Err(error) if is_later(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
        let mut from = 0;
        while let Some(message) = message(&self.incoming[from..self.filled]) {
            from += LENGTH + message.len();
            let id = message.first_chunk().map(|id| u16::from_be_bytes(*id));
            // RFC 7766 §6.2.1.1: replies may come in any order.
            let place = self.waiting.iter().position(|(waiting, _)| Some(*waiting) == id);
            take(place.map(|place| self.waiting.swap_remove(place).1), message);
        }
        self.incoming.copy_within(from..self.filled, 0);
        self.filled -= from;
        if self.filled == self.incoming.len() {
            return Err(io::Error::new(ErrorKind::InvalidData, "a reply of more than 16 KiB"));
        }
        Ok(())
    }

    /// How many queries are under way.
    pub(super) fn under_way(&self) -> usize {
        self.waiting.len()
    }

    /// How many were asked.
    pub(super) fn asked(&self) -> u64 {
        self.asked
    }

    /// The connection alone, to be left open.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

/// The first message, if it is whole.
fn message(octets: &[u8]) -> Option<&[u8]> {
    let (length, rest) = octets.split_first_chunk()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

/// Not now: there is no room, nothing has come, or the other side has not accepted yet.
fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_whole_or_waited_for() {
        assert_eq!(message(&[]), None);
        assert_eq!(message(&[0]), None);
        assert_eq!(message(&[0, 2, 7]), None);
        assert_eq!(message(&[0, 2, 7, 8, 9]), Some(&[7, 8][..]));
        assert_eq!(message(&[0, 0, 9]), Some(&[][..]));
    }
}
