//! What has come over a connection and was not looked at yet: length-prefixed messages (RFC 1035
//! §4.2.2), whole and begun.

use tokio::io::{AsyncRead, AsyncReadExt};

/// What stays allocated between two queries of a connection: an ordinary query is smaller.
const KEPT: usize = 512;
const PREFIX: usize = 2;

/// Octets in the order in which they came. The buffer grows as octets come, not as a length
/// promises.
#[derive(Default)]
pub(super) struct Inbox {
    octets: Vec<u8>,
}

impl Inbox {
    /// The first message, if it is whole.
    pub(super) fn message(&self) -> Option<&[u8]> {
        let (prefix, rest) = self.octets.split_first_chunk::<PREFIX>()?;
        rest.get(..usize::from(u16::from_be_bytes(*prefix)))
    }

    /// Everything that has come.
    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }

    pub(super) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// Forgets the first message, which must be whole.
    pub(super) fn forget_message(&mut self) {
        let length = self.message().map_or(0, |message| PREFIX + message.len());
        self.forget(length);
    }

    /// Forgets the first so many octets.
    pub(super) fn forget(&mut self, octets: usize) {
        self.octets.drain(..octets.min(self.octets.len()));
        self.octets.shrink_to(KEPT);
    }

    /// Reads some more; 0 at the end of the stream. Nothing is lost when this is dropped.
    pub(super) async fn fill(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> std::io::Result<usize> {
        if self.octets.len() == self.octets.capacity() {
            self.octets.reserve(KEPT);
        }
        stream.read_buf(&mut self.octets).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn filled(mut octets: &[u8]) -> Inbox {
        let mut inbox = Inbox::default();
        while inbox.fill(&mut octets).await.unwrap() > 0 {}
        inbox
    }

    #[tokio::test]
    async fn messages_are_taken_one_after_the_other() {
        let mut inbox = filled(b"\0\x03one\0\0\0\x05three\0\x04fo").await;
        for message in ["one", "", "three"] {
            assert_eq!(inbox.message(), Some(message.as_bytes()));
            inbox.forget_message();
        }
        assert_eq!((inbox.message(), inbox.octets()), (None, &b"\0\x04fo"[..]));
        inbox.forget(4);
        assert!(inbox.is_empty());
    }

    #[tokio::test]
    async fn room_is_taken_for_what_comes_and_given_back() {
        let promised = filled(&[0xff, 0xff, 1]).await;
        assert!(promised.octets.capacity() <= KEPT, "{}", promised.octets.capacity());
        let mut whole = filled(&[&[0xff, 0xff][..], &[1; 65_535]].concat()).await;
        assert_eq!(whole.message().map(<[u8]>::len), Some(65_535));
        whole.forget_message();
        assert!(whole.octets.capacity() <= KEPT, "{}", whole.octets.capacity());
    }
}
