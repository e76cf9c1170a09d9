//! The import itself, and the servers that are asked.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tests::artifact;
use tests::gdnsd::Gdnsd;
use tests::mmdb;
use tests::name_server::NameServer;
use tests::process::Process;
use tests::scratch::Scratch;

use super::case::{Case, Finding};

/// geoip's exit code when something was left out or changed.
const DIFFERS: i32 = 4;

/// `geoip import`, with everything it tells compared to what it shall tell; the configuration.
pub(crate) fn import(case: &Case, scratch: &Scratch) -> PathBuf {
    let (config, found) = loaded(&case.name, &case.folder(), scratch);
    let expected: BTreeSet<Finding> = case.finding.iter().cloned().collect();
    assert_eq!(found, expected, "what the import of {} tells", case.name);
    config
}

/// `geoip import`, and `dnsrouter --check` of what comes out; the configuration and the findings.
pub(crate) fn loaded(
    product: &str,
    from: &Path,
    scratch: &Scratch,
) -> (PathBuf, BTreeSet<Finding>) {
    let out = scratch.join("imported");
    let mut command = artifact::ending_with_us(&artifact::program("geoip"));
    command.arg("import").arg(product).arg(from);
    command.arg("--json").arg("--out").arg(&out);
    command.env("HOME", scratch.path());
    let output = command.output().expect("geoip runs");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let found: BTreeSet<Finding> =
        serde_json::from_value(told["findings"].clone()).expect("findings have these keys");
    let faithful = found.iter().all(|finding| finding.kind == "note");
    assert_eq!(output.status.code(), Some(if faithful { 0 } else { DIFFERS }));
    let config = out.join("dnsrouter.toml");
    let checked = NameServer::command(&config).arg("--check").output().expect("dnsrouter runs");
    assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stderr));
    (config, found)
}

/// dnsrouter with an imported configuration.
pub(crate) struct Router {
    dns: SocketAddr,
    _process: Process,
}

impl Router {
    pub(crate) fn start(case: &Case, config: &Path, scratch: &Scratch) -> Self {
        let database = scratch.write("places.mmdb", mmdb::city(&case.place));
        let ready = scratch.join("ready.json");
        let mut command = NameServer::command(config);
        command.arg("--set").arg("listen.dns=[\"127.0.0.1:0\"]");
        command.arg("--set").arg(format!("geo.database=[{database:?}]"));
        command.arg("--ready-file").arg(&ready);
        let mut process = Process::spawn("dnsrouter", command, &scratch.join("dnsrouter.log"));
        let addresses = process.ready(&ready);
        let dns = addresses["dns"][0].as_str().and_then(|text| text.parse().ok());
        Self { dns: dns.expect("the ready file has the address"), _process: process }
    }

    pub(crate) fn dns(&self) -> SocketAddr {
        self.dns
    }
}

/// The real gdnsd with the very configuration that was imported; only where it listens and writes
/// is its own.
pub(crate) fn gdnsd(case: &Case, scratch: &Scratch) -> Gdnsd {
    Gdnsd::start(scratch, "example.com.", |folder| {
        copy(&case.folder(), folder);
        fs::create_dir_all(folder.join("geoip")).expect("the scratch folder can be written");
        fs::write(folder.join("geoip/GeoIP2-City.mmdb"), mmdb::city(&case.place))
            .expect("the scratch folder can be written");
    })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the scratch folder can be written");
    for entry in fs::read_dir(from).expect("the case's folder can be read") {
        let path = entry.expect("the case's folder can be read").path();
        let copied = to.join(path.file_name().expect("an entry has a name"));
        match path.is_dir() {
            true => copy(&path, &copied),
            false => drop(fs::copy(&path, &copied).expect("the scratch folder can be written")),
        }
    }
}
