//! A connection that ends at its time, whatever the peer or the protocol above do.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::shutdown::CancellationToken;

/// `S`, until its lifetime is over or it is cut; holds a place among the connections meanwhile.
pub(crate) struct Bounded<S> {
    stream: S,
    deadline: Pin<Box<Sleep>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Gives the place back when the connection is gone.
    _place: OwnedSemaphorePermit,
}

impl<S> Bounded<S> {
    pub(crate) fn new(
        stream: S,
        lifetime: Duration,
        cut: CancellationToken,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let deadline = Box::pin(tokio::time::sleep(lifetime));
        Self { stream, deadline, cut: Box::pin(cut.cancelled_owned()), _place: place }
    }

    /// Looked at before reading and before writing: a protocol may wait for either alone.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the connection's time is over"));
        }
        if self.cut.as_mut().poll(cx).is_ready() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the server is leaving"));
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_over(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_over(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_over(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_over(cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_over(cx)?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Semaphore;

    const LIFETIME: Duration = Duration::from_secs(60);

    fn bounded() -> (Bounded<tokio::io::DuplexStream>, CancellationToken, Arc<Semaphore>) {
        let (near, far) = tokio::io::duplex(4);
        std::mem::forget(far); // a peer that neither reads, nor writes, nor leaves
        let (cut, places) = (CancellationToken::new(), Arc::new(Semaphore::new(1)));
        let place = places.clone().try_acquire_owned().unwrap();
        (Bounded::new(near, LIFETIME, cut.clone(), place), cut, places)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_writes_or_reads_is_left_in_time() {
        let (mut stream, _cut, places) = bounded();
        let start = tokio::time::Instant::now();
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!((error.kind(), start.elapsed()), (io::ErrorKind::TimedOut, LIFETIME));
        assert_eq!(places.available_permits(), 0);
        drop(stream);
        assert_eq!(places.available_permits(), 1);

        let (mut stream, ..) = bounded();
        let start = tokio::time::Instant::now();
        let error = stream.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!((error.kind(), start.elapsed()), (io::ErrorKind::TimedOut, LIFETIME));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_wakes_whoever_waits() {
        let (mut stream, cut, _places) = bounded();
        let waiting = tokio::spawn(async move { stream.read_u8().await.unwrap_err().kind() });
        tokio::task::yield_now().await;
        cut.cancel();
        assert_eq!(waiting.await.unwrap(), io::ErrorKind::ConnectionAborted);
    }
}
