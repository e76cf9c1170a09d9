//! Queries as resolvers send them to authoritative servers.

/// Host address.
pub const A: u16 = 1;
/// IPv6 host address.
pub const AAAA: u16 = 28;

/// The payload size offered, as most resolvers do (RFC 9715 §3.2).
const PAYLOAD: u16 = 1232;

/// Of EDNS (RFC 6891 §6.1.2), and of its client subnet (RFC 7871 §6) in an IPv4 /24.
const OPT: u16 = 41;
const CLIENT_SUBNET: u16 = 8;
const INET: u16 = 1;
const PREFIX: u8 = 24;

/// A question of class IN in wire form, with id 0 and EDNS, on behalf of a client in the /24 when
/// there is one. `name` is without a final dot, in lower case.
///
/// # Panics
///
/// When `name` is none.
pub fn query(name: &str, rtype: u16, subnet: Option<[u8; 3]>) -> Vec<u8> {
    let mut octets = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.') {
        assert!((1..64).contains(&label.len()), "{name} is not a name");
        octets.push(label.len() as u8);
        octets.extend(label.as_bytes());
    }
    octets.push(0);
    octets.extend([rtype, 1].map(u16::to_be_bytes).as_flattened());
    let option = subnet.map(|[a, b, c]| {
        let head = [CLIENT_SUBNET, 7, INET].map(u16::to_be_bytes);
        [head.as_flattened(), &[PREFIX, 0, a, b, c]].concat()
    });
    let option = option.unwrap_or_default();
    octets.push(0);
    octets.extend([OPT, PAYLOAD, 0, 0, option.len() as u16].map(u16::to_be_bytes).as_flattened());
    octets.extend(option);
    octets
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Message;
    use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};

    use super::*;

    #[test]
    fn others_read_them_as_they_are_meant() {
        let message =
            Message::from_vec(&query("geo.test-net.io", AAAA, Some([192, 0, 2]))).unwrap();
        assert_eq!(message.queries[0].to_string(), "geo.test-net.io. IN AAAA");
        let edns = message.edns.as_ref().unwrap();
        assert_eq!(edns.max_payload(), PAYLOAD);
        let Some(EdnsOption::Subnet(subnet)) = edns.option(EdnsCode::Subnet) else { panic!() };
        assert_eq!((subnet.addr().to_string(), subnet.source_prefix()), ("192.0.2.0".into(), 24));
        let plain = Message::from_vec(&query("test-net.io", A, None)).unwrap();
        assert!(plain.edns.as_ref().unwrap().options().as_ref().is_empty());
    }
}
