//! Fault 32: certificates change under load, and no call fails.

#![expect(clippy::disallowed_methods, reason = "swaps the files that are reloaded")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use daemon::config::Renew;
use daemon::grpc::{Limits, unsent};
use daemon::reload::Watch;
use daemon::renewal;
use daemon::tls::{Reloaded, Tls, TlsError};
use pki::Identity;

use crate::world::{DAY, NEVER, START, World, at, ping, soon, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_rotate_under_load_without_a_failed_call() {
    let world = World::new();
    let server = Arc::new(world.serve(Limits::default()).await);
    let ada = world.client("ada");
    let (done, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let mut load = tokio::task::JoinSet::new();
    for lasting in [true, false, true, false] {
        let (server, ada, done, calls) = (server.clone(), ada.clone(), done.clone(), calls.clone());
        load.spawn(async move {
            let mut client = server.connect(&ada).await.expect("connected");
            while !done.load(Ordering::SeqCst) {
                if !lasting {
                    client = server.connect(&ada).await.expect("connected anew");
                }
                ping(&mut client, "").await.expect("answered");
                calls.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    let target = world.target("server");
    let good_key = || std::fs::read(&target.key).unwrap();
    for round in 1..=10 {
        let before = calls.load(Ordering::SeqCst);
        world.set_clocks(START + round * 60);
        world.folder.renew(&target, None, at(START + round * 60)).unwrap();
        let key = good_key();
        std::fs::write(&target.key, b"half a k").unwrap();
        assert!(server.tls.reload().is_err(), "a bad key file");
        assert_eq!(
            server.tls.not_after(),
            at(START + (round - 1) * 60 + DAY),
            "the old one goes on"
        );
        std::fs::write(&target.key, key).unwrap();
        assert_eq!(server.tls.reload().unwrap(), Reloaded::Changed);
        assert_eq!(server.tls.not_after(), at(START + round * 60 + DAY));
        until("calls with this certificate", || calls.load(Ordering::SeqCst) > before + 8).await;
    }
    done.store(true, Ordering::SeqCst);
    while let Some(ended) = load.join_next().await {
        ended.expect("no call failed");
    }
    assert_eq!(server.calls.load(Ordering::SeqCst), calls.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_watched_pair_is_taken_up_as_soon_as_it_fits() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    let mut watch = Watch::new(server.tls.files()).unwrap();
    let target = world.target("server");
    let old_key = std::fs::read(&target.key).unwrap();
    world.set_clocks(START + 60);
    world.folder.renew(&target, None, at(START + 60)).unwrap();
    let new_key = std::fs::read(&target.key).unwrap();
    std::fs::write(&target.key, old_key).unwrap(); // somebody copies slowly, the certificate first

    soon("a trigger", watch.changed()).await;
    assert!(matches!(server.tls.reload(), Err(TlsError::KeyMismatch { .. })));
    std::fs::write(&target.key, new_key).unwrap();
    soon("another trigger", watch.changed()).await;
    assert_eq!(server.tls.reload().unwrap(), Reloaded::Changed);
    assert_eq!(server.tls.not_after(), at(START + 60 + DAY));
}

#[tokio::test]
async fn revocation_reaches_new_connections_and_leaves_others_alone() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    let (ada, bob) = (world.client("ada"), world.client("bob"));
    let mut lasting = server.connect(&bob).await.unwrap();
    server.canary(&ada).await;
    let list = world.folder.list().unwrap();
    let of_ada = list.iter().find(|entry| entry.identity == ada.identity()).unwrap();
    world.folder.revoke(&of_ada.serial, None, at(START)).unwrap();
    server.canary(&ada).await; // not reloaded yet

    server.tls.reload().unwrap();
    let refused = server.connect(&ada).await.map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("certificate_revoked"), "{refused}");
    ping(&mut lasting, "").await.unwrap();
    server.canary(&bob).await;

    std::fs::write(world.folder.ca_crl(), b"damaged").unwrap();
    assert!(server.tls.reload().is_err());
    assert!(server.connect(&ada).await.is_err(), "the last good list stays");
    server.canary(&bob).await;
}

#[tokio::test]
async fn a_live_connection_ends_with_its_age_and_an_expired_caller_stays_out() {
    let world = World::new();
    let age = Duration::from_millis(300);
    let limits = Limits { connection_age: age, ..Limits::default() };
    let server = world.serve(limits).await;
    let ada = world.client("ada");
    let mut client = server.connect(&ada).await.unwrap();
    ping(&mut client, "").await.unwrap();

    // It expires while connected. The server has a newer one meanwhile.
    world.folder.renew(&world.target("server"), None, at(START + DAY)).unwrap();
    world.set_clocks(START + DAY + 1);
    server.tls.reload().unwrap();
    let mut refused = None;
    let ended = async {
        while refused.is_none() {
            refused = ping(&mut client, "").await.err().filter(|status| !unsent(status));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon("the end of the connection", ended).await;
    let words = daemon::grpc::explain(&refused.unwrap());
    assert!(words.contains("certificate_expired"), "{words}");
}

#[tokio::test]
async fn a_call_under_way_survives_the_goaway_of_age() {
    let world = World::new();
    let limits = Limits { connection_age: Duration::from_millis(100), ..Limits::default() };
    let server = world.serve(limits).await;
    let ada = world.client("ada");
    let mut client = server.connect(&ada).await.unwrap();
    let mut slow = client.clone();
    let under_way = tokio::spawn(async move { ping(&mut slow, "slow").await });
    until("the slow call", || server.calls.load(Ordering::SeqCst) == 1).await;
    // The channel moves on to a new connection by itself.
    for _ in 0..100 {
        match ping(&mut client, "").await {
            Err(status) if unsent(&status) => {
                ping(&mut client, "").await.expect("sent on the next connection");
            }
            answered => drop(answered.expect("no call fails for the age of a connection")),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.release.notify_one();
    soon("the slow call's answer", under_way).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_never_outlives_its_grace() {
    let world = World::new();
    let limits = Limits {
        connection_age: Duration::from_millis(100),
        connection_grace: Duration::from_millis(100),
        request_timeout: NEVER,
        ..Limits::default()
    };
    let server = world.serve(limits).await;
    let ada = world.client("ada");
    let mut client = server.connect(&ada).await.unwrap();
    // The call is never released.
    soon("the cut", ping(&mut client, "slow")).await.expect_err("it is cut");
}

#[tokio::test]
async fn a_due_certificate_is_renewed_by_its_command() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    // The new pair lies ready under another name; the command puts it in place.
    world.set_clocks(START + DAY / 2);
    let ready = world.target("ready");
    let node: Identity = server.tls.identity();
    let now = at(START + DAY / 2);
    world.folder.issue(&node, &pki::Extra::default(), None, &ready, now).unwrap();
    let place = world.target("server");
    let script = format!(
        "cp {} {} && cp {} {}",
        ready.key.display(),
        place.key.display(),
        ready.cert.display(),
        place.cert.display()
    );
    let command = vec!["sh".to_owned(), "-c".to_owned(), script];
    let renew = Renew { command, at: 0.4, timeout: Duration::from_secs(60) };
    let tls: Arc<Tls> = server.tls.clone();
    let task = tokio::spawn(renewal::run(tls, Some(renew), server.stop.clone().cancelled_owned()));
    until("the new certificate", || server.tls.not_after() == at(START + DAY / 2 + DAY)).await;
    let ada = world.client("ada");
    server.canary(&ada).await;
    server.stop.cancel();
    soon("the end of the renewal", task).await.unwrap();
}
