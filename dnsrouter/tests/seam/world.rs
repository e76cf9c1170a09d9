//! A configuration with services, its plan, and questions to it.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dnsrouter::answer::{Query, Reply, Transport, Worker, answer};
use dnsrouter::counters::Counters;
use dnsrouter::health::State;
use dnsrouter::plan::{Generation, Published, Snapshot};
use dnsrouter::random::Random;
use dnsrouter::verdicts::Health;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query as Question};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, RData, RecordType};

use crate::site;

pub(crate) const ZONE: &str = "\
$ORIGIN test-net.io.
$TTL 300
@       SOA ns1 hostmaster 1 7200 900 1209600 60
        NS  ns1
        MX  10 mail
ns1     A   192.0.2.53
www     CNAME geo
mail    A   192.0.2.25
*.wild  TXT \"any\"
into    CNAME back
down    DNAME @
";

/// Three regions over the built-in country database, with networks nested in it and each other.
/// The resolver that asks is placed, and not where what is unknown is sent: else nobody could tell
/// an answer for the resolver from one for a place that nobody knows.
pub(crate) const CONFIG: &str = r#"
[geo.networks]
"198.51.100.0/24" = { region = "europe-west3" }
"10.1.0.0/16" = { region = "asia-southeast1" }
"8.8.0.0/16" = { region = "europe-west3" }
"8.8.8.0/25" = { region = "asia-southeast1" }
"2001:db8::/32" = { region = "europe-west3" }
"2001:db8:1::/48" = { region = "asia-southeast1" }
[[service]]
name = "geo.test-net.io"
ttl = 60
route = ["healthy", "nearest", "weighted"]
[[service.endpoint]]
region = "us-central1"
addresses = ["203.0.113.10", "2001:db8:ffff::10"]
ping = "https://203.0.113.10:443"
[[service.endpoint]]
region = "europe-west3"
addresses = ["203.0.113.20", "2001:db8:ffff::20"]
ping = "https://203.0.113.20:443"
[[service.endpoint]]
region = "asia-southeast1"
addresses = ["203.0.113.30", "2001:db8:ffff::30"]
ping = "https://203.0.113.30:443"
[[service]]
name = "drawn.test-net.io"
ttl = 60
route = ["healthy", "nearest", "weighted"]
[[service.endpoint]]
region = "us-central1"
addresses = ["203.0.113.11"]
weight = 1
[[service.endpoint]]
region = "us-central1"
addresses = ["203.0.113.12"]
weight = 3
[[service.endpoint]]
region = "europe-west3"
addresses = ["203.0.113.21"]
weight = 1
[[service.endpoint]]
region = "europe-west3"
addresses = ["203.0.113.22"]
weight = 3
"#;

pub(crate) fn published(config: &str) -> Published {
    let inputs = site::loaded(&[site::NODE, config].concat(), ZONE).inputs(Generation(1));
    let up = inputs.services.targets.iter().map(|_| State::Up);
    let health = Health::new(up);
    Published::new(inputs, health)
}

pub(crate) fn down(published: &Published, dead: &[&str]) {
    let snapshot = published.load();
    let states = snapshot.inputs.services.targets.iter().map(|target| {
        if dead.contains(&target.check.at().host.as_str()) { State::Down } else { State::Up }
    });
    published.apply_health(Generation(1), Health::new(states)).unwrap();
}

pub(crate) fn query(name: &str, rtype: RecordType, subnet: Option<(IpAddr, u8)>) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Question::query(Name::from_str(name).unwrap(), rtype));
    if let Some((address, source)) = subnet {
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        edns.options_mut().insert(EdnsOption::Subnet(ClientSubnet::new(address, source, 0)));
        message.set_edns(edns);
    }
    message.to_vec().unwrap()
}

pub(crate) fn ask(snapshot: &Snapshot, bytes: &[u8], transport: Transport, seed: u64) -> Message {
    let mut worker = Worker::with_random(Arc::new(Counters::default()), Random::from_seed(seed));
    let query = Query {
        bytes,
        peer: SocketAddr::from(([198, 51, 100, 1], 4242)),
        local: SocketAddr::from(([127, 0, 0, 1], 53)),
        transport,
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    };
    let mut out = vec![0; 65_535];
    let Reply::Bytes(length) = answer(snapshot, &mut worker, query, &mut out) else {
        panic!("no answer")
    };
    Message::from_vec(&out[..length]).unwrap()
}

pub(crate) fn addresses(message: &Message) -> Vec<IpAddr> {
    let address = |record: &hickory_proto::rr::Record| match &record.data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(a) => Some(IpAddr::V6(a.0)),
        _ => None,
    };
    message.answers.iter().filter_map(address).collect()
}

pub(crate) fn scope(message: &Message) -> u8 {
    let edns = message.edns.as_ref().expect("EDNS is answered with EDNS");
    match edns.option(EdnsCode::Subnet) {
        Some(EdnsOption::Subnet(subnet)) => subnet.scope_prefix(),
        other => panic!("the subnet is echoed, not {other:?}"),
    }
}
