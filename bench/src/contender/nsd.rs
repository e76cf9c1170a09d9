//! NSD, which has static names only.

use std::process::Command;

use tests::artifact;

use super::{CONNECTIONS, IDLE, Seat, Site, shown};
use crate::names::ZONE;

pub(super) fn command(site: &Site, seat: &Seat<'_>) -> Command {
    let folder = seat.path();
    let config = format!(
        "server:\n  ip-address: 127.0.0.1\n  port: {port}\n  do-ip6: no\n  username: \"\"\n  \
         chroot: \"\"\n  zonesdir: \"{folder}\"\n  database: \"\"\n  \
         zonelistfile: \"{folder}/zone.list\"\n  xfrdfile: \"{folder}/xfrd.state\"\n  \
         xfrdir: \"{folder}\"\n  pidfile: \"\"\n  server-count: 1\n  tcp-count: {CONNECTIONS}\n  \
         tcp-timeout: {IDLE}\n  reuseport: yes\n  \
         minimal-responses: yes\n  rrl-ratelimit: 0\n  rrl-whitelist-ratelimit: 0\n\n\
         remote-control:\n  control-enable: no\n\n\
         zone:\n  name: {ZONE}\n  zonefile: \"{zone}\"\n",
        port = seat.port,
        folder = shown(&folder),
        zone = shown(&site.zone),
    );
    let mut command = artifact::peer("usr/sbin/nsd");
    command.arg("-d").arg("-c").arg(seat.write("nsd.conf", config)).current_dir(&folder);
    command
}
