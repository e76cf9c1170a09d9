//! Sockets that whoever started us has bound (`LISTEN_FDS`, sd_listen_fds(3)): the port may be
//! privileged and we are not, and queries wait in the kernel while we restart.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use anyhow::{Result, bail};
use listenfd::ListenFd;
use rustix::net::sockopt;
use socket2::SockRef;

/// What was passed and not taken yet.
#[derive(Default)]
pub struct Passed {
    tcp: Vec<(SocketAddr, TcpListener)>,
    udp: Vec<(SocketAddr, UdpSocket)>,
}

impl Passed {
    /// What the environment says was passed to this very process. To be called before there is a
    /// second thread: it takes the variables away, so that no child believes them.
    ///
    /// # Errors
    ///
    /// Something was passed that is neither a listener for TCP nor a socket for UDP.
    pub fn from_environment() -> Result<Self> {
        let mut fds = ListenFd::from_env();
        let mut passed = Self::default();
        for index in 0..fds.len() {
            let what = format!("socket {} of the {} in LISTEN_FDS", index + 1, fds.len());
            if let Ok(Some(listener)) = fds.take_tcp_listener(index) {
                if !sockopt::socket_acceptconn(&listener)? {
                    bail!(
                        "{what} is a TCP socket that does not listen; pass listeners (Accept=no)"
                    );
                }
                listener.set_nonblocking(true)?;
                passed.tcp.push((listener.local_addr()?, listener));
            } else if let Ok(Some(socket)) = fds.take_udp_socket(index) {
                passed.udp.push((socket.local_addr()?, socket));
            } else {
                bail!("{what} is neither a TCP listener nor a UDP socket");
            }
        }
        Ok(passed)
    }

    /// The listeners at this very address.
    ///
    /// # Errors
    ///
    /// One takes IPv4 as well, which is another address of the configuration.
    pub(super) fn tcp(&mut self, address: SocketAddr) -> io::Result<Vec<TcpListener>> {
        let taken = take(&mut self.tcp, address);
        taken.iter().try_for_each(|listener| check(&SockRef::from(listener), address, "TCP"))?;
        Ok(taken)
    }

    /// The UDP sockets at this very address.
    ///
    /// # Errors
    ///
    /// As [`tcp`](Self::tcp).
    pub(super) fn udp(&mut self, address: SocketAddr) -> io::Result<Vec<UdpSocket>> {
        let taken = take(&mut self.udp, address);
        taken.iter().try_for_each(|socket| check(&SockRef::from(socket), address, "UDP"))?;
        Ok(taken)
    }

    /// Every passed socket must have been taken: one that nobody answers would swallow queries.
    ///
    /// # Errors
    ///
    /// Which are left.
    pub(super) fn nothing_left(&self) -> Result<()> {
        let tcp = self.tcp.iter().map(|(address, _)| format!("TCP {address}"));
        let udp = self.udp.iter().map(|(address, _)| format!("UDP {address}"));
        let left: Vec<String> = tcp.chain(udp).collect();
        if !left.is_empty() {
            bail!(
                "passed by LISTEN_FDS, and in [listen] nowhere: {}; list each address, or do not \
                 pass it",
                left.join(", ")
            );
        }
        Ok(())
    }
}

fn take<T>(passed: &mut Vec<(SocketAddr, T)>, address: SocketAddr) -> Vec<T> {
    passed.extract_if(.., |(at, _)| *at == address).map(|(_, socket)| socket).collect()
}

fn check(socket: &SockRef<'_>, address: SocketAddr, kind: &str) -> io::Result<()> {
    if address.is_ipv6() && address.ip().is_unspecified() && !socket.only_v6()? {
        return Err(io::Error::other(format!(
            "the {kind} socket that was passed takes IPv4 as well; pass two (BindIPv6Only=ipv6-only)"
        )));
    }
    tracing::info!(%address, kind, "taking a socket that was passed by LISTEN_FDS");
    Ok(())
}
