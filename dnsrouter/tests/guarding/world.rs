//! A server behind the seam, queries in octets, and all that can be seen of a reply.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use dns::edns::cookie::{Secret, Secrets};
use dnsrouter::answer::{Query, Reply, Transport, Worker, answer};
use dnsrouter::counters::Registry;
use dnsrouter::io::load::Loader;
use dnsrouter::plan::{Generation, Published};
use dnsrouter::random::Random;
use dnsrouter::verdicts::Health;
use hickory_proto::op::Message;
use hickory_proto::rr::rdata::opt::EdnsCode;

pub(crate) const CONFIG: &str = "\
[node]
name = 'ns1'
region = 'us-central1'
[listen]
dns = ['127.0.0.1:0']
[[zone]]
name = 'open.test'
file = 'zone'
[[zone]]
name = 'closed.test'
file = 'zone'
allow = ['192.0.2.0/24']
";
pub(crate) const ZONE: &str = "\
$TTL 300
@        SOA   ns1 h 1 2 3 4 60
@        NS    ns1
@        MX    10 ns1.closed.test.
ns1      A     192.0.2.53
into     CNAME ns1.closed.test.
out      CNAME ns1.open.test.
child    NS    ns.child
ns.child A     192.0.2.54
";
pub(crate) const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
pub(crate) const OTHER: &str = "445536bcd2513298075a5d379663c962";
pub(crate) const CLIENT: [u8; 8] = *b"clientck";
pub(crate) const NOW: u32 = 1_800_000_000;
/// Who asks unless a test says otherwise.
pub(crate) const PEER: &str = "198.51.100.1";

pub(crate) const NSID: u16 = 3;
pub(crate) const COOKIE: u16 = 10;
pub(crate) const EXTENDED_ERROR: u16 = 15;

pub(crate) const A: u16 = 1;
pub(crate) const MX: u16 = 15;
pub(crate) const TXT: u16 = 16;
pub(crate) const ANY: u16 = 255;
pub(crate) const IN: u16 = 1;
pub(crate) const CHAOS: u16 = 3;

pub(crate) const NOERROR: u16 = 0;
pub(crate) const FORMERR: u16 = 1;
pub(crate) const NOTIMP: u16 = 4;
pub(crate) const REFUSED: u16 = 5;
pub(crate) const BADVERS: u16 = 16;
pub(crate) const BADCOOKIE: u16 = 23;

pub(crate) const TCP: Transport = Transport::Tcp { idle: Duration::from_secs(10) };

/// One for all tests: it keeps the built-in country database, which takes a while to load.
pub(crate) static LOADER: LazyLock<Mutex<Loader>> = LazyLock::new(Mutex::default);
pub(crate) static TABLES: AtomicUsize = AtomicUsize::new(1024);

/// One query.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) name: &'static str,
    pub(crate) qtype: u16,
    pub(crate) class: u16,
    pub(crate) opcode: u8,
    pub(crate) version: u8,
    /// None: without EDNS.
    pub(crate) options: Option<Vec<(u16, Vec<u8>)>>,
    pub(crate) peer: &'static str,
    pub(crate) transport: Transport,
    pub(crate) millis: u64,
}

pub(crate) fn ask(name: &'static str) -> Ask {
    Ask {
        name,
        qtype: A,
        class: IN,
        opcode: 0,
        version: 0,
        options: Some(vec![]),
        peer: PEER,
        transport: Transport::Udp,
        millis: 0,
    }
}

/// A question of class CHAOS.
pub(crate) fn chaos(name: &'static str) -> Ask {
    Ask { qtype: TXT, class: CHAOS, ..ask(name) }
}

/// A query that asks for nothing but a cookie (RFC 7873 §5.4) has no name.
pub(crate) const NOTHING: &str = "";

impl Ask {
    pub(crate) fn option(mut self, code: u16, data: &[u8]) -> Ask {
        self.options.get_or_insert_default().push((code, data.to_vec()));
        self
    }

    pub(crate) fn cookie(self, server: &[u8]) -> Ask {
        self.option(COOKIE, &[&CLIENT, server].concat())
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let questions = u8::from(self.name != NOTHING);
        let additionals = u8::from(self.options.is_some());
        let mut bytes =
            vec![0, 7, self.opcode << 3 | 1, 0, 0, questions, 0, 0, 0, 0, 0, additionals];
        if self.name != NOTHING {
            for label in self.name.split('.').filter(|label| !label.is_empty()) {
                bytes.push(label.len() as u8);
                bytes.extend(label.as_bytes());
            }
            bytes.push(0);
            bytes.extend(self.qtype.to_be_bytes());
            bytes.extend(self.class.to_be_bytes());
        }
        if let Some(options) = &self.options {
            let data: Vec<u8> = options
                .iter()
                .flat_map(|(code, data)| {
                    [&code.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat()
                })
                .collect();
            bytes.extend([0, 0, 41, 4, 208, 0, self.version, 0, 0]);
            bytes.extend((data.len() as u16).to_be_bytes());
            bytes.extend(data);
        }
        bytes
    }
}

pub(crate) struct Answer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) message: Message,
}

impl Answer {
    pub(crate) fn rcode(&self) -> u16 {
        let high = self.message.edns.as_ref().map_or(0, |edns| u16::from(edns.rcode_high()));
        high << 4 | u16::from(self.bytes[3] & 15)
    }

    pub(crate) fn option(&self, code: u16) -> Option<Vec<u8>> {
        let option = self.message.edns.as_ref()?.option(EdnsCode::from(code))?;
        Some(option.try_into().unwrap())
    }

    /// The server part of the cookie, whose client part is the client's.
    pub(crate) fn cookie(&self) -> Option<Vec<u8>> {
        let option = self.option(COOKIE)?;
        let server = option.strip_prefix(&CLIENT).expect("the client's own part comes back");
        Some(server.to_vec())
    }

    pub(crate) fn extended_error(&self) -> Option<u16> {
        let option = self.option(EXTENDED_ERROR)?;
        Some(u16::from_be_bytes([option[0], option[1]]))
    }

    pub(crate) fn truncated(&self) -> bool {
        self.bytes[2] & 2 != 0
    }

    pub(crate) fn answers(&self) -> usize {
        self.message.answers.len()
    }
}

pub(crate) struct Server {
    pub(crate) plan: Published,
    pub(crate) registry: Registry,
    pub(crate) worker: Worker,
}

impl Server {
    /// With `more` in its configuration, and the secret in the file `key`.
    pub(crate) fn new(more: &str) -> Server {
        // Servers with equal settings have one limiter as long as any of them lives: here each shall
        // have its own.
        let table = TABLES.fetch_add(1, Ordering::Relaxed);
        let more = more.replace("[rate_limit]", &format!("[rate_limit]\ntable = {table}"));
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("zone", ZONE);
        write("key", SECRET);
        write("dnsrouter.toml", &format!("{CONFIG}{more}"));
        let mut loader = LOADER.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = loader.load(&folder.path().join("dnsrouter.toml"), &[]);
        let loaded = loaded.unwrap_or_else(|error| panic!("{}", error.report()));
        let registry = Registry::default();
        let worker = Worker::with_random(registry.worker(), Random::from_seed(1));
        let plan = Published::new(loaded.inputs(Generation(1)), Health::default());
        Server { plan, registry, worker }
    }

    /// The reply, or none.
    pub(crate) fn send(&mut self, ask: &Ask) -> Option<Answer> {
        let query = Query {
            bytes: &ask.bytes(),
            peer: SocketAddr::new(ask.peer.parse().unwrap(), 4242),
            local: SocketAddr::from(([127, 0, 0, 1], 53)),
            transport: ask.transport,
            now: SystemTime::UNIX_EPOCH
                + Duration::from_secs(NOW.into())
                + Duration::from_millis(ask.millis),
        };
        let mut out = vec![0; 65_535];
        match answer(&self.plan.load(), &mut self.worker, query, &mut out) {
            Reply::Bytes(length) => {
                let bytes = out[..length].to_vec();
                let message = Message::from_vec(&bytes).unwrap();
                Some(Answer { bytes, message })
            }
            Reply::Drop => None,
            Reply::Deferred(_) => panic!("there is nothing to wait for"),
        }
    }

    pub(crate) fn expect(&mut self, ask: &Ask) -> Answer {
        self.send(ask).unwrap_or_else(|| panic!("no reply to {} TYPE{}", ask.name, ask.qtype))
    }

    /// A metric's value now.
    pub(crate) fn counted(&self, row: &str) -> u64 {
        let text = self.registry.render();
        let value = text.lines().find_map(|line| line.strip_prefix(row)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no row {row} in\n{text}")).parse().unwrap()
    }

    pub(crate) fn cookies(&self) -> [u64; 2] {
        ["valid", "invalid"].map(|verdict| {
            self.counted(&format!("dnsrouter_server_cookies_total{{verdict=\"{verdict}\"}}"))
        })
    }

    pub(crate) fn limited(&self) -> [u64; 2] {
        ["slip", "drop"].map(|action| {
            self.counted(&format!("dnsrouter_rate_limited_total{{action=\"{action}\"}}"))
        })
    }

    pub(crate) fn denied(&self) -> [u64; 2] {
        ["refuse", "drop"].map(|action| {
            self.counted(&format!("dnsrouter_access_denied_total{{action=\"{action}\"}}"))
        })
    }
}

/// A server cookie made elsewhere, so many seconds ago.
pub(crate) fn made(secret: &str, peer: &str, age: u32) -> [u8; 16] {
    let secrets = Secrets::configured(secret.parse::<Secret>().unwrap(), []);
    secrets.server_cookie(CLIENT, peer.parse::<IpAddr>().unwrap(), NOW.wrapping_sub(age))
}

pub(crate) const SHARED: &str = "[cookie]\nsecret = ['key']\n";

/// Every kind of well-formed message that has a reply.
pub(crate) fn anything() -> Vec<(&'static str, Ask)> {
    vec![
        ("an answer", ask("ns1.open.test")),
        ("without EDNS", Ask { options: None, ..ask("ns1.open.test") }),
        ("an absent name", ask("nope.open.test")),
        ("a foreign name", ask("elsewhere.test")),
        ("a cookie alone", ask(NOTHING).cookie(&[])),
        ("class CHAOS", chaos("version.bind")),
        ("another opcode", Ask { opcode: 4, ..ask("open.test") }),
        ("an update", Ask { opcode: 5, qtype: 6, ..ask("open.test") }),
        ("an unknown option", ask("ns1.open.test").option(65_001, &[1])),
        ("our name", ask("ns1.open.test").option(NSID, &[])),
    ]
}

/// And some that is not well formed.
pub(crate) fn malformed() -> Vec<(&'static str, Ask, u16)> {
    vec![
        ("an unknown opcode", Ask { opcode: 9, ..ask("open.test") }, NOTIMP),
        ("a malformed cookie", ask("ns1.open.test").option(COOKIE, &[1]), FORMERR),
        ("another version of EDNS", Ask { version: 1, ..ask("ns1.open.test") }, BADVERS),
    ]
}
