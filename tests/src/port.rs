//! Ports for programs that cannot be told to take any free one.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// Ports that are free for TCP and taken for UDP are rare.
const ATTEMPTS: u32 = 5;

/// A port of 127.0.0.1 that was free for UDP and TCP a moment ago.
pub fn free() -> u16 {
    for _ in 0..ATTEMPTS {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = tcp.local_addr().expect("a bound listener has an address").port();
        if UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {} is free for UDP and TCP", Ipv4Addr::LOCALHOST);
}
