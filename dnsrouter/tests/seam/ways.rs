//! The short way says what the long way says, and counts the same: to the octet, but that a SOA's names may
//! be longer by what they share with more of the question than the zone's name.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use dns::edns::cookie::Secrets;
use dnsrouter::answer::{Query, Reply, Transport, Worker, answer, answer_at_length};
use dnsrouter::counters::Registry;
use dnsrouter::plan::{Published, Snapshot};
use dnsrouter::random::Random;
use hickory_proto::op::Message;
use proptest::prelude::*;

use crate::world::{CONFIG, down, published};

const NAMES: [&str; 15] = [
    "geo.test-net.io",
    "GEO.Test-Net.io",
    "drawn.test-net.io",
    "turns.test-net.io",
    "fenced.test-net.io",
    "host.test-net.io",
    "test-net.io",
    "ns1.test-net.io",
    "www.test-net.io",
    "x.wild.test-net.io",
    "no.such.test-net.io",
    "nor.this.ns1.test-net.io",
    "x.down.test-net.io",
    "example.org",
    "",
];
const TYPES: [u16; 10] = [1, 28, 1, 28, 1, 5, 16, 65, 250, 255];

const SERVICES: &str = r#"
[[service]]
name = "turns.test-net.io"
ttl = 30
route = ["healthy", "round-robin"]
[[service.endpoint]]
region = "us-central1"
addresses = ["203.0.113.41", "203.0.113.42"]
[[service.endpoint]]
region = "europe-west3"
addresses = ["203.0.113.43", "2001:db8:ffff::43"]
[[service]]
name = "fenced.test-net.io"
ttl = 30
route = [
    { fence = [
        { clients = ["198.51.100.0/24"], regions = ["us-central1"] },
        { clients = ["10.1.0.0/16"], regions = [] },
        { clients = ["8.8.0.0/16"], regions = [], refuse = ["192.0.2.200"] },
    ] },
    "nearest",
]
[[service.endpoint]]
region = "us-central1"
addresses = ["203.0.113.51"]
[[service.endpoint]]
region = "europe-west3"
addresses = ["203.0.113.52", "2001:db8:ffff::52"]
[[service]]
name = "host.test-net.io"
ttl = 30
route = ["nearest"]
endpoint = [{ region = "us-central1", cname = "www.test-net.io" }]
"#;

const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
const CLIENT: [u8; 8] = [7; 8];
const LIMIT: &str = "[rate_limit]\nresponses_per_second = 5\nburst = 5\n";
const CLOSED: &str = "[access]\ndeny = ['192.0.2.0/24']\n";

/// A server for each way: what one takes from a limit, the other has to take as well.
struct Pair([Published; 2]);

impl Pair {
    fn new(config: &str, dead: &[&str]) -> Self {
        // Cookies of both are made with one secret.
        let mut secret = tempfile::NamedTempFile::new().unwrap();
        secret.write_all(SECRET.as_bytes()).unwrap();
        let cookie = format!("[cookie]\nsecret = [{:?}]\n", secret.path());
        let config = [CONFIG, SERVICES, config, &cookie].concat();
        let server = || {
            let published = published(&config);
            down(&published, dead);
            published
        };
        Self([server(), server()])
    }
}

static PAIRS: LazyLock<[Pair; 4]> = LazyLock::new(|| {
    [
        Pair::new("", &[]),
        Pair::new(LIMIT, &["203.0.113.20"]),
        Pair::new(CLOSED, &[]),
        Pair::new("", &["203.0.113.10", "203.0.113.20", "203.0.113.30"]),
    ]
});

/// A message in octets, mostly sound.
#[derive(Debug, Clone)]
struct Asked {
    id: u16,
    flags: u16,
    name: &'static str,
    qtype: u16,
    class: u16,
    opt: Option<Opt>,
    more: Vec<u8>,
    flipped: Option<(prop::sample::Index, u8)>,
}

#[derive(Debug, Clone)]
struct Opt {
    payload: u16,
    ttl: u32,
    options: Vec<(u16, Vec<u8>)>,
    /// With a cookie that was made so many seconds before.
    proof: Option<u32>,
}

impl Asked {
    fn octets(&self, peer: IpAddr, now: u32) -> Vec<u8> {
        let counts = [1, 0, 0, u16::from(self.opt.is_some())];
        let words = [self.id, self.flags].into_iter().chain(counts);
        let mut octets: Vec<u8> = words.flat_map(u16::to_be_bytes).collect();
        for label in self.name.split('.').filter(|label| !label.is_empty()) {
            octets.push(label.len() as u8);
            octets.extend(label.as_bytes());
        }
        octets.push(0);
        octets.extend([self.qtype, self.class].into_iter().flat_map(u16::to_be_bytes));
        if let Some(opt) = &self.opt {
            octets.extend([0, 0, 41]);
            octets.extend(opt.payload.to_be_bytes());
            octets.extend(opt.ttl.to_be_bytes());
            let option = |(code, data): &(u16, Vec<u8>)| {
                let head = [*code, data.len() as u16];
                [head.into_iter().flat_map(u16::to_be_bytes).collect(), data.clone()].concat()
            };
            let proof = opt.proof.map(|age| {
                let secrets = Secrets::configured(SECRET.parse().unwrap(), []);
                let server = secrets.server_cookie(CLIENT, peer, now - age);
                (10, [&CLIENT[..], &server].concat())
            });
            let options = proof.iter().chain(&opt.options);
            let options: Vec<u8> = options.flat_map(option).collect();
            octets.extend((options.len() as u16).to_be_bytes());
            octets.extend(options);
        }
        octets.extend(&self.more);
        if let Some((at, bits)) = &self.flipped {
            let at = at.index(octets.len());
            octets[at] ^= bits;
        }
        octets
    }
}

fn subnet() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let sources = prop::sample::select(vec![0_u8, 8, 16, 20, 24, 24, 24, 25, 32]);
    let v4 =
        (any::<u32>(), sources).prop_map(|(bits, source)| (1_u16, u128::from(bits) << 96, source));
    let known = prop::sample::select(vec!["198.51.100.0", "10.1.2.0", "8.8.8.0", "192.168.1.0"]);
    let known = known.prop_map(|known: &str| {
        let bits = u128::from(known.parse::<std::net::Ipv4Addr>().unwrap().to_bits()) << 96;
        (1_u16, bits, 24)
    });
    let sources = prop::sample::select(vec![0_u8, 32, 48, 56, 56, 128]);
    let v6 = (any::<u128>(), sources).prop_map(|(bits, source)| (2, bits, source));
    let sound = prop_oneof![v4, known, v6].prop_map(|(family, bits, source)| {
        let kept = bits & !u128::MAX.checked_shr(source.into()).unwrap_or(0);
        let length = usize::from(source).div_ceil(8);
        [&family.to_be_bytes()[..], &[source, 0], &kept.to_be_bytes()[..length]].concat()
    });
    let any = prop::collection::vec(any::<u8>(), 0..9);
    prop_oneof![9 => sound, 1 => any].prop_map(|data| (8, data))
}

fn asked() -> impl Strategy<Value = Asked> {
    let other = (
        prop::sample::select(vec![3_u16, 10, 11, 12, 65_300, 4242]),
        prop::sample::select(vec![0_usize, 8, 16]),
    );
    let other = other.prop_map(|(code, length)| (code, vec![7; length]));
    let options = prop_oneof![
        2 => Just(vec![]),
        6 => subnet().prop_map(|subnet| vec![subnet]),
        1 => (subnet(), other.clone()).prop_map(|(subnet, other)| vec![subnet, other]),
        1 => other.prop_map(|other| vec![other]),
        1 => (subnet(), subnet()).prop_map(|(a, b)| vec![a, b]),
    ];
    let payload = prop_oneof![Just(1232_u16), Just(512), Just(4096), any::<u16>()];
    let ttl = prop_oneof![4 => Just(0_u32), 4 => Just(0x8000), 1 => any::<u32>()];
    let ages = prop::sample::select(vec![0, 1900, 4000]);
    let proof = prop::option::weighted(0.2, ages);
    let opt = (payload, ttl, options, proof);
    let opt = opt.prop_map(|(payload, ttl, options, proof)| Opt { payload, ttl, options, proof });
    let flags = prop_oneof![8 => Just(0_u16), 8 => Just(0x0100), 2 => any::<u16>()];
    let class = prop_oneof![20 => Just(1_u16), 1 => Just(255), 1 => any::<u16>()];
    let more = prop_oneof![20 => Just(vec![]), 1 => prop::collection::vec(any::<u8>(), 1..12)];
    let flipped =
        prop_oneof![10 => Just(None), 1 => any::<(prop::sample::Index, u8)>().prop_map(Some)];
    let about = (prop::sample::select(&NAMES[..]), prop::sample::select(&TYPES[..]), class);
    (any::<u16>(), flags, about, prop::option::weighted(0.8, opt), more, flipped).prop_map(
        |(id, flags, (name, qtype, class), opt, more, flipped)| Asked {
            id,
            flags,
            name,
            qtype,
            class,
            opt,
            more,
            flipped,
        },
    )
}

type Way = fn(&Snapshot, &mut Worker, Query<'_>, &mut [u8]) -> Reply;

/// The reply, and the counters afterwards.
fn reply(
    way: Way,
    published: &Published,
    query: Query<'_>,
    room: usize,
) -> (Option<Vec<u8>>, String) {
    let registry = Registry::default();
    let mut worker = Worker::with_random(registry.worker(), Random::from_seed(7));
    let mut out = vec![0xee; room];
    let reply = match way(&published.load(), &mut worker, query, &mut out) {
        Reply::Bytes(length) => Some(out[..length].to_vec()),
        Reply::Drop => None,
        Reply::Deferred(lane) => Some(vec![lane as u8]),
    };
    (reply, registry.render())
}

/// A reply with a SOA in sections of records, whose names are whole; any other as it is.
fn uncompressed(reply: Option<Vec<u8>>) -> (Option<Vec<u8>>, Option<Message>) {
    let parsed = |octets: &Vec<u8>| Message::from_vec(octets).ok();
    match reply.as_ref().and_then(parsed).filter(|reply| !reply.authorities.is_empty()) {
        Some(message) => (None, Some(message)),
        None => (reply, None),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn both_ways_lead_to_the_same_answer(
        asked in asked(),
        pair in 0..PAIRS.len(),
        peer in prop::sample::select(vec!["198.51.100.1", "192.0.2.1", "8.8.4.4", "2001:db8::1", "::ffff:8.8.8.8"]),
        over_tcp in prop::bool::weighted(0.2),
        room in prop::sample::select(vec![512_usize, 1232, 65_535]),
        seconds in 0..3_u32,
    ) {
        let peer = peer.parse::<IpAddr>().unwrap();
        let now = 1_800_000_000 + seconds;
        let bytes = asked.octets(peer, now);
        let transport = if over_tcp { Transport::Tcp { idle: Duration::from_secs(5) } } else { Transport::Udp };
        let query = Query {
            bytes: &bytes,
            peer: SocketAddr::from((peer, 4242)),
            local: SocketAddr::from(([127, 0, 0, 1], 53)),
            transport,
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(now.into()),
        };
        let Pair([short, long]) = &PAIRS[pair];
        let [short, long] = [(answer as Way, short), (answer_at_length as Way, long)]
            .map(|(way, published)| reply(way, published, query, room));
        prop_assert_eq!(short.1, long.1);
        prop_assert_eq!(uncompressed(short.0), uncompressed(long.0));
    }
}
