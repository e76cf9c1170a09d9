//! Everything that is bound at start: what was handed over, and the rest by ourselves.

mod passed;

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Type};

use crate::config::Listen;

use super::udp;
pub use passed::Passed;

/// Ports are tried in so many rounds until one is free for UDP and TCP alike.
const PORT_ROUNDS: usize = 16;
/// Connections that may wait in the kernel until they are accepted.
const BACKLOG: i32 = 1024;

/// The node's sockets.
pub struct Sockets {
    /// One per UDP thread.
    pub udp: Vec<UdpSocket>,
    /// One or more per address.
    pub tcp: Vec<TcpListener>,
    /// The control service's.
    pub control: Option<TcpListener>,
    /// For metrics.
    pub admin: Option<TcpListener>,
}

impl Sockets {
    /// Takes from `passed` what is for an address of ours, and binds the rest.
    ///
    /// # Errors
    ///
    /// Those of the system, with the address; and that something was passed that nobody asked for.
    pub fn bind(listen: &Listen, passed: &mut Passed) -> Result<Self> {
        let threads = listen.threads.map_or_else(
            || std::thread::available_parallelism().map_or(1, usize::from),
            usize::from,
        );
        let mut sockets = Self { udp: Vec::new(), tcp: Vec::new(), control: None, admin: None };
        for address in &listen.dns {
            sockets
                .dns(*address, threads, passed)
                .with_context(|| format!("cannot serve DNS on {address}"))?;
        }
        let mut one = |address: Option<SocketAddr>, what: &str| {
            let Some(address) = address else { return Ok(None) };
            let bound = passed
                .tcp(address)
                .and_then(|mut listeners| listeners.pop().map_or_else(|| bind_tcp(address), Ok));
            bound.map(Some).with_context(|| format!("cannot serve {what} on {address}"))
        };
        sockets.control = one(listen.control, "the control service")?;
        sockets.admin = one(listen.admin, "metrics")?;
        passed.nothing_left()?;
        Ok(sockets)
    }

    /// What was bound, in the form of the ready file.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn addresses(&self) -> io::Result<serde_json::Value> {
        let of = |listener: &TcpListener| listener.local_addr().map(|a| a.to_string());
        let mut dns = self.tcp.iter().map(of).collect::<io::Result<Vec<_>>>()?;
        dns.dedup();
        let one = |listener: &Option<TcpListener>| listener.as_ref().map(of).transpose();
        Ok(serde_json::json!({
            "dns": dns, "control": one(&self.control)?, "admin": one(&self.admin)?
        }))
    }

    /// UDP and TCP on one address.
    fn dns(&mut self, address: SocketAddr, threads: usize, passed: &mut Passed) -> io::Result<()> {
        let (listeners, sockets) = (passed.tcp(address)?, passed.udp(address)?);
        if listeners.is_empty() && sockets.is_empty() {
            let (listener, sockets) = bind_both(address, threads)?;
            self.tcp.push(listener);
            self.udp.extend(sockets);
            return Ok(());
        }
        if listeners.is_empty() {
            self.tcp.push(bind_tcp(address)?);
        }
        self.tcp.extend(listeners);
        if sockets.is_empty() {
            self.udp.extend(bind_udp(address, threads)?);
        } else {
            // More threads than sockets: some share one, and the kernel wakes one of them.
            let clones = sockets.iter().cycle().take(threads.max(sockets.len()));
            self.udp.extend(clones.map(UdpSocket::try_clone).collect::<io::Result<Vec<_>>>()?);
        }
        Ok(())
    }
}

/// Port 0 becomes one that is free for UDP and TCP alike.
fn bind_both(address: SocketAddr, threads: usize) -> io::Result<(TcpListener, Vec<UdpSocket>)> {
    let mut round = 0;
    loop {
        let listener = bind_tcp(address)?;
        match bind_udp(listener.local_addr()?, threads) {
            Ok(sockets) => return Ok((listener, sockets)),
            Err(_) if address.port() == 0 && round < PORT_ROUNDS => round += 1,
            Err(error) => return Err(error),
        }
    }
}

fn bind_udp(address: SocketAddr, threads: usize) -> io::Result<Vec<UdpSocket>> {
    (0..threads).map(|_| udp::bind(address)).collect()
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket =
        socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
