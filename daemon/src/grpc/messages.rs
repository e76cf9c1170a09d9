//! A limit on request messages that is known before their bytes arrive.
//!
//! gRPC puts five bytes before each message: a flag and a big-endian length. The length is a
//! promise the peer makes; a decoder that believes it reserves the memory at once. So it is
//! looked at here, on the way in, and answered with RESOURCE_EXHAUSTED.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Bytes;

const HEADER: usize = 5;

/// `body`, ending with an error at the first message longer than `max` bytes.
pub(super) fn limited(body: Body, max: usize) -> Body {
    Body::new(Limited { body, messages: Messages::new(max) })
}

struct Limited {
    body: Body,
    messages: Messages,
}

/// Where in the sequence of messages the bytes so far have led.
#[derive(Debug, PartialEq, Eq)]
struct Messages {
    max: usize,
    header: [u8; HEADER],
    /// Bytes of the header seen.
    seen: usize,
    /// Bytes of the message still to come.
    rest: usize,
}

impl Messages {
    fn new(max: usize) -> Self {
        Self { max, header: [0; HEADER], seen: 0, rest: 0 }
    }

    /// Follows `bytes`; the length of a message that is too long.
    fn follow(&mut self, mut bytes: &[u8]) -> Result<(), usize> {
        while !bytes.is_empty() {
            if self.rest > 0 {
                let skipped = self.rest.min(bytes.len());
                self.rest -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            self.header[self.seen] = bytes[0];
            self.seen += 1;
            bytes = &bytes[1..];
            if self.seen == HEADER {
                let [_, a, b, c, d] = self.header;
                let length = u32::from_be_bytes([a, b, c, d]) as usize;
                if length > self.max {
                    return Err(length);
                }
                (self.seen, self.rest) = (0, length);
            }
        }
        Ok(())
    }
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        if let Some(Err(length)) = data.map(|data| self.messages.follow(data)) {
            let max = self.messages.max;
            let words = format!("a message of {length} bytes is too long, the limit is {max}");
            return Poll::Ready(Some(Err(Status::resource_exhausted(words))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let promised = u32::try_from(length).unwrap().to_be_bytes();
        [&[0][..], &promised, &vec![0xff; length]].concat()
    }

    #[test]
    fn lengths_are_read_however_the_bytes_are_cut() {
        let stream = [message(0), message(3), message(10), message(1)].concat();
        for size in 1..=stream.len() {
            let mut messages = Messages::new(10);
            for piece in stream.chunks(size) {
                assert_eq!(messages.follow(piece), Ok(()), "pieces of {size}");
            }
            assert_eq!((messages.seen, messages.rest), (0, 0));
        }
    }

    #[test]
    fn a_promise_that_is_too_large_is_refused_before_it_is_kept() {
        for size in 1..=20 {
            let stream = [message(10), message(11)].concat();
            let mut messages = Messages::new(10);
            let refused = stream[..20].chunks(size).find_map(|piece| messages.follow(piece).err());
            assert_eq!(refused, Some(11), "pieces of {size}");
        }
        let mut messages = Messages::new(10);
        assert_eq!(messages.follow(&[0, 0xff, 0xff, 0xff, 0xff]), Err(u32::MAX as usize));
    }
}
