//! One question to one server: UDP with retries, TCP when the answer is truncated or TCP was
//! asked for. Every wait and every loop is bounded.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::{NotOurs, Question};

/// Datagrams that are not our answer are skipped, so that a stranger cannot end the query by
/// guessing the port; this many, so that he cannot keep us busy either.
const MAX_STRAYS: usize = 64;

/// How long to wait, and how often to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// For one try.
    pub(crate) per_try: Duration,
    /// Tries over UDP; over TCP there is always one, the kernel retries by itself.
    pub(crate) tries: u8,
}

/// The most tries anybody may ask for.
pub(crate) const MAX_TRIES: u8 = 10;

impl Default for Patience {
    fn default() -> Self {
        Self { per_try: Duration::from_secs(2), tries: 3 }
    }
}

/// How to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// UDP, and TCP when the answer is truncated.
    Either,
    /// UDP, whatever the answer.
    Udp,
    Tcp,
}

/// How the answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// The answer, and what can be said about its way.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) message: Message,
    /// Bytes of the message as received.
    pub(crate) size: usize,
    /// From sending the query that was answered to having the answer.
    pub(crate) elapsed: Duration,
    pub(crate) server: SocketAddr,
    pub(crate) transport: Transport,
}

/// No answer. Nothing was changed anywhere; asking again is safe.
#[derive(Debug, Error)]
pub(crate) enum AskError {
    #[error("no DNS answer from {server} within {}, {tries} tries", humantime::format_duration(*per_try))]
    TimedOut { server: SocketAddr, per_try: Duration, tries: u8 },
    #[error("connection refused by {server}: no DNS server listens there")]
    Refused { server: SocketAddr },
    #[error("{server} answers nonsense: {cause}")]
    Malformed { server: SocketAddr, cause: NotOurs },
    #[error("{server}: {cause}")]
    Io { server: SocketAddr, cause: io::Error },
    #[error("the query cannot be encoded: {0}")]
    Encode(#[from] hickory_proto::ProtoError),
    #[error("the operating system gave no random number: {0}")]
    Random(#[from] getrandom::Error),
}

/// Asks.
///
/// # Errors
/// [`AskError`] names the server and the cause.
pub(crate) async fn ask(
    server: SocketAddr,
    question: &Question,
    patience: Patience,
    way: Way,
) -> Result<Reply, AskError> {
    if way != Way::Tcp {
        let reply = ask_udp(server, question, patience).await?;
        if way == Way::Udp || !reply.message.metadata.truncation {
            return Ok(reply);
        }
    }
    ask_tcp(server, question, patience.per_try).await
}

async fn ask_udp(
    server: SocketAddr,
    question: &Question,
    patience: Patience,
) -> Result<Reply, AskError> {
    for _ in 0..patience.tries {
        // A fresh id and a fresh port for each try: a late answer to an earlier one is a stray.
        let id = random_id()?;
        let query = question.encode(id)?;
        let exchange = udp_once(server, question, id, &query);
        match timeout(patience.per_try, exchange).await {
            Ok(result) => return result,
            Err(_elapsed) => {}
        }
    }
    Err(AskError::TimedOut { server, per_try: patience.per_try, tries: patience.tries })
}

async fn udp_once(
    server: SocketAddr,
    question: &Question,
    id: u16,
    query: &[u8],
) -> Result<Reply, AskError> {
    let failed = |cause: io::Error| blame(server, cause);
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.map_err(failed)?;
    // A connected socket takes datagrams from the server only, and learns of a closed port.
    socket.connect(server).await.map_err(failed)?;
    let started = Instant::now();
    socket.send(query).await.map_err(failed)?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    for _ in 0..MAX_STRAYS {
        let size = socket.recv(&mut buffer).await.map_err(failed)?;
        match question.accept(id, &buffer[..size]) {
            Ok(message) => {
                let elapsed = started.elapsed();
                return Ok(Reply { message, size, elapsed, server, transport: Transport::Udp });
            }
            Err(cause @ NotOurs::Malformed(_)) => {
                return Err(AskError::Malformed { server, cause });
            }
            Err(NotOurs::Id | NotOurs::NotAResponse | NotOurs::Question) => {}
        }
    }
    Err(AskError::Malformed { server, cause: NotOurs::Id })
}

async fn ask_tcp(
    server: SocketAddr,
    question: &Question,
    per_try: Duration,
) -> Result<Reply, AskError> {
    let id = random_id()?;
    let query = question.encode(id)?;
    let started = Instant::now();
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        // One write, so that length and message leave in one segment (RFC 7766 §8).
        let mut framed = Vec::with_capacity(query.len() + 2);
        let length = u16::try_from(query.len()).map_err(io::Error::other)?;
        framed.extend(length.to_be_bytes());
        framed.extend(&query);
        stream.write_all(&framed).await?;
        let mut answer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    };
    let answer = match timeout(per_try, exchange).await {
        Ok(result) => result.map_err(|cause| blame(server, cause))?,
        Err(_elapsed) => return Err(AskError::TimedOut { server, per_try, tries: 1 }),
    };
    let message =
        question.accept(id, &answer).map_err(|cause| AskError::Malformed { server, cause })?;
    let elapsed = started.elapsed();
    Ok(Reply { message, size: answer.len(), elapsed, server, transport: Transport::Tcp })
}

fn blame(server: SocketAddr, cause: io::Error) -> AskError {
    match cause.kind() {
        ErrorKind::ConnectionRefused => AskError::Refused { server },
        ErrorKind::UnexpectedEof => {
            let cause = io::Error::new(cause.kind(), "it closed the connection without an answer");
            AskError::Io { server, cause }
        }
        _ => AskError::Io { server, cause },
    }
}

/// The id need not only differ, it must not be guessed (RFC 5452 §4.3).
fn random_id() -> Result<u16, getrandom::Error> {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes)?;
    Ok(u16::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::parse_name;
    use hickory_proto::op::{MessageType, OpCode};
    use hickory_proto::rr::{RData, Record, RecordType};
    use tokio::net::TcpListener;

    const QUICK: Patience = Patience { per_try: Duration::from_millis(200), tries: 2 };
    /// For answers that do come: long enough for a busy machine.
    const PATIENT: Patience = Patience { per_try: Duration::from_secs(20), tries: 1 };

    fn question() -> Question {
        Question::new(parse_name("geo.test-net.io").unwrap(), RecordType::A)
    }

    fn answer_to(query: &[u8], addresses: u8) -> Message {
        let mut message = Message::from_vec(query).unwrap();
        message.metadata.message_type = MessageType::Response;
        for last in 0..addresses {
            let address = Ipv4Addr::new(192, 0, 2, last);
            let data = RData::A(address.into());
            message.add_answer(Record::from_rdata(question().name, 60, data));
        }
        message
    }

    #[tokio::test]
    async fn strays_are_skipped_until_the_right_answer_comes() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let serve = async {
            let mut buffer = [0; 512];
            let (size, from) = server.recv_from(&mut buffer).await.unwrap();
            let good = answer_to(&buffer[..size], 1);
            let mut wrong_id = good.clone();
            wrong_id.metadata.id ^= 1;
            let mut other = good.clone();
            other.queries[0].name = parse_name("evil.test-net.io").unwrap();
            for message in [wrong_id, other, good] {
                server.send_to(&message.to_vec().unwrap(), from).await.unwrap();
            }
        };
        let question = question();
        let (reply, ()) = tokio::join!(ask(address, &question, PATIENT, Way::Either), serve);
        let reply = reply.unwrap();
        assert_eq!(reply.message.answers.len(), 1);
        assert_eq!(reply.transport, Transport::Udp);
    }

    #[tokio::test]
    async fn a_truncated_answer_is_asked_for_again_over_tcp() {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(address).await.unwrap();
        let serve = async {
            let mut buffer = [0; 512];
            let (size, from) = udp.recv_from(&mut buffer).await.unwrap();
            let mut short = answer_to(&buffer[..size], 0);
            short.metadata.truncation = true;
            udp.send_to(&short.to_vec().unwrap(), from).await.unwrap();
            let (mut stream, _) = tcp.accept().await.unwrap();
            let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut query).await.unwrap();
            let whole = answer_to(&query, 200).to_vec().unwrap();
            stream.write_u16(whole.len().try_into().unwrap()).await.unwrap();
            stream.write_all(&whole).await.unwrap();
        };
        let question = question();
        let (reply, ()) = tokio::join!(ask(address, &question, PATIENT, Way::Either), serve);
        let reply = reply.unwrap();
        assert_eq!(reply.transport, Transport::Tcp);
        assert_eq!(reply.message.answers.len(), 200);
    }

    #[tokio::test]
    async fn silence_and_a_closed_port_are_told_apart() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        let error = ask(address, &question(), QUICK, Way::Either).await.unwrap_err();
        let told = format!("no DNS answer from {address} within 200ms, 2 tries");
        assert_eq!(error.to_string(), told);
        drop(silent);
        let error = ask(address, &question(), QUICK, Way::Either).await.unwrap_err();
        assert!(matches!(error, AskError::Refused { .. }), "{error}");
        let error = ask(address, &question(), QUICK, Way::Tcp).await.unwrap_err();
        assert!(matches!(error, AskError::Refused { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_hangs_up_is_blamed() {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let serve = async {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut query).await.unwrap();
            let mut half = Message::response(1, OpCode::Query).to_vec().unwrap();
            half.truncate(5);
            stream.write_u16(100).await.unwrap();
            stream.write_all(&half).await.unwrap();
        };
        let question = question();
        let (reply, ()) = tokio::join!(ask(address, &question, PATIENT, Way::Tcp), serve);
        let told = format!("{address}: it closed the connection without an answer");
        assert_eq!(reply.unwrap_err().to_string(), told);
    }
}
