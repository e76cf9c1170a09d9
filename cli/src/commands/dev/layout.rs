//! What runs where, and which file lies where. Pure: everything follows from the arguments.
//!
//! ```text
//!  DIR/                        0700, marked as ours by .geoip-dev, which is also the lock
//!  ├─ pki/                     the private CA
//!  ├─ dev.crt dev.key          you
//!  ├─ test-net.io.zone
//!  ├─ us-central1/             one per region: geoping.toml, dnsrouter.toml, certificates, state
//!  ├─ logs/NODE.log
//!  ├─ run/NODE.json            while it runs: what a node says when it is ready
//!  └─ dev.sock                 while it runs: `geoip dev kill`, `revive`, `status`
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use pki::{Program, TrustDomain};
use thiserror::Error;

/// The regions of a system that was given none.
pub(crate) const DEFAULT_REGIONS: [&str; 3] = ["us-central1", "europe-west3", "asia-southeast1"];

/// GeoPings have 127.0.0.11 to .20, name servers .21 to .30: ten of each.
pub(crate) const MAX_REGIONS: usize = 10;
const FIRST_GEOPING: u8 = 11;
const FIRST_DNSROUTER: u8 = 21;

/// One port per purpose; the nodes differ by address, so that `geo.test-net.io:8443` works
/// whichever region is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) grpc: u16,
    pub(crate) dns: u16,
    pub(crate) control: u16,
    pub(crate) dnsrouter_admin: u16,
    pub(crate) geoping_admin: u16,
}

/// How many ports `--port-base` takes, counted from it.
pub(crate) const PORTS: u16 = 5;

/// The last base from which they fit.
const MAX_BASE: u16 = u16::MAX - PORTS + 1;

impl Ports {
    /// The documented ones, or five in a row from a base.
    pub(crate) fn new(base: Option<u16>) -> Self {
        match base {
            None => Self {
                grpc: 8443,
                dns: 5300,
                control: 7443,
                dnsrouter_admin: 9153,
                geoping_admin: 9154,
            },
            Some(base) => Self {
                grpc: base,
                dns: base + 1,
                control: base + 2,
                dnsrouter_admin: base + 3,
                geoping_admin: base + 4,
            },
        }
    }
}

/// Why a system cannot be laid out so. The arguments are to blame.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum LayoutError {
    #[error("region \"{0}\" is named twice")]
    Twice(String),
    #[error("{0} regions: from 1 to {MAX_REGIONS} fit on this machine's loopback addresses")]
    Count(usize),
    #[error("no cloud has a region \"{name}\"{}", suggestion(near))]
    Unknown { name: String, near: Vec<&'static str> },
    #[error("--port-base {0}: {PORTS} ports from there must fit, from 1024 to {MAX_BASE}")]
    PortBase(u16),
}

fn suggestion(near: &[&str]) -> String {
    match near {
        [] => String::new(),
        near => format!("; did you mean {}?", near.join(", ")),
    }
}

/// The whole system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) dir: PathBuf,
    pub(crate) trust_domain: TrustDomain,
    pub(crate) ports: Ports,
    pub(crate) sites: Vec<Site>,
}

/// One region with its two nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) region: String,
    pub(crate) geoping: Node,
    pub(crate) dnsrouter: Node,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) program: Program,
    pub(crate) region: String,
    pub(crate) address: IpAddr,
    pub(crate) config: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) ready: PathBuf,
    /// Everything it binds; the first is what it is there for.
    pub(crate) listens: Vec<Listen>,
}

/// One listening address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listen {
    pub(crate) what: &'static str,
    pub(crate) at: SocketAddr,
    /// Also UDP.
    pub(crate) udp: bool,
}

impl Layout {
    /// # Errors
    /// [`LayoutError`] names the argument.
    pub(crate) fn new(
        dir: &Path,
        regions: &[String],
        trust_domain: TrustDomain,
        port_base: Option<u16>,
    ) -> Result<Self, LayoutError> {
        if regions.is_empty() || regions.len() > MAX_REGIONS {
            return Err(LayoutError::Count(regions.len()));
        }
        if let Some(base) = port_base
            && !(1024..=MAX_BASE).contains(&base)
        {
            return Err(LayoutError::PortBase(base));
        }
        for (index, name) in regions.iter().enumerate() {
            if geo::regions::find(name).is_none() {
                let near = geo::regions::nearest_names(name);
                return Err(LayoutError::Unknown { name: name.clone(), near });
            }
            if regions[..index].contains(name) {
                return Err(LayoutError::Twice(name.clone()));
            }
        }
        let ports = Ports::new(port_base);
        let sites = regions
            .iter()
            .zip(0..)
            .map(|(region, index)| Site {
                region: region.clone(),
                geoping: geoping(dir, region, index, ports),
                dnsrouter: dnsrouter(dir, region, index, ports),
            })
            .collect();
        Ok(Self { dir: dir.to_owned(), trust_domain, ports, sites })
    }

    /// All nodes, GeoPings first: name servers look for them as soon as they run.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        let geopings = self.sites.iter().map(|site| &site.geoping);
        geopings.chain(self.sites.iter().map(|site| &site.dnsrouter))
    }

    /// The name that is answered by region.
    pub(crate) fn service(&self) -> String {
        format!("geo.{}", self.trust_domain)
    }

    pub(crate) fn zone_file(&self) -> PathBuf {
        self.dir.join(format!("{}.zone", self.trust_domain))
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.dir.join("pki")
    }
}

/// The control socket of the system in that directory.
pub(crate) fn socket(dir: &Path) -> PathBuf {
    dir.join("dev.sock")
}

/// The file that marks the directory as ours; it is locked while the system runs.
pub(crate) fn marker(dir: &Path) -> PathBuf {
    dir.join(".geoip-dev")
}

fn geoping(dir: &Path, region: &str, index: u8, ports: Ports) -> Node {
    let address = loopback(FIRST_GEOPING + index);
    let listens = vec![
        Listen { what: "grpc", at: (address, ports.grpc).into(), udp: false },
        Listen { what: "admin", at: (address, ports.geoping_admin).into(), udp: false },
    ];
    node(dir, format!("{region}-a"), Program::Geoping, region, address, listens)
}

fn dnsrouter(dir: &Path, region: &str, index: u8, ports: Ports) -> Node {
    let address = loopback(FIRST_DNSROUTER + index);
    let listens = vec![
        Listen { what: "dns", at: (address, ports.dns).into(), udp: true },
        Listen { what: "control", at: (address, ports.control).into(), udp: false },
        Listen { what: "admin", at: (address, ports.dnsrouter_admin).into(), udp: false },
    ];
    let name = format!("ns{}", u16::from(index) + 1);
    node(dir, name, Program::Dnsrouter, region, address, listens)
}

fn node(
    dir: &Path,
    name: String,
    program: Program,
    region: &str,
    address: IpAddr,
    listens: Vec<Listen>,
) -> Node {
    Node {
        config: dir.join(region).join(format!("{}.toml", program.as_str())),
        log: dir.join("logs").join(format!("{name}.log")),
        ready: dir.join("run").join(format!("{name}.json")),
        region: region.to_owned(),
        name,
        program,
        address,
        listens,
    }
}

fn loopback(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

impl Node {
    /// The address of that purpose.
    ///
    /// # Panics
    /// When the node has none: purposes are spelled in this file and its callers only.
    pub(crate) fn at(&self, what: &str) -> SocketAddr {
        let found = self.listens.iter().find(|listen| listen.what == what);
        found.expect("every program has the listeners laid out above").at
    }

    /// The certificate, beside the configuration.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.config.with_file_name(format!("{}.crt", self.name))
    }

    /// Its key.
    pub(crate) fn key(&self) -> PathBuf {
        self.config.with_file_name(format!("{}.key", self.name))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn layout(regions: &[&str], base: Option<u16>) -> Result<Layout, LayoutError> {
        let regions: Vec<String> = regions.iter().map(|&region| region.to_owned()).collect();
        let trust_domain = "test-net.io".parse().unwrap();
        Layout::new(Path::new("/d"), &regions, trust_domain, base)
    }

    #[test]
    fn three_regions_on_loopback_addresses() {
        let layout = layout(&DEFAULT_REGIONS, None).unwrap();
        let lines: Vec<String> = layout
            .nodes()
            .map(|node| {
                let at = node.listens.iter().map(|l| format!(" {}={}", l.what, l.at));
                format!("{} {}{}", node.name, node.config.display(), at.collect::<String>())
            })
            .collect();
        assert_eq!(
            lines,
            [
                "us-central1-a /d/us-central1/geoping.toml grpc=127.0.0.11:8443 \
                 admin=127.0.0.11:9154",
                "europe-west3-a /d/europe-west3/geoping.toml grpc=127.0.0.12:8443 \
                 admin=127.0.0.12:9154",
                "asia-southeast1-a /d/asia-southeast1/geoping.toml grpc=127.0.0.13:8443 \
                 admin=127.0.0.13:9154",
                "ns1 /d/us-central1/dnsrouter.toml dns=127.0.0.21:5300 control=127.0.0.21:7443 \
                 admin=127.0.0.21:9153",
                "ns2 /d/europe-west3/dnsrouter.toml dns=127.0.0.22:5300 control=127.0.0.22:7443 \
                 admin=127.0.0.22:9153",
                "ns3 /d/asia-southeast1/dnsrouter.toml dns=127.0.0.23:5300 \
                 control=127.0.0.23:7443 admin=127.0.0.23:9153",
            ]
        );
    }

    #[test]
    fn a_base_moves_all_ports() {
        let layout = layout(&["us-central1"], Some(18000)).unwrap();
        let ports: Vec<u16> =
            layout.nodes().flat_map(|node| node.listens.iter().map(|l| l.at.port())).collect();
        assert_eq!(ports, [18000, 18004, 18001, 18002, 18003]);
    }

    #[test]
    fn what_cannot_be_laid_out_is_named() {
        let told = |regions: &[&str], base| layout(regions, base).unwrap_err();
        assert_eq!(told(&[], None), LayoutError::Count(0));
        assert_eq!(told(&["us-central1"; 11], None), LayoutError::Count(11));
        let twice = ["us-central1", "us-central1"];
        assert_eq!(told(&twice, None), LayoutError::Twice("us-central1".into()));
        assert_eq!(told(&["us-central1"], Some(80)), LayoutError::PortBase(80));
        assert_eq!(told(&["us-central1"], Some(65532)), LayoutError::PortBase(65532));
        assert!(layout(&["us-central1"], Some(65531)).is_ok());
        let error = told(&["us-centrall1"], None).to_string();
        assert!(error.contains("did you mean us-central1"), "{error}");
    }
}
