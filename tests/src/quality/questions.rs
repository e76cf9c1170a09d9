//! Questions on behalf of many client subnets, put to a server or to the function that answers.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, RData, RecordType};
use ipnet::IpNet;

use super::answers::Walk;

/// Questions on their way at once: few enough for any socket's buffer.
const LANES: usize = 64;

/// When a question or its answer counts as lost.
const LOST: Duration = Duration::from_secs(1);

/// How often in a row everything on its way may get lost: a server may be busy for a while.
const LOSSES: u32 = 10;

/// The payload size offered.
const PAYLOAD: u16 = 1232;

/// What region `n` of a service is answered as.
///
/// # Panics
///
/// When there are more than 254.
pub fn address(region: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, u8::try_from(region + 1).expect("a handful of regions"))
}

/// The position of the region that is answered as this.
fn region(address: Ipv4Addr) -> Option<u8> {
    let [192, 0, 2, host] = address.octets() else { return None };
    host.checked_sub(1)
}

/// What a server says to one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The question's.
    pub id: u16,
    /// Whom it was asked for.
    pub subnet: IpNet,
    /// For how wide a network it is good.
    pub scope: u8,
    /// Position among the service's regions.
    pub region: u8,
}

/// Asks for the IPv4 addresses of `name` on behalf of clients in `subnet`.
pub fn question(name: &Name, subnet: IpNet, id: u16) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = id;
    message.add_query(Query::query(name.clone(), RecordType::A));
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD).set_version(0);
    edns.options_mut().insert(EdnsOption::Subnet(ClientSubnet::from(subnet)));
    message.set_edns(edns);
    message.to_vec().expect("a question fits into a message")
}

/// Reads an answer.
///
/// # Panics
///
/// When it is none: servers under test answer every question with one region.
pub fn answer(octets: &[u8]) -> Answer {
    let message = Message::from_vec(octets).expect("a DNS message");
    assert_eq!(message.metadata.response_code, ResponseCode::NoError, "{message:?}");
    let [record] = &message.answers[..] else { panic!("not one record: {message:?}") };
    let RData::A(address) = record.data else { panic!("no address: {message:?}") };
    let edns = message.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Subnet));
    let Some(EdnsOption::Subnet(subnet)) = edns else { panic!("no subnet: {message:?}") };
    let asked = IpNet::new(subnet.addr(), subnet.source_prefix()).expect("a prefix length");
    Answer {
        id: message.metadata.id,
        subnet: asked,
        scope: subnet.scope_prefix(),
        region: region(address.0).unwrap_or_else(|| panic!("no region: {message:?}")),
    }
}

/// Lets the walks ask a function that answers octets with octets; how many questions it took.
pub fn ask(
    walks: &mut [Walk<'_>],
    name: &Name,
    mut answering: impl FnMut(&[u8]) -> Vec<u8>,
) -> usize {
    let mut asked = 0;
    for walk in walks {
        while let Some(block) = walk.next() {
            let subnet = walk.family().subnet(block);
            let Answer { region, scope, .. } = answer(&answering(&question(name, subnet, 0)));
            walk.answered(region, scope);
            asked += 1;
        }
    }
    asked
}

/// Lets the walks ask a server over UDP, many at once; how many questions it took.
///
/// # Panics
///
/// When the server does not answer.
pub fn ask_over_udp(walks: &mut [Walk<'_>], name: &Name, server: SocketAddr) -> usize {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    socket.connect(server).expect("loopback is there");
    socket.set_read_timeout(Some(LOST)).expect("a time-out can be set");
    let mut waiting = walks.iter_mut().filter(|walk| walk.next().is_some());
    let mut lanes: Vec<&mut Walk<'_>> = waiting.by_ref().take(LANES).collect();
    // The id is the lane; which of the lane's questions is answered, the subnet says.
    let send = |lane: usize, walk: &Walk<'_>| {
        let subnet = walk.next().map(|block| walk.family().subnet(block));
        let Some(subnet) = subnet else { return };
        // A question that is refused by the kernel is asked again like one that is lost.
        let _ = socket.send(&question(name, subnet, lane as u16));
    };
    lanes.iter().enumerate().for_each(|(lane, walk)| send(lane, walk));
    let (mut asked, mut losses) = (0, 0);
    let mut octets = [0; PAYLOAD as usize];
    while lanes.iter().any(|walk| walk.next().is_some()) {
        let Ok(length) = socket.recv(&mut octets) else {
            losses += 1;
            assert!(losses < LOSSES, "{server} does not answer");
            lanes.iter().enumerate().for_each(|(lane, walk)| send(lane, walk));
            continue;
        };
        losses = 0;
        let Answer { id, subnet, scope, region } = answer(&octets[..length]);
        let lane = usize::from(id);
        let Some(walk) = lanes.get_mut(lane) else { continue };
        let awaited = walk.next().map(|block| walk.family().subnet(block));
        if awaited != Some(subnet) {
            continue;
        }
        walk.answered(region, scope);
        asked += 1;
        if walk.next().is_none()
            && let Some(next) = waiting.next()
        {
            *walk = next;
        }
        send(lane, walk);
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_addresses() {
        for at in 0..12 {
            assert_eq!(region(address(at)).map(usize::from), Some(at));
        }
        assert_eq!(region(Ipv4Addr::new(192, 0, 2, 0)), None);
        assert_eq!(region(Ipv4Addr::new(203, 0, 113, 1)), None);
    }
}
