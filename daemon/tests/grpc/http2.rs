//! Just enough HTTP/2 to misbehave with (RFC 9113), and servers that are none.

#![expect(clippy::disallowed_methods, reason = "binds to the loopback")]

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame's bytes (§4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The header block of a gRPC call, without compression (RFC 7541 §6.2.2).
pub(crate) fn call_headers(path: &str) -> Vec<u8> {
    let mut block = vec![0x83, 0x87]; // :method POST, :scheme https
    for (name, value) in [
        (":path", path),
        (":authority", "server"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        block.extend(literal(name, value));
    }
    block
}

pub(crate) fn literal(name: &str, value: &str) -> Vec<u8> {
    let part = |text: &str| {
        assert!(text.len() < 127, "one length byte");
        [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
    };
    [vec![0], part(name), part(value)].concat()
}

/// The opening of a connection.
pub(crate) fn opening() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// How a connection ended, seen from the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a GOAWAY of this error code.
    GoAway(u32),
    /// Without one.
    Closed,
}

/// Reads frames until the connection ends.
pub(crate) async fn end_of<R: tokio::io::AsyncRead + Unpin>(mut stream: R) -> End {
    let mut said = None;
    loop {
        let mut header = [0; 9];
        if stream.read_exact(&mut header).await.is_err() {
            return said.map_or(End::Closed, End::GoAway);
        }
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let mut payload = vec![0; length];
        if stream.read_exact(&mut payload).await.is_err() {
            return said.map_or(End::Closed, End::GoAway);
        }
        if header[3] == GOAWAY {
            said = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
    }
}

/// Sends everything while reading everything, so that neither side waits for the other; how it
/// ended.
pub(crate) async fn provoke(stream: TlsStream<TcpStream>, bytes: Vec<u8>) -> End {
    let (reader, mut writer) = tokio::io::split(stream);
    let reading = tokio::spawn(end_of(reader));
    for piece in bytes.chunks(16 * 1024) {
        // The server may close while we write.
        if writer.write_all(piece).await.is_err() || writer.flush().await.is_err() {
            break;
        }
    }
    reading.await.unwrap()
}

/// A listener that says `words` to whoever comes, then nothing more.
pub(crate) struct Talker {
    pub(crate) address: SocketAddr,
    _task: AbortOnDrop,
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) async fn talker(words: &'static str) -> Talker {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut guests = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            socket.write_all(words.as_bytes()).await.unwrap();
            guests.push(socket);
        }
    });
    Talker { address, _task: AbortOnDrop(task) }
}
