//! A folder with an authority, certificates for whoever is asked for, and a process to talk to.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use daemon::grpc::{self, Timeouts};
use daemon::tls::{Caller, Credentials, Expect, Tls, system_clock};
use pki::authority::Revoked;
use pki::{Authority, Extra, Identity, Program, Serial, TrustDomain, Validity};
use proto::geoping::v1::geo_ping_client::GeoPingClient;
use proto::geoping::v1::{RegionRequest, ServerStatusReply};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tonic::transport::Channel;

/// Nothing here takes as long, not even on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// The trust domain of every site, each with an authority of its own.
const DOMAIN: &str = "test-net.io";

/// What the node under test is.
pub(crate) const NODE: &str = "spiffe://test-net.io/region/us-central1/geoping/a";

/// A person.
pub(crate) const ADA: &str = "spiffe://test-net.io/user/ada";

/// `future`, which must be over in time.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.expect("over in time")
}

/// What `look` finds at last.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A folder of certificates, configurations and logs, gone at the end of the test.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    authority: Authority,
}

/// A running `geoping`, killed when dropped.
pub(crate) struct Node {
    child: Child,
    log: PathBuf,
    /// Where it answers gRPC.
    pub(crate) grpc: SocketAddr,
    /// Where it answers HTTP.
    pub(crate) admin: SocketAddr,
}

/// The command line of the program under test.
pub(crate) fn geoping() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_geoping"));
    command.arg("--die-with-parent").kill_on_drop(true).stdin(Stdio::null());
    command
}

impl Site {
    /// With an authority of its own and the papers of the node.
    pub(crate) fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let domain: TrustDomain = DOMAIN.parse().unwrap();
        let authority = Authority::create(&domain, &Validity::default(), now()).unwrap();
        let site = Site { folder, authority };
        site.write("ca.crt", site.authority.cert_pem());
        site.issue("node", NODE);
        site
    }

    /// Writes `name`.crt and `name`.key for `identity`.
    pub(crate) fn issue(&self, name: &str, identity: &str) {
        self.issue_for(name, identity, Validity::default().leaf);
    }

    /// As [`Site::issue`], valid for `lifetime`. Returns its number.
    pub(crate) fn issue_for(&self, name: &str, identity: &str, lifetime: Duration) -> Serial {
        self.issue_at(name, identity, lifetime, now())
    }

    /// As [`Site::issue_for`], with that clock.
    pub(crate) fn issue_at(
        &self,
        name: &str,
        identity: &str,
        lifetime: Duration,
        at: SystemTime,
    ) -> Serial {
        let identity: Identity = identity.parse().unwrap();
        let issued = self.authority.issue(&identity, &Extra::default(), lifetime, at).unwrap();
        self.write(&format!("{name}.crt"), &issued.cert_pem);
        self.write(&format!("{name}.key"), &issued.key_pem);
        issued.serial
    }

    /// Writes ca.crl, the list with that `number` and these certificates on it.
    pub(crate) fn revoke(&self, number: u64, serials: &[Serial]) {
        let lines: Vec<Revoked> =
            serials.iter().map(|&serial| Revoked { serial, at: now(), reason: None }).collect();
        let list = self.authority.crl_pem(&lines, number, Validity::default().crl, now());
        self.write("ca.crl", list.unwrap());
    }

    /// Writes a file whole, in one step, as configurations are deployed.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let beside = self.path(&format!("{name}.new"));
        std::fs::write(&beside, text).unwrap();
        if name.ends_with(".key") {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        std::fs::rename(&beside, self.path(name)).unwrap();
        self.path(name)
    }

    /// A file of the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes geoping.toml: the least, with lines for `[node]`, for `[listen]`, and more behind.
    pub(crate) fn configure(&self, node: &str, listen: &str, behind: &str) -> PathBuf {
        self.configure_as("geoping", node, listen, behind)
    }

    /// The same in `name`.toml.
    pub(crate) fn configure_as(
        &self,
        name: &str,
        node: &str,
        listen: &str,
        behind: &str,
    ) -> PathBuf {
        self.write(&format!("{name}.toml"), config(node, listen, behind))
    }

    /// Starts what geoping.toml says and waits until it is ready.
    pub(crate) async fn start(&self) -> Node {
        self.start_as("geoping").await
    }

    /// The same for `name`.toml.
    pub(crate) async fn start_as(&self, name: &str) -> Node {
        let ready = self.path(&format!("{name}.ready"));
        let log = self.path(&format!("{name}.log"));
        let mut child = geoping()
            .arg("--config")
            .arg(self.path(&format!("{name}.toml")))
            .arg("--ready-file")
            .arg(&ready)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let json: serde_json::Value = eventually("the ready file", async || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("ended with {status}:\n{}", text(&log));
            }
            serde_json::from_slice(&std::fs::read(&ready).ok()?).ok()
        })
        .await;
        let address = |key: &str| json[key].as_str().unwrap().parse().unwrap();
        Node { child, grpc: address("grpc"), admin: address("admin"), log }
    }

    /// What `identity` would use to connect.
    pub(crate) fn tls(&self, identity: &str) -> Arc<Tls> {
        let name = identity.replace(['/', ':'], "-");
        self.issue(&name, identity);
        let config = daemon::config::Tls {
            cert: self.path(&format!("{name}.crt")),
            key: self.path(&format!("{name}.key")),
            ca: self.path("ca.crt"),
            crl: None,
            renew: None,
        };
        Tls::load(&config, None, system_clock()).unwrap()
    }

    /// What somebody presents whose certificate need not be worth anything, or who has none.
    pub(crate) fn caller(&self, identity: Option<&str>) -> Arc<Caller> {
        if let Some(identity) = identity {
            self.issue("caller", identity);
        }
        let (cert, key) = (self.path("caller.crt"), self.path("caller.key"));
        let pair = identity.map(|_| (cert.as_path(), key.as_path()));
        Caller::load(&self.path("ca.crt"), pair, system_clock()).unwrap()
    }

    /// What `identity` presents, and the number of that certificate.
    pub(crate) fn caller_and_serial(&self, identity: &str) -> (Arc<Caller>, Serial) {
        let serial = self.issue_for("caller", identity, Validity::default().leaf);
        let (cert, key) = (self.path("caller.crt"), self.path("caller.key"));
        let caller = Caller::load(&self.path("ca.crt"), Some((&cert, &key)), system_clock());
        (caller.unwrap(), serial)
    }

    /// A connection to `node` as `identity`.
    pub(crate) async fn connect(&self, node: &Node, identity: &str) -> Channel {
        connect(node.grpc, &self.tls(identity)).await.unwrap()
    }

    /// What Ada is told by `node`, over a connection of its own.
    pub(crate) async fn status(&self, node: &Node) -> ServerStatusReply {
        let channel = self.connect(node, ADA).await;
        status(&mut GeoPingClient::new(channel)).await
    }
}

impl Node {
    /// Sends a signal to this very process.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.child.id().expect("not ended yet");
        kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// How it ended.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        within(self.child.wait()).await.unwrap()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        text(&self.log)
    }

    /// The status and the body of an HTTP answer of the admin port.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = within(TcpStream::connect(self.admin)).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: geoping\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within(stream.read_to_string(&mut answer)).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// The value of a metric with all of `labels`; 0 when there is none yet.
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let (_, text) = self.get("/metrics").await;
        let line = text.lines().find(|line| {
            let rest = line.strip_prefix(name).unwrap_or_default();
            rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label))
        });
        line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }
}

/// What the node is told to be.
pub(crate) fn config(node: &str, listen: &str, behind: &str) -> String {
    format!(
        "[node]\nname = 'a'\nregion = 'us-central1'\ntrust_domain = '{DOMAIN}'\n{node}\n\
         [listen]\ngrpc = '127.0.0.1:0'\nadmin = '127.0.0.1:0'\n{listen}\n\
         [tls]\ncert = 'node.crt'\nkey = 'node.key'\nca = 'ca.crt'\n{behind}\n"
    )
}

/// Connects as whoever `tls` is.
pub(crate) async fn connect(
    to: SocketAddr,
    tls: &Arc<impl Credentials>,
) -> Result<Channel, grpc::ConnectError> {
    let endpoint: grpc::Endpoint = format!("https://{to}").parse().unwrap();
    let expect = Expect::program(Program::Geoping).in_region("us-central1");
    let timeouts = Timeouts { connect: DEADLINE, request: DEADLINE };
    within(grpc::connect(&endpoint, tls, &expect, &timeouts)).await.map(|(channel, _)| channel)
}

/// What a client from europe-west3 is told.
pub(crate) async fn status(client: &mut GeoPingClient<Channel>) -> ServerStatusReply {
    let request = RegionRequest { region: "europe-west3".into() };
    within(client.status(request)).await.unwrap().into_inner()
}

fn text(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

fn now() -> SystemTime {
    SystemTime::now()
}
