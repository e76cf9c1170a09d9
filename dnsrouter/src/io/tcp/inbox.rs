//! What has come over a connection and was not looked at yet: length-prefixed messages (RFC 1035
//! §4.2.2), whole and begun.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::sync::CancellationToken;

use super::budget::{Budget, Share};

/// What stays allocated between two queries of a connection: an ordinary query is smaller.
const KEPT: usize = 512;
/// Longer messages take a share of the [`Budget`] for as long as they are here. The longest update
/// that people write is shorter.
const LONG: usize = 4096;
const PREFIX: usize = 2;

/// Octets in the order in which they came. The buffer grows as octets come, not as a length
/// promises.
pub(super) struct Inbox {
    octets: Vec<u8>,
    budget: Arc<Budget>,
    share: Option<Share>,
    /// Cancelled when others need the room more.
    leave: CancellationToken,
}

impl Inbox {
    /// An empty one, of a connection that is closed when `leave` is cancelled.
    pub(super) fn new(budget: Arc<Budget>, leave: CancellationToken) -> Self {
        Self { octets: Vec::new(), budget, share: None, leave }
    }

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
        if self.octets.capacity() <= LONG {
            self.share = None;
        }
    }

    /// Reads some more; 0 at the end of the stream. Nothing is lost when this is dropped.
    pub(super) async fn fill(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> std::io::Result<usize> {
        if self.octets.len() == self.octets.capacity() {
            self.grow();
        }
        stream.read_buf(&mut self.octets).await
    }

    /// Doubles the buffer, but no further than to the end of a long message.
    fn grow(&mut self) {
        let length = self.octets.len();
        let promised = self.octets.first_chunk().map_or(0, |prefix| u16::from_be_bytes(*prefix));
        let whole = PREFIX + usize::from(promised);
        let room = if length < whole {
            (2 * length).max(KEPT).min(whole.max(LONG))
        } else {
            // No message but a header of a proxy, which has a limit of its own.
            length + KEPT
        };
        if room > LONG && self.share.is_none() {
            self.share = Some(self.budget.take(whole.max(room), self.leave.clone()));
        }
        self.octets.reserve_exact(room - length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox() -> Inbox {
        Inbox::new(Budget::new(1 << 20), CancellationToken::new())
    }

    async fn filled(mut octets: &[u8]) -> Inbox {
        let mut inbox = inbox();
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

    #[tokio::test]
    async fn a_long_message_takes_its_share_until_it_is_forgotten() {
        let mut short = filled(&[&[0x0f, 0xf0][..], &[1; 4080]].concat()).await;
        assert!(short.share.is_none() && short.octets.capacity() <= LONG);
        short.forget_message();
        let long = &[&[0xff, 0xff][..], &[1; 65_535]].concat();
        let promised = filled(&long[..4000]).await;
        assert!(promised.share.is_none(), "promises cost nothing");
        let mut begun = filled(&long[..40_000]).await;
        assert_eq!(begun.budget.taken(), PREFIX + 65_535);
        assert!(begun.octets.capacity() <= PREFIX + 65_535);
        let mut rest = &long[40_000..];
        while begun.message().is_none() {
            begun.fill(&mut rest).await.unwrap();
        }
        assert_eq!(begun.octets.capacity(), PREFIX + 65_535, "not twice as much");
        begun.forget_message();
        assert_eq!(begun.budget.taken(), 0);
    }
}
