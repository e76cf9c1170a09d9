//! The server that all of them ask.

use std::net::SocketAddr;

use tests::authority::Authority;
use tests::name_server::{Endpoint, NameServer, NameServerPlan, Service};
use tests::scratch::Scratch;

const ZONE: &str = include_str!("test-net.io.zone");

/// A name server of this folder's zone, with one service in two regions.
pub(crate) fn start(scratch: &Scratch, listen: SocketAddr) -> NameServer {
    let authority = Authority::create(scratch, "pki");
    let endpoint = |region: &str, addresses: [&str; 2]| Endpoint {
        region: region.to_owned(),
        addresses: addresses.map(|text| text.parse().expect("an address")).to_vec(),
        ping: None,
    };
    let service = Service {
        name: "geo.test-net.io".to_owned(),
        ttl: 60,
        route: "[\"nearest\"]".to_owned(),
        endpoints: vec![
            endpoint("europe-west3", ["203.0.113.20", "2001:db8:ffff::20"]),
            endpoint("asia-southeast1", ["203.0.113.30", "2001:db8:ffff::30"]),
        ],
    };
    NameServerPlan::new("ns1")
        .listen(listen)
        .zone(ZONE)
        .network("198.51.100.0/24", "europe-west3")
        .network("2001:db8:1::/48", "asia-southeast1")
        .service(service)
        .start(scratch, &authority)
}
