//! dnsrouter: services with a route of `healthy` and `nearest`.

use std::fmt::Write;
use std::process::Command;

use tests::artifact;

use super::{CONNECTIONS, IDLE, Seat, Site};
use crate::geography::World;
use crate::names::ZONE;

/// Limits that nobody reaches, of which each answer still takes its token; and clients counted.
pub(super) const GUARDS: &str = "[rate_limit]\nresponses_per_second = 100000\nburst = 6000000\n\n\
                                 [clients]\nrecord = true\n\n";

/// Waits for more queries.
pub(super) const NAP: &str = "nap = \"20us\"\n";

pub(super) fn command(site: &Site, seat: &Seat<'_>, threads: usize, more: &str) -> Command {
    let mut config = format!(
        "[node]\nname = \"bench\"\nregion = \"us-central1\"\n\n\
         [listen]\ndns = [\"127.0.0.1:{port}\"]\nthreads = {threads}\n\
         tcp = {{ connections = {CONNECTIONS}, per_client = {CONNECTIONS}, idle = \"{IDLE}s\" }}\n\
         {more}\n\
         [[zone]]\nname = \"{ZONE}\"\nfile = {zone:?}\n",
        port = seat.port,
        zone = site.zone,
    );
    if !site.databases.is_empty() {
        let _ = writeln!(config, "\n[geo]\ndatabase = {:?}", site.databases);
    }
    if let Some(geo) = &site.geo {
        for service in 0..geo.services {
            let _ = write!(
                config,
                "\n[[service]]\nname = \"{}\"\nttl = 60\nroute = [\"healthy\", \"nearest\"]\n",
                World::name(service),
            );
            for (region, name) in geo.world.regions().enumerate() {
                let (v4, v6) = World::addresses(service, region);
                let _ = writeln!(
                    config,
                    "[[service.endpoint]]\nregion = \"{name}\"\naddresses = [\"{v4}\", \"{v6}\"]",
                );
            }
        }
    }
    let mut command = artifact::ending_with_us(&artifact::program("dnsrouter"));
    command.arg("--config").arg(seat.write("dnsrouter.toml", config));
    command
}
