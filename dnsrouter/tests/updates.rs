//! Updates from the transports' queue to the plan and the journal, without sockets: what is changed,
//! what is refused, what a reload in between does, and what happens when the disk does not want.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "signatures are of this moment")]

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use dns::name::Name;
use dns::rr::{Class, Rcode, Rtype};
use dns::tsig::{TsigError, Variables};
use dnsrouter::answer::{Lane, Transport};
use dnsrouter::counters::Registry;
use dnsrouter::io::deferred::{Deferred, Job};
use dnsrouter::io::dynamic::{self, Store};
use dnsrouter::io::history::Recorder;
use dnsrouter::io::keeper::{Keeper, Shared};
use dnsrouter::io::load::{Loaded, Loader};
use dnsrouter::plan::Generation;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RData;
use tempfile::TempDir;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

const ZONE: &str = "\
$TTL 300
@     SOA  ns hostmaster 1 7200 900 1209600 60
@     NS   ns
ns    A    192.0.2.53
www   A    192.0.2.80
child NS   ns.child
ns.child A 192.0.2.54
";

const CONFIG: &str = r#"
[node]
name = "ns1"
region = "us-central1"
trust_domain = "test-net.io"
[state]
dir = "state"
[listen]
dns = ["127.0.0.1:0"]
[[key]]
name = "all"
secret_base64 = "YSBzZWNyZXQgdGhhdCBub2JvZHkga25vd3M="
[[key]]
name = "acme"
secret_base64 = "YSBzZWNyZXQgdGhhdCBub2JvZHkga25vd3M="
[[key]]
name = "useless"
secret_base64 = "YSBzZWNyZXQgdGhhdCBub2JvZHkga25vd3M="
[[zone]]
name = "example"
file = "zone"
update = { keys = ["all"] }
[[zone]]
name = "sub.example"
file = "zone"
[[zone]]
name = "narrow"
file = "zone"
update = { keys = ["acme"], networks = ["127.0.0.0/8"], names = ["_acme-challenge.narrow"], types = ["TXT"] }
[[service]]
name = "geo.example"
ttl = 60
route = ["nearest"]
[[service.endpoint]]
region = "us-central1"
addresses = ["203.0.113.10"]
"#;
const SECRET: &[u8] = b"a secret that nobody knows";

/// A node without sockets.
struct Node {
    folder: TempDir,
    deferred: Deferred,
    shared: Shared,
    store: Arc<Mutex<Store>>,
    loader: Loader,
    stop: CancellationToken,
    /// Of messages; no two are alike.
    id: u16,
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("zone"), ZONE).unwrap();
        fs::write(folder.path().join("dnsrouter.toml"), CONFIG).unwrap();
        Self::start(folder)
    }

    fn start(folder: TempDir) -> Self {
        let mut loader = Loader::default();
        let loaded = loader.load(&folder.path().join("dnsrouter.toml"), &[]);
        let loaded = loaded.unwrap_or_else(|error| panic!("{}", error.report()));
        let shared = Shared::new(loaded.inputs(Generation(1)), &[], SystemTime::now());
        let (inputs, given) = mpsc::channel(1);
        let store = Store::new(&loaded, inputs, shared.clone()).unwrap();
        let store = Arc::new(Mutex::new(store));
        let (deferred, mut jobs) = Deferred::new();
        let stop = CancellationToken::new();
        let (_, reports) = mpsc::channel(1);
        let mut keeper = Keeper {
            shared: shared.clone(),
            settings: loaded.config.probe.settings,
            reports,
            inputs: given,
            said: mpsc::channel(1).1,
            reckoned: mpsc::channel(1).1,
            recorder: Recorder::default(),
            targets: watch::channel(Arc::from([])).0,
            disk: watch::channel(()).0,
        };
        let registry = Registry::default();
        let plan = Arc::clone(&shared.plan);
        let (mut server, mut updater) = dynamic::new(plan, &registry, Arc::clone(&store));
        let until = stop.clone();
        tokio::spawn(async move { keeper.run(&until).await });
        let until = stop.clone();
        tokio::spawn(async move { server.run(&mut jobs, &until).await });
        let until = stop.clone();
        tokio::spawn(async move { updater.run(&until).await });
        Self { folder, deferred, shared, store, loader, stop, id: 0 }
    }

    /// Ends as kill -9 would, as far as the folder can tell, and starts again.
    async fn restart(self) -> Self {
        let Self { folder, store, stop, .. } = self;
        stop.cancel();
        while Arc::strong_count(&store) > 1 {
            tokio::task::yield_now().await;
        }
        drop(store);
        Self::start(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn load(&mut self) -> Result<Loaded, String> {
        let file = self.path("dnsrouter.toml");
        self.loader.load(&file, &[]).map_err(|error| error.report())
    }

    /// As the reloader does it; `between` is done after everything was read.
    async fn reload(&mut self, between: impl AsyncFnOnce(&mut Self)) -> Result<(), String> {
        self.loader.hold(self.store.lock().await.kept());
        let loaded = self.load();
        between(self).await;
        let mut loaded = loaded?;
        let mut store = self.store.lock().await;
        store.adopt(&mut loaded).map_err(|error| error.to_string())?;
        store.publish_loaded(&loaded).await.map_err(|error| error.to_string())
    }

    fn send(&self, bytes: Vec<u8>, peer: &str, transport: Transport) -> oneshot::Receiver<Vec<u8>> {
        let (done, reply) = oneshot::channel();
        let job = Job {
            bytes: bytes.into(),
            peer: SocketAddr::new(peer.parse::<IpAddr>().unwrap(), 4242),
            local: SocketAddr::from(([127, 0, 0, 1], 53)),
            transport,
            lane: if transport == Transport::Udp { Lane::Udp } else { Lane::Tcp },
            done: Box::new(move |reply| drop(done.send(reply))),
        };
        self.deferred.submit(job).unwrap();
        reply
    }

    async fn update_as(&mut self, key: &str, zone: &str, lines: &[&str]) -> Rcode {
        let bytes = self.message(key, zone, lines);
        rcode(&self.send(bytes, "127.0.0.1", Transport::Udp).await.unwrap())
    }

    async fn update(&mut self, lines: &[&str]) -> Rcode {
        self.update_as("all", "example", lines).await
    }

    fn message(&mut self, key: &str, zone: &str, lines: &[&str]) -> Vec<u8> {
        self.id += 1;
        signed(key, update(self.id, zone, lines))
    }

    /// The TXT records of a name in the plan that is served.
    fn txt(&self, name: &str) -> Vec<String> {
        let plan = self.shared.plan.load();
        let mut found = dns::resolve::Resolution::new();
        let name: Name = name.parse().unwrap();
        plan.inputs.zones.resolve(&(&name).into(), Rtype::TXT, &mut found);
        let mut texts = Vec::new();
        for entry in found.answer() {
            if let dns::resolve::Data::Static(rrset) = entry.data {
                texts.extend(
                    rrset.rdatas().map(|rdata| String::from_utf8(rdata[1..].to_vec()).unwrap()),
                );
            }
        }
        texts
    }

    fn serial(&self, zone: &str) -> u32 {
        let name: Name = zone.parse().unwrap();
        self.shared.plan.load().inputs.zones.zone_at(&(&name).into()).unwrap().serial()
    }

    /// What the journal on disk holds.
    fn kept(&self, zone: &str) -> Option<dns::zone::ZoneData> {
        let kept = dynamic::kept(&self.path("state"), &zone.parse().unwrap()).unwrap();
        kept.map(|kept| (*kept.data).clone())
    }
}

/// An UPDATE; a line is `add NAME TEXT`, `a NAME` (adds an address), `ns NAME` (a name server),
/// `del NAME`, or `no NAME` (it shall not be in use).
fn update(id: u16, zone: &str, lines: &[&str]) -> Vec<u8> {
    let (mut demands, mut changes) = (Vec::new(), Vec::new());
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["add", owner, text] => {
                let rdata = [&[text.len() as u8], text.as_bytes()].concat();
                changes.push(record(owner, Rtype::TXT, Class::IN, 60, &rdata));
            }
            ["a", owner] => changes.push(record(owner, Rtype::A, Class::IN, 60, &[192, 0, 2, 1])),
            ["ns", owner] => changes.push(record(owner, Rtype::NS, Class::IN, 60, b"\x01n\0")),
            ["del", owner] => changes.push(record(owner, Rtype::ANY, Class::ANY, 0, &[])),
            ["no", owner] => demands.push(record(owner, Rtype::ANY, Class::NONE, 0, &[])),
            ref other => panic!("{other:?}"),
        }
    }
    message(id, zone, &demands, &changes)
}

fn wire(name: &str) -> Vec<u8> {
    name.parse::<Name>().unwrap().wire().to_vec()
}

fn record(owner: &str, rtype: Rtype, class: Class, ttl: u32, rdata: &[u8]) -> Vec<u8> {
    let head = [rtype.0.to_be_bytes(), class.0.to_be_bytes()].concat();
    let length = (rdata.len() as u16).to_be_bytes();
    [&wire(owner)[..], &head, &ttl.to_be_bytes(), &length, rdata].concat()
}

fn message(id: u16, zone: &str, demands: &[Vec<u8>], changes: &[Vec<u8>]) -> Vec<u8> {
    let counts = [1, demands.len() as u16, changes.len() as u16, 0].map(u16::to_be_bytes);
    let zone = [&wire(zone)[..], &[0, 6, 0, 1]].concat();
    let head = [&id.to_be_bytes()[..], &[0x28, 0], &counts.concat()].concat();
    [&head[..], &zone, &demands.concat(), &changes.concat()].concat()
}

fn signed(key: &str, message: Vec<u8>) -> Vec<u8> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    signed_at(key, message, now.as_secs(), SECRET)
}

fn signed_at(key: &str, mut message: Vec<u8>, time: u64, secret: &[u8]) -> Vec<u8> {
    let variables = Variables {
        key: key.parse().unwrap(),
        algorithm: "hmac-sha256".parse().unwrap(),
        time,
        fudge: 300,
        error: TsigError::NONE,
        other: Vec::new(),
    };
    // A request has no code before it.
    let octets = variables.signed(&[], &message);
    let code = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), &octets[2..]);
    variables.write(&mut message, code.as_ref());
    message
}

fn rcode(reply: &[u8]) -> Rcode {
    assert_eq!(reply[2] & 0x80, 0x80, "a reply");
    Rcode(u16::from(reply[3] & 0x0f))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_served_and_on_disk() {
    let mut node = Node::new();
    assert!(node.kept("example").is_none());
    let zones = |node: &Node| Arc::clone(&node.shared.plan.load().inputs.zones);
    let before = zones(&node);
    assert_eq!(node.update(&["add a.example one", "add a.example two"]).await, Rcode::NOERROR);
    // Whatever other zones hold, nobody looked at it.
    assert!(zones(&node).shares_main(&before));
    // At this very moment.
    assert_eq!(node.txt("a.example"), ["one", "two"]);
    assert_eq!(node.kept("example").unwrap().serial(), 2);
    assert_eq!(
        node.update(&["no b.example", "del a.example", "add b.example three"]).await,
        Rcode::NOERROR
    );
    assert_eq!((node.txt("a.example"), node.txt("b.example")), (vec![], vec!["three".to_owned()]));
    assert_eq!(node.update(&["no b.example", "add c.example four"]).await, Rcode::YXDOMAIN);
    assert_eq!(node.serial("example"), 3);
    // Nothing new is no new serial.
    assert_eq!(node.update(&["add b.example three"]).await, Rcode::NOERROR);
    assert_eq!((node.serial("example"), node.serial("narrow")), (3, 1));
    let fingerprint = |node: &Node| node.shared.plan.load().inputs.fingerprint;
    let before = fingerprint(&node);
    assert_eq!(node.update(&["add b.example four"]).await, Rcode::NOERROR);
    assert_ne!(fingerprint(&node), before);
    let before = fingerprint(&node);
    let node = node.restart().await;
    assert_eq!(fingerprint(&node), before);
    assert_eq!(node.txt("b.example"), ["three", "four"]);
    assert_eq!(node.serial("example"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_neither_served_nor_kept() {
    let mut node = Node::new();
    assert_eq!(node.update(&["add a.example one"]).await, Rcode::NOERROR);
    let before = node.kept("example").unwrap();
    for (key, zone, lines, expected) in [
        // Who.
        ("useless", "example", &["add x.example a"][..], Rcode::REFUSED),
        ("acme", "example", &["add x.example a"], Rcode::REFUSED),
        ("all", "sub.example", &["add x.sub.example a"], Rcode::REFUSED),
        ("all", "other", &["add x.other a"], Rcode::NOTAUTH),
        ("all", "www.example", &["add www.example a"], Rcode::NOTAUTH),
        // What.
        ("acme", "narrow", &["add x.narrow a"], Rcode::REFUSED),
        ("acme", "narrow", &["a _acme-challenge.narrow"], Rcode::REFUSED),
        ("acme", "narrow", &["add _acme-challenge.narrow a", "del www.narrow"], Rcode::REFUSED),
        ("all", "example", &["add x.net a"], Rcode::NOTZONE),
        // Somebody else's names.
        ("all", "example", &["add x.sub.example a"], Rcode::NOTZONE),
        ("all", "example", &["add sub.example a"], Rcode::NOTZONE),
        ("all", "example", &["del sub.example"], Rcode::NOTZONE),
        // No zone any more.
        ("all", "example", &["add x.child.example a"], Rcode::REFUSED),
        ("all", "example", &["ns a.example"], Rcode::REFUSED),
        // A service stands there, or would be hidden.
        ("all", "example", &["add y.example a", "a geo.example"], Rcode::REFUSED),
        ("all", "example", &["ns geo.example"], Rcode::REFUSED),
        ("all", "example", &["no geo.example", "add geo.example a"], Rcode::YXDOMAIN),
    ] {
        assert_eq!(node.update_as(key, zone, lines).await, expected, "{key} {zone} {lines:?}");
    }
    assert_eq!(node.kept("example").unwrap().records(), before.records());
    assert!(node.kept("narrow").is_none());
    assert_eq!((node.serial("example"), node.serial("narrow")), (2, 1));
    // Beside a service, with a type that is not its own; a delegation to a zone of ours.
    assert_eq!(node.update(&["add geo.example a", "ns sub.example"]).await, Rcode::NOERROR);
    assert_eq!(
        node.update_as("acme", "narrow", &["add _acme-challenge.narrow a"]).await,
        Rcode::NOERROR
    );
    assert_eq!(node.txt("_acme-challenge.narrow"), ["a"]);
    let bytes = node.message("acme", "narrow", &["add _acme-challenge.narrow b"]);
    let elsewhere = node.send(bytes, "192.0.2.1", Transport::Udp).await.unwrap();
    assert_eq!(rcode(&elsewhere), Rcode::REFUSED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_update_spoils_no_other() {
    let mut node = Node::new();
    // While the store is held they gather, and are then taken together.
    let held = Arc::clone(&node.store).lock_owned().await;
    let mut replies = Vec::new();
    for i in 0..20 {
        let lines = match i {
            7 => vec!["add good7.example x".to_owned(), "a geo.example".to_owned()],
            13 => vec!["add x.child.example a".to_owned()],
            _ => vec![format!("add good{i}.example x")],
        };
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let bytes = node.message("all", "example", &lines);
        replies.push(node.send(bytes, "127.0.0.1", Transport::Udp));
    }
    drop(held);
    for (i, reply) in replies.into_iter().enumerate() {
        let expected = if matches!(i, 7 | 13) { Rcode::REFUSED } else { Rcode::NOERROR };
        assert_eq!(rcode(&reply.await.unwrap()), expected, "{i}");
    }
    for i in 0..20 {
        let expected: &[&str] = if matches!(i, 7 | 13) { &[] } else { &["x"] };
        assert_eq!(node.txt(&format!("good{i}.example")), expected, "{i}");
    }
    let kept = node.kept("example").unwrap();
    assert_eq!((kept.serial(), node.serial("example")), (19, 19));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_message_counts_once() {
    let mut node = Node::new();
    let add = node.message("all", "example", &["add a.example one"]);
    let first = node.send(add.clone(), "127.0.0.1", Transport::Udp);
    let second = node.send(add.clone(), "127.0.0.1", Transport::Udp);
    assert_eq!(rcode(&first.await.unwrap()), Rcode::NOERROR);
    assert_eq!(rcode(&second.await.unwrap()), Rcode::NOERROR, "its sender heard nothing");
    assert_eq!(node.serial("example"), 2);
    assert_eq!(node.update(&["del a.example"]).await, Rcode::NOERROR);
    // Somebody who saw it pass plays it back.
    let again = node.send(add, "192.0.2.66", Transport::Udp).await.unwrap();
    assert_eq!(rcode(&again), Rcode::NOERROR);
    assert_eq!((node.txt("a.example").len(), node.serial("example")), (0, 3));
}

/// What was carried out before a restart is forgotten; so its signature counts no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_does_not_make_an_old_message_new() {
    let mut node = Node::new();
    let add = node.message("all", "example", &["add a.example one"]);
    let first = node.send(add.clone(), "127.0.0.1", Transport::Udp);
    assert_eq!(rcode(&first.await.unwrap()), Rcode::NOERROR);
    assert_eq!(node.update(&["del a.example"]).await, Rcode::NOERROR);
    // Signatures have whole seconds: the next process begins in a later one.
    let second = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let signed = second(SystemTime::now());
    while second(SystemTime::now()) == signed {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut node = node.restart().await;
    let again = node.send(add, "192.0.2.66", Transport::Udp).await.unwrap();
    assert_eq!(rcode(&again), Rcode::NOTAUTH, "BADTIME");
    assert!(node.txt("a.example").is_empty());
    assert_eq!(node.update(&["add b.example two"]).await, Rcode::NOERROR, "new ones count");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_without_room_beside_its_signature_is_truncated() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("zone"), ZONE).unwrap();
    let identity = format!("[identity]\nnsid = '{}'\n", "i".repeat(128));
    fs::write(folder.path().join("dnsrouter.toml"), format!("{CONFIG}\n{identity}")).unwrap();
    let node = Node::start(folder);
    let label = "n".repeat(63);
    let name: Name = format!("{label}.{label}.{label}.{}.", "n".repeat(61)).parse().unwrap();
    let mut query = [b"\x47\x11\x01\0\0\x01\0\0\0\0\0\x01", name.wire(), &[0, 1, 0, 1]].concat();
    // EDNS with 512 octets: NSID, a cookie, and a client subnet of a whole IPv6 address.
    let mut options =
        vec![0, 3, 0, 0, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 8, 0, 20, 0, 2, 128, 0];
    options.extend([0x20; 16]);
    query.extend([0, 0, 41, 2, 0, 0, 0, 0, 0, 0, options.len() as u8]);
    query.extend(options);
    let reply = node.send(signed("useless", query), "192.0.2.9", Transport::Udp).await;
    let reply = reply.expect("a reply, not silence");
    assert!(reply.len() <= 512, "{}", reply.len());
    let (plain, mac) = split(&reply);
    let message = Message::from_vec(&plain).unwrap();
    assert!(message.truncation && message.response_code == ResponseCode::NoError, "{message:?}");
    assert_eq!((message.queries.len(), mac.len()), (1, 32));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_loses_no_update() {
    let mut node = Node::new();
    assert_eq!(node.update(&["add a.example one"]).await, Rcode::NOERROR);
    // The file changes, and an update comes while everything is read.
    fs::write(node.path("zone"), format!("{ZONE}fresh TXT file\n")).unwrap();
    let between = async |node: &mut Node| {
        assert_eq!(node.update(&["add b.example two"]).await, Rcode::NOERROR);
        assert_eq!(
            node.update_as("acme", "narrow", &["add _acme-challenge.narrow x"]).await,
            Rcode::NOERROR
        );
    };
    node.reload(between).await.unwrap();
    assert_eq!(
        (node.txt("a.example"), node.txt("b.example")),
        (vec!["one".into()], vec!["two".into()])
    );
    // The first update of this one came from the file before: that is the truth now.
    assert_eq!(
        (node.txt("_acme-challenge.narrow"), node.txt("fresh.narrow").len()),
        (vec!["x".into()], 0)
    );
    assert_eq!(
        (node.txt("fresh.example").len(), node.txt("fresh.sub.example")),
        (0, vec!["file".into()])
    );
    let alarms = node.shared.alarms();
    assert!(
        alarms.iter().any(|a| a.starts_with("zone example.: its file has changed")),
        "{alarms:?}"
    );
    assert!(
        alarms.iter().any(|a| a.starts_with("zone narrow.: its file has changed")),
        "{alarms:?}"
    );
    assert_eq!(node.update(&["add c.example three"]).await, Rcode::NOERROR);
    // The file as it was: nothing to be told any more.
    fs::write(node.path("zone"), ZONE).unwrap();
    node.reload(async |_| {}).await.unwrap();
    assert_eq!(node.shared.alarms(), Vec::<String>::new());
    let node = node.restart().await;
    for name in ["a.example", "b.example", "c.example", "_acme-challenge.narrow"] {
        assert_eq!(node.txt(name).len(), 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_without_updates_yet_is_its_file() {
    let mut node = Node::new();
    fs::write(node.path("zone"), ZONE.replace("hostmaster 1", "hostmaster 50")).unwrap();
    node.reload(async |_| {}).await.unwrap();
    assert_eq!(node.serial("example"), 50);
    assert_eq!(node.update(&["add a.example one"]).await, Rcode::NOERROR);
    assert_eq!(node.kept("example").unwrap().serial(), 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_update_the_file_is_served_and_with_it_the_journal_again() {
    let mut node = Node::new();
    assert_eq!(node.update(&["add a.example one"]).await, Rcode::NOERROR);
    let fixed = CONFIG.replace("update = { keys = [\"all\"] }\n", "");
    fs::write(node.path("dnsrouter.toml"), fixed).unwrap();
    // An update that comes meanwhile is still carried out, and kept.
    let between = async |node: &mut Node| {
        assert_eq!(node.update(&["add a.example two"]).await, Rcode::NOERROR);
    };
    node.reload(between).await.unwrap();
    assert_eq!((node.txt("a.example").len(), node.serial("example")), (0, 1));
    let warnings = node.load().unwrap().config.warnings;
    assert!(warnings.iter().any(|warning| warning.contains("left aside")), "{warnings:?}");
    assert_eq!(node.update(&["add a.example three"]).await, Rcode::REFUSED);
    fs::write(node.path("dnsrouter.toml"), CONFIG).unwrap();
    node.reload(async |_| {}).await.unwrap();
    assert_eq!(node.txt("a.example"), ["one", "two"]);
    assert_eq!(node.update(&["add a.example three"]).await, Rcode::NOERROR);
    assert_eq!(node.kept("example").unwrap().serial(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_collides_with_updates_is_rejected_whole() {
    let mut node = Node::new();
    assert_eq!(node.update(&["a taken.example"]).await, Rcode::NOERROR);
    let more = CONFIG.split("[[service]]").nth(1).unwrap().replace("geo.example", "taken.example");
    fs::write(node.path("dnsrouter.toml"), format!("{CONFIG}[[service]]{more}")).unwrap();
    let report = node.reload(async |_| {}).await.unwrap_err();
    assert!(report.contains("the zone has A records at the service's name"), "{report}");
    // Also when the update comes while everything is read.
    assert_eq!(node.update(&["del taken.example"]).await, Rcode::NOERROR);
    let between = async |node: &mut Node| {
        assert_eq!(node.update(&["a taken.example"]).await, Rcode::NOERROR);
    };
    let report = node.reload(between).await.unwrap_err();
    assert!(report.contains("taken.example"), "{report}");
    assert_eq!(node.update(&["add a.example one"]).await, Rcode::NOERROR);
    assert_eq!(node.update(&["del taken.example"]).await, Rcode::NOERROR);
    node.reload(async |_| {}).await.unwrap();
    assert_eq!(node.update(&["a taken.example"]).await, Rcode::REFUSED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_does_not_want_costs_updates_and_nothing_else() {
    let mut node = Node::new();
    let journal = node.path("state/zones/example.journal");
    fs::create_dir(&journal).unwrap();
    assert_eq!(node.update(&["add a.example one"]).await, Rcode::SERVFAIL);
    assert_eq!((node.txt("a.example").len(), node.serial("example")), (0, 1));
    let alarms = node.shared.alarms();
    assert!(alarms[0].starts_with("zone example.: updates cannot be kept: "), "{alarms:?}");
    assert_eq!(
        node.update_as("acme", "narrow", &["add _acme-challenge.narrow a"]).await,
        Rcode::NOERROR
    );
    assert_eq!(node.shared.alarms().len(), 1, "it is about one zone");
    fs::remove_dir(&journal).unwrap();
    assert_eq!(node.update(&["add a.example one"]).await, Rcode::NOERROR);
    assert_eq!(node.shared.alarms(), Vec::<String>::new());
    // Somebody removes the journal under a running server: nothing is acknowledged into the void.
    fs::remove_file(&journal).unwrap();
    assert_eq!(node.update(&["add a.example two"]).await, Rcode::SERVFAIL);
    assert_eq!(node.txt("a.example"), ["one"]);
    assert_eq!(node.shared.alarms().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_do_not_share_journals() {
    let node = Node::new();
    let loaded = Loader::default().load(&node.path("dnsrouter.toml"), &[]);
    let loaded = loaded.unwrap_or_else(|error| panic!("{}", error.report()));
    let (inputs, _) = mpsc::channel(1);
    let second = Store::new(&loaded, inputs, node.shared.clone());
    assert!(second.err().unwrap().to_string().contains("another process"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_cannot_be_read_stops_the_start_and_says_what_to_do() {
    let mut node = Node::new();
    assert_eq!(node.update(&["add a.example one"]).await, Rcode::NOERROR);
    let Node { folder, store, stop, .. } = node;
    stop.cancel();
    while Arc::strong_count(&store) > 1 {
        tokio::task::yield_now().await;
    }
    drop(store);
    fs::write(folder.path().join("state/zones/example.journal"), "no journal at all").unwrap();
    let report = Loader::default().load(&folder.path().join("dnsrouter.toml"), &[]);
    let report = report.err().unwrap().report();
    assert!(report.contains("example.journal") && report.contains("begin anew"), "{report}");
    assert!(report.contains("dnsrouter.toml:21:8"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_are_signed_are_answered_and_signed() {
    let mut node = Node::new();
    let texts: Vec<String> = (0..30).map(|i| format!("add big.example {i:0>40}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(node.update(&texts).await, Rcode::NOERROR);
    let query = |name: &str, rtype: u8| {
        let name: Name = name.parse().unwrap();
        let head = b"\x47\x11\x01\0\0\x01\0\0\0\0\0\0";
        [&head[..], name.wire(), &[0, rtype, 0, 1]].concat()
    };
    let idle = Duration::from_secs(5);
    for (name, rtype, transport, expected) in [
        ("www.example", 1, Transport::Udp, (ResponseCode::NoError, false, 1)),
        ("none.example", 1, Transport::Udp, (ResponseCode::NXDomain, false, 0)),
        ("www.net", 1, Transport::Udp, (ResponseCode::Refused, false, 0)),
        ("example", 252, Transport::Tcp { idle }, (ResponseCode::Refused, false, 0)),
        ("big.example", 16, Transport::Udp, (ResponseCode::NoError, true, 0)),
        ("big.example", 16, Transport::Tcp { idle }, (ResponseCode::NoError, false, 30)),
    ] {
        let reply =
            node.send(signed("useless", query(name, rtype)), "192.0.2.9", transport).await.unwrap();
        assert!(transport != Transport::Udp || reply.len() <= 512, "{}", reply.len());
        let (plain, mac) = split(&reply);
        let message = Message::from_vec(&plain).unwrap();
        let seen = (message.response_code, message.truncation, message.answers.len());
        assert_eq!(seen, expected, "{name}");
        assert_eq!(mac.len(), 32);
    }
    // Signed NOTIFY, and nonsense, leak nothing.
    let mut notify = query("example", 6);
    notify[2] = 0x20;
    let reply = node.send(signed("useless", notify), "192.0.2.9", Transport::Udp).await.unwrap();
    let message = Message::from_vec(&split(&reply).0).unwrap();
    assert_eq!(message.response_code, ResponseCode::NotImp);
    assert!(message.answers.iter().all(|record| !matches!(record.data, RData::SOA(_))));
}

/// Whatever hickory reads of an update: what is stored is what was sent.
#[tokio::test(flavor = "multi_thread")]
async fn data_of_every_type_goes_through_octet_by_octet() {
    let mut node = Node::new();
    let mut count = 0;
    for block in include_str!("../../dns/tests/records.txt").split("\n\n") {
        let field = |name: &str| block.lines().find_map(|line| line.trim().strip_prefix(name));
        let Some(hex) = field("hex ") else { continue };
        let hex = hex.trim();
        let rdata: Vec<u8> = (0..hex.len() / 2)
            .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
            .collect();
        let rtype: Rtype = block.split_whitespace().next().unwrap().parse().unwrap();
        count += 1;
        let owner = format!("r{count}.example");
        // A DS record stands at a delegation, a SOA record at the apex.
        let delegation =
            (rtype == Rtype::DS).then(|| record(&owner, Rtype::NS, Class::IN, 60, b"\0"));
        let delegation = delegation.into_iter();
        let own = record(&owner, rtype, Class::IN, 60, &rdata);
        let changes: Vec<Vec<u8>> = delegation.chain([own]).collect();
        node.id += 1;
        let bytes = signed("all", message(node.id, "example", &[], &changes));
        let code = rcode(&node.send(bytes, "127.0.0.1", Transport::Udp).await.unwrap());
        if rtype == Rtype::SOA {
            assert_eq!(code, Rcode::REFUSED);
            continue;
        }
        // Octets without a text are no data of their type; and hickory takes no SIG records.
        if field("text ").is_none() || rtype == Rtype::SIG {
            assert_eq!(code, Rcode::FORMERR, "{block}");
            continue;
        }
        assert_eq!(code, Rcode::NOERROR, "{block}");
        let kept = node.kept("example").unwrap();
        let stored: Vec<_> = kept.rrset(&owner.parse().unwrap(), rtype).collect();
        assert_eq!(stored.len(), 1, "{block}");
        assert_eq!(*stored[0].rdata, *rdata, "{block}");
    }
    assert!(count > 100, "{count}");
}

/// A reply without its TSIG record, and the code of that.
fn split(reply: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let at = reply.windows(2).rposition(|two| two == [0, 250]).unwrap();
    let owner = reply[..at].windows(9).rposition(|name| name == b"\x07useless\0").unwrap();
    let mut plain = reply[..owner].to_vec();
    plain[11] -= 1;
    // Type, class, TTL and length; the algorithm; time, fudge and length.
    let mac = at + 10 + 13 + 10;
    (plain, reply[mac..mac + 32].to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_that_do_not_count() {
    let mut node = Node::new();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let update = update(9, "example", &["add a.example one"]);
    // The TSIG error stands before the other data, which is empty but for BADTIME.
    for (key, time, secret, error, other) in [
        ("nobody", now, SECRET, 17, 0),
        ("all", now, &b"another secret"[..], 16, 0),
        ("all", now - 400, SECRET, 18, 6),
        ("all", 100, SECRET, 18, 6),
    ] {
        let bytes = signed_at(key, update.clone(), time, secret);
        let reply = node.send(bytes, "192.0.2.9", Transport::Udp).await.unwrap();
        assert_eq!(rcode(&reply), Rcode::NOTAUTH);
        let tail = &reply[reply.len() - other - 4..];
        assert_eq!(tail[..4], [0, error, 0, other as u8], "{key} {error}");
    }
    assert!(node.kept("example").is_none());
    assert_eq!(node.update(&["add a.example one"]).await, Rcode::NOERROR);
}
