//! Real servers of all zones of some case files.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::exchange::Peer;
use super::expect::{Product, Transport};
use super::file::CaseFile;
use super::message::Message;
use super::query::Query;
use super::record::name_text;
use super::replay::Server;
use crate::artifact;
use crate::port;
use crate::process::Process;
use crate::scratch::Scratch;
use crate::wait;

/// Somebody else may take a free port before a peer does.
const ATTEMPTS: usize = 5;

/// How long a server may take until it answers for all zones.
const READY: Duration = Duration::from_secs(120);

/// A running server.
pub struct Running {
    product: Product,
    peer: Peer,
    process: Process,
}

/// Which files are served together: those that are not alone, and each that is.
pub fn groups(files: &[CaseFile]) -> Vec<Vec<&CaseFile>> {
    let (alone, together): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.alone);
    let groups = std::iter::once(together).chain(alone.into_iter().map(|file| vec![file]));
    groups.filter(|group| !group.is_empty()).collect()
}

/// The folder of configurations and cases.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/dns")
}

/// Starts `product` with the zones of `files`, and waits until it answers for each.
///
/// # Panics
///
/// When it does not start, or does not take a zone: with the last of its log.
pub fn start(product: Product, files: &[&CaseFile], scratch: &Scratch, name: &str) -> Running {
    let folder = format!("{name}-{}", product.name());
    (0..ATTEMPTS)
        .find_map(|_| attempt(product, files, scratch, &folder))
        .unwrap_or_else(|| panic!("{} does not start; see {:?}", folder, scratch.join(&folder)))
}

fn attempt(
    product: Product,
    files: &[&CaseFile],
    scratch: &Scratch,
    folder: &str,
) -> Option<Running> {
    let (command, port) = match product {
        Product::Dnsrouter => {
            let config = dnsrouter_config(files, scratch, folder);
            let mut command = artifact::ending_with_us(&artifact::program("dnsrouter"));
            command.arg("--config").arg(config);
            command.arg("--ready-file").arg(scratch.join(format!("{folder}/ready.json")));
            (command, None)
        }
        Product::Knot | Product::Nsd => {
            let port = port::free();
            (peer_command(product, port, files, scratch, folder), Some(port))
        }
    };
    let log = scratch.join(format!("{folder}/log"));
    let mut process = Process::spawn(folder, command, &log);
    let port = match port {
        Some(port) => port,
        None => {
            let ready = process.ready(&scratch.join(format!("{folder}/ready.json")));
            let address = ready["dns"][0].as_str().and_then(|text| text.parse::<SocketAddr>().ok());
            address.expect("the ready file has the address").port()
        }
    };
    let zones: Vec<String> = files
        .iter()
        .flat_map(|file| file.zones_for(product))
        .map(|(name, _)| name_text(name))
        .collect();
    let soa = |zone: &str| Query::ask(&format!("{zone} SOA"), &[0]).expect("a name").bytes;
    let canary = soa(zones.first().map_or(".", String::as_str));
    let peer = Peer::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), canary);
    let mut running = Running { product, peer, process };
    for zone in zones {
        let what = format!("{folder} to answer for {zone}");
        let answers = wait::some(&what, READY, || {
            if running.process.exited().is_some() {
                return Some(false);
            }
            running.serves(&soa(&zone)).then_some(true)
        });
        if !answers {
            assert!(
                running.process.log().contains("ddress already in use"),
                "{folder} has ended:\n{}",
                running.process.log()
            );
            return None;
        }
    }
    Some(running)
}

impl Running {
    fn serves(&self, query: &[u8]) -> bool {
        // With a canary behind it there is always an answer to wait for.
        let reply = self.peer.ask(Transport::Udp, Ipv4Addr::LOCALHOST, query, true);
        let message = reply.ok().flatten().and_then(|reply| Message::parse(&reply).ok());
        message.is_some_and(|message| message.rcode() == 0 && !message.sections[0].is_empty())
    }
}

impl Server for Running {
    fn product(&self) -> Product {
        self.product
    }

    fn ask(
        &mut self,
        transport: Transport,
        from: Ipv4Addr,
        query: &[u8],
        silence: bool,
    ) -> std::io::Result<Option<Vec<u8>>> {
        self.peer.ask(transport, from, query, silence)
    }
}

/// Writes dnsrouter's configuration and zones, and returns the configuration's path.
pub fn dnsrouter_config(files: &[&CaseFile], scratch: &Scratch, folder: &str) -> PathBuf {
    let mut config = template("dnsrouter.toml");
    for (name, file) in zone_files(Product::Dnsrouter, files, scratch, folder) {
        let _ = write!(config, "\n[[zone]]\nname = {name:?}\nfile = {file:?}\n");
    }
    for file in files {
        let _ = write!(config, "\n{}\n{}", file.services, file.config);
    }
    scratch.write(&format!("{folder}/dnsrouter.toml"), config)
}

fn peer_command(
    product: Product,
    port: u16,
    files: &[&CaseFile],
    scratch: &Scratch,
    folder: &str,
) -> Command {
    let name = product.name();
    let own = scratch.join(folder);
    let mut config = template(&format!("{name}.conf"))
        .replace("@port@", &port.to_string())
        .replace("@folder@", &own.display().to_string());
    for (zone, file) in zone_files(product, files, scratch, folder) {
        let file = file.display();
        let _ = match product {
            Product::Knot => writeln!(config, "  - domain: {zone:?}\n    file: {file:?}"),
            _ => writeln!(
                config,
                "zone:\n  name: {zone:?}\n  zonefile: {file:?}",
                file = file.to_string()
            ),
        };
    }
    let config = scratch.write(&format!("{folder}/{name}.conf"), config);
    let mut command = artifact::peer(match product {
        Product::Knot => "usr/sbin/knotd",
        _ => "usr/sbin/nsd",
    });
    if product == Product::Nsd {
        command.arg("-d");
    }
    command.arg("-c").arg(config).current_dir(own);
    command
}

fn template(name: &str) -> String {
    let path = folder().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// Writes the zones that `product` serves; their names and paths.
fn zone_files(
    product: Product,
    files: &[&CaseFile],
    scratch: &Scratch,
    folder: &str,
) -> Vec<(String, PathBuf)> {
    let zones = files.iter().flat_map(|file| {
        file.zones_for(product).into_iter().map(|(name, text)| (&file.stem, name, text))
    });
    (0..)
        .zip(zones)
        .map(|(number, (stem, name, text))| {
            let path = scratch.write(&format!("{folder}/{number}-{stem}.zone"), text);
            (name_text(name), path)
        })
        .collect()
}
