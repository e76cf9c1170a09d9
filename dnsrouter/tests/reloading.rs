//! What a load looked at is known, also when it failed: so that nothing that changes meanwhile,
//! and no mend of a mistake, goes unseen.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use dnsrouter::io::load::Loader;

const ZONE: &str = "$TTL 300\n@ SOA ns1 h 1 2 3 4 60\n@ NS ns1\nns1 A 192.0.2.53\n";

fn config(zones: &[&str]) -> String {
    let mut text =
        "[node]\nname = 'ns1'\nregion = 'us-central1'\n[listen]\ndns = ['127.0.0.1:0']\n"
            .to_owned();
    for zone in zones {
        text += &format!("[[zone]]\nname = '{zone}'\nfile = '{zone}.zone'\n");
    }
    text
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn a_file_that_changes_after_it_was_read_makes_the_load_outdated() {
    let folder = tempfile::tempdir().unwrap();
    let main = write(folder.path(), "dnsrouter.toml", &config(&["a.test"]));
    let zone = write(folder.path(), "a.test.zone", &format!("{ZONE}$INCLUDE more\n"));
    let more = write(folder.path(), "more", "www A 192.0.2.80\n");
    for file in [&main, &zone, &more] {
        let mut loader = Loader::default();
        loader.load(&main, &[]).unwrap_or_else(|e| panic!("{}", e.report()));
        assert!(!loader.is_outdated());
        let mut append = fs::File::options().append(true).open(file).unwrap();
        writeln!(append).unwrap();
        assert!(loader.is_outdated(), "{}", file.display());
    }
}

#[test]
fn a_failed_load_knows_every_file_whose_mend_would_help() {
    let folder = tempfile::tempdir().unwrap();
    let main = write(folder.path(), "dnsrouter.toml", &config(&["a.test", "b.test", "c.test"]));
    write(folder.path(), "a.test.zone", ZONE);
    write(folder.path(), "b.test.zone", "nonsense");
    let mut loader = Loader::default();
    let Err(error) = loader.load(&main, &[]) else { panic!("accepted") };
    assert!(error.report().contains("b.test.zone"), "{}", error.report());
    let files: Vec<PathBuf> = loader.files().collect();
    for name in ["dnsrouter.toml", "a.test.zone", "b.test.zone", "c.test.zone"] {
        assert!(files.contains(&folder.path().join(name)), "{name} in {files:?}");
    }
    write(folder.path(), "c.test.zone", ZONE);
    assert!(loader.is_outdated(), "the missing file came");
}

#[test]
fn what_is_set_up_at_start_is_named_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let text = config(&[]);
    let fixed = |text: &str| {
        let main = write(folder.path(), "dnsrouter.toml", text);
        let loaded = Loader::default().load(&main, &[]);
        loaded.unwrap_or_else(|e| panic!("{}", e.report())).config.fixed()
    };
    let start = fixed(&text);
    assert!(start.differences(&fixed(&format!("{text}[probe]\nfall = 9\n"))).is_empty());
    for (now, section) in [
        (text.replace("ns1", "ns2"), "[node]"),
        (format!("{text}[state]\ndir = 'state'\n"), "[state]"),
        (text.replace("127.0.0.1:0", "127.0.0.2:0"), "[listen]"),
        (format!("{text}[tls]\ncert = 'c'\nkey = 'k'\nca = 'a'\n"), "[tls]"),
        (format!("{text}[log]\nlevel = 'debug'\n"), "[log]"),
    ] {
        assert_eq!(start.differences(&fixed(&now)), [section]);
    }
}
