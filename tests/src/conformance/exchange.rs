//! One message to a real server, and what comes back: or the certainty that nothing does.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use super::expect::Transport;

/// How long an answer may take on a busy machine before it counts as lost.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The id of canaries; no other query has it.
const CANARY_ID: [u8; 2] = [0xca, 0x4a];

/// Where a server listens, and a query that it answers.
#[derive(Clone, Debug)]
pub struct Peer {
    /// For UDP and TCP.
    pub address: SocketAddr,
    /// Answered always, with whatever response code.
    canary: Vec<u8>,
}

impl Peer {
    /// A server that answers `canary`.
    pub fn new(address: SocketAddr, mut canary: Vec<u8>) -> Peer {
        canary[..2].copy_from_slice(&CANARY_ID);
        Peer { address, canary }
    }

    /// Sends `query` and returns the answer; none: there is none.
    ///
    /// If silence is what is expected, a canary is sent behind the query. Servers here have one
    /// thread, which takes messages in order: once the canary is answered, nothing will come any
    /// more, however slow the machine is.
    pub fn ask(
        &self,
        transport: Transport,
        from: Ipv4Addr,
        query: &[u8],
        silence: bool,
    ) -> io::Result<Option<Vec<u8>>> {
        match transport {
            Transport::Udp => self.over_udp(from, query, silence),
            Transport::Tcp => self.over_tcp(from, query, silence),
        }
    }

    fn over_udp(&self, from: Ipv4Addr, query: &[u8], silence: bool) -> io::Result<Option<Vec<u8>>> {
        let socket = UdpSocket::bind((from, 0))?;
        socket.connect(self.address)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        socket.send(query)?;
        if silence {
            socket.send(&self.canary)?;
        }
        let mut buffer = vec![0; usize::from(u16::MAX)];
        match socket.recv(&mut buffer) {
            Ok(length) => Ok(not_the_canary(buffer[..length].to_vec())),
            Err(error) if is_timeout(&error) && !silence => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn over_tcp(&self, from: Ipv4Addr, query: &[u8], silence: bool) -> io::Result<Option<Vec<u8>>> {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&socket, &SocketAddr::from((from, 0)))?;
        connect(&socket, &self.address)?;
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(TIMEOUT))?;
        let mut frames = frame(query)?;
        if silence {
            frames.extend(frame(&self.canary)?);
        }
        stream.write_all(&frames)?;
        match read_frame(&mut stream) {
            Ok(reply) => Ok(not_the_canary(reply)),
            // Silence on a connection is its end.
            Err(error) if is_end(&error) => Ok(None),
            Err(error) if is_timeout(&error) && !silence => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn not_the_canary(reply: Vec<u8>) -> Option<Vec<u8>> {
    (!reply.starts_with(&CANARY_ID)).then_some(reply)
}

fn frame(message: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    Ok([&length.to_be_bytes(), message].concat())
}

fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}
