//! The configuration that sizes are measured with.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::Path;

/// As many services as one node should bear.
pub const SERVICES: usize = 10_000;

/// Each service has an endpoint in each.
pub const REGIONS: [&str; 12] = [
    "us-central1",
    "us-east1",
    "us-west1",
    "southamerica-east1",
    "europe-west1",
    "europe-west3",
    "europe-north1",
    "asia-east1",
    "asia-south1",
    "asia-southeast1",
    "asia-northeast1",
    "australia-southeast1",
];

const ZONE: &str = "$TTL 300\n@ SOA ns1 h 1 2 3 4 60\n@ NS ns1\nns1 A 192.0.2.53\n";

/// [`SERVICES`], or as many as `GEOPING_BENCH_SERVICES` says.
pub fn count() -> usize {
    let services = std::env::var("GEOPING_BENCH_SERVICES");
    services.ok().and_then(|n| n.parse().ok()).unwrap_or(SERVICES)
}

/// Services of an endpoint per region, each with a target of its own; `changed` ones have another
/// address in the first region. Without databases places are by the built-in one.
pub fn configuration(services: usize, changed: usize, databases: &[&Path]) -> String {
    let mut text = String::from(
        "[node]\nname = \"ns1\"\nregion = \"us-central1\"\ntrust_domain = \"test-net.io\"\n\
         [listen]\ndns = [\"127.0.0.1:0\"]\n[tls]\ncert = \"unused\"\nkey = \"unused\"\n\
         ca = \"unused\"\n[probe]\ndamping = false\n",
    );
    if !databases.is_empty() {
        let _ = writeln!(text, "[geo]\ndatabase = {databases:?}");
    }
    text.push_str("[[zone]]\nname = \"test-net.io\"\nfile = \"zone\"\n");
    let mut own = 0x0a00_0000_u32;
    for service in 0..services {
        let _ = write!(
            text,
            "[[service]]\nname = \"s{service}.test-net.io\"\nttl = 60\n\
             route = [\"healthy\", \"nearest\"]\n"
        );
        for (at, region) in REGIONS.iter().enumerate() {
            own += 1;
            let is_changed = at == 0 && service < changed;
            let address = Ipv4Addr::from(if is_changed { own | 0x0100_0000 } else { own });
            let _ = write!(
                text,
                "[[service.endpoint]]\nregion = \"{region}\"\naddresses = [\"{address}\"]\n\
                 ping = \"https://{address}:443\"\n"
            );
        }
    }
    text
}

/// Writes a configuration and its zone into a folder; returns where the configuration is.
///
/// # Panics
///
/// When that cannot be written.
pub fn write(folder: &Path, text: &str) -> std::path::PathBuf {
    let file = folder.join("dnsrouter.toml");
    std::fs::write(folder.join("zone"), ZONE).expect("a file is written");
    std::fs::write(&file, text).expect("a file is written");
    file
}
