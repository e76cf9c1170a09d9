//! What stays: over reloads, restarts, a second process and a disk that does not want.

use std::fs;
use std::sync::Arc;

use dns::rr::Rcode;
use dnsrouter::io::dynamic::Store;
use dnsrouter::io::load::Loader;
use tokio::sync::mpsc;

use crate::node::{CONFIG, Node, ZONE};

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_loses_no_update() {
    let mut node = Node::new();
    assert_eq!(node.update(&["add a.example one"]).await, Rcode::NOERROR);
    // The file changes, and an update comes while everything is read.
    fs::write(node.path("zone"), format!("{ZONE}fresh TXT file\n")).unwrap();
    let between = async |node: &mut Node| {
        assert_eq!(node.update(&["add b.example two"]).await, Rcode::NOERROR);
        assert_eq!(
            node.update_as("acme", "narrow", &["add _acme-challenge.narrow x"]).await,
            Rcode::NOERROR
        );
    };
    node.reload(between).await.unwrap();
    assert_eq!(
        (node.txt("a.example"), node.txt("b.example")),
        (vec!["one".into()], vec!["two".into()])
    );
    // The first update of this one came from the file before: that is the truth now.
    assert_eq!(
        (node.txt("_acme-challenge.narrow"), node.txt("fresh.narrow").len()),
        (vec!["x".into()], 0)
    );
    assert_eq!(
        (node.txt("fresh.example").len(), node.txt("fresh.sub.example")),
        (0, vec!["file".into()])
    );
    let alarms = node.shared.alarms();
    assert!(
        alarms.iter().any(|a| a.starts_with("zone example.: its file has changed")),
        "{alarms:?}"
    );
    assert!(
        alarms.iter().any(|a| a.starts_with("zone narrow.: its file has changed")),
        "{alarms:?}"
    );
    assert_eq!(node.update(&["add c.example three"]).await, Rcode::NOERROR);
    // The file as it was: nothing to be told any more.
    fs::write(node.path("zone"), ZONE).unwrap();
    node.reload(async |_| {}).await.unwrap();
    assert_eq!(node.shared.alarms(), Vec::<String>::new());
    let node = node.restart().await;
    for name in ["a.example", "b.example", "c.example", "_acme-challenge.narrow"] {
        assert_eq!(node.txt(name).len(), 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_without_updates_yet_is_its_file() {
    let mut node = Node::new();
    fs::write(node.path("zone"), ZONE.replace("hostmaster 1", "hostmaster 50")).unwrap();
    node.reload(async |_| {}).await.unwrap();
    assert_eq!(node.serial("example"), 50);
    assert_eq!(node.update(&["add a.example one"]).await, Rcode::NOERROR);
    assert_eq!(node.kept("example").unwrap().serial(), 51);
}

/// What a large zone's first update would write is written at start, and is no update.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_prepared_for_a_large_zone_is_its_file_until_it_is_updated() {
    let folder = tempfile::tempdir().unwrap();
    let hosts: String = (0..6000).map(|host| format!("h{host} A 192.0.2.1\n")).collect();
    let zone = format!("{ZONE}{hosts}");
    fs::write(folder.path().join("zone"), &zone).unwrap();
    fs::write(folder.path().join("dnsrouter.toml"), CONFIG).unwrap();
    let mut node = Node::start(folder);
    let journal = node.path("state/zones/example.journal");
    assert!(journal.exists() && node.kept("example").is_none());
    // Nobody has updated it, so another file counts, now and after a restart.
    fs::write(node.path("zone"), zone.replace("hostmaster 1", "hostmaster 50")).unwrap();
    node.reload(async |_| {}).await.unwrap();
    assert_eq!(node.serial("example"), 50);
    let mut node = node.restart().await;
    assert_eq!(node.serial("example"), 50);
    node.reload(async |_| {}).await.unwrap();
    assert_eq!(node.update(&["add a.example one"]).await, Rcode::NOERROR);
    let kept = node.kept("example").unwrap();
    assert_eq!((kept.serial(), kept.records().len()), (51, 6000 + 7));
    // One that changed under what was prepared begins with what it is.
    fs::write(node.path("zone"), zone.replace("hostmaster 1", "hostmaster 70")).unwrap();
    node.reload(async |_| {}).await.unwrap();
    let added = ["add _acme-challenge.narrow x"];
    assert_eq!(node.update_as("acme", "narrow", &added).await, Rcode::NOERROR);
    assert_eq!(node.kept("narrow").unwrap().serial(), 71);
    let node = node.restart().await;
    assert_eq!((node.serial("example"), node.serial("narrow")), (51, 71));
    assert_eq!(node.txt("a.example"), ["one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_update_the_file_is_served_and_with_it_the_journal_again() {
    let mut node = Node::new();
    assert_eq!(node.update(&["add a.example one"]).await, Rcode::NOERROR);
    let fixed = CONFIG.replace("update = { keys = [\"all\"] }\n", "");
    fs::write(node.path("dnsrouter.toml"), fixed).unwrap();
    // An update that comes meanwhile is still carried out, and kept.
    let between = async |node: &mut Node| {
        assert_eq!(node.update(&["add a.example two"]).await, Rcode::NOERROR);
    };
    node.reload(between).await.unwrap();
    assert_eq!((node.txt("a.example").len(), node.serial("example")), (0, 1));
    let warnings = node.load().unwrap().config.warnings;
    assert!(warnings.iter().any(|warning| warning.contains("left aside")), "{warnings:?}");
    assert_eq!(node.update(&["add a.example three"]).await, Rcode::REFUSED);
    fs::write(node.path("dnsrouter.toml"), CONFIG).unwrap();
    node.reload(async |_| {}).await.unwrap();
    assert_eq!(node.txt("a.example"), ["one", "two"]);
    assert_eq!(node.update(&["add a.example three"]).await, Rcode::NOERROR);
    assert_eq!(node.kept("example").unwrap().serial(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_collides_with_updates_is_rejected_whole() {
    let mut node = Node::new();
    assert_eq!(node.update(&["a taken.example"]).await, Rcode::NOERROR);
    let more = CONFIG.split("[[service]]").nth(1).unwrap().replace("geo.example", "taken.example");
    fs::write(node.path("dnsrouter.toml"), format!("{CONFIG}[[service]]{more}")).unwrap();
    let report = node.reload(async |_| {}).await.unwrap_err();
    assert!(report.contains("the zone has A records at the service's name"), "{report}");
    // Also when the update comes while everything is read.
    assert_eq!(node.update(&["del taken.example"]).await, Rcode::NOERROR);
    let between = async |node: &mut Node| {
        assert_eq!(node.update(&["a taken.example"]).await, Rcode::NOERROR);
    };
    let report = node.reload(between).await.unwrap_err();
    assert!(report.contains("taken.example"), "{report}");
    assert_eq!(node.update(&["add a.example one"]).await, Rcode::NOERROR);
    assert_eq!(node.update(&["del taken.example"]).await, Rcode::NOERROR);
    node.reload(async |_| {}).await.unwrap();
    assert_eq!(node.update(&["a taken.example"]).await, Rcode::REFUSED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_does_not_want_costs_updates_and_nothing_else() {
    let mut node = Node::new();
    let journal = node.path("state/zones/example.journal");
    fs::create_dir(&journal).unwrap();
    assert_eq!(node.update(&["add a.example one"]).await, Rcode::SERVFAIL);
    assert_eq!((node.txt("a.example").len(), node.serial("example")), (0, 1));
    let alarms = node.shared.alarms();
    assert!(alarms[0].starts_with("zone example.: updates cannot be kept: "), "{alarms:?}");
    assert_eq!(
        node.update_as("acme", "narrow", &["add _acme-challenge.narrow a"]).await,
        Rcode::NOERROR
    );
    assert_eq!(node.shared.alarms().len(), 1, "it is about one zone");
    fs::remove_dir(&journal).unwrap();
    assert_eq!(node.update(&["add a.example one"]).await, Rcode::NOERROR);
    assert_eq!(node.shared.alarms(), Vec::<String>::new());
    // Somebody removes the journal under a running server: nothing is acknowledged into the void.
    fs::remove_file(&journal).unwrap();
    assert_eq!(node.update(&["add a.example two"]).await, Rcode::SERVFAIL);
    assert_eq!(node.txt("a.example"), ["one"]);
    assert_eq!(node.shared.alarms().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_do_not_share_journals() {
    let node = Node::new();
    let loaded = Loader::default().load(&node.path("dnsrouter.toml"), &[]);
    let loaded = loaded.unwrap_or_else(|error| panic!("{}", error.report()));
    let (inputs, _) = mpsc::channel(1);
    let second = Store::new(&loaded, inputs, node.shared.clone());
    assert!(second.err().unwrap().to_string().contains("another process"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_cannot_be_read_stops_the_start_and_says_what_to_do() {
    let mut node = Node::new();
    assert_eq!(node.update(&["add a.example one"]).await, Rcode::NOERROR);
    let Node { folder, store, stop, .. } = node;
    stop.cancel();
    while Arc::strong_count(&store) > 1 {
        tokio::task::yield_now().await;
    }
    drop(store);
    fs::write(folder.path().join("state/zones/example.journal"), "no journal at all").unwrap();
    let report = Loader::default().load(&folder.path().join("dnsrouter.toml"), &[]);
    let report = report.err().unwrap().report();
    assert!(report.contains("example.journal") && report.contains("begin anew"), "{report}");
    assert!(report.contains("dnsrouter.toml:21:8"), "{report}");
}
