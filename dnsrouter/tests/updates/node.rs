//! A node without sockets, and messages for it.

use std::fs;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::hmac;
use dns::name::Name;
use dns::rr::Class;
use dns::rr::Rcode;
use dns::rr::Rtype;
use dns::tsig::TsigError;
use dns::tsig::Variables;
use dnsrouter::answer::Lane;
use dnsrouter::answer::Transport;
use dnsrouter::counters::Registry;
use dnsrouter::io::deferred::Deferred;
use dnsrouter::io::deferred::Job;
use dnsrouter::io::dynamic;
use dnsrouter::io::dynamic::Store;
use dnsrouter::io::history::Recorder;
use dnsrouter::io::keeper::Keeper;
use dnsrouter::io::keeper::Shared;
use dnsrouter::io::load::Loaded;
use dnsrouter::io::load::Loader;
use dnsrouter::plan::Generation;
use dnsrouter::target::Targets;
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) const ZONE: &str = "\
$TTL 300
@     SOA  ns hostmaster 1 7200 900 1209600 60
@     NS   ns
ns    A    192.0.2.53
www   A    192.0.2.80
child NS   ns.child
ns.child A 192.0.2.54
";

pub(crate) const CONFIG: &str = r#"
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
pub(crate) const SECRET: &[u8] = b"a secret that nobody knows";

/// A node without sockets.
pub(crate) struct Node {
    pub(crate) folder: TempDir,
    pub(crate) deferred: Deferred,
    pub(crate) shared: Shared,
    pub(crate) store: Arc<Mutex<Store>>,
    pub(crate) loader: Loader,
    pub(crate) stop: CancellationToken,
    /// Of messages; no two are alike.
    pub(crate) id: u16,
}

impl Node {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("zone"), ZONE).unwrap();
        fs::write(folder.path().join("dnsrouter.toml"), CONFIG).unwrap();
        Self::start(folder)
    }

    pub(crate) fn start(folder: TempDir) -> Self {
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
            targets: watch::channel(Targets::default()).0,
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
    pub(crate) async fn restart(self) -> Self {
        let Self { folder, store, stop, .. } = self;
        stop.cancel();
        while Arc::strong_count(&store) > 1 {
            tokio::task::yield_now().await;
        }
        drop(store);
        Self::start(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn load(&mut self) -> Result<Loaded, String> {
        let file = self.path("dnsrouter.toml");
        self.loader.load(&file, &[]).map_err(|error| error.report())
    }

    /// As the reloader does it; `between` is done after everything was read.
    pub(crate) async fn reload(
        &mut self,
        between: impl AsyncFnOnce(&mut Self),
    ) -> Result<(), String> {
        self.loader.hold(self.store.lock().await.kept());
        let loaded = self.load();
        between(self).await;
        let mut loaded = loaded?;
        let mut store = self.store.lock().await;
        store.adopt(&mut loaded).map_err(|error| error.to_string())?;
        store.publish_loaded(&loaded).await.map_err(|error| error.to_string())
    }

    pub(crate) fn send(
        &self,
        bytes: Vec<u8>,
        peer: &str,
        transport: Transport,
    ) -> oneshot::Receiver<Vec<u8>> {
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

    pub(crate) async fn update_as(&mut self, key: &str, zone: &str, lines: &[&str]) -> Rcode {
        let bytes = self.message(key, zone, lines);
        rcode(&self.send(bytes, "127.0.0.1", Transport::Udp).await.unwrap())
    }

    pub(crate) async fn update(&mut self, lines: &[&str]) -> Rcode {
        self.update_as("all", "example", lines).await
    }

    pub(crate) fn message(&mut self, key: &str, zone: &str, lines: &[&str]) -> Vec<u8> {
        self.id += 1;
        signed(key, update(self.id, zone, lines))
    }

    /// The TXT records of a name in the plan that is served.
    pub(crate) fn txt(&self, name: &str) -> Vec<String> {
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

    pub(crate) fn serial(&self, zone: &str) -> u32 {
        let name: Name = zone.parse().unwrap();
        self.shared.plan.load().inputs.zones.zone_at(&(&name).into()).unwrap().serial()
    }

    /// What the journal on disk holds.
    pub(crate) fn kept(&self, zone: &str) -> Option<dns::zone::ZoneData> {
        let kept = dynamic::kept(&self.path("state"), &zone.parse().unwrap()).unwrap();
        kept.map(|kept| (*kept.data).clone())
    }
}

/// An UPDATE; a line is `add NAME TEXT`, `a NAME` (adds an address), `ns NAME` (a name server),
/// `del NAME`, or `no NAME` (it shall not be in use).
pub(crate) fn update(id: u16, zone: &str, lines: &[&str]) -> Vec<u8> {
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

pub(crate) fn wire(name: &str) -> Vec<u8> {
    name.parse::<Name>().unwrap().wire().to_vec()
}

pub(crate) fn record(owner: &str, rtype: Rtype, class: Class, ttl: u32, rdata: &[u8]) -> Vec<u8> {
    let head = [rtype.0.to_be_bytes(), class.0.to_be_bytes()].concat();
    let length = (rdata.len() as u16).to_be_bytes();
    [&wire(owner)[..], &head, &ttl.to_be_bytes(), &length, rdata].concat()
}

pub(crate) fn message(id: u16, zone: &str, demands: &[Vec<u8>], changes: &[Vec<u8>]) -> Vec<u8> {
    let counts = [1, demands.len() as u16, changes.len() as u16, 0].map(u16::to_be_bytes);
    let zone = [&wire(zone)[..], &[0, 6, 0, 1]].concat();
    let head = [&id.to_be_bytes()[..], &[0x28, 0], &counts.concat()].concat();
    [&head[..], &zone, &demands.concat(), &changes.concat()].concat()
}

pub(crate) fn signed(key: &str, message: Vec<u8>) -> Vec<u8> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    signed_at(key, message, now.as_secs(), SECRET)
}

pub(crate) fn signed_at(key: &str, mut message: Vec<u8>, time: u64, secret: &[u8]) -> Vec<u8> {
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

pub(crate) fn rcode(reply: &[u8]) -> Rcode {
    assert_eq!(reply[2] & 0x80, 0x80, "a reply");
    Rcode(u16::from(reply[3] & 0x0f))
}
