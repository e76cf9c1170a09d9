//! dnsrouter: a route of `healthy` and `nearest`.

use std::fmt::Write;
use std::process::Command;

use tests::artifact;

use super::{Seat, Site};
use crate::geography::{NAME, World};
use crate::names::ZONE;

/// Limits that nobody reaches: each answer still takes its token.
pub(super) const GUARDS: &str = "[rate_limit]\nresponses_per_second = 100000\nburst = 6000000\n\n";

/// Waits for more queries.
pub(super) const NAP: &str = "nap = \"20us\"\n";

pub(super) fn command(site: &Site, seat: &Seat<'_>, nap: &str, guards: &str) -> Command {
    let mut config = format!(
        "[node]\nname = \"bench\"\nregion = \"us-central1\"\n\n\
         [listen]\ndns = [\"127.0.0.1:{port}\"]\nthreads = 1\n{nap}\n{guards}\
         [[zone]]\nname = \"{ZONE}\"\nfile = {zone:?}\n",
        port = seat.port,
        zone = site.zone,
    );
    if let Some(geo) = &site.geo {
        let _ = write!(
            config,
            "\n[geo]\ndatabase = [{:?}]\n\n[[service]]\nname = \"{NAME}\"\nttl = 60\n\
             route = [\"healthy\", \"nearest\"]\n",
            geo.database,
        );
        for (region, name) in geo.world.regions().enumerate() {
            let (v4, v6) = World::addresses(region);
            let _ = write!(
                config,
                "\n[[service.endpoint]]\nregion = \"{name}\"\naddresses = [\"{v4}\", \"{v6}\"]\n",
            );
        }
    }
    let mut command = artifact::ending_with_us(&artifact::program("dnsrouter"));
    command.arg("--config").arg(seat.write("dnsrouter.toml", config));
    command
}
