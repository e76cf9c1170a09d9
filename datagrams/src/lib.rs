//! Many datagrams in one system call, each with the address it was sent to: recvmmsg(2),
//! sendmmsg(2) and `IP_PKTINFO` / `IPV6_PKTINFO` (RFC 3542 §6).
//!
//! Used by whoever moves more datagrams than a call each would let them: the name server, and the
//! generator of load that measures it.
//!
//! This is the one crate with `unsafe` in the workspace, because no safe crate serves:
//!
//! * `rustix` has sendmmsg, but neither recvmmsg nor packet information;
//! * `nix` allocates for each sendmsg with control messages; its sendmmsg has one set of them for a
//!   whole batch, and to count what was sent one reads addresses that were never written; its
//!   recvmmsg does not restore the lengths that the kernel shortens;
//! * `quinn-udp` sends one datagram per call, drops the interface, and turns on what coalesces
//!   datagrams (`UDP_GRO`), which a buffer for one query would cut.
//!
//! Its invariants, on which every `unsafe` block below leans:
//!
//! 1. A call builds its headers anew, on its stack. Every pointer in them comes from a reference
//!    that outlives the call, so nothing points anywhere between calls, and a [`Slot`] may move.
//! 2. The length beside a pointer is the size of what it points at, or less.
//! 3. What the kernel writes into is plain integers, valid whatever their bits.
//! 4. The kernel is told of exactly as many headers as were filled in, at most [`BATCH`].
//!
//! What the kernel wrote is read without `unsafe`: its control messages as octets, whose lengths count
//! only as far as there are octets.
#![expect(unsafe_code, reason = "the system calls of a batch; see the invariants above")]

use std::io;
use std::mem::{MaybeUninit, align_of, size_of, size_of_val};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

/// Datagrams per call. With more, the first of them waits for more others to be answered; with
/// fewer, calls cost more than answers.
pub const BATCH: usize = 32;

const INET: u16 = libc::AF_INET as u16;
const INET6: u16 = libc::AF_INET6 as u16;

/// One datagram of up to `N` octets: what it says, who is at its other end, and at which of our
/// addresses.
pub struct Slot<const N: usize> {
    /// The peer. An IPv4 one lies where sockaddr_in has it: family and port at the same place, the
    /// address in what is called the flow label here.
    name: libc::sockaddr_in6,
    name_length: libc::socklen_t,
    control: Control,
    control_length: usize,
    /// There was more to tell than room.
    cut: bool,
    length: usize,
    bytes: [u8; N],
}

/// Control messages, one behind the other (CMSG_NXTHDR(3)): each a header, its data, and what fills
/// it up to the alignment of the next. We send one, with packet information; the kernel may tell
/// more, for on a socket that was passed to us whoever bound it may have asked for anything.
///
/// They are read and written octet by octet, so nothing depends on what the kernel says of their
/// lengths but where we look.
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// Room for what the kernel puts before the packet information when everything is asked for: 168
/// octets, of time stamps (32 and 64), lost datagrams, marks and priorities (24 each).
const CONTROL: usize = 256;

/// A header: its length with the data's, in a word; then whose and which it is.
const HEADER: usize = size_of::<libc::cmsghdr>();
const LEVEL: usize = size_of::<usize>();
const KIND: usize = LEVEL + size_of::<libc::c_int>();
const _: () = assert!(HEADER == KIND + size_of::<libc::c_int>());
const _: () = assert!(align_of::<Control>() >= align_of::<libc::cmsghdr>());

/// in_pktinfo: interface, our address, the address asked.
const V4_INFO: usize = size_of::<libc::in_pktinfo>();
/// in6_pktinfo: the address, then the interface.
const V6_INFO: usize = size_of::<libc::in6_pktinfo>();

/// Asks the kernel to tell of each datagram what it was sent to, on a socket of `address`' family.
///
/// # Errors
///
/// Those of setsockopt(2).
pub fn tell_addresses(socket: &UdpSocket, address: SocketAddr) -> io::Result<()> {
    let (level, option) = match address {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_PKTINFO),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
    };
    set(socket, level, option, 1)
}

/// Asks the kernel not to tell when datagrams came, which whoever bound the socket may have wanted,
/// nor to glue several together, which no buffer for one query could hold.
pub fn tell_no_more(socket: &UdpSocket) {
    for (level, option) in [
        (libc::SOL_SOCKET, libc::SO_TIMESTAMP),
        (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS),
        (libc::SOL_SOCKET, libc::SO_TIMESTAMPING),
        (libc::SOL_UDP, libc::UDP_GRO),
    ] {
        // A kernel that does not know an option does not do what it is for.
        let _ = set(socket, level, option, 0);
    }
}

fn set(
    socket: &UdpSocket,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the kernel reads `length` octets, which are `value` (invariants 1 and 2).
    let set = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length)
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Waits for one datagram and takes what else is there already; returns how many slots are filled,
/// from the first on. Allocates nothing. Each slot offered costs a little, filled or not: where few
/// datagrams come at once, offer [`a few`](Offer).
///
/// # Errors
///
/// Those of recvmmsg(2), among them the end of the socket's time-out; then no slot is filled.
pub fn receive<const N: usize>(socket: &UdpSocket, slots: &mut [Slot<N>]) -> io::Result<usize> {
    let mut vectors = [EMPTY_VECTOR; BATCH];
    let mut headers = [const { MaybeUninit::uninit() }; BATCH];
    let mut count = 0;
    for ((slot, vector), header) in slots.iter_mut().zip(&mut vectors).zip(&mut headers) {
        *vector = libc::iovec { iov_base: slot.bytes.as_mut_ptr().cast(), iov_len: N };
        let mut filled = NO_HEADER;
        filled.msg_hdr.msg_name = (&raw mut slot.name).cast();
        filled.msg_hdr.msg_namelen = size_of_val(&slot.name) as libc::socklen_t;
        filled.msg_hdr.msg_iov = vector;
        filled.msg_hdr.msg_iovlen = 1;
        filled.msg_hdr.msg_control = (&raw mut slot.control).cast();
        filled.msg_hdr.msg_controllen = size_of_val(&slot.control);
        header.write(filled);
        count += 1;
    }
    // SAFETY: `count` headers are filled in, and what they point at is `slots` and `vectors`,
    // which are ours for longer than the call (invariants 1 to 4).
    let received = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr().cast::<libc::mmsghdr>(),
            count,
            libc::MSG_WAITFORONE,
            ptr::null_mut(),
        )
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    for (slot, header) in slots.iter_mut().zip(&headers).take(received) {
        // SAFETY: the kernel fills in no more than `count`, and so many are initialised
        // (invariant 4).
        let header = unsafe { header.assume_init_ref() };
        slot.length = (header.msg_len as usize).min(N);
        slot.name_length = header.msg_hdr.msg_namelen;
        slot.control_length = header.msg_hdr.msg_controllen;
        slot.cut = header.msg_hdr.msg_flags & libc::MSG_CTRUNC != 0;
    }
    Ok(received)
}

/// Sends what [`Slot::address`] has addressed, without waiting for room; returns how many the
/// kernel took, from the first on. Allocates nothing.
///
/// # Errors
///
/// Those of sendmmsg(2) for the first of them; none was sent.
pub fn send<const N: usize>(socket: &UdpSocket, slots: &[Slot<N>]) -> io::Result<usize> {
    let mut vectors = [EMPTY_VECTOR; BATCH];
    let mut headers = [const { MaybeUninit::uninit() }; BATCH];
    let mut count = 0;
    for ((slot, vector), header) in slots.iter().zip(&mut vectors).zip(&mut headers) {
        // The kernel only reads what it is to send.
        *vector = libc::iovec {
            iov_base: slot.bytes.as_ptr().cast_mut().cast(),
            iov_len: slot.length.min(N),
        };
        let mut filled = NO_HEADER;
        filled.msg_hdr.msg_name = (&raw const slot.name).cast_mut().cast();
        filled.msg_hdr.msg_namelen = slot.name_length;
        filled.msg_hdr.msg_iov = vector;
        filled.msg_hdr.msg_iovlen = 1;
        if slot.control_length > 0 {
            filled.msg_hdr.msg_control = (&raw const slot.control).cast_mut().cast();
            filled.msg_hdr.msg_controllen = slot.control_length;
        }
        header.write(filled);
        count += 1;
    }
    // SAFETY: as above; `name_length` and `control_length` were set by `address` to what they are
    // lengths of, or by the kernel within their sizes (invariant 2).
    let sent = unsafe {
        let headers = headers.as_mut_ptr().cast::<libc::mmsghdr>();
        libc::sendmmsg(socket.as_raw_fd(), headers, count, libc::MSG_DONTWAIT)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// How many slots to offer: twice as many as were filled last, so that a server with little to do
/// does not prepare a whole batch for each datagram, and one with much to do soon has all of it.
#[derive(Debug)]
pub struct Offer(usize);

impl Offer {
    /// The fewest.
    const LEAST: usize = 4;

    /// So many next time.
    pub fn slots(&self) -> usize {
        self.0
    }

    /// So many were filled.
    pub fn filled(&mut self, filled: usize) {
        self.0 = (2 * filled).clamp(Self::LEAST, BATCH);
    }
}

impl Default for Offer {
    fn default() -> Self {
        Self(Self::LEAST)
    }
}

const EMPTY_VECTOR: libc::iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };

// SAFETY: null pointers and zero lengths are valid values of every field.
const NO_HEADER: libc::mmsghdr = unsafe { MaybeUninit::zeroed().assume_init() };

impl<const N: usize> Default for Slot<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Slot<N> {
    /// Room for one datagram.
    pub fn new() -> Self {
        Self {
            name: nobody(),
            name_length: 0,
            control: Control([0; CONTROL]),
            control_length: 0,
            cut: false,
            length: 0,
            bytes: [0; N],
        }
    }

    /// What was received.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Where what is to be sent is written.
    pub fn buffer(&mut self) -> &mut [u8; N] {
        &mut self.bytes
    }

    /// Who sent it; none for a family that is neither IPv4 nor IPv6, which no socket of ours
    /// receives.
    pub fn peer(&self) -> Option<SocketAddr> {
        let port = u16::from_be(self.name.sin6_port);
        match (self.name.sin6_family, self.name_length as usize) {
            (INET, size_of_in) if size_of_in >= size_of::<libc::sockaddr_in>() => {
                let address = Ipv4Addr::from(self.name.sin6_flowinfo.to_ne_bytes());
                Some((address, port).into())
            }
            (INET6, size_of_in6) if size_of_in6 >= size_of::<libc::sockaddr_in6>() => {
                let address = Ipv6Addr::from(self.name.sin6_addr.s6_addr);
                let scope = self.name.sin6_scope_id;
                Some(SocketAddrV6::new(address, port, 0, scope).into())
            }
            _ => None,
        }
    }

    /// What it was sent to, with `port`; none when the kernel did not tell. The scope of a
    /// link-local address is the interface; any other address is answered over whatever
    /// interface leads to the peer, for it may stand on one that does not.
    pub fn asked(&self, port: u16) -> Option<SocketAddr> {
        let told = self.control.0.get(..self.control_length)?;
        if let Some(info) = find::<V4_INFO>(told, libc::IPPROTO_IP, libc::IP_PKTINFO) {
            // Ours and the one asked differ for a broadcast, which a host answers from its own
            // address (RFC 1122 §4.1.3.5). Ours is unknown for what was queued before the kernel
            // was asked to tell.
            let [_, _, _, _, ours @ .., a, b, c, d] = info;
            let address = if ours == [0; 4] { [a, b, c, d] } else { ours };
            return Some((Ipv4Addr::from(address), port).into());
        }
        let info = find::<V6_INFO>(told, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)?;
        let [address @ .., a, b, c, d] = info;
        let address = Ipv6Addr::from(address);
        let interface = u32::from_ne_bytes([a, b, c, d]);
        let scope = if address.is_unicast_link_local() { interface } else { 0 };
        Some(SocketAddrV6::new(address, port, 0, scope).into())
    }

    /// Whether the kernel had more to tell than it found room for, perhaps what it was sent to.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Makes the first `length` octets of [`buffer`](Self::buffer) a datagram to `peer`, which
    /// leaves from `local`, or from where routing says.
    pub fn address(&mut self, length: usize, peer: SocketAddr, local: Option<SocketAddr>) {
        self.length = length.min(N);
        self.name = nobody();
        self.name.sin6_port = peer.port().to_be();
        match peer {
            SocketAddr::V4(peer) => {
                self.name.sin6_family = INET;
                self.name.sin6_flowinfo = u32::from_ne_bytes(peer.ip().octets());
                self.name_length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            }
            SocketAddr::V6(peer) => {
                self.name.sin6_family = INET6;
                self.name.sin6_addr.s6_addr = peer.ip().octets();
                self.name.sin6_scope_id = peer.scope_id();
                self.name_length = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            }
        }
        self.control_length = local.map_or(0, |local| self.control.leave_from(local));
    }
}

impl Control {
    /// One message: to leave from `local`. Returns its length.
    fn leave_from(&mut self, local: SocketAddr) -> usize {
        match local {
            SocketAddr::V4(local) => {
                let mut info = [0; V4_INFO];
                info[4..8].copy_from_slice(&local.ip().octets());
                self.put(libc::IPPROTO_IP, libc::IP_PKTINFO, &info)
            }
            SocketAddr::V6(local) => {
                let mut info = [0; V6_INFO];
                info[..16].copy_from_slice(&local.ip().octets());
                info[16..].copy_from_slice(&local.scope_id().to_ne_bytes());
                self.put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info)
            }
        }
    }

    fn put(&mut self, level: libc::c_int, kind: libc::c_int, data: &[u8]) -> usize {
        let length = HEADER + data.len();
        self.0[..LEVEL].copy_from_slice(&length.to_ne_bytes());
        self.0[LEVEL..KIND].copy_from_slice(&level.to_ne_bytes());
        self.0[KIND..HEADER].copy_from_slice(&kind.to_ne_bytes());
        self.0[HEADER..length].copy_from_slice(data);
        length
    }
}

/// The data of the first message of this kind that is whole.
fn find<const N: usize>(mut told: &[u8], level: libc::c_int, kind: libc::c_int) -> Option<[u8; N]> {
    loop {
        let (length, rest) = told.split_first_chunk::<LEVEL>()?;
        let (of, rest) = rest.split_first_chunk()?;
        let (which, data) = rest.split_first_chunk()?;
        let length = usize::from_ne_bytes(*length);
        let size = length.checked_sub(HEADER)?;
        if (libc::c_int::from_ne_bytes(*of), libc::c_int::from_ne_bytes(*which)) == (level, kind)
            && size >= N
        {
            return data.get(..size)?.first_chunk().copied();
        }
        told = told.get(length.checked_next_multiple_of(size_of::<usize>())?..)?;
    }
}

fn nobody() -> libc::sockaddr_in6 {
    libc::sockaddr_in6 {
        sin6_family: 0,
        sin6_port: 0,
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr { s6_addr: [0; 16] },
        sin6_scope_id: 0,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "sockets on loopback")]

    use super::*;

    /// A loopback pair: one that is told addresses, one that asks.
    fn pair(wildcard: &str, asked: &str) -> (UdpSocket, UdpSocket, SocketAddr) {
        let server = UdpSocket::bind((wildcard, 0)).unwrap();
        let bound = server.local_addr().unwrap();
        tell_addresses(&server, bound).unwrap();
        let asked: SocketAddr = (asked.parse::<std::net::IpAddr>().unwrap(), bound.port()).into();
        let client = UdpSocket::bind((wildcard, 0)).unwrap();
        client.connect(asked).unwrap();
        (server, client, asked)
    }

    fn slots<const N: usize>(count: usize) -> Vec<Slot<N>> {
        (0..count).map(|_| Slot::new()).collect()
    }

    #[test]
    fn a_batch_arrives_with_its_addresses_and_leaves_from_them() {
        for (wildcard, asked) in [("0.0.0.0", "127.0.0.3"), ("::", "::1")] {
            let (server, client, asked) = pair(wildcard, asked);
            for text in ["one", "two", "three"] {
                client.send(text.as_bytes()).unwrap();
            }
            let mut queries = slots::<64>(BATCH);
            let mut got = 0;
            while got < 3 {
                got += receive(&server, &mut queries[got..]).unwrap();
            }
            let mut answers = slots::<64>(3);
            for (query, answer) in queries[..3].iter().zip(&mut answers) {
                assert_eq!(query.peer(), Some(client.local_addr().unwrap()));
                assert_eq!(query.asked(asked.port()), Some(asked));
                let length = query.bytes().len();
                answer.buffer()[..length].copy_from_slice(query.bytes());
                answer.address(length, query.peer().unwrap(), query.asked(asked.port()));
            }
            assert_eq!(send(&server, &answers).unwrap(), 3);
            // A connected socket takes what comes from the address it asked and nothing else.
            for text in ["one", "two", "three"] {
                let mut answer = [0; 64];
                let length = client.recv(&mut answer).unwrap();
                assert_eq!(&answer[..length], text.as_bytes());
            }
        }
    }

    #[test]
    fn the_address_is_found_among_everything_that_can_be_told() {
        let each = [
            (libc::SOL_SOCKET, libc::SO_TIMESTAMP, 1),
            (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1),
            (libc::SOL_SOCKET, libc::SO_TIMESTAMPING, 0x18),
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1),
        ];
        let v4 = [(libc::IPPROTO_IP, libc::IP_RECVTTL, 1), (libc::IPPROTO_IP, libc::IP_RECVTOS, 1)];
        let v6 = [
            (libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 1),
            (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, 1),
        ];
        for (wildcard, asked, more) in [("0.0.0.0", "127.0.0.3", v4), ("::", "::1", v6)] {
            let (server, client, asked) = pair(wildcard, asked);
            for (level, option, value) in each.iter().chain(&more) {
                set(&server, *level, *option, *value).unwrap();
            }
            let mut queries = slots::<64>(1);
            client.send(b"one").unwrap();
            assert_eq!(receive(&server, &mut queries).unwrap(), 1);
            assert_eq!((queries[0].asked(asked.port()), queries[0].is_cut()), (Some(asked), false));
            let all = queries[0].control_length;
            assert!(all > HEADER + V6_INFO + HEADER, "{all}: others were told too");
            tell_no_more(&server);
            client.send(b"two").unwrap();
            assert_eq!(receive(&server, &mut queries).unwrap(), 1);
            assert_eq!(queries[0].asked(asked.port()), Some(asked));
            assert!(queries[0].control_length < all, "no time any more");
        }
    }

    #[test]
    fn messages_are_read_as_far_as_they_are_whole() {
        let mut slot = Slot::<4>::new();
        let local: SocketAddr = "192.0.2.1:53".parse().unwrap();
        slot.address(0, local, Some(local));
        let whole = slot.control_length;
        for cut in 0..whole {
            slot.control_length = cut;
            assert_eq!(slot.asked(53), None, "{cut}");
        }
        slot.control_length = whole;
        for length in [0, 1, HEADER - 1, whole - 1, usize::MAX] {
            slot.control.0[..LEVEL].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(slot.asked(53), None, "{length}");
        }
    }

    #[test]
    fn no_more_slots_are_filled_than_there_are() {
        let (server, client, _) = pair("0.0.0.0", "127.0.0.1");
        for octet in 0..3 {
            client.send(&[octet; 9]).unwrap();
        }
        let mut two = slots::<4>(2);
        let mut got = 0;
        while got < 2 {
            got += receive(&server, &mut two[got..]).unwrap();
        }
        assert_eq!([two[0].bytes(), two[1].bytes()], [[0; 4], [1; 4]], "cut to the room there is");
        assert_eq!(receive(&server, &mut two).unwrap(), 1);
        assert_eq!(two[0].bytes(), [2; 4]);
    }

    #[test]
    fn what_cannot_be_sent_is_told_at_its_place() {
        let (server, client, _) = pair("0.0.0.0", "127.0.0.1");
        let peer = client.local_addr().unwrap();
        let mut answers = slots::<4>(3);
        for (answer, local) in answers.iter_mut().zip(["127.0.0.1:1", "192.0.2.1:1", "127.0.0.1:1"])
        {
            answer.address(4, peer, Some(local.parse().unwrap()));
        }
        assert_eq!(send(&server, &answers).unwrap(), 1, "the second has an address of others");
        send(&server, &answers[1..]).unwrap_err();
        assert_eq!(send(&server, &answers[2..]).unwrap(), 1);
    }

    #[test]
    fn addresses_survive_the_way_into_a_control_message_and_back() {
        for text in ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%7]:53"] {
            let local: SocketAddr = text.parse().unwrap();
            let mut slot = Slot::<4>::new();
            assert_eq!(slot.asked(53), None);
            slot.address(0, local, Some(local));
            assert_eq!((slot.peer(), slot.asked(53)), (Some(local), Some(local)));
        }
    }
}
