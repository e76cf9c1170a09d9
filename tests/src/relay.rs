//! A network between two programs that can fall silent, slow down or break.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};

/// How long a thread waits for its socket until it looks at the mode.
const TICK: Duration = Duration::from_millis(5);

/// Bytes moved at once.
const CHUNK: usize = 16 * 1024;

/// What the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It works.
    Pass,
    /// It works, and each way takes this long.
    Delay(Duration),
    /// A black hole: connections are accepted and bytes taken, and nothing ever answers. What was
    /// taken arrives when the network works again, as retransmitted packets would.
    Stall,
    /// Nobody listens, and connections that were there are cut.
    Refuse,
}

/// A relay of TCP connections from a loopback port of its own to one address.
pub struct Relay {
    address: SocketAddr,
    mode: Arc<Network>,
    thread: Option<JoinHandle<()>>,
}

/// What the network does now, and that it changes.
struct Network {
    /// `None`: the relay is gone, and its threads end.
    mode: Mutex<Option<Mode>>,
    changed: Condvar,
}

impl Relay {
    /// Starts relaying to `upstream`.
    pub fn start(upstream: SocketAddr) -> Relay {
        let listener =
            listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound listener has an address");
        let mode = Mutex::new(Some(Mode::Pass));
        let mode = Arc::new(Network { mode, changed: Condvar::new() });
        let thread = std::thread::spawn({
            let mode = Arc::clone(&mode);
            move || accept(address, listener, upstream, &mode)
        });
        Relay { address, mode, thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what the network does, for connections that are there and for new ones.
    pub fn set(&self, mode: Mode) {
        self.mode.set(Some(mode));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.mode.set(None);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Network {
    fn now(&self) -> Option<Mode> {
        *self.lock()
    }

    fn set(&self, new: Option<Mode>) {
        *self.lock() = new;
        self.changed.notify_all();
    }

    /// Waits while the mode is `mode`, and no longer than `most`.
    fn wait_while(&self, mode: Mode, most: Duration) {
        let is_same = |now: &mut Option<Mode>| *now == Some(mode);
        let waited = self.changed.wait_timeout_while(self.lock(), most, is_same);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Keeps bytes that came at `since` for as long as the network wants.
    fn hold(&self, since: Instant) {
        while let Some(now) = self.now() {
            match now {
                Mode::Stall => self.wait_while(now, Duration::MAX),
                Mode::Delay(delay) if since.elapsed() < delay => {
                    self.wait_while(now, delay.saturating_sub(since.elapsed()));
                }
                _ => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Mode>> {
        self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts until the relay is gone. In `Refuse` the listener is closed, and opened again on the
/// same port afterwards.
fn accept(
    address: SocketAddr,
    listener: TcpListener,
    upstream: SocketAddr,
    network: &Arc<Network>,
) {
    let mut listener = Some(listener);
    while let Some(now) = network.now() {
        if now == Mode::Refuse {
            listener = None;
        } else if listener.is_none() {
            listener = listen(address).ok();
        }
        match listener.as_ref().map(TcpListener::accept) {
            Some(Ok((downstream, _))) => {
                let network = Arc::clone(network);
                std::thread::spawn(move || connect(&downstream, upstream, &network));
            }
            Some(Err(error)) if is_quiet(error.kind()) => {}
            _ => network.wait_while(now, TICK),
        }
    }
}

/// Waits while the network is silent, then joins both sides.
fn connect(downstream: &TcpStream, upstream: SocketAddr, network: &Arc<Network>) {
    network.wait_while(Mode::Stall, Duration::MAX);
    let Ok(upstream) = TcpStream::connect(upstream) else { return };
    let pairs = [(downstream, &upstream), (&upstream, downstream)];
    for (from, to) in pairs {
        let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { return };
        let network = Arc::clone(network);
        std::thread::spawn(move || {
            let _ = copy(&from, &to, &network);
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}

/// Moves bytes one way until an end closes, the network refuses, or the relay is gone.
fn copy(mut from: &TcpStream, mut to: &TcpStream, network: &Network) -> std::io::Result<()> {
    from.set_read_timeout(Some(TICK))?;
    to.set_nodelay(true)?;
    let mut buffer = [0; CHUNK];
    loop {
        if matches!(network.now(), None | Some(Mode::Refuse)) {
            return Ok(());
        }
        let length = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if is_quiet(error.kind()) => continue,
            Err(error) => return Err(error),
        };
        network.hold(Instant::now());
        to.write_all(&buffer[..length])?;
    }
}

fn is_quiet(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    set_socket_timeout(&listener, Timeout::Recv, Some(TICK))?;
    Ok(listener)
}
