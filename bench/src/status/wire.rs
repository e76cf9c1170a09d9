//! As much of HTTP/2 (RFC 9113) as a client of one small gRPC method needs, with its requests built
//! beforehand: a client that builds each one anew is slower than the server that is measured.
//!
//! ```text
//!  connection:  preface, SETTINGS, WINDOW_UPDATE
//!  request:     HEADERS (END_HEADERS)         DATA (END_STREAM): 0, length, message
//!  reply:       HEADERS   DATA: 0, length, message   HEADERS (END_STREAM): grpc-status
//! ```

use std::ops::Range;

/// What is sent first (RFC 9113 §3.4): the preface, settings as they are by default, and as much
/// room for replies as [`Allowance`] keeps up.
pub(super) fn opening() -> Vec<u8> {
    let mut opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut opening, SETTINGS, 0, 0, &[]);
    frame(&mut opening, WINDOW_UPDATE, 0, 0, &Allowance::ROOM.to_be_bytes());
    opening
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame's: length, type, flags, stream.
const HEADER: usize = 9;
/// Where the stream stands in it.
const STREAM: Range<usize> = 5..9;
/// A gRPC message's: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The requests of one connection: one method with one message, again and again.
pub(super) struct Requests {
    first: Vec<u8>,
    next: Vec<u8>,
    stream: u32,
}

impl Requests {
    /// Of a method such as `/geoping.v1.GeoPing/Status`.
    pub(super) fn new(path: &str, message: &[u8]) -> Self {
        let mut data = vec![0; PREFIX];
        data[1..].copy_from_slice(&length(message).to_be_bytes());
        data.extend(message);
        let build = |headers: &[u8]| {
            let mut request = Vec::new();
            frame(&mut request, HEADERS, END_HEADERS, 0, headers);
            frame(&mut request, DATA, END_STREAM, 0, &data);
            request
        };
        Self { first: build(&introduced(path)), next: build(&known(path)), stream: 1 }
    }

    /// Appends the next one; its stream.
    pub(super) fn push(&mut self, outgoing: &mut Vec<u8>) -> u32 {
        let (stream, start) = (self.stream, outgoing.len());
        let request = if stream == 1 { &self.first } else { &self.next };
        outgoing.extend(request);
        let request = &mut outgoing[start..];
        let data = HEADER + usize::from(u16::from_be_bytes([request[1], request[2]]));
        for at in [0, data] {
            request[at..][STREAM].copy_from_slice(&stream.to_be_bytes());
        }
        self.stream += 2;
        stream
    }
}

/// Header fields as a client sends them first: all but the path go into the server's table
/// (RFC 7541 §6.2.1).
fn introduced(path: &str) -> Vec<u8> {
    let mut block = vec![METHOD_POST, SCHEME_HTTPS];
    literal(&mut block, &[PATH], path);
    literal(&mut block, &[0x41], "bench"); // :authority
    literal(&mut block, &[0x5f], "application/grpc"); // content-type
    literal(&mut block, b"\x40\x02te", "trailers");
    literal(&mut block, &[0x7a], "bench"); // user-agent
    block
}

/// As it sends them from then on: the newest entry of the table is number 62 (RFC 7541 §2.3.3).
fn known(path: &str) -> Vec<u8> {
    let mut block = vec![METHOD_POST, SCHEME_HTTPS];
    literal(&mut block, &[PATH], path);
    block.extend([65, 64, 63, 62].map(|index| 0x80 | index));
    block
}

/// Entries of the static table (RFC 7541, appendix A).
const METHOD_POST: u8 = 0x80 | 3;
const SCHEME_HTTPS: u8 = 0x80 | 7;
/// A path is not to be put into the table: clients have many.
const PATH: u8 = 4;

fn literal(block: &mut Vec<u8>, name: &[u8], value: &str) {
    block.extend(name);
    block.push(u8::try_from(value.len()).ok().filter(|length| *length < 127).expect("short"));
    block.extend(value.as_bytes());
}

fn frame(to: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    to.extend(&length(payload).to_be_bytes()[1..]);
    to.extend([kind, flags]);
    to.extend(stream.to_be_bytes());
    to.extend(payload);
}

fn length(octets: &[u8]) -> u32 {
    u32::try_from(octets.len()).expect("short")
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said<'b> {
    /// A whole message, on a stream.
    Message(u32, &'b [u8]),
    /// A stream has ended, as a call does that was carried out.
    Ended(u32),
    /// A stream has ended otherwise.
    Reset(u32),
    /// To be answered by this.
    Answer(Vec<u8>),
    /// No more streams on this connection.
    Leaving,
    /// Nothing that matters here.
    Nothing,
}

/// The first frame in `octets`, and how long it is; none: it has not all come yet.
pub(super) fn next(octets: &[u8]) -> Option<(Said<'_>, usize)> {
    let (header, rest) = octets.split_first_chunk::<HEADER>()?;
    let [a, b, c, kind, flags, ids @ ..] = *header;
    let payload = rest.get(..u32::from_be_bytes([0, a, b, c]) as usize)?;
    let stream = u32::from_be_bytes(ids) & (u32::MAX >> 1);
    let said = match kind {
        DATA => message(payload).map_or(Said::Nothing, |message| Said::Message(stream, message)),
        HEADERS if flags & END_STREAM != 0 => Said::Ended(stream),
        RST_STREAM => Said::Reset(stream),
        SETTINGS | PING if flags & ACK == 0 => {
            let mut answer = Vec::new();
            frame(&mut answer, kind, ACK, 0, if kind == PING { payload } else { &[] });
            Said::Answer(answer)
        }
        GOAWAY => Said::Leaving,
        _ => Said::Nothing,
    };
    Some((said, HEADER + payload.len()))
}

/// The gRPC message that makes up a DATA frame. Replies here are far shorter than a frame may be; one
/// that is cut up all the same counts as missing.
fn message(payload: &[u8]) -> Option<&[u8]> {
    let ([compressed, a, b, c, d], message) = payload.split_first_chunk::<PREFIX>()?;
    let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
    (*compressed == 0 && length == message.len()).then_some(message)
}

/// Room for replies (RFC 9113 §5.2): what was taken in is granted again.
#[derive(Default)]
pub(super) struct Allowance {
    taken: u32,
}

impl Allowance {
    /// What there is at first, and never much less.
    const ROOM: u32 = 1 << 26;

    /// So much was taken in.
    pub(super) fn take(&mut self, octets: usize, outgoing: &mut Vec<u8>) {
        self.taken += u32::try_from(octets).expect("less than a buffer");
        if self.taken >= Self::ROOM / 2 {
            frame(outgoing, WINDOW_UPDATE, 0, 0, &self.taken.to_be_bytes());
            self.taken = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(stream: u32, message: &[u8]) -> Vec<u8> {
        let mut reply = Vec::new();
        frame(&mut reply, HEADERS, END_HEADERS, stream, &[0x88]);
        let data = [&[0][..], &length(message).to_be_bytes(), message].concat();
        frame(&mut reply, DATA, 0, stream, &data);
        frame(&mut reply, HEADERS, END_HEADERS | END_STREAM, stream, &[0xbf]);
        reply
    }

    #[test]
    fn what_a_server_says_is_read_frame_by_frame() {
        let replies = [reply(1, b"ab"), reply(3, b"")].concat();
        let (mut rest, mut heard) = (&replies[..], Vec::new());
        while let Some((said, length)) = next(rest) {
            heard.push(said);
            rest = &rest[length..];
        }
        let expected = [
            Said::Nothing,
            Said::Message(1, b"ab"),
            Said::Ended(1),
            Said::Nothing,
            Said::Message(3, b""),
            Said::Ended(3),
        ];
        assert_eq!((heard.as_slice(), rest), (&expected[..], &[][..]));
        for cut in 0..HEADER + 1 {
            assert_eq!(next(&replies[..cut]), None, "{cut} octets");
        }
    }

    #[test]
    fn what_wants_an_answer_gets_it() {
        let mut ping = Vec::new();
        frame(&mut ping, PING, 0, 0, &[7; 8]);
        let Some((Said::Answer(answer), 17)) = next(&ping) else { panic!("no answer") };
        assert_eq!((answer[4], &answer[HEADER..]), (ACK, &[7; 8][..]));
        assert_eq!(next(&answer), Some((Said::Nothing, 17)), "an answer is not answered");
    }

    #[test]
    fn a_message_that_is_no_whole_one_is_none() {
        assert_eq!(message(&[0, 0, 0, 0, 1, 9]), Some(&[9][..]));
        for other in [&[][..], &[0; 4], &[1, 0, 0, 0, 1, 9], &[0, 0, 0, 0, 2, 9]] {
            assert_eq!(message(other), None, "{other:?}");
        }
    }

    #[test]
    fn each_request_has_a_stream_of_its_own() {
        let mut requests = Requests::new("/a/b", b"xyz");
        let mut outgoing = Vec::new();
        assert_eq!([0; 2].map(|_| requests.push(&mut outgoing)), [1, 3]);
        let mut streams = Vec::new();
        while let Some((said, length)) = next(&outgoing) {
            streams.push((u32::from_be_bytes(outgoing[STREAM].try_into().unwrap()), length));
            if let Said::Message(_, message) = said {
                assert_eq!(message, b"xyz");
            }
            outgoing.drain(..length);
        }
        let ids: Vec<u32> = streams.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [1, 1, 3, 3]);
        assert!(streams[2].1 < streams[0].1, "the second one says less: {streams:?}");
    }

    #[test]
    fn what_was_taken_in_is_granted_again() {
        let (mut allowance, mut outgoing) = (Allowance::default(), Vec::new());
        let half = Allowance::ROOM as usize / 2;
        allowance.take(half - 1, &mut outgoing);
        assert!(outgoing.is_empty());
        allowance.take(2, &mut outgoing);
        assert_eq!(outgoing[HEADER..], (Allowance::ROOM / 2 + 1).to_be_bytes());
    }
}
