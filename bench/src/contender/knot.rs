//! Knot DNS: mod-geoip in mode geodb, with the same countries (Knot's documentation, modules/geoip).

use std::fmt::Write;
use std::process::Command;

use tests::artifact;

use super::{CONNECTIONS, Geo, IDLE, Seat, Site, shown};
use crate::geography::{NAME, World};
use crate::names::ZONE;

/// Where Debian puts the module, in the folder of unpacked packages.
const MODULES: &str = "peers/usr/lib/x86_64-linux-gnu/knot/modules-3.2/geoip.so";

/// Milliseconds that an answer may take to be sent; the default of half a second is a client's
/// misfortune on a machine that stalls.
const SLOW: usize = 5000;

pub(super) fn command(site: &Site, seat: &Seat<'_>) -> Command {
    let folder = seat.path();
    let mut config = String::new();
    let mut module = "";
    if let Some(geo) = &site.geo {
        let places = seat.write("geo.conf", places(geo));
        let _ = write!(
            config,
            "module:\n  - id: mod-geoip\n    file: \"{file}\"\n\n\
             mod-geoip:\n  - id: world\n    config-file: \"{places}\"\n    ttl: 60\n    mode: geodb\n    \
             geodb-file: \"{database}\"\n    geodb-key: [ continent/code, country/iso_code ]\n\n",
            file = shown(&artifact::target().join(MODULES)),
            places = shown(&places),
            database = shown(&geo.database),
        );
        module = "    module: mod-geoip/world\n";
    }
    let _ = write!(
        config,
        "server:\n    rundir: \"{folder}\"\n    listen: 127.0.0.1@{port}\n    udp-workers: 1\n    \
         tcp-workers: 1\n    tcp-max-clients: {CONNECTIONS}\n    \
         tcp-idle-timeout: {IDLE}\n    tcp-io-timeout: {SLOW}\n    background-workers: 1\n    edns-client-subnet: on\n\n\
         # Nobody connects to it; in a folder of its own it is in nobody's way.\n\
         control:\n    listen: \"/proc/self/cwd/knot.sock\"\n\n\
         log:\n  - target: stderr\n    any: notice\n\n\
         database:\n    storage: \"{folder}\"\n\n\
         zone:\n  - domain: {ZONE}\n    file: \"{zone}\"\n    zonefile-sync: -1\n    \
         zonefile-load: whole\n    journal-content: none\n{module}",
        folder = shown(&folder),
        port = seat.port,
        zone = shown(&site.zone),
    );
    let mut command = artifact::peer("usr/sbin/knotd");
    command.arg("-c").arg(seat.write("knot.conf", config)).current_dir(&folder);
    command
}

fn places(geo: &Geo) -> String {
    let mut text = format!("{NAME}:\n");
    for (continent, country, ranking) in geo.world.countries() {
        let (v4, v6) = World::addresses(0, ranking[0]);
        let _ = write!(
            text,
            "  - geo: \"{};{country}\"\n    A: {v4}\n    AAAA: {v6}\n",
            continent.code(),
        );
    }
    text
}
