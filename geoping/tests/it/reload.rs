//! Reloads: all or nothing, and no call is lost.

use pki::Validity;
use proto::geoping::v1::geo_ping_client::GeoPingClient;
use rustix::process::Signal;
use tokio::net::TcpListener;

use crate::harness::{ADA, NODE, Node, Site, config, eventually, status};

#[tokio::test]
async fn what_may_change_changes_while_calls_go_on() {
    let site = Site::new();
    site.configure("capacity = 1", "", "");
    let node = site.start().await;
    let mut client = GeoPingClient::new(site.connect(&node, ADA).await);
    assert_eq!(status(&mut client).await.capacity, 1);

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let backend = format!("[backend]\ntcp = '{closed}'\ninterval = '50ms'\ntimeout = '50ms'");
    let networks = "[geo.networks]\n'127.0.0.0/8' = { country = 'IS' }";
    site.configure("capacity = 2", "", &format!("{backend}\n{networks}"));
    eventually("the new configuration in use", async || {
        let reply = status(&mut client).await;
        let country = reply.caller.unwrap().country;
        (reply.capacity == 2 && country == "IS" && reply.status == "UNAVAILABLE").then_some(())
    })
    .await;
    reloads(&node, "applied", 1.0).await;

    site.configure("capacity = 3", "", "");
    eventually("no backend any more", async || {
        let reply = status(&mut client).await;
        (reply.capacity == 3 && reply.status == "OK").then_some(())
    })
    .await;
}

#[tokio::test]
async fn sighup_reads_again_what_has_not_changed() {
    let site = Site::new();
    site.configure("", "", "");
    let node = site.start().await;
    node.signal(Signal::HUP);
    reloads(&node, "applied", 1.0).await;
    assert_eq!(site.status(&node).await.status, "OK");
}

#[tokio::test]
async fn what_is_wrong_is_refused_whole_and_the_old_goes_on() {
    let site = Site::new();
    let right = site.configure("capacity = 1", "", "");
    let node = site.start().await;
    let mut client = GeoPingClient::new(site.connect(&node, ADA).await);
    site.write("garbage.mmdb", "not a database");
    let wrong = [
        (config("capacity = 2\ncapcity = 2", "", ""), "geoping.toml:6:1: "),
        (config("capacity = 2", "", "[geo]\ndatabase = ['garbage.mmdb']"), "garbage.mmdb"),
        (config("capacity = 2\nversion = '9'", "", ""), "[node] version has changed"),
        (config("capacity = 2", "drain_wait = '1s'", ""), "[listen] drain_wait"),
        ("[node".to_owned(), "geoping.toml:1:"),
    ];
    let mut refused = 0.0;
    for (text, expected) in wrong {
        site.write("geoping.toml", text);
        refused += 1.0;
        reloads(&node, "refused", refused).await;
        assert!(node.log().contains(expected), "no {expected:?} in\n{}", node.log());
        assert_eq!(status(&mut client).await.capacity, 1, "nothing of it is used");
    }
    std::fs::remove_file(&right).unwrap();
    reloads(&node, "refused", refused + 1.0).await;
    site.configure("capacity = 4", "", "");
    reloads(&node, "applied", 1.0).await;
    assert_eq!(status(&mut client).await.capacity, 4, "and what is right again is used");
}

#[tokio::test]
async fn a_bad_key_keeps_the_old_certificate_and_a_good_one_is_used() {
    let site = Site::new();
    site.configure("capacity = 1", "", "");
    let node = site.start().await;
    let mut before = GeoPingClient::new(site.connect(&node, ADA).await);
    let expiry = "tls_certificate_not_after_seconds";
    let first = node.metric(expiry, &[]).await;
    assert!(first > 0.0);

    // All or nothing: the new capacity is not used either.
    site.write("node.key", "not a key");
    site.configure("capacity = 2", "", "");
    eventually("a refusal that names the key", async || {
        node.log().contains("node.key").then_some(())
    })
    .await;
    node.signal(Signal::HUP);
    reloads(&node, "refused", 2.0).await;
    let reply = status(&mut before).await;
    assert_eq!((&*reply.status, reply.capacity), ("OK", 1));
    assert_eq!(site.status(&node).await.status, "OK", "new connections too");

    // One file after the other, as they are renewed: the pair does not match in between.
    site.issue_for("node", NODE, 2 * Validity::default().leaf);
    eventually("the new certificate in use", async || {
        (node.metric(expiry, &[]).await > first).then_some(())
    })
    .await;
    let reply = status(&mut before).await;
    assert_eq!((&*reply.status, reply.capacity), ("OK", 2), "no call is lost");
    assert_eq!(site.status(&node).await.status, "OK");
}

/// Waits until so many reloads had this result.
async fn reloads(node: &Node, result: &str, count: f64) {
    let label = format!("result=\"{result}\"");
    eventually(&format!("{count} reloads {result}"), async || {
        (node.metric("config_reloads_total", &[&label]).await >= count).then_some(())
    })
    .await;
}
