//! The limit of UDP sockets: a server that sends every query back with the QR bit set.

use std::io::{self, ErrorKind};
use std::net::UdpSocket;

use datagrams::{BATCH, Offer, Slot};
use rustix::net::sockopt;

/// Longer queries are cut.
const QUERY: usize = 512;
/// Where a message says that it is a reply (RFC 1035 §4.1.1).
const FLAGS: usize = 2;
const QR: u8 = 0x80;

/// Answers until the process ends. What any server over sockets does in the kernel, and nothing else:
/// the least that a query can cost.
///
/// # Errors
///
/// Those of the system.
pub fn serve(socket: &UdpSocket) -> io::Result<()> {
    // As dnsrouter does: without an identification for each packet, which costs the kernel much.
    sockopt::set_ip_mtu_discover(socket, sockopt::Ipv4PathMtuDiscovery::PROBE)?;
    let mut slots: Vec<Slot<QUERY>> = (0..BATCH).map(|_| Slot::new()).collect();
    let mut offer = Offer::default();
    loop {
        let received = match datagrams::receive(socket, &mut slots[..offer.slots()]) {
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        offer.filled(received);
        for slot in &mut slots[..received] {
            let (length, peer) = (slot.bytes().len(), slot.peer());
            slot.buffer()[FLAGS] |= QR;
            if let Some(peer) = peer {
                slot.address(length, peer, None);
            }
        }
        let mut rest = &slots[..received];
        while !rest.is_empty() {
            // What the kernel does not take is lost, and the generator counts it.
            let sent = datagrams::send(socket, rest).unwrap_or(1);
            rest = &rest[sent.max(1)..];
        }
    }
}
