//! One DNS question over UDP or TCP, and everything that can be seen of its answer.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, RData, RecordType};
use ipnet::IpNet;

/// How long to wait for an answer on loopback before it counts as lost.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The payload size offered; larger than any answer of these tests.
const PAYLOAD: u16 = 1232;

/// A question to be asked, as often as wanted.
#[derive(Clone, Debug)]
pub struct Ask {
    server: SocketAddr,
    name: Name,
    kind: RecordType,
    subnet: Option<IpNet>,
    source: IpAddr,
    recursion: bool,
    tcp: bool,
}

impl Ask {
    /// Asks `server` for the `kind` records of `name`, with EDNS, without a client subnet, over
    /// UDP from 127.0.0.1.
    pub fn new(server: SocketAddr, name: &str, kind: RecordType) -> Ask {
        let name = Name::from_ascii(name).expect("the test asks for a name");
        let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Ask { server, name, kind, subnet: None, source, recursion: false, tcp: false }
    }

    /// The IPv4 addresses of `name`.
    pub fn a(server: SocketAddr, name: &str) -> Ask {
        Ask::new(server, name, RecordType::A)
    }

    /// On behalf of clients in `subnet` (RFC 7871).
    #[must_use]
    pub fn subnet(mut self, subnet: IpNet) -> Ask {
        self.subnet = Some(subnet.trunc());
        self
    }

    /// From this address of the machine.
    #[must_use]
    pub fn from(mut self, source: IpAddr) -> Ask {
        self.source = source;
        self
    }

    /// As a stub asks a resolver.
    #[must_use]
    pub fn recursive(mut self) -> Ask {
        self.recursion = true;
        self
    }

    /// Over TCP.
    #[must_use]
    pub fn tcp(mut self) -> Ask {
        self.tcp = true;
        self
    }

    /// Asks once.
    pub fn send(&self) -> Result<Reply, QueryError> {
        let query = self.message();
        let bytes = query.to_vec().map_err(|error| QueryError::Malformed(error.to_string()))?;
        let started = Instant::now();
        let answer = if self.tcp { self.over_tcp(&bytes) } else { self.over_udp(&bytes) };
        Reply::read(answer.map_err(QueryError::from)?, started.elapsed())
    }

    /// Asks once.
    ///
    /// # Panics
    ///
    /// When there is no answer.
    pub fn expect(&self) -> Reply {
        self.send().unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }

    fn message(&self) -> Message {
        let mut message = Message::query();
        message.metadata.recursion_desired = self.recursion;
        message.add_query(Query::query(self.name.clone(), self.kind));
        let mut edns = Edns::new();
        edns.set_max_payload(PAYLOAD).set_version(0);
        if let Some(subnet) = self.subnet {
            edns.options_mut().insert(EdnsOption::Subnet(ClientSubnet::from(subnet)));
        }
        message.set_edns(edns);
        message
    }

    fn over_udp(&self, query: &[u8]) -> io::Result<Vec<u8>> {
        let socket = UdpSocket::bind((self.source, 0))?;
        socket.connect(self.server)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        socket.send(query)?;
        let mut answer = vec![0; usize::from(u16::MAX)];
        loop {
            let length = socket.recv(&mut answer)?;
            if answer[..length].starts_with(&query[..2]) {
                answer.truncate(length);
                return Ok(answer);
            }
        }
    }

    fn over_tcp(&self, query: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&self.server, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let length = u16::try_from(query.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes(), query].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// As it came.
    pub bytes: Vec<u8>,
    /// As it reads.
    pub message: Message,
    /// From the question to the answer.
    pub took: Duration,
}

impl Reply {
    fn read(bytes: Vec<u8>, took: Duration) -> Result<Reply, QueryError> {
        let message =
            Message::from_vec(&bytes).map_err(|error| QueryError::Malformed(error.to_string()))?;
        Ok(Reply { bytes, message, took })
    }

    /// The response code.
    pub fn rcode(&self) -> ResponseCode {
        self.message.metadata.response_code
    }

    /// The addresses of the answer section, in order of value: their order on the wire means
    /// nothing (RFC 1034 §3.6).
    pub fn addresses(&self) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> = self
            .message
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                RData::A(address) => Some(IpAddr::V4(address.0)),
                RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                _ => None,
            })
            .collect();
        addresses.sort_unstable();
        addresses
    }

    /// The client subnet of the answer: its source prefix and its scope, in bits.
    pub fn subnet(&self) -> Option<(IpNet, u8)> {
        let edns = self.message.edns.as_ref()?;
        let EdnsOption::Subnet(subnet) = edns.option(EdnsCode::Subnet)? else { return None };
        let source = IpNet::new(subnet.addr(), subnet.source_prefix()).ok()?;
        Some((source, subnet.scope_prefix()))
    }

    /// Everything but the id, which the question chose.
    pub fn bytes_but_id(&self) -> &[u8] {
        &self.bytes[2..]
    }

    /// Whether the answer sends a client somewhere: NOERROR, and at least one address.
    pub fn is_useful(&self) -> bool {
        self.rcode() == ResponseCode::NoError && !self.addresses().is_empty()
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} in {:?}", self.rcode(), self.addresses(), self.took)
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueryError {
    /// Nothing came in time.
    #[error("no answer within {TIMEOUT:?}")]
    TimedOut,
    /// The machine or the server refused.
    #[error("{0}")]
    Io(String),
    /// Something came that is no DNS message.
    #[error("not a DNS message: {0}")]
    Malformed(String),
}

impl From<io::Error> for QueryError {
    fn from(error: io::Error) -> QueryError {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => QueryError::TimedOut,
            _ => QueryError::Io(error.to_string()),
        }
    }
}
