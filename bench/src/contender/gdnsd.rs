//! gdnsd: plugin geoip, with a map by continent and country (gdnsd-plugin-geoip(8)).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;

use tests::artifact;

use super::{CONNECTIONS, Geo, IDLE, Seat, Site, shown, zone_with};
use crate::geography::{NAME, World};
use crate::names::ZONE;

/// As many regions to fall back to as gdnsd's own automatic maps have (`auto_dc_limit`).
const REGIONS: usize = 3;

pub(super) fn command(site: &Site, seat: &Seat<'_>) -> Command {
    let folder = seat.path();
    let mut config = format!(
        "options => {{\n  listen => [ 127.0.0.1:{port} ], udp_threads => 1, tcp_threads => 1\n  \
         udp_rcvbuf => 1048576, tcp_clients_per_thread => {CONNECTIONS}, tcp_timeout => {IDLE}\n  run_dir => \"{folder}/run\", state_dir => \"{folder}/state\"\n}}\n",
        port = seat.port,
        folder = shown(&folder),
    );
    let mut dynamic = String::new();
    if let Some(geo) = &site.geo {
        config.push_str(&plugin(geo));
        let label = NAME.strip_suffix(ZONE).map_or(NAME, |label| label.trim_end_matches('.'));
        dynamic = format!("{label} 60 DYNA geoip!geo\n");
    }
    seat.write(&format!("zones/{ZONE}"), zone_with(site, &dynamic));
    seat.write("config", config);
    let mut command = artifact::peer("usr/sbin/gdnsd");
    command.arg("-c").arg(&folder).arg("start").current_dir(&folder);
    command
}

fn plugin(geo: &Geo) -> String {
    let names: Vec<&str> = geo.world.regions().collect();
    let mut map: BTreeMap<&str, String> = BTreeMap::new();
    for (continent, country, ranking) in geo.world.countries() {
        let list: Vec<&str> = ranking.iter().take(REGIONS).map(|region| names[*region]).collect();
        let countries = map.entry(continent.code()).or_default();
        let _ = writeln!(countries, "          {country} => [ {} ]", list.join(", "));
    }
    let mut text = format!(
        "plugins => {{ geoip => {{\n  maps => {{ world => {{\n    geoip2_db => \"{}\"\n    \
         datacenters => [ {} ]\n    map => {{\n",
        shown(&geo.database),
        names.join(", "),
    );
    for (continent, countries) in map {
        let _ = write!(text, "      {continent} => {{\n{countries}      }}\n");
    }
    text.push_str("    }\n  } }\n  resources => { geo => { map => world, dcmap => {\n");
    for (region, name) in names.iter().enumerate() {
        let (v4, v6) = World::addresses(0, region);
        let _ = writeln!(text, "    {name} => {{ addrs_v4 => [ {v4} ], addrs_v6 => [ {v6} ] }}");
    }
    text.push_str("  } } }\n} }\n");
    text
}
