//! `options`: what of the server's own settings has a counterpart.

use crate::import::files::Files;
use crate::import::vscf::{Kind, Table};
use crate::import::{Failure, Imported};

/// What zone files fall back on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Defaults {
    /// Seconds, where a zone file has no `$TTL`.
    pub(super) ttl: u32,
}

/// Octets of a text in `[identity]`; dnsrouter has the same limit.
const MAX_TEXT: usize = 128;

/// Limits of threads, buffers and connections: this server has its own, or needs none.
const TUNING: [&str; 20] = [
    "tcp_threads",
    "udp_threads",
    "tcp_clients_per_thread",
    "tcp_timeout",
    "disable_tcp_dso",
    "tcp_backlog",
    "tcp_fastopen",
    "udp_rcvbuf",
    "udp_sndbuf",
    "zones_rfc1035_threads",
    "lock_mem",
    "disable_text_autosplit",
    "max_edns_response",
    "max_edns_response_v6",
    "experimental_no_chain",
    "run_dir",
    "state_dir",
    "zones_strict_data",
    "tcp_control",
    "max_nocookie_response",
];

pub(super) fn options(
    options: &Table,
    files: &Files,
    imported: &mut Imported,
) -> Result<Defaults, Failure> {
    let port: u16 = options.number("dns_port", files)?.unwrap_or(53);
    let mut defaults = Defaults { ttl: 86400 };
    for entry in &options.entries {
        let at = files.place(entry.at);
        let value = &entry.value;
        match entry.key.as_str() {
            "listen" => listen(entry, port, files, imported)?,
            "zones_default_ttl" => defaults.ttl = value.number(files)?,
            "chaos_response" | "nsid_ascii" => {
                let text = value.text(files)?;
                let fits =
                    text.len() <= MAX_TEXT && text.bytes().all(|o| (0x20..0x7f).contains(&o));
                let settings = &mut imported.settings;
                match (fits, entry.key.as_str()) {
                    (true, "nsid_ascii") => settings.nsid = Some(text.to_owned()),
                    (true, _) => settings.chaos = Some(text.to_owned()),
                    (false, key) => {
                        let why = "such a text is at most 128 printable ASCII characters";
                        imported.findings.left_out(at, key, why, "choose a shorter one");
                    }
                }
            }
            "nsid" => {
                let why = "NSID is a text here, and this one is given in hexadecimal";
                imported.findings.left_out(at, "nsid", why, "set [identity] nsid to a text");
            }
            "min_ttl" | "max_ttl" | "max_ncache_ttl" => {
                let what = format!("{} = {}", entry.key, value.text(files)?);
                let why = "TTLs are answered as the zone files have them";
                imported.findings.changed(
                    at,
                    &what,
                    why,
                    "correct TTLs beyond it in the zone files",
                );
            }
            "edns_client_subnet" if options.flag("edns_client_subnet", files)? == Some(false) => {
                let why = "client subnets are always understood";
                let instead = "nothing: answers only become better for clients of far resolvers";
                imported.findings.changed(at, "edns_client_subnet = false", why, instead);
            }
            "disable_cookies" if options.flag("disable_cookies", files)? == Some(true) => {
                let what = "disable_cookies = true";
                let why = "cookies are on by default";
                imported.findings.changed(at, what, why, "set [cookie] enabled = false");
            }
            "dns_port" | "edns_client_subnet" | "disable_cookies" => {}
            "cookie_key_file" => {
                let why = "its 32 octets are no secret of RFC 9018, which all servers could share";
                let instead = "give all servers the same [cookie] secret, of 32 hexadecimal digits";
                imported.findings.changed(at, "cookie_key_file", why, instead);
            }
            "acme_challenge_ttl" | "acme_challenge_dns_ttl" => {
                let why = "challenges are written by DNS UPDATE here, not by a control tool";
                let instead = "see docs/dynamic-zones.md";
                imported.findings.left_out(at, &entry.key, why, instead);
            }
            key if TUNING.contains(&key) => {
                let why = "it tunes gdnsd itself";
                imported.findings.note(
                    at,
                    key,
                    why,
                    "nothing; see the README for this server's own",
                );
            }
            key => {
                let why = "no option of gdnsd 3 that has a counterpart";
                imported.findings.left_out(at, key, why, "see gdnsd.config(5)");
            }
        }
    }
    Ok(defaults)
}

/// One address, several, several with options of their own, or "any".
fn listen(
    entry: &crate::import::vscf::Entry,
    port: u16,
    files: &Files,
    imported: &mut Imported,
) -> Result<(), Failure> {
    let mut addresses = Vec::new();
    match &entry.value.kind {
        Kind::Table(table) => {
            for own in &table.entries {
                let options = own.value.table(files)?;
                let place = files.place(own.at);
                if options.flag("tcp_proxy", files)? == Some(true) {
                    let why =
                        "PROXY headers are told by the network they come from, not by the port";
                    let instead = "name the proxies' networks in [listen] proxy";
                    imported.findings.left_out(place, &own.key, why, instead);
                    continue;
                }
                addresses.push((own.key.clone(), own.at));
            }
        }
        _ => {
            for value in entry.value.list() {
                addresses.push((value.text(files)?.to_owned(), value.at));
            }
        }
    }
    for (text, at) in addresses {
        if text == "any" {
            let any = [format!("0.0.0.0:{port}"), format!("[::]:{port}")];
            imported.settings.listen.extend(any);
            continue;
        }
        let socket = text.parse::<std::net::SocketAddr>().ok();
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        let plain = bare.parse::<std::net::IpAddr>().ok();
        let address = socket.or_else(|| plain.map(|ip| std::net::SocketAddr::from((ip, port))));
        let Some(address) = address else {
            return Err(files.problem(at, format!("'{text}' is no address to listen on"), None));
        };
        let address = address.to_string();
        if !imported.settings.listen.contains(&address) {
            imported.settings.listen.push(address);
        }
    }
    Ok(())
}
