//! `[[key]]` and `[[zone]] update`: what is read, what is refused and where, what is warned of.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use dns::name::Name;
use dns::rr::Rtype;
use dnsrouter::io::load::{Loaded, Loader};
use dnsrouter::plan::Generation;
use dnsrouter::updates::Algorithm;

const ZONE: &str = "@ 300 SOA ns hostmaster 1 7200 900 1209600 60\n@ 300 NS ns.other.net.\n";
const NODE: &str = "\
[node]
name = \"ns1\"
region = \"us-central1\"
trust_domain = \"test-net.io\"
[listen]
dns = [\"127.0.0.1:0\"]
[state]
dir = \"state\"
";

fn write(folder: &Path, name: &str, text: &str, mode: u32) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn load(folder: &Path, config: &str) -> Result<Loaded, String> {
    fs::write(folder.join("zone"), ZONE).unwrap();
    let file = folder.join("dnsrouter.toml");
    fs::write(&file, config).unwrap();
    Loader::default().load(&file, &[]).map_err(|error| error.report())
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

#[test]
fn keys_come_from_files_and_from_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let secret = "cGxlbnR5IG9mIG9jdGV0cyBoZXJl";
    let bind = format!("key \"bind\" {{ algorithm hmac-sha512; secret \"{secret}\"; }};");
    write(folder.path(), "bind.key", &bind, 0o600);
    write(folder.path(), "plain.key", &format!("{secret}\n"), 0o640);
    write(folder.path(), "open.key", "c2hvcnQ=", 0o644);
    let config = format!(
        "{NODE}
        [[key]]
        name = \"bind\"
        secret = \"bind.key\"
        [[key]]
        name = \"plain\"
        algorithm = \"hmac-sha384\"
        secret = \"plain.key\"
        [[key]]
        name = \"given\"
        secret_base64 = \"{secret}\"
        [[key]]
        name = \"open\"
        secret = \"open.key\"
        [[zone]]
        name = \"example\"
        file = \"zone\"
        update = {{ keys = [\"BIND.\", \"given\"], networks = [\"127.0.0.0/8\", \"::1\"], names = [\"dyn.example\"], types = [\"txt\", \"TYPE65280\"] }}
        [[zone]]
        name = \"fixed\"
        file = \"zone\"
        "
    );
    let loaded = load(folder.path(), &config).unwrap();
    let updates = loaded.inputs(Generation(1)).updates;
    for (key, algorithm) in [
        ("bind", Algorithm::HmacSha512),
        ("plain", Algorithm::HmacSha384),
        ("given", Algorithm::HmacSha256),
    ] {
        let key = updates.key(&name(key)).unwrap();
        assert_eq!((key.algorithm, &*key.secret), (algorithm, &b"plenty of octets here"[..]));
        assert!(!format!("{key:?}").contains("plenty"));
    }
    assert!(updates.permission(&name("fixed")).is_none());
    let permission = updates.permission(&name("Example.")).unwrap();
    assert_eq!(permission.keys, [name("bind"), name("given")]);
    assert_eq!(permission.names, [name("dyn.example")]);
    assert_eq!(permission.types, [Rtype::TXT, Rtype(65280)]);
    assert!(permission.networks.contains(&"::1/128".parse().unwrap()));
    let about_open = |word: &str| {
        loaded.config.warnings.iter().any(|line| line.contains("open") && line.contains(word))
    };
    assert!(about_open("chmod 600") && about_open("5 octets"), "{:?}", loaded.config.warnings);
    assert_eq!(loaded.config.warnings.len(), 2, "and nothing of the others");
}

#[test]
fn mistakes_are_told_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let bind = "key k { algorithm hmac-sha512; secret \"c2VjcmV0\"; };";
    write(folder.path(), "bind.key", bind, 0o600);
    write(folder.path(), "bad.key", "key k {\n secret\n \"c2V\"; };", 0o600);
    write(folder.path(), "huge.key", &" ".repeat(70_000), 0o600);
    let long = "name = ^\"".to_owned() + &"a.".repeat(60) + "b\"\nsecret_base64 = \"c2VjcmV0\"";
    let good = "name = \"k\"\nsecret_base64 = \"c2VjcmV0\"";
    let twice = format!("{good}\n[[key]]\nname = ^\"K.\"\nsecret_base64 = \"c2VjcmV0\"");
    // The place is where the ^ stands.
    for (key, update, expected) in [
        ("name = \"k\"\nsecret = ^\"none.key\"", "keys = [\"k\"]", "none.key: No such file"),
        ("name = \"k\"\nsecret = ^\"bad.key\"", "keys = [\"k\"]", "bad.key: line 3: no base64"),
        ("name = \"k\"\nsecret = ^\"huge.key\"", "keys = [\"k\"]", "larger than 64 KiB"),
        ("name = \"k\"\nsecret = ^\"/dev/zero\"", "keys = [\"k\"]", "not a regular file"),
        ("name = \"x\"\nsecret = ^\"bind.key\"", "keys = [\"x\"]", "holds key k., not x."),
        (
            "name = \"k\"\nalgorithm = \"hmac-sha1\"\nsecret = ^\"bind.key\"",
            "keys = [\"k\"]",
            "the file says hmac-sha512",
        ),
        ("name = \"k\"\nsecret_base64 = ^\"c2V\"", "keys = [\"k\"]", "no base64"),
        ("name = ^\"k\"", "keys = [\"k\"]", "a key without a secret"),
        (
            "name = \"k\"\nsecret = \"bind.key\"\nsecret_base64 = ^\"c2VjcmV0\"",
            "keys = [\"k\"]",
            "a key has one secret",
        ),
        (
            "name = \"k\"\nalgorithm = ^\"md5\"\nsecret = \"bind.key\"",
            "keys = [\"k\"]",
            "\"md5\" is no algorithm",
        ),
        (&long, "keys = [\"k\"]", "at most 120 octets"),
        (&twice, "keys = [\"k\"]", "key K. is listed twice"),
        (good, "keys = [^\"other\"]", "there is no key other."),
        (good, "keys = ^[]", "nobody changes a zone without a key"),
        (good, "keys = [\"k\"], names = [^\"x.net\"]", "x.net. is not inside example."),
        (good, "keys = [\"k\"], types = [^\"ANY\"]", "\"ANY\" is no type"),
        (good, "keys = [\"k\"], networks = [^\"192.0.2.1/24\"]", "is not a network"),
        (good, "keys = [\"k\"], networks = [^\"here\"]", "is not a network"),
        (good, "keys = [\"k\"], ^key = 1", "unknown field `key`"),
    ] {
        let zone = "[[zone]]\nname = \"example\"\nfile = \"zone\"\n";
        let marked = format!("{NODE}[[key]]\n{key}\n{zone}update = {{ {update} }}\n");
        refused(folder.path(), &marked, expected);
    }
    let homeless = NODE.replace("[state]\ndir = \"state\"\n", "");
    let zone = "[[zone]]\nname = \"example\"\nfile = \"zone\"\nupdate = ^{ keys = [\"k\"] }\n";
    let marked = format!("{homeless}[[key]]\n{good}\n{zone}");
    refused(folder.path(), &marked, "there is no [state] dir");
}

/// `marked` is a configuration with a ^ before its mistake.
fn refused(folder: &Path, marked: &str, expected: &str) {
    let before = &marked[..marked.find('^').unwrap()];
    let line = before.matches('\n').count() + 1;
    let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1;
    let report = load(folder, &marked.replace('^', "")).err().unwrap();
    assert!(report.contains(expected), "{expected}: {report}");
    assert!(
        report.contains(&format!("dnsrouter.toml:{line}:{column}:")),
        "{line}:{column}: {report}"
    );
}
