//! A folder with a configuration and the zone file that it names, and what the server makes of it.

#![allow(dead_code, reason = "each test takes what it needs")]

use dnsrouter::io::load::{Loaded, Loader};

/// The beginning of a configuration: a node with one zone, and papers that nobody reads.
pub(crate) const NODE: &str = r#"
[node]
name = "ns1"
region = "us-central1"
trust_domain = "test-net.io"
[listen]
dns = ["127.0.0.1:0"]
[tls]
cert = "unused"
key = "unused"
ca = "unused"
[[zone]]
name = "test-net.io"
file = "zone"
"#;

/// For who does not ask the zone.
pub(crate) const ZONE: &str = "$TTL 300\n@ SOA ns1 h 1 2 3 4 60\n@ NS ns1\nns1 A 192.0.2.53\n";

/// What is read from `dnsrouter.toml` beside `zone`; or the report of why it is refused.
pub(crate) fn load(config: &str, zone: &str) -> Result<Loaded, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dnsrouter.toml");
    std::fs::write(&file, config).unwrap();
    std::fs::write(folder.path().join("zone"), zone).unwrap();
    Loader::default().load(&file, &[]).map_err(|error| error.report())
}

/// The same of one that is in order.
pub(crate) fn loaded(config: &str, zone: &str) -> Loaded {
    load(config, zone).unwrap_or_else(|report| panic!("{report}"))
}
