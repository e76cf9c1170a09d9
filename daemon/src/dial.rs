//! A TCP connection to a host and port.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Names that are resolved at once. The system's resolver blocks a thread until it gives up, however
/// long ago whoever asked has stopped waiting; a few dozen serve thousands of names where resolving
/// works, and leave most of the runtime's 512 blocking threads to the disk where it does not.
static RESOLVER: Resolver = Resolver(Semaphore::const_new(32));

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has no address.
    #[error("the name has no address: {0}")]
    Resolve(io::Error),
    /// Nothing listens there.
    #[error("the connection is refused: nothing listens there")]
    Refused,
    /// The network does not lead there.
    #[error("unreachable: {0}")]
    Unreachable(io::Error),
}

impl DialError {
    /// Whether this machine is to blame, which says nothing about the other.
    pub fn is_ours(&self) -> bool {
        match self {
            Self::Resolve(cause) | Self::Unreachable(cause) => lacks_means(cause),
            Self::Refused => false,
        }
    }
}

/// Whether an error says that this machine lacks descriptors, ports or memory.
pub(crate) fn lacks_means(error: &io::Error) -> bool {
    let Some(error) = Errno::from_io_error(error) else { return false };
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL].contains(&error)
}

/// Connects to the first address of `host` that takes the connection. It is given up by dropping.
///
/// # Errors
///
/// [`DialError`], of the last address tried.
pub async fn tcp(host: &str, port: u16) -> Result<(TcpStream, SocketAddr), DialError> {
    let found = RESOLVER.resolve(host, port, system_addresses).await;
    let addresses = found.map_err(DialError::Resolve)?;
    let none = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    let mut last = DialError::Resolve(none);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(socket) => {
                let _ = socket.set_nodelay(true); // slower without, but right
                return Ok((socket, address));
            }
            Err(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
                last = DialError::Refused;
            }
            Err(cause) => last = DialError::Unreachable(cause),
        }
    }
    Err(last)
}

/// Bounds how many names are resolved at once.
struct Resolver(Semaphore);

impl Resolver {
    /// The addresses of a host. One that is an address itself waits for nobody.
    async fn resolve(
        &'static self,
        host: &str,
        port: u16,
        lookup: impl FnOnce(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let place = self.0.acquire().await.map_err(io::Error::other)?;
        let host = host.to_owned();
        let blocking = tokio::task::spawn_blocking(move || {
            // The thread holds the place, not whoever waits for it: they may be gone long before.
            let _place = place;
            lookup(&host, port)
        });
        blocking.await.map_err(io::Error::other)?
    }
}

fn system_addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Longer than it takes, shorter than anybody waits.
    const DEADLINE: Duration = Duration::from_secs(30);

    /// A resolver that hangs until told, at the one place there is: those who stopped waiting
    /// still have their thread, so nobody may get another.
    #[tokio::test]
    async fn a_hanging_resolver_costs_no_more_threads_than_there_are_places() {
        static ONE: Resolver = Resolver(Semaphore::const_new(1));
        let (go, told) = mpsc::channel::<()>();
        let (start, mut started) = tokio::sync::mpsc::unbounded_channel();
        let first = tokio::spawn(ONE.resolve("hanging", 1, move |_, _| {
            let _ = start.send(());
            let _ = told.recv();
            Ok(Vec::new())
        }));
        tokio::time::timeout(DEADLINE, started.recv()).await.unwrap().unwrap();
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());

        let found = SocketAddr::from(([192, 0, 2, 1], 7));
        let mut second = Box::pin(ONE.resolve("works", 7, move |_, _| Ok(vec![found])));
        assert!(ready(&mut second).is_none(), "the hanging thread has the place");
        for literal in ["192.0.2.1", "::1"] {
            let resolving = ONE.resolve(literal, 7, |_, _| unreachable!("an address is no name"));
            let address = SocketAddr::new(literal.parse().unwrap(), 7);
            let resolved = ready(&mut Box::pin(resolving));
            assert_eq!(resolved.expect("it waits for nobody").unwrap(), [address]);
        }
        go.send(()).unwrap();
        let resolved = tokio::time::timeout(DEADLINE, second).await.unwrap();
        assert_eq!(resolved.unwrap(), [found]);
    }

    /// What a future is ready with, when it is.
    fn ready<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}
