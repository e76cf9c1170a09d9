//! Reloads: all or nothing, and no call is lost.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use daemon::tls::Caller;
use pki::Validity;
use proto::geoping::v1::RegionRequest;
use proto::geoping::v1::geo_ping_client::GeoPingClient;
use rustix::process::Signal;
use tokio::net::TcpListener;

use crate::harness::{ADA, NODE, Node, Site, config, connect, eventually, status, within};

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

#[tokio::test]
async fn who_is_revoked_is_refused_however_wrong_the_configuration_is() {
    let site = Site::new();
    site.revoke(1, &[]);
    let right = |capacity| {
        config(&format!("capacity = {capacity}"), "", "")
            .replace("'ca.crt'", "'ca.crt'\ncrl = 'ca.crl'")
    };
    site.write("geoping.toml", right(1));
    let node = site.start().await;
    let (ada, _) = site.caller_and_serial(ADA);
    let (eve, serial) = site.caller_and_serial("spiffe://test-net.io/user/eve");
    assert!(answered(&node, &ada).await && answered(&node, &eve).await);

    site.write("geoping.toml", "[node");
    reloads(&node, "refused", 1.0).await;
    site.revoke(2, &[serial]);
    eventually("the revoked caller is refused", async || {
        (!answered(&node, &eve).await).then_some(())
    })
    .await;
    assert!(answered(&node, &ada).await, "and only that one");
    assert_eq!(site.status(&node).await.capacity, 1, "the rest is as it was");
    site.write("geoping.toml", right(2));
    reloads(&node, "applied", 1.0).await;
    assert_eq!(site.status(&node).await.capacity, 2);
    assert!(!answered(&node, &eve).await);
}

#[tokio::test]
async fn readiness_ends_with_the_certificate_and_comes_back_with_a_new_one() {
    let site = Site::new();
    site.configure("", "", "");
    // The shortest there is, with little of it left.
    let (lifetime, left) = (Duration::from_secs(60), Duration::from_secs(2));
    site.issue_at("node", NODE, lifetime, SystemTime::now() - (lifetime - left));
    let node = site.start().await;
    eventually("the certificate has expired", async || {
        let (status, body) = node.get("/readyz").await;
        (status == 503 && body.starts_with("certificate: expired at ")).then_some(())
    })
    .await;
    site.issue("node", NODE);
    eventually("ready with the new certificate", async || {
        (node.get("/readyz").await.0 == 200).then_some(())
    })
    .await;
}

/// Whether a new connection of `caller` gets an answer. With TLS 1.3 a client may learn only at
/// the first call that it is refused.
async fn answered(node: &Node, caller: &Arc<Caller>) -> bool {
    let Ok(channel) = connect(node.grpc, caller).await else { return false };
    within(GeoPingClient::new(channel).status(RegionRequest::default())).await.is_ok()
}

/// Waits until so many reloads had this result.
async fn reloads(node: &Node, result: &str, count: f64) {
    let label = format!("result=\"{result}\"");
    eventually(&format!("{count} reloads {result}"), async || {
        (node.metric("config_reloads_total", &[&label]).await >= count).then_some(())
    })
    .await;
}
