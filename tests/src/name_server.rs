//! A dnsrouter with a configuration of its own.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::artifact;
use crate::authority::Authority;
use crate::process::Process;
use crate::region::address;
use crate::scrape::Metrics;
use crate::scratch::Scratch;

/// The zone of most tests.
pub const ZONE: &str = "\
$TTL 300
@     IN SOA   ns1 hostmaster 2026010100 7200 900 1209600 60
      IN NS    ns1
      IN NS    ns2
ns1   IN A     203.0.113.53
ns2   IN A     203.0.113.54
www   IN A     203.0.113.80
      IN AAAA  2001:db8::80
alias IN CNAME www
@     IN MX    10 mail
mail  IN A     203.0.113.25
txt   IN TXT   \"one\" \"two\"
";

/// What is slack for a machine that runs a whole test suite beside, in every bound on time.
pub const SLACK: Duration = Duration::from_secs(1);

/// How targets are pinged.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// From ping to ping.
    pub interval: Duration,
    /// How long a ping may take; at most the interval.
    pub timeout: Duration,
    /// The most that is added to the interval, in percent of it.
    pub jitter: u32,
    /// Successes in a row that make a target up.
    pub rise: u32,
    /// Failures in a row that make it down.
    pub fall: u32,
}

impl Probe {
    /// Short enough for many runs, long enough for handshakes of debug builds.
    pub const QUICK: Probe = Probe {
        interval: Duration::from_millis(300),
        timeout: Duration::from_millis(300),
        jitter: 10,
        rise: 2,
        fall: 3,
    };

    /// From a death to the last answer that shows the dead: fall × (interval + jitter) +
    /// time-out + 1 s.
    pub fn until_gone(&self) -> Duration {
        self.pings(self.fall)
    }

    /// From a return to the first answer that shows it: rise × (interval + jitter) +
    /// time-out + 1 s.
    pub fn until_back(&self) -> Duration {
        self.pings(self.rise)
    }

    fn pings(&self, count: u32) -> Duration {
        (self.interval + self.interval * self.jitter / 100) * count + self.timeout + SLACK
    }
}

/// A name that is answered by a route.
#[derive(Clone, Debug)]
pub struct Service {
    /// The owner name.
    pub name: String,
    /// Seconds.
    pub ttl: u32,
    /// The route as TOML, for example `["healthy", "nearest"]`.
    pub route: String,
    /// Where it may lead.
    pub endpoints: Vec<Endpoint>,
}

/// One region of a service.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The region's name.
    pub region: String,
    /// What is answered.
    pub addresses: Vec<IpAddr>,
    /// Its GeoPing; none: never probed.
    pub ping: Option<SocketAddr>,
}

/// How a name server is to be started.
#[derive(Clone, Debug)]
pub struct NameServerPlan {
    name: String,
    region: String,
    dns: SocketAddr,
    zone: String,
    databases: Vec<PathBuf>,
    networks: Vec<(String, String)>,
    services: Vec<Service>,
    probe: Probe,
    damping: String,
    state: Option<PathBuf>,
    more: String,
}

impl NameServerPlan {
    /// A name server of the zone test-net.io on a free port, with the built-in country database,
    /// no services, and `[state]` in memory.
    pub fn new(name: &str) -> NameServerPlan {
        NameServerPlan {
            name: name.to_owned(),
            region: "us-central1".to_owned(),
            dns: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            zone: ZONE.to_owned(),
            databases: Vec::new(),
            networks: Vec::new(),
            services: Vec::new(),
            probe: Probe::QUICK,
            // Regions die again and again in tests, and each time is measured.
            damping: "false".to_owned(),
            state: None,
            more: String::new(),
        }
    }

    /// Answers DNS at this address.
    #[must_use]
    pub fn listen(mut self, dns: SocketAddr) -> NameServerPlan {
        self.dns = dns;
        self
    }

    /// Stands in this region.
    #[must_use]
    pub fn region(mut self, region: &str) -> NameServerPlan {
        region.clone_into(&mut self.region);
        self
    }

    /// Serves this master file as test-net.io.
    #[must_use]
    pub fn zone(mut self, text: &str) -> NameServerPlan {
        text.clone_into(&mut self.zone);
        self
    }

    /// Places addresses by this database.
    #[must_use]
    pub fn database(mut self, file: PathBuf) -> NameServerPlan {
        self.databases.push(file);
        self
    }

    /// Places a network at a region.
    #[must_use]
    pub fn network(mut self, prefix: &str, region: &str) -> NameServerPlan {
        self.networks.push((prefix.to_owned(), region.to_owned()));
        self
    }

    /// Answers this name by its route.
    #[must_use]
    pub fn service(mut self, service: Service) -> NameServerPlan {
        self.services.push(service);
        self
    }

    /// Pings like this.
    #[must_use]
    pub fn probe(mut self, probe: Probe) -> NameServerPlan {
        self.probe = probe;
        self
    }

    /// Damps what flaps: TOML, for example `{ half_life = "1m" }`. Without, nothing is damped.
    #[must_use]
    pub fn damping(mut self, toml: &str) -> NameServerPlan {
        toml.clone_into(&mut self.damping);
        self
    }

    /// Keeps its last good inputs here.
    #[must_use]
    pub fn state(mut self, folder: PathBuf) -> NameServerPlan {
        self.state = Some(folder);
        self
    }

    /// More lines for the end of its configuration.
    #[must_use]
    pub fn more(mut self, toml: &str) -> NameServerPlan {
        self.more.push_str(toml);
        self
    }

    /// Writes its files and does not start it.
    pub fn write(&self, scratch: &Scratch, authority: &Authority) -> PathBuf {
        let zone = scratch.write(&format!("{}/test-net.io.zone", self.name), &self.zone);
        let config = self.toml(&zone, authority);
        scratch.write(&format!("{}/dnsrouter.toml", self.name), config)
    }

    /// Starts it and waits until it serves.
    pub fn start(&self, scratch: &Scratch, authority: &Authority) -> NameServer {
        let config = self.write(scratch, authority);
        let unknown = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut server = NameServer {
            name: self.name.clone(),
            config,
            dns: self.dns,
            control: unknown,
            admin: unknown,
            process: None,
        };
        server.revive();
        server
    }

    fn toml(&self, zone: &Path, authority: &Authority) -> String {
        let papers = authority.name_server(&self.region, &self.name);
        let mut toml = format!(
            "[node]\nname = \"{name}\"\nregion = \"{region}\"\ntrust_domain = \"{domain}\"\n\n\
             [listen]\ndns = [\"{dns}\"]\ncontrol = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\n\
             [tls]\ncert = {cert:?}\nkey = {key:?}\nca = {ca:?}\n\n\
             [probe]\ninterval = \"{interval:?}\"\ntimeout = \"{timeout:?}\"\n\
             jitter = \"{jitter}%\"\nrise = {rise}\nfall = {fall}\n\
             damping = {damping}\n\n\
             [geo]\ndatabase = {databases:?}\n[geo.networks]\n",
            name = self.name,
            region = self.region,
            domain = authority.trust_domain(),
            dns = self.dns,
            cert = papers.certificate,
            key = papers.key,
            ca = authority.certificate(),
            interval = self.probe.interval,
            timeout = self.probe.timeout,
            jitter = self.probe.jitter,
            rise = self.probe.rise,
            fall = self.probe.fall,
            damping = self.damping,
            databases = self.databases,
        );
        for (prefix, region) in &self.networks {
            let _ = writeln!(toml, "\"{prefix}\" = {{ region = \"{region}\" }}");
        }
        if let Some(folder) = &self.state {
            let _ = write!(toml, "\n[state]\ndir = {folder:?}\n");
        }
        let _ = write!(toml, "\n[[zone]]\nname = \"test-net.io\"\nfile = {zone:?}\n");
        self.services.iter().for_each(|service| service.toml(&mut toml));
        toml.push_str(&self.more);
        toml
    }
}

impl Service {
    fn toml(&self, toml: &mut String) {
        let Service { name, ttl, route, endpoints } = self;
        let _ = write!(toml, "\n[[service]]\nname = \"{name}\"\nttl = {ttl}\nroute = {route}\n");
        for Endpoint { region, addresses, ping } in endpoints {
            let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
            let _ = write!(
                toml,
                "\n[[service.endpoint]]\nregion = \"{region}\"\naddresses = {addresses:?}\n"
            );
            if let Some(ping) = ping {
                let _ = writeln!(toml, "ping = \"https://{ping}\"");
            }
        }
    }
}

/// A running or dead name server.
pub struct NameServer {
    name: String,
    config: PathBuf,
    dns: SocketAddr,
    control: SocketAddr,
    admin: SocketAddr,
    process: Option<Process>,
}

impl NameServer {
    /// `dnsrouter --config FILE`, to be given more arguments.
    pub fn command(config: &Path) -> Command {
        let mut command = artifact::ending_with_us(&artifact::program("dnsrouter"));
        command.arg("--config").arg(config);
        command
    }

    /// Where it answers DNS; the same before and after [`kill`](Self::kill).
    pub fn dns(&self) -> SocketAddr {
        self.dns
    }

    /// Where its control service is.
    pub fn control(&self) -> SocketAddr {
        self.control
    }

    /// Its metrics now.
    pub fn metrics(&self) -> Metrics {
        Metrics::scrape(self.admin)
    }

    /// Where its metrics and readiness are.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The process.
    ///
    /// # Panics
    ///
    /// When it is dead.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the name server was not killed")
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again, on the port it had, and waits until it serves.
    pub fn revive(&mut self) {
        let ready = self.config.with_file_name("ready.json");
        let _ = std::fs::remove_file(&ready);
        let mut command = NameServer::command(&self.config);
        command.arg("--set").arg(format!("listen.dns=[\"{}\"]", self.dns));
        command.arg("--ready-file").arg(&ready);
        let log = self.config.with_file_name("dnsrouter.log");
        let mut process = Process::spawn(&format!("dnsrouter {}", self.name), command, &log);
        let addresses = process.ready(&ready);
        self.dns = address(&addresses["dns"][0]);
        self.control = address(&addresses["control"]);
        self.admin = address(&addresses["admin"]);
        self.process = Some(process);
    }
}
