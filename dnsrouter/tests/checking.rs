//! `check`, `[probe] damping` and `removal`, `ttl_min` and `slow_start` as they are written: what
//! they become, and how mistakes are told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "small/site.rs"]
mod site;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dnsrouter::config::Config;
use dnsrouter::health::damping::Damping;
use dnsrouter::io::load::Loader;
use dnsrouter::plan::Generation;
use dnsrouter::removal::Limit;
use dnsrouter::service::Service;
use dnsrouter::target::Check;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tempfile::TempDir;

/// Loads the built-in country database once.
static LOADER: Mutex<Option<Loader>> = Mutex::new(None);

/// A service with one endpoint that has this beside its addresses.
fn service(of_service: &str, of_endpoint: &str) -> String {
    format!(
        "[[service]]\nname = \"geo.test-net.io\"\nttl = 60\nroute = [\"healthy\"]\n{of_service}\n\
         [[service.endpoint]]\nregion = \"us-central1\"\n\
         addresses = [\"203.0.113.10\", \"2001:db8::10\"]\n{of_endpoint}\n"
    )
}

fn folder(more: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("dnsrouter.toml"), format!("{}{more}", site::NODE)).unwrap();
    std::fs::write(folder.path().join("zone"), site::ZONE).unwrap();
    folder
}

fn read(more: &str) -> Result<Config, String> {
    Config::load(&folder(more).path().join("dnsrouter.toml"), &[]).map_err(|e| e.report())
}

fn only(more: &str) -> Service {
    read(more).unwrap_or_else(|report| panic!("{report}")).services.remove(0).0
}

/// What is checked for the first address and for the second.
fn checked(of_endpoint: &str) -> [String; 2] {
    let endpoint = only(&service("", of_endpoint)).endpoints.remove(0);
    ["203.0.113.10", "2001:db8::10"].map(|address| {
        let watched = endpoint.watched_by(address.parse().unwrap());
        let name = |target: &dnsrouter::target::Target| target.check.to_string();
        watched.map_or(String::new(), |watched| {
            let second = watched.second.as_ref().map(|second| format!(" and {}", name(second)));
            name(&watched.first) + &second.unwrap_or_default()
        })
    })
}

#[test]
fn checks_are_read_in_every_form() {
    let each = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
    for (written, expected) in [
        ("", each("", "")),
        (
            "check = { tcp = '203.0.113.10:443' }",
            each("tcp://203.0.113.10:443", "tcp://[2001:db8::10]:443"),
        ),
        (
            "check = { tcp = 'db.example:5432' }",
            each("tcp://db.example:5432", "tcp://db.example:5432"),
        ),
        (
            "check = { grpc = 'http://[2001:db8::10]:50051', service = 'shop.v1.Cart' }",
            each(
                "grpc://203.0.113.10:50051/shop.v1.Cart",
                "grpc://[2001:db8::10]:50051/shop.v1.Cart",
            ),
        ),
        (
            "check = { grpc = 'https://x.example/' }",
            each("grpcs://x.example:443/", "grpcs://x.example:443/"),
        ),
        (
            "check = { https = 'https://203.0.113.10/healthz?a=b', host = 'www.example', body = 'ok' }",
            each(
                "https://203.0.113.10:443/healthz?a=b host www.example body \"ok\"",
                "https://[2001:db8::10]:443/healthz?a=b host www.example body \"ok\"",
            ),
        ),
        (
            "check = { https = 'https://www.example:8443', status = [200, 204] }",
            each(
                "https://www.example:8443/ status 200,204",
                "https://www.example:8443/ status 200,204",
            ),
        ),
        (
            "ping = 'https://203.0.113.10'\ncheck = { tcp = '203.0.113.10:5' }",
            each(
                "203.0.113.10:443 and tcp://203.0.113.10:5",
                "[2001:db8::10]:443 and tcp://[2001:db8::10]:5",
            ),
        ),
    ] {
        assert_eq!(checked(written), expected, "{written}");
    }
}

#[test]
fn mistakes_in_checks_say_what_to_write() {
    for (written, words) in [
        ("check = {}", "exactly one of grpc, https and tcp"),
        ("check = { tcp = 'a:1', grpc = 'http://a:1' }", "exactly one"),
        ("check = { udp = 'a:1' }", "unknown field `udp`"),
        ("check = { tcp = 'a' }", "\"a\" is no place to check"),
        ("check = { tcp = 'https://a:1' }", "no place to check"),
        ("check = { grpc = 'grpc://a:1' }", "no place to check"),
        ("check = { grpc = 'http://a:1/path' }", "no place to check"),
        ("check = { https = 'http://a/' }", "no place to check"),
        ("check = { https = 'https://me@a/' }", "no place to check"),
        ("check = { https = 'https://a/ b' }", "is no path"),
        ("check = { https = 'https://a', status = [] }", "final statuses"),
        ("check = { https = 'https://a', status = [100] }", "final statuses"),
        ("check = { https = 'https://a', body = '' }", "1 to 256 octets"),
        ("check = { https = 'https://a', host = 'b:1' }", "no host name"),
        ("check = { tcp = 'a:1', body = 'ok' }", "body belongs to a check by https"),
        ("check = { https = 'https://a', service = 's' }", "service belongs to a check by grpc"),
    ] {
        let Err(report) = read(&service("", written)) else { panic!("accepted: {written}") };
        assert!(report.contains(words), "{written}: {report}");
    }
    let plain =
        site::NODE.replace("[tls]\ncert = \"unused\"\nkey = \"unused\"\nca = \"unused\"\n", "");
    let tls = |check: &str| {
        let folder = folder("");
        let file = folder.path().join("dnsrouter.toml");
        std::fs::write(&file, format!("{plain}{}", service("", check))).unwrap();
        Config::load(&file, &[]).map(|_| ()).map_err(|error| error.report())
    };
    let report = tls("check = { grpc = 'https://a' }").unwrap_err();
    assert!(report.contains("there is no [tls]"), "{report}");
    for open in ["{ grpc = 'http://a' }", "{ https = 'https://a' }", "{ tcp = 'a:1' }"] {
        assert_eq!(tls(&format!("check = {open}")), Ok(()), "{open} needs no papers");
    }
}

#[test]
fn an_authority_s_file_is_part_of_what_is_checked() {
    let folder = folder(&service("", "check = { https = 'https://a/', ca = 'ca.pem' }"));
    let mut loader = LOADER.lock().unwrap_or_else(PoisonError::into_inner);
    let loader = loader.get_or_insert_default();
    let mut load = || {
        let loaded = loader.load(&folder.path().join("dnsrouter.toml"), &[]);
        let watched = loader.files().any(|file| file.ends_with("ca.pem"));
        assert!(watched, "it is followed, also while it is wrong");
        let services = loaded.map_err(|error| error.report())?.inputs(Generation(1)).services;
        let Check::Https(https) = &services.targets.iter().next().unwrap().check else {
            panic!("it is one")
        };
        Ok::<_, String>(https.ca.clone().unwrap().pem)
    };
    let write = |text: &str| std::fs::write(folder.path().join("ca.pem"), text).unwrap();
    assert!(load().unwrap_err().contains("ca.pem"), "it is not there");
    write("no certificate");
    assert!(load().unwrap_err().contains("no certificate of an authority in it"));
    let mut last = None;
    for _ in 0..2 {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
        write(&pem);
        let read = load().unwrap();
        assert_eq!(*read, *pem.as_bytes());
        assert_ne!(last.replace(read.clone()), Some(read));
    }
}

#[test]
fn damping_and_removal_have_defaults_and_limits() {
    let settings = |probe: &str| read(&format!("[probe]\n{probe}\n")).map(|c| c.probe.settings);
    let usual = settings("").unwrap();
    assert_eq!(usual.rules.damping, Some(Damping::default()));
    assert_eq!(usual.removal, Some(Limit::default()));
    let off = settings("damping = false\nremoval = false").unwrap();
    assert_eq!((off.rules.damping, off.removal), (None, None));
    let own = settings(
        "damping = { half_life = '1m', suppress = 3000, reuse = 1000, longest = '5m' }\n\
         removal = { percent = 50, per = '10s' }",
    );
    let own = own.unwrap();
    let damping = Damping {
        half_life: Duration::from_secs(60),
        suppress: 3000,
        reuse: 1000,
        longest: Duration::from_secs(300),
    };
    assert_eq!(own.rules.damping, Some(damping));
    assert_eq!(own.removal, Some(Limit { percent: 50, per: Duration::from_secs(10) }));
    for (wrong, words) in [
        ("damping = { reuse = 2000 }", "0 < reuse < suppress"),
        ("damping = { reuse = 0 }", "0 < reuse < suppress"),
        ("damping = { longest = '1m' }", "no target would ever be damped"),
        ("damping = { half_life = 'soon' }", "soon"),
        ("removal = { percent = 101 }", "101 % is more than all"),
        ("removal = { perzent = 1 }", "unknown field `perzent`"),
        ("damping = 'no'", "a table of settings, true or false"),
    ] {
        let Err(report) = settings(wrong) else { panic!("accepted: {wrong}") };
        assert!(report.contains(words), "{wrong}: {report}");
    }
}

#[test]
fn the_lower_ttl_is_a_sixth_and_never_above_the_ttl() {
    let ttl_min = |ttl: u32, more: &str| {
        let text = service(more, "").replace("ttl = 60", &format!("ttl = {ttl}"));
        read(&text).map(|mut config| config.services.remove(0).0.ttl_min.as_secs())
    };
    let usual = [0, 3, 20, 60, 3600].map(|ttl| ttl_min(ttl, "").unwrap());
    assert_eq!(usual, [0, 3, 5, 10, 600]);
    assert_eq!(ttl_min(60, "ttl_min = 1"), Ok(1));
    let above = ttl_min(60, "ttl_min = 61").unwrap_err();
    assert!(above.contains("ttl_min is at most ttl, which is 60"), "{above}");
    let slow = only(&service("slow_start = '30s'", "")).slow_start;
    assert_eq!(
        (slow, only(&service("", "")).slow_start),
        (Duration::from_secs(30), Duration::ZERO)
    );
}
