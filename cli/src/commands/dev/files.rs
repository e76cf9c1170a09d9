//! The configuration files of a development system. The texts are pure; [`write()`] puts them in
//! place.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use toml::Value;

use super::layout::{Layout, Site};

/// Seconds: short, so that a resolver in between follows a failure while one watches.
const TTL: u32 = 5;

/// geoping.toml of a site. `renew` is the command that renews its certificate.
pub(crate) fn geoping(layout: &Layout, site: &Site, renew: &[String]) -> String {
    let node = &site.geoping;
    format!(
        "# Written by `geoip dev up`; written anew each time.\n\
         [node]\nname = {}\nregion = {}\ntrust_domain = {}\n\n\
         [listen]\ngrpc = {}\nadmin = {}\n\
         drain_wait = \"0s\"                # nobody needs a warning on a development machine\n\
         drain_deadline = \"1s\"\n\n{}",
        string(&node.name),
        string(&node.region),
        string(layout.trust_domain.as_str()),
        string(&node.at("grpc")),
        string(&node.at("admin")),
        tls(layout, &node.name, renew),
    )
}

/// dnsrouter.toml of a site.
pub(crate) fn dnsrouter(layout: &Layout, site: &Site, renew: &[String]) -> String {
    let node = &site.dnsrouter;
    let mut text = format!(
        "# Written by `geoip dev up`; written anew each time.\n\
         [node]\nname = {}\nregion = {}\ntrust_domain = {}\n\n\
         [state]\ndir = \"state\"\n\n\
         [listen]\ndns = [{}]\ncontrol = {}\nadmin = {}\n\n{}\n\
         [probe]\ninterval = \"1s\"\ntimeout = \"500ms\"\nrise = 2\nfall = 2\n\n\
         [[zone]]\nname = {}\nfile = {}\n\n\
         [[service]]\nname = {}\nttl = {TTL}\nroute = [\"healthy\", \"nearest\"]\n",
        string(&node.name),
        string(&node.region),
        string(layout.trust_domain.as_str()),
        string(&node.at("dns")),
        string(&node.at("control")),
        string(&node.at("admin")),
        tls(layout, &node.name, renew),
        string(layout.trust_domain.as_str()),
        path(&layout.zone_file()),
        string(&layout.service()),
    );
    for other in &layout.sites {
        let _ = write!(
            text,
            "\n[[service.endpoint]]\nregion = {}\naddresses = [{}]\nping = {}\n",
            string(&other.region),
            string(&other.geoping.address),
            string(&format!("https://{}", other.geoping.at("grpc"))),
        );
    }
    text
}

fn tls(layout: &Layout, node: &str, renew: &[String]) -> String {
    let pki = layout.pki();
    format!(
        "[tls]\ncert = {}\nkey = {}\nca = {}\ncrl = {}\n\n[tls.renew]\ncommand = {}\n",
        string(&format!("{node}.crt")),
        string(&format!("{node}.key")),
        path(&pki.join("ca.crt")),
        path(&pki.join("ca.crl")),
        Value::from(renew.to_vec()),
    )
}

/// The master file: name servers, and each region by its own name.
pub(crate) fn zone(layout: &Layout) -> String {
    let mut text = format!(
        "; Written by `geoip dev up`; written anew each time.\n\
         $ORIGIN {}.\n$TTL 300\n\
         @ IN SOA ns1 hostmaster 1 7200 900 1209600 60\n",
        layout.trust_domain
    );
    for site in &layout.sites {
        let _ = writeln!(text, "@ IN NS {}", site.dnsrouter.name);
    }
    for site in &layout.sites {
        let _ = writeln!(text, "{} IN A {}", site.dnsrouter.name, site.dnsrouter.address);
        let _ = writeln!(text, "{} IN A {}", site.region, site.geoping.address);
    }
    text
}

/// A TOML string, quoted and escaped as needed.
fn string(text: &(impl ToString + ?Sized)) -> String {
    Value::String(text.to_string()).to_string()
}

fn path(path: &Path) -> String {
    string(&path.display())
}

/// Writes all files of the system; `renew` makes the renewal command of a node's certificate.
///
/// # Errors
/// Names the file.
pub(crate) fn write(layout: &Layout, renew: impl Fn(&Path) -> Vec<String>) -> anyhow::Result<()> {
    let mut files = vec![(layout.zone_file(), zone(layout))];
    for site in &layout.sites {
        let (of_geoping, of_dnsrouter) =
            (renew(&site.geoping.certificate()), renew(&site.dnsrouter.certificate()));
        files.push((site.geoping.config.clone(), geoping(layout, site, &of_geoping)));
        files.push((site.dnsrouter.config.clone(), dnsrouter(layout, site, &of_dnsrouter)));
    }
    for (file, text) in files {
        fs::write(&file, text).with_context(|| format!("{}: cannot write it", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::layout;
    use super::*;

    #[test]
    fn a_geoping_as_configured() {
        let layout = layout(&["us-central1"], None).unwrap();
        let renew = ["/b/geoip".to_owned(), "pki".to_owned(), "renew".to_owned()];
        assert_eq!(
            geoping(&layout, &layout.sites[0], &renew),
            r#"# Written by `geoip dev up`; written anew each time.
[node]
name = "us-central1-a"
region = "us-central1"
trust_domain = "test-net.io"

[listen]
grpc = "127.0.0.11:8443"
admin = "127.0.0.11:9154"
drain_wait = "0s"                # nobody needs a warning on a development machine
drain_deadline = "1s"

[tls]
cert = "us-central1-a.crt"
key = "us-central1-a.key"
ca = "/d/pki/ca.crt"
crl = "/d/pki/ca.crl"

[tls.renew]
command = ["/b/geoip", "pki", "renew"]
"#
        );
    }

    #[test]
    fn a_dnsrouter_as_configured() {
        let layout = layout(&["us-central1", "europe-west3"], None).unwrap();
        assert_eq!(
            dnsrouter(&layout, &layout.sites[1], &["renew".to_owned()]),
            r#"# Written by `geoip dev up`; written anew each time.
[node]
name = "ns2"
region = "europe-west3"
trust_domain = "test-net.io"

[state]
dir = "state"

[listen]
dns = ["127.0.0.22:5300"]
control = "127.0.0.22:7443"
admin = "127.0.0.22:9153"

[tls]
cert = "ns2.crt"
key = "ns2.key"
ca = "/d/pki/ca.crt"
crl = "/d/pki/ca.crl"

[tls.renew]
command = ["renew"]

[probe]
interval = "1s"
timeout = "500ms"
rise = 2
fall = 2

[[zone]]
name = "test-net.io"
file = "/d/test-net.io.zone"

[[service]]
name = "geo.test-net.io"
ttl = 5
route = ["healthy", "nearest"]

[[service.endpoint]]
region = "us-central1"
addresses = ["127.0.0.11"]
ping = "https://127.0.0.11:8443"

[[service.endpoint]]
region = "europe-west3"
addresses = ["127.0.0.12"]
ping = "https://127.0.0.12:8443"
"#
        );
    }

    #[test]
    fn the_zone_names_its_servers_and_regions() {
        let layout = layout(&["us-central1", "europe-west3"], None).unwrap();
        assert_eq!(
            zone(&layout),
            "; Written by `geoip dev up`; written anew each time.\n\
             $ORIGIN test-net.io.\n$TTL 300\n\
             @ IN SOA ns1 hostmaster 1 7200 900 1209600 60\n\
             @ IN NS ns1\n@ IN NS ns2\n\
             ns1 IN A 127.0.0.21\nus-central1 IN A 127.0.0.11\n\
             ns2 IN A 127.0.0.22\neurope-west3 IN A 127.0.0.12\n"
        );
    }

    #[test]
    fn odd_paths_are_escaped() {
        assert_eq!(string("/a\"b\\c"), r#"'/a"b\c'"#);
        let table: toml::Table = format!("a = {}", string("/a'\"\n")).parse().unwrap();
        assert_eq!(table["a"].as_str(), Some("/a'\"\n"));
    }
}
