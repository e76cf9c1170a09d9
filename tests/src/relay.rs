//! A network between two programs that can fall silent, slow down or break.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the threads look at the mode.
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
    mode: Shared,
    thread: Option<JoinHandle<()>>,
}

/// `None`: the relay is gone, and its threads end.
type Shared = Arc<Mutex<Option<Mode>>>;

impl Relay {
    /// Starts relaying to `upstream`.
    pub fn start(upstream: SocketAddr) -> Relay {
        let listener =
            listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound listener has an address");
        let mode: Shared = Arc::new(Mutex::new(Some(Mode::Pass)));
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
        write(&self.mode, Some(mode));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        write(&self.mode, None);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Accepts until the relay is gone. In `Refuse` the listener is closed, and opened again on the
/// same port afterwards.
fn accept(address: SocketAddr, listener: TcpListener, upstream: SocketAddr, mode: &Shared) {
    let mut listener = Some(listener);
    while let Some(now) = read(mode) {
        if now == Mode::Refuse {
            listener = None;
        } else if listener.is_none() {
            listener = listen(address).ok();
        }
        match listener.as_ref().map(TcpListener::accept) {
            Some(Ok((downstream, _))) => {
                let mode = Arc::clone(mode);
                std::thread::spawn(move || connect(&downstream, upstream, &mode));
            }
            _ => std::thread::sleep(TICK),
        }
    }
}

/// Waits while the network is silent, then joins both sides.
fn connect(downstream: &TcpStream, upstream: SocketAddr, mode: &Shared) {
    while read(mode) == Some(Mode::Stall) {
        std::thread::sleep(TICK);
    }
    let Ok(upstream) = TcpStream::connect(upstream) else { return };
    let pairs = [(downstream, &upstream), (&upstream, downstream)];
    for (from, to) in pairs {
        let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { return };
        let mode = Arc::clone(mode);
        std::thread::spawn(move || {
            let _ = copy(&from, &to, &mode);
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}

/// Moves bytes one way until an end closes, the network refuses, or the relay is gone.
fn copy(mut from: &TcpStream, mut to: &TcpStream, mode: &Shared) -> std::io::Result<()> {
    from.set_nonblocking(false)?;
    from.set_read_timeout(Some(TICK))?;
    to.set_nodelay(true)?;
    let mut buffer = [0; CHUNK];
    loop {
        let now = read(mode);
        if matches!(now, None | Some(Mode::Refuse)) {
            return Ok(());
        }
        let length = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if is_quiet(error.kind()) => continue,
            Err(error) => return Err(error),
        };
        hold(mode, Instant::now());
        to.write_all(&buffer[..length])?;
    }
}

/// Keeps bytes that came at `since` for as long as the network wants.
fn hold(mode: &Shared, since: Instant) {
    loop {
        match read(mode) {
            Some(Mode::Stall) => {}
            Some(Mode::Delay(delay)) if since.elapsed() < delay => {}
            _ => return,
        }
        std::thread::sleep(TICK);
    }
}

fn is_quiet(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn read(mode: &Shared) -> Option<Mode> {
    *mode.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(mode: &Shared, new: Option<Mode>) {
    *mode.lock().unwrap_or_else(PoisonError::into_inner) = new;
}
